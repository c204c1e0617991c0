"""How scores under shared weights order children, against children that are trained alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from shared import make_task, net, ops

import symnas
from symnas.errors import EvaluatorError
from symnas.oneshot.estimator import SharedWeights
from symnas.oneshot.ranking import kendall_tau


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-3, 3)), min_size=2, max_size=30))
def test_tau_is_that_of_scipy(pairs: list[tuple[int, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    with np.errstate(invalid="ignore"):
        expected = stats.kendalltau(first, second).statistic
    assert kendall_tau(first, second) == pytest.approx(expected, nan_ok=True)


def test_weights_that_are_trained_order_children_as_training_them_alone_does() -> None:
    """Children between which the width decides; the untrained ones are worse by far."""
    task = make_task(epochs=6)
    found = symnas.rank_correlation(net(), SharedWeights(task, policy="sandwich"), n=5, seed=2)
    assert len({decision.key for decision in found.decisions}) == 5
    assert found.tau == kendall_tau(found.shared, found.alone)
    assert str(found).startswith("Kendall's tau ")
    child = net().build(found.decisions[0])
    assert task.fit(child, seed=2)["accuracy"] > 0.4


def test_children_trained_alone_are_averaged_over_seeds() -> None:
    supernet = ops().supernet(seed=1)
    both = symnas.rank_correlation(ops(), supernet, make_task(epochs=1), n=3, seeds=2, seed=5)
    first, second = (
        symnas.rank_correlation(ops(), supernet, make_task(epochs=1), n=3, seed=seed) for seed in (5, 6)
    )
    assert first.decisions == both.decisions
    assert all(math.isfinite(score) for score in both.alone)
    assert both.shared == first.shared
    assert len(set(second.alone) | set(first.alone)) > 3


def test_what_is_missing_is_told() -> None:
    with pytest.raises(EvaluatorError, match="a supernet has none: pass one as task="):
        symnas.rank_correlation(ops(), ops().supernet())
    with pytest.raises(EvaluatorError, match="found 9 different ones: ask for n=9 at most"):
        symnas.rank_correlation(ops(), SharedWeights(make_task()), n=10)
