"""The evolution of single-path one-shot search."""

from __future__ import annotations

import numpy as np
import pytest

from symnas.algorithms import SinglePath
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import AlgorithmError
from symnas.testing.contract import AlgorithmContract, simulate
from symnas.tree.choices import OneOf
from symnas.tree.space import Decision, Space


class TestSinglePath(AlgorithmContract):
    def make(self) -> Algorithm:
        return SinglePath(population=20, parents=5, mutants=10)


SPACE = Space(tuple(OneOf(f"p{place:02}", tuple("abcd")) for place in range(20)))


def value(decision: Decision) -> Outcome:
    return Outcome(Status.DONE, (float(sum(label == "d" for label in decision.values())),))


def test_the_published_settings() -> None:
    made = SinglePath()
    assert made.usual_trials == 1000
    assert (made.population, made.parents, made.mutants, made.mutation) == (50, 10, 25, 0.1)
    assert made.sharing == {"policy": "uniform"}
    assert made.capabilities.shared_weights


def test_generations_are_bred_from_the_best_of_all_before_them() -> None:
    made = SinglePath(population=10, parents=3, mutants=5)
    log = simulate(made, SPACE, value, trials=60, seed=1)
    for generation in range(1, 6):
        earlier = range(generation * 10)
        best = sorted(earlier, key=lambda place: (-log.values[place], place))[:3]
        parents = [log.decisions[place] for place in best]
        for place in range(generation * 10, generation * 10 + 10):
            child = log.decisions[place]
            if place % 10 < 5:
                assert min(changes(child, parent) for parent in parents) <= 8
            else:
                explained = [
                    sum(child[a] not in (one[a], two[a]) for a in child) for one in parents for two in parents
                ]
                assert min(explained) <= 1  # one mutation, where crossing gave nothing new
    assert len({decision.key for decision in log.decisions}) == 60
    assert np.mean(log.values[50:]) > np.mean(log.values[:10]) + 2


def changes(one: Decision, other: Decision) -> int:
    return sum(one[address] != other[address] for address in one)


def test_a_tenth_of_the_points_mutates() -> None:
    made = SinglePath(population=200, parents=1, mutants=200)
    log = simulate(made, SPACE, value, trials=400, seed=2)
    parent = log.decisions[int(np.argmax(log.values[:200]))]
    counts = [changes(child, parent) for child in log.decisions[200:]]
    assert np.mean(counts) == pytest.approx(2.1, abs=0.25)  # 20 points, and one at least


def test_a_small_space_is_exhausted() -> None:
    space = Space((OneOf("a", (1, 2, 3)), OneOf("b", (1, 2))))
    log = simulate(SinglePath(population=2, parents=1, mutants=1), space, value, trials=20)
    assert log.exhausted
    assert len({decision.key for decision in log.decisions}) == 6


def test_wrong_options_say_what_is_right() -> None:
    with pytest.raises(AlgorithmError, match="population is a whole number of at least 2; got 1"):
        SinglePath(population=1)
