"""Many decisions at once, in columns and in tree order: what a policy is asked.

Every action comes with its log prior: the logarithms of how the space itself would draw, minus infinity for
what is not allowed. A policy adds its logits to them, so that one that has learned nothing draws as the space
does, but for selections with weights (`points`). Actions without an alternative are not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from symnas._typing import Codes, Floats, Ints, Mask, Reals
from symnas.algorithms.sequencing.points import PointSequence, RealSequence, sequence_of
from symnas.tree.activity import source_codes
from symnas.tree.admission import Guides
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import REAL, SINGLE, Entry
from symnas.tree.sampling import Shares
from symnas.tree.space import Batch, Space
from symnas.tree.subsets import INACTIVE, UNUSED

# Ranges of more values are halved; choices never are, since their order means nothing.
LISTED = 32
# Prior weights are at least this share of the largest, so that every decision has a finite log-probability.
UNLIKELY = 1e-5
NO_NUMBERS, NOT_GIVEN = np.empty((0, 0)), np.empty(0, np.intp)


class Chooser(Protocol):
    """What takes actions, or records those that decisions have taken."""

    def pick(self, query: Query) -> Ints:
        """Choose among listed actions, (k,)."""

    def place(self, query: Query) -> Floats:
        """Choose numbers in (0, 1) for a real range, (k,)."""


@dataclass(slots=True)
class Query:
    """An action that is due at one point in `k` decisions at once.

    Args:
        point: the point that is being decided.
        rows: (k,) which decisions.
        nodes: (k,) which of the policy's parameters for the point each state goes by (`PointSequence.node`).
        log_prior: (k, options) logarithms of prior weights; nothing for a real range.
        taken: (k,) the actions that decisions have taken, where they are given.
        units: (k,) the numbers in (0, 1) that decisions have, where they are given.
    """

    point: PointSequence
    rows: Ints
    nodes: Ints
    log_prior: Floats
    taken: Ints = field(default_factory=lambda: NOT_GIVEN)
    units: Floats = field(default_factory=lambda: NO_NUMBERS)


def decide(
    point: PointSequence,
    codes: Codes,
    reals: Reals,
    rows: Ints,
    chooser: Chooser,
    given: Batch | None,
    allowed: Mask | None = None,
) -> None:
    """Decide a point in some rows, in place.

    Args:
        point: how the point is decided.
        codes: (columns, n) so far.
        reals: (reals, n) so far.
        rows: (k,) where the point exists.
        chooser: who decides.
        given: (n rows) decisions that are to be followed.
        allowed: (k, values) the ranks that clauses leave; all for None.
    """
    # `codes` and `reals` have columns first, a point being one piece of memory for all rows; `given` rows.
    column, start = point.column, np.zeros_like(rows)
    if isinstance(point, RealSequence):
        units = NO_NUMBERS if given is None else point.unit(given.reals[rows, column])
        placed = chooser.place(Query(point, rows, start, NO_NUMBERS, units=units))
        reals[column, rows] = point.value(placed) if given is None else given.reals[rows, column]
    elif point.kind == "choice":
        taken = NOT_GIVEN if given is None else given.codes[rows, column].astype(np.intp)
        # One action from one state: the same prior in all rows, not copied.
        log_prior = np.broadcast_to(point.log_prior(point.start), (len(rows), point.options))
        if allowed is not None:
            log_prior = np.where(allowed, log_prior, -np.inf)
        codes[column, rows] = chooser.pick(Query(point, rows, start, log_prior, taken))
    else:
        _decide_by_steps(point, codes, reals, rows, chooser, given, allowed)


def _decide_by_steps(
    point: PointSequence,
    codes: Codes,
    reals: Reals,
    rows: Ints,
    chooser: Chooser,
    given: Batch | None,
    allowed: Mask | None,
) -> None:
    """Decide a point that takes several actions: first the first of all rows, then the second, and so on."""
    # `going` are positions in `rows`, not rows: states are kept for these alone.
    states = [point.start] * len(rows)
    going = list(range(len(rows)))
    follow = None if given is None else (given.codes[rows].tolist(), given.reals[rows].tolist())
    while going:
        log_prior = np.stack([point.log_prior(states[row]) for row in going])
        if allowed is not None:
            left = np.stack([point.left(states[row], allowed[row]) for row in going])
            log_prior = np.where(left, log_prior, -np.inf)
        # Where one action is allowed, it is the largest of the prior; the others are asked for.
        actions = log_prior.argmax(axis=1)
        asked = np.flatnonzero((log_prior > -np.inf).sum(axis=1) > 1)
        # Rows in one query may be in different states: `nodes` and `log_prior` say in which.
        if len(asked):
            some = [going[place] for place in asked.tolist()]
            query = Query(
                point, rows[some], np.array([point.node(states[row]) for row in some]), log_prior[asked]
            )
            if follow is not None:
                query.taken = np.array([point.taken(states[row], *(f[row] for f in follow)) for row in some])
            actions[asked] = chooser.pick(query)
        for row, action in zip(going, actions.tolist(), strict=True):
            states[row] = point.step(states[row], action)
        going = [row for row in going if not point.decided(states[row])]
    for row, state in zip(rows.tolist(), states, strict=True):
        point.write(state, codes[:, row], reals[:, row])


# -------------------------------------------------------------------- whole trees


class BatchSequencer:
    """The points of a space in tree order, decided in many decisions at once.

    Args:
        space: the tree.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.layout = space.compiled.layout
        self.points = {e.number: _sequence(space, e) for e in self.layout.entries if e.mutable}
        self._tests = [space.compiled.activity.tests(entry) for entry in self.layout.entries]
        self._admission = space.compiled.admission

    def run(
        self,
        rows: int,
        chooser: Chooser,
        given: Batch | None = None,
        kept: Batch | None = None,
        free: frozenset[int] = frozenset(),
    ) -> Batch:
        """Make decisions, or follow given ones action by action.

        Args:
            rows: how many.
            chooser: who decides.
            given: decisions to follow; the chooser is told their actions.
            kept: decisions of which all points stay as they are, where they still exist, without an action.
            free: numbers of points that are decided anew in spite of `kept`.
        """
        codes = np.full((self.layout.columns, rows), INACTIVE, self.layout.dtype)
        reals = np.full((self.layout.reals, rows), np.nan)
        # What clauses leave to each point, given those before it.
        guides = None if self._admission is None else Guides(self._admission, rows)
        # Tree order: when a point comes, all that it depends on is decided in every row, and whether it
        # exists is a test on columns that are filled.
        for entry in self.layout.entries:
            exists = np.ones(rows, bool)
            for test in self._tests[entry.number]:
                exists &= test(codes)[0]
            here = np.flatnonzero(exists)
            allowed = None if guides is None else guides.open(entry, codes, reals, given)
            if not len(here):
                continue
            if entry.tied:
                source = self.layout.entries[entry.target]
                store = reals if entry.shape == REAL else codes
                store[_columns(entry), here] = store[_columns(source), here]
                continue
            if kept is not None and entry.number not in free:
                # What was not there in `kept` is decided anew, though it is not free: a change has brought it
                # into being.
                here = self._keep(entry, codes, reals, here, kept, allowed)
            point = self.points.get(entry.number)
            if point is not None and len(here):
                decide(point, codes, reals, here, chooser, given, None if allowed is None else allowed[here])
            elif len(here):
                _settle(entry, codes, here)
        made = Batch(self.space, np.ascontiguousarray(codes.T), np.ascontiguousarray(reals.T))
        # Clauses that are not counted leave no mark on the way.
        return self.space.mend(made) if given is None and guides is not None else made

    @staticmethod
    def _keep(
        entry: Entry, codes: Codes, reals: Reals, here: Ints, kept: Batch, allowed: Mask | None
    ) -> Ints:
        store, source = (reals, kept.reals) if entry.shape == REAL else (codes, kept.codes)
        values = source[here, _columns(entry)]
        held = ~np.isnan(values[:, 0]) if entry.shape == REAL else values[:, 0] != INACTIVE
        if allowed is not None:
            # What clauses do not leave any more is decided anew as well.
            ranks = source_codes(entry, kept.codes.T)[here]
            held &= allowed[here, np.maximum(ranks, 0)]
        store[_columns(entry), here[held]] = values[held].T
        return here[~held]


def _columns(entry: Entry) -> slice:
    return slice(entry.column, entry.column + entry.width)


def _sequence(space: Space, entry: Entry) -> PointSequence:
    weights = space.compiled.sampler.weights.get(entry.number)
    # Of long ranges, whose priors are logarithmic, no value is without weight.
    if weights is not None and not isinstance(weights, Shares):
        shares = np.asarray(weights, np.float64) / sum(weights)
        weights = tuple(np.maximum(shares, UNLIKELY * shares.max()).tolist())
    wide = isinstance(entry.domain, IntRange | FloatRange) and entry.card > LISTED
    return sequence_of(entry, weights, halved=wide, counted=False)


def _settle(entry: Entry, codes: Codes, rows: Ints) -> None:
    """Write the only value of a point that has one."""
    code: int | Sequence[int] = 0
    if entry.shape != SINGLE:
        first = next(iter(entry.subsets))
        code = [*first, *[UNUSED] * (entry.width - len(first))]
    codes[_columns(entry), rows] = np.reshape(code, (-1, 1))
