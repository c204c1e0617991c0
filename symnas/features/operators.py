"""What the schemas of PyTorch's operators say, read once for each operator."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from symnas.features.rules import RULES, Rule


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator, as a trace looks at it.

    Args:
        name: whatever it is overloaded for.
        rule: of its axes, if it has one of its own.
        pointwise: whether it computes position by position.
        names: of its arguments, in order.
        defaults: of those that may be left out.
        writes: places and names of arguments that it changes.
        fresh: whether what it returns shares no memory with its arguments, and it changes none of them.
    """

    name: str
    rule: Rule | None
    pointwise: bool
    names: tuple[str, ...]
    defaults: Mapping[str, Any]
    writes: tuple[tuple[int, str], ...]
    fresh: bool

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by the names of the schema and in their order, defaults included."""
        found = dict(zip(self.names, args, strict=False))
        for name in self.names[len(args) :]:
            if name in kwargs:
                found[name] = kwargs[name]
            elif name in self.defaults:
                found[name] = self.defaults[name]
        return found


@functools.lru_cache(maxsize=4096)
def operator(func: Any) -> Operator:
    """Return what there is to know of an operator's overload."""
    name, arguments = func.overloadpacket.__name__, func._schema.arguments
    written = [each.alias_info is not None and each.alias_info.is_write for each in arguments]
    shared = any(each.alias_info is not None for each in (*arguments, *func._schema.returns))
    return Operator(
        name=name,
        rule=RULES.get(name) or RULES.get(name.rstrip("_")),  # `add_` works in place, as `add` does
        pointwise=torch.Tag.pointwise in func.tags,
        names=tuple(each.name for each in arguments),
        defaults={each.name: each.default_value for each in arguments if each.has_default_value()},
        writes=tuple(
            (place, each.name)
            for place, each in enumerate(arguments)
            # Its schema does not say that batch normalisation updates the running statistics.
            if written[place] or (name.startswith("native_batch_norm") and each.name.startswith("running"))
        ),
        fresh=not shared,
    )
