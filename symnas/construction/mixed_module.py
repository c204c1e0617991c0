"""One module that holds all candidates of a choice among modules, in the place of the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from symnas._typing import Label

Rule = Callable[["MixedModule", tuple[Any, ...], dict[str, Any]], Any]
"""What a choice computes; given the choice and the arguments that its candidate would be called with."""


class MixedModule(nn.Module):
    """All candidates of a choice among modules; calls the active one, or does what `rule` says.

    Args:
        address: of the point; several choices have one address where one decision is used at several places.
        labels: of the candidates.
        candidates: the modules.
        origin: `file:line` of the annotation.
        active: which candidate is called.
    """

    def __init__(
        self,
        address: str,
        labels: tuple[Label, ...],
        candidates: Collection[nn.Module],
        origin: str,
        active: int = 0,
    ) -> None:
        super().__init__()
        self.address, self.labels, self.origin = address, labels, origin
        self.candidates = nn.ModuleList(candidates)
        self.active = active
        self.rule: Rule | None = None
        self.tails: list[nn.Module | None] = [None] * len(self.candidates)
        """The layers that a rule may leave multiplying to, one for each candidate."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the active candidate."""
        if self.rule is not None:
            return self.rule(self, args, kwargs)
        return self.candidates._modules[str(self.active)](*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return a number or text that all candidates have alike, as code around them may ask for one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            # Not `self.candidates`: while a copy is being made there are none yet, and asking would recur.
            modules = self.__dict__.get("_modules", {})
            found = [getattr(each, name, None) for each in modules.get("candidates", ())]
            if (
                not found
                or not isinstance(found[0], (bool, int, float, str))
                or found.count(found[0]) < len(found)
            ):
                raise
            return found[0]

    def extra_repr(self) -> str:
        """Name the point."""
        return f"{self.address}: {', '.join(map(str, self.labels))}"


def added_up(choice: MixedModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Add up all candidates of a choice, so that one call reads every parameter: a rule."""
    found = [candidate(*args, **kwargs) for candidate in choice.candidates]
    return sum(found[1:], found[0])


@contextmanager
def ruled(choices: Iterable[MixedModule], rule: Rule) -> Iterator[None]:
    """Let choices compute by a rule, for the length of a `with`."""
    before = [(choice, choice.rule) for choice in choices]
    for choice, _ in before:
        choice.rule = rule
    try:
        yield
    finally:
        for choice, own in before:
            choice.rule = own
