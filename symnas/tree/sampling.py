"""Drawing every column of many rows at once, each point from its own values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Reals
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import REAL, SINGLE, Entry, Layout, scale_bounds
from symnas.tree.subsets import Subsets, Weights

CHUNK = 1 << 18


def prior(entry: Entry) -> Weights:
    """Return the weights a point is drawn with: given ones, or a log range's shares of the logarithm."""
    domain = entry.domain
    if domain.weights is not None:
        return domain.weights
    if not isinstance(domain, IntRange | FloatRange) or not domain.log or domain.cardinality in (1, math.inf):
        return None
    values = [math.log(value) for value in domain.values()]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]
    bounds = [values[0] * 1.5 - values[1] * 0.5, *middles, values[-1] * 1.5 - values[-2] * 0.5]
    return tuple(b - a for a, b in itertools.pairwise(bounds))


def thresholds(weights: Sequence[float]) -> NDArray[np.float64]:
    """Return the inner bounds of cumulative shares, for `searchsorted(..., side="right")`."""
    total = math.fsum(weights)
    bounds = np.cumsum(np.asarray(weights, np.float64) / total)[:-1]
    # Trailing values of weight zero must stay unreachable despite rounding in the sum.
    last = max(position for position, weight in enumerate(weights) if weight > 0)
    bounds[last:] = np.inf
    return bounds


class Sampler:
    """Draws all columns without regard to what exists, grouped over points alike.

    Args:
        layout: the compiled space.
        weights: weights per point number that replace the priors.
    """

    def __init__(self, layout: Layout, weights: Mapping[int, Weights] | None = None) -> None:
        self.layout = layout
        self.weights = {e.number: prior(e) for e in layout.own} if weights is None else dict(weights)
        flat: list[Entry] = []
        weighted: dict[tuple[float, ...], list[int]] = {}
        slots: dict[tuple[Subsets, Weights], list[int]] = {}
        for entry in layout.own:
            chosen = self.weights.get(entry.number)
            if entry.shape == SINGLE and chosen is None:
                flat.append(entry)
            elif entry.shape == SINGLE and chosen is not None:
                weighted.setdefault(chosen, []).append(entry.column)
            elif entry.shape != REAL:
                slots.setdefault((entry.subsets, chosen), []).append(entry.column)
        self.flat = np.array([e.column for e in flat], np.intp)
        self.cards = np.array([e.card for e in flat], np.float64)[:, None]
        self.all_flat = len(flat) == layout.columns
        self.weighted = [(np.array(cols, np.intp), thresholds(w)) for w, cols in weighted.items()]
        self.slots = [(subsets, w, np.array(cols, np.intp)) for (subsets, w), cols in slots.items()]
        real = [e for e in layout.own if e.shape == REAL]
        self.real = np.array([e.column for e in real], np.intp)
        domains = [e.domain for e in real if isinstance(e.domain, FloatRange)]
        bounds = np.array([scale_bounds(d) for d in domains], np.float64).reshape(-1, 2)
        self.low, self.span = bounds[:, :1], bounds[:, 1:] - bounds[:, :1]
        self.limits = np.array([(d.low, d.high) for d in domains], np.float64).reshape(-1, 2)
        self.logs = np.flatnonzero([d.log for d in domains])

    def fill(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> None:
        """Draw every column that is not a tie's, in place: codes (columns, rows), reals (reals, rows)."""
        rows = codes.shape[1]
        if len(self.flat):
            u = rng.random((len(self.flat), rows))
            u *= self.cards
            if self.all_flat:
                np.copyto(codes, u, casting="unsafe")
            else:
                codes[self.flat] = u
        for columns, bounds in self.weighted:
            codes[columns] = np.searchsorted(bounds, rng.random((len(columns), rows)), side="right")
        for subsets, weights, columns in self.slots:
            drawn = subsets.draw(len(columns) * rows, rng, weights).reshape(len(columns), rows, -1)
            codes[columns[:, None] + np.arange(subsets.high)] = drawn.transpose(0, 2, 1)
        if len(self.real):
            reals[self.real] = self.draw_reals(rng.random((len(self.real), rows)))

    def draw_reals(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map numbers in [0, 1) of shape (real points, rows) into the points' ranges."""
        values = self.low + u * self.span
        if len(self.logs):
            values[self.logs] = np.exp(values[self.logs])
        # Rounding, of the logarithm above all, must not leave the range.
        return np.clip(values, self.limits[:, :1], self.limits[:, 1:]) + 0.0

    def draw_one(self, entry: Entry, rows: int, rng: np.random.Generator) -> NDArray[np.float64 | np.int64]:
        """Draw `rows` values of a single point: (rows,), or (rows, slots)."""
        weights = self.weights.get(entry.number)
        if entry.shape == REAL:
            assert isinstance(entry.domain, FloatRange)
            low, high = scale_bounds(entry.domain)
            values = low + rng.random(rows) * (high - low)
            values = np.exp(values) if entry.domain.log else values
            return np.clip(values, entry.domain.low, entry.domain.high) + 0.0
        if entry.shape != SINGLE:
            return entry.subsets.draw(rows, rng, weights)
        if weights is None:
            return (rng.random(rows) * entry.card).astype(np.int64)
        return np.searchsorted(thresholds(weights), rng.random(rows), side="right")


def chunks(columns: int, rows: int) -> list[slice]:
    """Cut rows so that the numbers of a piece stay in the cache, and what is drawn in little memory."""
    size = max(64, CHUNK // max(columns, 1))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
