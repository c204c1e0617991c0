"""Acquisition functions against quadrature, limits and counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from symnas.algorithms.bayesian.acquisition import (
    log_expected_improvement,
    scores,
    thompson,
    upper_confidence_bound,
)
from symnas.contracts.algorithm import Prediction


def expectation(mean: float, std: float, best: float) -> float:
    """Integrate max(f - best, 0) over the density of f by Gauss and Legendre, from where it is not zero."""
    low, high = max(best, mean - 12 * std), max(best, mean) + 12 * std
    nodes, weights = np.polynomial.legendre.leggauss(200)
    at = low + (high - low) * (nodes + 1) / 2
    density = np.exp(-0.5 * ((at - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    return float((np.maximum(at - best, 0.0) * density) @ weights * (high - low) / 2)


def expected(mean: float | NDArray[np.float64], std: float | NDArray[np.float64]) -> Prediction:
    return Prediction(np.atleast_1d(np.float64(mean)), np.atleast_1d(np.float64(std)))


@pytest.mark.parametrize("z", [-9.0, -5.0, -2.0, -1.0, -0.999, 0.0, 0.5, 3.0, 11.0])
@pytest.mark.parametrize("std", [0.01, 1.0, 30.0])
def test_expected_improvement_agrees_with_quadrature(z: float, std: float) -> None:
    got = log_expected_improvement(expected(2.0 + z * std, std), 2.0)[0]
    assert math.exp(got) == pytest.approx(expectation(2.0 + z * std, std, 2.0), rel=1e-8)


def test_expected_improvement_is_finite_and_rises_without_a_step_where_it_underflows() -> None:
    z = np.concatenate([np.linspace(-200.0, -20.0, 400), np.linspace(-30.001, -29.999, 21)])
    z.sort()
    logs = log_expected_improvement(expected(z, np.ones_like(z)), 0.0)
    assert np.isfinite(logs).all()
    slopes = np.diff(logs) / np.diff(z)
    assert (slopes > 0).all()
    # The slope of log EI approaches -z; a step between the two formulas would show as an outlier.
    assert np.allclose(slopes, -(z[1:] + z[:-1]) / 2, rtol=0.02)


def test_without_uncertainty_only_a_better_mean_improves() -> None:
    logs = log_expected_improvement(expected(np.array([0.9, 1.5]), np.zeros(2)), 1.0)
    assert math.exp(logs[1]) == pytest.approx(0.5)
    assert logs[0] < -1e6


def test_upper_confidence_bound_is_the_quantile_that_kappa_stands_for() -> None:
    assert upper_confidence_bound(expected(1.0, 2.0), 0.0)[0] == 1.0
    drawn = np.random.default_rng(0).normal(1.0, 2.0, 200_000)
    bound = upper_confidence_bound(expected(1.0, 2.0), 1.0)[0]
    assert (drawn < bound).mean() == pytest.approx(0.8413, abs=0.003)


def test_thompson_picks_a_row_as_often_as_it_is_the_best() -> None:
    rows = expected(np.array([0.0, 0.5]), np.array([1.0, 0.2]))
    rng = np.random.default_rng(1)
    wins = np.mean([thompson(rows, rng).argmax() == 0 for _ in range(4000)])
    # P(N(0, 1) > N(0.5, 0.04)) by the difference of two normals.
    chance = 0.5 * math.erfc(0.5 / math.sqrt(2 * (1.0 + 0.04)))
    assert wins == pytest.approx(chance, abs=4 * 0.5 / math.sqrt(4000))


def test_names_choose_the_function() -> None:
    rows = expected(np.array([0.0, 1.0]), np.array([1.0, 0.5]))
    rng = np.random.default_rng(0)
    assert np.array_equal(scores("ei", rows, 0.5, 1.0, rng), log_expected_improvement(rows, 0.5))
    assert np.array_equal(scores("ucb", rows, 0.5, 2.0, rng), np.array([2.0, 2.0]))
    drawn = scores("thompson", rows, 0.5, 1.0, np.random.default_rng(3))
    assert np.array_equal(drawn, thompson(rows, np.random.default_rng(3)))
