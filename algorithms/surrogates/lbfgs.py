"""A small limited-memory BFGS, so that the default algorithm needs no more than numpy.

SciPy has one, but SciPy is no dependency, and importing `scipy.optimize` takes several times as long as
importing numpy, which every process that proposes would pay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from symnas._typing import Floats

Function = Callable[[Floats], tuple[float, Floats]]

DECREASE = 1e-4
HALVINGS = 12


def minimise(
    function: Function, start: Floats, *, steps: int = 50, memory: int = 8, tolerance: float = 1e-4
) -> Floats:
    """Return a local minimum of a smooth function.

    Liu and Nocedal: On the limited memory BFGS method for large scale optimization, Mathematical Programming
    45, 1989; with backtracking to sufficient decrease.

    Args:
        function: returns value and gradient; infinity where it is not defined.
        start: (dimensions,) where to begin.
        steps: largest number of steps.
        memory: how many steps the curvature is estimated from.
        tolerance: the largest slope, and the smallest relative decrease, to go on for.
    """
    x = np.array(start, np.float64)
    value, slope = function(x)
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=memory)
    for _ in range(steps):
        if np.abs(slope).max(initial=0.0) < tolerance:
            break
        direction = _direction(slope, pairs)
        descent = float(slope @ direction)
        if descent >= 0:
            pairs.clear()
            direction, descent = -slope, -float(slope @ slope)
        scale = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(slope).sum()))
        for _ in range(HALVINGS):
            moved = x + scale * direction
            new, new_slope = function(moved)
            if new <= value + DECREASE * scale * descent:
                break
            scale *= 0.5
        else:
            break
        step, change = moved - x, new_slope - slope
        curvature = float(step @ change)
        if curvature > 1e-10 * float(change @ change):
            pairs.append((step, change, curvature))
        small = value - new <= tolerance * 1e-1 * max(1.0, abs(value))
        x, value, slope = moved, new, new_slope
        if small:
            break
    return x


def _direction(slope: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> Floats:
    """Return the quasi-Newton direction by the two-loop recursion."""
    direction = -slope
    weights = []
    for step, change, curvature in reversed(pairs):
        weight = float(step @ direction) / curvature
        weights.append(weight)
        direction -= weight * change
    if pairs:
        _, change, curvature = pairs[-1]
        direction *= curvature / float(change @ change)
    for (step, change, curvature), weight in zip(pairs, reversed(weights), strict=True):
        direction += (weight - float(change @ direction) / curvature) * step
    return direction
