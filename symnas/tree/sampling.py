"""Drawing every column of many rows at once, each point from its own values.

Points are drawn as if all existed, evenly or by their weights; which of them do is for `activity` to say
afterwards. That is uniform per point, not over decisions (`uniform_sampling` is): a value below which there
is much is as likely as one below which there is nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Floats, Ints, Reals
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import REAL, SINGLE, Entry, Layout, scale_bounds
from symnas.tree.subsets import Subsets, Weights

CHUNK = 1 << 18
DRAWN = 1 << 17


def prior(entry: Entry) -> Weights:
    """Return the weights a point is drawn with: given ones, or a log range's shares of the logarithm.

    A value of a logarithmic range stands for the logarithms nearer to it than to its neighbours; those at the
    ends reach as far out as in.
    """
    domain = entry.domain
    if domain.weights is not None:
        return domain.weights
    if not isinstance(domain, IntRange | FloatRange) or not domain.log or domain.cardinality in (1, math.inf):
        return None
    values = [math.log(value) for value in domain.values()]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]
    bounds = [values[0] * 1.5 - values[1] * 0.5, *middles, values[-1] * 1.5 - values[-2] * 0.5]
    return tuple(b - a for a, b in itertools.pairwise(bounds))


def thresholds(weights: Sequence[float]) -> Floats:
    """Return the inner bounds of cumulative shares, for `searchsorted(..., side="right")`."""
    total = math.fsum(weights)
    bounds = np.cumsum(np.asarray(weights, np.float64) / total)[:-1]
    # Trailing values of weight zero must stay unreachable despite rounding in the sum.
    last = max(position for position, weight in enumerate(weights) if weight > 0)
    bounds[last:] = np.inf
    return bounds


def generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    """Return the generator that is meant: the one given, or a new one from a seed or from fresh entropy.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    seed = isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0
    if rng is None or seed:
        return np.random.default_rng(rng)
    raise TypeError(
        "randomness comes from a seed (a whole number from 0 on), a numpy.random.Generator, or None for "
        f"other draws each time; got {rng!r}"
    )


class Sampler:
    """Draws all columns without regard to what exists, grouped over points alike.

    Every decision takes `width` numbers of [0, 1) from the generator, and what it becomes is a function of
    these alone: a point reads the same of them whether it exists or not, however many decisions are drawn
    together, and whether arrays or plain Python draw them. So the first rows of a larger sample are the
    smaller one, and one decision drawn after the other makes the same sample.

    Args:
        layout: the compiled space.
        weights: weights per point number that replace the priors.
        without: numbers of points whose columns are left as they are.

    Attributes:
        width: how many random numbers a decision takes.
        starts: per number of a point, the first of those that it reads.
    """

    def __init__(
        self, layout: Layout, weights: Mapping[int, Weights] | None = None, without: Collection[int] = ()
    ) -> None:
        self.layout = layout
        self.weights = {e.number: prior(e) for e in layout.own} if weights is None else dict(weights)
        flat: list[Entry] = []
        weighted: dict[tuple[float, ...], list[Entry]] = {}
        slots: dict[tuple[Subsets, Weights], list[Entry]] = {}
        real: list[Entry] = []
        for entry in layout.own:
            chosen = self.weights.get(entry.number)
            if entry.number in without:
                continue
            if entry.shape == REAL:
                real.append(entry)
            elif entry.shape != SINGLE:
                slots.setdefault((entry.subsets, chosen), []).append(entry)
            elif chosen is None:
                flat.append(entry)
            else:
                weighted.setdefault(chosen, []).append(entry)
        self.width = 0
        self.starts: dict[int, int] = {}
        # The groups read runs of the numbers side by side: flat points first, real ranges last.
        self.flat, _ = self._place(flat)
        self.all_flat = len(flat) == layout.columns
        self.weighted = [(*self._place(alike), thresholds(w)) for w, alike in weighted.items()]
        self.slots = [
            (*self._place(alike, subsets.numbers(w)), subsets, w) for (subsets, w), alike in slots.items()
        ]
        self.real, self.real_numbers = self._place(real)
        self.cards = np.ones(self.width)
        self.cards[: len(flat)] = [e.card for e in flat]
        self._tile = self.cards[None, :]
        domains = [e.domain for e in real if isinstance(e.domain, FloatRange)]
        bounds = np.array([scale_bounds(d) for d in domains], np.float64).reshape(-1, 2)
        self.low, self.span = bounds[:, :1], bounds[:, 1:] - bounds[:, :1]
        self.limits = np.array([(d.low, d.high) for d in domains], np.float64).reshape(-1, 2)
        self.logs = np.flatnonzero([d.log for d in domains])

    def _place(self, entries: Sequence[Entry], numbers: int = 1) -> tuple[Ints, slice]:
        """Let points read so many random numbers each; return their columns and the numbers of all."""
        first = self.width
        for entry in entries:
            self.starts[entry.number] = self.width
            self.width += numbers
        return np.array([e.column for e in entries], np.intp), slice(first, self.width)

    def fill(self, codes: Codes, reals: Reals, u: Floats) -> None:
        """Write every column that is not a tie's, in place.

        Args:
            codes: (columns, rows).
            reals: (reals, rows).
            u: (rows, width) random numbers of [0, 1), which are written over.
        """
        if len(self.flat):
            # Made codes as they lie and turned to (points, rows) as such, which is an eighth of the bytes.
            u *= self._factors(len(u))
            drawn = u.astype(codes.dtype)[:, : len(self.flat)].T
            if self.all_flat:
                np.copyto(codes, drawn)
            else:
                codes[self.flat] = drawn
        for columns, numbers, bounds in self.weighted:
            codes[columns] = np.searchsorted(bounds, u[:, numbers].T, side="right")
        for columns, numbers, subsets, weights in self.slots:
            mine = u[:, numbers].reshape(-1, subsets.numbers(weights))
            chosen = subsets.choose(mine, weights).reshape(len(u), len(columns), subsets.high)
            codes[columns[:, None] + np.arange(subsets.high)] = chosen.transpose(1, 2, 0)
        if len(self.real):
            reals[self.real] = self.draw_reals(np.ascontiguousarray(u[:, self.real_numbers].T))

    def _factors(self, rows: int) -> Floats:
        """Return what random numbers (rows, width) are multiplied by: the cards of flat points, else 1."""
        if len(self._tile) < rows:
            # Written out, since numbers are not multiplied in runs as short as a row.
            self._tile = np.tile(self.cards, (rows, 1))
        return self._tile[:rows]

    def draw_reals(self, u: Floats) -> Reals:
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


def chunks(columns: int, rows: int, numbers: int = CHUNK) -> list[slice]:
    """Cut rows so that the numbers of a piece stay in the cache, and what is drawn in little memory."""
    size = max(64, numbers // max(columns, 1))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
