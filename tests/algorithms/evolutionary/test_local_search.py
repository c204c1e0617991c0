"""Climbs, against greedy ascent written out by hand on landscapes that are listed in full."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.algorithms import find
from symnas.algorithms.evolutionary.local_search import LocalSearch
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.testing.contract import AlgorithmContract, simulate, small_space
from symnas.testing.random_spaces import random_space
from symnas.tree.choices import FloatRange, OneOf
from symnas.tree.space import Decision, Space

Score = Callable[[Decision], float]


class TestLocalSearch(AlgorithmContract):
    def make(self) -> Algorithm:
        return LocalSearch()


class TestLocalSearchToTheBest(AlgorithmContract):
    def make(self) -> Algorithm:
        return LocalSearch(move="best", starts=1)


class TestIteratedLocalSearch(AlgorithmContract):
    learns = False  # the first class shows the learning

    def make(self) -> Algorithm:
        return LocalSearch(start="default", restart="near", limit=7)


def done(value: float) -> Outcome:
    return Outcome(Status.DONE, (value,))


def rugged(seed: int) -> Score:
    """Return a score without structure, one decision like any other."""

    def score(decision: Decision) -> float:
        return float(np.random.default_rng([seed, *decision.row]).random())

    return score


def finite_space(seed: int) -> Space:
    for attempt in range(100):
        space = random_space(np.random.default_rng([seed, attempt]), real=False)
        if 8 <= space.size <= 3000:
            return space
    raise AssertionError


def neighbours(space: Space, decision: Decision) -> list[Decision]:
    return list(dict.fromkeys(space.neighbours(decision)))


def ascent(space: Space, start: Decision, score: Score) -> list[Decision]:
    """Return every decision that steepest ascent passes, the local optimum last."""
    path = [start]
    while True:
        best = max(neighbours(space, path[-1]), key=score, default=None)
        if best is None or score(best) <= score(path[-1]):
            return path
        path.append(best)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_moving_to_the_best_follows_steepest_ascent_to_its_local_optimum(seed: int) -> None:
    space, score = finite_space(seed), rugged(seed)
    log = simulate(LocalSearch(move="best", starts=1), space, lambda d: done(score(d)), trials=300, seed=seed)
    path = ascent(space, log.decisions[0], score)
    tried = {path[0]}
    for here in path:
        # All neighbours of a place are tried, in whatever order, before those of the next place.
        tried |= set(neighbours(space, here))
        if len(tried) > 300:
            return
        assert set(log.decisions[: len(tried)]) == tried
    assert max(tried, key=score) == path[-1]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_moving_to_the_first_better_one_leaves_only_local_optima(seed: int) -> None:
    space, score = finite_space(seed), rugged(seed)
    log = simulate(LocalSearch(starts=1), space, lambda d: done(score(d)), trials=120, seed=seed)
    here, known = log.decisions[0], {log.decisions[0]}
    for decision in log.decisions[1:]:
        around = neighbours(space, here)
        while better := [d for d in around if d in known and score(d) > score(here)]:
            here = max(better, key=score)
            around = neighbours(space, here)
        if set(around) <= known:
            assert score(here) >= max(map(score, around), default=0.0)
            here = decision  # a new climb
        else:
            assert decision in around
            here = decision if score(decision) > score(here) else here
        known.add(decision)


def test_the_order_of_neighbours_is_drawn() -> None:
    space = Space(tuple(OneOf(f"p{number}", tuple(range(5))) for number in range(4)))
    algorithm = LocalSearch(start="default")
    algorithm.setup(space)
    algorithm.observe(space.batch([space.default]), [done(0.0)])
    counts = dict.fromkeys(neighbours(space, space.default), 0)
    for seed in range(1600):
        counts[algorithm.propose(1, np.random.default_rng(seed))[0]] += 1
    assert len(counts) == 16
    assert all(50 < count < 150 for count in counts.values())


def test_a_climb_starts_from_the_best_of_some() -> None:
    space = Space(tuple(OneOf(f"p{number}", tuple(range(9))) for number in range(6)))
    algorithm = LocalSearch(starts=4)
    log = simulate(algorithm, space, lambda d: done(float(d["p0"])), trials=5, seed=2)  # type: ignore[arg-type]
    best = max(log.decisions[:4], key=lambda d: d["p0"])
    assert len(Decision.diff(best, log.decisions[4]).changed) == 1


def test_the_default_comes_first_and_once() -> None:
    space = small_space()
    log = simulate(LocalSearch(start="default"), space, lambda _: Outcome(Status.FAILED), trials=99)
    assert log.decisions[0] == space.default
    assert len(log.decisions) == space.size


def test_restarts_near_the_best_are_three_mutations_away() -> None:
    space = Space(tuple(OneOf(f"p{number}", (0, 1)) for number in range(8)))
    log = simulate(
        LocalSearch(restart="near", starts=1), space, lambda d: done(-sum(d.values())), trials=40, seed=1
    )  # type: ignore[arg-type]
    top = max(range(40), key=lambda trial: log.values[trial])
    best = log.decisions[top]
    assert sum(best.values()) == 0  # type: ignore[arg-type]
    after = [decision for decision in log.decisions[top + 1 :] if sum(decision.values()) > 1]  # type: ignore[arg-type]
    assert after
    assert all(sum(decision.values()) <= 4 for decision in after)  # type: ignore[arg-type]


def test_better_decisions_from_elsewhere_are_where_it_goes_on() -> None:
    space = Space(tuple(OneOf(f"p{number}", tuple(range(9))) for number in range(6)))
    for move in ("first", "best"):
        algorithm = LocalSearch(move=move, starts=1)  # type: ignore[arg-type]
        algorithm.setup(space)
        given = space.sample(12, np.random.default_rng(0))
        algorithm.observe(given, [done(float(row % 7)) for row in range(12)])
        for child in algorithm.propose(20, np.random.default_rng(1)):
            assert len(Decision.diff(given[6], child).changed) == 1


def test_while_the_last_neighbours_run_those_of_the_best_one_come() -> None:
    space = Space((OneOf("a", (0, 1, 2)), OneOf("b", (0, 1, 2)), OneOf("c", (0, 1, 2))))
    algorithm = LocalSearch(move="best", start="default")
    algorithm.setup(space)
    algorithm.observe(space.batch([space.default]), [done(0.0)])
    around = space.neighbours(space.default)
    algorithm.observe(around, [RUNNING] * 6)
    algorithm.observe(around[:1], [done(1.0)])
    ahead = set(algorithm.propose(4, np.random.default_rng(0)))
    assert ahead == set(space.neighbours(around[0])) - set(around) - {space.default}


def test_it_climbs_on_real_ranges() -> None:
    space = Space((FloatRange("x", 0.0, 1.0), FloatRange("y", 1e-4, 1.0, log=True)))

    def evaluate(decision: Decision) -> Outcome:
        x, y = float(decision["x"]), math.log10(float(decision["y"])) / 4 + 1  # type: ignore[arg-type]
        return done(-((x - 0.3) ** 2) - (y - 0.7) ** 2)

    log = simulate(LocalSearch(), space, evaluate, trials=300)
    assert log.best > -1e-4


def test_it_has_a_name() -> None:
    assert find("local-search") is LocalSearch
