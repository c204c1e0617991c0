"""The steps that decide a selection, element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Reals
from symnas.algorithms.tree_search.point_steps import Move, PointSteps, Sub
from symnas.tree.layout import Entry
from symnas.tree.subsets import UNUSED


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

    def labels(self, sub: Sub, codes: Codes, reals: Reals) -> NDArray[Any]:  # noqa: ARG002
        """Return how often each decision has the candidate."""
        times: NDArray[Any] = (codes[:, self.column : self.column + self.width] == sub[0]).sum(axis=1)
        return times

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

    def labels(self, sub: Sub, codes: Codes, reals: Reals) -> NDArray[Any]:  # noqa: ARG002
        """Return the codes in the next slot."""
        if len(sub) < self.width:
            return codes[:, self.column + len(sub)]
        return np.full(len(codes), UNUSED)

    def after(self, sub: Sub, move: Move) -> Sub | None:
        """Return the codes chosen so far."""
        following = self._advance((*sub, move))
        return following if self._options(following) else None

    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:  # noqa: ARG002
        """Write the codes in the order in which they were chosen."""
        self._put([code for code in self._advance((*sub, move)) if code != UNUSED], codes)
