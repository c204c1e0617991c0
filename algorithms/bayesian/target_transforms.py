"""Values as surrogates see them: a monotone change of scale, and back.

What networks reach is skewed: most of a space is good, some of it fails badly, and the differences that
matter are the small ones at the top. A model of the plain values spends itself on the failures.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from symnas._typing import Floats
from symnas.contracts.algorithm import Prediction

TRANSFORMS = ("soft", "plain", "rank")

# How far below the worst result a trial without one stands: enough to stay away, not to hide the rest.
PENALTY = 1.0

# Nodes and weights that integrate polynomials of degree 31 against a normal density exactly.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class TargetTransform(NamedTuple):
    """Observed values on a model's scale, and what is needed to come back.

    Args:
        kind: "soft" is linear above the median and logarithmic below it; "plain" is linear; "rank" replaces
            values by the normal quantiles of their ranks.
        level: the median (of "plain": the mean).
        scale: root mean square of what lies above the level (of "plain": standard deviation).
        values: (rows,) on the model's scale; a row without a result stands one below the worst.
        knots: for "rank", distinct values with their quantiles, (2, values).
    """

    kind: str
    level: float
    scale: float
    values: Floats
    knots: Floats

    @classmethod
    def of(cls, kind: str, observed: Floats) -> TargetTransform:
        """Return the scale for some values.

        Args:
            kind: "soft", "plain" or "rank".
            observed: (rows,) larger is better, NaN where a trial gave no result; one at least is a number.
        """
        usable = observed[~np.isnan(observed)]
        # A failure counts as the worst value, for level and scale as well, and gets its penalty on the scale.
        values = np.where(np.isnan(observed), usable.min(), observed)
        level = float(values.mean() if kind == "plain" else np.median(values))
        # Scaled by the spread of the upper half: with u = (v - level) / scale, what is good has u of about 1,
        # however far down the failures are.
        above = values if kind == "plain" else values[values >= level]
        with np.errstate(over="ignore"):
            scale = float(np.sqrt(np.mean((above - level) ** 2)))
        # The upper half may be all the same, and squares may overflow.
        if not 0.0 < scale < np.inf:
            scale = float(np.abs(values - level).max()) or 1.0
        knots = _knots(values) if kind == "rank" else np.empty((2, 0))
        made = cls(kind, level, scale, values, knots)
        return made._replace(values=made.forward(values) - PENALTY * np.isnan(observed))

    def forward(self, values: Floats) -> Floats:
        """Return values on the model's scale."""
        if self.kind == "rank":
            return np.asarray(np.interp(values, self.knots[0], self.knots[1]))
        unit = (values - self.level) / self.scale
        if self.kind == "soft":
            # u below 0 becomes -log(1 - u): value and slope, 1, are those of u at 0.
            unit = np.where(unit < 0.0, -np.log1p(np.maximum(-unit, 0.0)), unit)
        return unit

    def back(self, unit: Floats) -> Floats:
        """Return values on the scale on which they were observed."""
        if self.kind == "rank":
            # Nothing is expected beyond the worst and the best value seen, where `interp` stays.
            return np.asarray(np.interp(unit, self.knots[1], self.knots[0]))
        if self.kind == "soft":
            # u = 1 - e^-w. Held at e^50, so that an expectation far below all values stays a number.
            unit = np.where(unit < 0.0, -np.expm1(np.minimum(-unit, 50.0)), unit)
        return self.level + self.scale * unit

    def expectation(self, expected: Prediction) -> Prediction:
        """Return mean and standard deviation on the scale of observation of what is normal on the model's."""
        if self.kind == "plain":
            return Prediction(self.back(expected.mean), self.scale * expected.std)
        # E g(m + s Z), Z standard normal and g = `back`, is about sum_k w_k g(m + s z_k) (Gauss and Hermite):
        # (rows, nodes) @ (nodes,). g(m) alone would be the median, not the mean.
        values = self.back(expected.mean[:, None] + expected.std[:, None] * _NODES)
        mean = values @ _WEIGHTS
        return Prediction(mean, np.sqrt(np.maximum((values - mean[:, None]) ** 2 @ _WEIGHTS, 0.0)))


def _knots(values: Floats) -> Floats:
    distinct, counts = np.unique(values, return_counts=True)
    # Φ⁻¹((r - ½) / n), r being ranks from 1 on, of equal values the mean of theirs.
    shares = (np.cumsum(counts) - 0.5 * counts) / len(values)
    normal = NormalDist()
    return np.array([distinct, [normal.inv_cdf(share) for share in shares.tolist()]])
