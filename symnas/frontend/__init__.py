"""The user's code: found, read, placed, instrumented, and run under a decision.

To read in this order: `sources` (files, cells, functions), `source_set` (which code belongs to a program),
`reachability` and `call_resolution` (which of it can be reached), `sites` and `addressing` (the places of
choices and their names), `record_classes` (fields and attributes that need no class of their own),
`turn_counts` (loops whose turns data decides), `choice_calls` (`oneof` and its kind), `instrumentation`,
`evaluate_all`, `code_objects`, `code_swapping` (code that reports), `operations` (what instrumented code
calls), `run` (one run under a decision), `openings` (runs in which choices stay open), `value_matching`
(which candidate a value is), `arguments` (what targets are called with), `execution` (running targets),
`uninitialised` (tensors that nothing fills), `kept_runs` (what was made is not made again); `protocols` has
what other layers ask of a program.

Laws, in `tests/frontend`: addresses do not depend on the order of visits; the user's lines survive;
a domain is the same in the text and in the tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.frontend.choice_calls import floatv as floatv
    from symnas.frontend.choice_calls import intv as intv
    from symnas.frontend.choice_calls import manyof as manyof
    from symnas.frontend.choice_calls import oneof as oneof
    from symnas.frontend.choice_calls import permutate as permutate

_HOMES = {
    "floatv": "choice_calls",
    "intv": "choice_calls",
    "manyof": "choice_calls",
    "oneof": "choice_calls",
    "permutate": "choice_calls",
}

__all__ = [
    "floatv",
    "intv",
    "manyof",
    "oneof",
    "permutate",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
