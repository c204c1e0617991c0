"""Every algorithm proposes what clauses admit, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symnas.contracts.outcome import Outcome, Status
from symnas.contracts.registry import resolve
from symnas.tree.choices import Branch, FloatRange, IntRange, ManyOf, OneOf
from symnas.tree.space import Space

NAMES = (
    "random", "grid", "evolution", "local-search", "mcts", "nsga2", "single-path", "smbo", "reinforce",
    "enas", "conservative-rl", "optuna",
)  # fmt: skip


def three() -> Space:
    points = tuple(IntRange(name, 1, 10, default=1) for name in "abc")
    return Space(points, ("a <= b", "a + b + c <= 12"))


def equal() -> Space:
    points = tuple(IntRange(f"w[{i}]", 8, 256, step=8) for i in range(6))
    return Space(points, tuple(f"w[{i}] == w[{i + 1}]" for i in range(5)))


def tree() -> Space:
    below = IntRange("k", 1, 40), FloatRange("rate", 1e-3, 1.0, log=True)
    op = OneOf("op", ("x", "y", "z"), branches=(Branch((1,), below),))
    clauses = ("k <= n * 3", "m != ('p',) or n > 1", "op != 'z'")
    return Space((op, IntRange("n", 1, 4), ManyOf("m", ("p", "q", "r"), 1, 2)), clauses)


@pytest.mark.parametrize(
    "make",
    [tree, pytest.param(three, marks=pytest.mark.slow), pytest.param(equal, marks=pytest.mark.slow)],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("name", NAMES)
def test_proposals_are_admitted(name: str, make) -> None:
    space = make()
    algorithm = resolve(name)
    algorithm.setup(space)
    rng = np.random.default_rng(0)
    different: set[str] = set()
    for _ in range(6):
        batch = algorithm.propose(2, rng)
        assert space.admits(batch).all()
        different.update(batch.keys().tolist())
        algorithm.observe(batch, [Outcome(Status.RUNNING)] * len(batch))
        values = [math.fsum(v for v in d.values() if isinstance(v, int | float)) for d in batch]
        algorithm.observe(batch, [Outcome(Status.DONE, (value,)) for value in values])
    assert len(different) > 4
