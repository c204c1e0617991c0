"""Halving algorithms keep the contract, whatever their inner algorithm."""

from __future__ import annotations

from symnas.algorithms import ASHA, Hyperband, SuccessiveHalving
from symnas.contracts.algorithm import Algorithm
from symnas.testing.contract import AlgorithmContract


class TestSuccessiveHalving(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return SuccessiveHalving(high=9)


class TestHyperband(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Hyperband(high=9)


class TestASHA(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return ASHA(high=9, factor=3)


class TestHyperbandOverEvolution(AlgorithmContract):
    exhausts = False

    def make(self) -> Algorithm:
        return Hyperband(high=4, factor=2, inner="evolution", inner_options="population=20,tournament=5")


class TestASHAOverEvolution(AlgorithmContract):
    exhausts = False

    def make(self) -> Algorithm:
        return ASHA(high=4, inner="evolution", inner_options=(("population", 20), ("tournament", 5)))
