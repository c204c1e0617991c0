"""The default: which algorithm searches is decided by the space and by what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symnas.algorithms.bayesian.smbo import SMBO
from symnas.algorithms.evolutionary.nsga2 import NSGA2
from symnas.algorithms.evolutionary.regularized_evolution import RegularizedEvolution
from symnas.contracts.algorithm import Algorithm, Capabilities, Prediction
from symnas.contracts.hyperparameters import hyperparameter, whole, with_hyperparameters
from symnas.contracts.outcome import RUNNING, Outcome

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

# More columns than this, and a model of them costs more than it tells.
WIDEST = 4000


@with_hyperparameters(source="measured (docs/quality.md)")
class Auto(Algorithm):
    """A model for as long as it pays, evolution after that, and NSGA-II for several objectives.

    The rules, in order:

    1. Trials report several objectives: NSGA-II.
    2. The space's one-hot view has more than 4,000 columns: regularised evolution.
    3. Fewer than `modelled` trials are over: SMBO with the Gaussian process over trees.
    4. Otherwise: regularised evolution among all trials so far, every fourth proposal by SMBO.

    All of them see all trials, so nothing is lost in a change. No rule looks at the budget: giving a study
    more trials later changes nothing about those that it had. The populations are half of the published ones
    or less, since those need hundreds of trials to begin. docs/quality.md has the measurements.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(multi_objective=True)

    modelled: int = hyperparameter(1000, whole(0), "for how many trials a model proposes by itself")

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._wide = space.compiled.encoder.width > WIDEST
        self._model = SMBO()
        self._evolution = RegularizedEvolution(population=50, tournament=10, repeats=False)
        self._front = NSGA2(population=40)
        for inner in (self._model, self._evolution, self._front):
            inner.setup(space)
        self._over = 0
        self._several = False

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Show results to all, each in the form that it can take."""
        # Counted are trials that are over, with a result or without, as they are in a log: a replay changes
        # algorithm at the same places.
        self._over += sum(outcome is not RUNNING and outcome.status.final for outcome in outcomes)
        self._several |= any(outcome.values is not None and len(outcome.values) > 1 for outcome in outcomes)
        for inner in (self._model, self._evolution, self._front):
            inner.observe(batch, outcomes)

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return the proposals of whichever algorithm the rules name."""
        return self._chosen(rng).propose(n, rng)

    def _chosen(self, rng: np.random.Generator) -> Algorithm:
        if self._several:
            return self._front
        if self._wide:
            return self._evolution
        # By lot, not by count, so that nothing but the log and the call's generator matters: a quarter of the
        # calls.
        if self._over < self.modelled or rng.random() < 0.25:
            return self._model
        return self._evolution

    def predict(self, batch: Batch) -> Prediction:
        """Return what the model expects of decisions' first objective.

        Args:
            batch: the decisions.

        Raises:
            AlgorithmError: no trial gave a result so far.
        """
        return self._model.predict(batch)
