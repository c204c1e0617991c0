"""Search algorithms behind one ask/tell contract, and the registry that finds them by name."""

from symnas.algorithms.evolution import RegularizedEvolution
from symnas.algorithms.grid import Grid
from symnas.algorithms.local_search import LocalSearch
from symnas.algorithms.nsga2 import NSGA2
from symnas.algorithms.random import Random
from symnas.algorithms.registry import AlgorithmInfo, available, find, names, parse_options, resolve

__all__ = [
    "NSGA2",
    "AlgorithmInfo",
    "Grid",
    "LocalSearch",
    "Random",
    "RegularizedEvolution",
    "available",
    "find",
    "names",
    "parse_options",
    "resolve",
]
