"""A search that survives: event log, state, driver, workers, `search()`.

To read in this order: `trial` and `trial_context` (one trial), `identity` (what makes two searches the
same), `state` (what the log says), `replay` (an algorithm out of a log), `opening` (a study out of a
store), `estimators` (what evaluates), `driver` (proposes, hands out, writes down), `search` (what users
call), `study` (what they get); then `checkpoints`, `kept_weights`, `pruners`, `progress`, `warm_start`,
`statistics`, `compatibility_checks`. `store` keeps events, `workers` run trials.

Laws, in `tests/study`: no finished trial is lost, however the process ends; a log replays exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.study.pruners import Median as Median
    from symnas.study.pruners import Pruner as Pruner
    from symnas.study.pruners import SuccessiveHalving as SuccessiveHalving
    from symnas.study.study import Study as Study
    from symnas.study.study import StudySummary as StudySummary
    from symnas.study.study import load_study as load_study
    from symnas.study.study import studies as studies
    from symnas.study.trials.trial import Trial as Trial
    from symnas.study.trials.trial_context import RunningTrial as RunningTrial
    from symnas.study.trials.trial_context import TrialPruned as TrialPruned
    from symnas.study.trials.trial_context import current_trial as current_trial

_HOMES = {
    "Median": "pruners",
    "Pruner": "pruners",
    "RunningTrial": "trials.trial_context",
    "Study": "study",
    "StudySummary": "study",
    "SuccessiveHalving": "pruners",
    "Trial": "trials.trial",
    "TrialPruned": "trials.trial_context",
    "current_trial": "trials.trial_context",
    "load_study": "study",
    "studies": "study",
}

__all__ = [
    "Median",
    "Pruner",
    "RunningTrial",
    "Study",
    "StudySummary",
    "SuccessiveHalving",
    "Trial",
    "TrialPruned",
    "current_trial",
    "load_study",
    "studies",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
