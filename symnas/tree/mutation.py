"""Moves between decisions, over whole batches: redraw one point, or recombine two parents by address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Ints, Reals
from symnas.errors import DecisionError
from symnas.tree.batch import Batch
from symnas.tree.layout import REAL, SINGLE, Entry
from symnas.tree.sampling import thresholds
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Space

TRIES = 4
REDRAWS = 64


def mutate(space: Space, batch: Batch, rng: np.random.Generator) -> Batch:
    """Redraw one existing point of every row, chosen uniformly among those with at least two values.

    Rows in which nothing can change stay as they are.
    """
    codes = np.array(batch.codes.T, order="C")
    reals = np.array(batch.reals.T, order="C")
    if not len(batch) or not len(space.mutator.numbers):
        return Batch(space, codes.T, reals.T)
    picked = space.mutator.pick(codes, reals, rng)
    space.mutator.redraw(codes, reals, picked, rng)
    rows = np.flatnonzero((picked >= 0) & space.mutator.deciding[picked])
    if len(rows):
        space.mutator.settle(codes, reals, rows, rng)
    return Batch(space, codes.T, reals.T)


class Mutator:
    """What mutation needs to know of a space, compiled once."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.layout = space.layout
        entries = self.layout.entries
        self.numbers = np.array([e.number for e in entries if e.mutable], np.intp)
        count = len(entries)
        self.real = np.array([e.shape == REAL for e in entries], bool)
        self.column = np.array([e.column for e in entries], np.intp)
        self.card = np.array([e.card for e in entries], np.int64)
        self.fixed = not any(e.stage for e in entries if e.mutable)
        self.any_real = bool(self.real[self.numbers].any())
        sources = {self.layout.index[a] for e in entries for g in e.point.guards for a in g.addresses}
        sources |= {e.target for e in entries if e.tied}
        self.deciding = np.array([bool(e.below) or e.number in sources for e in entries], bool)
        plain = [e.shape == SINGLE and space.sampler.weights.get(e.number) is None for e in entries]
        self.plain = np.array(plain, bool)
        self.special = [e for e in entries if e.mutable and not plain[e.number]]
        assert count == len(self.plain)

    # ------------------------------------------------------------ which point

    def exists(self, codes: Codes, reals: Reals, numbers: Ints, rows: Ints) -> NDArray[np.bool_]:
        """Tell for pairs of a point number and a row whether that point exists there."""
        columns = self.column[numbers]
        if not self.any_real:
            found: NDArray[np.bool_] = codes[columns, rows] != INACTIVE
            return found
        real = self.real[numbers]
        held = np.empty(len(rows), bool)
        held[~real] = codes[columns[~real], rows[~real]] != INACTIVE
        held[real] = ~np.isnan(reals[columns[real], rows[real]])
        return held

    def pick(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> Ints:
        """Choose uniformly one existing point that can change in every row, -1 where there is none."""
        rows: int = codes.shape[1]
        picked = self.numbers[(rng.random(rows) * len(self.numbers)).astype(np.intp)]
        if self.fixed:
            return picked
        # Rejection is uniform over what exists and touches one cell per row; few rows need the full look.
        left = np.flatnonzero(~self.exists(codes, reals, picked, np.arange(rows)))
        for _ in range(TRIES):
            if not len(left):
                return picked
            again = self.numbers[(rng.random(len(left)) * len(self.numbers)).astype(np.intp)]
            picked[left] = again
            left = left[~self.exists(codes, reals, again, left)]
        for piece in np.array_split(left, max(1, len(left) * len(self.numbers) // (1 << 24))):
            picked[piece] = self._pick_exactly(codes, reals, piece, rng)
        return picked

    def _pick_exactly(self, codes: Codes, reals: Reals, rows: Ints, rng: np.random.Generator) -> Ints:
        if not len(rows):
            return rows
        numbers = np.repeat(self.numbers, len(rows))
        held = self.exists(codes, reals, numbers, np.tile(rows, len(self.numbers)))
        running = np.cumsum(held.reshape(len(self.numbers), len(rows)), axis=0, dtype=np.int32)
        total = running[-1]
        wanted = (rng.random(len(rows)) * total).astype(np.int32)
        place = (running > wanted).argmax(axis=0)
        return np.where(total > 0, self.numbers[place], -1)

    # ------------------------------------------------------------ which value

    def redraw(self, codes: Codes, reals: Reals, picked: Ints, rng: np.random.Generator) -> None:
        """Give every row's picked point another value, in place."""
        plain = np.flatnonzero((picked >= 0) & self.plain[picked])
        if len(plain):
            numbers = picked[plain]
            columns = self.column[numbers]
            old = codes[columns, plain]
            new = (rng.random(len(plain)) * (self.card[numbers] - 1)).astype(codes.dtype)
            new += new >= old
            codes[columns, plain] = new
        if not self.special or len(plain) == len(picked):
            return
        order = np.argsort(picked, kind="stable")
        ranked = picked[order]
        for entry in self.special:
            left, right = np.searchsorted(ranked, [entry.number, entry.number + 1])
            if left < right:
                self._redraw_special(entry, codes, reals, order[left:right], rng)

    def _redraw_special(
        self, entry: Entry, codes: Codes, reals: Reals, rows: Ints, rng: np.random.Generator
    ) -> None:
        if entry.shape == SINGLE:
            weights = self.space.sampler.weights[entry.number] or ()
            codes[entry.column, rows] = _another(np.array(weights), codes[entry.column, rows], rng)
            return
        store = reals if entry.shape == REAL else codes
        columns = np.array(entry.columns)[:, None]
        old = store[columns, rows]
        same = np.arange(len(rows))
        for attempt in range(10 * REDRAWS):
            drawn = self.space.sampler.draw_one(entry, len(same), rng) if attempt < REDRAWS else None
            if drawn is None:
                drawn = _unweighted(entry, len(same), rng)
            store[columns, rows[same]] = drawn.T if drawn.ndim > 1 else drawn[None, :]
            same = same[(store[columns, rows[same]] == old[:, same]).all(axis=0)]
            if not len(same):
                return
        raise DecisionError(f"{entry.point.address}: no other value was found in {10 * REDRAWS} draws")

    # ------------------------------------------------------------ what follows

    def settle(self, codes: Codes, reals: Reals, rows: Ints, rng: np.random.Generator) -> None:
        """Draw, in place, what came into being in these rows, and empty what ceased to exist."""
        kept, kept_reals = codes[:, rows], reals[:, rows]
        self.complete(kept, kept_reals, rng)
        codes[:, rows], reals[:, rows] = kept, kept_reals

    def complete(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> None:
        """Fill empty columns with draws, then empty, in place, the points that do not exist."""
        drawn, drawn_reals = np.empty_like(codes), np.empty_like(reals)
        self.space.sampler.fill(drawn, drawn_reals, rng)
        np.copyto(codes, drawn, where=codes == INACTIVE)
        np.copyto(reals, drawn_reals, where=np.isnan(reals))
        self.space.activity.mask(codes, reals)


def _another(weights: NDArray[np.float64], old: Codes, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw codes by weight among all but the old ones; evenly where the others weigh nothing."""
    shares = weights / weights.sum()
    before = np.concatenate([[0.0], np.cumsum(shares)])
    left = 1.0 - shares[old]
    u = rng.random(len(old)) * left
    u += np.where(u >= before[old], shares[old], 0.0)
    new = np.searchsorted(thresholds(tuple(weights)), u, side="right")
    even = (rng.random(len(old)) * (len(weights) - 1)).astype(np.int64)
    even += even >= old
    return np.where((left <= 1e-12) | (new == old), even, new)


def _unweighted(entry: Entry, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return entry.subsets.draw(rows, rng)


def crossover(space: Space, first: Batch, second: Batch, rng: np.random.Generator) -> Batch:
    """Take every point's value from one of two parents, by a fair coin per point where both have it.

    What exists in the child and in neither parent is drawn.
    """
    if len(first) != len(second):
        raise DecisionError(
            f"crossover pairs rows, so both batches have the same length; got {len(first)} and {len(second)}"
        )
    codes, others = np.array(first.codes.T, order="C"), second.codes.T
    reals, other_reals = np.array(first.reals.T, order="C"), second.reals.T
    coin = rng.random((len(space.layout.entries), len(first))) < 0.5
    owners, real_owners = space.owners
    np.copyto(codes, others, where=(coin[owners] | (codes == INACTIVE)) & (others != INACTIVE))
    swap = (coin[real_owners] | np.isnan(reals)) & ~np.isnan(other_reals)
    np.copyto(reals, other_reals, where=swap)
    space.mutator.complete(codes, reals, rng)
    return Batch(space, codes.T, reals.T)
