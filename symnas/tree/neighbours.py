"""All decisions one step away: of whole batches, or finitely many of one for searches that go uphill."""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from symnas._typing import Codes, Floats, Ints, Reals
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import REAL, SINGLE, SLOTS, Entry, scale_bounds
from symnas.tree.mutation import Mutator
from symnas.tree.ranges import LONG
from symnas.tree.rows import put
from symnas.tree.subsets import INACTIVE, UNUSED, Subsets

# Standard deviation of a perturbed real value, as a share of its range.
SPREAD = 0.2
# In `near`: how many values of a range are all tried, and how many steps a real value makes up, and down.
WIDE, RUNGS = 32, 8


def moves(codes: tuple[int, ...], subsets: Subsets) -> list[tuple[int, ...]]:
    """Return the selections one move away.

    A move adds, drops or replaces one candidate; where the order counts, also exchanges two places.
    """
    if subsets.only:
        return [other for other in subsets.only if other != codes]
    found: dict[tuple[int, ...], None] = {}
    size = len(codes)
    # Of a selection of k: k drops, k n replacements, (k + 1) n additions and, ordered, k (k - 1) / 2
    # exchanges. Those that are no selections are not made, or left out at the end.
    candidates = [c for c in range(subsets.n) if subsets.repeats or c not in codes]
    fewer, more = size - 1 >= subsets.low, size + 1 <= subsets.high
    for place in range(size):
        before, after = codes[:place], codes[place + 1 :]
        if fewer:
            found[before + after] = None
        for new in candidates:
            found[(*before, new, *after)] = None
    # Where the order does not count, all places are as good as the first.
    for place in range(size + 1 if subsets.ordered else 1) if more else ():
        for new in candidates:
            found[(*codes[:place], new, *codes[place:])] = None
    if subsets.ordered:
        for a, b in itertools.combinations(range(len(codes)), 2):
            swapped = list(codes)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            found[tuple(swapped)] = None
    else:
        found = dict.fromkeys(tuple(sorted(other)) for other in found)
    return [other for other in found if other != codes]


def _set_moves(codes: tuple[int, ...], subsets: Subsets, dtype: np.dtype[np.signedinteger]) -> Codes:
    """Return `moves` of a set without order and repeats as slots (moves, high), in the same order."""
    size, high = len(codes), subsets.high
    old = np.array(codes, dtype)
    others = np.setdiff1d(np.arange(subsets.n, dtype=dtype), old)
    fewer = int(size - 1 >= subsets.low)
    # Per place a drop, if allowed, then a replacement by each of the others: (places, fewer + others, high).
    table = np.full((size, fewer + len(others), high), UNUSED, dtype)
    if size:
        kept = np.array([[*codes[:place], *codes[place + 1 :]] for place in range(size)], dtype)
        table[:, :, : size - 1] = kept.reshape(size, 1, size - 1)
        table[:, fewer:, size - 1] = others
        table[:, fewer:, :size].sort(axis=2)
    added = np.full((len(others) if size + 1 <= high else 0, high), UNUSED, dtype)
    if len(added):
        added[:, :size] = old
        added[:, size] = others
        added[:, : size + 1].sort(axis=1)
    return np.concatenate([table.reshape(-1, high), added])


class _Singles(NamedTuple):
    """The changes of points with a single code: one for every value that is not the point's own.

    Attributes:
        columns: (changes,) the point's column.
        numbers: (changes,) the point.
        steps: (changes,) k for the k-th of the other values, which are k and, from the own one on, k + 1.
    """

    columns: Ints
    numbers: Ints
    steps: Codes


class Part(NamedTuple):
    """Decisions that differ from given ones in one point each, before what follows from it is settled.

    Attributes:
        sources: (neighbours,) the row that each is a neighbour of.
        numbers: (neighbours,) the point that was changed.
        codes: (neighbours, columns).
        reals: (neighbours, reals).
    """

    sources: Ints
    numbers: Ints
    codes: Codes
    reals: Reals


class Neighbourhood:
    """All decisions one step away, compiled for one space. Arrays here are (rows, columns).

    Args:
        mutator: the compiled mutation, which knows what follows from a change.
    """

    def __init__(self, mutator: Mutator) -> None:
        self.mutator = mutator
        self.layout = layout = mutator.layout
        self.single = [e for e in layout.own if e.shape == SINGLE and e.card > 1]
        self.wide = [e for e in self.single if e.card > WIDE and isinstance(e.domain, IntRange | FloatRange)]
        self.slots = [e for e in layout.own if e.shape == SLOTS and e.domain.cardinality > 1]
        self.real = [e for e in layout.own if e.shape == REAL]
        # (columns, 1) and (reals, 1): what comes into being without a generator.
        defaults, real_defaults = [INACTIVE] * layout.columns, [math.nan] * layout.reals
        for entry in layout.entries:
            put(entry, entry.default, defaults, real_defaults)
        self.defaults = np.array(defaults, layout.dtype)[:, None]
        self.real_defaults = np.array(real_defaults)[:, None]

        # Of these not even `of` lists all other values.
        self.long = [e for e in self.wide if e.card > LONG]

    @cached_property
    def _every(self) -> _Singles:
        long = {entry.number for entry in self.long}
        return self._singles([entry for entry in self.single if entry.number not in long])

    @cached_property
    def _narrow(self) -> _Singles:
        wide = {entry.number for entry in self.wide}
        return self._singles([entry for entry in self.single if entry.number not in wide])

    def _singles(self, entries: list[Entry]) -> _Singles:
        others = [e.card - 1 for e in entries]
        steps = [np.arange(count, dtype=self.layout.dtype) for count in others]
        return _Singles(
            np.repeat(np.array([e.column for e in entries], np.intp), others),
            np.repeat(np.array([e.number for e in entries], np.intp), others),
            np.concatenate(steps) if steps else np.empty(0, self.layout.dtype),
        )

    # ------------------------------------------------------------ all of many decisions

    def of(
        self, codes: Codes, reals: Reals, rng: np.random.Generator | None = None, count: int = 4
    ) -> tuple[Codes, Reals, Ints]:
        """Return all neighbours of all rows, and the row that each is a neighbour of, in its order.

        A range of more than `LONG` values goes up and down by 1, 2, 4, 8, … values, as in `near`.

        Args:
            codes: (rows, columns).
            reals: (rows, reals).
            rng: as in `Space.neighbours`.
            count: how many values a real range contributes.

        Returns:
            Codes (neighbours, columns), reals (neighbours, reals) and sources (neighbours,), rising.
        """
        codes, reals = np.ascontiguousarray(codes), np.ascontiguousarray(reals)
        parts = [self._single(self._every, codes, reals)]
        parts += [self._selections(entry, codes, reals) for entry in self.slots]
        parts += [self._laddered(entry, codes, reals) for entry in self.long]
        parts += [self._spaced(entry, codes, reals, rng, count) for entry in self.real]
        found = self._settled(parts, (codes, reals), rng)
        if len(codes) > 1 and len(parts) > 1:
            # Parts are by point; stable, so that neighbours of one decision stay in the order of points.
            order = np.argsort(found.sources, kind="stable")
            return found.codes[order], found.reals[order], found.sources[order]
        return found.codes, found.reals, found.sources

    # ------------------------------------------------------------ finitely many of one decision

    def near(self, codes: Codes, reals: Reals, limit: int) -> tuple[Codes, Reals]:
        """Return neighbours as a function of the decision alone, finitely many on every space.

        A choice takes each other candidate, a selection makes each move, a range of up to 32 values takes
        each other value, and what comes into being its default. A longer range goes up and down by 1, 2, 4,
        8, … values. A real range goes up and down by 8 steps of about 1/2, 1/4, …, 1/256 of its (logarithmic)
        width, each drawn between that and half of it by a generator that is seeded with the decision, and
        held at the ends.

        Args:
            codes: (1, columns).
            reals: (1, reals).
            limit: how many neighbours there are at most; out of more, that many are drawn in the same way.

        Returns:
            Codes (neighbours, columns) and reals (neighbours, reals), in the order of the points.
        """
        codes, reals = np.ascontiguousarray(codes), np.ascontiguousarray(reals)
        rng = np.random.default_rng(np.frombuffer(self.layout.join(codes, reals), np.uint8))
        parts = [self._single(self._narrow, codes, reals)]
        parts += [self._selections(entry, codes, reals) for entry in self.slots]
        parts += [self._laddered(entry, codes, reals) for entry in self.wide]
        parts += [self._halved(entry, codes, reals, rng) for entry in self.real]
        found = self._settled(parts, (codes, reals), None)
        if len(found.codes) <= limit:
            return found.codes, found.reals
        kept = np.sort(rng.permutation(len(found.codes))[:limit])
        return found.codes[kept], found.reals[kept]

    # ------------------------------------------------------------ of one kind of point

    def _single(self, changes: _Singles, codes: Codes, reals: Reals) -> Part:
        # (rows, changes); what exists and could change is a pair of a row and a change
        old = codes[:, changes.columns]
        rows, place = np.nonzero(old != INACTIVE)
        new = codes[rows]
        step = changes.steps[place]
        # other value k of a point with code c: k + [k >= c]
        new[np.arange(len(rows)), changes.columns[place]] = step + (step >= old[rows, place])
        return Part(rows, changes.numbers[place], new, reals[rows])

    def _selections(self, entry: Entry, codes: Codes, reals: Reals) -> Part:
        columns = slice(entry.column, entry.column + entry.width)
        held = np.flatnonzero(codes[:, entry.column] != INACTIVE)
        # Rows with the same selection share the list of its moves: `starts` and `counts` find it in `table`.
        distinct, which = np.unique(codes[held, columns], axis=0, return_inverse=True)
        options = [self._moves(tuple(c for c in row if c >= 0), entry) for row in distinct.tolist()]
        counts = np.array([len(found) for found in options], np.intp)
        table = np.concatenate([np.empty((0, entry.width), self.layout.dtype), *options])
        starts = np.cumsum(counts) - counts
        which = which.reshape(-1)
        repeats = counts[which]
        rows = np.repeat(held, repeats)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        new = codes[rows]
        new[:, columns] = table[np.repeat(starts[which], repeats) + within]
        return Part(rows, np.full(len(rows), entry.number), new, reals[rows])

    def _moves(self, codes: tuple[int, ...], entry: Entry) -> Codes:
        """Return the moves of a selection as slots (moves, slots)."""
        subsets = entry.subsets
        if not (subsets.only or subsets.ordered or subsets.repeats):
            return _set_moves(codes, subsets, self.layout.dtype)
        found = [entry.slots(other) for other in moves(codes, subsets)]
        return np.array(found, self.layout.dtype).reshape(-1, entry.width)

    def _laddered(self, entry: Entry, codes: Codes, reals: Reals) -> Part:
        """Return rows with a long range moved down and up by powers of two."""
        old = codes[:, entry.column].astype(np.int64)[:, None]
        # 1, 2, 4, … up to the longest that may still fit; sums beyond 64 bits come out negative.
        steps = 1 << np.arange(int(entry.card - 1).bit_length())
        new = np.concatenate([old - steps, old + steps], axis=1)
        rows, place = np.nonzero((new >= 0) & (new < entry.card) & (old != INACTIVE))
        return _changed(entry, codes, reals, rows, new[rows, place])

    def _spaced(
        self, entry: Entry, codes: Codes, reals: Reals, rng: np.random.Generator | None, count: int
    ) -> Part:
        """Return rows with a real range at evenly spaced values, or perturbed and mirrored at the ends."""
        rows = np.repeat(np.flatnonzero(~np.isnan(reals[:, entry.column])), count)
        old = reals[rows, entry.column]
        if rng is None:
            # (j + 1/2) / count: the middles of as many equal parts.
            unit = np.tile((np.arange(count) + 0.5) / count, len(rows) // count) if count else np.empty(0)
        else:
            unit = np.abs(_unit(entry, old) + rng.normal(0.0, SPREAD, len(rows)))
            # 1 - |1 - x mod 2| is x folded back and forth into [0, 1], so that no mass gathers at the ends.
            unit = 1.0 - np.abs(1.0 - unit % 2.0)
        values = _value(entry, unit)
        keep = values != old
        return _changed(entry, codes, reals, rows[keep], values[keep])

    def _halved(self, entry: Entry, codes: Codes, reals: Reals, rng: np.random.Generator) -> Part:
        """Return a row with a real range moved up and down by steps that are halved."""
        # Drawn even where nothing comes of it, so that a point's steps do not hang on what else exists.
        # (2, 8): the i-th step is 2^-i * U(1/2, 1), down and up
        steps = 2.0 ** -np.arange(RUNGS + 1)[1:] * rng.uniform(0.5, 1.0, (2, RUNGS))
        old = reals[0, entry.column]
        unit = _unit(entry, old)
        values = _value(entry, np.clip(np.concatenate([unit - steps[0], unit + steps[1]]), 0.0, 1.0))
        new = [] if np.isnan(old) else [value for value in dict.fromkeys(values.tolist()) if value != old]
        return _changed(entry, codes, reals, np.zeros(len(new), np.intp), np.array(new))

    # ------------------------------------------------------------ what follows

    def _settled(
        self, parts: list[Part], given: tuple[Codes, Reals], rng: np.random.Generator | None
    ) -> Part:
        """Join parts, and give what a change brought into being its default, or a draw.

        Under clauses, a change may take others with it, as few as can be; what comes to the same counts once.
        """
        found = Part(*map(np.concatenate, zip(*parts, strict=True)))
        self._follow(found, rng)
        if self.mutator.admission is None or not len(found.codes):
            return found
        codes, reals = found.codes.T.copy(), found.reals.T.copy()
        self.mutator.mend(codes, reals, rng, found.numbers)
        # By bytes, with the decision that each is a neighbour of; that decision itself is none.
        rows, size = self.layout.join(codes.T, reals.T), self.layout.row_bytes
        own = self.layout.join(*given)
        seen = {(source, own[source * size : (source + 1) * size]) for source in range(len(given[0]))}
        kept = []
        for place, source in enumerate(found.sources.tolist()):
            key = source, rows[place * size : (place + 1) * size]
            if key not in seen:
                seen.add(key)
                kept.append(place)
        return Part(found.sources[kept], found.numbers[kept], codes.T[kept], reals.T[kept])

    def _follow(self, found: Part, rng: np.random.Generator | None) -> None:
        rows = np.flatnonzero(self.mutator.deciding[found.numbers])
        if not len(rows):
            return
        codes, reals = found.codes[rows].T.copy(), found.reals[rows].T.copy()
        if rng is None:
            np.copyto(codes, self.defaults, where=codes == INACTIVE)
            np.copyto(reals, self.real_defaults, where=np.isnan(reals))
            self.mutator.activity.mask(codes, reals)
        else:
            self.mutator.fill(codes, reals, rng)
        found.codes[rows], found.reals[rows] = codes.T, reals.T


def _changed(entry: Entry, codes: Codes, reals: Reals, rows: Ints, values: Codes | Reals) -> Part:
    """Return rows with other values of one point."""
    new, moved = codes[rows], reals[rows]
    (moved if entry.shape == REAL else new)[:, entry.column] = values
    return Part(rows, np.full(len(rows), entry.number), new, moved)


def _unit(entry: Entry, values: Floats) -> Floats:
    """Scale values of a real range to [0, 1], by their logarithms where the range is logarithmic."""
    domain = entry.domain
    assert isinstance(domain, FloatRange)
    low, high = scale_bounds(domain)
    return ((np.log(values) if domain.log else values) - low) / (high - low)


def _value(entry: Entry, unit: Floats) -> Floats:
    """Scale numbers of [0, 1] to values of a real range."""
    domain = entry.domain
    assert isinstance(domain, FloatRange)
    low, high = scale_bounds(domain)
    scaled = low + unit * (high - low)
    return np.clip(np.exp(scaled) if domain.log else scaled, domain.low, domain.high) + 0.0
