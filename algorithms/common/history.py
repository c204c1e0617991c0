"""What algorithms remember: what still runs, and where there is a model, results in order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.common.without_replacement import WithoutReplacement, keys_of
from symnas.contracts.outcome import Outcome, Status
from symnas.tree.space import Batch

if TYPE_CHECKING:
    from collections.abc import Hashable

    from symnas.tree.space import Space


class Running:
    """How often each decision runs at present."""

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        """Return how many trials run."""
        return self._counts.total()

    def ended(self, batch: Batch, outcomes: Sequence[Outcome]) -> Iterator[tuple[int, Outcome]]:
        """Count what starts and what ends, and yield the row and the outcome of each that ended."""
        for row, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            if outcome.status is Status.RUNNING:
                self._counts[key] += 1
                continue
            # A result from elsewhere never ran: its count is 0, and deleting that of a `Counter` changes
            # nothing.
            if self._counts[key] > 1:
                self._counts[key] -= 1
            else:
                del self._counts[key]
            yield row, outcome


class History:
    """Final outcomes in the order in which they came, decisions that run, and decisions never handed out.

    Args:
        space: the space of the decisions.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.sampling = WithoutReplacement(space)
        self.count = 0
        # Rows are outcomes in order, (room, columns) and (room, reals); room doubles when it is full, so that
        # n outcomes cost n copies, and not n².
        self._codes = np.empty((64, space.compiled.layout.columns), space.compiled.layout.dtype)
        self._reals = np.empty((64, space.compiled.layout.reals))
        self._values = np.empty(64)
        self._running: dict[Hashable, list[Batch]] = {}

    def add(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Remember what became of decisions; the first objective counts, NaN stands for no result."""
        self.sampling.add(batch)
        for row, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            if outcome.status is Status.RUNNING:
                self._running.setdefault(key, []).append(batch[row : row + 1])
                continue
            started = self._running.get(key, [])
            # Equal decisions are alike: which of them ended does not matter.
            if len(started) > 1:
                started.pop()
            else:
                self._running.pop(key, None)
            value = outcome.values[0] if outcome.values is not None else math.nan
            self._append(batch, row, value if math.isfinite(value) else math.nan)

    def _append(self, batch: Batch, row: int, value: float) -> None:
        if self.count == len(self._values):
            self._codes = np.concatenate([self._codes, np.empty_like(self._codes)])
            self._reals = np.concatenate([self._reals, np.empty_like(self._reals)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._codes[self.count] = batch.codes[row]
        self._reals[self.count] = batch.reals[row]
        self._values[self.count] = value
        self.count += 1

    @property
    def values(self) -> Floats:
        """The value of every final outcome, NaN where there is none."""
        return self._values[: self.count]

    def rows(self, numbers: NDArray[np.intp]) -> Batch:
        """Return decisions by the number of their outcome."""
        return Batch(self.space, self._codes[numbers], self._reals[numbers])

    @property
    def running(self) -> Batch:
        """The decisions that were handed out and have not ended, in the order in which they started."""
        # By the first start of each decision, since a dictionary keeps its order.
        started = [one for many in self._running.values() for one in many]
        return Batch.concat(started) if started else self.space.batch([])
