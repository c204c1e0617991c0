"""Finds what a relaxed network can mix in a program, and refuses the rest before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from symnas._typing import Value
from symnas.construction.depth_discovery import Depth, find_depths
from symnas.construction.forward_discovery import Above, found_in_forward
from symnas.construction.size_discovery import find_sizes
from symnas.construction.sizes import Sizes
from symnas.construction.superposition import ConstructorRun
from symnas.contracts.relaxed_points import RelaxedKind, RelaxedPoint
from symnas.errors import DecisionError, ProgramError, nearest
from symnas.frontend.openings import Opening
from symnas.frontend.sites import Site
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
        opening: the choices that stay open in the constructor, and the values of the points that are closed.
        forward: addresses of those that are made when the model is called.
        points: what is relaxed, parents first.
        depths: what is known of those that are numbers of blocks, by address.
        sizes: what is known of those that are sizes.
        locations: where each of them is written.
    """

    space: Space
    opening: Opening
    forward: frozenset[str]
    points: tuple[RelaxedPoint, ...]
    depths: Mapping[str, Depth]
    sizes: Sizes
    locations: Mapping[str, str]


def plan_relaxation(program: ProgramView, freeze: Mapping[str, Value] | Literal["rest"]) -> RelaxationPlan:
    """Find the points of a program that can be relaxed.

    What the constructor makes goes from stage to stage: first with all blocks that there can be, then with
    all sizes at their largest. Each stage takes the points that are of its kind, and leaves the rest.

    Args:
        program: whose target makes a module.
        freeze: values of points that are not to be; or "rest", for the defaults of all that cannot be.

    Raises:
        DecisionError: `freeze` names no point, or not one of its values.
        ProgramError: a point is neither frozen nor can be relaxed.
    """
    if isinstance(freeze, str):
        if freeze != "rest":
            raise DecisionError(f"freeze is a mapping of addresses to values, or 'rest', got {freeze!r}")
        return _rest_frozen(program)
    plan, left, reasons = _planned(program, freeze)
    _refuse(program, left, plan.locations, reasons, freeze)
    return plan


def _rest_frozen(program: ProgramView) -> RelaxationPlan:
    """Freeze what is left until nothing is: points of which a frozen one decides may be found then."""
    freeze: dict[str, Value] = {}
    while True:
        plan, left, _ = _planned(program, freeze)
        if not left:
            return plan
        freeze |= {point.address: _default(point) for point in left}


def _planned(
    program: ProgramView, freeze: Mapping[str, Value]
) -> tuple[RelaxationPlan, list[Point], Mapping[str, str]]:
    """Return a plan, the points that it has no place for, and why those are no sizes, by address."""
    space = _frozen(program.space, freeze)
    known = {point.address: point for point in space.walk() if point.kind != "tied"}
    fixed = _fixed(known, freeze)
    depths, run = find_depths(program, known, fixed)
    forward, sites = _chosen_in_forward(program, known, run)
    points = [
        *_among_modules(known, run),
        *(_among_tensors(known[address], above) for address, above in forward.items()),
        *(_number_of_blocks(known[address], run) for address in depths),
    ]
    taken = {point.address for point in points} | fixed.keys()
    rest = [address for address in known if address not in taken]
    sizes, largest = find_sizes(program, run, rest)
    points += [replace(point, under=run.under.get(address)) for address, point in sizes.points.items()]
    # In the order of the tree, where points stand behind those that they exist under.
    order = {address: place for place, address in enumerate(known)}
    points.sort(key=lambda point: order[point.address])
    locations = {address: str(site.location) for address, site in sites.items()}
    left = [known[address] for address in rest if address not in sizes.points]
    plan = RelaxationPlan(space, largest.opening, frozenset(forward), tuple(points), depths, sizes, locations)
    return plan, left, sizes.refused


def _frozen(space: Space, freeze: Mapping[str, Value]) -> Space:
    for address in freeze:
        if address not in space:
            raise DecisionError(
                f"what is frozen is a point of the program, and {address!r} is none"
                f"{nearest(address, space.addresses)}"
            )
    return space.freeze(freeze) if freeze else space


def _fixed(known: Mapping[str, Point], freeze: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of points that have only one; edges that are all kept have weights nevertheless."""
    return {
        address: next(iter(point.values()))
        for address, point in known.items()
        if point.cardinality == 1 and not (_edges(point) and address not in freeze)
    }


def _edges(point: Point) -> bool:
    """Whether a number of several candidates is kept, all of them included: each has a weight then, too."""
    return isinstance(point, ManyOf) and point.low == point.high and len(point.candidates) > 1


# -- points, by kind ----------------------------------------------------------------------------


def _among_modules(known: Mapping[str, Point], run: ConstructorRun) -> Iterator[RelaxedPoint]:
    """Yield the points whose candidates are modules that the constructor makes."""
    for address in run.sites:
        point, under = known.get(address), run.under.get(address)
        if address in run.choices and isinstance(point, OneOf):
            # One decision may be used at several places, each with modules of its own: (candidates, places).
            # A candidate is zero if its modules are at all places, and a skip if one of them is.
            places = [choice.candidates for choice in run.choices[address]]
            columns = list(zip(*places, strict=True))
            zero = tuple(code for code, modules in enumerate(columns) if all(map(_zero, modules)))
            skips = tuple(code for code, modules in enumerate(columns) if any(map(_skips, modules)))
            yield RelaxedPoint(address, point.candidates, RelaxedKind.ONE, 1, zero, skips, under)
        elif address in run.subsets and isinstance(point, ManyOf) and _edges(point):
            yield RelaxedPoint(address, point.candidates, RelaxedKind.EDGES, point.low, under=under)


def _chosen_in_forward(
    program: ProgramView, known: Mapping[str, Point], run: ConstructorRun
) -> tuple[dict[str, Above | None], dict[str, Site]]:
    """Return the points whose tensors are made when the model is called, and what is known of all points."""
    sites = dict(run.sites)
    if not program.internals.source_set.when_called:
        return {}, sites
    found, more = found_in_forward(program, run)
    sites.update(more)
    return {address: above for address, above in found.items() if address in known}, sites


def _among_tensors(point: Point, above: Above | None) -> RelaxedPoint:
    assert isinstance(point, OneOf)
    return RelaxedPoint(point.address, point.candidates, RelaxedKind.ONE, under=above)


def _number_of_blocks(point: Point, run: ConstructorRun) -> RelaxedPoint:
    labels: Any = tuple(point.values())
    return RelaxedPoint(point.address, labels, RelaxedKind.DEPTH, under=run.under.get(point.address))


def _zero(module: nn.Module) -> bool:
    """Whether a module says of itself that it passes nothing on (`idle` is what that was called before)."""
    said = getattr(module, "zero", getattr(module, "idle", False))
    return said is True or type(module).__name__ == "Zero"


def _skips(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity) or getattr(module, "skip", False) is True


# -- what cannot be -----------------------------------------------------------------------------


def _refuse(
    program: ProgramView,
    points: Sequence[Point],
    locations: Mapping[str, str],
    reasons: Mapping[str, str],
    freeze: Mapping[str, Value],
) -> None:
    if not points:
        return
    first = points[0]
    where = locations.get(first.address) or first.origin or program.name
    reason = reasons.get(first.address)
    what = _what(first) + (f", and no width or kernel: {reason}" if reason else "")
    others = f"; so are {', '.join(repr(p.address) for p in points[1:])}" if points[1:] else ""
    # All of them at once: who freezes one after the other is told of the next each time.
    frozen = {**freeze, **{point.address: _default(point) for point in points}}
    raise ProgramError(
        f"{where}\na relaxed network adds up what the candidates of a choice return, and {first.address!r} "
        f"is a choice {what}{others}; freeze what is no mixture (program.relaxed(freeze={frozen!r}), "
        f'program.relaxed(freeze="rest") for the defaults of all such, or freeze={tuple(frozen.items())!r} '
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
