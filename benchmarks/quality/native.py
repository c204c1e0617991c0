"""A space in the terms of other libraries: what `peers.py` needs to run each on its own interface.

Every library gets the same points with the same values under the same conditions, as far as it has them.
Where one has no such condition, the point is always there, and its value counts only where it exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symnas._typing import Value
from symnas.tree.choices import FloatRange, IntRange, ManyOf, OneOf, Permutation, Point
from symnas.tree.space import Space
from symnas.tree.subsets import INACTIVE


def walk(space: Space, choose: Callable[[Point], Value]) -> dict[str, Value]:
    """Return the values of the points that exist, asking for one after the other in tree order."""
    values: dict[str, Value] = {}
    codes: dict[str, int] = {}

    def visit(points: Iterable[Point]) -> None:
        for point in points:
            if any(
                tuple(codes.get(at, INACTIVE) for at in guard.addresses) not in guard.allowed
                for guard in point.guards
            ):
                continue
            values[point.address] = value = choose(point)
            if not point.branches and not isinstance(point, OneOf | IntRange):
                continue
            code = codes[point.address] = point.code(value)
            for branch in point.branches:
                if code in branch.when:
                    visit(branch.points)

    visit(space.points)
    return values


def plain(space: Space) -> bool:
    """Tell whether there are only choices of one and ranges."""
    return all(isinstance(point, OneOf | IntRange | FloatRange) for point in space.walk())


def real(point: Point) -> bool:
    """Tell whether a point takes any value between its ends."""
    return isinstance(point, FloatRange) and not point.finite


def optuna_value(trial: Any, point: Point) -> Value:
    """Return Optuna's suggestion for a point."""
    if isinstance(point, FloatRange):
        found = float(
            trial.suggest_float(point.address, point.low, point.high, step=point.step, log=point.log)
        )
        # Optuna adds up the steps, with rounding errors.
        return min(point.values(), key=lambda value: abs(value - found)) if point.finite else found
    if isinstance(point, IntRange) and point.factor is None:
        return int(trial.suggest_int(point.address, point.low, point.high, step=point.step, log=point.log))
    value: Value = trial.suggest_categorical(point.address, list(point.values()))
    return value


def hyperopt_space(space: Space) -> list[Any]:
    """Return the nested expression that hyperopt samples."""
    import numpy as np
    from hyperopt import hp

    def node(point: Point) -> dict[str, Any]:
        at = point.address
        if isinstance(point, FloatRange) and real(point):
            ends = (np.log(point.low), np.log(point.high)) if point.log else (point.low, point.high)
            return {"at": at, "value": (hp.loguniform if point.log else hp.uniform)(at, *ends)}
        if isinstance(point, IntRange | FloatRange) and not point.branches:
            return {"at": at, "code": hp.uniformint(at, 0, point.cardinality - 1)}
        below = [(branch.when, [node(inner) for inner in branch.points]) for branch in point.branches]
        options = [
            {"code": code, "below": [inner for when, nodes in below if code in when for inner in nodes]}
            for code in range(int(point.cardinality))
        ]
        return {"at": at, "chosen": hp.choice(at, options)}

    return [node(point) for point in space.points]


def hyperopt_values(sampled: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return what hyperopt chose: a code, or a real value, by address."""
    found: dict[str, Any] = {}
    for part in sampled:
        if "chosen" in part:
            found[part["at"]] = int(part["chosen"]["code"])
            found |= hyperopt_values(part["chosen"]["below"])
        else:
            found[part["at"]] = float(part["value"]) if "value" in part else int(part["code"])
    return found


def configuration_space(space: Space, seed: int) -> Any:
    """Return ConfigSpace's space, which SMAC searches: codes of choices and ranges, real values."""
    from ConfigSpace import (
        CategoricalHyperparameter,
        ConfigurationSpace,
        InCondition,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    made = ConfigurationSpace(seed=seed)

    def add(points: Iterable[Point], above: Any, when: Iterable[int]) -> None:
        for point in points:
            at = point.address
            if isinstance(point, FloatRange) and real(point):
                own: Any = UniformFloatHyperparameter(at, point.low, point.high, log=point.log)
            elif isinstance(point, IntRange | FloatRange) and point.cardinality > 1:
                own = UniformIntegerHyperparameter(at, 0, int(point.cardinality) - 1)
            else:
                own = CategoricalHyperparameter(at, list(range(int(point.cardinality))))
            made.add(own)
            if above is not None:
                made.add(InCondition(own, above, list(when)))
            for branch in point.branches:
                add(branch.points, own, branch.when)

    add(space.points, None, ())
    return made


def pyglove_space(space: Space) -> Any:
    """Return a symbolic dictionary for PyGlove: codes of choices, real values, under the points' numbers.

    Points that exist under one candidate stand inside it; those under several stand beside it.
    """
    import pyglove as pg

    numbers = {address: f"p{number}" for number, address in enumerate(space.addresses)}

    def add(points: Iterable[Point], into: dict[str, Any]) -> None:
        for point in points:
            at = numbers[point.address]
            if isinstance(point, FloatRange) and real(point):
                into[at] = pg.floatv(point.low, point.high, scale="log" if point.log else None)
            elif isinstance(point, Permutation):
                into[at] = pg.permutate(list(range(point.codes)))
            elif isinstance(point, ManyOf):
                members = list(range(point.codes))
                into[at] = pg.oneof([pg.manyof(size, members) for size in range(point.low, point.high + 1)])
            else:
                candidates: list[dict[str, Any]] = [{"code": code} for code in range(int(point.cardinality))]
                for branch in point.branches:
                    add(branch.points, candidates[branch.when[0]] if len(branch.when) == 1 else into)
                nested = any(len(candidate) > 1 for candidate in candidates)
                into[at] = pg.oneof(
                    [pg.Dict(candidate) for candidate in candidates]
                    if nested
                    else list(range(len(candidates)))
                )

    found: dict[str, Any] = {}
    add(space.points, found)
    return pg.Dict(found)


def pyglove_values(sampled: Any, addresses: Sequence[str]) -> dict[str, Any]:
    """Return what PyGlove chose by address: a code, several codes, or a real value."""
    found: dict[str, Any] = {}
    for at, value in sampled.items():
        if at == "code":
            continue
        address = addresses[int(at[1:])]
        if hasattr(value, "items"):
            found[address] = value["code"]
            found |= pyglove_values(value, addresses)
        else:
            found[address] = tuple(value) if isinstance(value, list) else value
    return found


def chosen(found: dict[str, Any]) -> Callable[[Point], Value]:
    """Return the choice that `walk` asks for, out of codes and real values by address."""

    def choose(point: Point) -> Value:
        code = found[point.address]
        if isinstance(point, FloatRange) and real(point):
            return float(min(max(code, point.low), point.high))
        if isinstance(point, ManyOf | Permutation):
            return point.value(code)
        value: Value = point.value(int(code))  # type: ignore[attr-defined]
        return value

    return choose
