"""Decisions for an acquisition function to choose from: drawn in columns, then a climb among neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.common.without_replacement import WithoutReplacement
from symnas.tree.choices import FloatRange
from symnas.tree.layout import REAL, scale_bounds

if TYPE_CHECKING:
    from collections.abc import Hashable

    from symnas.tree.space import Batch, Space

Score = Callable[["Batch"], Floats]

# Neighbours by each real range, moves of all ranges together, and the standard deviation of these in the
# first round, as a share of the range. 4 neighbours and 0.2 are SMAC's.
REALS, MOVES, WIDTH = 4, 16, 0.2
# Of a decision with more neighbours, so many are drawn; fewer, but not below 50, where they have more than
# CELLS coordinates together.
MOST_NEIGHBOURS, FEWEST_NEIGHBOURS, CELLS = 400, 50, 1 << 19


class AcquisitionSearch:
    """Draws candidates of one space that were not handed out.

    Args:
        space: the space.
        sampling: what was handed out.
    """

    def __init__(self, space: Space, sampling: WithoutReplacement) -> None:
        self._space = space
        self._sampling = sampling

    def pool(
        self, size: int, incumbents: Batch, rng: np.random.Generator, taken: set[Hashable], fresh: float
    ) -> Batch:
        """Return about `size` new decisions: drawn at random, mutated and recombined from the incumbents.

        Args:
            size: how many.
            incumbents: good decisions, may be none.
            rng: the source of randomness.
            taken: keys of decisions to leave out besides those handed out.
            fresh: the share that is drawn at random.
        """
        # Where so little is left, all of it is asked about.
        if self._sampling.left <= 2 * size:
            return self._sampling.draw(2 * size, rng, taken)
        count = len(incumbents)
        drawn = size if not count else round(fresh * size)
        parts = [self._space.sample(drawn, rng)]
        if count:
            # Half by one mutation, a quarter by two (the second on the first), the rest from two parents.
            moved = size - drawn
            once = self._space.mutate(incumbents[rng.integers(count, size=moved // 2)], rng)
            twice = self._space.mutate(once[: moved // 4], rng)
            parents = rng.integers(count, size=(2, moved - moved // 2 - moved // 4))
            crossed = self._space.crossover(incumbents[parents[0]], incumbents[parents[1]], rng)
            parts += [once, twice, crossed]
        found = self._sampling.among(type(parts[0]).concat(parts), set(taken))
        return found if len(found) else self._sampling.draw(size, rng, taken)

    def climb(
        self,
        pool: Batch,
        score: Score,
        rng: np.random.Generator,
        taken: set[Hashable],
        *,
        starts: int,
        rounds: int,
    ) -> Batch:
        """Return the best decision found from the best of a pool by going to better neighbours, as one row.

        Args:
            pool: where to begin, at least one.
            score: what to maximise.
            rng: draws what comes into being in neighbours, and moves real values, ever less far.
            taken: keys of decisions to leave out besides those handed out.
            starts: how many of the pool are begun from.
            rounds: largest number of steps from each.
        """
        # Hutter, Hoos, Leyton-Brown 2011, section 4.3: climb from the best of the pool, each step to the best
        # of all neighbours. All climbs take a step at once, so that the model is asked once per round.
        values = score(pool)
        first = np.argsort(-values, kind="stable")[: max(starts, 1)]
        at, height = pool[first], values[first]
        best, top = at[:1], float(height[0])
        for turn in range(rounds if starts else 0):
            near, sources = self._near(at, rng, taken, WIDTH * 0.5**turn)
            if not len(near):
                break
            values = score(near)
            # `sources` says whose neighbour a row is. Climbs without a better one end, unless that is all of
            # them.
            better = _best_of(values, sources, height)
            if not len(better):
                # Real values may be improved by smaller moves, in the next round; everything else was tried.
                if self._space.compiled.layout.reals:
                    continue
                break
            at, height = near[better], values[better]
            peak = int(height.argmax())
            if float(height[peak]) > top:
                best, top = at[peak : peak + 1], float(height[peak])
        return best

    def _near(
        self, batch: Batch, rng: np.random.Generator, taken: set[Hashable], width: float
    ) -> tuple[Batch, NDArray[np.intp]]:
        codes, reals, sources = self._space.compiled.neighbourhood.of(batch.codes, batch.reals, rng, REALS)
        near = type(batch)(self._space, codes, reals)
        width_of_row = max(self._space.compiled.encoder.width, 1)
        most = len(batch) * min(MOST_NEIGHBOURS, max(FEWEST_NEIGHBOURS, CELLS // width_of_row))
        if len(near) > most:
            some = np.sort(rng.choice(len(near), most, replace=False))
            near, sources = near[some], sources[some]
        # Neighbours have one real value changed; these moves change several at once, as slopes ask for.
        if batch.reals.shape[1]:
            moved = np.repeat(np.arange(len(batch)), MOVES)
            near = type(batch).concat([near, self._moved(batch[moved], width, rng)])
            sources = np.concatenate([sources, moved])
        fresh = self._sampling.new(near, taken)
        return near[fresh], sources[fresh]

    def _moved(self, batch: Batch, width: float, rng: np.random.Generator) -> Batch:
        """Return decisions with about half of the real values moved, by a share of their ranges."""
        reals = batch.reals.copy()
        for entry in self._space.compiled.layout.own:
            if entry.shape != REAL:
                continue
            assert isinstance(entry.domain, FloatRange)
            low, high = scale_bounds(entry.domain)
            # What does not exist is NaN and stays so.
            old = reals[:, entry.column]
            steps = rng.normal(0.0, width * (high - low), len(old)) * (rng.random(len(old)) < 0.5)
            # Near the largest floats a step may lead beyond all of them, which is the end of the range.
            with np.errstate(over="ignore"):
                new = np.clip((np.log(old) if entry.domain.log else old) + steps, low, high)
            new = np.exp(new) if entry.domain.log else new
            reals[:, entry.column] = np.where(
                steps == 0.0, old, np.clip(new, entry.domain.low, entry.domain.high) + 0.0
            )
        # A tied point that exists has the value of the point that it is tied to.
        for entry in self._space.compiled.layout.entries:
            if entry.shape == REAL and entry.tied:
                tied = reals[:, self._space.compiled.layout.entries[entry.target].column]
                reals[:, entry.column] = np.where(np.isnan(reals[:, entry.column]), np.nan, tied)
        return type(batch)(self._space, batch.codes, reals)


def _best_of(values: Floats, sources: NDArray[np.intp], height: Floats) -> NDArray[np.intp]:
    """Return for every source with a neighbour above its height the best such neighbour."""
    # Sorted by source, and within a source the best first: the first row of each is its best.
    above = np.flatnonzero(values > height[sources])
    ranked = above[np.lexsort((-values[above], sources[above]))]
    _, firsts = np.unique(sources[ranked], return_index=True)
    found: NDArray[np.intp] = ranked[firsts]
    return found
