"""One decision at a time, as a path of actions: what a search tree is built on.

Points are decided one after the other, in any order in which each comes after those that it depends on.
Points that do not exist, repeat another or have one value only take no action.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symnas.algorithms.sequencing.points import Action, State, sequence_of
from symnas.tree.layout import REAL
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Space


class Paths:
    """The sequence of actions of every decision of a space.

    Args:
        space: the space.
        most: the largest number of values that one action chooses among; more are halved.
        importance: a number per point; of the points that can come next, the most important one does.
            None is the order of the tree.
    """

    def __init__(self, space: Space, most: int, importance: Sequence[float] | None = None) -> None:
        entries, priors = space.compiled.layout.entries, space.compiled.sampler.weights
        numbers = range(len(entries)) if importance is None else ordered(space, importance)
        self.points = [
            sequence_of(entry, priors.get(entry.number), halved=entry.card > most, counted=True)
            for entry in (entries[number] for number in numbers)
            if entry.mutable
        ]
        # Every point exists in every decision: the next one is the next place, without a look at the row.
        self.plain = not any(p.entry.stage or p.entry.shape == REAL for p in self.points)
        self._columns = [(p.entry.shape == REAL, p.column) for p in self.points]

    def following(self, place: int, codes: Sequence[int], reals: Sequence[float]) -> int:
        """Return the place of the next point that exists in a decision, -1 after the last one.

        Args:
            place: where a point stands in `points`, -1 before the first one.
            codes: the decision's row of codes.
            reals: its row of real values.
        """
        place += 1
        count = len(self.points)
        if self.plain:
            return place if place < count else -1
        # Whether a point exists hangs on points before it alone: decisions that took the same actions so far
        # come to the same place next, so that a search tree may write it into a node.
        while place < count:
            real, column = self._columns[place]
            # NaN, which is unlike itself, stands for a real value that does not exist.
            if (reals[column] == reals[column]) if real else (codes[column] != INACTIVE):
                return place
            place += 1
        return -1

    def path(self, codes: Sequence[int], reals: Sequence[float]) -> list[tuple[int, State, Action]]:
        """Return every action of a decision, with the place of its point and the state it was taken in."""
        path = []
        place = self.following(-1, codes, reals)
        while place >= 0:
            point = self.points[place]
            state = point.start
            while not point.decided(state):
                action = point.taken(state, codes, reals)
                path.append((place, state, action))
                state = point.after(state, action)
            place = self.following(place, codes, reals)
        return path


def ordered(space: Space, importance: Sequence[float]) -> list[int]:
    """Return the numbers of all points, the most important first, each after those it depends on.

    Args:
        space: the space.
        importance: a number per point; of equal ones the earlier in the tree comes first.
    """
    # Kahn 1962: take what waits for nothing, the first by `rank`, and let others wait for one thing less.
    layout = space.compiled.layout
    wanted_by: list[list[int]] = [[] for _ in layout.entries]
    missing = [0] * len(layout.entries)
    for entry in layout.entries:
        needs = {layout.index[a] for guard in entry.point.guards for a in guard.addresses}
        # A point waits for those that its guards read, for the one above it, and for the one that it is tied
        # to.
        needs |= {number for number in (entry.parent, entry.target) if number >= 0}
        missing[entry.number] = len(needs)
        for need in needs:
            wanted_by[need].append(entry.number)

    def rank(number: int) -> tuple[bool, float, int]:
        # What takes no action stands in nobody's way.
        return layout.entries[number].mutable, -importance[number], number

    ready = [rank(number) for number, count in enumerate(missing) if not count]
    heapq.heapify(ready)
    placed: list[int] = []
    while ready:
        number = heapq.heappop(ready)[2]
        placed.append(number)
        for later in wanted_by[number]:
            missing[later] -= 1
            if not missing[later]:
                heapq.heappush(ready, rank(later))
    return placed
