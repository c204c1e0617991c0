"""Which positions of tensors mean the same feature: axis inference over a PyTorch run. Knows no search.

To read in this order: `axes` (what a dimension consists of), `table` (the axes of tensors, by tensor),
`rules` (what each operator says of the axes of its operands), `operators` and `meta_results` (what schemas
say, and what operations return without computing), `trace` (applies the rules while a module runs),
`module_rules` (modules whose parameters are stacked), `model_axes` (all that is known of a model's tensors),
`contractions` (which parameters are summed over). How the tensors of many models are aligned by what this
tells is in `symnas.construction`.

Laws, in `tests/features` and `tests/supernet`: narrowing equals silencing what was removed; faults planted
for concatenation, heads and groups are caught.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.features.module_rules import register_slicing as register_slicing

_HOMES = {
    "register_slicing": "module_rules",
}

__all__ = [
    "register_slicing",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
