"""All decisions one step away, over whole batches."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Ints
from symnas.tree.batch import Batch
from symnas.tree.choices import FloatRange
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.subsets import INACTIVE, UNUSED, Subsets

if TYPE_CHECKING:
    from symnas.tree.space import Space

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
        space: the space.
        without: numbers of points with single values that are left as they are.
    """

    def __init__(self, space: Space, without: Collection[int] = ()) -> None:
        self.space = space
        self.layout = space.layout
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
        everything = np.full(self.layout.columns, INACTIVE, self.layout.dtype)
        reals = np.full(self.layout.reals, np.nan)
        for entry in self.layout.entries:
            default = entry.domain.default  # type: ignore[attr-defined]
            if entry.shape == REAL:
                reals[entry.column] = default
                continue
            code = entry.domain.code(default)
            row = [code] if isinstance(code, int) else [*code, *[UNUSED] * (entry.width - len(code))]
            everything[entry.column : entry.column + entry.width] = row
        self.defaults, self.real_defaults = everything[:, None], reals[:, None]

    def of(self, batch: Batch, rng: np.random.Generator | None = None, reals: int = 4) -> tuple[Batch, Ints]:
        """Return all neighbours of all rows, and the row that each is a neighbour of, in its order."""
        codes, floats = np.ascontiguousarray(batch.codes), np.ascontiguousarray(batch.reals)
        parts = [self._single(codes, floats)]
        parts += [self._slots(entry, codes, floats) for entry in self.slots]
        parts += [self._reals(entry, codes, floats, rng, reals) for entry in self.real]
        sources = np.concatenate([part[0] for part in parts])
        numbers = np.concatenate([part[1] for part in parts])
        new = np.concatenate([part[2] for part in parts])
        new_floats = np.concatenate([part[3] for part in parts])
        rows = np.flatnonzero(self.space.mutator.deciding[numbers])
        if len(rows):
            self.settle(new, new_floats, rows, rng)
        if len(batch) > 1 and len(parts) > 1:
            order = np.argsort(sources, kind="stable")
            sources, new, new_floats = sources[order], new[order], new_floats[order]
        return Batch(self.space, new, new_floats), sources

    def _single(
        self, codes: Codes, floats: NDArray[np.float64]
    ) -> tuple[Ints, Ints, Codes, NDArray[np.float64]]:
        old = codes[:, self.columns]
        rows, place = np.nonzero(old != INACTIVE)
        new = codes[rows]
        step = self.steps[place]
        new[np.arange(len(rows)), self.columns[place]] = step + (step >= old[rows, place])
        return rows, self.numbers[place], new, floats[rows]

    def _slots(
        self, entry: Entry, codes: Codes, floats: NDArray[np.float64]
    ) -> tuple[Ints, Ints, Codes, NDArray[np.float64]]:
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
        floats: NDArray[np.float64],
        rng: np.random.Generator | None,
        count: int,
    ) -> tuple[Ints, Ints, Codes, NDArray[np.float64]]:
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

    def settle(
        self, codes: Codes, floats: NDArray[np.float64], rows: Ints, rng: np.random.Generator | None
    ) -> None:
        """Give what came into being its default, or a draw, and empty what ceased to exist."""
        some, some_floats = codes[rows].T.copy(), floats[rows].T.copy()
        if rng is None:
            np.copyto(some, self.defaults, where=some == INACTIVE)
            np.copyto(some_floats, self.real_defaults, where=np.isnan(some_floats))
            self.space.activity.mask(some, some_floats)
        else:
            self.space.mutator.complete(some, some_floats, rng)
        codes[rows], floats[rows] = some.T, some_floats.T
