"""Keywords that `symnas.search` does not have, answered with those that it has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from symnas.contracts.registry import find
from symnas.errors import KeywordError, SymnasError, nearest

P = ParamSpec("P")
R = TypeVar("R")

# What Optuna, Ray Tune, Hyperopt, Keras Tuner, NNI, scikit-learn and others call what is a keyword here.
SAME: Mapping[str, str] = {
    "n_trials": "trials", "num_trials": "trials", "max_trials": "trials", "total_trials": "trials",
    "n_iter": "trials", "n_calls": "trials", "max_evals": "trials", "num_samples": "trials",
    "max_trial_number": "trials", "iterations": "trials",
    "fn": "evaluate", "func": "evaluate", "function": "evaluate", "objective": "evaluate",
    "evaluator": "evaluate", "estimator": "evaluate", "task": "evaluate", "trainable": "evaluate",
    "program": "target", "space": "target", "search_space": "target", "model": "target",
    "sampler": "algorithm", "searcher": "algorithm", "search_alg": "algorithm", "tuner": "algorithm",
    "strategy": "algorithm", "algo": "algorithm", "optimizer": "algorithm",
    "hyperparameters": "options", "params": "options", "algorithm_options": "options",
    "n_jobs": "workers", "num_workers": "workers", "n_workers": "workers", "max_workers": "workers",
    "parallel": "workers", "max_concurrent_trials": "workers", "trial_concurrency": "workers",
    "study_name": "name", "experiment_name": "name", "storage": "store", "database": "store", "db": "store",
    "random_state": "seed", "random_seed": "seed", "rng": "seed",
    "callback": "on_trial", "callbacks": "on_trial", "verbose": "progress", "show_progress_bar": "progress",
    "scheduler": "pruner", "early_stopping": "pruner", "points_to_evaluate": "initial",
    "metric": "objectives", "metrics": "objectives",
}  # fmt: skip
# Those whose value is no value of ours, with what to write instead.
OTHERWISE: Mapping[str, str] = {
    **dict.fromkeys(
        ("direction", "directions", "mode", "minimize", "maximize"),
        "write the direction beside the metric, objectives={'loss': 'min'}",
    ),
    **dict.fromkeys(
        ("load_if_exists", "resume", "restore"), "leave it out: the same call again goes on in its store"
    ),
    "max_epochs": "write the length into the task, symnas.Task(…, epochs=…), or high= into options=",
    "metadata": "leave it out, or put it into name=",
}  # fmt: skip


def answering(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that answers keywords which it does not have; its signature stays what it is.

    Raises:
        KeywordError: when it is called with one.
    """
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in kwargs.items():
            if name not in known:
                raise KeywordError(_answer(name, value, [*known], kwargs.get("algorithm")))
        return function(*args, **kwargs)

    return answered


def _answer(name: str, value: Any, known: list[str], algorithm: Any) -> str:
    """Return a message: what is wrong, and what to write."""
    given = f"symnas.search has no keyword {name!r}"
    if name in SAME:
        return f"{given}: write {SAME[name]}={_shown(value)}"
    if name in OTHERWISE:
        return f"{given}: {OTHERWISE[name]}"
    if name in _options(algorithm):
        return f"{given}, which is an option of {algorithm!r}: write options={{{name!r}: {_shown(value)}}}"
    return f"{given}{nearest(name, known)}; it has {', '.join(known)}"


def _options(algorithm: Any) -> list[str]:
    """Return the hyperparameters of an algorithm given by name."""
    try:
        return [*find(algorithm).hyperparameter_defaults()] if isinstance(algorithm, str) else []
    except SymnasError:
        return []


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 and "\n" not in text else "…"
