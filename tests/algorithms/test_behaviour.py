"""What each algorithm does beyond the contract, against an independent count."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from symnas.algorithms import Grid, Random, RegularizedEvolution
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.errors import AlgorithmError
from symnas.testing.contract import simulate
from symnas.tree.choices import Branch, FloatRange, IntRange, ManyOf, OneOf
from symnas.tree.space import Space


def done(value: float) -> Outcome:
    return Outcome(Status.DONE, (value,))


def test_random_heeds_priors() -> None:
    space = Space((OneOf("a", ("x", "y"), weights=(0.9, 0.1)), OneOf("b", (1, 2))))
    algorithm = Random(repeats=True)
    algorithm.setup(space)
    batch = algorithm.propose(4000, np.random.default_rng(0))
    share = sum(decision["a"] == "x" for decision in batch) / 4000
    assert share == pytest.approx(0.9, abs=4 * (0.09 / 4000) ** 0.5)


def test_random_over_the_space_makes_all_decisions_equally_likely() -> None:
    deep = OneOf("op", ("big", "small"), branches=(Branch((0,), (OneOf("k", tuple(range(9))),)),))
    space = Space((deep,))
    expected = {"points": 0.5, "space": 0.9}
    for uniform, share in expected.items():
        algorithm = Random(uniform=uniform, repeats=True)
        algorithm.setup(space)
        batch = algorithm.propose(4000, np.random.default_rng(1))
        big = sum(decision["op"] == "big" for decision in batch) / 4000
        assert big == pytest.approx(share, abs=0.035)


def test_what_has_no_prior_comes_last() -> None:
    space = Space((OneOf("a", ("x", "y"), weights=(1.0, 0.0)), OneOf("b", tuple(range(5)))))
    log = simulate(Random(), space, lambda _: done(0.0), trials=10)
    assert [decision["a"] for decision in log.decisions] == ["x"] * 5 + ["y"] * 5


def test_random_does_not_end_on_a_space_whose_finite_part_is_used_up() -> None:
    real = FloatRange("rate", 0.0, 1.0)
    space = Space((OneOf("on", (False, True), weights=(1.0, 0.0), branches=(Branch((1,), (real,)),)),))
    log = simulate(Random(), space, lambda _: done(0.0), trials=5)
    assert len(log.decisions) == 5


def test_grid_is_the_product_in_address_order() -> None:
    space = Space((OneOf("a", ("x", "y")), IntRange("n", 1, 3), OneOf("b", (True, False))))
    log = simulate(Grid(), space, lambda _: done(0.0), trials=99)
    seen = [(d["a"], d["n"], d["b"]) for d in log.decisions]
    assert seen == list(itertools.product(("x", "y"), (1, 2, 3), (True, False)))
    assert log.exhausted


def test_grid_takes_levels_of_real_ranges_wherever_they_stand() -> None:
    rate = FloatRange("op:drop.rate", 0.0, 1.0)
    space = Space(
        (
            OneOf("op", ("drop", "none"), branches=(Branch((0,), (rate,)),)),
            FloatRange("lr", 1e-4, 1e-2, log=True),
        )
    )
    log = simulate(Grid(levels=3), space, lambda _: done(0.0), trials=99)
    assert len(log.decisions) == 3 * 3 + 3
    assert {d["op:drop.rate"] for d in log.decisions if d["op"] == "drop"} == {0.0, 0.5, 1.0}
    assert sorted({d["lr"] for d in log.decisions}) == pytest.approx([1e-4, 1e-3, 1e-2])
    middle = Grid(levels=1)
    middle.setup(space)
    first = middle.propose(1, np.random.default_rng(0))[0]
    assert first["op:drop.rate"] == 0.5
    assert first["lr"] == pytest.approx(1e-3)


def test_grid_agrees_with_enumeration_on_subsets() -> None:
    space = Space((ManyOf("edges", ("a", "b", "c"), 1, 2), OneOf("b", (1, 2))))
    log = simulate(Grid(), space, lambda _: done(0.0), trials=99, workers=3)
    assert log.decisions == list(space.enumerate())


def test_grid_skips_what_came_from_elsewhere() -> None:
    space = Space((IntRange("n", 0, 4),))
    algorithm = Grid()
    algorithm.setup(space)
    algorithm.observe(space.batch([space.decision({"n": 1})]), [done(1.0)])
    batch = algorithm.propose(3, np.random.default_rng(0))
    assert [decision["n"] for decision in batch] == [0, 2, 3]


WIDE = Space(tuple(OneOf(f"p{number}", tuple(range(9))) for number in range(6)))


def fill(algorithm: RegularizedEvolution, count: int, seed: int = 0) -> list[object]:
    """Let `count` members join, the value rising with their age."""
    batch = WIDE.sample(count, np.random.default_rng(seed)).unique()
    algorithm.observe(batch, [done(float(-row)) for row in range(len(batch))])
    return list(batch)


def distance(first: object, second: object) -> int:
    return sum(first[address] != second[address] for address in WIDE.addresses)  # type: ignore[index]


def test_children_are_one_mutation_from_the_best_of_the_population() -> None:
    algorithm = RegularizedEvolution(population=10, tournament=500)
    algorithm.setup(WIDE)
    members = fill(algorithm, 10)
    for child in algorithm.propose(50, np.random.default_rng(1)):
        assert distance(child, members[0]) == 1


def test_the_oldest_dies_however_good_it_is() -> None:
    algorithm = RegularizedEvolution(population=10, tournament=500)
    algorithm.setup(WIDE)
    members = fill(algorithm, 12)
    for child in algorithm.propose(20, np.random.default_rng(1)):
        assert distance(child, members[2]) == 1


def test_tournaments_select_as_often_as_the_formula_says() -> None:
    size, tournament = 10, 3
    algorithm = RegularizedEvolution(population=size, tournament=tournament)
    algorithm.setup(WIDE)
    members = fill(algorithm, size)
    children = algorithm.propose(6000, np.random.default_rng(2))
    parents = Counter(min(range(size), key=lambda m: distance(child, members[m])) for child in children)
    for rank in range(size):
        # The best of three draws with replacement has rank r when none is better and not all are worse.
        expected = ((size - rank) ** tournament - (size - rank - 1) ** tournament) / size**tournament
        assert parents[rank] / 6000 == pytest.approx(expected, abs=0.03)


def test_founders_are_drawn_until_enough_have_a_result() -> None:
    algorithm = RegularizedEvolution(population=4, tournament=100)
    algorithm.setup(WIDE)
    batch = algorithm.propose(4, np.random.default_rng(0))
    algorithm.observe(batch, [RUNNING] * 4)
    algorithm.observe(batch[:3], [done(1.0), Outcome(Status.FAILED), Outcome(Status.INFEASIBLE)])
    # One member, one running: two founders are still wanted, then children of the only member.
    after = algorithm.propose(5, np.random.default_rng(1))
    near = [distance(child, batch[0]) == 1 for child in after]
    assert near == [False, False, True, True, True]


def test_a_pruned_trial_joins_with_the_value_it_had() -> None:
    algorithm = RegularizedEvolution(population=2, tournament=100)
    algorithm.setup(WIDE)
    batch = WIDE.sample(2, np.random.default_rng(0))
    algorithm.observe(batch, [Outcome(Status.PRUNED, (2.0,)), done(1.0)])
    assert all(distance(child, batch[0]) == 1 for child in algorithm.propose(5, np.random.default_rng(0)))


def test_a_point_that_stays_keeps_its_value_under_mutation() -> None:
    op = OneOf("op", ("a", "b"), branches=(Branch((0,), (IntRange("k", 0, 99),)),))
    space = Space((op, IntRange("width", 0, 99)))
    algorithm = RegularizedEvolution(population=1, tournament=1)
    algorithm.setup(space)
    parent = space.batch([space.decision({"op": "b", "width": 50})])
    algorithm.observe(parent, [done(1.0)])
    children = list(algorithm.propose(200, np.random.default_rng(0)))
    opened = [child for child in children if child["op"] == "a"]
    assert {child["width"] for child in opened} == {50}
    assert len({child["k"] for child in opened}) > 20


def test_an_algorithm_without_a_surrogate_says_so() -> None:
    algorithm = Random()
    algorithm.setup(WIDE)
    batch = algorithm.propose(3, np.random.default_rng(0))
    with pytest.raises(AlgorithmError, match=r"Random has none for these 3 decisions: ask an algorithm that"):
        algorithm.predict(batch)
