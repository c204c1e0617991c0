"""What makes a study the same study: its name, its seed and the fingerprints of what it searches with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import FrameType
from typing import Any

from symnas._fingerprint import fingerprint, fingerprint_of_context
from symnas._version import __version__
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.objectives import Objectives
from symnas.contracts.registry import BUILT_IN, GROUP
from symnas.errors import StudyError
from symnas.study.trials.trial import derived_seed
from symnas.study.trials.trial_context import RunningTrial
from symnas.tree.space import Decision, Space

# In the order in which a change is told: the first ones usually explain the others.
CHANGES = {
    "space": "the search space",
    "program": "the program's code or arguments",
    "evaluator": "the evaluator (its code, what it closes over, or the functions it calls)",
    "objectives": "the objectives",
    "algorithm": "the algorithm or its options",
    "seed": "the seed",
}
STARTS = {"initial": "the initial decisions", "warm_start": "the studies of the warm start"}


@dataclass(frozen=True)
class Identity:
    """Name, seed and header of a study.

    Args:
        name: unique within the store.
        seed: what everything random comes from.
        header: what the store keeps of it.
    """

    name: str
    seed: int
    header: dict[str, Any]

    def begins_otherwise(self, header: dict[str, Any]) -> list[str]:
        """Return what was given to begin with and is not what an older study began with, in words."""
        # As the store gives it back, with lists for tuples.
        mine = json.loads(json.dumps(self.header))
        return [
            words
            for part, words in STARTS.items()
            if mine[part] is not None and mine[part] != header.get(part)
        ]

    def changes(self, header: dict[str, Any]) -> list[str]:
        """Return what is different from an older header, in words."""
        # Only fingerprints are compared; another version may write the rest of the header otherwise.
        mine, theirs = self.header["fingerprints"], header["fingerprints"]
        return [words for part, words in CHANGES.items() if mine[part] != theirs[part]]


def target_name(target: Any) -> str:
    """Return what a program is called."""
    return "space" if isinstance(target, Space) else str(target.name)


def evaluator_name(evaluate: Callable[..., Any]) -> str:
    """Return what an evaluator is called, without where it was defined."""
    inner = getattr(evaluate, "func", evaluate)  # functools.partial
    name = getattr(inner, "__qualname__", type(inner).__name__)
    return str(name).rpartition("<locals>.")[2].replace("<lambda>", "lambda")


def algorithm_name(algorithm: Algorithm) -> str:
    """Return the name that an algorithm is found by, or its class's."""
    cls = type(algorithm)
    place = f"{cls.__module__}:{cls.__qualname__}"
    known = {**{entry.name: entry.value for entry in entry_points(group=GROUP)}, **BUILT_IN}
    return next((name for name, value in known.items() if value == place), cls.__name__)


def identify(
    target: Any,
    evaluate: Callable[..., Any],
    algorithm: Algorithm,
    objectives: Objectives,
    *,
    name: str | None,
    seed: int,
    context: Any,
    outer: RunningTrial | None,
    frame: FrameType | None,
    durable: bool,
    initial: Sequence[Decision] | None = None,
    sources: Sequence[str] | None = None,
) -> Identity:
    """Return what a search's study is called and made of.

    Args:
        target: program or space.
        evaluate: the evaluator.
        algorithm: with its hyperparameters.
        objectives: what is optimised.
        name: the name that the user gave.
        seed: the seed that the user gave.
        context: stands for what the evaluator depends on, where that cannot be read.
        outer: the trial that the search runs inside of.
        frame: where the search was called.
        durable: whether the study outlives the process; only then must everything have a fingerprint.
        initial: the decisions that it tries first, where the user gave some.
        sources: what the studies are called that it learns from, where the user gave some.

    Raises:
        StudyError: what the evaluator holds cannot be read, and no context was given.
    """
    if outer is None:
        parts = (target_name(target), evaluator_name(evaluate), algorithm_name(algorithm))
        name = name or "-".join(parts)
    else:
        # A search inside a trial of another one: name and seed follow from that trial, so that it is found
        # again.
        name = outer.nested_name(name, frame)
        seed = derived_seed(seed, outer.seed, name)
    space: Space = target if isinstance(target, Space) else target.space
    header = {
        "version": __version__,
        "target": target_name(target),
        "program": _note(target) if durable else None,
        "space": space.to_json() if durable else {},
        "objectives": objectives.to_json(),
        "algorithm": repr(algorithm),
        "algorithm_name": algorithm_name(algorithm),
        "options": dict(algorithm.hyperparameters),
        "seed": seed,
        "outer": None if outer is None else outer.study,
        "initial": None if initial is None else [decision.to_json() for decision in initial],
        "warm_start": None if sources is None else list(sources),
        "fingerprints": {
            **_fingerprints(target, space, algorithm, objectives, seed),
            "evaluator": _evaluator(evaluate, context) if durable else "",
        },
    }
    return Identity(name, seed, header)


def _fingerprints(
    target: Any, space: Space, algorithm: Algorithm, objectives: Objectives, seed: int
) -> dict[str, str]:
    return {
        "space": space.fingerprint,
        "program": "" if isinstance(target, Space) else str(target.fingerprint),
        "objectives": repr(list(objectives.directions)),
        "algorithm": repr(algorithm),
        "seed": str(seed),
    }


def _note(target: Any) -> dict[str, Any] | None:
    if isinstance(target, Space):
        return None
    from symnas.programs.locator import locator_of

    return locator_of(target)


def _evaluator(evaluate: Callable[..., Any], context: Any) -> str:
    if context is not None:
        return fingerprint_of_context(evaluate, context)
    try:
        return fingerprint(evaluate)
    except StudyError as error:
        raise StudyError(
            f"a study that continues must know whether its evaluator is still the same; {error}. Pass "
            "context= to the search: a string or number that you change whenever the evaluator's data change"
        ) from None
