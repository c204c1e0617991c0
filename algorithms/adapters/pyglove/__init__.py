"""Every PyGlove generator as an algorithm, and every algorithm as a PyGlove generator.

`generator` is the algorithm, `driver` works the generator.

Laws, in `tests/algorithms/adapters`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.adapters.pyglove.generator import PyGlove as PyGlove
    from symnas.algorithms.adapters.pyglove.generator import as_dna_generator as as_dna_generator

_HOMES = {
    "PyGlove": "generator",
    "as_dna_generator": "generator",
}

__all__ = [
    "PyGlove",
    "as_dna_generator",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
