"""Regularised (ageing) evolution."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symnas.algorithm import Algorithm, Capabilities
from symnas.algorithms.checks import flag, whole
from symnas.algorithms.unseen import Unseen, keys_of
from symnas.outcome import Outcome, Status

if TYPE_CHECKING:
    from symnas.batch import Batch
    from symnas.space import Space

ATTEMPTS = 16


class RegularizedEvolution(Algorithm):
    """Tournament selection and one mutation per child; the oldest member dies, however good it is.

    The first `population` members are drawn at random. From then on a child is the best of `tournament`
    members, drawn with replacement, with one active point redrawn. Trials that gave no result never join,
    and others are drawn in their place until the population is full; while trials run, children come from
    the members there are.

    Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search, AAAI 2019
    (arXiv:1802.01548), algorithm 1, with the published sizes.

    Args:
        population: how many members live at a time.
        tournament: how many of them compete to be a parent.
        repeats: whether a decision may come again, as published; without, children mutate on until they are
            new.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(self, *, population: int = 100, tournament: int = 25, repeats: bool = True) -> None:
        self.population = whole("population", population, 1)
        self.tournament = whole("tournament", tournament, 1)
        self.repeats = flag("repeats", repeats)

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._unseen = Unseen(space)
        self._running: Counter[Hashable] = Counter()
        self._members: deque[Batch] = deque(maxlen=self.population)
        self._fitness: deque[float] = deque(maxlen=self.population)

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return random decisions until the population is full or on its way, children after that."""
        founders = n
        if self._members:
            founders = min(n, max(0, self.population - len(self._members) - self._running.total()))
        parts = []
        if founders:
            parts.append(self._found(founders, rng))
        if founders < n:
            parts.append(self._children(n - founders, rng, parts))
        return parts[0] if len(parts) == 1 else type(parts[0]).concat(parts)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Count what runs, and let what ended with a result join as the youngest."""
        if not self.repeats:
            self._unseen.add(batch)
        for row, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            if outcome.status is Status.RUNNING:
                self._running[key] += 1
                continue
            if self._running[key] > 1:
                self._running[key] -= 1
            else:
                del self._running[key]
            if outcome.values is not None and not math.isnan(outcome.values[0]):
                self._members.append(batch[row : row + 1])
                self._fitness.append(outcome.values[0])

    def _found(self, n: int, rng: np.random.Generator) -> Batch:
        return self._space.sample(n, rng) if self.repeats else self._unseen.draw(n, rng)

    def _children(self, n: int, rng: np.random.Generator, founders: Sequence[Batch]) -> Batch:
        fitness = np.array(self._fitness)
        rivals = rng.integers(len(fitness), size=(n, self.tournament))
        winners = rivals[np.arange(n), fitness[rivals].argmax(axis=1)]
        children = self._space.mutate(_concat([self._members[winner] for winner in winners]), rng)
        return children if self.repeats else self._new(children, rng, founders)

    def _new(self, children: Batch, rng: np.random.Generator, founders: Sequence[Batch]) -> Batch:
        wanted = len(children)
        taken = {key for part in founders for key in keys_of(part)}
        parts = []
        for _ in range(ATTEMPTS):
            fresh = self._unseen.among(children, taken)
            if len(fresh):
                parts.append(fresh)
            wanted -= len(fresh)
            if not wanted:
                return _concat(parts)
            children = self._space.mutate(children, rng)[:wanted]
        return _concat([*parts, self._unseen.draw(wanted, rng, taken)])


def _concat(parts: list[Batch]) -> Batch:
    return parts[0] if len(parts) == 1 else type(parts[0]).concat(parts)
