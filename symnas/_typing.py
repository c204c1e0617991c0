"""Types that many modules share: labels and values of points, and the arrays that decisions are held in.

In shapes, `n` is the number of decisions (rows), `columns` the number of columns of codes and `reals` the
number of columns of floats that `tree.layout` gives a space. Inside the compiled tree arrays lie transposed,
(columns, n), so that a point's codes are next to one another; outside they are (n, columns).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Label: TypeAlias = str | int | float | bool | None
"""What a candidate is called in decisions; `True`, `1` and `1.0` are three labels."""

Value: TypeAlias = Label | tuple[Label, ...]
"""What a decision gives a point: a label or a number; of a subset or an order, a tuple of labels."""

Code: TypeAlias = int | tuple[int, ...]
"""A value as a position in its domain; of a subset or an order, the positions of the chosen candidates."""

Codes: TypeAlias = NDArray[np.signedinteger]
"""Codes in columns, (n, columns) or (columns, n), in the smallest signed type (int8 to int64) that holds the
largest domain of the space. Negative where there is no code: `INACTIVE` and `UNUSED` of `tree.subsets`."""

Reals: TypeAlias = NDArray[np.float64]
"""Values of real ranges in columns, (n, reals) or (reals, n); NaN where the point does not exist."""

Floats: TypeAlias = NDArray[np.float64]
"""Measured or computed numbers, of any shape: objective values, scores, features, kernels."""

Ints: TypeAlias = NDArray[np.intp]
"""Whole numbers as NumPy indexes with them, of any shape: rows, columns, numbers of points, counts."""

Mask: TypeAlias = NDArray[np.bool_]
"""Yes or no per row (n,) or per column and row."""

Array: TypeAlias = NDArray[Any]
"""An array whose type is the caller's choice, such as parameters in single or double precision."""

COSTS = ("params", "flops", "memory")
"""What a `require` clause may say of costs."""
