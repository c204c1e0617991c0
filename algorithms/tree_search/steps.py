"""A decision as a sequence of steps, each a choice among few moves: what a search tree is built on.

Points are decided one after the other in some order. A point with few values takes one step. One with more
is bisected: each step halves an interval of codes, so that neighbouring values share their first steps
(Negrinho and Gordon: DeepArchitect, arXiv:1704.08792, section 5.2). Selections are taken element by element:
where the order does not count, candidate by candidate, so that one selection has one path; otherwise slot by
slot. A real range takes one step with any number of moves, the values themselves. Points that do not exist,
repeat another or have one value only take no step, nor do moves without an alternative.

`moves` has the same for policies: many decisions at once, in columns, in tree order.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symnas.algorithms.tree_search.point_steps import (
    BisectedSteps,
    FlatSteps,
    Move,
    PointSteps,
    RealSteps,
    Sub,
)
from symnas.algorithms.tree_search.selection_steps import CountedSteps, SlotSteps
from symnas.tree.layout import REAL, SINGLE, Entry
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Space


def point_steps(space: Space, entry: Entry, bisect: int) -> PointSteps:
    """Return the steps that decide a point; more values than `bisect` are bisected."""
    weights = space.compiled.sampler.weights.get(entry.number)
    if entry.shape == REAL:
        return RealSteps(entry, None)
    if entry.shape == SINGLE:
        kind = FlatSteps if entry.card <= bisect else BisectedSteps
        return kind(entry, weights)
    if entry.subsets.ordered or entry.subsets.only:
        return SlotSteps(entry, weights)
    return CountedSteps(entry, weights)


class Steps:
    """The steps of every decision of a space.

    Args:
        space: the space.
        bisect: the largest number of values that one step chooses among.
        importance: a number per point; of the points that can come next, the most important one does.
            None is the order of the tree.
    """

    def __init__(self, space: Space, bisect: int, importance: Sequence[float] | None = None) -> None:
        entries = space.compiled.layout.entries
        numbers = range(len(entries)) if importance is None else ordered(space, importance)
        self.points = [point_steps(space, entries[i], bisect) for i in numbers if entries[i].mutable]
        self.plain = not any(p.entry.stage or p.entry.shape == REAL for p in self.points)
        self._places = [(p.entry.shape == REAL, p.column) for p in self.points]

    def following(self, place: int, codes: Sequence[int], reals: Sequence[float]) -> int:
        """Return the place of the next point that exists in a decision, -1 after the last one."""
        place += 1
        count = len(self.points)
        if self.plain:
            return place if place < count else -1
        while place < count:
            real, column = self._places[place]
            if (reals[column] == reals[column]) if real else (codes[column] != INACTIVE):
                return place
            place += 1
        return -1

    def path(self, codes: Sequence[int], reals: Sequence[float]) -> list[tuple[int, Sub, Move]]:
        """Return every step of a decision: the place of the point, what was decided of it, the move."""
        steps = []
        place = self.following(-1, codes, reals)
        while place >= 0:
            point = self.points[place]
            sub = point.start
            while sub is not None:
                move = point.taken(sub, codes, reals)
                steps.append((place, sub, move))
                sub = point.after(sub, move)
            place = self.following(place, codes, reals)
        return steps


def ordered(space: Space, importance: Sequence[float]) -> list[int]:
    """Return the numbers of all points, the most important first, each after those it depends on."""
    layout = space.compiled.layout
    wanted_by: list[list[int]] = [[] for _ in layout.entries]
    missing = [0] * len(layout.entries)
    for entry in layout.entries:
        needs = {layout.index[a] for guard in entry.point.guards for a in guard.addresses}
        needs |= {number for number in (entry.parent, entry.target) if number >= 0}
        missing[entry.number] = len(needs)
        for need in needs:
            wanted_by[need].append(entry.number)

    def rank(number: int) -> tuple[bool, float, int]:
        # What takes no step stands in nobody's way.
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
