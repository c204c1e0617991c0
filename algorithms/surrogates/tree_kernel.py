"""The kernel over trees and the likelihood of its hyperparameters, in closed form.

    k(x, y) = p · m(d(x, y)) + a · <x, y>,    d² = sum over blocks b of w_b · |x_b - y_b|²

with the coordinates and blocks of `embedding.Embedding`, the Matérn function m of smoothness 5/2 (all orders
of interaction between points) and an inner product (main effects only, which carry to parts of the space
where nothing was observed). All of it is matrix products over coordinates, gradients included, so that
neither cost nor memory has a factor of rows² times points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.surrogates.triangular import lower_inverse

ROOT5 = math.sqrt(5.0)
JITTER = 1e-8


@dataclass(frozen=True, slots=True)
class Prior:
    """Normal priors of the logarithms of hyperparameters.

    Args:
        weight: median of the sum of all blocks' weights.
        weight_spread: standard deviation of the logarithm of each weight.
        product: median variance of the Matérn part.
        product_spread: its spread.
        additive: median variance of the inner product.
        additive_spread: its spread.
        noise: median variance of the noise.
        noise_spread: its spread.
    """

    weight: float = 2.0
    weight_spread: float = 1.5
    product: float = 1.0
    product_spread: float = 1.0
    additive: float = 0.3
    additive_spread: float = 1.5
    noise: float = 1e-2
    noise_spread: float = 2.0


class TreeKernel:
    """The kernel for one embedding.

    Args:
        block_of: (coordinates,) the block of each coordinate.
        shares: (coordinates,) factor on the squared difference of each coordinate.
        prior: the priors of the hyperparameters.
    """

    def __init__(self, block_of: NDArray[np.intp], shares: Floats, prior: Prior) -> None:
        self.block_of = block_of
        self.shares = shares
        self.prior = prior
        self.blocks = int(block_of.max(initial=-1)) + 1
        # The median weight of a block is its part of `weight`: distances do not grow with the points.
        weight = math.log(prior.weight / max(self.blocks, 1))
        self.means = np.array(
            [*[weight] * self.blocks, *map(math.log, (prior.product, prior.additive, prior.noise))]
        )
        tail = (prior.product_spread, prior.additive_spread, prior.noise_spread)
        self.spreads = np.array([*[prior.weight_spread] * self.blocks, *tail])

    def weights(self, theta: Floats) -> Floats:
        """Return the weight of each coordinate."""
        return np.exp(theta[: self.blocks])[self.block_of] * self.shares

    def between(self, theta: Floats, first: Floats, second: Floats) -> Floats:
        """Return the kernel of all pairs of rows of two sets of coordinates, (first rows, second rows)."""
        weights = self.weights(theta)
        product, additive, _ = np.exp(theta[self.blocks :])
        weighted = first * weights
        inner: Floats = weighted @ second.T
        # In place throughout: most of the time would go into fresh memory, since this is asked most often.
        # root = √5 d with d² = |x|² + |y|² - 2 <x, y>; then m = (1 + root + root² / 3) e^-root.
        root = inner * -2.0
        root += np.einsum("ij,ij->i", weighted, first)[:, None]
        root += np.einsum("ij,ij->i", second * weights, second)
        np.maximum(root, 0.0, out=root)
        root *= 5.0
        np.sqrt(root, out=root)
        near = root * root
        near *= 1.0 / 3.0
        near += root
        near += 1.0
        np.negative(root, out=root)
        near *= np.exp(root, out=root)
        near *= product
        inner *= additive
        inner += near
        return inner

    def at(self, theta: Floats, rows: Floats) -> Floats:
        """Return the kernel of every row with itself."""
        product, additive, _ = np.exp(theta[self.blocks :])
        inner: Floats = np.einsum("ij,ij->i", rows * self.weights(theta), rows)
        return np.asarray(product + additive * inner)

    def loss(self, theta: Floats, rows: Floats, values: Floats) -> tuple[float, Floats]:
        """Return the negative log posterior of hyperparameters, and its gradient.

        Args:
            theta: logarithms of the blocks' weights, of both variances and of the noise's.
            rows: (rows, coordinates).
            values: (rows,) with mean 0.
        """
        away = (theta - self.means) / self.spreads
        # So far from the prior a step has lost its way: infinity makes the search halve it.
        if not np.all(np.abs(away) < 20.0):
            return math.inf, np.zeros_like(theta)
        product, additive, noise = np.exp(theta[self.blocks :])
        weights = self.weights(theta)
        # What `between` does, a second time: the gradient needs its terms by themselves, (rows, rows) each.
        weighted = rows * weights
        inner = weighted @ rows.T
        norms = np.diagonal(inner)
        root = ROOT5 * np.sqrt(np.maximum(norms[:, None] + norms - 2.0 * inner, 0.0))
        fall = np.exp(-root)
        near = fall * (1.0 + root + root * root / 3.0)
        kernel = product * near + additive * inner
        kernel.flat[:: len(rows) + 1] += noise + JITTER
        found = _likelihood(kernel, values)
        if found is None:
            return math.inf, np.zeros_like(theta)
        value, slope = found
        # dm/d(d²) = -5/6 (1 + √5 d) e^(-√5 d), which has no singularity, and d(d²)/dw of a pair is (x - y)²
        # per coordinate.
        pull = slope * fall * (1.0 + root) * (-5.0 / 6.0 * product)
        by_block = self._by_block(rows, weights, pull, additive * slope)
        tail = (
            product * float((slope * near).sum()),
            additive * float((slope * inner).sum()),
            noise * float(np.trace(slope)),
        )
        # The prior of θ is normal: -log p(θ) = ½ |away|² + constant.
        gradient = np.concatenate([by_block, tail]) + away / self.spreads
        return value + 0.5 * float(away @ away), gradient

    def _by_block(self, rows: Floats, weights: Floats, pull: Floats, lift: Floats) -> Floats:
        """Return the derivative by the logarithm of each block's weight, (blocks,).

        Args:
            rows: (rows, coordinates).
            weights: (coordinates,).
            pull: (rows, rows) derivative by the squared distances.
            lift: (rows, rows) derivative by the inner products.
        """
        # With P = `pull` and S = `lift`, both symmetric, a coordinate's weight gets
        # sum_ij P_ij (x_i - x_j)² + S_ij x_i x_j = 2 sum_i (sum_j P_ij) x_i² + x' (S - 2 P) x,
        # and log w_b the sum over the block's coordinates of that times the weight.
        mixed = lift - 2.0 * pull
        by_weight = 2.0 * (pull.sum(axis=1) @ rows**2) + np.einsum("ij,ij->j", rows, mixed @ rows)
        return np.asarray(np.bincount(self.block_of, by_weight * weights, self.blocks), np.float64)


def _likelihood(kernel: Floats, values: Floats) -> tuple[float, Floats] | None:
    """Return -log p(values) up to a constant, and its derivative by the kernel, element by element.

    Args:
        kernel: (rows, rows), noise included; None is returned where it is not positive definite.
        values: (rows,).
    """
    try:
        factor = np.linalg.cholesky(kernel)
    except np.linalg.LinAlgError:
        return None
    half = lower_inverse(factor)
    inverse = half.T @ half
    # -log p(y | θ) = ½ y' K⁻¹ y + log |L| + constant with K = L L' (Rasmussen and Williams, 5.8).
    solved = inverse @ values
    value = 0.5 * float(values @ solved) + float(np.log(np.diagonal(factor)).sum())
    # Its derivative by K, (rows, rows): ½ (K⁻¹ - a a') with a = K⁻¹ y; that by a hyperparameter is the sum of
    # the product with dK/dθ, element by element (5.9).
    return value, 0.5 * (inverse - solved[:, None] * solved)
