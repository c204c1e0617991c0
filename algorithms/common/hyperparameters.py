"""Checks of hyperparameters, whose values may come from a command line."""

from __future__ import annotations

import math

from symnas.errors import AlgorithmError, nearest


def whole(name: str, value: object, low: int) -> int:
    """Return a whole number of at least `low`, or say what was wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise AlgorithmError(f"{name} is a whole number of at least {low}; got {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """Return True or False, or say that the value is neither."""
    if not isinstance(value, bool):
        raise AlgorithmError(f"{name} is True or False; got {value!r}")
    return value


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse what is not one of the allowed words, and name the nearest."""
    if value not in allowed:
        raise AlgorithmError(
            f"{name} is one of {', '.join(map(repr, allowed))}; got {value!r}{nearest(str(value), allowed)}"
        )


def share(name: str, value: object) -> float:
    """Return a number between 0 and 1, ends included, or say what was wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise AlgorithmError(f"{name} is a number between 0 and 1; got {value!r}")
    return value


def positive(name: str, value: object) -> float:
    """Return a number above 0 that is not infinite, or say what was wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise AlgorithmError(f"{name} is a number above 0; got {value!r}")
    return value


def weight(name: str, value: object) -> float:
    """Return a number of at least 0 that is not infinite, or say what was wrong with it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise AlgorithmError(f"{name} is a number of at least 0; got {value!r}")
    return value
