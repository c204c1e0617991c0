"""Search algorithms behind one ask/tell contract. They see spaces and outcomes, never a program.

`random`, `grid` and `auto` stand alone; the others in groups: `evolutionary`, `multi_fidelity`,
`tree_search`, `bayesian` with `surrogates`, `policy_gradient`, `relaxed`, and `adapters` of other
libraries. `common` holds what they share, `sequencing` decisions as sequences of small choices. Names and
options are looked up by the registry of `symnas.contracts`.

Laws, in `tests/algorithms` and `symnas.testing`: the same seed gives the same proposals, in another process
too; a log replays; proposals belong to the space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.adapters.optuna.sampler import Optuna as Optuna
    from symnas.algorithms.adapters.pyglove.generator import PyGlove as PyGlove
    from symnas.algorithms.adapters.pyglove.generator import as_dna_generator as as_dna_generator
    from symnas.algorithms.auto import Auto as Auto
    from symnas.algorithms.bayesian.bananas import Bananas as Bananas
    from symnas.algorithms.bayesian.smbo import SMBO as SMBO
    from symnas.algorithms.evolutionary.local_search import LocalSearch as LocalSearch
    from symnas.algorithms.evolutionary.nsga2 import NSGA2 as NSGA2
    from symnas.algorithms.evolutionary.regularized_evolution import (
        RegularizedEvolution as RegularizedEvolution,
    )
    from symnas.algorithms.evolutionary.single_path import SinglePath as SinglePath
    from symnas.algorithms.grid import Grid as Grid
    from symnas.algorithms.multi_fidelity.asha import ASHA as ASHA
    from symnas.algorithms.multi_fidelity.hyperband import Hyperband as Hyperband
    from symnas.algorithms.multi_fidelity.successive_halving import SuccessiveHalving as SuccessiveHalving
    from symnas.algorithms.policy_gradient.conservative_rl import ConservativeRL as ConservativeRL
    from symnas.algorithms.policy_gradient.enas import ENAS as ENAS
    from symnas.algorithms.policy_gradient.enas import ENASMacro as ENASMacro
    from symnas.algorithms.policy_gradient.reinforce import Reinforce as Reinforce
    from symnas.algorithms.random import Random as Random
    from symnas.algorithms.relaxed.darts import DARTS as DARTS
    from symnas.algorithms.relaxed.darts_pt import DARTSPT as DARTSPT
    from symnas.algorithms.relaxed.gdas import GDAS as GDAS
    from symnas.algorithms.relaxed.pc_darts import PCDARTS as PCDARTS
    from symnas.algorithms.relaxed.proxyless import Proxyless as Proxyless
    from symnas.algorithms.relaxed.sharp_darts import SharpDARTS as SharpDARTS
    from symnas.algorithms.relaxed.single_path_nas import SinglePathNAS as SinglePathNAS
    from symnas.algorithms.relaxed.tas import TAS as TAS
    from symnas.algorithms.tree_search.mcts import MCTS as MCTS
    from symnas.contracts.registry import AlgorithmInfo as AlgorithmInfo
    from symnas.contracts.registry import available as available
    from symnas.contracts.registry import find as find
    from symnas.contracts.registry import names as names
    from symnas.contracts.registry import parse_options as parse_options
    from symnas.contracts.registry import resolve as resolve

_HOMES = {
    "ASHA": "multi_fidelity.asha",
    "AlgorithmInfo": "symnas.contracts.registry",
    "Auto": "auto",
    "Bananas": "bayesian.bananas",
    "ConservativeRL": "policy_gradient.conservative_rl",
    "DARTS": "relaxed.darts",
    "DARTSPT": "relaxed.darts_pt",
    "ENAS": "policy_gradient.enas",
    "ENASMacro": "policy_gradient.enas",
    "GDAS": "relaxed.gdas",
    "Grid": "grid",
    "Hyperband": "multi_fidelity.hyperband",
    "LocalSearch": "evolutionary.local_search",
    "MCTS": "tree_search.mcts",
    "NSGA2": "evolutionary.nsga2",
    "Optuna": "adapters.optuna.sampler",
    "PCDARTS": "relaxed.pc_darts",
    "Proxyless": "relaxed.proxyless",
    "PyGlove": "adapters.pyglove.generator",
    "Random": "random",
    "RegularizedEvolution": "evolutionary.regularized_evolution",
    "Reinforce": "policy_gradient.reinforce",
    "SMBO": "bayesian.smbo",
    "SharpDARTS": "relaxed.sharp_darts",
    "SinglePath": "evolutionary.single_path",
    "SinglePathNAS": "relaxed.single_path_nas",
    "SuccessiveHalving": "multi_fidelity.successive_halving",
    "TAS": "relaxed.tas",
    "as_dna_generator": "adapters.pyglove.generator",
    "available": "symnas.contracts.registry",
    "find": "symnas.contracts.registry",
    "names": "symnas.contracts.registry",
    "parse_options": "symnas.contracts.registry",
    "resolve": "symnas.contracts.registry",
}

__all__ = [
    "ASHA",
    "DARTS",
    "DARTSPT",
    "ENAS",
    "GDAS",
    "MCTS",
    "NSGA2",
    "PCDARTS",
    "SMBO",
    "TAS",
    "AlgorithmInfo",
    "Auto",
    "Bananas",
    "ConservativeRL",
    "ENASMacro",
    "Grid",
    "Hyperband",
    "LocalSearch",
    "Optuna",
    "Proxyless",
    "PyGlove",
    "Random",
    "RegularizedEvolution",
    "Reinforce",
    "SharpDARTS",
    "SinglePath",
    "SinglePathNAS",
    "SuccessiveHalving",
    "as_dna_generator",
    "available",
    "find",
    "names",
    "parse_options",
    "resolve",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
