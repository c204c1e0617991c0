"""Evolution towards a front of several objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from symnas.algorithms.common.history import Running
from symnas.algorithms.common.without_replacement import WithoutReplacement, keys_of
from symnas.algorithms.evolutionary.variation import crossed, mutated
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import (
    FLAG,
    POSITIVE,
    SHARE,
    hyperparameter,
    whole,
    with_hyperparameters,
)
from symnas.contracts.outcome import Outcome
from symnas.contracts.pareto import crowded_order
from symnas.tree.space import Batch

if TYPE_CHECKING:
    from symnas.tree.space import Space


@dataclass(frozen=True, slots=True)
class Parents:
    """Decisions that breed.

    Args:
        batch: the decisions.
        values: (decisions, objectives), larger is better.
        rank: (decisions,) the front that each belongs to.
        room: (decisions,) its crowding distance.
    """

    batch: Batch
    values: NDArray[np.float64]
    rank: NDArray[np.intp]
    room: NDArray[np.float64]

    @classmethod
    def best(cls, batch: Batch, values: NDArray[np.float64], most: int) -> Parents:
        """Return the best of some decisions by rank, then by room."""
        # Rank and room are those among all, parents and children: as in section III-C of the paper, they are
        # not measured again among those that are kept, and the next tournaments go by them.
        order, rank, room = crowded_order(values)
        kept = order[:most]
        return cls(batch[kept], values[kept], rank[kept], room[kept])

    def winners(self, n: int, rng: np.random.Generator) -> Batch:
        """Return the winners of tournaments between two, drawn with replacement."""
        # The crowded comparison ≺: the lower rank wins, of equal ranks the larger room, of equal rooms the
        # first drawn.
        first, second = rng.integers(len(self.batch), size=(2, n))
        even = self.rank[first] == self.rank[second]
        lost = (self.rank[second] < self.rank[first]) | (even & (self.room[second] > self.room[first]))
        winners: NDArray[np.intp] = np.where(lost, second, first)
        return self.batch[winners]


@with_hyperparameters(source="Deb et al. 2002")
class NSGA2(Algorithm):
    """Keep the decisions that fewest others dominate and that stand furthest apart; breed from these.

    The first `population` decisions that give a result are drawn at random. A child has two parents, each the
    winner of a tournament between two by rank and crowding distance; it takes every point, by address, from
    one of them, and mutates. A generation is over when `population` trials have ended since the last: then
    the best of the parents and of all that ended meanwhile are the next parents. So no worker ever waits: a
    trial that runs over the end of a generation counts for the next. A trial without a result is dominated by
    every one with a result (constrained domination, with nothing to tell the former apart), so it never
    becomes a parent; neither does one with an infinite value.

    Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE
    Transactions on Evolutionary Computation 2002, with its population, crossover and mutation rates. Like
    later implementations by its authors, and unlike the paper, it drops duplicates; `repeats` brings them
    back.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(multi_objective=True)

    population: int = hyperparameter(100, whole(2), "how many parents there are")
    crossover: float = hyperparameter(
        0.9,
        SHARE,
        "the share of children that have two parents; the others are copies of one before they mutate",
    )
    mutations: float = hyperparameter(
        1.0,
        POSITIVE,
        "how many mutations a child undergoes on average: each point mutates with that probability divided "
        "by the number of points",
    )
    repeats: bool = hyperparameter(
        False,
        FLAG,
        "whether a decision may come again; without, children mutate on until they are new",
        source="later implementations",
    )

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._sampling = WithoutReplacement(space)
        self._points = max(1, len(space.compiled.mutator.numbers))
        self._running = Running()
        self._parents: Parents | None = None
        self._pool: list[Batch] = []
        self._values: list[tuple[float, ...]] = []
        self._ended = 0

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return random decisions until there are enough with a result or on their way, then children."""
        founders, parents = 0, self._parents
        if parents is None:
            # What runs is on its way to be a founder; when enough are, workers get children of those that are
            # there.
            founders = max(0, self.population - len(self._pool) - len(self._running))
            founders = min(n, founders) if self._pool else n
        if founders:
            found = self._space.sample(founders, rng) if self.repeats else self._sampling.draw(founders, rng)
            if founders == n:
                return found
            return Batch.concat([found, self._children(parents or self._select(), n - founders, rng, found)])
        return self._children(parents or self._select(), n, rng, None)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Count what runs, collect what ended, and choose the next parents when a generation is over."""
        if not self.repeats:
            self._sampling.add(batch)
        for row, outcome in self._running.ended(batch, outcomes):
            self._ended += 1
            if outcome.values is not None and all(map(math.isfinite, outcome.values)):
                self._pool.append(batch[row : row + 1])
                self._values.append(outcome.values)
            # Who founds is still looked for until there are enough results, however many trials that takes.
            if (len(self._pool) if self._parents is None else self._ended) >= self.population:
                self._parents = self._select()
                self._pool, self._values, self._ended = [], [], 0

    def _select(self) -> Parents:
        # Parents compete with what came since, so that no decision of the best front is lost (elitism).
        parts, values = list(self._pool), self._values
        if self._parents is not None:
            parts.insert(0, self._parents.batch)
            values = [*map(tuple, self._parents.values.tolist()), *values]
        return Parents.best(Batch.concat(parts), np.array(values), self.population)

    def _children(self, parents: Parents, n: int, rng: np.random.Generator, founders: Batch | None) -> Batch:
        # A coin per point in place of the paper's crossovers, simulated binary of reals and single-point of
        # bits: between candidates there is nothing, and a cut would only keep apart what stands far apart.
        children = parents.winners(n, rng)
        rows = np.flatnonzero(rng.random(n) < self.crossover)
        if len(rows) == n:
            children = crossed(self._space, children, parents.winners(n, rng), rng)[0]
        elif len(rows):
            mixed = crossed(self._space, children[rows], parents.winners(len(rows), rng), rng)[0]
            codes, reals = children.codes.copy(), children.reals.copy()
            codes[rows], reals[rows] = mixed.codes, mixed.reals
            children = Batch(self._space, codes, reals)
        # How many of N points mutate, each with probability m / N (1 / N as published). Which ones is drawn
        # each time among those that exist, and a point may be drawn twice.
        times = rng.binomial(self._points, min(1.0, self.mutations / self._points), n)
        children = mutated(self._space, children, times, rng)
        if self.repeats:
            return children
        return self._sampling.renew(children, rng, () if founders is None else keys_of(founders))
