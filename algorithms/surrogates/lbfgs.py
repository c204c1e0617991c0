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

# Armijo's constant, and how often a step is halved before the search gives up.
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
    # Of the latest steps: the step s, the change of the gradient y, and s' y.
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=memory)
    for _ in range(steps):
        if np.abs(slope).max(initial=0.0) < tolerance:
            break
        direction, descent = _downhill(slope, pairs)
        # Without pairs the direction is the slope's, whose length says nothing of how far the bottom is.
        scale = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(slope).sum()))
        found = _backtracked(function, x, value, direction, descent, scale)
        if found is None:
            break
        moved, new, new_slope = found
        step, change = moved - x, new_slope - slope
        curvature = float(step @ change)
        # Halving keeps to Armijo's condition alone, not to Wolfe's, so that s' y > 0 is not given. Only such
        # pairs keep the estimate positive definite, and d a direction of descent.
        if curvature > 1e-10 * float(change @ change):
            pairs.append((step, change, curvature))
        small = value - new <= tolerance * 1e-1 * max(1.0, abs(value))
        x, value, slope = moved, new, new_slope
        if small:
            break
    return x


def _downhill(slope: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> tuple[Floats, float]:
    """Return a direction that goes down, and the slope in it."""
    direction = _direction(slope, pairs)
    descent = float(slope @ direction)
    if descent >= 0:
        # Rounding can make the estimated curvature useless; then begin again with steepest descent.
        pairs.clear()
        direction, descent = -slope, -float(slope @ slope)
    return direction, descent


def _backtracked(
    function: Function, start: Floats, value: float, direction: Floats, descent: float, scale: float
) -> tuple[Floats, float, Floats] | None:
    """Return where the first step that goes down far enough leads, with value and gradient there; or None.

    Args:
        function: what goes down.
        start: (dimensions,) where the steps begin.
        value: the function's there.
        direction: (dimensions,) where to.
        descent: the slope in that direction, negative.
        scale: length of the first step; every further one is half as long.
    """
    for _ in range(HALVINGS):
        moved = start + scale * direction
        new, new_slope = function(moved)
        # Armijo's condition f(x + t d) <= f(x) + c t d'g (Nocedal and Wright: Numerical Optimization, 2006,
        # 3.4). Infinity never meets it: what is not defined is stepped back from.
        if new <= value + DECREASE * scale * descent:
            return moved, new, new_slope
        scale *= 0.5
    return None


def _direction(slope: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> Floats:
    """Return the quasi-Newton direction by the two-loop recursion."""
    # Nocedal and Wright, algorithm 7.4, on d = -g rather than on g: with ρ = 1 / s' y, latest pair first,
    # a = ρ s' d and d <- d - a y; then, earliest first, d <- d + (a - ρ y' d) s.
    direction = -slope
    weights = []
    for step, change, curvature in reversed(pairs):
        weight = float(step @ direction) / curvature
        weights.append(weight)
        direction -= weight * change
    if pairs:
        # The matrix that the recursion starts from, s' y / y' y times the identity (7.20).
        _, change, curvature = pairs[-1]
        direction *= curvature / float(change @ change)
    for (step, change, curvature), weight in zip(pairs, reversed(weights), strict=True):
        direction += (weight - float(change @ direction) / curvature) * step
    return direction
