"""The values of a point that picks several candidates: counting, listing, ranking and drawing codes.

A selection is a tuple of candidate codes; in arrays it is a row of `high` slots, the codes chosen and then
UNUSED. Its rank is its position in the order of listing: smaller ones first, then lexicographically. How many
there are of size k out of n:

                   each once            with repeats
    in order       n! / (n - k)!        n^k
    in no order    C(n, k)              C(n + k - 1, k)

Few enough are kept in a table (`tabulated`), and everything looks them up; of more none is ever listed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Floats

# The two codes that are no value. They order as INACTIVE > UNUSED, and no code is below UNUSED.
INACTIVE = -1  # the point does not exist in this row; a selection has it in its first slot, and in all
UNUSED = -2  # the selection has fewer candidates than slots
MAX_TABLE = 1 << 16

Weights = tuple[float, ...] | None


@dataclass(frozen=True)
class Subsets:
    """Selections of `low` to `high` out of `n` candidates, as tuples of candidate codes.

    Args:
        n: how many candidates there are.
        low: smallest number chosen.
        high: largest number chosen, and how many slots there are.
        ordered: whether the order counts; otherwise selections are sorted by code.
        repeats: whether a candidate may be chosen more than once.
        only: the selections allowed, in place of the rule.
    """

    n: int
    low: int
    high: int
    ordered: bool = False
    repeats: bool = False
    only: tuple[tuple[int, ...], ...] = ()

    def count_of(self, size: int) -> int:
        """Return how many selections have exactly `size` members."""
        if self.only:
            return sum(len(codes) == size for codes in self.only)
        if self.ordered:
            return int(self.n**size) if self.repeats else math.perm(self.n, size)
        if self.repeats:
            # Without candidates there is one selection, the empty one (`comb` refuses -1).
            return math.comb(self.n + size - 1, size) if self.n else int(size == 0)
        return math.comb(self.n, size)

    @cached_property
    def count(self) -> int:
        """How many selections there are."""
        if self.only:
            return len(self.only)
        return sum(self.count_of(size) for size in range(self.low, self.high + 1))

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Yield every selection, smaller ones first, then lexicographically."""
        if self.only:
            yield from self.only
            return
        for size in range(self.low, self.high + 1):
            codes = range(self.n)
            if self.ordered and self.repeats:
                yield from itertools.product(codes, repeat=size)
            elif self.ordered:
                yield from itertools.permutations(codes, size)
            elif self.repeats:
                yield from itertools.combinations_with_replacement(codes, size)
            else:
                yield from itertools.combinations(codes, size)

    def __contains__(self, codes: object) -> bool:
        """Tell whether a tuple of codes (sorted, where order does not matter) is one of the selections."""
        if not isinstance(codes, tuple):
            return False
        if self.only:
            return codes in self.only
        if not self.low <= len(codes) <= self.high or any(not 0 <= c < self.n for c in codes):
            return False
        if not self.repeats and len(set(codes)) != len(codes):
            return False
        return bool(self.ordered or list(codes) == sorted(codes))

    @property
    def tabulated(self) -> bool:
        """Whether there are few enough selections to keep them all in a table."""
        return bool(self.only) or self.count * max(self.high, 1) <= MAX_TABLE

    @cached_property
    def rows(self) -> list[tuple[int, ...]]:
        """All selections in order."""
        return list(self)

    @cached_property
    def ranks(self) -> dict[tuple[int, ...], int]:
        """Position of each selection in the order of iteration."""
        return {codes: rank for rank, codes in enumerate(self.rows)}

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """All selections as an array (count, high), unused slots marked."""
        table = np.full((len(self.rows), self.high), UNUSED, np.int64)
        for size in range(self.high + 1):
            chosen = [rank for rank, codes in enumerate(self.rows) if len(codes) == size]
            if chosen and size:
                table[chosen, :size] = [self.rows[rank] for rank in chosen]
        return table

    @cached_property
    def _packed(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The keys of all selections in ascending order, and the rank of each."""
        keys = self._pack(self.table)
        order = np.argsort(keys)
        return keys[order], order

    @cached_property
    def _dense(self) -> NDArray[np.int64] | None:
        """Ranks by key, -1 where no selection has the key; None where that would be too long."""
        if (self.n + 1) ** self.high > MAX_TABLE or not self.tabulated:
            return None
        ranks = np.full((self.n + 1) ** self.high, -1, np.int64)
        ranks[self._pack(self.table)] = np.arange(len(self.rows))
        return ranks

    def wrong_rows(self, slots: Codes) -> NDArray[np.intp]:
        """Return which rows of `slots` (rows, high) are no selection; codes at or above `n` are never one."""
        if self._dense is None:
            chosen = (tuple(c for c in row if c != UNUSED) for row in slots.tolist())
            fits = np.fromiter((codes in self for codes in chosen), bool, len(slots))
            return np.flatnonzero(~fits)
        # Cut to the largest code, to have a key; that such a row is wrong shows when it is compared.
        ranks = self._dense[self._pack(np.minimum(slots, self.n - 1).astype(np.int64))]
        fits = ranks >= 0
        # Column by column: reducing over a last axis of a few elements costs several times as much.
        for column, known in enumerate(self.table.T.astype(slots.dtype)):
            fits &= known[ranks] == slots[:, column]
        return np.flatnonzero(~fits)

    def _pack(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return rows of slots as numbers: code + 1 is a digit to the base n + 1, and 0 what is no code."""
        # key = sum over slots j of (c_j + 1) (n + 1)^(high - 1 - j), digits being at most n.
        # UNUSED and INACTIVE share the digit 0; `rank_rows` tells them apart by the first slot.
        keys = np.zeros(slots.shape[0], np.int64)
        for column in range(self.high):
            keys = keys * (self.n + 1) + np.maximum(slots[:, column], -1) + 1
        return keys

    @property
    def packable(self) -> bool:
        """Whether every selection has a distinct 63-bit key."""
        return int((self.n + 1) ** self.high) < 2**62

    def rank_rows(self, slots: Codes) -> NDArray[np.int64]:
        """Return the ranks (rows,) of slots (rows, high), INACTIVE where the point does not exist."""
        # One of three ways, by how long a table of keys would be: direct, by bisection, or a dictionary of
        # tuples. Rows must be selections or INACTIVE; of anything else the rank means nothing.
        wide = slots.astype(np.int64)
        if self._dense is not None:
            ranks = np.maximum(self._dense[self._pack(wide)], 0)
        elif self.packable:
            keys, order = self._packed
            found = np.searchsorted(keys, self._pack(wide))
            ranks = order[np.minimum(found, len(keys) - 1)]
        else:
            ranks = np.array([self.ranks.get(tuple(c for c in row if c >= 0), 0) for row in wide.tolist()])
        return np.where(wide[:, 0] == INACTIVE, INACTIVE, ranks)

    # ---------------------------------------------------------------- drawing

    @cached_property
    def _size_bounds(self) -> Floats:
        """Cumulative shares of the sizes, each by how many selections have it."""
        counts = [self.count_of(size) for size in range(self.low, self.high + 1)]
        return np.cumsum([count / sum(counts) for count in counts])

    def numbers(self, weights: Weights) -> int:
        """Return how many random numbers `choose` takes for a selection; the same for each."""
        # 1          a rank in the table
        # n + high   an even multiset: its size, and n + k - 1 keys for k <= high
        # 1 + high   with repeats: its size, and every member by itself
        # 1 + n      without repeats: its size, and a key per candidate
        if self.only or (weights is None and self.tabulated):
            return 1
        if self.repeats and weights is None and not self.ordered:
            return self.n + self.high
        return 1 + (self.high if self.repeats else self.n)

    def choose(self, u: Floats, weights: Weights = None) -> NDArray[np.int64]:
        """Return the selections that random numbers stand for, all equally likely without `weights`.

        With weights (one per candidate) sizes keep the share they have without, and members are drawn one
        after the other in proportion to their weights (Plackett and Luce); listed selections (`only`) are
        drawn in proportion to the product of their members' weights.

        Args:
            u: (draws, numbers) of [0, 1); each row is read by itself.
            weights: one per candidate, or None.

        Returns:
            Slots (draws, high).
        """
        if self.only or (weights is None and self.tabulated):
            return self.table[self._choose_ranks(u[:, 0], weights)]
        # The size first, by how many selections have it, which makes all equally likely in the end.
        sizes = self.low + np.searchsorted(self._size_bounds[:-1], u[:, 0], side="right")
        rest = u[:, 1:]
        if self.repeats and weights is None and not self.ordered:
            slots = self._multisets(sizes, rest)
        elif self.repeats:
            slots = self._independent(rest, weights)
        else:
            # The k smallest of n independent keys, in order, are a uniform ordered choice of k. If they are
            # exponential, divided by the weights, it is Plackett and Luce's (Efraimidis and Spirakis 2006).
            keys = rest
            if weights is not None:
                with np.errstate(divide="ignore", invalid="ignore"):
                    keys = -np.log1p(-rest) / np.asarray(weights)
            slots = np.argsort(keys, axis=1)[:, : self.high]
        unused = np.arange(self.high) >= sizes[:, None]
        if not self.ordered:
            slots = np.sort(np.where(unused, self.n + self.high, slots), axis=1)
        return np.where(unused, UNUSED, slots)

    def draw(self, rows: int, rng: np.random.Generator, weights: Weights = None) -> NDArray[np.int64]:
        """Draw `rows` selections as `choose` does: slots (rows, high)."""
        return self.choose(rng.random((rows, self.numbers(weights))), weights)

    def _choose_ranks(self, u: Floats, weights: Weights) -> NDArray[np.int64]:
        if weights is None:
            # u is at most 1 - 2^-53, and then u * count rounds to less than count.
            return (u * self.count).astype(np.int64)
        chances = [math.prod(weights[code] for code in codes) for codes in self.rows]
        total = sum(chances)
        if total <= 0:
            return self._choose_ranks(u, None)
        return np.searchsorted(np.cumsum(chances)[:-1] / total, u, side="right")

    def _independent(self, u: Floats, weights: Weights) -> NDArray[np.int64]:
        if weights is None:
            return (u * self.n).astype(np.int64)
        bounds = np.cumsum(np.asarray(weights) / sum(weights))
        return np.searchsorted(bounds[:-1], u, side="right")

    def _multisets(self, sizes: NDArray[np.int64], u: Floats) -> NDArray[np.int64]:
        # The k-multisets of n codes c_1 <= … <= c_k are the k-subsets c_i + i - 1 of n + k - 1.
        slots = np.zeros((len(sizes), self.high), np.int64)
        for size in range(max(self.low, 1), self.high + 1):
            chosen = np.flatnonzero(sizes == size)
            keys = u[chosen, : self.n + size - 1]
            picked = np.sort(np.argsort(keys, axis=1)[:, :size], axis=1)
            slots[chosen, :size] = picked - np.arange(size)
        return slots
