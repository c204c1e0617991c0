"""Search algorithms behind one ask/tell contract, and the registry that finds them by name."""

from symnas.algorithms.asha import ASHA
from symnas.algorithms.auto import Auto
from symnas.algorithms.bananas import Bananas
from symnas.algorithms.conservative_rl import ConservativeRL
from symnas.algorithms.darts import DARTS
from symnas.algorithms.darts_pt import DARTSPT
from symnas.algorithms.enas import ENAS, ENASMacro
from symnas.algorithms.evolution import RegularizedEvolution
from symnas.algorithms.gdas import GDAS
from symnas.algorithms.grid import Grid
from symnas.algorithms.halving import SuccessiveHalving
from symnas.algorithms.hyperband import Hyperband
from symnas.algorithms.local_search import LocalSearch
from symnas.algorithms.mcts import MCTS
from symnas.algorithms.nsga2 import NSGA2
from symnas.algorithms.pc_darts import PCDARTS
from symnas.algorithms.proxyless import Proxyless
from symnas.algorithms.random import Random
from symnas.algorithms.registry import AlgorithmInfo, available, find, names, parse_options, resolve
from symnas.algorithms.reinforce import Reinforce
from symnas.algorithms.sharp_darts import SharpDARTS
from symnas.algorithms.single_path import SinglePath
from symnas.algorithms.single_path_nas import SinglePathNAS
from symnas.algorithms.smbo import SMBO
from symnas.algorithms.tas import TAS

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
    "Proxyless",
    "Random",
    "RegularizedEvolution",
    "Reinforce",
    "SharpDARTS",
    "SinglePath",
    "SinglePathNAS",
    "SuccessiveHalving",
    "available",
    "find",
    "names",
    "parse_options",
    "resolve",
]
