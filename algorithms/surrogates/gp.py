"""A Gaussian process over trees: exact, in closed form, growing row by row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.surrogates.base import Model
from symnas.algorithms.surrogates.embedding import Embedding
from symnas.algorithms.surrogates.lbfgs import minimise
from symnas.algorithms.surrogates.tree_kernel import JITTER, Prior, TreeKernel
from symnas.algorithms.surrogates.triangular import lower_inverse
from symnas.contracts.algorithm import Prediction

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

# Each step of the search for hyperparameters takes rows³; it sees so many rows, the posterior all.
MOST_ROWS = 192
# How many rows of a triangular matrix are multiplied at a time.
STRIP = 64


class Coordinates(Protocol):
    """Numbers for the decisions of one space."""

    @property
    def space(self) -> Space:
        """The space."""

    def __call__(self, batch: Batch) -> Floats:
        """Return the coordinates of decisions, (rows, width)."""


class Kernel(Protocol):
    """A covariance of decisions by their coordinates; the last hyperparameter is the noise's variance."""

    def between(self, theta: Floats, first: Floats, second: Floats) -> Floats:
        """Return the covariance of all pairs of rows, (first rows, second rows)."""

    def at(self, theta: Floats, rows: Floats) -> Floats:
        """Return the variance of every row."""


class GaussianProcess:
    """A surrogate with the kernel of `tree_kernel`, hyperparameters by maximum a posteriori.

    Rasmussen and Williams: Gaussian Processes for Machine Learning, 2006, algorithm 2.1 and section 5.4. A
    library would do the same at ten times the cost for a few hundred rows: nearly all of its time goes into
    building graphs for automatic differentiation. `gpytorch` is the same process in GPyTorch.

    Args:
        counts: whether points alike are also counted together (`embedding`).
        prior: the priors of the hyperparameters.
        steps: largest number of steps of the search for hyperparameters.
        growth: as in `Surrogate`.
    """

    def __init__(
        self, *, counts: bool = True, prior: Prior | None = None, steps: int = 40, growth: float = 1.1
    ) -> None:
        self.counts = counts
        self.prior = prior or Prior()
        self.steps = steps
        self.growth = growth
        self._embedding: Embedding | None = None

    def fit(self, space: Space, batch: Batch, values: Floats) -> GaussianModel:
        """Return the posterior under the most probable hyperparameters; arguments as in `Surrogate.fit`."""
        embedding, kernel = self.kernel(space)
        rows = embedding(batch)
        centre = rows.mean(axis=0)
        # The inner product in the kernel is then measured from the middle of what was observed: a main effect
        # is 0 there. Values are standardised, which the priors of the variances take for granted.
        rows -= centre
        level, scale = standard(values)
        some = spread(len(rows))
        target = (values[some] - level) / scale
        # It begins at the medians of the priors, and what the data say nothing of stays there.
        theta = minimise(lambda at: kernel.loss(at, rows[some], target), kernel.means, steps=self.steps)
        return GaussianModel.of(embedding, kernel, theta, centre, rows, values)

    def posterior(self, space: Space, batch: Batch, values: Floats, theta: Floats) -> GaussianModel:
        """Return the posterior under given hyperparameters (`tree_kernel`)."""
        embedding, kernel = self.kernel(space)
        rows = embedding(batch)
        centre = rows.mean(axis=0)
        return GaussianModel.of(embedding, kernel, theta, centre, rows - centre, values)

    def kernel(self, space: Space) -> tuple[Embedding, TreeKernel]:
        """Return the coordinates and the kernel of a space."""
        if self._embedding is None or self._embedding.space is not space:
            self._embedding = Embedding(space, self.counts)
        return self._embedding, TreeKernel(self._embedding.block_of, self._embedding.shares, self.prior)


def standard(values: Floats) -> tuple[float, float]:
    """Return mean and standard deviation, 1 in place of 0."""
    return float(values.mean()), float(values.std()) or 1.0


def spread(count: int) -> NDArray[np.intp]:
    """Return the rows from which hyperparameters are learned, evenly spread where there are many."""
    if count <= MOST_ROWS:
        return np.arange(count)
    return np.linspace(0, count - 1, MOST_ROWS).astype(np.intp)


def _times(lower: Floats, matrix: Floats) -> Floats:
    """Return a lower triangular matrix times another, leaving out most of the zeros."""
    out = np.empty((len(lower), matrix.shape[1]))
    for first in range(0, len(lower), STRIP):
        end = min(first + STRIP, len(lower))
        # In rows before `end`, columns from `end` on are zero; of many strips nearly half is left out.
        np.matmul(lower[first:end, :end], matrix[:end], out=out[first:end])
    return out


class GaussianModel(Model):
    """A posterior.

    Args:
        embedding: the coordinates of decisions.
        kernel: the kernel over them.
        theta: its hyperparameters.
        centre: what is taken off coordinates.
        rows: (rows, coordinates) of the decisions observed.
        root: (rows, rows) inverse of the lower Cholesky factor of their covariance; adding a row does not
            change the others.
        values: (rows,) what was observed.
    """

    def __init__(
        self,
        embedding: Coordinates,
        kernel: Kernel,
        theta: Floats,
        centre: Floats,
        rows: Floats,
        root: Floats,
        values: Floats,
    ) -> None:
        self.embedding = embedding
        self.kernel = kernel
        self.theta = theta
        self.centre = centre
        self.rows = rows
        self.root = root
        self.values = values
        self.noise = math.exp(theta[-1]) + JITTER
        self.level, self.scale = standard(values)
        # R y, (rows,), with R = L⁻¹ and K + n I = L L'. Where a library keeps L and solves, R is kept here:
        # what is asked again and again are products then.
        self._half = root @ ((values - self.level) / self.scale)
        self._known: tuple[int, Floats] | None = None

    @classmethod
    def of(
        cls,
        embedding: Coordinates,
        kernel: Kernel,
        theta: Floats,
        centre: Floats,
        rows: Floats,
        values: Floats,
    ) -> GaussianModel:
        """Return the posterior of rows of coordinates from which `centre` was taken off."""
        matrix = kernel.between(theta, rows, rows)
        matrix.flat[:: len(rows) + 1] += math.exp(theta[-1]) + JITTER
        root = lower_inverse(np.linalg.cholesky(matrix))
        return cls(embedding, kernel, theta, centre, rows, root, values)

    @property
    def fitted(self) -> Floats:
        """What is expected of the rows observed, free of their noise."""
        # (K + n I) a = y has K a = y - n a, and a = R' R y: no product with K is needed.
        return self.values - self.scale * self.noise * (self.root.T @ self._half)

    def predict(self, batch: Batch) -> Prediction:
        """Return mean and standard deviation of what decisions are worth, (rows,) each."""
        mean, variance, _, _ = self._posterior(batch)
        return Prediction(mean, self.scale * np.sqrt(variance))

    def gains(self, batch: Batch, best: int) -> Prediction:
        """Return what decisions are worth, and how far one evaluation of each is to tell it from the best.

        With variance v, noise n and covariance c with the best, an evaluation moves the difference between
        both expectations by (v - c) / sqrt(v + n) standard deviations. Without noise the best is known, c is
        0, and this is the standard deviation of what a decision is worth.

        Args:
            batch: the decisions.
            best: the number of the best row.

        Returns:
            Means and standard deviations of the movement, (rows,) each.
        """
        mean, variance, half, rows = self._posterior(batch)
        # Told a value y of x, expectations move by (v, c) (y - m) / (v + n), those of x and of the best, and
        # y - m has the variance v + n: what Frazier, Powell and Dayanik 2009 call σ̃, for two decisions.
        at = self.rows[best : best + 1]
        if self._known is None or self._known[0] != best:
            self._known = best, self.root @ self.kernel.between(self.theta, self.rows, at)[:, 0]
        # The posterior covariance c = k(x, b) - (R k_b)' (R k_x), (decisions,); R k_b is kept for later.
        shared = self.kernel.between(self.theta, at, rows)[0] - self._known[1] @ half
        moved = np.abs(variance - shared) / np.sqrt(variance + self.noise)
        return Prediction(mean, self.scale * moved)

    def _posterior(self, batch: Batch) -> tuple[Floats, Floats, Floats, Floats]:
        """Return means, variances of the standardised values, what explains them, and coordinates."""
        rows = self.embedding(batch) - self.centre
        # A column R k_x per decision, (rows, decisions), k_x being its covariances with the rows: the mean is
        # (R y)' (R k_x), the variance k(x, x) - |R k_x|² (Rasmussen and Williams, 2.25 and 2.26).
        half = _times(self.root, self.kernel.between(self.theta, self.rows, rows))
        variance = self.kernel.at(self.theta, rows) - np.einsum("ij,ij->j", half, half)
        return self.level + self.scale * (self._half @ half), np.maximum(variance, JITTER), half, rows

    def updated(self, batch: Batch, values: Floats) -> GaussianModel:
        """Return the posterior with further rows.

        Args:
            batch: the new decisions.
            values: the values of all rows, those of the old ones first.
        """
        # One row at a time throughout: the same shapes, hence the same rounding, whatever rows come together.
        old = len(self.rows)
        fresh = [self.embedding(batch[row : row + 1]) - self.centre for row in range(len(batch))]
        rows = np.concatenate([self.rows, *fresh])
        root = np.zeros((len(rows), len(rows)))
        root[:old, :old] = self.root
        for place in range(old, len(rows)):
            row = rows[place : place + 1]
            above = np.ascontiguousarray(root[:place, :place])
            # The block algebra of a factor that grows by a row, for its inverse R = L⁻¹ (rows, rows):
            # l = R k, d² = k(x, x) + noise - l' l, and the new row of R is (-l' R, 1) / d.
            half = above @ self.kernel.between(self.theta, rows[:place], row)[:, 0]
            rest = float(self.kernel.at(self.theta, row)[0]) + self.noise - float(half @ half)
            # d² is a posterior variance and the noise, so that only rounding takes it below the noise.
            pivot = math.sqrt(max(rest, JITTER))
            root[place, :place] = -(half @ above) / pivot
            root[place, place] = 1.0 / pivot
        return GaussianModel(self.embedding, self.kernel, self.theta, self.centre, rows, root, values)
