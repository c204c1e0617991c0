"""Choices that note who looks at them while a program constructs its model, instead of passing them on.

What stands in the place of a choice is no candidate, and code that asks what it is, as with `isinstance(op,
nn.ReLU)`, `hasattr(op, "bias")` or `len(list(op.parameters()))`, goes on as it would under no decision. Most
code never asks. So which choices were looked at is noted, and those alone need children to be compared with.

`type(op)` asks the interpreter and not the object, so it goes unnoticed.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from symnas._typing import Label
from symnas.construction.mixed_module import MixedModule

LISTING = frozenset(
    f"{prefix}{what}"
    for what in ("parameters", "buffers", "modules", "children")
    for prefix in ("", "named_")
) | {"state_dict", "candidates", "__repr__", "extra_repr"}
"""What tells one candidate from another where code asks for it."""
LIBRARIES = (f"{Path(str(torch.__file__)).parent}/", f"{Path(__file__).parents[1]}/")
"""Where those stand that ask for the class of everything: to register a module, to note its key."""


class WatchedModule(MixedModule):
    """All candidates of a choice among modules, while its program constructs.

    Args:
        address: of the point.
        labels: of the candidates.
        candidates: the modules.
        origin: `file:line` of the annotation.
        active: which candidate is called.
        files: the program's own; what they ask for counts, wherever they stand.
    """

    def __init__(
        self,
        address: str,
        labels: tuple[Label, ...],
        candidates: Collection[torch.nn.Module],
        origin: str,
        active: int,
        files: Collection[str],
    ) -> None:
        super().__init__(address, labels, candidates, origin, active)
        self.__dict__["watch"] = _Watch(files)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Tell the class of all choices. `isinstance` asks for it unless it knows the answer anyway."""
        self.__dict__["watch"].see()
        return MixedModule

    def __getattribute__(self, name: str) -> Any:
        """Return an attribute, and note whether it was asked for to tell candidates apart."""
        if name in LISTING:
            watch = object.__getattribute__(self, "__dict__").get("watch")
            if watch is not None:
                watch.see()
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        """Return what candidates have alike; that there is no such thing tells something, too."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            watch = self.__dict__.get("watch")
            if watch is not None:
                watch.see()
            raise

    def unwatched(self) -> bool:
        """Become a choice like any other, and return whether somebody has looked."""
        looked: bool = self.__dict__.pop("watch").looked
        # By the slot of `object`, as the property above has taken the place of the attribute.
        object.__dict__["__class__"].__set__(self, MixedModule)
        return looked


class _Watch:
    """Whether code has looked at a choice.

    Args:
        files: whose looks count.
    """

    def __init__(self, files: Collection[str]) -> None:
        self.files, self.looked = files, False

    def see(self) -> None:
        """Note a look by the code that has called what is in this file."""
        frame = sys._getframe(1)
        while frame.f_code.co_filename == __file__ and frame.f_back is not None:
            frame = frame.f_back
        file = frame.f_code.co_filename
        self.looked |= file in self.files or not file.startswith(LIBRARIES)
