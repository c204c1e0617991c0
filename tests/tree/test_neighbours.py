"""Neighbours for searches that go uphill: finitely many, as a function of the decision alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.testing.random_spaces import random_space
from symnas.tree.choices import Branch, FloatRange, IntRange, OneOf
from symnas.tree.space import Batch, Space


def near(space: Space, limit: int, row: Batch) -> Batch:
    return Batch(space, *space.compiled.neighbourhood.near(row.codes, row.reals, limit))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_on_small_finite_spaces_they_are_all_neighbours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = random_space(rng, real=False)
    row = space.sample(1, rng)
    assert near(space, 10_000, row) == space.neighbours(row)


def test_long_ranges_go_in_doubling_steps() -> None:
    inner = IntRange("n.inner", 1, 3)
    space = Space((IntRange("n", 1, 1_000_000_000, branches=(Branch(range(499, 600), (inner,)),)),))
    around = near(space, 1000, space.batch([space.decision({"n": 500, "n.inner": 2})]))
    steps = [2**power for power in range(30)]
    expected = {(500 + step, 2 if step <= 64 else None) for step in steps if 500 + step <= 1_000_000_000}
    expected |= {(500 - step, None) for step in steps if step < 500} | {(500, 1), (500, 3)}
    assert {(d["n"], d.get("n.inner")) for d in around} == expected


@pytest.mark.parametrize("log", [False, True])
def test_real_ranges_go_in_halving_steps(log: bool) -> None:
    space = Space((FloatRange("x", 0.001, 10.0, log=log), OneOf("a", (0, 1))))
    row = space.sample(1, np.random.default_rng(0))
    around = near(space, 1000, row)
    assert around == near(space, 1000, row)
    scale = (lambda x: math.log(x / 0.001) / math.log(10_000)) if log else (lambda x: (x - 0.001) / 9.999)
    here = scale(row[0]["x"])
    moved = np.array([scale(d["x"]) - here for d in around if d["a"] == row[0]["a"]])
    inside = [m for m in moved if 1e-9 < here + m < 1 - 1e-9]
    rungs = [math.floor(-math.log2(abs(m))) for m in inside]
    assert max(rungs.count(rung) for rung in set(rungs)) <= 2
    assert set(range(2, 9)) <= set(rungs)
    assert {d["x"] for d in around if d["a"] != row[0]["a"]} == {row[0]["x"]}


def test_too_many_neighbours_are_a_sample() -> None:
    space = Space(tuple(OneOf(f"p{number}", tuple(range(9))) for number in range(6)))
    row = space.sample(1, np.random.default_rng(0))
    some = near(space, 10, row)
    assert len(set(some)) == 10
    assert set(some) <= set(space.neighbours(row))
    assert some == near(space, 10, row)
