"""One trial: what is known of it afterwards, what an evaluator sees of it, and the files it leaves.

To read in this order: `trial` (its record, and what the trials of a study share), `trial_context` (the trial
that is running here), `kept_weights` and `checkpoints` (files beside the store).

Laws, in `tests/study/trials`: weights are whole on disk or not there at all, and only those of the best stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.study.trials.trial import Trial as Trial
    from symnas.study.trials.trial_context import RunningTrial as RunningTrial

_HOMES = {
    "RunningTrial": "trial_context",
    "Trial": "trial",
}

__all__ = [
    "RunningTrial",
    "Trial",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
