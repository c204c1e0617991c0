"""Bayesian ridge regression of ranks on single values and on pairs of them: what MCTS asks in its roll-outs.

`ridge.PairRidge` has much the same features, learns variances, and grows row by row. This one is fitted in
closed form on ranks, at a fraction of the time.
"""

from __future__ import annotations

import re
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.surrogates.base import Frozen
from symnas.contracts.algorithm import Prediction
from symnas.tree.choices import FloatRange, IntRange, label_key
from symnas.tree.layout import REAL, SINGLE

if TYPE_CHECKING:
    from symnas.tree.encoding import EncodedPoint
    from symnas.tree.layout import Entry
    from symnas.tree.space import Batch, Space

NOISES = (0.01, 0.03, 0.1, 0.3, 1.0)
# The kernel is 0.2 + s + 2 s²: variances of the constant, of single values, and of pairs of them.
CONSTANT, PAIRS = 0.2, 2.0
# Bumps over a range, scaled to [0, 1]: how many, how wide, how high.
CENTRES, WIDTH, SHARE = 9, 0.1, 0.67
# Factor of the counts of values over points alike.
COUNTED = 0.7


class RankRidge:
    """Ridge regression on the one-hot view and all products of two of its columns.

    The products are never written out: with s the inner product of two rows per point, the kernel
    0.2 + s + 2 s² has them as its features (Schölkopf and Smola: Learning with Kernels, 2002). Numbers add
    smooth bumps over their range, so that neighbours resemble each other; points alike but for the indices
    in their addresses add how often each value is chosen over all of them. The noise is the one of five that
    makes the values likeliest; the posterior's standard deviation tells how far a mean can be trusted.

    Args:
        growth: as in `base.Surrogate`.
    """

    def __init__(self, *, growth: float = 1.1) -> None:
        self.growth = growth

    def fit(self, space: Space, batch: Batch, values: Floats) -> RankModel:
        """Return the model of decisions and their values, all finite.

        The regression is on normal scores of the values' ranks, so that neither a few failures nor a long
        tail drown what tells good from better. Expectations are put back by the line from the median that
        fits the upper half of the values.

        Args:
            space: the space.
            batch: the decisions.
            values: (rows,) what they are worth.
        """
        features = Features(space)
        rows = features(batch)
        target = normal_scores(values)
        level = float(np.median(values))
        upper = target > 0.0
        # Least squares through the median, b = sum t (v - level) / sum t² over the scores t above 0.
        rise = float(target[upper] @ (values[upper] - level))
        scale = rise / float(target[upper] @ target[upper]) if rise > 0.0 else 1.0
        # With K = V diag(e) V', every noise n costs no more than the sums over e + n; the variance s² of the
        # scores that goes with it is in closed form: log p = -½ (N log s² + Σ log (e + n)) + constant.
        eigenvalues, vectors = np.linalg.eigh(features.kernel(rows, rows))
        eigenvalues = np.maximum(eigenvalues, 0.0)
        turned = vectors.T @ target
        best = (-np.inf, NOISES[0], 1.0)
        for noise in NOISES:
            spread = eigenvalues + noise
            # The likeliest variance for this noise, s² = 1/N sum (V' t)² / (e + n), put into log N(t; 0, s²
            # (K + n I)): Rasmussen and Williams, 2.30.
            variance = float((turned**2 / spread).mean()) or 1.0
            likelihood = -0.5 * (len(target) * np.log(variance) + np.log(spread).sum())
            best = max(best, (float(likelihood), noise, variance))
        _, noise, variance = best
        spread = eigenvalues + noise
        # a = (K + n I)⁻¹ t = V (V' t / (e + n)), (n,); s² cancels in the mean.
        dual = vectors @ (turned / spread)
        # (K + n I) dual = target, so that K dual, what is expected of the rows themselves, needs no product.
        fitted = level + scale * (target - noise * dual)
        return RankModel(features, rows, dual, vectors / np.sqrt(spread), (level, scale, variance), fitted)


def normal_scores(values: Floats) -> Floats:
    """Return what a normal variable would be at the same ranks; equal values share theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Φ⁻¹((r - ½) / n), r being ranks from 1 on, of equal values the mean of theirs.
    shares = (np.cumsum(counts) - counts / 2.0) / len(values)
    normal = NormalDist()
    scores: Floats = np.array([normal.inv_cdf(share) for share in shares.tolist()])[place.reshape(-1)]
    return scores


class Features:
    """The columns of the regression, and the kernel over them."""

    def __init__(self, space: Space) -> None:
        self.space = space
        # By their number inner products are divided: s of a row with itself is 1 where there are choices
        # only, none of them alike.
        self.points = max(len([entry for entry in space.compiled.layout.own if entry.mutable]), 1)
        self.numbers = [place for place in space.compiled.encoder.places if _numeric(place)]
        alike: dict[object, list[EncodedPoint]] = {}
        for place in space.compiled.encoder.places:
            if place.entry.shape == SINGLE and not place.scaled and place.entry.mutable:
                alike.setdefault(likeness(place.entry), []).append(place)
        counted = [places for places in alike.values() if len(places) > 1]
        # (columns of the view, counts): the view times it counts each value over the points of a group.
        self.counts = np.zeros((space.compiled.encoder.width, sum(places[0].width for places in counted)))
        column = 0
        for places in counted:
            for place in places:
                self.counts[
                    np.arange(place.start, place.start + place.width), np.arange(column, column + place.width)
                ] = COUNTED
            column += places[0].width

    def __call__(self, batch: Batch) -> Floats:
        """Return the columns of decisions, (rows, columns)."""
        view = self.space.encode(batch).astype(np.float64)
        parts = [view, view @ self.counts]
        for place in self.numbers:
            # exp(-½ (u - c)² / 0.1²), centres c an eighth apart: (rows, centres), zero where there is no
            # number.
            unit, held = self._unit(place, batch, view)
            distance = (unit[:, None] - np.linspace(0.0, 1.0, CENTRES)) / WIDTH
            parts.append(SHARE * np.exp(-0.5 * distance**2) * held[:, None])
        for place in self.numbers:
            if place.scaled:
                view[:, place.start] = 0.0
        return np.concatenate(parts, axis=1)

    @staticmethod
    def _unit(place: EncodedPoint, batch: Batch, view: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return where a number lies in its range, from 0 to 1, and where it exists."""
        entry = place.entry
        if place.scaled:
            flag = view[:, place.start + place.width] if place.flagged else np.ones(len(view))
            return view[:, place.start].copy(), flag > 0
        codes = batch.codes[:, entry.column]
        return codes / (entry.card - 1), codes >= 0

    def kernel(self, first: Floats, second: Floats) -> Floats:
        """Return the kernel between rows, (first, second)."""
        single = first @ second.T / self.points
        return CONSTANT + single + PAIRS * single**2

    def diagonal(self, rows: Floats) -> Floats:
        """Return the kernel of each row with itself."""
        single: Floats = np.einsum("ij,ij->i", rows, rows) / self.points
        return CONSTANT + single + PAIRS * single**2


def _numeric(place: EncodedPoint) -> bool:
    entry = place.entry
    ordered = entry.shape == SINGLE and isinstance(entry.domain, IntRange | FloatRange)
    return entry.shape == REAL or (ordered and entry.card > 2)


def likeness(entry: Entry) -> object:
    """Return what points have in common whose addresses differ in indices only, as those of turns do."""
    return re.sub(r"\[[^\]]*\]|\d+", "", entry.point.address), tuple(map(label_key, entry.domain.values()))


class RankModel(Frozen):
    """The posterior of a `RankRidge`.

    Args:
        features: the columns.
        rows: (n, columns) of the decisions fitted to.
        dual: (n,) weights of the mean.
        half: (n, n) square root of the inverse of kernel plus noise.
        scaling: level and scale of the values, and the variance of the scaled ones per unit of the kernel.
        fitted: (n,) what is expected of the decisions fitted to.
    """

    def __init__(
        self,
        features: Features,
        rows: Floats,
        dual: Floats,
        half: Floats,
        scaling: tuple[float, ...],
        fitted: Floats,
    ) -> None:
        super().__init__(fitted)
        self.features = features
        self.rows = rows
        self.dual = dual
        self.half = half
        self.scaling = scaling

    def predict(self, batch: Batch) -> Prediction:
        """Return mean and standard deviation of every decision's value."""
        level, scale, variance = self.scaling
        rows = self.features(batch)
        cross = self.features.kernel(rows, self.rows)
        explained = ((cross @ self.half) ** 2).sum(axis=1)
        unsure = np.maximum(self.features.diagonal(rows) - explained, 1e-12)
        return Prediction(level + scale * (cross @ self.dual), scale * np.sqrt(variance * unsure))
