"""Weights that all children share: keys, superposition, growth, optimiser.

To read in this order: `parameter_keys` (the place of construction), `mixed_module` and `watching`,
`superposition` (what one run of the constructor makes, with choices open) and `open_choices` (which can be),
`child_layout` (which slices of shared tensors a child is made of) and `child` (how they get into it),
`shared_tensors` (the tensors, which grow) with `tensors`, `state` (saved and loaded) and `kernel_transforms`,
`plugging`, `comparison` and `first_children` (children without construction), `switching` (decisions as
switches), `options` and `supernet` (the module), `optimizer` (steps on slices alone), `calibration`.

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
