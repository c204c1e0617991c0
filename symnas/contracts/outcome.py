"""What became of a trial, in the only form that search algorithms see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """The state of a trial; every one but `RUNNING` is final."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    NAN = "nan"
    OOM = "oom"
    TIMEOUT = "timeout"
    INFEASIBLE = "infeasible"
    PRUNED = "pruned"

    @property
    def final(self) -> bool:
        """Whether the trial is over."""
        return self is not Status.RUNNING


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one trial.

    Args:
        status: what became of it.
        values: one number per objective, oriented so that larger is better. None unless the trial is done;
            a pruned trial carries the values it had when it was stopped, or None when it had none.
        metrics: everything the evaluator reported, as it reported it (not oriented).
        cost: seconds that the evaluation took, or None when that is not known.
        fidelity: how far the trial went (epochs, steps), where the algorithm asked for that; else None.
    """

    status: Status
    values: tuple[float, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: float | None = None
    fidelity: int | None = None

    def __post_init__(self) -> None:
        """Hold the rule that a finished trial has values and that a trial without a result has none."""
        if self.status is Status.DONE and not self.values:
            raise ValueError("an outcome that is done has a value per objective; got none")
        if self.values is not None and self.status not in (Status.DONE, Status.PRUNED):
            raise ValueError(
                f"only an outcome that is done or pruned has values; this one is {self.status.value}"
            )

    @property
    def usable(self) -> bool:
        """Whether there are values to learn from."""
        return self.values is not None


RUNNING = Outcome(Status.RUNNING)
"""What an algorithm observes when its proposal has just been handed out."""
