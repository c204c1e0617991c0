"""A search that survives: event log, state, driver, workers, `search()`.

To read in this order: `store` (where events are kept), `trials` (one trial), `workers` (where trials run);
then here `identity` (what makes two searches the same), `state` (what the log says), `replay` (an algorithm
out of a log), `opening` (a study out of a store), `estimators` (what evaluates), `driver` (proposes, hands
out, writes down), `search` (what users call), `keywords` and `compatibility_checks` (what they may not),
`study` (what they get); then `warm_start`, `pruners`, `progress`, `statistics`.

A trial has six records, each for one reader. `Event`s (`store`) are what happened to it, written down: the
only truth. `Trial` (`trials`) is what they say of it, for people and for the state. `Job` (`workers.worker`)
is what a process is sent to run it, `RunningTrial` (`trials`) what the evaluator sees of it and reports to,
`Result` (`workers.evaluation`) what that came to, which the driver makes an event of. `Outcome`
(`symnas.contracts`) is what the algorithm is shown: its values are turned so that larger is better.

Laws, in `tests/study`: no finished trial is lost, however the process ends; a log replays exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.study.pruners import Median as Median
    from symnas.study.pruners import Pruner as Pruner
    from symnas.study.pruners import SuccessiveHalving as SuccessiveHalving
    from symnas.study.store.base import Store as Store
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
    "Store": "store.base",
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
    "Store",
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
