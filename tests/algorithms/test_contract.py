from __future__ import annotations

import pytest

from symnas.algorithms import Grid, Random, RegularizedEvolution
from symnas.contracts.algorithm import Algorithm
from symnas.testing.contract import AlgorithmContract


class TestRandom(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Random()


class TestRandomWithRepeats(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return Random(repeats=True)


class TestRandomOverTheSpace(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Random(uniform="space")


class TestGrid(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Grid(levels=3)


class TestEvolution(AlgorithmContract):
    exhausts = False

    def make(self) -> Algorithm:
        return RegularizedEvolution()


class TestSmallEvolution(AlgorithmContract):
    exhausts = False

    def make(self) -> Algorithm:
        return RegularizedEvolution(population=10, tournament=3)


class TestEvolutionWithoutRepeats(AlgorithmContract):
    def make(self) -> Algorithm:
        return RegularizedEvolution(population=20, tournament=5, repeats=False)


def test_the_contract_catches_an_algorithm_that_changes_when_asked() -> None:
    class Sly(Random):
        def propose(self, n, rng):  # type: ignore[no-untyped-def]
            batch = super().propose(n, rng)
            self._sampling.add(batch)
            return batch

    class Planted(AlgorithmContract):
        def make(self) -> Algorithm:
            return Sly()

    with pytest.raises(AssertionError, match="a replay without proposing gave another state"):
        Planted().test_a_replayed_log_continues_like_the_original()
    with pytest.raises(AssertionError, match="asking again changed what is proposed"):
        Planted().test_proposing_changes_nothing()


def test_the_contract_catches_luck() -> None:
    class Lucky(AlgorithmContract):
        def make(self) -> Algorithm:
            return Random(repeats=True)

    with pytest.raises(AssertionError, match=r"\d+ wins, \d+ losses against random search: p = 1\.0"):
        Lucky().test_it_beats_random_search()
