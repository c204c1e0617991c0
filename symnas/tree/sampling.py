"""Drawing every column of many rows at once, each point from its own values.

Points are drawn as if all existed, evenly or by their weights; which of them do is for `activity` to say
afterwards. That is uniform per point, not over decisions (`uniform_sampling` is): a value below which there
is much is as likely as one below which there is nothing.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Floats, Ints, Reals
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import REAL, SINGLE, Entry, Layout, scale_bounds
from symnas.tree.ranges import LONG
from symnas.tree.subsets import Subsets

# Numbers per piece, 8 bytes each: 2 MiB, and 1 MiB where they are random numbers of points.
CHUNK = 1 << 18
DRAWN = 1 << 17


# -------------------------------------------------------------------- priors

# Of short ranges and candidates a prior is a tuple of weights. Over the n codes of a long range it is told in
# closed form, by its cumulative shares
#
#     S(0) = 0 < S(1) < … < S(n) = 1,    P(code k) = S(k + 1) - S(k),
#
# and a number u of [0, 1) stands for the code k with S(k) <= u < S(k + 1), as in tables of weights.

# Draws of another code by the prior before they are even, as `mutation` has for real values.
REDRAWS = 64


class Shares(ABC):
    """A prior over codes 0 to `count` - 1; equal ones draw the same."""

    count: int

    @abstractmethod
    def pick(self, u: Floats) -> NDArray[np.int64]:
        """Return the codes (rows,) that numbers (rows,) of [0, 1) stand for."""

    @abstractmethod
    def log_mass(self, first: int, end: int) -> float:
        """Return the logarithm of the weight of the codes first to end - 1, up to a constant."""

    def pick_one(self, u: float) -> int:
        """Return the code that a number stands for, the very one that `pick` gives."""
        return int(self.pick(np.array([u]))[0])

    def another(self, old: Codes, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw codes (rows,) by the prior among all but the old ones."""
        # By rejection, which conditions on being another one; a code with nearly all of the weight makes the
        # rest even.
        new = self.pick(rng.random(len(old)))
        for _ in range(REDRAWS):
            same = np.flatnonzero(new == old)
            if not len(same):
                return new
            new[same] = self.pick(rng.random(len(same)))
        same = np.flatnonzero(new == old)
        even = (rng.random(len(same)) * (self.count - 1)).astype(np.int64)
        new[same] = even + (even >= old[same])
        return new


@dataclass(frozen=True)
class LogShares(Shares):
    """A logarithmic range v(k) = low + k step: each value weighs the logarithms nearer to it than to others.

    Between v(k - 1) and v(k) the bound is the middle of their logarithms, so that

        2 B(k) = log v(k - 1) + log v(k)    for 0 < k < n,
        B(0) = log v(0) - (log v(1) - log v(0)) / 2,  and likewise at the upper end,

    and S(k) = (B(k) - B(0)) / (B(n) - B(0)).

    Args:
        low: the smallest value, above 0.
        step: the distance of values.
        count: how many there are, at least two.
    """

    low: float
    step: float
    count: int

    def _gap(self, a: int, b: int) -> float:
        # log v(b) - log v(a); of neighbours far up it is smaller than a float's precision in the logarithms.
        return math.log1p((b - a) * self.step / (self.low + a * self.step))

    def _bound(self, code: int) -> tuple[int, int, float]:
        """Return (a, b, c) with 2 B(code) = log v(a) + log v(b) + c."""
        last = self.count - 1
        if code == 0:
            return 0, 0, -self._gap(0, 1)
        return (last, last, self._gap(last - 1, last)) if code > last else (code - 1, code, 0.0)

    def log_mass(self, first: int, end: int) -> float:
        """Return log (B(end) - B(first))."""
        (a, b, c), (d, e, f) = self._bound(first), self._bound(end)
        return math.log(self._gap(a, d) + self._gap(b, e) + f - c)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        last = self.count - 1
        low, high = math.log(self.low), math.log(self.low + last * self.step)
        return low - self._gap(0, 1) / 2, high + self._gap(last - 1, last) / 2

    def pick(self, u: Floats) -> NDArray[np.int64]:
        """Return the codes of numbers: how many of the bounds B(1) to B(n - 1) do not exceed theirs."""
        low, high = self._ends
        # As `sampling.exp`: the same number for one as for many, with any vector instructions.
        t = np.exp((low + u * (high - low)).astype(np.complex128)).real
        # With v = v(k - 1) and h = step / 2, B(k) <= log t where v (v + 2 h) <= t², that is where
        # v <= t² / (hypot(t, h) + h).
        half = self.step / 2
        v = t * (t / (np.hypot(t, half) + half))
        below = np.floor((v - self.low) / self.step) + 1.0
        # A float cannot hold every count near 2^62, so that the last step is done in whole numbers.
        codes: NDArray[np.int64] = np.minimum(np.maximum(below, 0.0).astype(np.int64), self.count - 1)
        return codes


@dataclass(frozen=True)
class RunShares(Shares):
    """Runs of codes of equal weight.

    Args:
        stops: one past the last code of every run, rising.
        weights: what each code of a run weighs, not all zero.
    """

    stops: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many codes there are."""
        return self.stops[-1]

    @cached_property
    def _masses(self) -> list[float]:
        sizes = [b - a for a, b in itertools.pairwise((0, *self.stops))]
        return [size * weight for size, weight in zip(sizes, self.weights, strict=True)]

    def log_mass(self, first: int, end: int) -> float:
        """Return the logarithm of the sum over the runs of what they have of these codes."""
        mass = 0.0
        for start, stop, weight in zip((0, *self.stops), self.stops, self.weights, strict=False):
            mass += weight * max(0, min(end, stop) - max(first, start))
        return math.log(mass) if mass > 0 else -math.inf

    def pick(self, u: Floats) -> NDArray[np.int64]:
        """Return the codes of numbers: the run, and evenly within it."""
        bounds = np.concatenate([[0.0], np.cumsum(np.array(self._masses) / math.fsum(self._masses))])
        # Runs without weight at the end must stay unreachable despite rounding in the sum.
        last = max(place for place, mass in enumerate(self._masses) if mass > 0)
        bounds[last + 1 :] = 1.0
        run = np.minimum(np.searchsorted(bounds, u, side="right") - 1, last)
        starts = np.array((0, *self.stops), np.int64)
        sizes = np.diff(starts)[run]
        within = (u - bounds[run]) / (bounds[run + 1] - bounds[run])
        codes: NDArray[np.int64] = starts[run] + np.minimum((within * sizes).astype(np.int64), sizes - 1)
        return codes


def logarithmic(domain: IntRange | FloatRange) -> LogShares:
    """Return the prior of a long logarithmic range without a factor."""
    return LogShares(domain.low, domain.step or 1, domain.codes)


def runs_of(runs: list[tuple[int, int, int]]) -> RunShares:
    """Return the prior over codes in runs (first, end, count of each code); counts may exceed all floats."""
    total = sum((end - first) * count for first, end, count in runs)
    # Kept to a scale at which the largest mass is below 1.
    return RunShares(tuple(end for _, end, _ in runs), tuple(count / total for _, _, count in runs))


Prior: TypeAlias = "tuple[float, ...] | Shares | None"
"""Weights of every value or candidate, a prior in closed form, or None where all weigh the same."""


def prior(entry: Entry) -> Prior:
    """Return the weights a point is drawn with: given ones, or a log range's shares of the logarithm.

    A value of a logarithmic range stands for the logarithms nearer to it than to its neighbours; those at the
    ends reach as far out as in. A long range has them in closed form.
    """
    domain = entry.domain
    if domain.weights is not None:
        return domain.weights
    if not isinstance(domain, IntRange | FloatRange) or not domain.log or domain.cardinality in (1, math.inf):
        return None
    if domain.cardinality > LONG:
        return logarithmic(domain)
    values = [math.log(value) for value in domain.values()]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]
    # The ends reach as far out as in: x_0 - (x_1 - x_0) / 2.
    bounds = [values[0] * 1.5 - values[1] * 0.5, *middles, values[-1] * 1.5 - values[-2] * 0.5]
    return tuple(b - a for a, b in itertools.pairwise(bounds))


def thresholds(weights: Sequence[float]) -> Floats:
    """Return the inner bounds (values - 1,) of cumulative shares, for `searchsorted(..., side="right")`."""
    total = math.fsum(weights)
    bounds = np.cumsum(np.asarray(weights, np.float64) / total)[:-1]
    # Trailing values of weight zero must stay unreachable despite rounding in the sum.
    last = max(position for position, weight in enumerate(weights) if weight > 0)
    bounds[last:] = np.inf
    return bounds


def by_weight(weights: tuple[float, ...] | Shares) -> Callable[[Floats], NDArray[np.int64]]:
    """Return the function from numbers of [0, 1), in any shape, to the codes that they stand for."""
    if isinstance(weights, Shares):
        return weights.pick
    bounds = thresholds(weights)
    return lambda u: np.searchsorted(bounds, u, side="right")


def exp(values: Floats) -> Floats:
    """Return the exponentials to the last bit as `math.exp` does.

    NumPy's own differ by which vector instructions there are; those of complex numbers are the C library's.
    """
    found: Floats = np.exp(values.astype(np.complex128)).real
    return found


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


class Group(NamedTuple):
    """Points that are drawn alike.

    Attributes:
        columns: (points,) the first column of each.
        numbers: the random numbers that they read, one point after the other.
    """

    columns: Ints
    numbers: Ints


class Sampler:
    """Draws all columns without regard to what exists, grouped over points alike.

    A sample takes `width` numbers of [0, 1) from the generator for every decision, and what the decision
    becomes is a function of these alone: a point reads the same of them whether it exists or not, however
    many decisions are drawn together, and whether arrays or plain Python draw them. So the first rows of a
    larger sample are the smaller one, and one decision drawn after the other makes the same sample.

    Args:
        layout: the compiled space.
        weights: weights per point number that replace the priors.
        without: numbers of points whose columns are left as they are.

    Attributes:
        width: how many random numbers a decision takes: as many as there are points, and as many more as
            selections take that are drawn from several.
        numbers: per number of a point, those that it reads: the one of the same number, or a run at the end.
        real: the columns of real ranges; `low`, `span`, `limits` and `logs` are theirs, in the same order.
    """

    def __init__(
        self, layout: Layout, weights: Mapping[int, Prior] | None = None, without: Collection[int] = ()
    ) -> None:
        self.layout = layout
        self.weights = {e.number: prior(e) for e in layout.own} if weights is None else dict(weights)
        self.width = len(layout.entries)
        self.numbers: dict[int, range] = {}
        # By the same rule together: plain codes; codes of equal weights; selections of one kind; real values.
        flat: list[Entry] = []
        weighted: dict[tuple[float, ...] | Shares, list[Entry]] = {}
        slots: dict[tuple[Subsets, tuple[float, ...] | None], list[Entry]] = {}
        real: list[Entry] = []
        for entry in layout.own:
            if entry.number in without:
                continue
            chosen = self.weights.get(entry.number)
            self._take_numbers(entry, chosen)
            if entry.shape == REAL:
                real.append(entry)
            elif entry.shape != SINGLE:
                assert not isinstance(chosen, Shares)
                slots.setdefault((entry.subsets, chosen), []).append(entry)
            elif chosen is None:
                flat.append(entry)
            else:
                weighted.setdefault(chosen, []).append(entry)
        self.flat = self._group(flat)
        self.cards = np.array([e.card for e in flat], np.float64)[:, None]
        self.weighted = [(self._group(alike), by_weight(w)) for w, alike in weighted.items()]
        self.slots = [(self._group(alike), subsets, w) for (subsets, w), alike in slots.items()]
        self.real, self._real_numbers = self._group(real)
        domains = [e.domain for e in real if isinstance(e.domain, FloatRange)]
        bounds = np.array([scale_bounds(d) for d in domains], np.float64).reshape(-1, 2)
        self.low, self.span = bounds[:, :1], bounds[:, 1:] - bounds[:, :1]
        self.limits = np.array([(d.low, d.high) for d in domains], np.float64).reshape(-1, 2)
        self.logs = np.flatnonzero([d.log for d in domains])
        # Where every column is a flat point's, rows of numbers become rows of codes as they lie.
        self._in_order = len(flat) == layout.columns == self.width
        self._factors = np.ones((1, self.width))
        self._factors[0, self.flat.numbers] = self.cards[:, 0]

    def _take_numbers(self, entry: Entry, weights: Prior) -> None:
        count = 1
        if entry.shape not in (SINGLE, REAL):
            assert not isinstance(weights, Shares)
            count = entry.subsets.numbers(weights)
        # A point that reads one number reads that of its own place; runs of several lie behind all of these.
        first = entry.number if count == 1 else self.width
        self.numbers[entry.number] = range(first, first + count)
        self.width += count if count > 1 else 0

    def _group(self, entries: Sequence[Entry]) -> Group:
        numbers = [number for entry in entries for number in self.numbers[entry.number]]
        return Group(np.array([e.column for e in entries], np.intp), np.array(numbers, np.intp))

    def fill(self, codes: Codes, reals: Reals, u: Floats) -> None:
        """Write every column that is not a tie's, in place, from the numbers of a sample.

        Args:
            codes: (columns, rows).
            reals: (reals, rows).
            u: (rows, width) random numbers of [0, 1), which are written over.
        """
        self._fill_others(codes, reals, lambda numbers: u[:, numbers].T, exp)
        if not len(self.flat.columns):
            return
        # All numbers are multiplied, by the cards of flat points or by 1, since rows are short; and made
        # codes as they lie before they are turned to (points, rows), which is an eighth of the bytes.
        if len(self._factors) < len(u):
            self._factors = np.tile(self._factors[:1], (len(u), 1))
        u *= self._factors[: len(u)]
        drawn = u.astype(codes.dtype)
        if self._in_order:
            np.copyto(codes, drawn.T)
        else:
            codes[self.flat.columns] = drawn[:, self.flat.numbers].T

    def draw(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> None:
        """Write every column that is not a tie's, in place, column after column from a generator.

        For moves, where the number of rows is given: nothing is to be the beginning of something larger.

        Args:
            codes: (columns, rows).
            reals: (reals, rows).
            rng: the source of randomness.
        """
        rows = codes.shape[1]
        if len(self.flat.columns):
            drawn = rng.random((len(self.flat.columns), rows))
            # Written into whole numbers, which truncates: code k for u in [k / card, (k + 1) / card).
            drawn *= self.cards
            codes[self.flat.columns] = drawn
        self._fill_others(codes, reals, lambda numbers: rng.random((len(numbers), rows)), np.exp)

    def _fill_others(
        self,
        codes: Codes,
        reals: Reals,
        random: Callable[[Ints], Floats],
        exp: Callable[[Floats], Floats],
    ) -> None:
        """Write the columns of points that are not flat; `random` returns (numbers, rows)."""
        for group, pick in self.weighted:
            codes[group.columns] = pick(random(group.numbers))
        for group, subsets, weights in self.slots:
            count, rows = len(group.columns), codes.shape[1]
            # (points, numbers of each, rows) to (points times rows, numbers): one draw after the other.
            each = subsets.numbers(weights)
            mine = random(group.numbers).reshape(count, each, rows).transpose(0, 2, 1)
            chosen = subsets.choose(mine.reshape(count * rows, each), weights)
            chosen = chosen.reshape(count, rows, subsets.high).transpose(0, 2, 1)
            codes[group.columns[:, None] + np.arange(subsets.high)] = chosen
        if len(self.real):
            reals[self.real] = self.draw_reals(np.ascontiguousarray(random(self._real_numbers)), exp)

    def draw_reals(self, u: Floats, exp: Callable[[Floats], Floats] = np.exp) -> Reals:
        """Map numbers in [0, 1) of shape (real points, rows) into the points' ranges."""
        values = self.low + u * self.span
        if len(self.logs):
            values[self.logs] = exp(values[self.logs])
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
            assert not isinstance(weights, Shares)
            return entry.subsets.draw(rows, rng, weights)
        if weights is None:
            return (rng.random(rows) * entry.card).astype(np.int64)
        return by_weight(weights)(rng.random(rows))


def chunks(columns: int, rows: int, numbers: int = CHUNK) -> list[slice]:
    """Cut rows so that the numbers of a piece stay in the cache, and what is drawn in little memory."""
    size = max(64, numbers // max(columns, 1))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def alike(some: tuple[Codes, Reals], others: tuple[Codes, Reals]) -> Ints:
    """Return the rows in which two times codes (columns, rows) and reals (reals, rows) are the same."""
    same = (some[0] == others[0]).all(axis=0)
    # NaN, which is unlike itself, stands for what does not exist: that is for the codes to tell.
    same &= ((some[1] == others[1]) | (np.isnan(some[1]) & np.isnan(others[1]))).all(axis=0)
    return np.flatnonzero(same)
