"""A random forest over trees of decisions, through scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symnas._typing import Floats
from symnas.algorithms.surrogates.base import Frozen
from symnas.contracts.algorithm import Prediction
from symnas.errors import MissingExtraError
from symnas.tree.choices import FloatRange
from symnas.tree.layout import REAL

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

# Positions begin at 0, and a slot that is not used is -1.
ABSENT = -2.0
# Trees compare floats of 32 bits, which end at 3.4e38.
LARGE = 1e37


class Forest:
    """A random forest on the ordinal view; the spread of its trees is the uncertainty.

    Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration, LION
    2011. As in their code, trees split on positions of candidates, and a point that does not exist has a
    position of its own below all others; of a real range, which is told by its values, a number below these.

    Args:
        trees: how many.
        share: the share of the columns that each split looks at; 5/6 as published.
        smallest: fewest rows that a split may leave on a side.
        growth: as in `surrogates.Surrogate`.
    """

    def __init__(
        self, *, trees: int = 30, share: float = 5 / 6, smallest: int = 1, growth: float = 1.05
    ) -> None:
        self.trees = trees
        self.share = share
        self.smallest = smallest
        self.growth = growth

    def fit(self, space: Space, batch: Batch, values: Floats) -> ForestModel:
        """Return the forest of decisions and their values; arguments as in `Surrogate.fit`.

        Raises:
            MissingExtraError: scikit-learn is not installed.
        """
        try:
            from sklearn.ensemble import RandomForestRegressor
        except ImportError as error:
            raise MissingExtraError(
                "the surrogate 'forest' is scikit-learn's, which is not installed: pip install symnas[smbo]"
            ) from error
        # Each tree sees a sample with replacement, and a split the best of a random part of the columns:
        # Breiman's forest. Hutter and others have 10 trees and at least 10 rows before a split; the seed is
        # fixed, since a model is a function of what it was given.
        forest = RandomForestRegressor(
            self.trees, max_features=self.share, min_samples_leaf=self.smallest, random_state=0
        )
        rows = columns_of(space, batch)
        forest.fit(rows, values)
        return ForestModel(space, forest, rows)


def columns_of(space: Space, batch: Batch) -> Floats:
    """Return the ordinal view with a number for what does not exist; a column of zeros if there is none."""
    view = space.encode(batch, "ordinal").astype(np.float64, copy=False)
    real = np.flatnonzero(space.compiled.encoder.is_real)
    own = [entry.domain for entry in space.compiled.layout.own if entry.shape == REAL]
    domains = [domain for domain in own if isinstance(domain, FloatRange)]
    absent = np.full(view.shape[1], ABSENT)
    for column, domain in zip(real, domains, strict=True):
        span = domain.high - domain.low
        if max(abs(domain.low), abs(domain.high)) > LARGE:
            view[:, column] = (view[:, column] - domain.low) / span
        elif domain.low <= ABSENT:
            absent[column] = domain.low - max(span, -domain.low)
    view = np.where(np.isnan(view), absent, view)
    # A space of one decision has no columns, which scikit-learn refuses.
    return view if view.shape[1] else np.zeros((len(batch), 1))


class ForestModel(Frozen):
    """A fitted forest.

    Args:
        space: the space of its decisions.
        forest: scikit-learn's regressor.
        rows: (rows, columns) what it was fitted to.
    """

    def __init__(self, space: Space, forest: Any, rows: Floats) -> None:
        self._space = space
        self._forest = forest
        super().__init__(self._of(rows).mean)

    def predict(self, batch: Batch) -> Prediction:
        """Return mean and standard deviation over the trees, (rows,) each."""
        return self._of(columns_of(self._space, batch))

    def _of(self, rows: Floats) -> Prediction:
        # Single-precision rows are what trees compare; asking them directly leaves out checks made per tree.
        single = np.ascontiguousarray(rows, np.float32)
        # (trees, rows). Mean and variance are those of the trees' means, as in section 4.1 of the paper; the
        # spread within leaves, which Hutter and others add in 2014, would be 0 in leaves of one row.
        each = np.array([tree.tree_.predict(single)[:, 0] for tree in self._forest.estimators_])
        return Prediction(each.mean(axis=0), each.std(axis=0))
