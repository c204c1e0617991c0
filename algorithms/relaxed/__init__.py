"""Rules by which relaxed networks mix their candidates, one file a paper.

Laws, in `tests/algorithms/relaxed`: gradients against autograd, schedules against the papers'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.relaxed.darts import DARTS as DARTS
    from symnas.algorithms.relaxed.darts_pt import DARTSPT as DARTSPT
    from symnas.algorithms.relaxed.gdas import GDAS as GDAS
    from symnas.algorithms.relaxed.pc_darts import PCDARTS as PCDARTS
    from symnas.algorithms.relaxed.proxyless import Proxyless as Proxyless
    from symnas.algorithms.relaxed.sharp_darts import SharpDARTS as SharpDARTS
    from symnas.algorithms.relaxed.single_path_nas import SinglePathNAS as SinglePathNAS
    from symnas.algorithms.relaxed.tas import TAS as TAS

_HOMES = {
    "DARTS": "darts",
    "DARTSPT": "darts_pt",
    "GDAS": "gdas",
    "PCDARTS": "pc_darts",
    "Proxyless": "proxyless",
    "SharpDARTS": "sharp_darts",
    "SinglePathNAS": "single_path_nas",
    "TAS": "tas",
}

__all__ = [
    "DARTS",
    "DARTSPT",
    "GDAS",
    "PCDARTS",
    "TAS",
    "Proxyless",
    "SharpDARTS",
    "SinglePathNAS",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
