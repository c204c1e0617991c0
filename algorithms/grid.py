"""Exhaustive search."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symnas.algorithms.common.without_replacement import keys_of
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import hyperparameter, whole, with_hyperparameters
from symnas.contracts.outcome import Outcome
from symnas.tree.choices import Branch, FloatRange, OneOf, Point
from symnas.tree.space import Space

if TYPE_CHECKING:
    from symnas.tree.space import Batch

CHUNK = 64


@with_hyperparameters()
class Grid(Algorithm):
    """Every decision once, in the order of the tree: the last address turns fastest.

    Nothing is drawn, and results do not matter. Points below a choice turn only while it is taken. The search
    ends when the last decision was handed out, after as many trials as the space, with `levels` values for
    each real range, has decisions.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(multi_objective=True)

    levels: int = hyperparameter(
        5,
        whole(1),
        "how many values stand for a real range without a step: evenly spaced from end to end, geometrically "
        "where the range is logarithmic; with 1, the middle",
    )

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._seen: set[Hashable] = set()
        self._ahead: deque[tuple[Hashable, Batch]] = deque()
        self._rest = self._enumerate()

    def propose(self, n: int, rng: np.random.Generator) -> Batch:  # noqa: ARG002 - nothing is random here
        """Return the first `n` decisions, in order, that were not handed out."""
        found: list[Batch] = []
        # What was read ahead and not handed out stays here: reading on is a cache, not a change.
        self._ahead = deque(item for item in self._ahead if item[0] not in self._seen)
        for _, row in islice(self._ahead, n):
            found.append(row)
        while len(found) < n:
            item = next(self._rest, None)
            if item is None:
                break
            if item[0] not in self._seen:
                self._ahead.append(item)
                found.append(item[1])
        return type(found[0]).concat(found) if found else self._space.batch([])

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:  # noqa: ARG002 - results do not matter
        """Remember what was handed out."""
        self._seen.update(keys_of(batch))

    def _enumerate(self) -> Iterator[tuple[Hashable, Batch]]:
        space = self._space
        # Addresses are those of the space itself, and values are among its values: a decision over there says
        # which one here, by values instead of codes.
        rules = space.compiled.rules
        clauses = () if rules is None else rules.requirements
        points = tuple(levelled(point, self.levels) for point in space.points)
        finite = Space(points, space.requires if clauses else (), clauses)
        decisions = iter(finite.enumerate())
        while chunk := list(islice(decisions, CHUNK)):
            batch = space.batch([space.decision(decision.flat()) for decision in chunk])
            for row, key in enumerate(keys_of(batch)):
                yield key, batch[row : row + 1]


def levelled(point: Point, levels: int) -> Point:
    """Return the point, and all beneath it, with real ranges replaced by choices among `levels` values."""
    if isinstance(point, FloatRange) and not point.finite:
        values = _spaced(point, levels)
        return OneOf(point.address, values, guards=point.guards, origin=point.origin)
    branches = [
        Branch(branch.when, tuple(levelled(child, levels) for child in branch.points), branch.occurrence)
        for branch in point.branches
    ]
    return point.replace(branches=tuple(branches)) if branches else point


def _spaced(point: FloatRange, levels: int) -> tuple[float, ...]:
    spaced = np.geomspace if point.log else np.linspace
    values = spaced(point.low, point.high, levels) if levels > 1 else spaced(point.low, point.high, 3)[1:2]
    # Rounding may put an end a hair outside, or merge neighbours of a very narrow range.
    return tuple(dict.fromkeys(np.clip(values, point.low, point.high).tolist()))
