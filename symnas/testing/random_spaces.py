"""Random small search spaces, for trying algorithms on trees of every shape."""

from __future__ import annotations

import numpy as np

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
)
from symnas.tree.space import Space

LABELS = ("a", "b", "c", "d", "e")


def random_space(
    rng: np.random.Generator, *, points: int = 4, conditional: bool = True, real: bool = True
) -> Space:
    """Return a space with every kind of point in it sooner or later.

    Args:
        rng: the source of randomness; the same state gives the same space.
        points: how many points stand at the root at most.
        conditional: whether points may depend on others (branches and guards).
        real: whether there may be real ranges without a step.
    """
    maker = _Maker(rng, conditional, real)
    roots = [maker.point(f"p{number}", 2) for number in range(int(rng.integers(1, points + 1)))]
    if conditional:
        roots += maker.guarded(roots)
    if isinstance(roots[0], OneOf) and rng.random() < 0.5:
        roots.append(Tied("tie", roots[0].address))
    return Space(tuple(roots))


class _Maker:
    def __init__(self, rng: np.random.Generator, conditional: bool, real: bool) -> None:
        self._rng, self._conditional, self._real = rng, conditional, real

    def point(self, address: str, depth: int) -> Point:
        kinds = ["oneof", "oneof", "oneof", "int", "int", "manyof", "permutation", "stepped"]
        kind = str(self._rng.choice([*kinds, "real"] if self._real else kinds))
        count = int(self._rng.integers(2, 5))
        labels = LABELS[:count]
        if kind == "oneof":
            weights = tuple(self._rng.uniform(0.1, 1.0, count)) if self._rng.random() < 0.3 else None
            default = labels[int(self._rng.integers(count))]
            return OneOf(
                address, labels, default, weights=weights, branches=self._branches(address, count, depth)
            )
        if kind == "int":
            low = int(self._rng.integers(0, 3))
            branches = self._branches(address, count, depth)
            return IntRange(address, low, low + count - 1, branches=branches)
        if kind == "manyof":
            ordered, repeats = (bool(flip) for flip in self._rng.random(2) < 0.3)
            return ManyOf(address, labels[:3], 0, min(2, count), ordered=ordered, repeats=repeats)
        if kind == "permutation":
            return Permutation(address, labels[:3])
        if kind == "stepped":
            return FloatRange(address, 0.0, 0.4, step=0.2)
        log = bool(self._rng.random() < 0.5)
        return FloatRange(address, 0.001, 1.0, log=log)

    def guarded(self, roots: list[Point]) -> list[Point]:
        listed = [point for point in roots if isinstance(point, OneOf)]
        if len(listed) < 2 or self._rng.random() < 0.5:
            return []
        first, second = listed[:2]
        rows = [(i, j) for i in range(first.codes) for j in range(second.codes)]
        chosen = self._rng.permutation(len(rows))[: max(1, len(rows) // 2)]
        # About half of all pairs of codes, at least one: neither always active nor never.
        table = frozenset(rows[row] for row in chosen)
        return [OneOf("guarded", LABELS[:2], guards=(Guard((first.address, second.address), table),))]

    def _branches(self, address: str, codes: int, depth: int) -> tuple[Branch, ...]:
        if not self._conditional or not depth or self._rng.random() < 0.5:
            return ()
        size = int(self._rng.integers(1, codes + 1))
        when = tuple(int(code) for code in self._rng.permutation(codes)[:size])
        count = int(self._rng.integers(1, 3))
        points = tuple(self.point(f"{address}.q{number}", depth - 1) for number in range(count))
        return (Branch(when, points),)
