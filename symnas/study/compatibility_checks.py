"""Whether the parts of a search fit together, told before anything is evaluated."""

from __future__ import annotations

import sys
from typing import Any

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.objectives import Objectives
from symnas.contracts.registry import resolve
from symnas.errors import AlgorithmError, StudyError
from symnas.oneshot.estimator import SharedWeights
from symnas.study.pruners import Pruner
from symnas.tree.space import Space


def bounded(algorithm: Algorithm, evaluate: Any) -> Algorithm:
    """Return the algorithm with the fidelities that an evaluator allows in place of those left open.

    Args:
        algorithm: one that has options `low` and `high`, if it has fidelities at all.
        evaluate: what may say how far trials go, by an attribute `fidelities = (lowest, highest)`.

    Raises:
        AlgorithmError: the evaluator does not go as far as an option asks.
    """
    given = algorithm.hyperparameters
    allowed = getattr(evaluate, "fidelities", None)
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


def paired(algorithm: Algorithm, evaluate: Any, target: Any) -> Any:
    """Return the evaluator, with weights shared where the algorithm asks for that.

    Args:
        algorithm: what searches.
        evaluate: as the user gave it.
        target: what is searched.

    Raises:
        AlgorithmError: the algorithm asks for shared weights, and nothing is given that could train them.
        StudyError: weights are to be shared, and what is searched has no weights.
    """
    name = type(algorithm).__name__
    if algorithm.capabilities.shared_weights and not isinstance(evaluate, SharedWeights):
        if not is_task(evaluate):
            raise AlgorithmError(
                f"{name} trains one network that all children share, for which it needs a symnas.Task (data, "
                f"loss, optimiser) or symnas.SharedWeights(task); got {evaluate!r}, which can only be asked "
                "for outcomes: give a task, or take an algorithm that learns from outcomes"
            )
        evaluate = SharedWeights(evaluate, **algorithm.sharing)
    if isinstance(evaluate, SharedWeights) and algorithm.capabilities.fidelity:
        raise AlgorithmError(
            f"{name} lets trials be trained differently far, and under shared weights no trial is trained by "
            "itself: take an algorithm that learns from outcomes, or give it the task"
        )
    if isinstance(evaluate, SharedWeights) and not callable(getattr(target, "supernet", None)):
        raise StudyError(
            f"weights are shared by where the code of a program constructs them, and {target!r} has no code: "
            "search symnas.program(…) of a class or a function"
        )
    return evaluate


def check_sharing(
    evaluate: Any, workers: int, timeout: float | None, keep: int | None, pruner: Pruner | None
) -> None:
    """Refuse what shared weights do not go together with.

    Raises:
        StudyError: several processes, a timeout, kept weights of trials, or a pruner.
    """
    if not isinstance(evaluate, SharedWeights):
        return
    wrong = {
        f"workers={workers}": workers > 1,
        f"timeout={timeout}": timeout is not None,
        f"keep={keep}": bool(keep),
        "a pruner": pruner is not None,
    }
    ways = {
        "workers": "give workers=1; batches are what runs in parallel, on the task's device",
        "timeout": "leave it out, or let require clauses keep slow children out",
        "keep": "the weights of a trial are those of all: leave it out, and extract children from the "
        "network that SharedWeights.fit returns, or train the best one alone with the task's fit",
        "a pruner": "a trial is one look at weights that are there; leave the pruner out",
    }
    for given, refused in wrong.items():
        if refused:
            way = ways[given.partition("=")[0]]
            raise StudyError(
                f"shared weights are one network in this process, and {given} asks for more: {way}"
            )


def is_task(evaluate: Any) -> bool:
    """Whether an evaluator is a `Task`, without importing torch to know."""
    # Asking the module by name keeps torch out of searches that train nothing.
    module = sys.modules.get("symnas.training.task")
    return module is not None and isinstance(evaluate, module.Task)


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
            f"{name} takes one objective; got {', '.join(objectives.to_json())}: name one in objectives=, "
            f"or use an "
            "algorithm for several"
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
