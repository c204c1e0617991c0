"""Weights that all children share: keys, superposition, growth, optimiser.

To read in this order: `parameter_keys` (the place of construction), `child` (a child, and its slices of
shared tensors), `shared_tensors` (the tensors, which grow), `supernet` (the module), `kernel_transforms`,
`calibration`, `state` (saved and loaded), `optimizer` (steps on slices alone), `superposition` (all
candidates constructed at once), `switching` (decisions among modules without construction).

Laws, in `tests/supernet`: under a decision it computes what the extracted child does; a narrow child equals
the full one with the rest silenced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.supernet.calibration import recalibrate as recalibrate
    from symnas.supernet.optimizer import SliceOptimizer as SliceOptimizer
    from symnas.supernet.supernet import Supernet as Supernet

_HOMES = {
    "SliceOptimizer": "optimizer",
    "Supernet": "supernet",
    "recalibrate": "calibration",
}

__all__ = [
    "SliceOptimizer",
    "Supernet",
    "recalibrate",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
