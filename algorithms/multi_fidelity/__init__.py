"""Multi-fidelity search, which trains many children a little and a few for long.

To read in this order: `rungs` (which fidelities, and who goes on), `successive_halving`, `hyperband`,
`asha`.

Laws, in `tests/algorithms/multi_fidelity`: promotions against the papers' tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.multi_fidelity.asha import ASHA as ASHA
    from symnas.algorithms.multi_fidelity.hyperband import Hyperband as Hyperband
    from symnas.algorithms.multi_fidelity.successive_halving import SuccessiveHalving as SuccessiveHalving

_HOMES = {
    "ASHA": "asha",
    "Hyperband": "hyperband",
    "SuccessiveHalving": "successive_halving",
}

__all__ = [
    "ASHA",
    "Hyperband",
    "SuccessiveHalving",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
