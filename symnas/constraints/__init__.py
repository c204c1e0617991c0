"""`require` clauses: parsed, judged, sampled under.

`clauses` reads and evaluates one (it lies with the tree); `tracing` and `grounding` write those over chosen
values down over points, which makes them part of the space; `checking` judges those of a program, with costs
where they are named, and samples under them; `budgets` learns what costs hang on, so that draws meet bounds.

Laws, in `tests/constraints`: what is sampled meets the clauses; what is impossible is said to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.constraints.checking import Violation as Violation
    from symnas.constraints.checking import check as check
    from symnas.constraints.checking import demand as demand
    from symnas.constraints.checking import is_feasible as is_feasible
    from symnas.constraints.checking import sample as sample

_HOMES = {
    "Violation": "checking",
    "check": "checking",
    "demand": "checking",
    "is_feasible": "checking",
    "sample": "checking",
}

__all__ = [
    "Violation",
    "check",
    "demand",
    "is_feasible",
    "sample",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
