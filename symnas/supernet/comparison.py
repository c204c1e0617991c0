"""Tells in what two modules differ that should be alike: one switched, and one constructed by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from symnas.construction.superposition import ConstructorRun
from symnas.tree.covering import covering

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision

_SKIPPED = {"_parameters", "_buffers", "_modules", "_flat_weights", "training"}
MOST_INSIDE = 6
"""How deep attributes of modules are compared, such as lists of lists."""


def telling_children(program: ProgramView, run: ConstructorRun, decision: Decision) -> list[Decision]:
    """Return decisions whose children tell whether code looks at what it has chosen while it constructs.

    Such code sees a stand-in where choices are open. It stands in some text, and does to every candidate
    that the text chooses among what it does to it anywhere. So it is enough that each candidate is taken at
    one of the points that come from the same text; and children of as many points have many candidates.

    Args:
        program: whose model it is.
        run: a model with choices open.
        decision: one that it serves; what is closed in it stays as it is there.
    """
    fixed = {address: value for address, value in decision.items() if address not in run.choices}
    texts = {address: id(run.sites[address]) for address in run.choices}
    found = covering(program.space.freeze(fixed), bases=0, alike=texts)
    return [each for each in (program.decision(dict(own)) for own in found) if run.serves(each)]


def difference(mine: nn.Module, theirs: nn.Module, shared: Collection[str], *, values: bool = True) -> str:
    """Tell in what two modules differ; empty if in nothing.

    The same classes stand at the same paths, with the same attributes and the same buffers.

    Args:
        mine: one.
        theirs: the other.
        shared: paths of buffers that are not compared.
        values: whether buffers have values to compare; on the device `meta` they have none.
    """
    ours, others = (dict(each.named_modules(remove_duplicate=False)) for each in (mine, theirs))
    if list(ours) != list(others):
        return "the modules that they have"
    for path, module in ours.items():
        twin = others[path]
        if type(module) is not type(twin):
            return f"the class of {path!r}"
        # Weights are told apart by their keys, which is the callers' part. Here it is what else constructors
        # leave behind: attributes, and buffers that are not shared (a table of positions, say).
        names = (vars(module).keys() | vars(twin).keys()) - _SKIPPED
        for name in sorted(names):
            if not same(vars(module).get(name), vars(twin).get(name), MOST_INSIDE, values=values):
                return f"{path}.{name}".removeprefix(".")
        for name, value in module._buffers.items():
            own = f"{path}.{name}".removeprefix(".")
            if own not in shared and not same(value, twin._buffers.get(name), 1, values=values):
                return own
    return ""


def same(one: Any, other: Any, depth: int, *, values: bool = True) -> bool:
    """Whether two attributes are alike, as far as can be told.

    Args:
        one: an attribute.
        other: of the same name.
        depth: how deep to look into what they hold; below they are taken to be alike.
        values: whether tensors have values.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        alike = one.shape == other.shape and one.dtype == other.dtype
        return alike and (not values or torch.equal(one, other))
    if isinstance(one, bool | int | float | complex | str | bytes | type | None):
        return bool(one == other) or one != one  # NaN is like NaN
    if isinstance(one, Mapping):
        return list(map(str, one)) == list(map(str, other)) and all(
            same(a, b, depth - 1, values=values) for a, b in zip(one.values(), other.values(), strict=True)
        )
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(a, b, depth - 1, values=values) for a, b in pairs)
    if isinstance(one, set | frozenset):
        return len(one) == len(other)  # no order says which elements are to be compared
    # Modules are compared where they stand in the tree. Objects may refer to each other in circles, which the
    # depth ends.
    if isinstance(one, nn.Module) or depth <= 0 or not hasattr(one, "__dict__"):
        return True
    return same(dict(vars(one)), dict(vars(other)), depth - 1, values=values)
