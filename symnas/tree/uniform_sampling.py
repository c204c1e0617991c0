"""Drawing decisions so that all of them are equally likely: every value weighs what hangs below it.

With the counts N of `counting`, a value v of a point is drawn with probability

    product over branches b that v takes of N(b) / N(point)

and what it brings into being likewise, so that the probabilities of a decision multiply to 1 / N(space).
Points without branches are drawn evenly, as everywhere; selections and coupled points go through the states
that they were counted by. Random numbers are read as `sampling.Sampler` says: a fixed number per decision.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Floats, Ints, Reals
from symnas.tree.counting import Counter, Selections
from symnas.tree.coupled_counting import choose_by_counts
from symnas.tree.layout import REAL, SINGLE, Entry, Layout
from symnas.tree.ranges import LONG
from symnas.tree.sampling import Prior, Sampler, runs_of
from symnas.tree.subsets import INACTIVE, UNUSED


class UniformSampler:
    """Draws all columns by counting leaves; a real range counts as one value and is drawn over its range.

    Args:
        layout: the compiled space.
        counter: its counts.
    """

    def __init__(self, layout: Layout, counter: Counter) -> None:
        self.coupled = counter.coupled
        weights: dict[int, Prior] = {}
        self.selections: list[tuple[Entry, Selections]] = []
        # Coupled points that are decided on the way; those that count as a whole are drawn like all others.
        within = {item.entry.number for group in counter.coupled for item in group.items if item.size is None}
        for entry in layout.own:
            if entry.number in within or not entry.below:
                continue
            if entry.shape == SINGLE:
                if entry.card > LONG:
                    weights[entry.number] = runs_of(counter.code_runs(entry))
                    continue
                counts = counter.code_counts(entry)
                total = sum(counts)
                weights[entry.number] = tuple(count / total for count in counts)
            else:
                selections = counter.selections(entry)
                # Without counts that differ, selections are drawn evenly, as everywhere.
                if selections.branches:
                    self.selections.append((entry, selections))
        # Selections and coupled points are drawn by their counts below, all others by themselves.
        apart = [e for e in layout.own if e.number in within and e.shape != REAL]
        apart += [entry for entry, _ in self.selections]
        self.apart = np.array([column for entry in apart for column in entry.columns], np.intp)
        self.sampler = Sampler(layout, weights, {entry.number for entry in apart})
        # Random numbers lie side by side: those of points by themselves, of selections, of coupled points.
        self.width = self.sampler.width
        for _, selections in self.selections:
            self.width += numbers_of(selections)
        self.width += sum(group.numbers for group in self.coupled)

    def fill(self, codes: Codes, reals: Reals, u: Floats) -> None:
        """Write every column that is not a tie's, in place.

        Args:
            codes: (columns, rows).
            reals: (reals, rows).
            u: (rows, width) random numbers of [0, 1).
        """
        start = self.sampler.width
        # Coupled points that a way leaves out are INACTIVE already; the others are for `activity` to empty.
        codes[self.apart] = INACTIVE
        self.sampler.fill(codes, reals, u[:, :start])
        for entry, selections in self.selections:
            stop = start + numbers_of(selections)
            codes[entry.column : entry.column + entry.width] = choose_selections(
                selections, u[:, start:stop]
            ).T
            start = stop
        for group in self.coupled:
            group.draw(codes, u[:, start : start + group.numbers])
            start += group.numbers


def numbers_of(selections: Selections) -> int:
    """Return how many random numbers `choose_selections` takes for one."""
    subsets = selections.subsets
    return 1 if subsets.only else subsets.n + subsets.high * subsets.ordered


def choose_selections(selections: Selections, u: Floats) -> NDArray[np.int64]:
    """Return selections in proportion to what hangs below them: slots (rows, high).

    Candidate by candidate it is decided how often each is taken, by the counts of all ways to go on.

    Args:
        selections: the counted selections.
        u: (rows, `numbers_of(selections)`) random numbers of [0, 1).
    """
    subsets, rows = selections.subsets, len(u)
    if subsets.only:
        counts = [
            math.prod(size for b, size in selections.branches if _hit(b.when, codes) > b.occurrence)
            for codes in subsets.only
        ]
        return subsets.table[choose_by_counts(counts, u[:, 0])]
    u = np.ascontiguousarray(u.T)
    futures = selections.futures
    # Rows in the same state go on together, each by its own number.
    groups = {(0, *([0] * len(selections.branches))): np.arange(rows)}
    times = np.zeros((rows, subsets.n), np.int64)
    for code, moves in enumerate(selections.transitions):
        pieces: dict[tuple[int, ...], list[Ints]] = {}
        for state, members in groups.items():
            options = moves[state]
            place = choose_by_counts([w * futures[code + 1][new] for _, new, w in options], u[code, members])
            for choice, (taken, new, _) in enumerate(options):
                mine = members[place == choice]
                if len(mine):
                    times[mine, code] = taken
                    pieces.setdefault(new, []).append(mine)
        groups = {state: np.concatenate(parts) for state, parts in pieces.items()}
    return _arrange(times, subsets.high, u[subsets.n :].T if subsets.ordered else None)


def _hit(when: range | tuple[int, ...], codes: tuple[int, ...]) -> int:
    return sum(code in when for code in codes)


def _arrange(times: NDArray[np.int64], high: int, keys: Floats | None) -> NDArray[np.int64]:
    """Write out how often each candidate is taken as slots, in the order of their keys if given."""
    rows, n = times.shape
    sizes = times.sum(axis=1)
    slots = np.full((rows, high), UNUSED, np.int64)
    # (taken in all,): row after row, each candidate as often as it is taken; `filled` has as many places.
    flat = np.repeat(np.tile(np.arange(n), rows), times.ravel())
    filled = np.arange(high) < sizes[:, None]
    slots[filled] = flat
    if keys is not None:
        # A multiset in the order of independent keys has each of its orders equally often. Unused slots sort
        # last, since keys are below 1.
        slots = np.take_along_axis(slots, np.argsort(np.where(filled, keys, 2.0), axis=1), axis=1)
    return slots
