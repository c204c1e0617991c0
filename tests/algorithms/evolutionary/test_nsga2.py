"""The generations of NSGA-II, followed by hand; ranks and crowding are tested where they are defined."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from symnas.algorithms import find
from symnas.algorithms.evolutionary.nsga2 import NSGA2, Parents
from symnas.algorithms.random import Random
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.testing.contract import AlgorithmContract, planted_pair, simulate
from symnas.tree.choices import OneOf
from symnas.tree.space import Decision, Space

WIDE = Space(tuple(OneOf(f"p{number}", tuple(range(9))) for number in range(6)))


class TestNSGA2(AlgorithmContract):
    seeds = 12

    def make(self) -> Algorithm:
        return NSGA2()


class TestSmallNSGA2(AlgorithmContract):
    seeds = 12

    def make(self) -> Algorithm:
        return NSGA2(population=20, mutations=1.5)


class TestNSGA2WithRepeats(AlgorithmContract):
    exhausts = learns = False  # the two above show the learning

    def make(self) -> Algorithm:
        return NSGA2(population=20, repeats=True)


def done(*values: float) -> Outcome:
    return Outcome(Status.DONE, values)


def uniform(value: int) -> Decision:
    return WIDE.decision(dict.fromkeys(WIDE.addresses, value))


def made_of(algorithm: NSGA2, seed: int = 0) -> set[object]:
    """Return the values that occur in unmutated children."""
    children = algorithm.propose(400, np.random.default_rng(seed))
    return {value for child in children for value in child.values()}


def unmutated(**options: object) -> NSGA2:
    # One point in a million mutates.
    algorithm = NSGA2(mutations=1e-6, repeats=True, **options)  # type: ignore[arg-type]
    algorithm.setup(WIDE)
    return algorithm


def test_a_generation_keeps_the_front_and_breeds_from_it() -> None:
    algorithm = unmutated(population=3)
    first = WIDE.batch([uniform(value) for value in (0, 1, 2)])
    algorithm.observe(first, [done(0, 0), done(1, 3), done(2, 2)])
    assert made_of(algorithm) == {0, 1, 2}
    second = WIDE.batch([uniform(value) for value in (3, 4, 5)])
    # 3 joins the front, 4 and 5 are dominated. Not before the third of the generation has ended.
    algorithm.observe(second[:2], [done(3, 1), done(0.5, 0.5)])
    assert made_of(algorithm) == {0, 1, 2}
    algorithm.observe(second[2:], [done(1, 1)])
    assert made_of(algorithm) == {1, 2, 3}


def test_of_a_front_that_is_too_large_the_crowded_go() -> None:
    algorithm = unmutated(population=4)
    batch = WIDE.batch([uniform(value) for value in range(8)])
    # All on one line: the ends stay, and of the others the two with the longest way between their neighbours.
    firsts = [0.0, 1.0, 1.1, 1.2, 5.0, 8.0, 9.9, 10.0]
    algorithm.observe(batch, [done(x, -x) for x in firsts])
    gaps = {place: firsts[place + 1] - firsts[place - 1] for place in range(1, 7)}
    expected = {0, 7, *sorted(gaps, key=gaps.__getitem__)[-2:]}
    assert made_of(algorithm) == expected == {0, 4, 5, 7}


def test_failures_end_a_generation_and_never_breed() -> None:
    algorithm = unmutated(population=2)
    algorithm.observe(WIDE.batch([uniform(0), uniform(1)]), [done(0, 1), done(1, 0)])
    lost = [Outcome(Status.INFEASIBLE), Outcome(Status.FAILED)]
    algorithm.observe(WIDE.batch([uniform(2), uniform(3)]), lost)
    algorithm.observe(WIDE.batch([uniform(4)]), [done(9, 9)])
    assert made_of(algorithm) == {0, 1}
    algorithm.observe(WIDE.batch([uniform(5)]), [Outcome(Status.PRUNED, (8, float("inf")))])
    assert (
        made_of(algorithm) == {0, 1, 4} - {0} or made_of(algorithm) == {1, 4} or made_of(algorithm) == {0, 4}
    )


def test_founders_are_drawn_until_enough_have_a_result() -> None:
    algorithm = NSGA2(population=4, crossover=0.0, mutations=1e-6)
    algorithm.setup(WIDE)
    batch = algorithm.propose(4, np.random.default_rng(0))
    algorithm.observe(batch, [RUNNING] * 4)
    algorithm.observe(batch[:3], [done(1.0, 0.0), Outcome(Status.FAILED), Outcome(Status.OOM)])
    after = algorithm.propose(5, np.random.default_rng(1))
    near = [len(Decision.diff(batch[0], child).changed) <= 1 for child in after]
    # One result and one running: two founders are missing; copies of the only parent mutate until new.
    assert near == [False, False, True, True, True]


def test_tournaments_go_by_rank_then_by_room() -> None:
    batch = WIDE.batch([uniform(value) for value in range(4)])
    values = np.array([(0.0, 4.0), (3.0, 3.0), (4.0, 0.0), (0.0, 0.0)])
    parents = Parents.best(batch, values, 4)
    winners = parents.winners(8000, np.random.default_rng(0))
    counts = Counter(decision["p0"] for decision in winners)
    # Two ends are alike and lose to nobody; the middle loses to them, and the dominated to all.
    expected = {0: 6 / 16, 2: 6 / 16, 1: 3 / 16, 3: 1 / 16}
    for value, share in expected.items():
        assert counts[value] / 8000 == pytest.approx(share, abs=0.02)


def test_trials_that_run_over_the_end_of_a_generation_count_for_the_next() -> None:
    algorithm = unmutated(population=2)
    batch = WIDE.batch([uniform(value) for value in range(5)])
    algorithm.observe(batch, [RUNNING] * 5)
    algorithm.observe(batch[:2], [done(0, 1), done(1, 0)])
    algorithm.observe(batch[2:3], [done(2, 2)])
    assert made_of(algorithm) == {0, 1}
    algorithm.observe(batch[3:], [done(3, 3), done(4, 4)])
    assert made_of(algorithm) == {2, 3}


def test_points_mutate_as_often_as_the_rate_says() -> None:
    algorithm = NSGA2(population=2, crossover=0.0, mutations=2.0, repeats=True)
    algorithm.setup(WIDE)
    algorithm.observe(WIDE.batch([uniform(0)] * 2), [done(1, 1)] * 2)
    children = algorithm.propose(3000, np.random.default_rng(0))
    moved = np.array([len(Decision.diff(uniform(0), child).changed) for child in children])
    assert (moved == 0).mean() == pytest.approx((1 - 2 / 6) ** 6, abs=0.03)


def test_with_one_objective_it_finds_the_best() -> None:
    space = Space(tuple(OneOf(f"p{number}", (0, 1, 2, 3)) for number in range(6)))
    log = simulate(NSGA2(population=10), space, lambda d: done(float(sum(d.values()))), trials=300)
    assert log.best == 18


@pytest.mark.slow
def test_its_front_is_far_ahead_of_random_search() -> None:
    volumes = []
    for seed in range(10):
        space, evaluate = planted_pair(seed)
        runs = [
            simulate(a, space, evaluate, trials=1000, seed=seed) for a in (NSGA2(population=40), Random())
        ]
        volumes.append([run.volume((0.0, 0.0)) for run in runs])
    own, chance = np.mean(volumes, axis=0)
    assert own > 1.5 * chance


def test_it_has_a_name() -> None:
    assert find("nsga2") is NSGA2
