"""What a surrogate model is, and the names under which they are found.

    surrogate = make("gp")
    model = surrogate.fit(space, batch, values)
    expected = model.predict(space.sample(1000, rng))

A surrogate is a recipe with settings; a model is what came of it, and never changes. Both are deterministic
functions of what they were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from symnas._typing import Floats
from symnas.contracts.algorithm import Prediction
from symnas.contracts.hyperparameters import one_of

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

SURROGATES: Mapping[str, str] = {
    "forest": "symnas.algorithms.surrogates.forest:Forest",
    "gp": "symnas.algorithms.surrogates.gp:GaussianProcess",
    "gpytorch": "symnas.algorithms.surrogates.gpytorch:GPyTorchProcess",
    "networks": "symnas.algorithms.surrogates.networks:Networks",
    "ngrams": "symnas.algorithms.surrogates.ridge:NGramRidge",
    "rank-ridge": "symnas.algorithms.surrogates.rank_ridge:RankRidge",
    "ridge": "symnas.algorithms.surrogates.ridge:PairRidge",
}


class Model(Protocol):
    """A surrogate that was fitted to some decisions.

    Attributes:
        fitted: (rows,) what the model expects of the decisions that it was fitted to, free of their noise.
    """

    @property
    def fitted(self) -> Floats:
        """What the model expects of its own rows."""

    def predict(self, batch: Batch) -> Prediction:
        """Return mean and standard deviation of what decisions are worth, (rows,) each."""

    def gains(self, batch: Batch, best: int) -> Prediction:
        """Return what decisions are worth, and what one evaluation of each is to tell.

        As long as a model knows nothing of noise, that is the standard deviation of what they are worth.

        Args:
            batch: the decisions.
            best: one of the model's rows.

        Returns:
            Means, and the standard deviations of how far an evaluation would move the expectation of the
            decision against that of the row `best`.
        """
        del best
        return self.predict(batch)

    def updated(self, batch: Batch, values: Floats) -> Model:
        """Return the model with further rows, its settings unchanged.

        Args:
            batch: the new decisions.
            values: the values of all rows, those of the old ones first; old ones may differ from before.
        """


class Surrogate(Protocol):
    """A way to expect values of decisions from those of others.

    Attributes:
        growth: by which factor the number of observations grows from one fit to the next; models are updated
            in between.
    """

    growth: float

    def fit(self, space: Space, batch: Batch, values: Floats) -> Model:
        """Return a model of decisions.

        Args:
            space: the space of the decisions.
            batch: the decisions, at least one.
            values: (rows,) finite; larger is better.
        """


def make(name: str) -> Surrogate:
    """Return the surrogate of a name, with its default settings.

    Raises:
        AlgorithmError: there is no such name.
        MissingExtraError: it needs a package that is not installed.
    """
    one_of(*SURROGATES)("surrogate", name)
    module, _, attribute = SURROGATES[name].partition(":")
    made: Surrogate = getattr(import_module(module), attribute)()
    return made


class Frozen(Model):
    """A model that is costly to fit: told of decisions, it believes what it expects of them.

    Args:
        fitted: what the model expects of the decisions that it was fitted to.
    """

    def __init__(self, fitted: Floats) -> None:
        self._fitted = fitted

    @property
    def fitted(self) -> Floats:
        """What the model expects of its own rows."""
        return self._fitted

    def updated(self, batch: Batch, values: Floats) -> Model:
        """Return the model told of further decisions; it is fitted anew only at the next fit.

        Args:
            batch: the new decisions.
            values: the values of all rows, of which nothing but their number counts.
        """
        if not len(batch):
            return self
        fitted = np.concatenate([self.fitted, self.predict(batch).mean])
        assert len(fitted) == len(values)
        return self._told(batch, fitted)

    def _told(self, batch: Batch, fitted: Floats) -> Model:
        return Believed(self, batch, fitted)


class Believed(Frozen):
    """A model told of decisions without fitting again: the nearer to them, the less is unknown.

    The standard deviation of a decision that differs in d columns from the nearest new one is lowered by the
    factor sqrt(1 - 0.5^d); the mean stays. A point has one column, a selection one per slot.

    Args:
        model: the model.
        batch: the new decisions.
        fitted: what the model expects of all of its rows and of the new ones.
    """

    def __init__(self, model: Model, batch: Batch, fitted: Floats) -> None:
        super().__init__(fitted)
        self._model = model
        self._batch = batch

    def predict(self, batch: Batch) -> Prediction:
        """Return the model's mean, and its standard deviation lowered."""
        expected = self._model.predict(batch)
        known = np.ones(len(batch))
        # The least 1 - 0.5^d, (decisions,): 0 for what was told itself, ½ one column away.
        for row in range(len(self._batch)):
            apart = (batch.codes != self._batch.codes[row]).sum(axis=1).astype(np.float64)
            other = self._batch.reals[row]
            # NaN, unlike itself, stands for what does not exist, and two that do not exist are alike.
            both_absent = np.isnan(batch.reals) & np.isnan(other)
            apart += ((batch.reals != other) & ~both_absent).sum(axis=1)
            np.minimum(known, 1.0 - 0.5**apart, out=known)
        return Prediction(expected.mean, expected.std * np.sqrt(known))

    def _told(self, batch: Batch, fitted: Floats) -> Model:
        # Of the model, not of `self`: the nearest of all that it was told counts, and factors do not
        # multiply.
        return Believed(self._model, type(batch).concat([self._batch, batch]), fitted)
