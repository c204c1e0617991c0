"""Surveys, and costs of sampled children, that are looked up before they are made."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from symnas.errors import SymnasError
from symnas.programs import disk_cache
from symnas.programs.internals import Internals
from symnas.tree.space import Space

LEAST_SECONDS = 0.1
"""What took less is not kept."""


@dataclass(frozen=True)
class Surveyed:
    """What a survey came to.

    Args:
        space: of the program.
        remarks: warnings for whoever asked.
        values_told: whether all clauses over chosen values are in the space.
    """

    space: Space
    remarks: list[str]
    values_told: bool = False


def kept_survey(internals: Internals, settings: object, make: Callable[[], Surveyed]) -> Surveyed:
    """Return what a program's survey came to: as kept, or made and kept.

    Args:
        internals: of the program.
        settings: what else the survey or its remarks follow from, by its `repr`.
        make: surveys it.
    """
    made: list[Surveyed] = []

    def plain() -> dict[str, Any]:
        found = make()
        made.append(found)
        return {"space": found.space.to_json(), "remarks": found.remarks, "told": found.values_told}

    # On `meta` if torch is there, which an annotation of its own may see.
    data = kept(internals, ("survey", settings, "torch" in sys.modules), plain)
    if made:
        return made[0]
    try:
        return Surveyed(Space.from_json(data["space"]), list(data["remarks"]), bool(data["told"]))
    except (SymnasError, KeyError, TypeError, ValueError):  # written by something else
        return make()


def kept(internals: Internals, about: object, make: Callable[[], Any]) -> Any:
    """Return plain data about a program: as kept, or made and kept.

    Args:
        internals: of the program.
        about: what is asked for, and under which settings.
        make: returns it.
    """
    key = None if disk_cache.folder() is None else internals.identity(about)
    found = None if key is None else disk_cache.read(key)
    if found is None:
        started = time.perf_counter()
        found = make()
        if key is not None and time.perf_counter() - started >= LEAST_SECONDS:
            disk_cache.write(key, found)
    return found
