"""A decision as a sequence of steps, each a choice among few moves: what a search tree is built on.

Points are decided one after the other in some order. A point with few values takes one step. One with more
is bisected: each step halves an interval of codes, so that neighbouring values share their first steps
(Negrinho and Gordon: DeepArchitect, arXiv:1704.08792, section 5.2). Selections are taken element by element:
where the order does not count, candidate by candidate, so that one selection has one path; otherwise slot by
slot. A real range takes one step with any number of moves, the values themselves. Points that do not exist,
repeat another or have one value only take no step, nor do moves without an alternative.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from symnas.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.nodes import FloatRange
from symnas.subsets import INACTIVE, UNUSED

if TYPE_CHECKING:
    from symnas.space import Space

Codes = NDArray[np.signedinteger]
Reals = NDArray[np.float64]
Sub = Any
"""What is decided of a point so far."""
Move = Any
"""One of the alternatives of a step."""


class PointSteps(ABC):
    """The steps that decide one point.

    Args:
        entry: the point.
        weights: its prior, one weight per value or candidate.
    """

    start: Sub
    endless: ClassVar[bool] = False

    def __init__(self, entry: Entry, weights: Sequence[float] | None) -> None:
        self.entry = entry
        self.column = entry.column
        self.prior = weights
        self._known: dict[Sub, tuple[tuple[Move, ...], tuple[float, ...]]] = {}

    def moves(self, sub: Sub) -> tuple[tuple[Move, ...], tuple[float, ...]]:
        """Return the moves of a step, at least two, and how likely the prior makes each."""
        known = self._known.get(sub)
        if known is None:
            known = self._known[sub] = self._moves(sub)
        return known

    @abstractmethod
    def _moves(self, sub: Sub) -> tuple[tuple[Move, ...], tuple[float, ...]]:
        """Return what `moves` remembers."""

    @abstractmethod
    def taken(self, sub: Sub, codes: Sequence[int], reals: Sequence[float]) -> Move:
        """Return the move that a decision takes, given that it came to this step."""

    @abstractmethod
    def grouped(self, sub: Sub, codes: Codes, reals: Reals) -> tuple[NDArray[Any], dict[Any, Move]]:
        """Return which move each of many decisions takes.

        Args:
            sub: the step that all of them came to.
            codes: (decisions, columns).
            reals: (decisions, real points).

        Returns:
            A label per decision, and the move that each label stands for.
        """

    @abstractmethod
    def after(self, sub: Sub, move: Move) -> Sub | None:
        """Return the next step of the point, or None where it is decided."""

    @abstractmethod
    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:
        """Write the value that a last move completes."""

    def finish(self, sub: Sub | None, codes: list[int], reals: list[float], rng: np.random.Generator) -> None:
        """Decide what is left of a point by the prior."""
        while sub is not None:
            move = draw(*self.moves(sub), rng)
            after = self.after(sub, move)
            if after is None:
                self.write(sub, move, codes, reals)
            sub = after


def draw(moves: Sequence[Move], weights: Sequence[float], rng: np.random.Generator) -> Move:
    """Draw one of the moves by weight; evenly where all weigh nothing."""
    total = math.fsum(weights)
    if total <= 0.0:
        return moves[int(rng.random() * len(moves))]
    left = rng.random() * total
    chosen = moves[0]
    for move, weight in zip(moves, weights, strict=True):
        if weight > 0.0:
            chosen = move
            left -= weight
            if left < 0.0:
                break
    return chosen


class FlatSteps(PointSteps):
    """One step among few values."""

    start = 0

    def _moves(self, sub: Sub) -> tuple[tuple[Move, ...], tuple[float, ...]]:  # noqa: ARG002 - there is one
        weights = self.prior or (1.0,) * self.entry.card
        return tuple(range(self.entry.card)), tuple(weights)

    def taken(self, sub: Sub, codes: Sequence[int], reals: Sequence[float]) -> Move:  # noqa: ARG002
        """Return the code."""
        return codes[self.column]

    def grouped(self, sub: Sub, codes: Codes, reals: Reals) -> tuple[NDArray[Any], dict[Any, Move]]:  # noqa: ARG002
        """Return the codes, which are the moves."""
        return codes[:, self.column], {code: code for code in range(self.entry.card)}

    def after(self, sub: Sub, move: Move) -> Sub | None:  # noqa: ARG002 - every move is the last
        """Return None: one step decides."""
        return None

    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:  # noqa: ARG002
        """Write the code."""
        codes[self.column] = move


class BisectedSteps(PointSteps):
    """Halving an interval of codes until one is left; a move is the half, as (first, end)."""

    def __init__(self, entry: Entry, weights: Sequence[float] | None) -> None:
        super().__init__(entry, weights)
        self.start = (0, entry.card)

    def _moves(self, sub: Sub) -> tuple[tuple[Move, ...], tuple[float, ...]]:
        low, high = sub
        halves = ((low, (low + high) // 2), ((low + high) // 2, high))
        if self.prior is None:
            return halves, tuple(float(b - a) for a, b in halves)
        return halves, tuple(math.fsum(self.prior[a:b]) for a, b in halves)

    def taken(self, sub: Sub, codes: Sequence[int], reals: Sequence[float]) -> Move:  # noqa: ARG002
        """Return the half that the code lies in."""
        low, high = sub
        middle = (low + high) // 2
        return (low, middle) if codes[self.column] < middle else (middle, high)

    def grouped(self, sub: Sub, codes: Codes, reals: Reals) -> tuple[NDArray[Any], dict[Any, Move]]:  # noqa: ARG002
        """Return whether each code lies in the upper half."""
        lower, upper = self.moves(sub)[0]
        return codes[:, self.column] >= upper[0], {False: lower, True: upper}

    def after(self, sub: Sub, move: Move) -> Sub | None:  # noqa: ARG002
        """Return the half, or None where it holds one code."""
        return move if move[1] - move[0] > 1 else None

    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:  # noqa: ARG002
        """Write the code that is left."""
        codes[self.column] = move[0]


class RealSteps(PointSteps):
    """One step whose moves are values of a real range."""

    start = ()
    endless = True

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a value, uniform on the range's scale."""
        assert isinstance(self.entry.domain, FloatRange)
        low, high = scale_bounds(self.entry.domain)
        value = low + rng.random() * (high - low)
        value = math.exp(value) if self.entry.domain.log else value
        return min(max(value, self.entry.domain.low), self.entry.domain.high) + 0.0

    def finish(self, sub: Sub | None, codes: list[int], reals: list[float], rng: np.random.Generator) -> None:  # noqa: ARG002
        """Draw the value, where it is left."""
        if sub is not None:
            reals[self.column] = self.draw(rng)

    def _moves(self, sub: Sub) -> tuple[tuple[Move, ...], tuple[float, ...]]:  # noqa: ARG002
        return (), ()

    def taken(self, sub: Sub, codes: Sequence[int], reals: Sequence[float]) -> Move:  # noqa: ARG002
        """Return the value."""
        return reals[self.column]

    def grouped(self, sub: Sub, codes: Codes, reals: Reals) -> tuple[NDArray[Any], dict[Any, Move]]:  # noqa: ARG002
        """Return the values, which are the moves."""
        values = reals[:, self.column]
        return values, {value: value for value in values.tolist()}

    def after(self, sub: Sub, move: Move) -> Sub | None:  # noqa: ARG002
        """Return None: a value decides."""
        return None

    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:  # noqa: ARG002
        """Write the value."""
        reals[self.column] = move


class _Selected(PointSteps):
    """What both ways of selecting share: the codes chosen are written into slots."""

    def __init__(self, entry: Entry, weights: Sequence[float] | None) -> None:
        super().__init__(entry, weights)
        self.width = entry.width
        self.rule = entry.subsets

    def _put(self, chosen: Sequence[int], codes: list[int]) -> None:
        unused = [UNUSED] * (self.width - len(chosen))
        codes[self.column : self.column + self.width] = [*chosen, *unused]

    def _weight(self, code: int, times: int = 1) -> float:
        return 1.0 if self.prior is None else float(self.prior[code] ** times)


class CountedSteps(_Selected):
    """How often each candidate is taken, one candidate after the other, for selections without order."""

    def __init__(self, entry: Entry, weights: Sequence[float] | None) -> None:
        super().__init__(entry, weights)
        self.start = self._advance(0, ())

    def _times(self, position: int, taken: int) -> range:
        most = self.rule.high - taken
        later = self.rule.n - position - 1
        if self.rule.repeats:
            return range(0 if later else max(0, self.rule.low - taken), most + 1)
        return range(max(0, self.rule.low - taken - later), min(1, most) + 1)

    def _advance(self, position: int, chosen: tuple[int, ...]) -> Sub:
        while position < self.rule.n:
            times = self._times(position, len(chosen))
            if len(times) > 1:
                break
            chosen += (position,) * times[0]
            position += 1
        return position, chosen

    def _ways(self, position: int, taken: int) -> int:
        """Return how many selections go on from candidate `position` with `taken` chosen."""
        left, total = self.rule.n - position, 0
        for size in range(max(0, self.rule.low - taken), self.rule.high - taken + 1):
            if self.rule.repeats:
                total += math.comb(left + size - 1, size) if left else int(size == 0)
            else:
                total += math.comb(left, size)
        return total

    def _moves(self, sub: Sub) -> tuple[tuple[Move, ...], tuple[float, ...]]:
        position, chosen = sub
        times = tuple(self._times(position, len(chosen)))
        ways = [self._ways(position + 1, len(chosen) + count) for count in times]
        weights = [
            way / sum(ways) * self._weight(position, count) for way, count in zip(ways, times, strict=True)
        ]
        return times, tuple(weights)

    def taken(self, sub: Sub, codes: Sequence[int], reals: Sequence[float]) -> Move:  # noqa: ARG002
        """Return how often the candidate is chosen."""
        return codes[self.column : self.column + self.width].count(sub[0])

    def _go(self, sub: Sub, move: Move) -> Sub:
        position, chosen = sub
        return self._advance(position + 1, (*chosen, *[position] * move))

    def grouped(self, sub: Sub, codes: Codes, reals: Reals) -> tuple[NDArray[Any], dict[Any, Move]]:  # noqa: ARG002
        """Return how often each decision has the candidate."""
        times = (codes[:, self.column : self.column + self.width] == sub[0]).sum(axis=1)
        return times, {count: count for count in self.moves(sub)[0]}

    def after(self, sub: Sub, move: Move) -> Sub | None:
        """Return the next candidate that can be taken or left."""
        following = self._go(sub, move)
        return following if following[0] < self.rule.n else None

    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:  # noqa: ARG002
        """Write the candidates chosen, in order of their codes."""
        self._put(self._go(sub, move)[1], codes)


class SlotSteps(_Selected):
    """One slot after the other, for selections with order and for listed ones; `UNUSED` ends one early."""

    def __init__(self, entry: Entry, weights: Sequence[float] | None) -> None:
        super().__init__(entry, weights)
        self.start = self._advance(())

    def _listed(self, chosen: tuple[int, ...]) -> dict[int, int]:
        found: dict[int, int] = {}
        for row in self.rule.only:
            if row[: len(chosen)] == chosen:
                move = row[len(chosen)] if len(row) > len(chosen) else UNUSED
                found[move] = found.get(move, 0) + 1
        return found

    def _options(self, chosen: tuple[int, ...]) -> dict[int, int]:
        """Return each way to go on, and how many selections it leads to."""
        if chosen and chosen[-1] == UNUSED:
            return {}
        if self.rule.only:
            return self._listed(chosen)
        size, rule = len(chosen), self.rule
        if size == rule.high:
            return {}
        left = rule.n - (0 if rule.repeats else size + 1)
        sizes = range(max(rule.low - size - 1, 0), rule.high - size)
        ways = sum(left**k if rule.repeats else math.perm(left, k) for k in sizes)
        free = (code for code in range(rule.n) if rule.repeats or code not in chosen)
        options = dict.fromkeys(free, ways)
        if size >= rule.low:
            options[UNUSED] = 1
        return options

    def _advance(self, chosen: tuple[int, ...]) -> Sub:
        while len(options := self._options(chosen)) == 1:
            chosen = (*chosen, *options)
        return chosen

    def _moves(self, sub: Sub) -> tuple[tuple[Move, ...], tuple[float, ...]]:
        options = self._options(sub)
        total = sum(options.values())
        weights = (
            ways / total * (self._weight(code) if code != UNUSED else 1.0) for code, ways in options.items()
        )
        return tuple(options), tuple(weights)

    def taken(self, sub: Sub, codes: Sequence[int], reals: Sequence[float]) -> Move:  # noqa: ARG002
        """Return the code in the next slot."""
        return codes[self.column + len(sub)] if len(sub) < self.width else UNUSED

    def grouped(self, sub: Sub, codes: Codes, reals: Reals) -> tuple[NDArray[Any], dict[Any, Move]]:  # noqa: ARG002
        """Return the codes in the next slot."""
        labels = {move: move for move in self.moves(sub)[0]}
        if len(sub) < self.width:
            return codes[:, self.column + len(sub)], labels
        return np.full(len(codes), UNUSED), labels

    def after(self, sub: Sub, move: Move) -> Sub | None:
        """Return the codes chosen so far."""
        following = self._advance((*sub, move))
        return following if self._options(following) else None

    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:  # noqa: ARG002
        """Write the codes in the order in which they were chosen."""
        self._put([code for code in self._advance((*sub, move)) if code != UNUSED], codes)


def point_steps(space: Space, entry: Entry, bisect: int) -> PointSteps:
    """Return the steps that decide a point; more values than `bisect` are bisected."""
    weights = space.sampler.weights.get(entry.number)
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
        entries = space.layout.entries
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
    layout = space.layout
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
