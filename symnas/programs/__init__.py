"""`Program`, the object that users hold: it builds, surveys, exports and relaxes by calling the layers below.

`program` has the class, `internals` what the layers below see of it; `identity` tells all that its space
follows from, and `kept_surveys` looks surveys up by it, in files of `disk_cache`; `references` names a
program for another process; `locator` finds it again from a store. `handed_on` tells of choices that
no call is seen to reach.

Laws, in `tests/programs`: build, source and supernet agree; a program is found again in another process; a
kept space is the fresh one, and an edit misses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.programs.program import Program as Program

_HOMES = {
    "Program": "program",
}

__all__ = [
    "Program",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
