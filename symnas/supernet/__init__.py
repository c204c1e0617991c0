"""Weights that all children share: shared tensors, growth, switching, optimiser.

To read in this order: `child` (how slices of shared tensors get into a child), `shared_tensors` (the tensors,
which grow) with `tensors`, `state` (saved and loaded) and `kernel_transforms`, `comparison` and
`first_children` (children without construction), `switching` (decisions as switches), `options` and
`supernet` (the module), `optimizer` (steps on slices alone), `calibration`. What children are made of, and
the keys of their weights, is told by runs of the constructor (`symnas.construction`).

Laws, in `tests/supernet`: under a decision it computes what the extracted child does; a narrow child equals
the full one with the rest silenced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.supernet.calibration import recalibrate as recalibrate
    from symnas.supernet.optimizer import SliceOptimizer as SliceOptimizer
    from symnas.supernet.options import SupernetOptions as SupernetOptions
    from symnas.supernet.supernet import Supernet as Supernet

_HOMES = {
    "SliceOptimizer": "optimizer",
    "Supernet": "supernet",
    "SupernetOptions": "options",
    "recalibrate": "calibration",
}

__all__ = [
    "SliceOptimizer",
    "Supernet",
    "SupernetOptions",
    "recalibrate",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
