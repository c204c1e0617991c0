"""Spaces and decisions to and from other libraries.

`pyglove` turns DNA specs into spaces and back, and templates into programs.

Laws, in `tests/interop`: a space and a decision survive the way there and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.interop.pyglove import dna_spec as dna_spec
    from symnas.interop.pyglove import from_dna as from_dna
    from symnas.interop.pyglove import space_from_spec as space_from_spec
    from symnas.interop.pyglove import to_dna as to_dna

_HOMES = {
    "dna_spec": "pyglove",
    "from_dna": "pyglove",
    "space_from_spec": "pyglove",
    "to_dna": "pyglove",
}

__all__ = [
    "dna_spec",
    "from_dna",
    "space_from_spec",
    "to_dna",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
