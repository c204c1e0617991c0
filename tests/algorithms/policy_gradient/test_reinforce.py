"""Reinforce: the contract, its rewards by hand, and what its settings do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from symnas.algorithms.policy_gradient.lstm import LSTMPolicy
from symnas.algorithms.policy_gradient.policies import Adam, FactorisedPolicy
from symnas.algorithms.policy_gradient.reinforce import Reinforce, Rewards
from symnas.algorithms.random import Random
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.contracts.registry import resolve
from symnas.errors import AlgorithmError
from symnas.testing.contract import AlgorithmContract, planted, simulate, small_space
from symnas.tree.choices import OneOf
from symnas.tree.space import Space

QUICK = {
    "controller": "factorised",
    "batch": 1,
    "lr": 0.1,
    "baseline": 0.9,
    "tanh_constant": None,
    "normalise": True,
}


def done(value: float) -> Outcome:
    return Outcome(Status.DONE, (value,))


class TestReinforceAsPublished(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return Reinforce()


SMALL_BUDGET = {
    "batch": 1, "lr": 0.01, "baseline": 0.9, "tanh_constant": 2.5, "normalise": True, "heads": "point",
}  # fmt: skip


class TestReinforceWithMemory(AlgorithmContract):
    """Nothing twice, and a memory."""

    learns = False

    def make(self) -> Algorithm:
        return Reinforce(**SMALL_BUDGET, memory=20, memory_weight=0.01, repeats=False)


@pytest.mark.slow
def test_the_lstm_beats_random_search_on_a_small_budget() -> None:
    ahead = 0
    for seed in range(8):
        space, evaluate = planted(seed)
        mine, chance = (
            simulate(algorithm, space, evaluate, trials=200, seed=seed).best
            for algorithm in (Reinforce(**SMALL_BUDGET), Random())
        )
        ahead += mine > chance
    # Eight of eight, or seven: p = 0.035 by the sign test.
    assert ahead >= 7


class TestFactorisedReinforce(AlgorithmContract):
    exhausts = False
    trials, seeds = 200, 8

    def make(self) -> Algorithm:
        return Reinforce(**QUICK)


class TestFactorisedReinforceWithoutRepeats(AlgorithmContract):
    trials, seeds = 200, 8

    def make(self) -> Algorithm:
        return Reinforce(**QUICK, repeats=False)


def test_the_moving_average_takes_a_reward_in_before_it_is_compared() -> None:
    rewards = Rewards(0.9, normalise=False)
    assert rewards.advantage(None) == 0.0
    assert rewards.advantage(1.0) == pytest.approx(1.0 - 0.1)
    assert rewards.advantage(0.5, bonus=0.2) == pytest.approx(0.7 - (0.09 + 0.07))
    # What gave no result counts as the worst so far.
    assert rewards.advantage(None) == pytest.approx(0.5 - (0.9 * 0.16 + 0.05))


def test_normalised_rewards_do_not_depend_on_their_scale() -> None:
    values = [0.3, None, 0.9, 0.1, 0.5]
    plain, scaled = Rewards(0.9, normalise=True), Rewards(0.9, normalise=True)
    for value in values:
        other = None if value is None else 1000.0 * value - 7.0
        assert plain.advantage(value) == pytest.approx(scaled.advantage(other))


def test_an_update_is_the_gradient_of_advantage_times_log_probability() -> None:
    """By hand: two points of two candidates, three results at once, plain Adam at its first step."""
    space = Space((OneOf("a", (0, 1)), OneOf("b", (0, 1))))
    algorithm = Reinforce(
        controller="factorised", batch=3, lr=0.5, tanh_constant=None, baseline=1.0, entropy=0.0
    )
    algorithm.setup(space)
    batch = space.batch([space.decision({"a": a, "b": b}) for a, b in ((0, 0), (1, 0), (1, 1))])
    algorithm.observe(batch, [done(1.0), done(2.0), done(4.0)])
    # Every probability is 1/2, so a decision's score is +1/2 for what it took and -1/2 for the rest.
    first = np.array([-(2 + 4 - 1) / 6, (2 + 4 - 1) / 6, (1 + 2 - 4) / 6, -(1 + 2 - 4) / 6])
    expected = 0.5 * first / (np.abs(first) + 1e-3)
    policy = algorithm.policy
    assert isinstance(policy, FactorisedPolicy)
    assert policy.parameters[0] == pytest.approx(expected)


def test_updates_wait_for_a_whole_batch_of_results() -> None:
    space, evaluate = planted(0)
    algorithm = Reinforce(controller="factorised", batch=4)
    algorithm.setup(space)
    batch = space.sample(7, np.random.default_rng(0))
    outcomes = [evaluate(decision) for decision in batch]
    policy = algorithm.policy
    assert isinstance(policy, FactorisedPolicy)
    algorithm.observe(batch, [RUNNING] * 7)
    algorithm.observe(batch[:3], outcomes[:3])
    assert not policy.parameters[0].any()
    algorithm.observe(batch[3:], outcomes[3:])
    assert policy.moments.steps == 1
    assert len(algorithm._waiting) == 3


def test_one_at_a_time_or_all_at_once_is_the_same() -> None:
    space, evaluate = planted(1)
    batch = space.sample(20, np.random.default_rng(0))
    outcomes = [evaluate(decision) for decision in batch]
    whole, single = (Reinforce(batch=4, memory=6) for _ in range(2))
    for algorithm in (whole, single):
        algorithm.setup(space)
    whole.observe(batch, outcomes)
    for row in range(20):
        single.observe(batch[row : row + 1], outcomes[row : row + 1])
    assert whole.propose(5, np.random.default_rng(3)) == single.propose(5, np.random.default_rng(3))


def test_the_entropy_bonus_keeps_the_policy_open() -> None:
    space, evaluate = planted(2)
    left = []
    for entropy in (0.0, 0.2):
        algorithm = Reinforce(**{**QUICK, "entropy": entropy})
        simulate(algorithm, space, evaluate, trials=300)
        drawn = algorithm.policy.sample(50, np.random.default_rng(0))
        left.append(float(algorithm.policy.entropy(drawn).mean()))
    assert left[1] > left[0] + 0.5


@pytest.mark.slow
def test_the_controller_as_published_learns_in_thousands_of_trials() -> None:
    space, evaluate = planted(0, points=6, candidates=4)
    algorithm = Reinforce()
    log = simulate(algorithm, space, evaluate, trials=4000)
    assert np.mean(log.values[-400:]) > np.mean(log.values[:400]) + 0.25


def test_the_lstm_learns_joint_choices_that_a_factorised_policy_cannot() -> None:
    """Two decisions that share nothing, equally good: two separate coins would give their mixes as well."""
    space = Space((OneOf("a", (0, 1)), OneOf("b", (0, 1))))
    both = space.batch([space.decision({"a": code, "b": code}) for code in (0, 1)])
    chances = []
    for policy in (LSTMPolicy(space, adam=Adam(0.02)), FactorisedPolicy(space, adam=Adam(0.02))):
        for _ in range(300):
            policy.reinforce(both, np.ones(2))
        chances.append(np.exp(torch.as_tensor(policy.log_prob(both)).detach().numpy()))
    assert (chances[0] > 0.45).all()
    assert chances[1].min() <= 0.25 + 1e-9


@pytest.mark.parametrize("options", [QUICK, {"controller": "factorised", "batch": 1}, {"batch": 1}])
def test_absurd_values_are_survived(options: dict[str, Any]) -> None:
    space, _ = planted(0)
    values = iter([1e308, -1e308, 1e60, float("inf"), 0.1, -1e39, 3.0] * 3)
    log = simulate(Reinforce(**options), space, lambda _: done(next(values)), trials=20)
    assert len(log.decisions) == 20
    assert [space.decision(decision.flat()) for decision in log.decisions] == log.decisions


@pytest.mark.parametrize("controller", ["lstm", "factorised"])
def test_a_study_of_failures_teaches_nothing_and_a_late_one_avoids_them(controller: str) -> None:
    space = Space((OneOf("a", ("good", "bad")),))
    algorithm = Reinforce(
        controller=controller,
        batch=1,
        lr=0.05,
        baseline=0.9,
        tanh_constant=None,
        normalise=True,
        heads="point",
    )
    algorithm.setup(space)
    before = algorithm.propose(40, np.random.default_rng(0))
    batch = space.sample(5, np.random.default_rng(0))
    ways = (Status.FAILED, Status.NAN, Status.OOM, Status.TIMEOUT, Status.INFEASIBLE)
    algorithm.observe(batch, [Outcome(way) for way in ways])
    algorithm.observe(batch[:2], [done(float("nan")), done(float("-inf"))])
    assert algorithm.propose(40, np.random.default_rng(0)) == before

    def evaluate(decision: Any) -> Outcome:
        return Outcome(Status.FAILED) if decision["a"] == "bad" else done(1.0)

    # One success that was not the best makes failures worse than it.
    algorithm.observe(batch[:1], [done(0.5)])
    log = simulate_on(algorithm, space, evaluate, 120)
    assert log[-40:].count("bad") < 10


def simulate_on(algorithm: Algorithm, space: Space, evaluate: Any, trials: int) -> list[Any]:
    chosen = []
    for call in range(trials):
        batch = algorithm.propose(1, np.random.default_rng([7, call]))
        algorithm.observe(batch, [evaluate(batch[0])])
        chosen.append(batch[0]["a"])
    return chosen


def test_without_repeats_a_sharp_policy_still_finds_the_rest() -> None:
    space = small_space()
    log = simulate(
        Reinforce(**{**QUICK, "lr": 5.0}, repeats=False),
        space,
        lambda d: done(float(d["width"])),
        trials=99,
        workers=3,
    )
    assert log.exhausted
    assert len(set(log.decisions)) == len(log.decisions) == space.size


def test_a_search_leaves_the_global_generator_of_torch_alone() -> None:
    before = torch.random.get_rng_state()
    space, evaluate = planted(0)
    simulate(Reinforce(batch=2, memory=4), space, evaluate, trials=10)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_registry_knows_it_and_passes_options() -> None:
    algorithm = resolve("reinforce", {"controller": "factorised", "lr": 0.2})
    assert isinstance(algorithm, Reinforce)
    assert algorithm.lr == 0.2


def test_importing_it_loads_no_torch() -> None:
    code = (
        "import sys; from symnas.algorithms import Reinforce; a = Reinforce(controller='factorised'); "
        "from symnas.testing import planted; a.setup(planted(0)[0]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"controller": "lstn"},
            r"controller is one of 'lstm', 'factorised'; got 'lstn' \(did you mean 'lstm'\?\)",
        ),
        ({"batch": 0}, "batch is a whole number of at least 1; got 0"),
        ({"lr": 0}, "lr is a number above 0; got 0"),
        ({"baseline": 0.0}, r"baseline is a number above 0 and at most 1; got 0\.0"),
        ({"baseline": 1.5}, r"baseline is a number above 0 and at most 1; got 1\.5"),
        ({"entropy": -1}, "entropy is a number of at least 0; got -1"),
        (
            {"memory": 5, "controller": "factorised"},
            "only the LSTM controller has a state that a memory could train",
        ),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AlgorithmError, match=message):
        Reinforce(**options)
