"""The trial that is running here: what evaluators may ask for, and what nested searches derive from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import TypeVar

from symnas.errors import AlgorithmError, DecisionError, EvaluatorError, MissingExtraError, StudyError
from symnas.tree.space import Decision

MISTAKES = (AlgorithmError, DecisionError, EvaluatorError, MissingExtraError, StudyError)
Error = TypeVar("Error", bound=BaseException)
_running: ContextVar[RunningTrial | None] = ContextVar("symnas_running_trial", default=None)
_loading: ContextVar[bool] = ContextVar("symnas_worker_loading", default=False)


class TrialPruned(BaseException):
    """Leaves an evaluator whose trial was stopped early; not an error, so `except Exception` lets it pass."""


class RunningTrial:
    """What an evaluator that has a parameter `trial` is given.

    Args:
        study: name of the study.
        number: the trial's place in the study.
        seed: the trial's own seed.
        decision: what is tried.
        on_report: called with each step and its metrics; returns whether to stop.
        fidelity: how far to go (epochs, steps), where the algorithm says that; else None, and an evaluator
            that goes differently far by itself sets it to how far it went.
        checkpoint: the folder for what the trial needs to go on later, where there is a fidelity.
    """

    def __init__(
        self,
        study: str,
        number: int,
        seed: int,
        decision: Decision,
        on_report: Callable[[int, Mapping[str, float]], bool],
        fidelity: int | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        self.study = study
        self.number = number
        self.seed = seed
        self.decision = decision
        self.fidelity = fidelity
        self._on_report = on_report
        self._checkpoint = checkpoint
        self.display: object | None = None  # where a search inside this trial shows itself
        self.mistake: BaseException | None = None  # of a search inside this trial; see `blame`
        self._places: dict[str, int] = {}

    @property
    def checkpoint(self) -> Path | None:
        """A folder that the trials of one decision share, for what the next one needs to go on; else None.

        It is there when it is asked for. It may be empty at any time: then start from the beginning.
        """
        if self._checkpoint is not None:
            self._checkpoint.mkdir(parents=True, exist_ok=True)
        return self._checkpoint

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Say how it goes; does not return where the study's pruner stops the trial here.

        Args:
            step: how far the evaluation is, growing (an epoch, a number of examples).
            metrics: numbers by name, the objectives among them.
        """
        if self._on_report(step, metrics):
            raise TrialPruned

    def nested_name(self, name: str | None, frame: FrameType | None) -> str:
        """Return the name of a study that a search inside this trial drives.

        The decision is part of it, so that an outer study that starts anew never meets the inner trials of
        another. A second search from the same place of the code within one trial gets a number of its own.
        """
        place = name or call_place(frame)
        self._places[place] = self._places.get(place, 0) + 1
        again = f"#{self._places[place]}" if self._places[place] > 1 else ""
        return f"{self.study}/{self.number}-{self.decision.key[:8]}/{place}{again}"


def current_trial() -> RunningTrial | None:
    """Return the trial whose evaluator is running here, if any."""
    return _running.get()


def blame(error: Error) -> Error:
    """Note that an error is a mistake in how a search was written, and return it.

    Inside a trial of another search it says nothing about that trial, and no other would fare better. So it
    ends that search too, unless the evaluator catches it.
    """
    trial = current_trial()
    if trial is not None:
        trial.mistake = error
    return error


@contextmanager
def set_up() -> Iterator[None]:
    """Blame whoever wrote the search for what is refused within."""
    try:
        yield
    except MISTAKES as error:
        blame(error)
        raise


def worker_loading() -> bool:
    """Whether this is a worker process that imports what it was told to evaluate."""
    return _loading.get()


@contextmanager
def loading() -> Iterator[None]:
    """Say that a worker imports, perhaps a whole script with the search in it."""
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


@contextmanager
def running(trial: RunningTrial) -> Iterator[RunningTrial]:
    """Make a trial the current one."""
    token = _running.set(trial)
    try:
        yield trial
    finally:
        _running.reset(token)


def call_place(frame: FrameType | None) -> str:
    """Name the place of a call by its function and the line within it, which edits elsewhere do not move."""
    if frame is None:
        return "search"
    code = frame.f_code
    name = "" if code.co_name == "<module>" else f"{code.co_qualname.replace('<locals>.', '')}+"
    return f"{name}{frame.f_lineno - code.co_firstlineno}"


def caller(depth: int) -> FrameType | None:
    """Return the frame that many calls above the caller of this function."""
    try:
        return sys._getframe(depth + 1)
    except ValueError:
        return None
