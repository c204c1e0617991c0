"""What trials say of each point: how often each candidate was tried, how well it did, how much it matters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.tree.choices import FloatRange, IntRange, show
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Batch

LISTED = 12
BINS = 6


@dataclass(frozen=True, slots=True)
class CandidateStatistics:
    """How one candidate of a point did, or one piece of a range.

    Args:
        label: the candidate as text; `64..112` for a piece of a range, `#0=a` for a candidate in a slot.
        trials: how many trials with a result had it.
        mean: their mean value, NaN without any.
        error: standard error of the mean, NaN with fewer than two.
        best: the largest value, NaN without any.
        visits: how often a search tree has gone through it; None where there is no tree.
    """

    label: str
    trials: int
    mean: float
    error: float
    best: float
    visits: int | None = None


@dataclass(frozen=True, slots=True)
class PointStatistics:
    """How the candidates of one point did.

    Args:
        address: the point.
        trials: how many trials with a result had the point.
        influence: share of the variance of all values that the point's candidates explain, corrected for
            their number (omega squared), between 0 and 1.
        candidates: one entry per candidate, in the order of the point.
        rank: place of the point in the order in which a search tree decides, None where there is no tree.
    """

    address: str
    trials: int
    influence: float
    candidates: tuple[CandidateStatistics, ...]
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """What trials say of a space.

    Args:
        trials: how many had a result.
        points: the statistics of every point that has a value of its own, by address, in tree order.
    """

    trials: int
    points: Mapping[str, PointStatistics]


@dataclass(frozen=True, slots=True)
class Split:
    """A way in which a point divides decisions into groups.

    Args:
        labels: what the groups are called; an empty label is left out when they are listed.
        groups: (rows,) group of each decision, -1 where the point does not exist.
    """

    labels: tuple[str, ...]
    groups: NDArray[np.intp]


def splits(entry: Entry, batch: Batch) -> Iterator[Split]:
    """Yield the ways in which a point divides decisions: one for most, several for selections."""
    if entry.shape == REAL:
        yield _pieces(entry, batch.reals[:, entry.column])
        return
    columns = batch.codes[:, entry.column : entry.column + entry.width].astype(np.intp)
    held = columns[:, 0] != INACTIVE
    if entry.shape == SINGLE:
        values: Sequence[object] = entry.domain.values()  # type: ignore[assignment]
        if len(values) <= LISTED or not isinstance(entry.domain, IntRange | FloatRange):
            yield Split(tuple(map(show, values)), np.where(held, columns[:, 0], -1))
            return
        bounds = np.linspace(0, len(values), BINS + 1).astype(int).tolist()
        labels = tuple(f"{show(values[a])}..{show(values[b - 1])}" for a, b in itertools.pairwise(bounds))
        place = np.searchsorted(bounds[1:-1], columns[:, 0], side="right")
        yield Split(labels, np.where(held, place, -1))
        return
    names = [show(entry.domain.value((code,)))[1:-1].rstrip(",") for code in range(entry.card)]
    if not entry.subsets.ordered:
        for code, name in enumerate(names):
            yield Split(("", name), np.where(held, (columns == code).any(axis=1), -1))
        return
    for slot in range(entry.width):
        labels = tuple(f"#{slot}={name}" for name in names)
        yield Split(labels, np.where(columns[:, slot] >= 0, columns[:, slot], -1))


def _pieces(entry: Entry, values: Floats) -> Split:
    domain = entry.domain
    assert isinstance(domain, FloatRange)
    low, high = scale_bounds(domain)
    # In this order the bounds are what they ever were; in the other one no product overflows.
    span, parts = high - low, np.arange(BINS + 1)
    bounds = low + (span * parts / BINS if span < 1e300 else span * (parts / BINS))
    bounds = np.exp(bounds) if domain.log else bounds
    labels = tuple(f"{a:.3g}..{b:.3g}" for a, b in itertools.pairwise(bounds))
    groups = np.searchsorted(bounds[1:-1], values, side="right")
    return Split(labels, np.where(np.isnan(values), -1, groups))


def influence(batch: Batch, values: Floats) -> Floats:
    """Return (points,), by number, which share of the values' variance the candidates of a point explain.

    Args:
        batch: the decisions.
        values: (rows,) their values, all finite.
    """
    total = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    found = np.zeros(len(batch.space.compiled.layout.entries))
    if total <= 0.0:
        return found
    for entry in batch.space.compiled.layout.own:
        if entry.mutable:
            shares = [_explained(split, values) for split in splits(entry, batch)]
            found[entry.number] = max(shares, default=0.0) / total
    return found


def _explained(split: Split, values: Floats) -> float:
    """Return the sum of squares between groups, less what chance alone would give.

    With k groups of n values, SS_between - (k - 1) SS_within / (n - k): the numerator of omega squared (Hays
    1963), not negative. Divided by all variance it is the share that the point explains.
    """
    held = split.groups >= 0
    mine, groups = values[held], split.groups[held]
    counts = np.bincount(groups)
    counts, sums = counts[counts > 0], np.bincount(groups, mine)[counts > 0]
    free = len(mine) - len(counts)
    if len(counts) < 2 or free < 1:
        return 0.0
    whole = float(((mine - mine.mean()) ** 2).sum())
    between = float((sums**2 / counts).sum() - mine.sum() ** 2 / len(mine))
    within = max(whole - between, 0.0)
    return max(between - (len(counts) - 1) * within / free, 0.0)


def statistics(
    batch: Batch,
    values: Floats,
    visits: Mapping[str, Mapping[str, int]] | None = None,
    ranks: Mapping[str, int] | None = None,
) -> Statistics:
    """Return how every candidate of every point did.

    Args:
        batch: decisions with a result.
        values: (rows,) their values; larger is better.
        visits: how often a search tree went through each candidate, by address and label.
        ranks: the place of each point in a search tree's order, by address.
    """
    shares = influence(batch, values)
    points = {}
    for entry in batch.space.compiled.layout.own:
        address = entry.point.address
        mine = (visits or {}).get(address, {})
        cut = list(splits(entry, batch))
        candidates = [
            _candidate(label, values[split.groups == group], mine.get(label, 0) if visits else None)
            for split in cut
            for group, label in enumerate(split.labels)
            if label
        ]
        held = int(batch.active(address).sum())
        rank = (ranks or {}).get(address)
        points[address] = PointStatistics(address, held, float(shares[entry.number]), tuple(candidates), rank)
    return Statistics(len(values), points)


def _candidate(label: str, values: Floats, visits: int | None) -> CandidateStatistics:
    count = len(values)
    if not count:
        return CandidateStatistics(label, 0, math.nan, math.nan, math.nan, visits)
    error = float(values.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    return CandidateStatistics(label, count, float(values.mean()), error, float(values.max()), visits)
