"""What a search was given to evaluate with, as the estimator that its algorithm needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.estimator import EachAlone, Estimator, Resources
from symnas.errors import EvaluatorError
from symnas.study.workers.evaluation import convention

MEMBERS = ("objectives", "fidelities", "usual_trials", "resources", "identity", "check", "open")


@dataclass(frozen=True, repr=False)
class FunctionEstimator:
    """A plain function of the child: every trial calls it, in any process.

    Args:
        function: by the conventions of `symnas.search`; attributes `objectives` and `fidelities` that it may
            have are heeded.
    """

    function: Callable[..., Any]

    @property
    def objectives(self) -> Mapping[str, str]:
        """Those that the function names; it may name none."""
        own = getattr(self.function, "objectives", None)
        return own if isinstance(own, Mapping) else {}

    @property
    def fidelities(self) -> tuple[int, int] | None:
        """How far it says that it can go."""
        return getattr(self.function, "fidelities", None)

    @property
    def usual_trials(self) -> None:
        """How many trials a search takes is left to the algorithm."""

    @property
    def resources(self) -> Resources:
        """Each trial is by itself, and nothing of it is kept unless that is asked for."""
        return Resources()

    @property
    def identity(self) -> Callable[..., Any]:
        """The function: its name, its code and what it depends on."""
        return self.function

    def check(self, target: Any, algorithm: Algorithm) -> None:  # noqa: ARG002 - any target will do
        """Refuse a function that could not be called.

        Raises:
            EvaluatorError: it asks for what no trial has, or cannot be told how far to go.
        """
        convention(self.function, algorithm.capabilities.fidelity)

    def open(self, target: Any, algorithm: Algorithm, **_: Any) -> EachAlone:  # noqa: ARG002
        """Return the function."""
        return EachAlone(self.function)

    def __repr__(self) -> str:
        """Show the function."""
        return repr(self.function)


def as_estimator(given: Any) -> Estimator:
    """Return what was given where it is an estimator by its members, and else a function as one.

    Raises:
        EvaluatorError: it is neither, or an estimator that lacks something.
    """
    # Asked of the class where it can be, since a property of an instance may take long to compute.
    missing = [name for name in MEMBERS if not hasattr(type(given), name) and name not in _own(given)]
    if not missing:
        return cast("Estimator", given)
    if {"open", "resources"}.isdisjoint(missing):
        raise EvaluatorError(
            f"an estimator has all that symnas.contracts.Estimator names; {type(given).__name__} lacks "
            f"{', '.join(missing)}: add that"
        )
    if not callable(given):
        raise EvaluatorError(f"an evaluator is a function of the child or a Task; got {given!r}")
    return FunctionEstimator(given)


def serving(given: Estimator, algorithm: Algorithm) -> Estimator:
    """Return an estimator that gives an algorithm what it asks for besides outcomes.

    It is the given one if that offers it; else it is made of the given one, which must be a task then.

    Raises:
        AlgorithmError: the algorithm asks for what cannot be made of what is given.
    """
    able, offers = algorithm.capabilities, given.resources.offers
    if able.shared_weights and "shared_weights" not in offers:
        from symnas.oneshot.estimator import SharedWeights

        given = SharedWeights.serving(given, algorithm)
    if able.relaxed and "relaxed" not in offers:
        from symnas.relaxed.search import RelaxedEstimator

        given = RelaxedEstimator.serving(given, algorithm)
    return given


def _own(given: Any) -> Mapping[str, Any]:
    return getattr(given, "__dict__", {})
