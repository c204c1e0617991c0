"""Whether the parts of a search fit together, told before anything is evaluated."""

from __future__ import annotations

from typing import Any

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.estimator import Resources
from symnas.contracts.objectives import Objectives
from symnas.contracts.registry import resolve
from symnas.errors import AlgorithmError, StudyError
from symnas.study.pruners import Pruner
from symnas.tree.space import Space


def bounded(algorithm: Algorithm, allowed: tuple[int, int] | None) -> Algorithm:
    """Return the algorithm with the fidelities that an evaluator allows in place of those left open.

    Args:
        algorithm: one that has options `low` and `high`, if it has fidelities at all.
        allowed: how far trials can go, from lowest to highest, where the estimator says that.

    Raises:
        AlgorithmError: the evaluator does not go as far as an option asks.
    """
    given = algorithm.hyperparameters
    if not algorithm.capabilities.fidelity or allowed is None or not {"low", "high"} <= given.keys():
        return algorithm
    low, high = allowed
    for name in ("low", "high"):
        if given[name] is not None and not low <= given[name] <= high:
            raise AlgorithmError(
                f"{name} is how far a trial goes, and this evaluator goes from {low} to {high}; got "
                f"{name}={given[name]}: leave it out, or make the task longer"
            )
    ends = {"low": low if given["low"] is None else given["low"],
            "high": high if given["high"] is None else given["high"]}  # fmt: skip
    return resolve(algorithm, ends)


def check_resources(
    resources: Resources, workers: int, timeout: float | None, keep: int | None, pruner: Pruner | None
) -> None:
    """Refuse what an estimator does not go together with.

    Raises:
        StudyError: several processes, a timeout, kept weights of trials, or a pruner, where it says so.
    """
    asked = {
        "workers": workers > 1 and f"workers={workers}",
        "timeout": timeout is not None and f"timeout={timeout}",
        "keep": bool(keep) and f"keep={keep}",
        "pruner": pruner is not None and "a pruner",
    }
    for argument, way in resources.refuses.items():
        if given := asked[argument]:
            raise StudyError(f"{resources.because}, and {given} asks for more: {way}")


def check_halving(algorithm: Algorithm, budget: int | None, pruner: Pruner | None) -> None:
    """Refuse a pruner beside an algorithm with fidelities, and a budget without one."""
    name = type(algorithm).__name__
    if algorithm.capabilities.fidelity:
        if pruner is not None:
            raise AlgorithmError(
                f"{name} itself decides how far a trial goes, so there is nothing for a pruner to stop: "
                "leave one of the two out"
            )
    elif budget is not None:
        raise AlgorithmError(
            f"a budget is spent by trials that go differently far, and {name} lets all go as far: give "
            "trials=, or use an algorithm that stops and resumes trials, as 'hyperband'"
        )


def check_fit(algorithm: Algorithm, space: Space, objectives: Objectives) -> None:
    """Refuse an algorithm that cannot search the space, or for the objectives."""
    for part in algorithm.parts:
        check_fit(part, space, objectives)
    able = algorithm.capabilities
    name = type(algorithm).__name__
    if objectives.count > 1 and not able.multi_objective:
        raise AlgorithmError(
            f"{name} takes one objective; got {', '.join(objectives.to_json())}: name one in objectives=, or "
            "use an algorithm for several"
        )
    if able.relaxed:
        return  # the relaxed network is made before anything is trained, and refuses a point with its line
    if not able.conditional and any(point.branches or point.guards for point in space.walk()):
        raise AlgorithmError(
            f"{name} takes spaces without conditions, and points of this one exist only under others"
        )
    if not able.real_valued and space.size == float("inf"):
        raise AlgorithmError(f"{name} takes finite spaces, and this one has real ranges: give them a step")


def check_numbers(**numbers: Any) -> None:
    """Refuse numbers of a search that are out of range."""
    lows = {"trials": 1, "budget": 1, "workers": 0, "retries": 0, "give_up_after": 0, "keep": 0}
    for name, low in lows.items():
        value = numbers[name]
        if name in ("trials", "budget", "keep") and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise StudyError(f"{name} is a whole number of at least {low}; got {value!r}")
    timeout = numbers["timeout"]
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0
    ):
        raise StudyError(f"timeout is a number of seconds above 0, or None for no limit; got {timeout!r}")
