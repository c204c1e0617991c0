"""One trial of a study: what was tried, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symnas.contracts.outcome import Outcome, Status
from symnas.errors import StudyError
from symnas.study.trials.checkpoints import Checkpoints
from symnas.study.trials.kept_weights import KeptWeights
from symnas.tree.space import Decision, Space


def derived_seed(seed: int, *parts: object) -> int:
    """Return a seed below 2**31 that depends on all that is given, the same on every machine."""
    text = "\x1f".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) >> 1


@dataclass
class StudyContext:
    """What the trials of one study share.

    Args:
        space: the space of the decisions.
        seed: the study's seed.
        target: the program or bare space that was searched; None where a study was only read.
        locator: what finds the program again, where it is not at hand.
        weights: the trained weights that were kept.
        checkpoints: where paused trials keep what they need to go on, while a search runs.
    """

    space: Space
    seed: int
    target: Any = None
    weights: KeptWeights | None = None
    locator: Mapping[str, Any] | None = None
    checkpoints: Checkpoints | None = None

    def subject(self) -> Any:
        """Return what was searched, imported from where it was if it was not given.

        Raises:
            StudyError: it was not given, and the study does not know where it was, or another is there now.
            ProgramError: nothing is there now.
        """
        if self.target is None and self.locator is not None:
            found = _located(self.locator)
            if found.space != self.space:
                raise StudyError(
                    f"a child is built by the program that was searched; {self.locator.get('target', found)} "
                    "has another space by now: pass the program as it was, by program= or --program"
                )
            self.target = found
        if self.target is None:
            raise StudyError(
                "a child is built by its program, and this study could not note where that is: "
                "use symnas.load_study(store, name, program=program), or --program FILE.py:NAME"
            )
        return self.target

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read a pickle, of version 0.1.0 too, which called the locator a note."""
        self.__dict__.update({"locator" if name == "note" else name: value for name, value in state.items()})


@dataclass(slots=True, eq=False, repr=False)
class Trial:
    """A trial of a study; made by the study, to be read.

    Args:
        number: its place in the study, from 0.
        context: what it shares with the other trials of its study.
        raw: the decision, or its flat JSON form until somebody asks for it.
        status: `running` until it is over.
        metrics: everything the evaluator returned.
        values: the objectives' values as returned, one per objective; None without a result.
        started: seconds since the epoch, or None.
        finished: seconds since the epoch, or None.
        cost: seconds that the evaluation took.
        worker: number of the worker that ran it.
        attempts: how often it was started and its worker did not come back, plus one.
        error: one line that says what went wrong.
        traceback: the whole traceback of what went wrong.
        steps: intermediate metrics, as pairs of step and metrics.
        copied_from: number of the trial with the same decision whose result this is, or None.
        fidelity: how far it goes (epochs, steps), where the algorithm says that; else None.
        resumes: number of the trial with the same decision that it goes on from, or None.
        root: number of the trial in which that training began, where it is not this one.
    """

    number: int
    context: StudyContext
    raw: Decision | Mapping[str, Any]
    status: Status = Status.RUNNING
    metrics: Mapping[str, float] = field(default_factory=dict)
    values: tuple[float, ...] | None = None
    started: float | None = None
    finished: float | None = None
    cost: float | None = None
    worker: int = 0
    attempts: int = 1
    error: str | None = None
    traceback: str | None = None
    steps: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)
    copied_from: int | None = None
    fidelity: int | None = None
    resumes: int | None = None
    root: int | None = None

    @property
    def decision(self) -> Decision:
        """What was tried."""
        if not isinstance(self.raw, Decision):
            self.raw = self.context.space.decision(self.raw, complete=True)
        return self.raw

    @property
    def seed(self) -> int:
        """The trial's own seed, out of the study's and its number; one that goes on keeps the seed it has."""
        return derived_seed(self.context.seed, "trial", self.origin)

    @property
    def origin(self) -> int:
        """Number of the trial in which its training began: its own, unless it goes on from another."""
        return self.number if self.root is None else self.root

    @property
    def checkpoint(self) -> Path | None:
        """The folder in which the trial finds and leaves what it needs to go on; None without a fidelity."""
        held = self.context.checkpoints
        return None if self.fidelity is None or held is None else held.path(self.origin)

    @property
    def seconds(self) -> float | None:
        """How long it took, from its start to its end."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started

    def build(self) -> Any:
        """Build the child afresh, untrained; for a bare space, return the decision.

        Raises:
            StudyError: the study was loaded without its program, and its note does not find it.
        """
        target = self.context.subject()
        return self.decision if isinstance(target, Space) else target.build(self.decision)

    def load(self) -> Any:
        """Build the child and give it the weights that this trial trained.

        Raises:
            StudyError: no weights were kept for this trial, or the program is missing.
        """
        number = self.number if self.copied_from is None else self.copied_from
        keeper = self.context.weights or KeptWeights(None, "")
        state = keeper.load(number)
        child = self.build()
        child.load_state_dict(state)
        return child

    def outcome(self, oriented: tuple[float, ...] | None) -> Outcome:
        """Return what an algorithm sees of it, with values already turned so that larger is better."""
        return Outcome(self.status, oriented, self.metrics, self.cost, self.fidelity)

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        """Read a pickle, of version 0.1.0 too, which called the context a home."""
        for name, value in state[1].items():
            setattr(self, "context" if name == "home" else name, value)

    def __repr__(self) -> str:
        """Show number, status and metrics."""
        shown = ", ".join(f"{name}={value:.6g}" for name, value in self.metrics.items())
        at = "" if self.fidelity is None else f" at {self.fidelity}"
        return f"<Trial {self.number} {self.status.value}{at}{': ' + shown if shown else ''}>"


def _located(locator: Mapping[str, Any]) -> Any:
    from symnas.programs.locator import locate
    from symnas.study.trials.trial_context import loading

    # A script without a guard would go on with its search while it is imported.
    with loading():
        return locate(locator)
