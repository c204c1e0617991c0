"""All decisions one step away, over whole batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection

import numpy as np

from symnas._typing import Codes, Ints, Reals
from symnas.tree.choices import FloatRange
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.mutation import Mutator
from symnas.tree.rows import put
from symnas.tree.subsets import INACTIVE, UNUSED, Subsets

SPREAD = 0.2


def moves(codes: tuple[int, ...], subsets: Subsets) -> list[tuple[int, ...]]:
    """Return the selections one move away.

    A move adds, drops or replaces one candidate; where the order counts, also exchanges two places.
    """
    if subsets.only:
        return [other for other in subsets.only if other != codes]
    found: dict[tuple[int, ...], None] = {}
    candidates = range(subsets.n)
    for place in range(len(codes)):
        rest = codes[:place] + codes[place + 1 :]
        found[rest] = None
        for new in candidates:
            found[(*codes[:place], new, *codes[place + 1 :])] = None
    for place in range(len(codes) + 1):
        for new in candidates:
            found[(*codes[:place], new, *codes[place:])] = None
    if subsets.ordered:
        for a, b in itertools.combinations(range(len(codes)), 2):
            swapped = list(codes)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            found[tuple(swapped)] = None
    else:
        found = dict.fromkeys(tuple(sorted(other)) for other in found)
    return [other for other in found if other != codes and other in subsets]


class Neighbourhood:
    """What listing neighbours needs to know of a space, compiled once.

    Args:
        mutator: the compiled mutation, which knows what follows from a change.
        without: numbers of points with single values that are left as they are.
    """

    def __init__(self, mutator: Mutator, without: Collection[int] = ()) -> None:
        self.mutator = mutator
        self.layout = mutator.layout
        single = [e for e in self.layout.own if e.shape == SINGLE and e.card > 1 and e.number not in without]
        self.columns = np.repeat([e.column for e in single], [e.card - 1 for e in single]).astype(np.intp)
        self.numbers = np.repeat([e.number for e in single], [e.card - 1 for e in single]).astype(np.intp)
        steps = [np.arange(e.card - 1) for e in single]
        self.steps = (
            np.concatenate(steps).astype(self.layout.dtype) if steps else np.empty(0, self.layout.dtype)
        )
        self.slots = [
            e for e in self.layout.own if e.shape not in (SINGLE, REAL) and e.domain.cardinality > 1
        ]
        self.real = [e for e in self.layout.own if e.shape == REAL]
        defaults, real_defaults = [INACTIVE] * self.layout.columns, [math.nan] * self.layout.reals
        for entry in self.layout.entries:
            put(entry, entry.default, defaults, real_defaults)
        self.defaults = np.array(defaults, self.layout.dtype)[:, None]
        self.real_defaults = np.array(real_defaults)[:, None]

    def of(
        self, codes: Codes, floats: Reals, rng: np.random.Generator | None = None, reals: int = 4
    ) -> tuple[Codes, Reals, Ints]:
        """Return all neighbours of all rows, and the row that each is a neighbour of, in its order.

        Args:
            codes: (rows, columns).
            floats: (rows, reals).
            rng: as in `Space.neighbours`.
            reals: as in `Space.neighbours`.
        """
        codes, floats = np.ascontiguousarray(codes), np.ascontiguousarray(floats)
        parts = [self._single(codes, floats)]
        parts += [self._slots(entry, codes, floats) for entry in self.slots]
        parts += [self._reals(entry, codes, floats, rng, reals) for entry in self.real]
        sources = np.concatenate([part[0] for part in parts])
        numbers = np.concatenate([part[1] for part in parts])
        new = np.concatenate([part[2] for part in parts])
        new_floats = np.concatenate([part[3] for part in parts])
        rows = np.flatnonzero(self.mutator.deciding[numbers])
        if len(rows):
            self.settle(new, new_floats, rows, rng)
        if len(codes) > 1 and len(parts) > 1:
            order = np.argsort(sources, kind="stable")
            sources, new, new_floats = sources[order], new[order], new_floats[order]
        return new, new_floats, sources

    def _single(self, codes: Codes, floats: Reals) -> tuple[Ints, Ints, Codes, Reals]:
        old = codes[:, self.columns]
        rows, place = np.nonzero(old != INACTIVE)
        new = codes[rows]
        step = self.steps[place]
        new[np.arange(len(rows)), self.columns[place]] = step + (step >= old[rows, place])
        return rows, self.numbers[place], new, floats[rows]

    def _slots(self, entry: Entry, codes: Codes, floats: Reals) -> tuple[Ints, Ints, Codes, Reals]:
        columns = slice(entry.column, entry.column + entry.width)
        held = np.flatnonzero(codes[:, entry.column] != INACTIVE)
        distinct, which = np.unique(codes[held, columns], axis=0, return_inverse=True)
        options = [moves(tuple(c for c in row if c >= 0), entry.subsets) for row in distinct.tolist()]
        counts = np.array([len(found) for found in options], np.intp)
        table = np.full((int(counts.sum()), entry.width), UNUSED, self.layout.dtype)
        for position, other in enumerate(itertools.chain.from_iterable(options)):
            table[position, : len(other)] = other
        starts = np.cumsum(counts) - counts
        which = which.reshape(-1)
        repeats = counts[which]
        rows = np.repeat(held, repeats)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        new = codes[rows]
        new[:, columns] = table[np.repeat(starts[which], repeats) + within]
        return rows, np.full(len(rows), entry.number), new, floats[rows]

    def _reals(
        self,
        entry: Entry,
        codes: Codes,
        floats: Reals,
        rng: np.random.Generator | None,
        count: int,
    ) -> tuple[Ints, Ints, Codes, Reals]:
        domain = entry.domain
        assert isinstance(domain, FloatRange)
        rows = np.repeat(np.flatnonzero(~np.isnan(floats[:, entry.column])), count)
        low, high = scale_bounds(domain)
        old = floats[rows, entry.column]
        if rng is None:
            unit = np.tile((np.arange(count) + 0.5) / count, len(rows) // count) if count else np.empty(0)
        else:
            unit = ((np.log(old) if domain.log else old) - low) / (high - low)
            unit = np.abs(unit + rng.normal(0.0, SPREAD, len(rows)))
            unit = 1.0 - np.abs(1.0 - unit % 2.0)
        values = low + unit * (high - low)
        values = np.clip(np.exp(values) if domain.log else values, domain.low, domain.high) + 0.0
        keep = values != old
        rows, values = rows[keep], values[keep]
        moved = floats[rows]
        moved[:, entry.column] = values
        return rows, np.full(len(rows), entry.number), codes[rows], moved

    def settle(self, codes: Codes, floats: Reals, rows: Ints, rng: np.random.Generator | None) -> None:
        """Give what came into being its default, or a draw, and empty what ceased to exist."""
        some, some_floats = codes[rows].T.copy(), floats[rows].T.copy()
        if rng is None:
            np.copyto(some, self.defaults, where=some == INACTIVE)
            np.copyto(some_floats, self.real_defaults, where=np.isnan(some_floats))
            self.mutator.activity.mask(some, some_floats)
        else:
            self.mutator.complete(some, some_floats, rng)
        codes[rows], floats[rows] = some.T, some_floats.T
