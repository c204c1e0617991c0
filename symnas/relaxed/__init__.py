"""All candidates at once: the mixed network, its costs, its training, its search.

To read in this order: `options` and `network` (the module), `mixing`, `step` and `folding` (what one step
adds up), then the kinds of points: `sizes` with `statistics`, `depth`, `forward_choices`, `partial_channels`;
`costs` (expected costs), `check` (the law, at run time); `bilevel`, `epochs`, `perturbation`, `nonfinite`,
`training` and `search` (how it is trained and a decision derived). Which point is mixed how is found out
before, by runs of the constructor (`symnas.construction`).

The law, in `tests/relaxed`: with all weight on one candidate it computes what that child does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.relaxed.epochs import Epoch as Epoch
    from symnas.relaxed.network import Relaxed as Relaxed
    from symnas.relaxed.options import RelaxedOptions as RelaxedOptions
    from symnas.relaxed.search import Derived as Derived
    from symnas.relaxed.search import RelaxedSearch as RelaxedSearch
    from symnas.relaxed.search import relax as relax

_HOMES = {
    "Derived": "search",
    "Epoch": "epochs",
    "Relaxed": "network",
    "RelaxedOptions": "options",
    "RelaxedSearch": "search",
    "relax": "search",
}

__all__ = [
    "Derived",
    "Epoch",
    "Relaxed",
    "RelaxedOptions",
    "RelaxedSearch",
    "relax",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
