"""Asynchronous successive halving."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from symnas.algorithms.common.without_replacement import keys_of
from symnas.algorithms.multi_fidelity.rungs import Halver, Values, best_first, usable
from symnas.contracts.hyperparameters import with_hyperparameters
from symnas.contracts.outcome import RUNNING, Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Hashable

    from symnas.contracts.fidelity import Proposal
    from symnas.tree.space import Batch, Space


class Rung:
    """What has been tried at one fidelity, and who of it has gone on.

    Args:
        factor: the best of so many may go on.
    """

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._rows: list[Batch] = []
        self._values: list[Values | None] = []
        self._places: dict[Hashable, int] = {}
        self._gone: set[int] = set()
        # With one objective: (-value, place) of all that have a value, and of those that have not gone on.
        self._sorted: list[tuple[float, int]] = []
        self._here: list[tuple[float, int]] = []
        self._order: list[int] | None = None

    def __len__(self) -> int:
        """Return how many trials have ended here, however they ended."""
        return len(self._rows)

    def add(self, key: Hashable, row: Batch, values: Values | None) -> None:
        """Take note of a result; of a decision that is known already, the first one stands."""
        # A decision has one place in a rung, so that no second trial of it takes another's.
        if key in self._places:
            return
        place = self._places[key] = len(self._rows)
        self._rows.append(row)
        self._values.append(values if usable(values) else None)
        self._order = None
        if values is not None and usable(values) and len(values) == 1:
            insort(self._sorted, (-values[0], place))
            insort(self._here, (-values[0], place))

    def went_on(self, key: Hashable) -> None:
        """Take note that a decision has been handed out at the next fidelity."""
        place = self._places.get(key)
        values = None if place is None else self._values[place]
        if place is None or place in self._gone:
            return
        self._gone.add(place)
        if values is not None and len(values) == 1:
            # Places tell equal values apart: the pair is in the list exactly once.
            del self._here[bisect_left(self._here, (-values[0], place))]

    def promotable(self) -> Iterator[Batch]:
        """Yield those among the best `1/factor` that have not gone on, best first."""
        # top_k with k = floor(n / factor), n counting failures as well: these are in the rung, and below all
        # others.
        count = len(self._rows) // self._factor
        if self._sorted:
            for item in self._here:
                # `_here` in order, and the rank of each among all of the rung: those of a lower value have a
                # higher rank, so that the first one beyond k ends it. Going through all values would take n
                # per proposal.
                if bisect_left(self._sorted, item) >= count:
                    return
                yield self._rows[item[1]]
            return
        for place in self._ranked()[:count]:
            if place not in self._gone:
                yield self._rows[place]

    def staying(self) -> Iterator[Batch]:
        """Yield all that may go on one day, best first."""
        # The rung still grows, so that anyone with a value may come to be among the best.
        for place in (place for _, place in self._here) if self._sorted else self._ranked():
            if place not in self._gone:
                yield self._rows[place]

    def _ranked(self) -> list[int]:
        if self._order is None:
            self._order = best_first(self._values)
        return self._order


@with_hyperparameters(source="Li et al. 2020")
class ASHA(Halver):
    """Successive halving in which nobody waits: who is among the best `1/factor` of a rung goes on at once.

    Asked for a trial, it looks from the highest rung down for one that may go on, which is among the best
    floor(n / `factor`) of the n trials that have ended there by now; where there is none, the inner algorithm
    proposes a new decision for the lowest. So any number of workers is kept busy, and a decision may go on
    long after it was tried.

    With several objectives trials are compared by fronts and then by an epsilon net (see `rungs.best_first`;
    Schmucker et al. 2021).

    The inner algorithm is told every result as it comes, so a decision that goes on is told again, with its
    value at the fidelity that it has reached by then.

    Li, Jamieson, Rostamizadeh, Gonina, Ben-Tzur, Hardt, Recht, Talwalkar: A System for Massively Parallel
    Hyperparameter Tuning, MLSys 2020 (arXiv:1810.05934), algorithm 2, with the published factor of 4. Trials
    without a result count as members of their rung. The paper's early-stopping rate s is `low * factor ** s`.
    """

    factor: int = 4

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        super().setup(space)
        self._rungs = [Rung(self.factor) for _ in self._ladder]

    def propose(self, n: int, rng: np.random.Generator) -> Proposal:
        """Return those that go on, from the highest rung down, then new decisions."""
        rows: list[Batch] = []
        fidelities: list[int] = []
        # Algorithm 2, get_job: from the highest rung that is not the last downwards. Several proposals at a
        # time are all made from what is known now, as if as many workers had asked at once.
        for level in range(len(self._ladder) - 2, -1, -1):
            for row in self._rungs[level].promotable():
                if len(rows) == n:
                    break
                rows.append(row)
                fidelities.append(self._ladder[level + 1])
        if len(rows) < n:
            fresh = self._inner.propose(n - len(rows), rng)
            if len(fresh):
                rows.append(fresh)
                fidelities += [self._ladder[0]] * len(fresh)
        return self._proposal(rows, fidelities)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Take note of who goes on, and of results."""
        levels = {fidelity: level for level, fidelity in enumerate(self._ladder)}
        for place, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            row = batch[place : place + 1]
            level = -1 if outcome.fidelity is None else levels.get(outcome.fidelity, -1)
            if outcome.status is Status.RUNNING:
                # A trial that starts above the first rung was promoted from the one below.
                if level > 0:
                    self._rungs[level - 1].went_on(key)
                else:
                    self._inner.observe(row, [RUNNING])
                continue
            if level >= 0:
                self._rungs[level].add(key, row, outcome.values)
            self._inner.observe(row, [outcome])

    def paused(self, limit: int) -> Batch | None:
        """Return those that may go on, from the highest rung down."""
        rows: list[Batch] = []
        for level in range(len(self._ladder) - 2, -1, -1):
            for row in self._rungs[level].staying():
                if len(rows) == limit:
                    break
                rows.append(row)
        return type(rows[0]).concat(rows) if rows else None
