"""Synthetic problems with known optima: real ranges, mixed, conditional, noisy, orders and subsets.

Branin, Hartmann-6 and Ackley are the functions of the optimisation literature, negated, since larger values
are better here. The optimum of the others is computed exactly: by dynamic programming along the chain of
blocks, and by brute force for the order and the subset. Noise depends on the decision and the seed alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.problem import Problem
from symnas._typing import Floats
from symnas.tree.choices import Branch, FloatRange, IntRange, ManyOf, OneOf, Permutation, Point
from symnas.tree.space import Batch, Space

Score = Callable[[Floats], Floats]


class Synthetic(Problem):
    """A function of the columns of the ordinal view.

    Args:
        name: as in `Problem`.
        space: as in `Problem`.
        score: the noise-free value of each row of the ordinal view.
        best: the largest value of `score`.
        noise: standard deviation of what is added to it for the algorithm.
    """

    def __init__(self, name: str, space: Space, score: Score, best: float, *, noise: float = 0.0) -> None:
        super().__init__(name, space, seeds=1000 if noise else 1, unit="value")
        self.score = score
        self.best = best
        self.noise = noise

    def _test(self, batch: Batch, seed: int) -> Floats:
        return self.score(self.space.encode(batch, "ordinal").astype(float))

    def _valid(self, batch: Batch, seed: int) -> Floats:
        values = self._test(batch, seed)
        if self.noise:
            values = values + self.noise * np.array([_normal(decision.key, seed) for decision in batch])
        return values

    def best_valid(self, seed: int = 0) -> float:
        """Return the largest value without noise."""
        return self.best

    def best_test(self, seed: int = 0) -> float:
        """Return the largest value without noise."""
        return self.best


def _normal(key: str, seed: int) -> float:
    return float(np.random.default_rng([int(key[:16], 16), seed]).standard_normal())


# ---------------------------------------------------------------- real ranges


def branin() -> Synthetic:
    """Branin: two real ranges, three optima."""
    space = Space((FloatRange("x", -5.0, 10.0), FloatRange("y", 0.0, 15.0)))
    return Synthetic("branin", space, lambda rows: -_branin(rows[:, 0], rows[:, 1]), -0.39788735772973816)


def _branin(x: Floats, y: Floats) -> Floats:
    curve: Floats = y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6
    return curve**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10


_HEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_SLOPES = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6() -> Synthetic:
    """Hartmann-6: six real ranges, six local optima."""

    def score(rows: Floats) -> Floats:
        distance = (_SLOPES * (rows[:, None, :] - _CENTRES) ** 2).sum(axis=2)
        return np.exp(-distance) @ _HEIGHTS

    space = Space(tuple(FloatRange(f"x[{i}]", 0.0, 1.0) for i in range(6)))
    return Synthetic("hartmann6", space, score, 3.322368011415515)


_ACKLEY_CENTRE = np.array([0.7, -1.3, 1.9, -0.4, 0.2])


def ackley_log() -> Synthetic:
    """Ackley's function of the magnitudes of five logarithmic ranges, off their middle."""

    def score(rows: Floats) -> Floats:
        shifted = np.log10(rows) - _ACKLEY_CENTRE
        valley = -20 * np.exp(-0.2 * np.sqrt((shifted**2).mean(axis=1)))
        ripples = np.exp(np.cos(2 * np.pi * shifted).mean(axis=1))
        return -(valley - ripples + 20 + np.e)

    space = Space(tuple(FloatRange(f"x[{i}]", 1e-3, 1e3, log=True) for i in range(5)))
    return Synthetic("ackley-log", space, score, 0.0)


# ---------------------------------------------------------------- mixed

_MIXED_RATES = np.array([-2.5, -3.0, -1.7, -2.0])
_MIXED_WIDTHS = np.array([5, 9, 3, 12])
_MIXED_GAINS = np.array([0.90, 1.00, 0.84, 0.95])


def mixed() -> Synthetic:
    """A learning rate, a width, a depth and three choices; the best rate and width depend on one choice."""

    def score(rows: Floats) -> Floats:
        rate, width, depth, optimiser, norm, act = rows.T
        kind = optimiser.astype(int)
        misses = (np.log10(rate) - _MIXED_RATES[kind]) ** 2 / 4
        misses += ((width - _MIXED_WIDTHS[kind]) / 16) ** 2 + 0.02 * np.abs(depth - 3)
        misses += np.where(norm == 1, 0.0, 0.05 * (1 + depth / 4)) + 0.03 * (act != 2)
        return _MIXED_GAINS[kind] - misses

    space = Space(
        (
            FloatRange("rate", 1e-5, 1.0, log=True),
            IntRange("width", 16, 256, step=16),
            IntRange("depth", 1, 8),
            OneOf("optimiser", ("sgd", "adam", "rmsprop", "lion")),
            OneOf("norm", (False, True)),
            OneOf("act", ("relu", "gelu", "silu", "tanh")),
        )
    )
    return Synthetic("mixed", space, score, 1.0)


# ---------------------------------------------------------------- conditional

DEPTH = 6
KERNELS = (1, 3, 5, 7)
KINDS = ("conv", "pool", "skip")
_RNG = np.random.default_rng(20)
# States of a block: conv with each kernel, pool, skip.
_STATES = len(KERNELS) + 2
_GAIN = _RNG.normal(size=(DEPTH, _STATES)) * 0.5
_PAIR = _RNG.normal(size=(_STATES, _STATES)) * 0.4
_RATES = _RNG.uniform(0.05, 0.45, size=DEPTH)
_DROP = _RNG.normal(size=DEPTH) * 0.3
_DEPTH_COST = 0.15


def _blocks_space() -> Space:
    def block(turn: int) -> tuple[Point, ...]:
        at = f"block[{turn}]"
        kernel = OneOf(f"{at}.op:conv.kernel", KERNELS)
        rate = FloatRange(f"{at}.drop:on.rate", 0.0, 0.5)
        return (
            OneOf(f"{at}.op", KINDS, branches=(Branch((0,), (kernel,)),)),
            OneOf(f"{at}.drop", ("off", "on"), branches=(Branch((1,), (rate,)),)),
        )

    turns = tuple(Branch(range(turn, DEPTH), block(turn)) for turn in range(DEPTH))
    return Space((IntRange("block", 1, DEPTH, branches=turns),))


def _block_states(columns: Floats) -> NDArray[np.intp]:
    """Return the state of one block in each row: 0..3 the kernels, 4 pool, 5 skip."""
    kind, kernel = columns[:, 0], columns[:, 1]
    return np.where(kind == 0, np.nan_to_num(kernel), np.nan_to_num(kind) + len(KERNELS) - 1).astype(np.intp)


def _blocks_score(rows: Floats) -> Floats:
    depth = rows[:, 0].astype(int) + 1
    total = -_DEPTH_COST * depth.astype(float)
    before = np.zeros(len(rows), np.intp)
    for turn in range(DEPTH):
        columns = rows[:, 1 + 4 * turn : 5 + 4 * turn]
        state = _block_states(columns)
        gain = _GAIN[turn, state] + (_PAIR[before, state] if turn else 0.0)
        rate = np.nan_to_num(columns[:, 3])
        gain = gain + np.where(columns[:, 2] == 1, _DROP[turn] - 4 * (rate - _RATES[turn]) ** 2, 0.0)
        total = total + np.where(turn < depth, gain, 0.0)
        before = state
    return total


def _blocks_best() -> float:
    """Return the best score: the chain's best paths, the rates at their own optima."""
    drop = np.maximum(_DROP, 0.0)
    paths = _GAIN[0] + drop[0] - _DEPTH_COST
    best = paths.max()
    for turn in range(1, DEPTH):
        paths = (paths[:, None] + _PAIR).max(axis=0) + _GAIN[turn] + drop[turn] - _DEPTH_COST
        best = max(best, paths.max())
    return float(best)


def blocks(noise: float = 0.0) -> Synthetic:
    """1 to 6 blocks with conditional kernels and rates, in which neighbours interact."""
    name = "blocks-noisy" if noise else "blocks"
    return Synthetic(name, _blocks_space(), _blocks_score, _blocks_best(), noise=noise)


# ---------------------------------------------------------------- orders and subsets

_ITEMS = 8
_FLOW, _WAY = (np.random.default_rng([21, i]).integers(0, 10, size=(_ITEMS, _ITEMS)) for i in range(2))


def order() -> Synthetic:
    """A quadratic assignment: eight stages in the order that costs least."""

    def score(rows: Floats) -> Floats:
        places = rows.astype(np.intp)
        costs = (_FLOW[places[:, :, None], places[:, None, :]] * _WAY).sum(axis=(1, 2))
        return -costs / 100

    space = Space((Permutation("order", tuple("abcdefgh")),))
    every = np.array(list(itertools.permutations(range(_ITEMS))), float)
    return Synthetic("order", space, score, float(score(every).max()))


_MEMBERS = 16
_BOND = np.triu(np.random.default_rng(22).normal(size=(_MEMBERS, _MEMBERS)))


def subset() -> Synthetic:
    """Three to six of sixteen members, all pairs of which help or hinder each other."""

    def score(rows: Floats) -> Floats:
        chosen = (rows[:, :, None] == np.arange(_MEMBERS)).any(axis=1).astype(float)
        return np.einsum("ni,ij,nj->n", chosen, _BOND, chosen)

    space = Space((ManyOf("members", tuple(f"m{i}" for i in range(_MEMBERS)), 3, 6),))
    every = [
        (*chosen, *[-1] * (6 - size))
        for size in range(3, 7)
        for chosen in itertools.combinations(range(_MEMBERS), size)
    ]
    return Synthetic("subset", space, score, float(score(np.array(every, float)).max()))


MAKERS: Mapping[str, Callable[[], Synthetic]] = {
    "branin": branin,
    "hartmann6": hartmann6,
    "ackley-log": ackley_log,
    "mixed": mixed,
    "blocks": blocks,
    "blocks-noisy": lambda: blocks(noise=0.3),
    "order": order,
    "subset": subset,
}


@cache
def synthetic(name: str) -> Synthetic:
    """Return a synthetic problem by name, made once."""
    return MAKERS[name]()


def names() -> Iterable[str]:
    """Return the names of all synthetic problems."""
    return MAKERS.keys()
