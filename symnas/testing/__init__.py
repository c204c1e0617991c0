"""Contract tests for algorithms, for third parties to inherit.

To read in this order: `contract` (the tests, and a simulated search), `random_spaces` (draws the spaces that
they run on), `another_interpreter` (serves the tests that ask for another process).

Laws, in `tests/testing` and `tests/algorithms`: algorithms with a planted fault are caught.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas._lazy import lazy

if TYPE_CHECKING:
    from symnas.testing.contract import AlgorithmContract as AlgorithmContract
    from symnas.testing.contract import planted as planted
    from symnas.testing.contract import planted_pair as planted_pair
    from symnas.testing.contract import simulate as simulate
    from symnas.testing.contract import small_space as small_space
    from symnas.testing.random_spaces import random_space as random_space

_HOMES = {
    "AlgorithmContract": "contract",
    "planted": "contract",
    "planted_pair": "contract",
    "random_space": "random_spaces",
    "simulate": "contract",
    "small_space": "contract",
}

__all__ = [
    "AlgorithmContract",
    "planted",
    "planted_pair",
    "random_space",
    "simulate",
    "small_space",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
