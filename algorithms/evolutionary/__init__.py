"""Search by variation and selection.

To read in this order: `variation` (mutation and crossover under a running search), `regularized_evolution`,
`nsga2`, `single_path`, and `local_search`.

Laws, in `tests/algorithms/evolutionary`: selections against brute force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.evolutionary.local_search import LocalSearch as LocalSearch
    from symnas.algorithms.evolutionary.nsga2 import NSGA2 as NSGA2
    from symnas.algorithms.evolutionary.regularized_evolution import (
        RegularizedEvolution as RegularizedEvolution,
    )
    from symnas.algorithms.evolutionary.single_path import SinglePath as SinglePath

_HOMES = {
    "LocalSearch": "local_search",
    "NSGA2": "nsga2",
    "RegularizedEvolution": "regularized_evolution",
    "SinglePath": "single_path",
}

__all__ = [
    "NSGA2",
    "LocalSearch",
    "RegularizedEvolution",
    "SinglePath",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
