"""Every Optuna sampler as an algorithm.

`samplers` are their names, `sampler` is the algorithm, `space` the table of which point is which parameter,
`driver` asks and tells Optuna, `storage` is the memory that its samplers read.

Laws, in `tests/algorithms/adapters`: decisions survive the way to parameters and back; a log replays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.adapters.optuna.sampler import Optuna as Optuna

_HOMES = {
    "Optuna": "sampler",
}

__all__ = [
    "Optuna",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
