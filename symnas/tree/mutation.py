"""Moves between decisions, over whole batches: redraw one point, or recombine two parents by address.

Both keep the law of decisions: what exists after the move is exactly what its values bring into being. What
stays keeps its value, what comes into being is drawn, what ends is emptied: `complete` draws every column
that is empty, and leaves it to `activity` to empty those that do not exist.

Arrays are (columns, rows) here, as `layout` numbers columns; `picked` holds the point chosen in every row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Ints, Reals
from symnas.errors import DecisionError
from symnas.tree.activity import Activity
from symnas.tree.admission import DRAWN, GIVEN, PINNED, Admission
from symnas.tree.layout import REAL, SINGLE, Entry
from symnas.tree.sampling import Sampler, Shares, alike, thresholds
from symnas.tree.subsets import INACTIVE

# Rounds of rejection before a row is looked through; draws by weight before they are even; mutations of a
# row that the clauses led back to where it was.
TRIES = 4
REDRAWS = 64
AGAIN = 8


class Mutator:
    """Moves to other decisions, compiled for one space.

    Args:
        activity: its compiled conditions.
        sampler: its compiled draws.
        admission: what its clauses admit, or None.

    Attributes:
        numbers: the points that have at least two values of their own.
        deciding: (points,) whether others hang on a point: below it, by a guard, or by a tie.
        plain: (points,) whether a point is drawn evenly from a column of codes.
        special: those of `numbers` that are not plain.
        fixed: whether all points of `numbers` always exist.
    """

    def __init__(self, activity: Activity, sampler: Sampler, admission: Admission | None = None) -> None:
        self.activity = activity
        self.admission = admission
        self.sampler = sampler
        self.layout = layout = sampler.layout
        entries = layout.entries
        self.numbers = np.array([e.number for e in entries if e.mutable], np.intp)
        self.real = np.array([e.shape == REAL for e in entries], bool)
        self.column = np.array([e.column for e in entries], np.intp)
        self.card = np.array([e.card for e in entries], np.int64)
        self.fixed = not any(e.stage for e in entries if e.mutable)
        self.any_real = bool(self.real[self.numbers].any())
        sources = {layout.index[a] for e in entries for g in e.point.guards for a in g.addresses}
        sources |= {e.target for e in entries if e.tied}
        self.deciding = np.array([bool(e.below) or e.number in sources for e in entries], bool)
        plain = [e.shape == SINGLE and sampler.weights.get(e.number) is None for e in entries]
        self.plain = np.array(plain, bool)
        self.special = [e for e in entries if e.mutable and not plain[e.number]]

    def mutate(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> tuple[Codes, Reals]:
        """Redraw one existing point of every row, chosen uniformly among those with at least two values.

        Rows in which nothing can change stay as they are. Where a clause does not hold then, as few others
        as can be are changed too.

        Args:
            codes: (columns, rows), not written to.
            reals: (reals, rows), not written to.
            rng: the source of randomness.
        """
        codes, reals = np.array(codes, order="C"), np.array(reals, order="C")
        if not codes.shape[1] or not len(self.numbers):
            return codes, reals
        if self.admission is None:
            self._move(codes, reals, rng)
            return codes, reals
        # A value that nothing can be built around is changed back: such rows are mutated again.
        old, old_reals = codes.copy(), reals.copy()
        rows = np.arange(codes.shape[1])
        for _ in range(AGAIN):
            some, some_reals = old[:, rows].copy(), old_reals[:, rows].copy()
            picked = self._move(some, some_reals, rng)
            self.mend(some, some_reals, rng, picked)
            codes[:, rows], reals[:, rows] = some, some_reals
            rows = rows[alike((some, some_reals), (old[:, rows], old_reals[:, rows]))]
            if not len(rows):
                break
        return codes, reals

    def _move(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> Ints:
        """Redraw one point of every row, in place, and what follows; return which (rows,)."""
        picked = self.pick(codes, reals, rng)
        self.redraw(codes, reals, picked, rng)
        rows = np.flatnonzero((picked >= 0) & self.deciding[picked])
        if len(rows):
            self.settle(codes, reals, rows, rng)
        return picked

    def mend(
        self, codes: Codes, reals: Reals, rng: np.random.Generator | None, picked: Ints | None = None
    ) -> None:
        """Change rows that break a clause, in place, as little as can be, `picked` points least of all."""
        if self.admission is None or not codes.shape[1]:
            return
        costs = None
        if picked is not None:
            costs = np.full((len(self.layout.entries), codes.shape[1]), GIVEN)
            rows = np.flatnonzero(picked >= 0)
            costs[picked[rows], rows] = PINNED
        self.admission.mend(codes, reals, rng, costs)

    def crossover(
        self, first: tuple[Codes, Reals], second: tuple[Codes, Reals], rng: np.random.Generator
    ) -> tuple[Codes, Reals]:
        """Take every point's value from one of two parents, by a fair coin per point where both have it.

        What exists in the child and in neither parent is drawn.

        Args:
            first: codes (columns, rows) and reals (reals, rows) of the first parents, not written to.
            second: those of the second parents.
            rng: the source of randomness.
        """
        codes, reals = np.array(first[0], order="C"), np.array(first[1], order="C")
        others, other_reals = second
        # coin (points, rows); `owners` spreads it over columns, so that a selection comes from one parent.
        # Taken from the second: (coin or absent in the first) and present in the second.
        coin = rng.random((len(self.layout.entries), codes.shape[1])) < 0.5
        owners, real_owners = self.layout.owners
        np.copyto(codes, others, where=(coin[owners] | (codes == INACTIVE)) & (others != INACTIVE))
        swap = (coin[real_owners] | np.isnan(reals)) & ~np.isnan(other_reals)
        np.copyto(reals, other_reals, where=swap)
        self.complete(codes, reals, rng)
        return codes, reals

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
        # In pieces of about 2^24 pairs of a point and a row, which is what the full look keeps in memory.
        for piece in np.array_split(left, max(1, len(left) * len(self.numbers) // (1 << 24))):
            picked[piece] = self._pick_exactly(codes, reals, piece, rng)
        return picked

    def _pick_exactly(self, codes: Codes, reals: Reals, rows: Ints, rng: np.random.Generator) -> Ints:
        if not len(rows):
            return rows
        # All pairs, then running counts (points, rows): the point at which the count passes u * total is
        # picked.
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
            # One of the other values evenly: a number below card - 1, one further from the old code on.
            old = codes[columns, plain]
            new = (rng.random(len(plain)) * (self.card[numbers] - 1)).astype(codes.dtype)
            new += new >= old
            codes[columns, plain] = new
        if not self.special or len(plain) == len(picked):
            return
        # Rows with the same special point together, so that each is drawn by its own rule once.
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
            weights, old = self.sampler.weights[entry.number] or (), codes[entry.column, rows]
            if isinstance(weights, Shares):
                codes[entry.column, rows] = weights.another(old, rng)
            else:
                codes[entry.column, rows] = _another(np.array(weights), old, rng)
            return
        # Selections and real values are drawn again until they differ, by weights as long as that may help.
        store = reals if entry.shape == REAL else codes
        columns = np.array(entry.columns)[:, None]
        old = store[columns, rows]
        same = np.arange(len(rows))
        for attempt in range(10 * REDRAWS):
            drawn = self.sampler.draw_one(entry, len(same), rng) if attempt < REDRAWS else None
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
        self.fill(kept, kept_reals, rng)
        codes[:, rows], reals[:, rows] = kept, kept_reals

    def complete(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> None:
        """Fill empty columns with draws, then empty, in place, the points that do not exist.

        Where a clause does not hold then, what was drawn is changed first, what was there last.
        """
        if self.admission is None:
            self.fill(codes, reals, rng)
            return
        owners, real_owners = self.layout.owners
        costs = np.full((len(self.layout.entries), codes.shape[1]), DRAWN)
        # A selection is given if its first slot is; of each point the first column stands for all.
        first, places = np.unique(owners, return_index=True)
        costs[first] = np.where(codes[places] != INACTIVE, GIVEN, DRAWN)
        costs[real_owners] = np.where(np.isnan(reals), DRAWN, GIVEN)
        self.fill(codes, reals, rng)
        self.admission.mend(codes, reals, rng, costs)

    def fill(self, codes: Codes, reals: Reals, rng: np.random.Generator) -> None:
        """Fill empty columns with draws, whatever clauses say, and empty what does not exist."""
        # Everything is drawn, which is a few operations on arrays, and what is not empty or not existing
        # thrown away.
        drawn, drawn_reals = np.empty_like(codes), np.empty_like(reals)
        self.sampler.draw(drawn, drawn_reals, rng)
        np.copyto(codes, drawn, where=codes == INACTIVE)
        np.copyto(reals, drawn_reals, where=np.isnan(reals))
        self.activity.mask(codes, reals)


def _another(weights: NDArray[np.float64], old: Codes, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw codes by weight among all but the old ones; evenly where the others weigh nothing.

    With shares s and cumulative shares S, u is drawn from [0, 1 - s_old) and the old code's gap is skipped:
    u + s_old from S_old on. So another code c is drawn with probability s_c / (1 - s_old).
    """
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
