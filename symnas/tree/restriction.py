"""Smaller spaces and larger ones: restrict points to some of their values, freeze them, join spaces."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from symnas._typing import Value
from symnas.errors import DecisionError, SpaceError
from symnas.tree.choices import (
    Branch,
    FloatRange,
    Guard,
    IntRange,
    ManyOf,
    OneOf,
    Permutation,
    Point,
    Tied,
    identity,
)
from symnas.tree.layout import REAL, Layout
from symnas.tree.ranges import LONG
from symnas.tree.subsets import INACTIVE

Renumbering = Mapping[int, int]
"""New codes by old ones; those that are gone are left out."""


@dataclass
class Restriction:
    """Rebuilds a tree with smaller domains, carrying branches, guards and ties along.

    Args:
        layout: the compiled space.
        codes: per address, new code by old code (of a subset: of candidates).
        ranks: per address of a subset, new rank by old rank, for guards.
    """

    layout: Layout
    domains: dict[str, Point] = field(default_factory=dict)
    codes: dict[str, Renumbering] = field(default_factory=dict)
    ranks: dict[str, Renumbering] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def narrow(self, address: str, allowed: object) -> None:
        """Set a point's smaller domain, a tie's target taking the place of the tie."""
        point = self.layout.entry(address).domain
        if point.address in self.domains:
            raise SpaceError(f"{address}: {point.address} is restricted twice; give one of the two")
        smaller = narrowed(point, allowed)
        self.domains[point.address] = smaller
        # Branches name candidates of a selection, guards its ranks: two renumberings.
        if isinstance(point, ManyOf | Permutation) and isinstance(smaller, ManyOf | Permutation):
            self.codes[point.address] = _matching(point.candidates, smaller)
            if point.subsets.tabulated:
                ranks = {}
                for rank, codes in enumerate(point.subsets.rows):
                    try:
                        ranks[rank] = smaller.rank(smaller.code(point.value(codes)))
                    except DecisionError:
                        continue
                self.ranks[point.address] = ranks
        elif point.cardinality != math.inf:
            long = isinstance(point, IntRange | FloatRange) and point.codes > LONG
            self.codes[point.address] = (
                _ByValue(point, smaller) if long else _matching(point.values(), smaller)
            )

    def rebuild(self, points: Iterable[Point]) -> tuple[Point, ...]:
        """Return the points that can still exist, with everything below them."""
        kept = []
        for point in points:
            smaller = self._point(point)
            if smaller is None:
                self._drop(point)
            else:
                kept.append(smaller)
        return tuple(kept)

    def _point(self, point: Point) -> Point | None:
        if isinstance(point, Tied) and point.target in self.dropped:
            return None
        guards: list[Guard] = []
        for guard in point.guards:
            rows = self._rows(guard)
            # A guard that can no longer hold takes the point, and all below it, out of the space.
            if rows is None:
                return None
            # If all its sources are gone, what is left of the guard always holds.
            if rows.addresses:
                guards.append(Guard(rows.addresses, rows.allowed))
        domain = self.domains.get(point.address, point)
        # A tie's branches are in the codes of its target.
        source = self.layout.entries[self.layout.index[point.address]].domain.address
        branches: list[Branch] = []
        for branch in point.branches:
            when = self._when(source, branch.when)
            points = self.rebuild(branch.points) if when else ()
            if not when:
                for below in branch.points:
                    self._drop(below)
            if points:
                branches.append(Branch(when, points, branch.occurrence))
        return domain.replace(branches=tuple(branches), guards=tuple(guards))

    def _drop(self, point: Point) -> None:
        stack = [point]
        while stack:
            gone = stack.pop()
            self.dropped.add(gone.address)
            stack.extend(below for branch in gone.branches for below in branch.points)

    def _when(self, address: str, when: range | tuple[int, ...]) -> range | tuple[int, ...]:
        known = self.codes.get(address)
        if known is None:
            return when
        if isinstance(known, _ByValue) and isinstance(when, range):
            return known.run(when)
        return tuple(sorted(known[code] for code in when if code in known))

    def _rows(self, guard: Guard) -> _Rows | None:
        """Return a guard in the new codes, None where it can no longer hold."""
        keep = [i for i, address in enumerate(guard.addresses) if address not in self.dropped]
        rows = set()
        for row in guard.allowed:
            # A source that is gone is always absent: rows that want a code of it can no longer be met.
            if any(row[i] != INACTIVE for i in range(len(row)) if i not in keep):
                continue
            new = [self._seen(guard.addresses[i], row[i]) for i in keep]
            if None not in new:
                rows.add(tuple(code for code in new if code is not None))
        if not rows:
            return None
        return _Rows(tuple(guard.addresses[i] for i in keep), frozenset(rows))

    def _seen(self, address: str, code: int) -> int | None:
        source = self.layout.entries[self.layout.index[address]].domain.address
        known = self.ranks.get(source, self.codes.get(source))
        return code if code == INACTIVE or known is None else known.get(code)


@dataclass(frozen=True, slots=True)
class _Rows:
    addresses: tuple[str, ...]
    allowed: frozenset[tuple[int, ...]]


class _ByValue(Mapping[int, int]):
    """New codes by old ones of a long range, each worked out from its value when it is asked for."""

    def __init__(self, point: Point, smaller: Point) -> None:
        self._point, self._smaller = point, smaller

    def __getitem__(self, code: int) -> int:
        try:
            new = self._smaller.code(self._point.value(code))
        except DecisionError:
            raise KeyError(code) from None
        assert isinstance(new, int)
        return new

    def __iter__(self) -> Iterator[int]:
        return (int(self._point.code(value)) for value in self._smaller.values())  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self._smaller.codes

    def run(self, codes: range) -> range | tuple[int, ...]:
        """Return the new codes of a run of old ones: a run, where values stay in their order."""
        if isinstance(self._smaller, OneOf):
            return tuple(new for new, old in enumerate(self) if old in codes)
        values: Any = self._smaller.values()
        low, high = self._point.value(codes[0]), self._point.value(codes[-1])
        return range(bisect_left(values, low), bisect_right(values, high))


def _matching(values: Iterable[Value], smaller: Point) -> Renumbering:
    found: dict[int, int] = {}
    # Old codes by position, new ones by value: what is not in the smaller domain has none.
    for code, value in enumerate(values):
        try:
            given = (value,) if isinstance(smaller, ManyOf | Permutation) else value
            if isinstance(smaller, ManyOf | Permutation):
                found[code] = OneOf("x", smaller.candidates).code(value)
            else:
                new = smaller.code(given)
                found[code] = new if isinstance(new, int) else new[0]
        except DecisionError:
            continue
    return found


# -------------------------------------------------------------------- smaller domains


def narrowed(point: Point, allowed: object) -> Point:
    """Return a point with only the allowed values, its default moved to the nearest of them.

    Args:
        point: any point but a tie.
        allowed: a collection of values; of a subset also of candidates; of a real range a pair (low, high).
    """
    if isinstance(allowed, str) or not isinstance(allowed, Collection) or not len(allowed):
        raise SpaceError(f"{point.address}: restrict to a non-empty collection of values, got {allowed!r}")
    if isinstance(point, FloatRange) and not point.finite:
        return _narrowed_real(point, allowed)
    if isinstance(point, ManyOf | Permutation):
        return _narrowed_selection(point, allowed)
    if isinstance(point, IntRange) and isinstance(allowed, range) and len(allowed) > LONG:
        return _narrowed_run(point, allowed)
    codes = sorted({_code(point, value) for value in allowed})
    values = [point.value(code) for code in codes]
    weights = None if point.weights is None else tuple(point.weights[code] for code in codes)
    weights = weights if weights is None or sum(weights) > 0 else None
    default = _closest(point.default, values)  # type: ignore[attr-defined]
    if isinstance(point, OneOf):
        return point.replace(candidates=tuple(values), weights=weights, default=default, branches=())
    # A run of values stays a range if it lists exactly these; anything else becomes a choice among numbers.
    if codes[-1] - codes[0] + 1 == len(codes):
        changes: dict[str, Any] = {
            "low": values[0],
            "high": values[-1],
            "weights": weights,
            "default": default,
        }
        if len(codes) == 1:
            changes |= {"step": 1, "factor": None} if isinstance(point, IntRange) else {"step": None}
        smaller = dataclasses.replace(point, **changes, branches=())
        if list(smaller.values()) == values:
            return smaller
    return OneOf(point.address, tuple(values), default, weights=weights, origin=point.origin)  # type: ignore[arg-type]


def _narrowed_run(point: IntRange, allowed: range) -> Point:
    """Return a range with the values of a long `range` object, none of which is looked at one by one."""
    run = allowed if allowed.step > 0 else allowed[::-1]
    for value in (run[0], run[1], run[-1]):
        _code(point, value)
    # The first two and the last are values, so the distance is whole steps and all between are values too.
    nearest = run[min(max(round((point.default - run[0]) / run.step), 0), len(run) - 1)]
    return dataclasses.replace(
        point, low=run[0], high=run[-1], step=run.step, default=nearest, weights=None, branches=()
    )


def _code(point: Point, value: object) -> int:
    try:
        code = point.code(value)
    except DecisionError as error:
        raise SpaceError(f"a point is restricted to values it has: {error}") from None
    assert isinstance(code, int)
    return code


def _closest(default: Value, values: list[Value]) -> Value:
    if any(type(value) is type(default) and value == default for value in values):
        return default
    # Among numbers the nearest, among other labels the first that is left.
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if isinstance(default, int | float) and not isinstance(default, bool) and len(numbers) == len(values):
        return min(numbers, key=lambda value: abs(value - default))
    return values[0]


def _narrowed_real(point: FloatRange, allowed: Collection[Any]) -> Point:
    try:
        if isinstance(allowed, tuple | list) and len(allowed) == 2 and allowed[0] <= allowed[1]:
            low, high = point.real(allowed[0]), point.real(allowed[1])
            return point.replace(low=low, high=high, default=min(max(point.default, low), high))
        values = sorted({point.real(value) for value in allowed})
    except DecisionError as error:
        raise SpaceError(f"a point is restricted to values it has: {error}") from None
    return OneOf(point.address, tuple(values), _closest(point.default, list(values)), origin=point.origin)  # type: ignore[arg-type]


def _narrowed_selection(point: ManyOf | Permutation, allowed: Collection[Any]) -> Point:
    if all(isinstance(value, tuple | list) for value in allowed):
        try:
            rows = {point.code(value): point.value(point.code(value)) for value in allowed}
        except DecisionError as error:
            raise SpaceError(f"a point is restricted to values it has: {error}") from None
        # In the order of listing, which ranks refer to.
        kept = tuple(value for _, value in sorted(rows.items(), key=lambda item: (len(item[0]), item[0])))
    else:
        names = OneOf(point.address, point.candidates)
        chosen = {_code(names, label) for label in allowed}
        if isinstance(point, Permutation):
            raise SpaceError(
                f"{point.address}: a permutation has all its candidates; restrict it to some orders instead"
            )
        if not point.only:
            return _fewer_candidates(point, chosen)
        kept = tuple(value for value in point.only if set(point.code(value)) <= chosen)
        if not kept:
            raise SpaceError(f"{point.address}: no value is left with only {sorted(map(str, allowed))}")
    fits = identity(point.default) in map(identity, kept)
    default = point.default if fits else kept[0]
    return point.replace(only=kept, default=default, branches=())


def _fewer_candidates(point: ManyOf, chosen: set[int]) -> Point:
    codes = sorted(chosen)
    high = point.high if point.repeats else min(point.high, len(codes))
    candidates = tuple(point.candidates[code] for code in codes)
    if point.low > high:
        raise SpaceError(
            f"{point.address}: at least {point.low} candidates are chosen, and only "
            f"{list(candidates)} would be left"
        )
    weights = None if point.weights is None else tuple(point.weights[code] for code in codes)
    changes: dict[str, Any] = {
        "candidates": candidates,
        "high": high,
        "weights": weights if weights is None or sum(weights) > 0 else None,
        "branches": (),
    }
    # The old default stays if it is still a value.
    plain = dataclasses.replace(point, **{**changes, "default": _first(point, candidates, high)})
    try:
        return plain.replace(default=point.default)
    except SpaceError:
        return plain


def _first(point: ManyOf, candidates: tuple[Any, ...], high: int) -> tuple[Any, ...]:
    free = ManyOf(point.address, candidates, point.low, high, point.ordered, point.repeats)
    return free.default


# -------------------------------------------------------------------- whole trees


def restrict(layout: Layout, points: tuple[Point, ...], changes: Mapping[str, object]) -> tuple[Point, ...]:
    """Return the points with some domains made smaller."""
    restriction = Restriction(layout)
    for address, allowed in changes.items():
        restriction.narrow(address, allowed)
    return restriction.rebuild(points)


def frozen(layout: Layout, values: Mapping[str, Value]) -> dict[str, object]:
    """Return the restriction that leaves one value at every address."""
    changes: dict[str, object] = {}
    for address, value in values.items():
        real = layout.entry(address).shape == REAL
        changes[address] = (value, value) if real else [value]
    return changes


def prefixed(point: Point, name: str) -> Point:
    """Return a point, and everything below it, with a name before every address."""
    changes: dict[str, Any] = {
        "address": f"{name}.{point.address}",
        "branches": tuple(
            Branch(b.when, tuple(prefixed(below, name) for below in b.points), b.occurrence)
            for b in point.branches
        ),
        "guards": tuple(Guard(tuple(f"{name}.{a}" for a in g.addresses), g.allowed) for g in point.guards),
    }
    if isinstance(point, Tied):
        changes["target"] = f"{name}.{point.target}"
    return point.replace(**changes)
