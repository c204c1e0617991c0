"""What the quality benchmark asks of a problem: a space, what an algorithm sees, and what is reported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import overload

from symnas._typing import Floats
from symnas.tree.space import Batch, Decision, Space


class Problem(ABC):
    """A problem with a known optimum; larger values are better throughout.

    Args:
        name: short name, used in file names and tables.
        space: where to search.
        seeds: how many evaluations of one decision the problem knows; a `seed` counts modulo it.
        unit: what the values are, for axes and table heads.
    """

    def __init__(self, name: str, space: Space, *, seeds: int = 1, unit: str) -> None:
        self.name = name
        self.space = space
        self.seeds = seeds
        self.unit = unit

    @abstractmethod
    def _valid(self, batch: Batch, seed: int) -> Floats: ...

    @abstractmethod
    def _test(self, batch: Batch, seed: int) -> Floats: ...

    @abstractmethod
    def best_valid(self, seed: int = 0) -> float:
        """Return the largest value that `valid` has with this seed (for a noisy function: without noise)."""

    @abstractmethod
    def best_test(self, seed: int = 0) -> float:
        """Return the largest value that `test` has with this seed."""

    @overload
    def valid(self, given: Decision, seed: int = 0) -> float: ...
    @overload
    def valid(self, given: Batch, seed: int = 0) -> Floats: ...
    def valid(self, given: Decision | Batch, seed: int = 0) -> float | Floats:
        """Return what the algorithm sees: the result of one evaluation, the same whenever it is asked.

        Args:
            given: a decision, or a batch of them.
            seed: which evaluation.
        """
        if isinstance(given, Decision):
            return float(self._valid(self.space.batch([given]), seed % self.seeds)[0])
        return self._valid(given, seed % self.seeds)

    @overload
    def test(self, given: Decision, seed: int = 0) -> float: ...
    @overload
    def test(self, given: Batch, seed: int = 0) -> Floats: ...
    def test(self, given: Decision | Batch, seed: int = 0) -> float | Floats:
        """Return what is reported: how good a decision is, apart from the evaluation that was seen.

        Args:
            given: a decision, or a batch of them.
            seed: which evaluation the algorithm saw.
        """
        if isinstance(given, Decision):
            return float(self._test(self.space.batch([given]), seed % self.seeds)[0])
        return self._test(given, seed % self.seeds)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {len(self.space)} points>"
