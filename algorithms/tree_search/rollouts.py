"""Roll-outs through a surrogate: many completions, scored by a model of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.common.without_replacement import keys_of
from symnas.tree.space import Batch
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.algorithms.tree_search.search_tree import Record
    from symnas.contracts.algorithm import Prediction
    from symnas.tree.space import Space

# A model is fitted anew whenever results have grown by 1 / GROWTH,
# to KEPT of them at most, since a fit takes the cube of its rows.
GROWTH = 16
KEPT = 192
# From so many results on a model is fitted to half as many.
MANY = 512
# Half of the roll-outs stem from the best PARENTS decisions, with REDRAWN points drawn again on average.
PARENTS = 10
REDRAWN = 1.5
# Results after which there are new roll-outs though the model is
# the same, and how many times `samples` of them are drawn at most.
RENEWED = 64
LARGEST = 3
# The share of real values that are moved; steps are 2^-u of the range, u uniform from 1 to FINEST.
MOVED, FINEST = 0.5, 8.0


class Model(Protocol):
    """What a surrogate's `fit` returns."""

    def predict(self, batch: Batch) -> Prediction:
        """Return mean and standard deviation of every decision's value."""


class Surrogate(Protocol):
    """What a surrogate has to offer."""

    def fit(self, space: Space, batch: Batch, values: Floats) -> Model:
        """Return a model of decisions and their values, all finite."""


def rows(space: Space, records: Sequence[Record]) -> Batch:
    """Return records as a batch."""
    layout = space.compiled.layout
    count = len(records)
    codes = np.array([record.codes for record in records], layout.dtype).reshape(count, layout.columns)
    reals = np.array([record.reals for record in records], np.float64).reshape(count, layout.reals)
    return Batch(space, codes, reals)


def refits(start: int, count: int) -> int:
    """Return at how many results the model that serves after `count` of them was fitted.

    It is fitted at `start`, and again whenever there is a sixteenth more, so that the work of all fits grows
    no faster than that of the last few.
    """
    at = start
    while (following := at + max(1, at // GROWTH)) <= count:
        at = following
    return at


def thinned(values: Floats) -> NDArray[np.intp]:
    """Return which results a model is fitted to: all, or the best half of so many and as many of the rest."""
    kept = KEPT if len(values) < MANY else KEPT // 2
    if len(values) <= kept:
        return np.arange(len(values))
    # (results,) the best first. Of the rest every ceil(rest / half)-th, spread over ranks rather than over
    # time: the model is to know the bad as well, but needs few of them for it.
    order = np.argsort(-values, kind="stable")
    half = kept // 2
    rest = order[half:]
    return np.sort(np.concatenate([order[:half], rest[:: -(-len(rest) // half)]]))


class Pool:
    """Roll-outs and what a model promises of them, the best first.

    Args:
        batch: the roll-outs, all different.
        promises: (rows,) falling, in the units of values.
        known: keys of decisions that were handed out.
    """

    def __init__(self, batch: Batch, promises: Floats, known: Container[Hashable]) -> None:
        self.batch = batch
        # Rows as lists, since a descent asks for single elements of them.
        self.codes: list[list[int]] = batch.codes.tolist()
        self.reals: list[list[float]] = batch.reals.tolist()
        self.promises = promises
        self._places = {key: row for row, key in enumerate(keys_of(batch))}
        self.open = np.array([key not in known for key in self._places], bool)

    def close(self, key: Hashable) -> None:
        """Leave out a decision that was handed out."""
        row = self._places.get(key)
        if row is not None:
            self.open[row] = False


class Rollouts:
    """Makes roll-outs, and keeps them and the model that scores them until it is time for the next.

    Args:
        space: the space.
        surrogate: makes a surrogate.
        samples: how many roll-outs are drawn at a time.
        start: how many results there must be.
        optimism: standard deviations that are added to what the model expects.
    """

    def __init__(
        self, space: Space, surrogate: Callable[[], Surrogate], samples: int, start: int, optimism: float
    ) -> None:
        self.space = space
        self.samples = samples
        self.start = start
        self.optimism = optimism
        self._surrogate = surrogate
        self._fitted: tuple[int, Model] | None = None
        self._pool: tuple[tuple[int, int], Pool] | None = None
        points = len([entry for entry in space.compiled.layout.own if entry.mutable])
        self._kept = 1.0 - REDRAWN / max(points, 2)

    def model(self, records: Sequence[Record], values: Sequence[float]) -> Model:
        """Return the model that serves after these results, which are all that came, in order.

        Args:
            records: the decisions.
            values: their values; NaN where there is none, which counts as the worst.
        """
        # Only what was known at the time of the fit: the model is a function of the number of results, no
        # matter when or how often it is asked for.
        at = refits(self.start, len(values))
        if self._fitted is None or self._fitted[0] != at:
            known = np.array(values[:at])
            known = np.where(np.isnan(known), np.nanmin(known), known)
            kept = thinned(known)
            batch = rows(self.space, [records[place] for place in kept])
            self._fitted = at, self._surrogate().fit(self.space, batch, known[kept])
        return self._fitted[1]

    def pool(
        self,
        records: Sequence[Record],
        values: Sequence[float],
        best: Sequence[int],
        known: Container[Hashable],
    ) -> Pool:
        """Return the roll-outs that serve after these results.

        They are drawn by a generator that is seeded with the best and the last decision then seen, so that
        they are a function of what was observed. New ones come with every model, after `RENEWED` results at
        the latest, and with every result that is better than all others.

        Args:
            records: the decisions that ended, in order.
            values: their values, NaN where there is none.
            best: places of the best of them, the best first.
            known: keys of decisions that were handed out.
        """
        at = refits(self.start, len(values))
        at += (len(values) - at) // RENEWED * RENEWED
        # What the roll-outs depend on: how many results, rounded down, and which decision is the best.
        stage = at, best[0]
        if self._pool is None or self._pool[0] != stage:
            seen = rows(self.space, [records[at - 1], records[best[0]]])
            # Not the search's generator: a study that is resumed,
            # or asks in other portions, sees the same ones.
            rng = np.random.default_rng([at, *np.frombuffer(seen.rows, np.uint8)])
            model = self.model(records, values)
            # The longer roll-outs serve, which grows with `at`, the more of them there are to choose among.
            count = self.samples * min(max(at // GROWTH, 1), LARGEST)
            self._pool = stage, self.drawn(model, count, [records[place] for place in best], known, rng)
        return self._pool[1]

    def close(self, key: Hashable) -> None:
        """Leave out a decision that was handed out."""
        if self._pool is not None:
            self._pool[1].close(key)

    def drawn(
        self,
        model: Model,
        count: int,
        best: Sequence[Record],
        known: Container[Hashable],
        rng: np.random.Generator,
    ) -> Pool:
        """Return up to `count` new roll-outs with the promises of a model."""
        drawn = self.draw(count, best, rng).unique()
        expected = model.predict(drawn)
        # An upper confidence bound, mean + optimism · std (Srinivas and others 2010, arXiv:0912.3995).
        promises = expected.mean + self.optimism * expected.std
        order = np.argsort(-promises, kind="stable")
        return Pool(drawn[order], promises[order], known)

    def draw(self, size: int, best: Sequence[Record], rng: np.random.Generator) -> Batch:
        """Return `size` roll-outs from the root: half drawn by the prior, half from the best decisions.

        One of the latter takes over a good decision, the better the likelier, but for one or two points on
        average, which are drawn. Half of the real values that it takes over are moved by a step, of about
        half of the range down to a few thousandths.
        """
        layout = self.space.compiled.layout
        codes = np.full((layout.columns, size), INACTIVE, layout.dtype)
        reals = np.full((layout.reals, size), np.nan)
        count = size // 2 if best else 0
        if count:
            parents = rows(self.space, best)
            # With u uniform, u² is below ¼ half of the time: half of the children stem from the best quarter.
            chosen = (rng.random(count) ** 2 * len(best)).astype(np.intp)
            # (points, count), taken to columns by the point that owns each; what is not kept stays empty.
            keep = rng.random((len(layout.entries), count)) < self._kept
            owners, real_owners = self.space.compiled.layout.owners
            np.copyto(codes[:, :count], parents.codes[chosen].T, where=keep[owners])
            np.copyto(reals[:, :count], parents.reals[chosen].T, where=keep[real_owners])
            self._move(reals[:, :count], rng)
        self.space.compiled.mutator.complete(codes, reals, rng)
        return Batch(self.space, codes.T.copy(), reals.T.copy())

    def _move(self, reals: Floats, rng: np.random.Generator) -> None:
        sampler = self.space.compiled.sampler
        if not len(sampler.real):
            return
        unit = reals[sampler.real]
        unit[sampler.logs] = np.log(unit[sampler.logs])
        # (real points, count), 0 to 1 on each range's scale; NaN, where there is nothing to move, stays NaN.
        unit = (unit - sampler.low) / sampler.span
        steps = rng.standard_normal(unit.shape) * 0.5 ** rng.uniform(1.0, FINEST, unit.shape)
        moved = sampler.draw_reals(np.clip(unit + steps, 0.0, 1.0))
        reals[sampler.real] = np.where(rng.random(unit.shape) < MOVED, moved, reals[sampler.real])
