"""Crossover and the adaptive number of mutations, against counts made another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.algorithms import RegularizedEvolution
from symnas.algorithms.evolutionary.variation import Changes, Pursuit, mutated
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import Outcome, Status
from symnas.testing.contract import AlgorithmContract
from symnas.testing.random_spaces import random_space
from symnas.tree.choices import OneOf
from symnas.tree.space import Decision, Space

WIDE = Space(tuple(OneOf(f"p{number}", tuple(range(9))) for number in range(6)))


class TestEvolutionWithEverything(AlgorithmContract):
    def make(self) -> Algorithm:
        return RegularizedEvolution(
            population=20, tournament=5, repeats=False, crossover=0.5, adaptive=True, mutations=2
        )


def done(value: float) -> Outcome:
    return Outcome(Status.DONE, (value,))


def parents_of(space: Space, algorithm: RegularizedEvolution, seed: int) -> list[Decision]:
    parents = space.sample(2, np.random.default_rng(seed))
    algorithm.setup(space)
    algorithm.observe(parents, [done(1.0), done(1.0)])
    return list(parents)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_crossed_children_take_every_point_that_both_parents_have_from_one_of_them(seed: int) -> None:
    space = random_space(np.random.default_rng([seed, 7]))
    algorithm = RegularizedEvolution(population=2, tournament=1, crossover=1.0)
    first, second = parents_of(space, algorithm, seed)
    for child in algorithm.propose(20, np.random.default_rng(seed)):
        if child in (first, second) or crossed_by_hand(child, first, second):
            continue
        # A child that came out as a parent was mutated: one point from it.
        assert any(one_move(space, parent, child) for parent in (first, second))


def crossed_by_hand(child: Decision, first: Decision, second: Decision) -> bool:
    return all(
        child[address] in (first[address], second[address])
        for address in child
        if address in first and address in second
    )


def one_move(space: Space, parent: Decision, child: Decision) -> bool:
    return len(Decision.diff(parent, child).changed) == 1


def test_crossover_mixes_both_parents() -> None:
    algorithm = RegularizedEvolution(population=2, tournament=1, crossover=1.0)
    algorithm.setup(WIDE)
    parents = WIDE.batch([WIDE.decision(dict.fromkeys(WIDE.addresses, value)) for value in (0, 8)])
    algorithm.observe(parents, [done(1.0), done(1.0)])
    children = list(algorithm.propose(2000, np.random.default_rng(0)))
    mixed = [child for child in children if set(child.values()) == {0, 8}]
    # Half of the pairs are one member twice, and 2 of 64 mixtures are a parent: those are mutated, and in one
    # of 8 cases to the other's value.
    clones = 0.5 + 0.5 * 2 / 64
    assert len(mixed) / 2000 == pytest.approx(1 - clones + clones / 8, abs=0.05)
    counts = np.array([[value == 8 for value in child.values()] for child in mixed]).mean(axis=0)
    assert counts == pytest.approx(np.full(6, 0.5), abs=0.08)


def test_as_many_mutations_as_asked_for() -> None:
    for mutations in (1, 3):
        algorithm = RegularizedEvolution(population=1, tournament=1, mutations=mutations)
        algorithm.setup(WIDE)
        parent = WIDE.sample(1, np.random.default_rng(0))
        algorithm.observe(parent, [done(1.0)])
        moved = {
            len(Decision.diff(parent[0], child).changed)
            for child in algorithm.propose(300, np.random.default_rng(1))
        }
        assert max(moved) == mutations


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_changes_count_the_points_that_differ(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = random_space(rng)
    batch = space.sample(12, rng)
    batch = type(batch).concat([batch, space.mutate(batch[:1], rng)])
    counted = Changes(space).between(batch.codes, batch.reals, batch.codes[0], batch.reals[0])
    assert counted.tolist() == [len(Decision.diff(batch[0], other).changed) for other in batch]


def test_every_row_is_mutated_its_own_number_of_times() -> None:
    times = np.array([0, 1, 2, 0, 3] * 40)
    batch = WIDE.sample(len(times), np.random.default_rng(0))
    children = mutated(WIDE, batch, times, np.random.default_rng(1))
    moved = np.array([len(Decision.diff(a, b).changed) for a, b in zip(batch, children, strict=True)])
    assert (moved <= times).all()
    assert (moved[times == 0] == 0).all()
    assert (moved[times == 1] == 1).all()
    assert (moved[times == 3] == 3).any()


def test_pursuit_goes_where_it_pays_and_follows_when_that_changes() -> None:
    pursuit = Pursuit(3)
    assert pursuit.chances == pytest.approx([0.9, 0.05, 0.05])
    rng = np.random.default_rng(0)
    for best in (2, 0):
        for _ in range(2000):
            pick = int(pursuit.draw(1, rng)[0])
            pursuit.reward(pick, bool(rng.random() < (0.6 if pick == best else 0.1)))
        assert pursuit.chances.sum() == pytest.approx(1.0)
        assert pursuit.chances.min() >= 0.05 - 1e-12
        assert pursuit.chances.argmax() == best


def test_strides_that_pay_become_usual() -> None:
    algorithm = RegularizedEvolution(population=5, tournament=1, adaptive=True)
    algorithm.setup(WIDE)
    base = WIDE.decision(dict.fromkeys(WIDE.addresses, 0))
    algorithm.observe(WIDE.batch([base] * 5), [done(0.0)] * 5)
    for _ in range(60):
        # Three changes always help and other numbers never; what differs in all six points is nobody's child.
        for stride, value in ((1, -1.0), (2, -1.0), (3, 1.0), (6, 2.0)):
            child = base.replace(dict.fromkeys(WIDE.addresses[:stride], 1))
            algorithm.observe(WIDE.batch([child]), [done(value)])
            algorithm.observe(WIDE.batch([base] * 5), [done(0.0)] * 5)
    children = algorithm.propose(1000, np.random.default_rng(0))
    moved = [len(Decision.diff(base, child).changed) for child in children]
    # Three mutations move three different points in 20 of 36 cases.
    assert moved.count(3) / 1000 == pytest.approx(0.9 * 20 / 36, abs=0.08)
    assert moved.count(1) > 40


def test_decisions_from_elsewhere_found_the_population() -> None:
    algorithm = RegularizedEvolution(population=10, tournament=50)
    algorithm.setup(WIDE)
    given = WIDE.sample(10, np.random.default_rng(0))
    algorithm.observe(given, [done(float(-row)) for row in range(10)])
    for child in algorithm.propose(20, np.random.default_rng(1)):
        assert len(Decision.diff(given[0], child).changed) == 1
