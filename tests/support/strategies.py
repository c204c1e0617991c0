"""Hypothesis strategies for spaces with every kind of node, and for decisions of a space.

A new kind of node, condition or domain must be drawn here as well: the laws are tested on what this draws.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from symnas._typing import Label
from symnas.tree.choices import Branch, FloatRange, Guard, IntRange, ManyOf, OneOf, Permutation, Point, Tied
from symnas.tree.space import Decision, Space

LABELS: list[Label] = ["relu", "nn.Conv2d(c, c, 3)", "a.b[0]", 1, True, 1.0, None, False, 0, -2.5, "", "="]


def labels(low: int = 1, high: int = 4) -> st.SearchStrategy[tuple[Label, ...]]:
    """Candidates that differ by type as well as by value."""
    return st.lists(st.sampled_from(LABELS), min_size=low, max_size=high, unique_by=repr).map(tuple)


def _weights(count: int) -> st.SearchStrategy[tuple[float, ...] | None]:
    some = st.lists(st.sampled_from([0.5, 1.0, 2.0, 0.1]), min_size=count, max_size=count).map(tuple)
    return st.none() | some


@st.composite
def _domain(draw: st.DrawFn, address: str, finite: bool) -> dict[str, Any]:
    """Return a kind of point and the arguments of its domain."""
    kind = draw(st.sampled_from(["oneof", "oneof", "int", "manyof", "permutation", "stepped", "real"]))
    if kind == "real" and finite:
        kind = "stepped"
    if kind == "oneof":
        candidates = draw(labels())
        return {
            "kind": OneOf,
            "candidates": candidates,
            "default": draw(st.sampled_from(candidates)),
            "weights": draw(_weights(len(candidates))),
        }
    if kind == "int":
        low, count = draw(st.integers(1, 5)), draw(st.integers(0, 3))
        if draw(st.booleans()):
            return {
                "kind": IntRange,
                "low": low,
                "high": low * 2**count,
                "factor": 2,
                "log": draw(st.booleans()),
            }
        step = draw(st.integers(1, 3))
        return {
            "kind": IntRange,
            "low": low,
            "high": low + count * step,
            "step": step,
            "log": draw(st.booleans()),
        }
    if kind == "permutation":
        return {"kind": Permutation, "candidates": draw(labels(1, 3))}
    if kind == "manyof":
        candidates = draw(labels(1, 3))
        repeats = draw(st.booleans())
        high = draw(st.integers(1, 2 if repeats else min(2, len(candidates))))
        return {
            "kind": ManyOf,
            "candidates": candidates,
            "low": draw(st.integers(0, high)),
            "high": high,
            "ordered": draw(st.booleans()),
            "repeats": repeats,
            "weights": draw(_weights(len(candidates))),
        }
    low, high = draw(st.sampled_from([(0.5, 1.0), (0.1, 0.4), (1e-3, 1e-1)]))
    step = None if kind == "real" else draw(st.sampled_from([0.1, 0.25, 0.05]))
    return {"kind": FloatRange, "low": low, "high": high, "step": step, "log": draw(st.booleans())}


class _Grower:
    """Draws points one after the other in tree order, remembering what later ones may refer to."""

    def __init__(self, draw: st.DrawFn, points: int, finite: bool) -> None:
        self.draw = draw
        self.left = points
        self.finite = finite
        self.made = 0
        self.sources: list[Point] = []
        self.free: list[Point] = []

    def forest(self, depth: int, free: bool) -> tuple[Point, ...]:
        """Return a few points; `free` says that they exist always."""
        count = self.draw(st.integers(1, 3))
        grown = (self.point(depth, free) for _ in range(count) if self.left > 0)
        return tuple(point for point in grown if point is not None)

    def point(self, depth: int, free: bool) -> Point | None:
        self.left -= 1
        self.made += 1
        address = self.draw(st.sampled_from(["p{}", "net.p{}", "stage[{}].k", "op:nn.Conv2d(1, 2).p{}"]))
        address = address.format(self.made)
        guards = self.guards()
        if self.free and self.draw(st.integers(0, 5)) == 0:
            target = self.draw(st.sampled_from(self.free))
            return Tied(address, target.address, guards=guards)
        domain = self.draw(_domain(address, self.finite))
        bare: Point = domain.pop("kind")(address, **domain)
        real = isinstance(bare, FloatRange) and not bare.finite
        if not real:
            self.sources.append(bare)
        if free and not guards:
            self.free.append(bare)
        branches = () if real or depth == 0 else self.branches(bare, depth)
        return bare.replace(branches=branches, guards=guards)

    def branches(self, parent: Point, depth: int) -> tuple[Branch, ...]:
        branches = []
        for _ in range(self.draw(st.integers(0, 2))):
            codes = self.draw(st.sets(st.integers(0, parent.codes - 1), min_size=1))
            most = parent.high - 1 if isinstance(parent, ManyOf) and parent.repeats else 0
            occurrence = self.draw(st.integers(0, most))
            points = self.forest(depth - 1, free=False) if self.left > 0 else ()
            if points:
                branches.append(Branch(tuple(codes), points, occurrence))
        return tuple(branches)

    def guards(self) -> tuple[Guard, ...]:
        if not self.sources or self.draw(st.integers(0, 3)):
            return ()
        chosen = self.draw(st.lists(st.sampled_from(self.sources), min_size=1, max_size=2, unique_by=id))
        row = st.tuples(*(st.integers(-1, int(source.cardinality) - 1) for source in chosen))
        rows = self.draw(st.sets(row, min_size=1, max_size=6))
        return (Guard(tuple(source.address for source in chosen), frozenset(rows)),)


@st.composite
def spaces(draw: st.DrawFn, points: int = 7, finite: bool = False, most: int | None = None) -> Space:
    """Spaces of up to `points` points with branches, guards and ties.

    Args:
        draw: given by Hypothesis.
        points: largest number of points.
        finite: leave out real ranges without a step.
        most: largest size, for tests that list all decisions.
    """
    space = Space(_Grower(draw, points, finite).forest(depth=3, free=True))
    if most is not None:
        from hypothesis import assume

        assume(space.leaves <= most)
    return space


def decisions(space: Space) -> st.SearchStrategy[Decision]:
    """Decisions of a space, the default being the simplest."""
    import numpy as np

    drawn = st.integers(0, 2**32 - 1).map(lambda seed: space.sample(1, np.random.default_rng(seed))[0])
    return st.just(space.default) | drawn
