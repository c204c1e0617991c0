"""The inverse of a triangular matrix, which NumPy has no routine for."""

from __future__ import annotations

import numpy as np

from symnas._typing import Array, Floats

SMALL = 32


def lower_inverse(lower: Array) -> Floats:
    """Return the inverse of a lower triangular matrix (n, n), such as a Cholesky factor; it is one as well.

    By halves, so that nearly all of the work are products of matrices:

        [A 0; B C]⁻¹ = [A⁻¹ 0; -C⁻¹ B A⁻¹ C⁻¹]

    With L L' = K, the product of L⁻¹' and L⁻¹ is the inverse of K, for a third of what a general inverse
    takes. SciPy has triangular solves, but is no dependency (see `lbfgs`).
    """
    size = len(lower)
    out = np.zeros((size, size))
    if size <= SMALL:
        # Smaller halves cost more in calls than they save in products.
        out[:] = np.linalg.inv(lower)
        return out
    half = size // 2
    first = out[:half, :half] = lower_inverse(lower[:half, :half])
    second = out[half:, half:] = lower_inverse(lower[half:, half:])
    out[half:, :half] = -(second @ (lower[half:, :half] @ first))
    return out
