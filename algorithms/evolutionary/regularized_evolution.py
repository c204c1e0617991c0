"""Regularised (ageing) evolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from symnas.algorithms.common.history import Running
from symnas.algorithms.common.without_replacement import WithoutReplacement, keys_of
from symnas.algorithms.evolutionary.variation import Changes, Pursuit, crossed, mutated
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import FLAG, SHARE, hyperparameter, whole, with_hyperparameters
from symnas.contracts.outcome import Outcome
from symnas.tree.space import Batch

if TYPE_CHECKING:
    from symnas.tree.space import Space

# The most mutations that make a child, with `adaptive`.
STRIDES = 3


@with_hyperparameters(source="Real et al. 2019")
class RegularizedEvolution(Algorithm):
    """Tournament selection and one mutation per child; the oldest member dies, however good it is.

    The first `population` members are drawn at random. From then on a child is the best of `tournament`
    members, drawn with replacement, with one active point redrawn. Trials that gave no result never join,
    and others are drawn in their place until the population is full; while trials run, children come from
    the members there are. Decisions from elsewhere join like any other.

    With `adaptive`, 1 to 3 mutations make a child, mostly as many as have paid best of late. A child counts
    for the member that it differs least from, and pays when it is better (adaptive pursuit, Thierens 2005).

    Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search, AAAI 2019
    (arXiv:1802.01548), algorithm 1, with the published sizes; reference implementation
    github.com/google-research/google-research, evolution/regularized_evolution_algorithm. Crossover and the
    adaptive number of mutations are not part of it, and off.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    population: int = hyperparameter(100, whole(1), "how many members live at a time")
    tournament: int = hyperparameter(25, whole(1), "how many members compete to be a parent")
    repeats: bool = hyperparameter(
        True, FLAG, "whether a decision may come again; without, children mutate on until they are new"
    )
    crossover: float = hyperparameter(
        0.0,
        SHARE,
        "the share of children that take every point, by address, from one of two parents, each the winner "
        "of a tournament, and are not mutated; one that equals a parent is mutated after all",
    )
    mutations: int = hyperparameter(1, whole(1), "how many mutations make a child")
    adaptive: bool = hyperparameter(
        False,
        FLAG,
        "whether the number of mutations follows what has paid of late; `mutations` then has no say",
    )

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._sampling = WithoutReplacement(space)
        self._running = Running()
        self._joined = 0
        # A ring: the next to join takes the place of the oldest.
        self._codes = np.empty((self.population, space.compiled.layout.columns), space.compiled.layout.dtype)
        self._reals = np.empty((self.population, space.compiled.layout.reals))
        self._fitness = np.empty(self.population)
        self._changes = Changes(space)
        self._pursuit = Pursuit(STRIDES)

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return random decisions until the population is full or on its way, children after that."""
        founders = n
        if self._joined:
            # What runs is on its way into the population. Where it fails, another founder is drawn in its
            # place.
            founders = min(n, max(0, self.population - self._joined - len(self._running)))
        if not founders:
            return self._children(n, rng, None)
        found = self._space.sample(founders, rng) if self.repeats else self._sampling.draw(founders, rng)
        return found if founders == n else Batch.concat([found, self._children(n - founders, rng, found)])

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Count what runs, and let what ended with a result join as the youngest."""
        if not self.repeats:
            self._sampling.add(batch)
        for row, outcome in self._running.ended(batch, outcomes):
            value = math.nan if outcome.values is None else outcome.values[0]
            if self.adaptive and self._joined >= self.population:
                self._credit(batch.codes[row], batch.reals[row], value)
            if not math.isnan(value):
                # Algorithm 1 of the paper: the child comes in on the right, the oldest goes out on the left.
                # It is in when its trial ends, so that with several workers age goes by the order of ends.
                place = self._joined % self.population
                self._codes[place], self._reals[place] = batch.codes[row], batch.reals[row]
                self._fitness[place] = value
                self._joined += 1

    def _credit(self, codes: NDArray[np.signedinteger], reals: NDArray[np.float64], value: float) -> None:
        # What a proposal came from is not observed; the nearest member explains it, of several the best.
        distance = self._changes.between(self._codes, self._reals, codes, reals)
        least = int(distance.min())
        # A failure, NaN, is larger than nothing, and does not pay.
        if 1 <= least <= STRIDES:
            self._pursuit.reward(least - 1, value > self._fitness[distance == least].max())

    def _winners(self, n: int, rng: np.random.Generator) -> Batch:
        fitness = self._fitness
        # (children, rivals), places in the ring; with replacement, as in the reference implementation. Of
        # equals, `argmax` takes the one drawn first.
        rivals = rng.integers(min(self._joined, self.population), size=(n, self.tournament))
        if n == 1:
            winners = rivals[:, int(fitness[rivals[0]].argmax())]
        else:
            winners = rivals[np.arange(n), fitness[rivals].argmax(axis=1)]
        return Batch(self._space, self._codes[winners], self._reals[winners])

    def _children(self, n: int, rng: np.random.Generator, founders: Batch | None) -> Batch:
        children = self._winners(n, rng)
        times = 1 + self._pursuit.draw(n, rng) if self.adaptive else np.full(n, self.mutations)
        if self.crossover:
            children, times = self._cross(children, times, rng)
        children = mutated(self._space, children, times, rng)
        if self.repeats:
            return children
        taken = () if founders is None else keys_of(founders)
        return self._sampling.renew(children, rng, taken)

    def _cross(
        self, first: Batch, times: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Batch, NDArray[np.intp]]:
        rows = np.flatnonzero(rng.random(len(first)) < self.crossover)
        if not len(rows):
            return first, times
        children, old = crossed(self._space, first[rows], self._winners(len(rows), rng), rng)
        codes, reals, times = first.codes.copy(), first.reals.copy(), times.copy()
        codes[rows], reals[rows] = children.codes, children.reals
        # Crossing replaces mutation, but where the child is one of its parents.
        times[np.delete(rows, old)] = 0
        return Batch(self._space, codes, reals), times
