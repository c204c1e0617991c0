"""The steps that decide one point: one among few values, halves of an interval, a value of a real range."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Reals
from symnas.tree.choices import FloatRange
from symnas.tree.layout import Entry, scale_bounds

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
    def labels(self, sub: Sub, codes: Codes, reals: Reals) -> NDArray[Any]:
        """Return which move each of many decisions takes, as what `label` makes of moves.

        Args:
            sub: the step that all of them came to.
            codes: (decisions, columns).
            reals: (decisions, real points).
        """

    def label(self, move: Move) -> int | float:
        """Return the number that stands for a move in arrays."""
        number: int | float = move
        return number

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

    def labels(self, sub: Sub, codes: Codes, reals: Reals) -> NDArray[Any]:  # noqa: ARG002
        """Return the codes."""
        return codes[:, self.column]

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

    def labels(self, sub: Sub, codes: Codes, reals: Reals) -> NDArray[Any]:  # noqa: ARG002
        """Return the first code of the half that each code lies in."""
        low, high = sub
        middle = (low + high) // 2
        first: NDArray[Any] = np.where(codes[:, self.column] < middle, low, middle)
        return first

    def label(self, move: Move) -> int | float:
        """Return the first code of a half."""
        first: int = move[0]
        return first

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

    def labels(self, sub: Sub, codes: Codes, reals: Reals) -> NDArray[Any]:  # noqa: ARG002
        """Return the values."""
        return reals[:, self.column]

    def after(self, sub: Sub, move: Move) -> Sub | None:  # noqa: ARG002
        """Return None: a value decides."""
        return None

    def write(self, sub: Sub, move: Move, codes: list[int], reals: list[float]) -> None:  # noqa: ARG002
        """Write the value."""
        reals[self.column] = move
