"""Many decisions of one space as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Reals, Value
from symnas.errors import DecisionError
from symnas.tree.decision import KEY_BYTES, Decision
from symnas.tree.layout import REAL
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Space


class Batch(Sequence[Decision]):
    """Decisions of one space, held as arrays.

    Args:
        space: the space they belong to.
        codes: (rows, columns) codes of finite points; -1 where a point does not exist, -2 in an unused slot.
        reals: (rows, real points) values of real ranges; NaN where a point does not exist.
    """

    __slots__ = ("_rows", "codes", "reals", "space")

    def __init__(self, space: Space, codes: Codes, reals: Reals) -> None:
        self.space = space
        self.codes = codes
        self.reals = reals
        self._rows: bytes | None = None

    @classmethod
    def empty(cls, space: Space) -> Batch:
        """Return a batch without rows."""
        layout = space.layout
        return cls(space, np.empty((0, layout.columns), layout.dtype), np.empty((0, layout.reals)))

    @classmethod
    def of(cls, space: Space, decisions: Sequence[Decision]) -> Batch:
        """Collect decisions of an equal space, in order."""
        for decision in decisions:
            if decision.space is not space and decision.space != space:
                raise DecisionError(
                    "a batch holds decisions of one space; one of another space was given "
                    f"({decision.space!r} instead of {space!r}). Use space.decision(mapping) to carry it over"
                )
        rows = b"".join(decision.row for decision in decisions)
        layout = space.layout
        if not layout.row_bytes:
            return cls(space, np.empty((len(decisions), 0), layout.dtype), np.empty((len(decisions), 0)))
        batch = cls(space, *layout.split(rows))
        batch._rows = rows
        return batch

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Batch:
        """Join batches of equal spaces, in order; at least one is needed."""
        if not batches:
            raise DecisionError("concat needs at least one batch, got none")
        space = batches[0].space
        if any(batch.space != space for batch in batches):
            raise DecisionError("only batches of equal spaces can be joined")
        codes = np.concatenate([batch.codes for batch in batches])
        return cls(space, codes, np.concatenate([batch.reals for batch in batches]))

    @property
    def rows(self) -> bytes:
        """All rows as bytes, each `space.layout.row_bytes` long: the canonical form that is hashed."""
        if self._rows is None:
            self._rows = self.space.layout.join(self.codes, self.reals)
        return self._rows

    def __len__(self) -> int:
        """Return the number of decisions."""
        return len(self.codes)

    def __iter__(self) -> Iterator[Decision]:
        """Yield the decisions in order."""
        size = self.space.layout.row_bytes
        rows = self.rows
        for position in range(len(self)):
            yield Decision(self.space, rows[position * size : (position + 1) * size])

    @overload
    def __getitem__(self, index: int) -> Decision: ...
    @overload
    def __getitem__(self, index: slice | NDArray[np.bool_ | np.integer] | Sequence[int]) -> Batch: ...
    def __getitem__(self, index: object) -> Decision | Batch:
        """Return one decision, or the batch of the rows chosen by a slice, a mask or positions."""
        if isinstance(index, int | np.integer):
            position = int(index)
            if not -len(self) <= position < len(self):
                raise IndexError(f"a batch of {len(self)} decisions has no position {position}")
            row = slice(position, position + 1 or None)
            if self._rows is not None:
                size, start = self.space.layout.row_bytes, position % len(self)
                return Decision(self.space, self._rows[start * size : (start + 1) * size])
            return Decision(self.space, self.space.layout.join(self.codes[row], self.reals[row]))
        if not isinstance(index, slice):
            index = np.asarray(index)
            index = index.astype(np.intp) if not index.size else index
        return Batch(self.space, self.codes[index], self.reals[index])

    def __eq__(self, other: object) -> bool:
        """Compare spaces and rows, in order."""
        if not isinstance(other, Batch):
            return NotImplemented
        return self.space == other.space and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show how many decisions of how many points."""
        return f"<Batch of {len(self)} decisions of {self.space!r}>"

    def keys(self) -> NDArray[np.str_]:
        """Return every row's canonical hash, equal to `Decision.key`, as an array of texts."""
        size = self.space.layout.row_bytes
        rows, seed = self.rows, self.space.key_seed
        digests = [
            blake2b(rows[start : start + size], digest_size=KEY_BYTES, key=seed).hexdigest()
            for start in range(0, size * len(self), size or 1)
        ]
        if not size:
            digests = [blake2b(b"", digest_size=KEY_BYTES, key=seed).hexdigest()] * len(self)
        return np.array(digests, dtype=f"U{2 * KEY_BYTES}")

    def unique(self) -> Batch:
        """Return the batch without repetitions, each decision where it first stands."""
        size = self.space.layout.row_bytes
        if not size:
            return self[:1]
        table = np.frombuffer(self.rows, np.dtype((np.void, size)))
        _, first = np.unique(table, return_index=True)
        return self[np.sort(first)]

    def active(self, address: str) -> NDArray[np.bool_]:
        """Return in which rows the point at an address exists."""
        entry = self.space.entry(address)
        if entry.shape == REAL:
            return ~np.isnan(self.reals[:, entry.column])
        held: NDArray[np.bool_] = self.codes[:, entry.column] != INACTIVE
        return held

    def column(self, address: str) -> Codes | Reals:
        """Return codes (rows,), of a selection slots (rows, slots), of a real range values (rows,)."""
        entry = self.space.entry(address)
        if entry.shape == REAL:
            return self.reals[:, entry.column]
        if entry.width == 1 and entry.domain.kind not in {"manyof", "permutation"}:
            return self.codes[:, entry.column]
        return self.codes[:, entry.column : entry.column + entry.width]

    def values(self, address: str, absent: Value = None) -> list[Value]:
        """Return a point's value in every row, `absent` where it does not exist."""
        return [decision.get(address, absent) for decision in self]
