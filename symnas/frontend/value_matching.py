"""Whether two values are the same choice: equal, or modules that are built alike.

A module equals only itself, so what the code builds would never be one of its candidates. Two modules are
alike when they are of one class and all that they hold is alike: numbers, names, modules inside them. Of
their tensors shape and type count, as values are drawn at random. Anything else must be equal.
"""

from __future__ import annotations

from collections.abc import Mapping


def same_choice(one: object, other: object) -> bool:
    """Tell whether two values are the same choice."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if _is_module(one):
        return _same(vars(one), vars(other), set())
    try:
        return bool(one == other)
    except Exception:  # a type whose equality is no truth value is compared by identity only
        return False


def _same(one: object, other: object, seen: set[tuple[int, int]]) -> bool:
    """Tell whether two values inside modules are alike."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(_same(one[key], other[key], seen) for key in one)
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other, [seen] * len(one)))
    if _is_module(one):
        if (id(one), id(other)) in seen:  # a module that holds what holds it
            return True
        seen.add((id(one), id(other)))
        return _same(vars(one), vars(other), seen)
    form, theirs = ((getattr(x, "shape", None), getattr(x, "dtype", None)) for x in (one, other))
    return form == theirs if form[0] is not None else same_choice(one, other)


def _is_module(value: object) -> bool:
    return getattr(type(value), "named_modules", None) is not None
