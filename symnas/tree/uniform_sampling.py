"""Drawing decisions so that all of them are equally likely: every value weighs what hangs below it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Reals
from symnas.tree.counting import Counter, Selections
from symnas.tree.coupled_counting import draw_by_counts
from symnas.tree.layout import SINGLE, Entry, Layout
from symnas.tree.sampling import Sampler
from symnas.tree.subsets import UNUSED, Weights


class UniformSampler:
    """Draws all columns by counting leaves; a real range counts as one value and is drawn over its range.

    Args:
        layout: the compiled space.
        counter: its counts.
    """

    def __init__(self, layout: Layout, counter: Counter) -> None:
        self.chains = counter.chains
        weights: dict[int, Weights] = {}
        self.selections: list[tuple[Entry, Selections]] = []
        chained = {item.entry.number for chain in counter.chains for item in chain.items if item.size is None}
        for entry in layout.own:
            if entry.number in chained or not entry.below:
                continue
            if entry.shape == SINGLE:
                counts = counter.code_counts(entry)
                total = sum(counts)
                weights[entry.number] = tuple(count / total for count in counts)
            else:
                selections = counter.selections(entry)
                if selections.branches:
                    self.selections.append((entry, selections))
        self.sampler = Sampler(layout, weights)

    def fill(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> None:
        """Draw every column that is not a tie's, in place: codes (columns, rows), reals (reals, rows)."""
        self.sampler.fill(codes, reals, rng)
        for entry, selections in self.selections:
            drawn = draw_selections(selections, codes.shape[1], rng)
            codes[entry.column : entry.column + entry.width] = drawn.T
        for chain in self.chains:
            chain.draw(codes, rng)


def draw_selections(selections: Selections, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw selections in proportion to what hangs below them: slots (rows, high)."""
    subsets = selections.subsets
    if subsets.only:
        counts = [
            int(
                np.prod(
                    [size for b, size in selections.branches if _hit(b.when, codes) > b.occurrence],
                    dtype=object,
                )
            )
            for codes in subsets.only
        ]
        return subsets.table[draw_by_counts(counts, rows, rng)]
    futures = selections.futures
    groups = {(0, *([0] * len(selections.branches))): np.arange(rows)}
    times = np.zeros((rows, subsets.n), np.int64)
    for code, moves in enumerate(selections.steps):
        pieces: dict[tuple[int, ...], list[NDArray[np.intp]]] = {}
        for state, members in groups.items():
            options = moves[state]
            place = draw_by_counts([w * futures[code + 1][new] for _, new, w in options], len(members), rng)
            for choice, (taken, new, _) in enumerate(options):
                mine = members[place == choice]
                if len(mine):
                    times[mine, code] = taken
                    pieces.setdefault(new, []).append(mine)
        groups = {state: np.concatenate(parts) for state, parts in pieces.items()}
    return _arrange(times, subsets.high, subsets.ordered, rng)


def _hit(when: range | tuple[int, ...], codes: tuple[int, ...]) -> int:
    return sum(code in when for code in codes)


def _arrange(
    times: NDArray[np.int64], high: int, ordered: bool, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Write out how often each candidate is taken as slots, in a random order where the order counts."""
    rows, n = times.shape
    sizes = times.sum(axis=1)
    slots = np.full((rows, high), UNUSED, np.int64)
    flat = np.repeat(np.tile(np.arange(n), rows), times.ravel())
    filled = np.arange(high) < sizes[:, None]
    slots[filled] = flat
    if ordered:
        keys = np.where(filled, rng.random((rows, high)), 2.0)
        slots = np.take_along_axis(slots, np.argsort(keys, axis=1), axis=1)
    return slots
