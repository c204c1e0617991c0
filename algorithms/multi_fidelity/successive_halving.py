"""Successive halving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from symnas.algorithms.common.without_replacement import keys_of
from symnas.algorithms.multi_fidelity.rungs import Halver, best_first
from symnas.contracts.hyperparameters import hyperparameter, optional, whole, with_hyperparameters
from symnas.contracts.outcome import RUNNING, Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Hashable

    from symnas.contracts.fidelity import Proposal
    from symnas.tree.space import Batch, Space


@dataclass(slots=True)
class _Entry:
    """A decision in a rung; it has no outcome while it runs."""

    row: Batch
    key: Hashable
    outcome: Outcome | None = None


@dataclass(slots=True)
class Bracket:
    """One run of successive halving: a rung that fills and empties, and those that go on to the next.

    Args:
        fidelities: of its rungs, growing.
        size: how many decisions the first rung takes.
        factor: of so many, one goes on.
    """

    fidelities: tuple[int, ...]
    size: int
    factor: int
    level: int = 0
    entries: list[_Entry] = field(default_factory=list)
    ready: list[_Entry] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How many new decisions fit."""
        return self.size - len(self.entries) if self.level == 0 else 0

    @property
    def fidelity(self) -> int:
        """That of the current rung."""
        return self.fidelities[self.level]

    @property
    def last(self) -> bool:
        """Whether nobody goes on from here."""
        return self.level == len(self.fidelities) - 1

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return all(entry.outcome is not None for entry in self.entries)

    def survivors(self, of: int | None = None) -> list[_Entry]:
        """Return those that go on, best first.

        Args:
            of: how many are compared in the end, where not all are there yet.
        """
        if self.last:
            return []
        order = best_first([entry.outcome.values if entry.outcome else None for entry in self.entries])
        # floor(n / factor), as in algorithm 1 of Hyperband, but one goes on in any case, where a round could
        # not be filled.
        count = max(1, (of or len(self.entries)) // self.factor)
        return [self.entries[place] for place in order[:count]]

    def close(self) -> list[_Entry]:
        """Go on to the next rung; return those that stay behind."""
        on = self.survivors()
        # By identity: the same decision may stand in a rung twice.
        out = [entry for entry in self.entries if not any(entry is other for other in on)]
        self.level, self.entries = self.level + 1, []
        self.ready = [_Entry(entry.row, entry.key) for entry in on]
        return out


def _keys(entries: Sequence[_Entry]) -> set[Hashable]:
    return {entry.key for entry in entries}


@with_hyperparameters(source="Li et al. 2018")
class SuccessiveHalving(Halver):
    """Start many trials; the best of each rung go on, `factor` times as far, until one goes all the way.

    Rung k of a round has 1/`factor`^k of the trials of the first, at `factor`^k times its fidelity, so that
    all rungs cost about the same. A rung is closed when all its trials are over; then the best 1/`factor` of
    them are resumed. Trials without a result never go on. Meanwhile, and after the last rung, another round
    begins, until the budget is spent.

    With several objectives trials are compared by fronts and then by an epsilon net (see `rungs.best_first`).

    The inner algorithm proposes the decisions of first rungs. It is told a result once, when the trial leaves
    the round: the one at the highest fidelity that it reached.

    Jamieson, Talwalkar: Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016
    (arXiv:1502.07943), algorithm 1, with `factor` in place of 2 as in Li et al. 2018.
    """

    size: int | None = hyperparameter(
        None,
        optional(whole(2)),
        "trials in the first rung; None takes as many as leave one in the last",
    )

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        super().setup(space)
        self._brackets: list[Bracket] = []
        self._opened = 0

    def propose(self, n: int, rng: np.random.Generator) -> Proposal:
        """Return those that go on first, then new decisions for first rungs."""
        # Nothing is taken here: an entry leaves `ready` when its trial starts, which `observe` is told.
        waiting = [(entry.row, bracket.fidelity) for bracket in self._brackets for entry in bracket.ready]
        found = waiting[:n]
        left = n - len(found)
        if left:
            fresh = self._inner.propose(left, rng)
            slots = self._slots(len(fresh))
            found += [(fresh[row : row + 1], slots[row]) for row in range(len(fresh))]
            if not len(fresh):
                found += self._early(left)
        return self._proposal([row for row, _ in found], [fidelity for _, fidelity in found])

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Fill rungs and close those that are complete."""
        for place, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            row = batch[place : place + 1]
            if outcome.status is Status.RUNNING:
                self._begun(row, key, outcome)
            else:
                self._ended(row, key, outcome)

    def paused(self, limit: int) -> Batch | None:
        """Return those that are about to go on, and those that would by what is known."""
        rows = [entry.row for bracket in self._brackets for entry in bracket.ready]
        for bracket in self._brackets:
            # As many as go on when the rung is full, by what is known now: others' weights need not be kept.
            of = bracket.size if bracket.level == 0 else len(bracket.entries) + len(bracket.ready)
            rows += [entry.row for entry in bracket.survivors(of)]
        return type(rows[0]).concat(rows[:limit]) if rows else None

    # ------------------------------------------------------------ inside

    def _shape(self, number: int) -> tuple[tuple[int, ...], int]:  # noqa: ARG002 - Hyperband's differ
        """Return the fidelities and the size of the round of a number."""
        return self._ladder, self.size or self.factor ** (len(self._ladder) - 1)

    def _open(self, number: int) -> Bracket:
        return Bracket(*self._shape(number), self.factor)

    def _slots(self, count: int) -> list[int]:
        """Return the fidelities at which the next new decisions start."""
        # First the rounds that are open, then rounds that are not yet: workers never wait for a rung to be
        # complete.
        slots = [bracket.fidelity for bracket in self._brackets for _ in range(bracket.room)]
        number = self._opened
        while len(slots) < count:
            fidelities, size = self._shape(number)
            slots += [fidelities[0]] * size
            number += 1
        return slots

    def _early(self, n: int) -> list[tuple[Batch, int]]:
        """Return who goes on where nothing new comes to fill a first rung."""
        return [
            (entry.row, bracket.fidelities[1])
            for bracket in self._brackets
            if bracket.room and bracket.idle
            # Where the inner algorithm has no decision left, a first rung will never be full: what is there
            # is compared.
            for entry in bracket.survivors()
        ][:n]

    def _begun(self, row: Batch, key: Hashable, outcome: Outcome) -> None:
        fidelity = outcome.fidelity
        for bracket in self._brackets:
            # Somebody of an unfinished first rung goes on: the rung is closed as it is (`_early`).
            early = bracket.room and bracket.idle and not bracket.last
            if early and bracket.fidelities[1] == fidelity and key in _keys(bracket.survivors()):
                self._close(bracket)
            for place, entry in enumerate(bracket.ready):
                if entry.key == key and bracket.fidelity == fidelity:
                    bracket.entries.append(bracket.ready.pop(place))
                    return
        # Nobody who goes on, so a new decision: it fills the first open round that starts at its fidelity.
        self._inner.observe(row, [RUNNING])
        for bracket in self._brackets:
            if bracket.room and bracket.fidelity == fidelity:
                bracket.entries.append(_Entry(row, key))
                return
        if self._shape(self._opened)[0][0] == fidelity:
            self._brackets.append(self._open(self._opened))
            self._opened += 1
            self._brackets[-1].entries.append(_Entry(row, key))

    def _ended(self, row: Batch, key: Hashable, outcome: Outcome) -> None:
        for bracket in self._brackets:
            if bracket.fidelity != outcome.fidelity:
                continue
            for entry in bracket.entries:
                if entry.key == key and entry.outcome is None:
                    entry.outcome = outcome
                    # The barrier of successive halving: full, everyone started, and everyone over.
                    if not bracket.room and not bracket.ready and bracket.idle:
                        self._close(bracket)
                    return
        self._inner.observe(row, [outcome])  # from elsewhere

    def _close(self, bracket: Bracket) -> None:
        # Told once, on leaving, at the highest fidelity reached; who goes on is told later.
        out = bracket.close()
        if not bracket.ready:
            self._brackets.remove(bracket)
        if out:
            rows = type(out[0].row).concat([entry.row for entry in out])
            self._inner.observe(rows, [entry.outcome for entry in out if entry.outcome is not None])
