"""Drawing one decision in plain Python, where arrays of one row would cost more than they save.

It reads the same random numbers as `sampling.Sampler` and makes the same decision of them, while what does
not exist is passed over: a point that fails its condition is skipped with all that is below it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnas._typing import Value
from symnas.tree.choices import FloatRange
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.rows import copy_tie, holds, pack_row
from symnas.tree.sampling import Sampler, Shares, thresholds
from symnas.tree.subsets import INACTIVE

# From its random number (or numbers) to a point's code, its slots with the value, or its real value.
Pick = Callable[[Any], Any]
# Where it shows that a point exists: in the code of a column, in the slots of a parent, only to `rows.holds`,
# or nowhere, since it always does.
Source = int | slice | str | None
LOOK = "look"


class ScalarSampler:
    """A space compiled to steps, one per point, which read the same random numbers as arrays do.

    Args:
        sampler: the compiled draws of many rows, whose weights hold here too.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.layout = sampler.layout
        self.weights = sampler.weights
        self.numbers = sampler.numbers
        self.width = sampler.width
        self.steps = [self._step(entry) for entry in self.layout.entries]
        self.blank = [INACTIVE] * self.layout.columns
        self.blank_reals = [math.nan] * self.layout.reals

    def _step(self, entry: Entry) -> tuple[Any, ...]:
        """Return (entry, address, column, size, values, numbers, pick, where to look, codes wanted, next)."""
        source, wanted = self._source(entry)
        plain = entry.shape == SINGLE and self.weights.get(entry.number) is None
        # Above 0 for most points: evenly drawn from one code, which `draw` does in place.
        size = entry.card if plain and not entry.tied else 0
        values: Sequence[Value] = ()
        if entry.shape == SINGLE:
            values = entry.domain.values()  # type: ignore[assignment]
        address = entry.point.address
        numbers = self._numbers(entry)
        return (
            entry,
            address,
            entry.column,
            size,
            values,
            numbers,
            self._pick(entry),
            source,
            wanted,
            entry.end,
        )

    def _numbers(self, entry: Entry) -> int | slice:
        """Return which of a decision's random numbers a point reads, for ties any."""
        numbers = self.numbers.get(entry.number, range(1))
        return numbers.start if len(numbers) == 1 else slice(numbers.start, numbers.stop)

    def _source(self, entry: Entry) -> tuple[Source, object]:
        """Return which codes say that a point exists, and the codes wanted there."""
        if entry.point.guards:
            return LOOK, None
        if entry.branch is None:
            return None, None
        parent = self.layout.entries[entry.parent]
        if parent.shape == SINGLE:
            return parent.column, entry.branch.when
        # Codes of a permutation say nothing, and repetitions have to be counted.
        if parent.domain.kind == "permutation" or entry.branch.occurrence:
            return LOOK, None
        return slice(parent.column, parent.column + parent.width), frozenset(entry.branch.when)

    def _pick(self, entry: Entry) -> Pick | None:
        weights = self.weights.get(entry.number)
        if entry.tied:
            return None
        if entry.shape == REAL:
            assert isinstance(entry.domain, FloatRange)
            return _real(entry.domain)
        if entry.shape == SINGLE:
            # The same comparison as `searchsorted(bounds, u, side="right")`, of the same floats.
            if isinstance(weights, Shares):
                return weights.pick_one
            bounds = [] if weights is None else thresholds(weights).tolist()
            return lambda u: bisect_right(bounds, u)
        subsets, value = entry.subsets, entry.domain.value
        assert not isinstance(weights, Shares)
        if subsets.tabulated and weights is None:
            # Truncated like `Subsets.choose` does.
            table = [(entry.slots(codes), value(codes)) for codes in subsets.rows]
            return lambda u: table[int(u * len(table))]

        def chosen(u: float | list[float]) -> tuple[list[int], Value]:
            slots: list[int] = subsets.choose(np.array(u).reshape(1, -1), weights)[0].tolist()
            return slots, value([code for code in slots if code >= 0])

        return chosen

    def draw(self, rng: np.random.Generator) -> tuple[bytes, dict[str, Value]]:
        """Draw one row, every point uniform over its own values or by its prior weights.

        Returns:
            The row, and the values that it stands for.
        """
        codes, reals = self.blank[:], self.blank_reals[:]
        values: dict[str, Value] = {}
        steps = self.steps
        # All numbers at once, used or not, so that the next decision begins where it does for arrays.
        u = rng.random(self.width).tolist()
        i, stop = 0, len(steps)
        while i < stop:
            entry, address, column, size, labels, at, pick, source, wanted, after = steps[i]
            if source is not None:
                kind = type(source)
                if kind is int:
                    exists = codes[source] in wanted
                elif kind is slice:
                    exists = not wanted.isdisjoint(codes[source])
                else:
                    exists = holds(self.layout, entry, codes)
                if not exists:
                    # Pre-order: behind `entry.end` begins what does not lie below the point.
                    i = after
                    continue
            if size:
                code = int(u[at] * size)
                codes[column] = code
                values[address] = labels[code]
            elif pick is None:
                copy_tie(self.layout, entry, codes, reals)
            elif labels:
                codes[column] = code = pick(u[at])
                values[address] = labels[code]
            elif entry.shape == REAL:
                reals[column] = values[address] = pick(u[at])
            else:
                codes[column : column + entry.width], values[address] = pick(u[at])
            i += 1
        return pack_row(self.layout, codes, reals), values


def _real(domain: FloatRange) -> Pick:
    low, high = scale_bounds(domain)
    span = high - low
    if not domain.log:
        return lambda u: min(low + u * span, domain.high) + 0.0
    return lambda u: min(max(math.exp(low + u * span), domain.low), domain.high)
