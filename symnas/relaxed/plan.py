"""Finds what a relaxed network can mix in a program, and refuses the rest before anything is trained."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import nn

from symnas._typing import Value
from symnas.contracts.relaxed_points import RelaxedKind, RelaxedPoint
from symnas.errors import DecisionError, ProgramError, nearest
from symnas.relaxed.depth import Depth, find_depths
from symnas.relaxed.forward_choices import Above, found_in_forward
from symnas.relaxed.size_discovery import find_sizes
from symnas.relaxed.sizes import Sizes
from symnas.supernet.superposition import Superposition, superposed
from symnas.tree.choices import FloatRange, IntRange, ManyOf, OneOf, Permutation
from symnas.tree.point import Point
from symnas.tree.space import Space

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView


@dataclass(frozen=True)
class RelaxationPlan:
    """What of a program is relaxed.

    Args:
        space: the program's, with what is frozen.
        values: of the points that are closed, by address.
        opened: addresses of the choices that stay open in the constructor.
        forward: addresses of those that are made when the model is called.
        points: what is relaxed, parents first.
        depths: what is known of those that are numbers of blocks, by address.
        sizes: what is known of those that are sizes.
        locations: where each of them is written.
    """

    space: Space
    values: Mapping[str, Value]
    opened: frozenset[str]
    forward: frozenset[str]
    points: tuple[RelaxedPoint, ...]
    depths: Mapping[str, Depth]
    sizes: Sizes
    locations: Mapping[str, str]


def plan_relaxation(program: ProgramView, freeze: Mapping[str, Value], inputs: Any) -> RelaxationPlan:
    """Find the points of a program that can be relaxed.

    Args:
        program: whose target makes a module.
        freeze: values of points that are not to be.
        inputs: example inputs, positional and named.

    Raises:
        DecisionError: `freeze` names no point, or not one of its values.
        ProgramError: a point is neither frozen nor can be relaxed.
    """
    space = _frozen(program.space, freeze)
    known = {point.address: point for point in space.walk() if point.kind != "tied"}
    frozen = {
        address: _only(point)
        for address, point in known.items()
        if point.cardinality == 1 and not (_edges(point) and address not in freeze)
    }
    depths, opened = find_depths(program, known, frozen)
    deepest = {**frozen, **{address: depth.values[-1] for address, depth in depths.items()}}
    opened &= known.keys()
    made = superposed(program, deepest, device="meta", only=opened)
    met = [
        address
        for address in made.sites
        if address in made.choices or (address in made.subsets and _edges(known[address]))
    ]
    points = [_point(known[address], made) for address in met]
    sites = dict(made.sites)
    forward: dict[str, Above | None] = {}
    if program.internals.source_set.when_called:
        build = functools.partial(_made, program, deepest, opened)
        found, more = found_in_forward(program, deepest, build, inputs)
        forward = {address: above for address, above in found.items() if address in known}
        sites.update(more)
        points += [_in_forward(known[address], above) for address, above in forward.items()]
    for address in depths:
        labels: Any = tuple(known[address].values())
        points.append(RelaxedPoint(address, labels, RelaxedKind.DEPTH, under=made.under.get(address)))
    relaxed = {point.address for point in points}
    rest = [address for address in known if address not in frozen and address not in relaxed]
    sizes = find_sizes(program, opened, rest, deepest)
    points += [replace(point, under=made.under.get(address)) for address, point in sizes.points.items()]
    order = {address: place for place, address in enumerate(known)}
    points.sort(key=lambda point: order[point.address])
    locations = {address: str(site.location) for address, site in sites.items()}
    left = [known[address] for address in rest if address not in sizes.points]
    _refuse(program, left, locations, sizes.refused)
    values = {**deepest, **sizes.largest}
    return RelaxationPlan(space, values, opened, frozenset(forward), tuple(points), depths, sizes, locations)


def _made(
    program: ProgramView, values: Mapping[str, Value], opened: frozenset[str], device: str | None
) -> Superposition:
    return superposed(program, values, device=device, only=opened)


def _in_forward(point: Point, above: Above | None) -> RelaxedPoint:
    assert isinstance(point, OneOf)
    return RelaxedPoint(point.address, point.candidates, RelaxedKind.ONE, under=above)


def _frozen(space: Space, freeze: Mapping[str, Value]) -> Space:
    for address in freeze:
        if address not in space:
            raise DecisionError(
                f"what is frozen is a point of the program, and {address!r} is none"
                f"{nearest(address, space.addresses)}"
            )
    return space.freeze(freeze) if freeze else space


def _edges(point: Point) -> bool:
    """Whether a number of several candidates is kept, all of them included: each has a weight then, too."""
    return isinstance(point, ManyOf) and point.low == point.high and len(point.candidates) > 1


def _only(point: Point) -> Value:
    return next(iter(point.values()))


def _point(point: Point, made: Superposition) -> RelaxedPoint:
    under = made.under.get(point.address)
    if isinstance(point, ManyOf):
        return RelaxedPoint(point.address, point.candidates, RelaxedKind.EDGES, point.low, under=under)
    assert isinstance(point, OneOf)
    places = [choice.candidates for choice in made.choices[point.address]]
    columns = list(zip(*places, strict=True))
    zero = tuple(code for code, modules in enumerate(columns) if all(map(_zero, modules)))
    skips = tuple(code for code, modules in enumerate(columns) if any(map(_skips, modules)))
    return RelaxedPoint(point.address, point.candidates, RelaxedKind.ONE, 1, zero, skips, under)


def _zero(module: nn.Module) -> bool:
    """Whether a module says of itself that it passes nothing on (`idle` is what that was called before)."""
    said = getattr(module, "zero", getattr(module, "idle", False))
    return said is True or type(module).__name__ == "Zero"


def _skips(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or getattr(module, "skip", False) is True


# -- what cannot be -----------------------------------------------------------------------------


def _refuse(
    program: ProgramView, points: Sequence[Point], locations: Mapping[str, str], reasons: Mapping[str, str]
) -> None:
    if not points:
        return
    first = points[0]
    where = locations.get(first.address) or first.origin or program.name
    reason = reasons.get(first.address)
    what = _what(first) + (f", and no width or kernel: {reason}" if reason else "")
    others = f" (and {len(points) - 1} more: {_few(p.address for p in points[1:])})" if points[1:] else ""
    raise ProgramError(
        f"{where}\na relaxed network adds up what the candidates of a choice return, and {first.address!r} "
        f"is a choice {what}{others}; freeze it (program.relaxed(freeze={{"
        f"{first.address!r}: {_default(first)!r}}}), or freeze=(({first.address!r}, {_default(first)!r}),) "
        "of the algorithm), or sample it: symnas.SharedWeights trains one child at a time"
    )


def _what(point: Point) -> str:
    if isinstance(point, FloatRange):
        return "of a real number"
    if isinstance(point, IntRange):
        return "of a number that the code computes with"
    if isinstance(point, Permutation):
        return "of an order"
    if isinstance(point, ManyOf):
        return "of several values, or of a varying number of modules, or of ordered or repeated ones"
    return "among values that the code looks at, not among modules or tensors"


def _default(point: Any) -> Value:
    value: Value = point.default
    return value


def _few(items: Iterable[str]) -> str:
    listed = list(items)
    return ", ".join(listed[:4]) + (", …" if len(listed) > 4 else "")
