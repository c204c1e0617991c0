"""Drawing one decision in plain Python, where arrays of one row would cost more than they save."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symnas._typing import Value
from symnas.tree.choices import FloatRange
from symnas.tree.decision import Decision, holds, pack_row
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.sampling import thresholds
from symnas.tree.subsets import INACTIVE, UNUSED

if TYPE_CHECKING:
    from symnas.tree.space import Space

Pick = Callable[[float], Any]
Source = int | slice | str | None
LOOK = "look"


class Drawer:
    """A space compiled to a list of steps, one per point, each consuming one random number."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.layout = space.layout
        self.steps = [self._step(entry) for entry in self.layout.entries]
        self.blank = [INACTIVE] * self.layout.columns
        self.blank_reals = [math.nan] * self.layout.reals

    def _step(self, entry: Entry) -> tuple[Any, ...]:
        """Return (entry, address, column, size, values, pick, where to look, codes wanted, next)."""
        source, wanted = self._source(entry)
        plain = entry.shape == SINGLE and self.space.sampler.weights.get(entry.number) is None
        size = entry.card if plain and not entry.tied else 0
        values: Sequence[Value] = ()
        if entry.shape == SINGLE:
            values = entry.domain.values()  # type: ignore[assignment]
        address = entry.point.address
        return entry, address, entry.column, size, values, self._pick(entry), source, wanted, entry.end

    def _source(self, entry: Entry) -> tuple[Source, object]:
        """Return which codes say that a point exists, and the codes wanted there."""
        if entry.point.guards:
            return LOOK, None
        if entry.branch is None:
            return None, None
        parent = self.layout.entries[entry.parent]
        if parent.shape == SINGLE:
            return parent.column, entry.branch.when
        if parent.domain.kind == "permutation" or entry.branch.occurrence:
            return LOOK, None
        return slice(parent.column, parent.column + parent.width), frozenset(entry.branch.when)

    def _pick(self, entry: Entry) -> Pick | None:
        weights = self.space.sampler.weights.get(entry.number)
        if entry.tied:
            return None
        if entry.shape == REAL:
            assert isinstance(entry.domain, FloatRange)
            return _real(entry.domain)
        if entry.shape == SINGLE:
            bounds = [] if weights is None else thresholds(weights).tolist()
            return lambda u: bisect_right(bounds, u)
        subsets, value = entry.subsets, entry.domain.value
        if subsets.tabulated and weights is None:
            table = [(_padded(entry, codes), value(codes)) for codes in subsets.rows]
            return lambda u: table[int(u * len(table))]

        # One random number is the seed of a draw that needs many.
        def drawn(u: float) -> tuple[list[int], Value]:
            row = subsets.draw(1, np.random.default_rng(int(u * 2**53)), weights)[0]
            codes = tuple(code for code in row.tolist() if code >= 0)
            return _padded(entry, codes), value(codes)

        return drawn

    def draw(self, rng: np.random.Generator) -> Decision:
        """Draw one decision, every point uniform over its own values or by its prior weights."""
        codes, reals = self.blank[:], self.blank_reals[:]
        values: dict[str, Value] = {}
        steps = self.steps
        u = rng.random(len(steps)).tolist()
        i, stop = 0, len(steps)
        while i < stop:
            entry, address, column, size, labels, pick, source, wanted, after = steps[i]
            if source is not None:
                kind = type(source)
                if kind is int:
                    exists = codes[source] in wanted
                elif kind is slice:
                    exists = not wanted.isdisjoint(codes[source])
                else:
                    exists = holds(self.layout, entry, codes)
                if not exists:
                    i = after
                    continue
            if size:
                code = int(u[i] * size)
                codes[column] = code
                values[address] = labels[code]
            elif pick is None:
                self._copy(entry, codes, reals)
            elif labels:
                codes[column] = code = pick(u[i])
                values[address] = labels[code]
            elif entry.shape == REAL:
                reals[column] = values[address] = pick(u[i])
            else:
                codes[column : column + entry.width], values[address] = pick(u[i])
            i += 1
        return Decision(self.space, pack_row(self.layout, codes, reals), values)

    def _copy(self, entry: Entry, codes: list[int], reals: list[float]) -> None:
        source = self.layout.entries[entry.target].column
        if entry.shape == REAL:
            reals[entry.column] = reals[source]
        else:
            codes[entry.column : entry.column + entry.width] = codes[source : source + entry.width]


def _padded(entry: Entry, codes: tuple[int, ...]) -> list[int]:
    return [*codes, *[UNUSED] * (entry.width - len(codes))]


def _real(domain: FloatRange) -> Pick:
    low, high = scale_bounds(domain)
    span = high - low
    if not domain.log:
        return lambda u: min(low + u * span, domain.high) + 0.0
    return lambda u: min(max(math.exp(low + u * span), domain.low), domain.high)
