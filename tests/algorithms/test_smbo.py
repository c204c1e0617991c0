"""Sequential model-based optimisation: the contract, purity under replay, and what is particular to it."""

from __future__ import annotations

from symnas.algorithm import Algorithm
from symnas.algorithms.smbo import SMBO
from symnas.testing import AlgorithmContract


class TestSMBO(AlgorithmContract):
    trials = 60
    seeds = 12

    def make(self) -> Algorithm:
        return SMBO()
