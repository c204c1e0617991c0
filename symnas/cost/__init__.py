"""Parameters, FLOPs and activation memory of a module, counted on `meta`, where nothing is computed.

`flops` counts operators; `profiling` runs a module, counts what is alive and sums up.

Laws, in `tests/cost`: the counts of known networks, and agreement with the module's own parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.cost.profiling import ModuleProfile as ModuleProfile
    from symnas.cost.profiling import Profile as Profile
    from symnas.cost.profiling import profile as profile

_HOMES = {
    "ModuleProfile": "profiling",
    "Profile": "profiling",
    "profile": "profiling",
}

__all__ = [
    "ModuleProfile",
    "Profile",
    "profile",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
