"""Scoring children under shared weights: policies, runs, rank correlation.

To read in this order: `policies` (which paths a step trains), `schedules` (policies that change as training
goes on), `policy_registry` (both by name), `settings` and `estimator` (what users describe), `run` (one
training of a supernet), `checks` (what can go wrong, told early), `ranking` (what the scores are
worth).

Laws, in `tests/oneshot`: a killed run goes on bit for bit; the paths of a policy are those of its paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.oneshot.estimator import SharedWeights as SharedWeights
    from symnas.oneshot.policies import Delayed as Delayed
    from symnas.oneshot.policies import Fair as Fair
    from symnas.oneshot.policies import Path as Path
    from symnas.oneshot.policies import Policy as Policy
    from symnas.oneshot.policies import Proposed as Proposed
    from symnas.oneshot.policies import Sandwich as Sandwich
    from symnas.oneshot.policies import Sorted as Sorted
    from symnas.oneshot.policies import Uniform as Uniform
    from symnas.oneshot.ranking import RankCorrelation as RankCorrelation
    from symnas.oneshot.ranking import kendall_tau as kendall_tau
    from symnas.oneshot.ranking import rank_correlation as rank_correlation
    from symnas.oneshot.schedules import Guided as Guided
    from symnas.oneshot.schedules import Progressive as Progressive

_HOMES = {
    "Delayed": "policies",
    "Fair": "policies",
    "Guided": "schedules",
    "Path": "policies",
    "Policy": "policies",
    "Progressive": "schedules",
    "Proposed": "policies",
    "RankCorrelation": "ranking",
    "Sandwich": "policies",
    "SharedWeights": "estimator",
    "Sorted": "policies",
    "Uniform": "policies",
    "kendall_tau": "ranking",
    "rank_correlation": "ranking",
}

__all__ = [
    "Delayed",
    "Fair",
    "Guided",
    "Path",
    "Policy",
    "Progressive",
    "Proposed",
    "RankCorrelation",
    "Sandwich",
    "SharedWeights",
    "Sorted",
    "Uniform",
    "kendall_tau",
    "rank_correlation",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
