"""Algorithms that breed and climb, on every kind of space that the laws of the tree are tested on."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import spaces

from symnas.algorithms import NSGA2, LocalSearch, RegularizedEvolution
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import Outcome, Status
from symnas.testing.contract import simulate, small_space
from symnas.tree.space import Decision

NEW = [
    RegularizedEvolution(population=5, tournament=2, crossover=0.5, adaptive=True, repeats=False),
    NSGA2(population=5),
    LocalSearch(starts=2),
    LocalSearch(move="best", starts=1, start="default", restart="near"),
]
AGAIN = [
    RegularizedEvolution(population=5, tournament=2, crossover=0.5, mutations=2),
    NSGA2(population=4, repeats=True),
]


def evaluate(decision: Decision) -> Outcome:
    """Return two values, and one time in eight none."""
    first, second = (int(decision.key[place : place + 2], 16) for place in (0, 2))
    if first % 8 == 0:
        return Outcome(Status.INFEASIBLE)
    return Outcome(Status.DONE, (float(first), float(second)))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(spaces(), st.sampled_from(NEW + AGAIN))
def test_proposals_belong_to_the_space_and_are_new_where_that_is_promised(space, algorithm) -> None:  # type: ignore[no-untyped-def]
    log = simulate(algorithm.fresh(), space, evaluate, trials=30, workers=3)
    for decision in log.decisions:
        space.validate(decision.flat())
    if algorithm in NEW and space.size < 1_000_000:
        assert len(set(log.decisions)) == len(log.decisions) == min(30, space.size)


@pytest.mark.parametrize("algorithm", NEW + AGAIN, ids=lambda algorithm: type(algorithm).__name__)
def test_what_fails_always_is_searched_to_the_end(algorithm: Algorithm) -> None:
    log = simulate(algorithm, small_space(), lambda _: Outcome(Status.OOM), trials=60, workers=3)
    assert log.exhausted == (algorithm in NEW)
    assert len(log.decisions) == (36 if algorithm in NEW else 60)
