from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from relaxed_by_hand import OPS, ByHand, Stub

import symnas.contracts
from symnas.contracts.relaxed_points import RelaxedPoint, derive, expected_cost, owners, shares, skip_share
from symnas.errors import AlgorithmError

POINTS = ByHand().points
ADDRESSES = [point.address for point in POINTS]


def numbers(low: float) -> st.SearchStrategy[dict[str, list[float]]]:
    """Draw a number for every candidate of every point."""
    each = {
        point.address: st.lists(
            st.floats(low, 1.0), min_size=len(point.labels), max_size=len(point.labels), unique=True
        )
        for point in POINTS
    }
    return st.fixed_dictionaries(each)


def index(address: str, value: Any) -> int:
    """Return which candidate a decision has."""
    label = value[0] if isinstance(value, tuple) else value
    return POINTS[ADDRESSES.index(address)].labels.index(label)


def worth(decision: Mapping[str, Any], scores: Mapping[str, list[float]], edge_scores: bool) -> float:
    """Return what deriving is to maximise, for one decision."""
    if decision["op"] == "none":
        return -1.0
    edge = decision["edges"][0]
    own = scores["edges"][index("edges", edge)] if edge_scores else 1.0
    inner = f"{edge}.op"
    return 10 * scores["op"][index("op", decision["op"])] + own * scores[inner][index(inner, decision[inner])]


@given(numbers(0.01), st.booleans())
@settings(max_examples=40, deadline=None)
def test_derived_decisions_are_the_best_of_all(scores: dict[str, list[float]], edge_scores: bool) -> None:
    given_scores = scores if edge_scores else {**scores, "edges": [1.0, 1.0]}
    best = max(Stub().space.enumerate(), key=lambda decision: worth(decision, scores, edge_scores))
    found = derive(POINTS, given_scores)
    assert worth(found, scores, edge_scores) == pytest.approx(worth(best, scores, edge_scores))
    assert Stub().space.decision(found)["op"] == found["op"]


def test_an_idle_candidate_is_derived_only_where_that_is_allowed() -> None:
    scores = {"op": [0.1, 0.2, 0.7], "edges": [1, 1], "first.op": [1, 2], "second.op": [3, 1]}
    assert derive(POINTS, scores)["op"] == "skip"
    assert derive(POINTS, scores, zero=True)["op"] == "none"
    only = (RelaxedPoint("op", ("none",), zero=(0,)),)
    with pytest.raises(AlgorithmError, match="keeps 1 candidates that pass something on; 'op' has 0 of 1"):
        derive(only, {"op": [1.0]})


def test_several_edges_are_kept_in_the_order_of_the_candidates() -> None:
    point = RelaxedPoint("edges", ("a", "b", "c"), "edges", keep=2)
    assert derive((point,), {"edges": [0.2, 0.1, 0.7]}) == {"edges": ("a", "c")}
    assert derive((point,), {"edges": [0.5, 0.5, 0.5]}) == {"edges": ("a", "b")}
    assert not owners((point,))
    assert owners(POINTS) == {"edges"}


@given(numbers(0.01), numbers(0.0))
@settings(max_examples=40, deadline=None)
def test_the_expected_cost_is_the_mean_over_all_decisions(
    weights: dict[str, list[float]], costs: dict[str, list[float]]
) -> None:
    likely = {a: torch.tensor(w, dtype=torch.float64) for a, w in weights.items()}
    likely = {a: w / w.sum() for a, w in likely.items()}
    mean = 0.0
    for decision in Stub().space.enumerate():
        chance, cost = 1.0, 3.0
        for address, value in decision.items():
            chance *= float(likely[address][index(address, value)])
            cost += costs[address][index(address, value)]
        mean += chance * cost
    proportions = {**likely, "edges": 5 * likely["edges"]}
    assert float(expected_cost(POINTS, proportions, costs, base=3.0)) == pytest.approx(mean)


def test_shares_of_edges_count_as_many_as_are_kept() -> None:
    point = RelaxedPoint("edges", ("a", "b", "c"), "edges", keep=2)
    assert shares((point,), {"edges": torch.ones(3)})["edges"].tolist() == pytest.approx([2 / 3] * 3)


def test_the_gradient_of_the_expected_cost_reaches_every_logit_and_equals_finite_differences() -> None:
    logits = {p.address: torch.randn(len(p.labels), dtype=torch.float64) for p in POINTS}
    costs = {"op": (5.0, 1.0, 0.0), "first.op": (2.0, 1.0), "second.op": (7.0, 0.5)}

    def cost(values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.as_tensor(expected_cost(POINTS, {a: v.softmax(-1) for a, v in values.items()}, costs))

    leaves = {address: own.clone().requires_grad_() for address, own in logits.items()}
    cost(leaves).backward()
    for address, own in logits.items():
        for place in range(len(own)):
            step = torch.zeros_like(own)
            step[place] = 1e-6
            ends = [float(cost({**logits, address: own + sign * step})) for sign in (1, -1)]
            gradient = leaves[address].grad
            assert gradient is not None
            assert bool(gradient.abs().max() > 0)
            assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_the_share_of_skip_connections() -> None:
    values = {"op": "skip", "edges": ("first",), "first.op": "linear"}
    assert skip_share(POINTS, values) == 0.5
    assert skip_share(POINTS, {**values, "first.op": "skip"}) == 1.0
    assert skip_share((RelaxedPoint("op", OPS),), values) == 0.0


def test_names_of_before_are_understood_and_warned_of() -> None:
    with pytest.warns(DeprecationWarning, match="Mix is called Mixture now"):
        assert symnas.contracts.Mix is symnas.contracts.Mixture
    with pytest.warns(DeprecationWarning, match="idle is called zero now"):
        assert RelaxedPoint("op", ("conv", "none"), zero=(1,)).idle == (1,)
    with pytest.warns(DeprecationWarning, match="keeps_idle is called keeps_zero now"):

        class Keeping(symnas.contracts.RelaxedAlgorithm):
            keeps_idle = True

    assert Keeping.keeps_zero
