"""What a decision is worth trying for, given what a surrogate expects of it."""

from __future__ import annotations

import math

import numpy as np

from symnas._typing import Floats
from symnas.contracts.algorithm import Prediction

ACQUISITIONS = ("ei", "ucb", "thompson")

ROOT2 = math.sqrt(2.0)
LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)
# Below the first, the terms of the expected improvement cancel; below the second it has an expansion.
NEAR, FAR = -1.0, -30.0
TAIL_NEAR = 0.5 * math.erfc(-NEAR / ROOT2)


def scores(name: str, expected: Prediction, best: float, kappa: float, rng: np.random.Generator) -> Floats:
    """Return the value of an acquisition function for every row; larger is more worth trying.

    Args:
        name: "ei", "ucb" or "thompson".
        expected: means and standard deviations, (rows,) each; for "ei" those of `Model.gains`, so that what
            improves is what is expected after one more evaluation. Improvement of the values themselves
            would count as such that the best is not known exactly, under noise, and try the likes of it
            for ever.
        best: the largest value that the surrogate expects of anything tried. Under noise the largest value
            seen is one that was lucky, and nothing would seem to improve on it.
        kappa: how many standard deviations "ucb" adds.
        rng: the randomness of "thompson".
    """
    if name == "ei":
        return log_expected_improvement(expected, best)
    if name == "ucb":
        return upper_confidence_bound(expected, kappa)
    return thompson(expected, rng)


def log_expected_improvement(expected: Prediction, best: float) -> Floats:
    """Return the logarithm of E[max(f - best, 0)] for f normal, finite however small the expectation is.

    Mockus, Tiesis, Zilinskas 1978; in logarithms as in Ament et al.: Unexpected Improvements to Expected
    Improvement for Bayesian Optimization, NeurIPS 2023 (arXiv:2310.20708).

    Args:
        expected: means and standard deviations, (rows,) each.
        best: what there is to improve on.
    """
    # With z = (mean - best) / std, density φ and distribution function Φ of the standard normal:
    # EI = std · h(z), h(z) = φ(z) + z Φ(z). Three formulas for log h, each exact where it is used.
    std = np.maximum(expected.std, 1e-12)
    z = (expected.mean - best) / std
    high, middle, low = np.maximum(z, NEAR), np.clip(z, FAR, NEAR), np.minimum(z, FAR)
    tail = _tail(np.maximum(z, FAR))
    above = np.log(np.exp(_log_density(high)) + high * np.maximum(tail, TAIL_NEAR))
    # The two terms cancel below; as multiples of the density they keep their digits.
    log_density = _log_density(middle)
    between = log_density + np.log1p(middle * np.minimum(tail, TAIL_NEAR) / np.exp(log_density))
    # h(z) = φ(z) / z² · (1 - 3 / z² + …) for z to minus infinity.
    below = _log_density(low) + np.log1p(-3.0 / low**2) - 2.0 * np.log(-low)
    return np.log(std) + np.where(z > NEAR, above, np.where(z > FAR, between, below))


def _log_density(z: Floats) -> Floats:
    return -0.5 * z * z - LOG_ROOT_2PI


def _tail(z: Floats) -> Floats:
    """Return the normal distribution function, exact to the last digits far below 0."""
    return 0.5 * np.array([math.erfc(-value / ROOT2) for value in z.tolist()])


def upper_confidence_bound(expected: Prediction, kappa: float) -> Floats:
    """Return mean + kappa · standard deviation.

    Srinivas, Krause, Kakade, Seeger: Gaussian Process Optimization in the Bandit Setting, ICML 2010
    (arXiv:0912.3995).
    """
    return expected.mean + kappa * expected.std


def thompson(expected: Prediction, rng: np.random.Generator) -> Floats:
    """Return one draw per row from its own normal distribution, rows independent of each other.

    White, Neiswanger, Savani: BANANAS, AAAI 2021 (arXiv:1910.11858), "independent Thompson sampling".
    """
    return expected.mean + expected.std * rng.standard_normal(len(expected.mean))
