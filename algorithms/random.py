"""Random search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symnas.algorithms.common.hyperparameters import flag, one_of
from symnas.algorithms.common.without_replacement import Uniform, Unseen
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.outcome import Outcome

if TYPE_CHECKING:
    from symnas.tree.batch import Batch
    from symnas.tree.space import Space


class Random(Algorithm):
    """Uniform random search, without repeats while the space has anything new.

    Args:
        uniform: `"points"` draws every point by itself, by its prior weights where it has some; `"space"`
            draws every decision of the whole space with the same probability, and needs a finite space.
        repeats: whether a decision may come again. Without, the search ends when the space is exhausted, and
            candidates whose prior weight is zero come when nothing else is left.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(multi_objective=True)

    def __init__(self, *, uniform: Uniform = "points", repeats: bool = False) -> None:
        one_of("uniform", uniform, ("points", "space"))
        self.uniform = uniform
        self.repeats = flag("repeats", repeats)

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._unseen = Unseen(space, self.uniform)

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return `n` decisions drawn at random; fewer when fewer are left."""
        if self.repeats:
            return self._space.sample(n, rng, uniform=self.uniform)
        return self._unseen.draw(n, rng)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:  # noqa: ARG002 - results do not matter
        """Remember what was handed out."""
        if not self.repeats:
            self._unseen.add(batch)
