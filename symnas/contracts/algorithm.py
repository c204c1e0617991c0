"""The ask/tell contract between a search and its algorithm.

An algorithm sees a space and outcomes, never a program, an evaluator or a store. A search does, for ever:

    batch = algorithm.propose(n, np.random.default_rng([seed, call]))    # call = 0, 1, 2, …
    algorithm.observe(batch, [RUNNING] * len(batch))                     # the trials have been handed out
    …
    algorithm.observe(batch[done], outcomes)                             # in the order in which they ended

The law that makes a study continue where it was killed: **`observe` is the only thing that changes an
algorithm**. `propose` is a pure function of what was observed and of its generator, so that showing a fresh
instance the same observations in the same order, without a single call of `propose`, gives an algorithm
that goes on exactly as the first one would have. Caches that no proposal depends on are fine. No clock, no
global generator, no hash order.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from symnas.contracts.hyperparameters import check_hyperparameters
from symnas.contracts.outcome import Outcome
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space
    from symnas.tree.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an algorithm can take, and what it asks for; a search compares this with what it was given.

    Args:
        conditional: it takes spaces with points that exist only under others.
        real_valued: it takes spaces with real ranges that have no step.
        multi_objective: it uses every objective; without it, exactly one is allowed.
        parallel: it proposes while earlier trials still run.
        shared_weights: it asks for an estimator that shares weights between children.
        relaxed: it asks for all candidates at once, weighted.
        fidelity: it says how far each trial goes: it proposes a `symnas.contracts.Proposal`, and its
            outcomes (the running ones too) carry the fidelity.
    """

    conditional: bool = True
    real_valued: bool = True
    multi_objective: bool = False
    parallel: bool = True
    shared_weights: bool = False
    relaxed: bool = False
    fidelity: bool = False


def depending(usual: Capabilities, of: Callable[[Any], Capabilities]) -> Capabilities:
    """Return capabilities that depend on an algorithm's options, to stand in its class body.

    Args:
        usual: what the class says, for listings: the capabilities with default options.
        of: what an instance says, computed from the instance.
    """
    return cast(Capabilities, _Depending(usual, of))


class _Depending:
    """A class attribute that its class and each instance read differently."""

    def __init__(self, usual: Capabilities, of: Callable[[Any], Capabilities]) -> None:
        self.usual = usual
        self.of = of

    def __get__(self, instance: object, owner: object = None) -> Capabilities:
        return self.usual if instance is None else self.of(instance)


class Prediction(NamedTuple):
    """What a surrogate expects of decisions, in the oriented units of the first objective.

    Attributes:
        mean: (rows,) the expected value of each decision; larger is better.
        std: (rows,) how far the expected value may be off, as a standard deviation; noise of a single
            evaluation is not part of it.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


class Algorithm(ABC):
    """Base of all search algorithms: implement `setup`, `propose` and `observe`.

    The constructor takes hyperparameters only, by keyword and with defaults, and keeps each unchanged under
    its own name. Everything that a search needs to know of them (`--set population=20`, the fingerprint,
    the `repr`) is read from there. Values are plain data (numbers, strings, booleans, None, tuples of
    them), so that a `repr` reads back. `symnas.contracts.with_hyperparameters` makes such a constructor from
    declarations.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    def __post_init__(self) -> None:
        """Refuse values that the declarations of hyperparameters do not allow.

        A constructor made by `with_hyperparameters` ends here; one of one's own does not come by.
        """
        check_hyperparameters(self)

    @abstractmethod
    def setup(self, space: Space) -> None:
        """Start from nothing on `space`; called once before all else, and forgets any earlier use."""

    @abstractmethod
    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return up to `n` decisions to try next, without changing the algorithm.

        Args:
            n: how many trials can start now, at least 1.
            rng: the only source of randomness; the search derives it from its seed and the number of the
                call.

        Returns:
            A batch of at most `n` decisions of the space. An empty one says that nothing is left to
            propose: the search waits for running trials, asks once more when they are over, and then ends.
        """

    @abstractmethod
    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Learn what became of decisions; the only place where the algorithm changes.

        It is called with `RUNNING` outcomes right after a proposal was handed out, and again, trial by
        trial or several at once, with the final ones. A decision may come that was never proposed (imported
        from another study), and a final outcome may come without a `RUNNING` one before it.

        Args:
            batch: the decisions, all of the space.
            outcomes: one per decision, in the same order.
        """

    def paused(self, limit: int) -> Batch | None:  # noqa: ARG002 - algorithms with fidelities say more
        """Return the decisions that may be asked for again at a higher fidelity, the likeliest first.

        What they have learnt is kept for them to go on with; that of all others is dropped.

        Args:
            limit: how many at most.
        """
        return None

    @property
    def parts(self) -> tuple[Algorithm, ...]:
        """The algorithms that this one asks, which must fit the space and the objectives as well."""
        return ()

    @property
    def sharing(self) -> Mapping[str, Any]:
        """How weights are shared for an algorithm that asks for it and is given a plain task.

        Arguments of `symnas.SharedWeights` by name, plain data.
        """
        return {}

    @property
    def usual_trials(self) -> int | None:
        """How many trials a search takes by itself; None for what a search takes with any algorithm."""
        return None

    def predict(self, batch: Batch) -> Prediction:
        """Return what the algorithm expects of decisions, from the trials observed so far.

        Args:
            batch: the decisions, all of the space.

        Raises:
            AlgorithmError: the algorithm has no surrogate, or nothing with a value was observed yet.
        """
        raise AlgorithmError(
            f"expectations come from a surrogate model, and {type(self).__name__} has none for these "
            f"{len(batch)} decisions: ask an algorithm that has one, as 'smbo'"
        )

    def statistics(self) -> Statistics | None:
        """Return what an algorithm that keeps statistics of each point has seen; None for all others."""
        return None

    @classmethod
    def hyperparameter_defaults(cls) -> dict[str, Any]:
        """Return the name and default of every constructor argument, in order.

        Raises:
            AlgorithmError: an argument is positional or has no default, so nobody could set it by name.
        """
        defaults = {}
        for name, parameter in inspect.signature(cls).parameters.items():
            if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
                raise AlgorithmError(
                    f"hyperparameters are keyword-only and have defaults; {cls.__name__}'s {name!r} is not: "
                    f"declare `def __init__(self, *, {name}=…)`"
                )
            defaults[name] = parameter.default
        return defaults

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """The constructor arguments of this instance, by name.

        Raises:
            AlgorithmError: the constructor did not keep an argument under its own name.
        """
        values = {}
        for name in self.hyperparameter_defaults():
            # Not `hasattr`: a default in the class would hide that the constructor kept nothing.
            if name not in self.__dict__:
                raise AlgorithmError(
                    f"a hyperparameter is kept under its own name; {type(self).__name__} has no {name!r}: "
                    f"add `self.{name} = {name}` to its constructor"
                )
            values[name] = self.__dict__[name]
        return values

    def fresh(self) -> Self:
        """Return a new instance with the same hyperparameters that has seen nothing."""
        return type(self)(**self.hyperparameters)

    def __repr__(self) -> str:
        """Render as the constructor call that makes an equal algorithm."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        return f"{type(self).__name__}({arguments})"
