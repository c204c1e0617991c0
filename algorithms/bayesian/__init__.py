"""Search by a model of outcomes: surrogate, acquisition, and its maximisation.

To read in this order: `smbo`, `acquisition` (expected improvement, bounds, Thompson sampling),
`acquisition_search` (where it is large), `target_transforms` (what the model is fitted to), `bananas`.
Models are in `surrogates`.

Laws, in `tests/algorithms/bayesian`: acquisitions against their integrals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.bayesian.bananas import Bananas as Bananas
    from symnas.algorithms.bayesian.smbo import SMBO as SMBO

_HOMES = {
    "Bananas": "bananas",
    "SMBO": "smbo",
}

__all__ = [
    "SMBO",
    "Bananas",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
