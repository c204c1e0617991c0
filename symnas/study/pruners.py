"""Stopping trials early: pure functions of what trials have reported so far.

A history maps the number of every trial that has reported something to its reports, `{step: value}` with
steps in order and values oriented so that larger is better. A pruner keeps nothing, so a log replays to the
same verdicts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from symnas.errors import AlgorithmError

Reports = Mapping[int, float]
History = Mapping[int, Reports]


class Pruner(ABC):
    """Decides after each report of a trial whether it goes on."""

    @abstractmethod
    def should_prune(self, trial: int, history: History) -> bool:
        """Tell whether to stop a trial.

        Args:
            trial: number of the trial that has just reported; its latest report is in the history.
            history: the reports of all trials up to now, running and ended ones.
        """


def _worth(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _at(reports: Reports, step: int) -> float | None:
    """Return the first value reported at `step` or later: what a trial had when it passed the step."""
    return next((_worth(value) for at, value in reports.items() if at >= step), None)


def _positive(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise AlgorithmError(f"{name} is a whole number of at least {low}; got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Median(Pruner):
    """Stop a trial whose best value so far is below the median of the others at the same step.

    Golovin et al.: Google Vizier, KDD 2017, section 3.2.1, comparing values rather than running averages,
    with every trial that has come as far, as Optuna's `MedianPruner` does with completed ones.

    Args:
        startup: how many other trials must have come to the step before any is stopped.
        warmup: trials are not stopped before they have reported this step.
    """

    startup: int = 5
    warmup: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        _positive("startup", self.startup, 1)
        _positive("warmup", self.warmup, 0)

    def should_prune(self, trial: int, history: History) -> bool:
        """Compare the best value so far with the others' at the latest step."""
        reports = history[trial]
        step = max(reports)
        if step < self.warmup:
            return False
        others = [_at(peer, step) for number, peer in history.items() if number != trial]
        reached = [value for value in others if value is not None]
        if len(reached) < self.startup:
            return False
        return max(map(_worth, reports.values())) < median(reached)


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving(Pruner):
    """Stop a trial that is not among the best 1/`factor` of those that have come to the same rung.

    Rungs are the steps `first`, `first * factor`, `first * factor**2`, … A trial is judged once at each,
    when it gets there, against whoever has been there already, so nobody waits. The first trial at a rung
    goes on.

    Li et al.: A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (ASHA), in its stopping form.

    Args:
        first: step of the first rung.
        factor: ratio of rungs, and the inverse of the share that goes on.
    """

    first: int = 1
    factor: int = 4

    def __post_init__(self) -> None:
        """Check the settings."""
        _positive("first", self.first, 1)
        _positive("factor", self.factor, 2)

    def should_prune(self, trial: int, history: History) -> bool:
        """Judge the trial if its latest report is the first at or after a rung."""
        steps = sorted(history[trial])
        step, before = steps[-1], (steps[-2] if len(steps) > 1 else -1)
        rung = self.first
        while rung <= step:
            if rung > before and not self._goes_on(trial, rung, history):
                return True
            rung *= self.factor
        return False

    def _goes_on(self, trial: int, rung: int, history: History) -> bool:
        values = [_at(reports, rung) for reports in history.values()]
        reached = sorted((value for value in values if value is not None), reverse=True)
        own = _at(history[trial], rung)
        return own is not None and own >= reached[max(1, len(reached) // self.factor) - 1]
