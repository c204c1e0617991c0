"""The default algorithm: the contract, and that each rule hands over to what it names."""

from __future__ import annotations

import numpy as np
import pytest

from symnas.algorithms.auto import WIDEST, Auto
from symnas.algorithms.bayesian.smbo import SMBO
from symnas.algorithms.evolutionary.nsga2 import NSGA2
from symnas.algorithms.evolutionary.regularized_evolution import RegularizedEvolution
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import Outcome, Status
from symnas.testing.contract import AlgorithmContract, planted, simulate
from symnas.tree.choices import OneOf
from symnas.tree.space import Space


class TestAuto(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Auto()


@pytest.mark.thorough
class TestAutoAfterTheModel(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Auto(modelled=10)


def proposals(algorithm: Algorithm, space: Space, outcomes: list[Outcome]) -> list[object]:
    """Return what is proposed after the same random decisions with these outcomes, by one call for each."""
    algorithm.setup(space)
    batch = space.sample(len(outcomes), np.random.default_rng(3))
    algorithm.observe(batch, outcomes)
    return [algorithm.propose(1, np.random.default_rng(seed))[0] for seed in range(6)]


def test_one_objective_goes_to_the_model() -> None:
    space, _ = planted(0)
    outcomes = [Outcome(Status.DONE, (float(number),)) for number in range(12)]
    assert proposals(Auto(), space, outcomes) == proposals(SMBO(), space, outcomes)


def test_several_objectives_go_to_nsga2() -> None:
    space, _ = planted(0)
    outcomes = [Outcome(Status.DONE, (float(number), -float(number))) for number in range(60)]
    assert proposals(Auto(), space, outcomes) == proposals(NSGA2(population=40), space, outcomes)


def test_a_space_too_wide_for_a_model_goes_to_evolution() -> None:
    space = Space(tuple(OneOf(f"p{number}", tuple(range(50))) for number in range(WIDEST // 50 + 1)))
    outcomes = [Outcome(Status.DONE, (float(number),)) for number in range(60)]
    evolution = RegularizedEvolution(population=50, tournament=10, repeats=False)
    assert proposals(Auto(), space, outcomes) == proposals(evolution, space, outcomes)


def test_after_the_model_most_proposals_are_children() -> None:
    space, evaluate = planted(2)
    algorithm = Auto(modelled=20)
    log = simulate(algorithm, space, evaluate, trials=100)
    asked = [algorithm._chosen(np.random.default_rng(seed)) for seed in range(400)]
    assert sum(isinstance(inner, SMBO) for inner in asked) == pytest.approx(100, abs=35)
    assert len(set(log.decisions)) == 100


def test_more_trials_later_change_nothing_about_the_first() -> None:
    space, evaluate = planted(3)
    short = simulate(Auto(modelled=15), space, evaluate, trials=25)
    long = simulate(Auto(modelled=15), space, evaluate, trials=40)
    assert long.decisions[:25] == short.decisions


def test_what_is_expected_is_what_the_model_expects() -> None:
    space, evaluate = planted(4)
    auto, model = Auto(), SMBO()
    log = simulate(auto, space, evaluate, trials=15)
    model.setup(space)
    for batch, outcomes in log.events:
        model.observe(batch, outcomes)
    others = space.sample(5, np.random.default_rng(0))
    assert np.array_equal(auto.predict(others).mean, model.predict(others).mean)
