"""What algorithms and searches promise each other: ask/tell, outcomes, fidelities, mixes, the registry.

To read in this order: `outcome` and `objectives` (what a trial came to, and which way is better),
`algorithm` (what proposes), `hyperparameters` (each written once), `estimator` (what evaluates), `fidelity`
(how far a trial goes), `relaxed_points` and `relaxed_algorithm` (all candidates at once), `pareto` (several
objectives), `registry` (algorithms by name), `compatibility` (which takes which choices).

Laws, in `tests/contracts`, and for every algorithm in `symnas.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.contracts.algorithm import Algorithm as Algorithm
    from symnas.contracts.algorithm import Capabilities as Capabilities
    from symnas.contracts.algorithm import Prediction as Prediction
    from symnas.contracts.estimator import EachAlone as EachAlone
    from symnas.contracts.estimator import Estimator as Estimator
    from symnas.contracts.estimator import OpenEstimator as OpenEstimator
    from symnas.contracts.estimator import Resources as Resources
    from symnas.contracts.fidelity import Proposal as Proposal
    from symnas.contracts.hyperparameters import FLAG as FLAG
    from symnas.contracts.hyperparameters import Check as Check
    from symnas.contracts.hyperparameters import Hyperparameter as Hyperparameter
    from symnas.contracts.hyperparameters import anything as anything
    from symnas.contracts.hyperparameters import described as described
    from symnas.contracts.hyperparameters import hyperparameter as hyperparameter
    from symnas.contracts.hyperparameters import number as number
    from symnas.contracts.hyperparameters import one_of as one_of
    from symnas.contracts.hyperparameters import optional as optional
    from symnas.contracts.hyperparameters import whole as whole
    from symnas.contracts.hyperparameters import with_hyperparameters as with_hyperparameters
    from symnas.contracts.outcome import RUNNING as RUNNING
    from symnas.contracts.outcome import Outcome as Outcome
    from symnas.contracts.outcome import Status as Status
    from symnas.contracts.pareto import crowded_order as crowded_order
    from symnas.contracts.pareto import crowding as crowding
    from symnas.contracts.pareto import hypervolume as hypervolume
    from symnas.contracts.pareto import pareto_front as pareto_front
    from symnas.contracts.pareto import ranks as ranks
    from symnas.contracts.registry import AlgorithmInfo as AlgorithmInfo
    from symnas.contracts.registry import available as available
    from symnas.contracts.registry import find as find
    from symnas.contracts.registry import names as names
    from symnas.contracts.registry import parse_options as parse_options
    from symnas.contracts.registry import resolve as resolve
    from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm as RelaxedAlgorithm
    from symnas.contracts.relaxed_points import Mixture as Mixture
    from symnas.contracts.relaxed_points import RelaxedKind as RelaxedKind
    from symnas.contracts.relaxed_points import RelaxedPoint as RelaxedPoint

_HOMES = {
    "Algorithm": "algorithm",
    "AlgorithmInfo": "registry",
    "Capabilities": "algorithm",
    "Check": "hyperparameters",
    "EachAlone": "estimator",
    "Estimator": "estimator",
    "FLAG": "hyperparameters",
    "Hyperparameter": "hyperparameters",
    "Mixture": "relaxed_points",
    "OpenEstimator": "estimator",
    "Outcome": "outcome",
    "Prediction": "algorithm",
    "Proposal": "fidelity",
    "RUNNING": "outcome",
    "RelaxedAlgorithm": "relaxed_algorithm",
    "RelaxedKind": "relaxed_points",
    "RelaxedPoint": "relaxed_points",
    "Resources": "estimator",
    "Status": "outcome",
    "anything": "hyperparameters",
    "available": "registry",
    "crowded_order": "pareto",
    "crowding": "pareto",
    "described": "hyperparameters",
    "find": "registry",
    "hyperparameter": "hyperparameters",
    "hypervolume": "pareto",
    "names": "registry",
    "number": "hyperparameters",
    "one_of": "hyperparameters",
    "optional": "hyperparameters",
    "pareto_front": "pareto",
    "parse_options": "registry",
    "ranks": "pareto",
    "resolve": "registry",
    "whole": "hyperparameters",
    "with_hyperparameters": "hyperparameters",
}

__all__ = [
    "FLAG",
    "RUNNING",
    "Algorithm",
    "AlgorithmInfo",
    "Capabilities",
    "Check",
    "EachAlone",
    "Estimator",
    "Hyperparameter",
    "Mixture",
    "OpenEstimator",
    "Outcome",
    "Prediction",
    "Proposal",
    "RelaxedAlgorithm",
    "RelaxedKind",
    "RelaxedPoint",
    "Resources",
    "Status",
    "anything",
    "available",
    "crowded_order",
    "crowding",
    "described",
    "find",
    "hyperparameter",
    "hypervolume",
    "names",
    "number",
    "one_of",
    "optional",
    "pareto_front",
    "parse_options",
    "ranks",
    "resolve",
    "whole",
    "with_hyperparameters",
]

__getattr__, __dir__ = lazy(__name__, _HOMES, renamed={"Mix": "Mixture"})
