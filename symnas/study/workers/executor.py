"""Who evaluates: the driver's own process, or (in `pool`) processes of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from symnas.study.trials.trial import Trial
from symnas.study.trials.trial_context import RunningTrial
from symnas.study.workers.evaluation import Evaluation, Result

Report = Callable[[int, int, Mapping[str, float]], bool]


@dataclass(frozen=True)
class Crash:
    """A worker that did not come back; says nothing about the model.

    Args:
        error: one line that says how it ended.
    """

    error: str


class Executor(Protocol):
    """Workers as the driver sees them."""

    @property
    def size(self) -> int:
        """How many trials can run at once."""

    @property
    def free(self) -> list[int]:
        """Numbers of the workers that have nothing to do."""

    def submit(self, trial: Trial, worker: int) -> None:
        """Give a trial to a free worker."""

    def wait(self) -> list[tuple[int, Result | Crash]]:
        """Return numbers and results of trials that are over; at least one, if any runs."""

    def close(self) -> None:
        """Stop, without waiting for trials that still run."""


class InProcessExecutor:
    """Evaluates in the driver's own process, one trial at a time.

    Args:
        evaluation: how.
        study: name of the study.
        on_report: called with trial, step and metrics; returns whether to stop the trial.
        prepare: called with the running trial before it starts.
    """

    size = 1

    def __init__(
        self,
        evaluation: Evaluation,
        study: str,
        on_report: Report,
        prepare: Callable[[RunningTrial], None] = lambda trial: None,  # noqa: ARG005
    ) -> None:
        self._evaluation = evaluation
        self._study = study
        self._on_report = on_report
        self._prepare = prepare
        self._queue: deque[Trial] = deque()

    @property
    def free(self) -> list[int]:
        """Worker 0, unless a trial waits for it."""
        return [] if self._queue else [0]

    def submit(self, trial: Trial, worker: int) -> None:  # noqa: ARG002 - there is only one
        """Give it a trial."""
        self._queue.append(trial)

    def wait(self) -> list[tuple[int, Result | Crash]]:
        """Evaluate the trial that waits."""
        if not self._queue:
            return []
        trial = self._queue.popleft()
        number = trial.number

        def report(step: int, metrics: Mapping[str, float]) -> bool:
            return self._on_report(number, step, metrics)

        running = RunningTrial(
            self._study, number, trial.seed, trial.decision, report, trial.fidelity, trial.checkpoint
        )
        self._prepare(running)
        return [(number, self._evaluation.run(running))]

    def close(self) -> None:
        """Nothing runs between calls."""
