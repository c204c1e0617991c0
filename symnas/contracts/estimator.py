"""What a search asks for outcomes: a plain function, a task, shared weights, a relaxed run, or one's own.

A search knows no class of estimator. It reads what an estimator states (`objectives`, `fidelities`,
`usual_trials`, `resources`, `identity`), refuses what does not go together, and then does, for every study:

    estimator.check(target, algorithm)                      # only before there is a study
    opened = estimator.open(target, algorithm, seed=…, folder=…, trials=…, tell=…)
    opened.replay(number)                                   # for every trial of the log, in order
    opened.evaluate(…)                                      # for every trial from then on

So a trial has its context, its seed, its reports and its checkpoint folder, is written down, looked up and
replayed in one way, whatever evaluates it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from symnas.contracts.algorithm import Algorithm

Extra = Literal["shared_weights", "relaxed"]
Argument = Literal["workers", "timeout", "keep", "pruner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the trials of an estimator offer, use and leave; a search compares it with what it is asked for.

    Args:
        offers: what it gives to algorithms besides outcomes, by the names of `Capabilities`.
        keeps: of how many best trials trained weights are kept, where nobody says.
        repeatable: whether a decision that was tried before would come out the same again, so that its
            result is looked up.
        refuses: arguments of a search that do not go with it, each with what to do instead.
        because: why it refuses them, as the beginning of a sentence.
        folder: name of the folder beside the store for what spares work when a study goes on.
    """

    offers: frozenset[Extra] = frozenset()
    keeps: int = 0
    repeatable: bool = True
    refuses: Mapping[Argument, str] = field(default_factory=dict)
    because: str = ""
    folder: str = "estimator"


class OpenEstimator(Protocol):
    """An estimator as the trials of one study use it."""

    @property
    def evaluate(self) -> Callable[..., Any]:
        """What every trial calls.

        Parameters named `decision`, `trial`, `fidelity` and `checkpoint` are given those, the first other
        one the child; without one, no child is built. It returns a number or numbers by name, or yields
        `(step, metrics)` as it goes. It is pickled where trials run in processes of their own.
        """

    @property
    def proposer(self) -> Algorithm | None:
        """An algorithm, set up, that proposes in place of the one that `open` was given; None for that one.

        It keeps the laws of algorithms, so that the log replays.
        """

    def replay(self, number: int) -> None:
        """Come to the state in which trial `number` was evaluated, without evaluating it.

        Called for the trials of the log that were evaluated, in the order in which they ended, while the
        algorithm is as it was then. Where trials are independent of each other it does nothing.
        """


class Estimator(Protocol):
    """What turns decisions into outcomes; a class that has all of this is one, whatever it derives from."""

    @property
    def objectives(self) -> Mapping[str, str]:
        """Metrics with "max" or "min", used where the search is given none; empty where it cannot say."""

    @property
    def fidelities(self) -> tuple[int, int] | None:
        """How far a trial can go, from lowest to highest; None where that is not for algorithms to say."""

    @property
    def usual_trials(self) -> int | None:
        """How many trials a search takes by itself; None leaves it to the algorithm."""

    @property
    def resources(self) -> Resources:
        """What its trials offer, use and leave."""

    @property
    def identity(self) -> Any:
        """What the study's name and fingerprint are made of: itself, or what it stands for.

        A text attribute `fingerprint` of it is its fingerprint; without, all that it holds is.
        """

    def check(self, target: Any, algorithm: Algorithm, /) -> None:
        """Refuse what could not be searched, before there is a study.

        Args:
            target: a program, or a bare space.
            algorithm: what will propose.

        Raises:
            SymnasError: it says what does not fit, and what to do.
        """

    def open(
        self,
        target: Any,
        algorithm: Algorithm,
        /,
        *,
        seed: int,
        folder: Path | None,
        trials: int,
        tell: Callable[[str], None],
    ) -> OpenEstimator:
        """Return what evaluates the trials of one study.

        Args:
            target: a program, or a bare space.
            algorithm: what proposes, set up and with nothing observed yet.
            seed: of everything random that is no single trial's; it is the study's own.
            folder: for what spares work when the study goes on, which must carry no results; it may not be
                there yet, and None keeps nothing.
            trials: how many trials the log has already.
            tell: shows a line about how it goes, for estimators that work longer than a trial.
        """


@dataclass(frozen=True)
class EachAlone:
    """An opened estimator whose trials are independent of each other.

    Args:
        evaluate: what every trial calls.
        proposer: what proposes in place of the search's algorithm, or None.
    """

    evaluate: Callable[..., Any]
    proposer: Algorithm | None = None

    def replay(self, number: int) -> None:
        """Do nothing: no trial depends on an earlier one."""
