"""A decision as a sequence of moves: what a policy that decides one thing at a time has to choose.

Points are visited in tree order. A listed choice is one move. A range of many values is halved until one
value is left. A selection takes one candidate after the other, unordered ones in rising order, and then
stops. Moves without an alternative are left out. So every decision has exactly one sequence, and its
probability is the product of its moves' probabilities.

Every move comes with offsets: the logarithms of how the space itself would draw, minus infinity for what
is not allowed. A policy adds its logits to them, so that one that has learned nothing draws like the space.

`steps` cuts decisions up for a search tree, one at a time and in any order of points. A policy decides many
at once, in columns, and needs the probabilities of all options at every move, whence another form.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Ints, Mask, Reals
from symnas.tree.activity import source_codes
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import REAL, SINGLE, SLOTS, Entry, scale_bounds
from symnas.tree.space import Batch, Space
from symnas.tree.subsets import INACTIVE, UNUSED, Subsets

LISTED = 32
TABLED = 10
UNLIKELY = 1e-5
EDGE = 1e-9
REMEMBERED = 4096
NO_OFFSETS = np.empty((0, 0))


class Chooser(Protocol):
    """What makes moves, or records those that a decision has made."""

    def pick(self, turn: Turn) -> Ints:
        """Choose among listed options, (k,)."""

    def place(self, turn: Turn) -> Reals:
        """Choose numbers in (0, 1) for a real range, (k,)."""


@dataclass(slots=True)
class Turn:
    """A move that is due in `k` decisions at once.

    Args:
        step: the point that is being decided.
        rows: (k,) which decisions.
        nodes: (k,) which of the point's moves it is: the slot, or the place in the tree of halves.
        offsets: (k, options) logarithms of prior shares; nothing for a real range.
        taken: (k,) the options that a decision has chosen, where it is given.
        units: (k,) the numbers in (0, 1) that a decision has chosen, where it is given.
    """

    step: Step
    rows: Ints
    nodes: Ints
    offsets: Reals
    taken: Ints | None = None
    units: Reals | None = None

    @property
    def given(self) -> Ints:
        """The options that a given decision has chosen."""
        assert self.taken is not None
        return self.taken

    @property
    def placed(self) -> Reals:
        """The numbers in (0, 1) that a given decision has chosen."""
        assert self.units is not None
        return self.units


@dataclass(slots=True)
class Step:
    """How one point is decided.

    Args:
        entry: the point's compiled place.
        kind: "choice", "halves", "slots" or "real".
        options: how many options a move has at most; 0 for a real range.
        nodes: how many different moves there are.
        shares: prior weights of the values, or of the candidates of a selection; None for equal ones.
    """

    entry: Entry
    kind: str
    options: int
    nodes: int
    shares: NDArray[np.float64] | None
    offsets: Reals = field(init=False)
    running: NDArray[np.float64] | None = None
    subsets: Subsets | None = None
    known: dict[object, Reals] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare the offsets of the moves that are always the same."""
        shares = np.ones(self.options) if self.shares is None else self.shares
        self.offsets = np.log(shares) if self.kind == "choice" else np.zeros(self.options)
        if self.kind == "halves" and self.shares is not None:
            self.running = np.concatenate([[0.0], np.cumsum(self.shares)])
        if self.kind == "slots":
            self.subsets = self.entry.subsets

    def play(self, codes: Codes, reals: Reals, rows: Ints, chooser: Chooser, given: Batch | None) -> None:
        """Decide the point in some rows, in place: codes (columns, rows), reals (reals, rows).

        Args:
            codes: the columns so far.
            reals: the real columns so far.
            rows: where the point exists.
            chooser: who decides.
            given: decisions whose moves are to be followed.
        """
        column = self.entry.column
        if self.kind == "choice":
            taken = None if given is None else given.codes[rows, column].astype(np.intp)
            offsets = np.broadcast_to(self.offsets, (len(rows), self.options))
            codes[column, rows] = chooser.pick(Turn(self, rows, np.zeros_like(rows), offsets, taken))
        elif self.kind == "real":
            units = None if given is None else self.unit(given.reals[rows, column])
            placed = chooser.place(Turn(self, rows, np.zeros_like(rows), NO_OFFSETS, None, units))
            reals[column, rows] = self.value(placed) if given is None else given.reals[rows, column]
        elif self.kind == "halves":
            codes[column, rows] = self._halve(rows, chooser, given)
        else:
            self._select(codes, rows, chooser, given)

    # ------------------------------------------------------------ real ranges

    def unit(self, values: Reals) -> Reals:
        """Return where in its range a real value lies, strictly between 0 and 1."""
        domain = self.entry.domain
        assert isinstance(domain, FloatRange)
        low, high = scale_bounds(domain)
        scaled = np.log(values) if domain.log else values
        return np.clip((scaled - low) / (high - low), EDGE, 1.0 - EDGE)

    def value(self, units: Reals) -> Reals:
        """Return the real values at places between 0 and 1."""
        domain = self.entry.domain
        assert isinstance(domain, FloatRange)
        low, high = scale_bounds(domain)
        values = low + units * (high - low)
        values = np.exp(values) if domain.log else values
        return np.clip(values, domain.low, domain.high) + 0.0

    # ------------------------------------------------------------ many values

    def _halve(self, rows: Ints, chooser: Chooser, given: Batch | None) -> Ints:
        low = np.zeros(len(rows), np.intp)
        high = np.full(len(rows), self.entry.card, np.intp)
        node = np.ones(len(rows), np.intp)
        for level in itertools.count():
            left = np.flatnonzero(high - low > 1)
            if not len(left):
                break
            middle = (low[left] + high[left] + 1) // 2
            first, second = self._mass(low[left], middle), self._mass(middle, high[left])
            offsets = np.log(np.stack([first, second], axis=1))
            taken = None
            if given is not None:
                taken = (given.codes[rows[left], self.entry.column] >= middle).astype(np.intp)
            # Near the root every place of the tree has a table of its own; below, every level has one.
            nodes = node[left] if level < TABLED else np.full(len(left), (1 << TABLED) + level - TABLED)
            upper = chooser.pick(Turn(self, rows[left], nodes, offsets, taken))
            low[left] = np.where(upper == 1, middle, low[left])
            high[left] = np.where(upper == 1, high[left], middle)
            node[left] = 2 * node[left] + upper
        return low

    def _mass(self, low: Ints, high: Ints) -> Reals:
        if self.running is None:
            return (high - low).astype(np.float64)
        return np.maximum(self.running[high] - self.running[low], UNLIKELY * UNLIKELY)

    # ------------------------------------------------------------ selections

    def _select(self, codes: Codes, rows: Ints, chooser: Chooser, given: Batch | None) -> None:
        stop = self.options - 1
        chosen: list[tuple[int, ...]] = [()] * len(rows)
        going = np.arange(len(rows))
        for slot in range(self.entry.width):
            column = self.entry.column + slot
            codes[column, rows] = UNUSED
            offsets = np.stack([self.after(chosen[row]) for row in going.tolist()])
            picked = offsets.argmax(axis=1)
            open_ = np.flatnonzero((offsets > -np.inf).sum(axis=1) > 1)
            if len(open_):
                where = rows[going[open_]]
                taken = None
                if given is not None:
                    slots = given.codes[where, column].astype(np.intp)
                    taken = np.where(slots == UNUSED, stop, slots)
                nodes = np.full(len(open_), slot, np.intp)
                picked[open_] = chooser.pick(Turn(self, where, nodes, offsets[open_], taken))
            for row, code in zip(going.tolist(), picked.tolist(), strict=True):
                if code != stop:
                    chosen[row] = (*chosen[row], code)
                    codes[column, rows[row]] = code
            going = going[picked != stop]
            if not len(going):
                for later in range(column + 1, self.entry.column + self.entry.width):
                    codes[later, rows] = UNUSED
                break

    def after(self, chosen: tuple[int, ...]) -> Reals:
        """Return the offsets, (candidates + 1,), of what may follow a beginning; the last one stops."""
        subsets = self.subsets
        assert subsets is not None
        key = _state(subsets, chosen)
        found = self.known.get(key)
        if found is None:
            counts = completions(subsets, chosen)
            found = np.array([math.log(count) if count else -math.inf for count in counts])
            if self.shares is not None:
                found[:-1] += np.log(self.shares)
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            self.known[key] = found
        return found


def _state(subsets: Subsets, chosen: tuple[int, ...]) -> object:
    """Return all of a beginning that matters for what may follow it."""
    if subsets.only:
        return chosen
    if not subsets.ordered:
        return len(chosen), chosen[-1:]
    return len(chosen) if subsets.repeats else frozenset(chosen)


def completions(subsets: Subsets, chosen: tuple[int, ...]) -> list[int]:
    """Return how many selections begin with `chosen` and each candidate; last, whether it may end there."""
    n, length = subsets.n, len(chosen)
    if subsets.only:
        counts = [0] * (n + 1)
        for codes in subsets.only:
            if codes[:length] == chosen:
                counts[codes[length] if len(codes) > length else n] += 1
        return counts
    ends = int(subsets.low <= length <= subsets.high)
    sizes = range(max(subsets.low, length + 1), subsets.high + 1)
    rest = [size - length - 1 for size in sizes]
    if subsets.ordered:
        left = n if subsets.repeats else n - length - 1
        total = sum(left**size if subsets.repeats else math.perm(left, size) for size in rest)
        free = range(n) if subsets.repeats else set(range(n)).difference(chosen)
        return [*(total if code in free else 0 for code in range(n)), ends]
    first = (chosen[-1] + (not subsets.repeats)) if chosen else 0
    if subsets.repeats:
        counts = [sum(math.comb(n - code + size - 1, size) for size in rest) for code in range(first, n)]
    else:
        counts = [sum(math.comb(n - code - 1, size) for size in rest) for code in range(first, n)]
    return [*[0] * first, *counts, ends]


# -------------------------------------------------------------------- whole trees


class Moves:
    """The steps of a space in tree order.

    Args:
        space: the tree.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.layout = space.compiled.layout
        self.steps: dict[int, Step] = {}
        for entry in self.layout.entries:
            if entry.mutable:
                self.steps[entry.number] = _step(space, entry)
        self.tables = {e.number: _lookup(self.layout.entries[e.parent], e) for e in self.layout.entries}

    def play(
        self,
        rows: int,
        chooser: Chooser,
        given: Batch | None = None,
        kept: Batch | None = None,
        free: frozenset[int] = frozenset(),
    ) -> Batch:
        """Make decisions, or follow given ones move by move.

        Args:
            rows: how many.
            chooser: who decides.
            given: decisions to follow; the chooser is told their moves.
            kept: decisions of which all points stay as they are, where they still exist, without a move.
            free: numbers of points that are decided anew in spite of `kept`.
        """
        codes = np.full((self.layout.columns, rows), INACTIVE, self.layout.dtype)
        reals = np.full((self.layout.reals, rows), np.nan)
        for entry in self.layout.entries:
            here = np.flatnonzero(self._exists(entry, codes))
            if not len(here):
                continue
            if entry.tied:
                source = self.layout.entries[entry.target]
                store = reals if entry.shape == REAL else codes
                store[np.ix_(columns(entry), here)] = store[np.ix_(columns(source), here)]
                continue
            if kept is not None and entry.number not in free:
                here = self._keep(entry, codes, reals, here, kept)
            step = self.steps.get(entry.number)
            if step is not None and len(here):
                step.play(codes, reals, here, chooser, given)
            elif len(here):
                _settle(entry, codes, here)
        return Batch(self.space, np.ascontiguousarray(codes.T), np.ascontiguousarray(reals.T))

    def _exists(self, entry: Entry, codes: Codes) -> Mask:
        found: Mask = np.ones(codes.shape[1], bool)
        table = self.tables[entry.number]
        if table is not None and entry.branch is not None:
            parent = self.layout.entries[entry.parent]
            taken = table[codes[parent.column : parent.column + parent.width] + 2]
            before = 0 if parent.domain.kind == "permutation" else entry.branch.occurrence
            found = taken.sum(axis=0) > before
        for guard in entry.point.guards:
            sources = [self.layout.entries[self.layout.index[address]] for address in guard.addresses]
            rows = zip(*(source_codes(source, codes).tolist() for source in sources), strict=True)
            found &= np.fromiter((row in guard.allowed for row in rows), bool, len(found))
        return found

    @staticmethod
    def _keep(entry: Entry, codes: Codes, reals: Reals, here: Ints, kept: Batch) -> Ints:
        store, source = (reals, kept.reals) if entry.shape == REAL else (codes, kept.codes)
        values = source[here][:, columns(entry)]
        held = ~np.isnan(values[:, 0]) if entry.shape == REAL else values[:, 0] != INACTIVE
        store[np.ix_(columns(entry), here[held])] = values[held].T
        return here[~held]


def columns(entry: Entry) -> Ints:
    """Return a point's columns as an index."""
    return np.arange(entry.column, entry.column + entry.width)


def _step(space: Space, entry: Entry) -> Step:
    weights = space.compiled.sampler.weights.get(entry.number)
    shares = None
    if weights is not None:
        shares = np.asarray(weights, np.float64) / sum(weights)
        shares = np.maximum(shares, UNLIKELY * shares.max())
    if entry.shape == REAL:
        return Step(entry, "real", 0, 1, None)
    if entry.shape == SLOTS:
        return Step(entry, "slots", entry.card + 1, entry.width, shares)
    if isinstance(entry.domain, IntRange | FloatRange) and entry.card > LISTED:
        levels = math.ceil(math.log2(entry.card))
        return Step(entry, "halves", 2, (1 << min(levels, TABLED)) + max(0, levels - TABLED), shares)
    return Step(entry, "choice", entry.card, 1, shares)


def _lookup(parent: Entry, entry: Entry) -> NDArray[np.bool_] | None:
    """Return which codes of the parent open the branch, by code + 2; None without a branch."""
    if entry.branch is None:
        return None
    table = np.zeros(parent.card + 2, bool)
    if parent.domain.kind == "permutation":
        table[2:] = True
    else:
        table[[code + 2 for code in entry.branch.when]] = True
    return table


def _settle(entry: Entry, codes: Codes, rows: Ints) -> None:
    """Write the only value of a point that has one."""
    code: int | Sequence[int] = 0
    if entry.shape != SINGLE:
        first = next(iter(entry.subsets))
        code = [*first, *[UNUSED] * (entry.width - len(first))]
    codes[np.ix_(columns(entry), rows)] = np.reshape(code, (-1, 1))
