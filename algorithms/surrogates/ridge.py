"""Bayesian ridge over trees, as a Gaussian process whose kernel is an inner product of features."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.surrogates.embedding import Embedding
from symnas.algorithms.surrogates.gp import Coordinates, GaussianModel, spread, standard
from symnas.algorithms.surrogates.lbfgs import minimise
from symnas.algorithms.surrogates.tree_kernel import JITTER
from symnas.algorithms.surrogates.triangular import lower_inverse
from symnas.tree.choices import FloatRange
from symnas.tree.layout import REAL, Entry, scale_bounds
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

Hashes = NDArray[np.uint64]

# A real value counts by which of so many equal parts of its range it lies in.
LEVELS = 8
# Columns of hashed n-grams: the top 10 of 64 bits, which multiplication mixes best.
BUCKETS, SHIFT = 1 << 10, np.uint64(64 - 10)
# Multipliers of the hash: odd, from the fractional parts of the golden ratio and of pi.
GOLDEN, PI = 0x9E3779B97F4A7C15, 0x243F6A8885A308D3


class RidgeKernel:
    """Sums of kernels of inner products, each with a variance that is learned.

    Ridge regression with a normal prior on the coefficients is a Gaussian process whose kernel is the inner
    product of the features, and the square of an inner product is that of all pairs of features.

    Args:
        powers: the powers of the inner product that are summed.
        noise: median variance of the noise.
    """

    def __init__(self, powers: tuple[int, ...], noise: float = 0.05) -> None:
        self.powers = powers
        # Medians and spreads of the logarithms: the kernel of a row of length 1 with itself is about 1.
        self.means = np.log([*[1.0 / len(powers)] * len(powers), noise])
        self.spreads = np.array([*[1.0] * len(powers), 1.5])

    def between(self, theta: Floats, first: Floats, second: Floats) -> Floats:
        """Return the kernel of all pairs of rows, (first rows, second rows)."""
        return self._sum(theta, first @ second.T)

    def at(self, theta: Floats, rows: Floats) -> Floats:
        """Return the kernel of every row with itself."""
        return self._sum(theta, np.asarray(np.einsum("ij,ij->i", rows, rows)))

    def _sum(self, theta: Floats, inner: Floats) -> Floats:
        out = np.zeros_like(inner)
        for power, variance in zip(self.powers, np.exp(theta), strict=False):
            # k(x, y) = sum over powers p of v_p <x, y>^p.
            out += variance * inner**power
        return out

    def loss(self, theta: Floats, rows: Floats, values: Floats) -> tuple[float, Floats]:
        """Return the negative log posterior of the variances' logarithms, and its gradient."""
        away = (theta - self.means) / self.spreads
        if not np.all(np.abs(away) < 20.0):
            return math.inf, np.zeros_like(theta)
        # dK/dlog v of each variance is its part of K, (rows, rows), that of the noise included.
        inner = rows @ rows.T
        parts = [variance * inner**power for power, variance in zip(self.powers, np.exp(theta), strict=False)]
        parts.append(math.exp(theta[-1]) * np.eye(len(rows)))
        kernel = np.sum(parts, axis=0)
        kernel.flat[:: len(rows) + 1] += JITTER
        try:
            factor = np.linalg.cholesky(kernel)
        except np.linalg.LinAlgError:
            return math.inf, np.zeros_like(theta)
        half = lower_inverse(factor)
        inverse = half.T @ half
        solved = inverse @ values
        # As in `tree_kernel`: ½ (K⁻¹ - a a') with a = K⁻¹ y, from -log p = ½ y' a + log |L|.
        slope = 0.5 * (inverse - solved[:, None] * solved)
        value = 0.5 * float(values @ solved) + float(np.log(np.diagonal(factor)).sum())
        gradient = np.array([float((slope * part).sum()) for part in parts]) + away / self.spreads
        return value + 0.5 * float(away @ away), gradient


class _Ridge:
    """What both kinds of ridge share: variances by maximum a posteriori, then the posterior."""

    def __init__(
        self, features: Callable[[Space], Coordinates], powers: tuple[int, ...], growth: float
    ) -> None:
        self.growth = growth
        self._make = features
        self._kernel = RidgeKernel(powers)
        self._features: Coordinates | None = None

    def fit(self, space: Space, batch: Batch, values: Floats) -> GaussianModel:
        """Return the regression of values on the features of decisions; arguments as in `Surrogate.fit`."""
        if self._features is None or self._features.space is not space:
            self._features = self._make(space)
        rows = self._features(batch)
        some = spread(len(rows))
        level, scale = standard(values)
        target = (values[some] - level) / scale
        kernel = self._kernel
        theta = minimise(lambda at: kernel.loss(at, rows[some], target), kernel.means, steps=20)
        return GaussianModel.of(self._features, kernel, theta, np.zeros(rows.shape[1]), rows, values)


class PairRidge(_Ridge):
    """Ridge on the coordinates of `embedding` (single values, counts of candidates) and on all pairs of them.

    Args:
        counts: whether points alike are also counted together.
        growth: as in `surrogates.Surrogate`.
    """

    def __init__(self, *, counts: bool = True, growth: float = 1.1) -> None:
        self.counts = counts
        super().__init__(lambda space: _Normal(Embedding(space, counts)), (1, 2), growth)


class NGramRidge(_Ridge):
    """Ridge on the n-grams of the path of a decision.

    Negrinho and Gordon: DeepArchitect, 2017 (arXiv:1704.08792), section 5: a path is the sequence of what was
    decided at the points that exist, in tree order, and its features are the sub-sequences of up to `longest`
    neighbours. Numbers enter by an eighth of their range.

    Args:
        longest: length of the longest n-gram.
        growth: as in `surrogates.Surrogate`.
    """

    def __init__(self, *, longest: int = 3, growth: float = 1.1) -> None:
        self.longest = longest
        super().__init__(lambda space: NGrams(space, longest), (1,), growth)


class _Normal:
    """Coordinates with a constant, of length about 1."""

    def __init__(self, embedding: Embedding) -> None:
        self.space = embedding.space
        self._embedding = embedding
        choices = sum(block.kind != "presence" for block in embedding.blocks)
        # A choice's one-hot block has the squared length ½ in distances, hence 2 over the number of blocks.
        self._scales = np.sqrt(embedding.shares * 2.0 / max(choices, 1))
        groups: dict[int, int] = {}
        for number, block in enumerate(embedding.blocks):
            if block.kind == "count":
                groups[number] = block.name.count(" + ") + 1
        for number, members in groups.items():
            # Counts are as large as many points together; taken as one point of average size.
            self._scales[embedding.block_of == number] /= math.sqrt(members)

    def __call__(self, batch: Batch) -> Floats:
        """Return the coordinates, (rows, width)."""
        scaled = self._embedding(batch) * self._scales
        return np.concatenate([scaled, np.full((len(batch), 1), 0.5)], axis=1)


class NGrams:
    """Counts of n-grams in hashed columns, scaled so that a row has length about 1.

    Args:
        space: the space.
        longest: length of the longest n-gram.
    """

    def __init__(self, space: Space, longest: int) -> None:
        self.space = space
        self.longest = longest

    def __call__(self, batch: Batch) -> Floats:
        """Return the counts, (rows, buckets)."""
        out = np.zeros((len(batch), BUCKETS))
        rows = np.arange(len(batch))
        # The n-grams that end at the last point that exists, by length; 0 where there is none so long.
        recent = [np.zeros(len(batch), np.uint64) for _ in range(self.longest)]
        for entry in self.space.compiled.layout.own:
            token, held = _token(entry, batch)
            # For lengths 1 to `longest`: the token, and every n-gram that ended before it with the token
            # behind.
            grams = [token, *(_joined(gram, token) for gram in recent[:-1])]
            recent = [np.where(held, new, old) for new, old in zip(grams, recent, strict=True)]
            for gram in grams:
                counted = held & (gram != 0)
                # Two n-grams in one bucket are counted together (feature hashing, Weinberger and others 2009,
                # here without signs).
                np.add.at(out, (rows[counted], (gram[counted] >> SHIFT).astype(np.intp)), 1.0)
        # At most `longest` n-grams end at each point: without collisions a row is at most 1 long.
        return out / math.sqrt(max(self.longest * len(self.space.compiled.layout.own), 1))


def _token(entry: Entry, batch: Batch) -> tuple[Hashes, NDArray[np.bool_]]:
    """Return a hash of a point and its value in every row, and where the point exists."""
    if entry.shape == REAL:
        values = batch.reals[:, entry.column]
        assert isinstance(entry.domain, FloatRange)
        low, high = scale_bounds(entry.domain)
        held = ~np.isnan(values)
        scaled = np.log(np.where(held, values, 1.0)) if entry.domain.log else np.where(held, values, 0.0)
        codes = np.clip((scaled - low) / (high - low) * LEVELS, 0, LEVELS - 1).astype(np.int64)[:, None]
    else:
        codes = batch.codes[:, entry.column : entry.column + entry.width].astype(np.int64)
        held = codes[:, 0] != INACTIVE
    # Bits of neighbouring numbers are mixed before they are joined, otherwise grams of small codes collide.
    token = np.full(len(batch), _mixed(np.array([entry.number + 1], np.uint64))[0])
    for column in codes.T:
        token = _mixed(token ^ (column + 3).astype(np.uint64))
    return token, held


def _mixed(bits: Hashes) -> Hashes:
    # Multiplication carries bits up only; the shift brings upper ones down again.
    bits = bits * np.uint64(GOLDEN)
    return bits ^ (bits >> np.uint64(29))


def _joined(gram: Hashes, token: Hashes) -> Hashes:
    """Return the hash of an n-gram and one more token; 0 where there is no n-gram."""
    return np.where(gram == 0, gram, _mixed((gram * np.uint64(PI)) ^ token))
