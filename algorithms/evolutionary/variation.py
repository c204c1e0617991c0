"""What algorithms that breed share: several mutations at once, and how far apart decisions are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Ints, Reals
from symnas.algorithms.common.without_replacement import keys_of
from symnas.tree.layout import REAL
from symnas.tree.space import Batch
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Space

# Adaptive pursuit: the rate of the running means of rewards, that of the chances, and the least chance.
LEARNING = 0.05
MOVING = 0.1
LEAST = 0.05


def mutated(space: Space, batch: Batch, times: Ints, rng: np.random.Generator) -> Batch:
    """Return every row after as many mutations of one point as `times` says, none included.

    Args:
        space: where the rows belong.
        batch: the rows.
        times: (rows,) how many mutations.
        rng: the source of randomness.
    """
    most = int(times.max(initial=0))
    # All alike, as with a fixed number of mutations: no rows to pick out.
    if most and times.min() == most:
        for _ in range(most):
            batch = space.mutate(batch, rng)
        return batch
    codes, reals = batch.codes.copy(), batch.reals.copy()
    for step in range(most):
        rows = np.flatnonzero(times > step)
        moved = space.mutate(Batch(space, codes[rows], reals[rows]), rng)
        codes[rows], reals[rows] = moved.codes, moved.reals
    return Batch(space, codes, reals)


def crossed(space: Space, first: Batch, second: Batch, rng: np.random.Generator) -> tuple[Batch, Ints]:
    """Return children that take every point from one of two parents, and which of them are no new decision.

    Args:
        space: where the parents belong.
        first: one parent of each child.
        second: the other.
        rng: the source of randomness.

    Returns:
        The children, and the rows of those that equal a parent.
    """
    children = space.crossover(first, second, rng)
    alike = zip(keys_of(children), keys_of(first), keys_of(second), strict=True)
    return children, np.array([row for row, (own, *old) in enumerate(alike) if own in old], np.intp)


class Changes:
    """Counts the points at which decisions differ, compiled for one space.

    Only points that exist on both sides count: what a changed point brings into being is part of that change.
    """

    def __init__(self, space: Space) -> None:
        own = [entry for entry in space.compiled.layout.entries if not entry.tied]
        self._finite = np.array([e.number for e in own if e.shape != REAL], np.intp)
        self._real = np.array([e.column for e in own if e.shape == REAL], np.intp)
        stored = [entry for entry in space.compiled.layout.entries if entry.shape != REAL]
        # A selection has a column per slot: `reduceat` joins columns from each start up to the next, so that
        # all finite points are joined, and those of their own are taken out of them, without ties.
        self._starts = np.array([entry.column for entry in stored], np.intp)
        place = {entry.number: position for position, entry in enumerate(stored)}
        self._finite = np.array([place[number] for number in self._finite.tolist()], np.intp)
        self._narrow = len(self._finite) == space.compiled.layout.columns

    def between(self, codes: Codes, reals: Reals, row: Codes, real_row: Reals) -> Ints:
        """Return at how many points each of some decisions differs from one.

        Args:
            codes: (decisions, columns).
            reals: (decisions, real points).
            row: (columns,) of the one.
            real_row: (real points,) of the one.
        """
        # (decisions, columns). What exists on one side only is no difference of its own.
        differ = (codes != row) & (codes != INACTIVE) & (row != INACTIVE)
        if not self._narrow and len(self._starts):
            differ = np.logical_or.reduceat(differ, self._starts, axis=1)[:, self._finite]
        counts: Ints = differ.sum(axis=1)
        if len(self._real):
            old, new = reals[:, self._real], real_row[self._real]
            counts = counts + ((old != new) & ~np.isnan(old) & ~np.isnan(new)).sum(axis=1)
        return counts


class Pursuit:
    """Chances of a few alternatives that move towards the one that has paid best of late.

    Thierens: An adaptive pursuit strategy for allocating operator probabilities, GECCO 2005. There, both
    rates are 0.8, no chance falls below 0.1, all begin alike, and rewards are gains. Here a reward is 1 or 0,
    which takes averaging over more of them: 20 of each, and chances follow at a rate of 0.1. The first
    alternative begins as the one that pays, and 0.05 is enough to keep the others under watch.

    Args:
        count: how many alternatives.
    """

    def __init__(self, count: int) -> None:
        self._quality = np.zeros(count)
        self.chances = self._target()

    def _target(self) -> NDArray[np.float64]:
        # P_max = 1 - (K - 1) P_min for the alternative of the largest mean, P_min for all others.
        target = np.full(len(self._quality), LEAST)
        target[self._quality.argmax()] = 1.0 - LEAST * (len(target) - 1)
        return target

    def reward(self, alternative: int, paid: bool) -> None:
        """Learn whether using an alternative paid."""
        # Q_a <- Q_a + α (R - Q_a) for the one that was used; P <- P + β (P_target - P) for all, so that
        # chances add up to 1 as targets do.
        self._quality[alternative] += LEARNING * (paid - self._quality[alternative])
        self.chances += MOVING * (self._target() - self.chances)

    def draw(self, n: int, rng: np.random.Generator) -> Ints:
        """Draw alternatives by their chances."""
        bounds = np.cumsum(self.chances)[:-1]
        return np.searchsorted(bounds, rng.random(n), side="right")
