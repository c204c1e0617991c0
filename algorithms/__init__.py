"""Search algorithms behind one ask/tell contract, and the registry that finds them by name."""

from symnas.algorithms.evolution import RegularizedEvolution
from symnas.algorithms.grid import Grid
from symnas.algorithms.random import Random
from symnas.algorithms.registry import AlgorithmInfo, available, find, names, parse_options, resolve

__all__ = [
    "AlgorithmInfo",
    "Grid",
    "Random",
    "RegularizedEvolution",
    "available",
    "find",
    "names",
    "parse_options",
    "resolve",
]
