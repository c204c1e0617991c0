"""All decisions near one, for searches that go from neighbour to neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symnas._typing import Codes, Reals
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.neighbours import Neighbourhood
from symnas.tree.space import Batch
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Space

WIDE = 32
RUNGS = 8


class Surroundings:
    """The neighbours of a decision, as a function of the decision alone, and finitely many on every space.

    One point is changed. A choice takes each other candidate, a selection makes each move, a range of up to
    32 values takes each other value. What comes into being takes its default. A longer range goes up and
    down by 1, 2, 4, 8, … values. A real range goes up and down by 8 steps of about 1/2, 1/4, …, 1/256 of its
    (logarithmic) width, each drawn between that and half of it by a generator that is seeded with the
    decision, and held at the ends.

    Args:
        space: where decisions come from.
        limit: how many neighbours there are at most; out of more, that many are drawn in the same way.
    """

    def __init__(self, space: Space, limit: int) -> None:
        own = space.compiled.layout.own
        self._space = space
        self._limit = limit
        self._wide = [e for e in own if e.shape == SINGLE and e.card > WIDE and _ordered(e)]
        self._real = [e for e in own if e.shape == REAL]
        self._close = Neighbourhood(space.compiled.mutator, {entry.number for entry in self._wide})

    def of(self, row: Batch) -> Batch:
        """Return the neighbours of a decision, each once, in the order of its points.

        Args:
            row: a batch of one.
        """
        codes, reals, _ = self._close.of(row.codes, row.reals, reals=0)
        parts = [Batch(self._space, codes, reals)]
        if not self._wide and not self._real and len(parts[0]) <= self._limit:
            return parts[0]
        rng = np.random.default_rng(np.frombuffer(row.rows, np.uint8))
        parts += [self._far(entry, row.codes, row.reals) for entry in self._wide]
        parts += [self._drawn(entry, row.codes, row.reals, rng) for entry in self._real]
        batch = Batch.concat(parts)
        if len(batch) <= self._limit:
            return batch
        return batch[np.sort(rng.permutation(len(batch))[: self._limit])]

    def _far(self, entry: Entry, codes: Codes, reals: Reals) -> Batch:
        old = int(codes[0, entry.column])
        if old == INACTIVE:
            return Batch.empty(self._space)
        steps = 1 << np.arange(int(entry.card - 1).bit_length())
        new = np.concatenate([old - steps, old + steps])
        new = new[(new >= 0) & (new < entry.card)]
        moved, kept = np.repeat(codes, len(new), axis=0), np.repeat(reals, len(new), axis=0)
        moved[:, entry.column] = new
        if self._space.compiled.mutator.deciding[entry.number]:
            self._close.settle(moved, kept, np.arange(len(new)), None)
        return Batch(self._space, moved, kept)

    def _drawn(self, entry: Entry, codes: Codes, reals: Reals, rng: np.random.Generator) -> Batch:
        old = reals[0, entry.column]
        # Drawn even where nothing comes of it, so that a point's steps do not hang on what else exists.
        steps = 2.0 ** -np.arange(RUNGS + 1)[1:] * rng.uniform(0.5, 1.0, (2, RUNGS))
        if np.isnan(old):
            return Batch.empty(self._space)
        domain = entry.domain
        assert isinstance(domain, FloatRange)
        low, high = scale_bounds(domain)
        unit = ((np.log(old) if domain.log else old) - low) / (high - low)
        units = np.clip(np.concatenate([unit - steps[0], unit + steps[1]]), 0.0, 1.0)
        scaled = low + units * (high - low)
        values = np.clip(np.exp(scaled) if domain.log else scaled, domain.low, domain.high) + 0.0
        values = np.array([value for value in dict.fromkeys(values.tolist()) if value != old])
        moved, kept = np.repeat(reals, len(values), axis=0), np.repeat(codes, len(values), axis=0)
        moved[:, entry.column] = values
        if self._space.compiled.mutator.deciding[entry.number]:
            self._close.settle(kept, moved, np.arange(len(values)), None)
        return Batch(self._space, kept, moved)


def _ordered(entry: Entry) -> bool:
    return isinstance(entry.domain, IntRange | FloatRange)
