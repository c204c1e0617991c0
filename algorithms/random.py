"""Random search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from symnas.algorithms.common.without_replacement import WithoutReplacement
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import FLAG, hyperparameter, one_of, with_hyperparameters
from symnas.contracts.outcome import Outcome

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space


@with_hyperparameters()
class Random(Algorithm):
    """Uniform random search, without repeats while the space has anything new.

    The yardstick for everything else: the best of n decisions drawn with repeats is among the best share q of
    all with probability 1 - (1 - q)^n, however many points there are. Without `repeats` the search ends when
    the space is exhausted, and candidates whose prior weight is zero come when nothing else is left.

    Bergstra, Bengio: Random Search for Hyper-Parameter Optimization, JMLR 2012.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(multi_objective=True)

    uniform: Literal["points", "space"] = hyperparameter(
        "points",
        one_of("points", "space"),
        '"points" draws every point by itself, by its prior weights where it has some; "space" draws every '
        "decision of the whole space with the same probability, and needs a finite space",
    )
    repeats: bool = hyperparameter(False, FLAG, "whether a decision may come again")

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._sampling = WithoutReplacement(space, self.uniform)

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return `n` decisions drawn at random; fewer when fewer are left."""
        if self.repeats:
            return self._space.sample(n, rng, uniform=self.uniform)
        return self._sampling.draw(n, rng)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:  # noqa: ARG002 - results do not matter
        """Remember what was handed out."""
        if not self.repeats:
            self._sampling.add(batch)
