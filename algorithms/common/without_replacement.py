"""Remembering which decisions were handed out, and drawing among the others."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

Uniform = Literal["points", "space"]
# Rounds of draws of each kind, and of mutations, before there is another way; the largest space written out.
ROUNDS = 8
ATTEMPTS = 16
LISTED = 1_000_000


def keys_of(batch: Batch) -> list[Hashable]:
    """Return the canonical form of every row, as something a set can hold."""
    rows, size = batch.rows, batch.space.compiled.layout.row_bytes
    return [rows[row * size : (row + 1) * size] for row in range(len(batch))]


class WithoutReplacement:
    """The decisions of a space that have not been handed out.

    Args:
        space: where decisions come from.
        uniform: whether draws are uniform per point (heeding priors) or over the whole space.
    """

    def __init__(self, space: Space, uniform: Uniform = "points") -> None:
        self._space = space
        self._uniform = uniform
        # A dictionary for its order: a listing looks at what came since it last did.
        self._seen: dict[Hashable, None] = {}
        self._listing: _Listing | None = None

    def add(self, batch: Batch) -> None:
        """Remember that these decisions were handed out."""
        self._seen.update(dict.fromkeys(keys_of(batch)))

    @property
    def left(self) -> int | float:
        """How many decisions have not been handed out."""
        return self._space.size - len(self._seen)

    def rows(self, batch: Batch, taken: set[Hashable]) -> list[int]:
        """Return which rows are new, each decision once, and add their keys to `taken`."""
        rows = []
        for row, key in enumerate(keys_of(batch)):
            if key not in self._seen and key not in taken:
                taken.add(key)
                rows.append(row)
        return rows

    def among(self, batch: Batch, taken: set[Hashable]) -> Batch:
        """Return the rows that are new, each decision once, and add their keys to `taken`."""
        rows = self.rows(batch, taken)
        return batch if len(rows) == len(batch) else batch[np.array(rows, dtype=np.intp)]

    def __contains__(self, key: Hashable) -> bool:
        """Tell whether the decision of a key has not been handed out."""
        return key not in self._seen

    def renew(self, batch: Batch, rng: np.random.Generator, taken: Iterable[Hashable] = ()) -> Batch:
        """Return as many different new decisions near the given ones; fewer only where `draw` finds fewer.

        A row that is known is mutated until it is new. Where that does not help, a new decision is drawn.

        Args:
            batch: where to look.
            rng: the source of randomness.
            taken: keys that count as known.
        """
        taken = set(taken)
        parts = []
        for attempt in range(ATTEMPTS):
            if attempt:
                batch = self._space.mutate(batch, rng)
            new = self.rows(batch, taken)
            # Rows that are new leave, so that only the others are mutated on.
            if len(new) == len(batch):
                parts.append(batch)
                return parts[0] if len(parts) == 1 else type(batch).concat(parts)
            if len(new):
                parts.append(batch[new])
                batch = batch[np.setdiff1d(np.arange(len(batch)), new)]
        parts.append(self.draw(len(batch), rng, taken))
        return type(batch).concat(parts)

    def new(self, batch: Batch, taken: set[Hashable]) -> NDArray[np.bool_]:
        """Tell which rows were neither handed out nor are in `taken`; equal rows are told alike."""
        keys = keys_of(batch)
        return np.fromiter((key not in self._seen and key not in taken for key in keys), bool, len(keys))

    def draw(self, n: int, rng: np.random.Generator, taken: Iterable[Hashable] = ()) -> Batch:
        """Return up to `n` different new decisions; fewer only when hardly any or none are left.

        Draws that hit a known decision are repeated, so that priors keep their say. Where that stops working,
        because most of the space is known, the rest is listed. In an infinite space whose draws nearly all
        repeat, repeats are returned in the end rather than nothing.
        """
        taken = set(taken)
        # `taken` is not handed out yet: none of it is counted among what was.
        left = self.left - len(taken)
        n = int(min(n, left))
        if n <= 0:
            return self._space.batch([])
        size = self._space.size
        # Even a uniform draw would now be repeated at least once on average.
        if size <= LISTED and 2 * left < size:
            return self._list(n, rng, taken)
        found = self._draw(n, rng, taken)
        missing = n - sum(map(len, found))
        if missing and size <= LISTED:
            found.append(self._list(missing, rng, taken))
        if not found:
            found = [self._space.sample(n, rng)]
        return found[0] if len(found) == 1 else type(found[0]).concat(found)

    def _draw(self, n: int, rng: np.random.Generator, taken: set[Hashable]) -> list[Batch]:
        found: list[Batch] = []
        finite = self._space.size != math.inf
        # Priors may leave some decisions all but impossible: then uniformly over the space, where that is
        # finite.
        draws: list[Uniform] = [self._uniform] * ROUNDS + ["space"] * (ROUNDS * finite)
        for uniform in draws:
            fresh = self.among(self._space.sample(n, rng, uniform=uniform), taken)
            if len(fresh):
                found.append(fresh)
            n -= len(fresh)
            if not n:
                break
        return found

    def _list(self, n: int, rng: np.random.Generator, taken: set[Hashable]) -> Batch:
        if self._listing is None:
            self._listing = _Listing(self._space)
        return self._listing.draw(n, rng, self._seen, taken)


class _Listing:
    """A small space written out; which rows are left is a cache of what is known to be seen."""

    def __init__(self, space: Space) -> None:
        self._batch = space.batch(list(space.enumerate()))
        self._rows = {key: row for row, key in enumerate(keys_of(self._batch))}
        self._left = np.ones(len(self._batch), dtype=bool)
        self._marked = 0

    def draw(
        self, n: int, rng: np.random.Generator, seen: dict[Hashable, None], taken: set[Hashable]
    ) -> Batch:
        if len(seen) != self._marked:
            # Only what came since: marking costs once per decision, in all.
            rows = [self._rows[key] for key in list(seen)[self._marked :]]
            self._left[rows] = False
            self._marked = len(seen)
        left = self._left
        if taken:
            # `taken` is not for good, and leaves no mark.
            left = left.copy()
            left[[self._rows[key] for key in taken]] = False
        chosen = rng.permutation(np.flatnonzero(left))[:n]
        return self._batch[chosen]
