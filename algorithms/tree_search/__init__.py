"""Monte Carlo tree search over the tree of decisions.

To read in this order: `mcts` (the algorithm), `search_tree` (visits and values), `uct` (which way down),
`rollouts` (the rest, by a model). What a path is, a decision as a sequence of actions, is in `sequencing`.

Laws, in `tests/algorithms/tree_search`: statistics against recounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.algorithms.tree_search.mcts import MCTS as MCTS

_HOMES = {
    "MCTS": "mcts",
}

__all__ = [
    "MCTS",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
