"""Roll-outs through a surrogate: many completions, scored by a model of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from symnas.batch import Batch
from symnas.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.algorithm import Prediction
    from symnas.algorithms.decision_tree import Record
    from symnas.space import Space

Floats = NDArray[np.float64]

GROWTH = 16
KEPT = 384
PARENTS = 10
REDRAWN = 1.5


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
    layout = space.layout
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
    """Return which results a model is fitted to: all, or the best half of `KEPT` and as many of the rest."""
    if len(values) <= KEPT:
        return np.arange(len(values))
    order = np.argsort(-values, kind="stable")
    half = KEPT // 2
    rest = order[half:]
    return np.sort(np.concatenate([order[:half], rest[:: -(-len(rest) // half)]]))


class Rollouts:
    """Makes roll-outs, and keeps the model that scores them until it is time for the next.

    Args:
        space: the space.
        surrogate: makes a surrogate.
        samples: how many roll-outs a proposal looks at.
        start: how many results there must be.
    """

    def __init__(self, space: Space, surrogate: Callable[[], Surrogate], samples: int, start: int) -> None:
        self.space = space
        self.samples = samples
        self.start = start
        self._surrogate = surrogate
        self._fitted: tuple[int, Model] | None = None
        points = len([entry for entry in space.layout.own if entry.mutable])
        self._kept = 1.0 - REDRAWN / max(points, 2)

    def model(self, records: Sequence[Record], values: Sequence[float]) -> Model:
        """Return the model that serves after these results, which are all that came, in order.

        Args:
            records: the decisions.
            values: their values; NaN where there is none, which counts as the worst.
        """
        at = refits(self.start, len(values))
        if self._fitted is None or self._fitted[0] != at:
            known = np.array(values[:at])
            known = np.where(np.isnan(known), np.nanmin(known), known)
            kept = thinned(known)
            batch = rows(self.space, [records[place] for place in kept])
            self._fitted = at, self._surrogate().fit(self.space, batch, known[kept])
        return self._fitted[1]

    def draw(self, best: Sequence[Record], rng: np.random.Generator) -> Batch:
        """Return roll-outs from the root: one half drawn by the prior, one half from the best decisions.

        One of the latter takes over a good decision, the better the likelier, but for one or two points on
        average, which are drawn.
        """
        layout = self.space.layout
        codes = np.full((layout.columns, self.samples), INACTIVE, layout.dtype)
        reals = np.full((layout.reals, self.samples), np.nan)
        count = self.samples // 2 if best else 0
        if count:
            parents = rows(self.space, best)
            chosen = (rng.random(count) ** 2 * len(best)).astype(np.intp)
            keep = rng.random((len(layout.entries), count)) < self._kept
            owners, real_owners = self.space.owners
            np.copyto(codes[:, :count], parents.codes[chosen].T, where=keep[owners])
            np.copyto(reals[:, :count], parents.reals[chosen].T, where=keep[real_owners])
        self.space.mutator.complete(codes, reals, rng)
        return Batch(self.space, codes.T.copy(), reals.T.copy())
