"""Decisions as numeric arrays and back: a one-hot view for models, an ordinal view for trees and distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from symnas.batch import Batch
from symnas.errors import DecisionError
from symnas.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.nodes import FloatRange, show
from symnas.sampling import chunks
from symnas.subsets import INACTIVE, UNUSED

if TYPE_CHECKING:
    from symnas.space import Space

View = Literal["onehot", "ordinal"]
Array = NDArray[np.float32 | np.float64]

MAX_ONE_HOT = 256


@dataclass(slots=True)
class _Place:
    """Where a point stands in the one-hot view: `width` columns from `start`, then a flag if it may be absent."""

    entry: Entry
    start: int
    width: int
    flagged: bool

    @property
    def scaled(self) -> bool:
        """Whether the point takes one scaled column instead of one per value."""
        return self.entry.shape == REAL or (self.entry.shape == SINGLE and self.entry.card > MAX_ONE_HOT)

    @property
    def per_slot(self) -> bool:
        """Whether every slot has columns of its own, because the order counts."""
        return self.entry.shape not in (SINGLE, REAL) and self.entry.subsets.ordered


class Encoder:
    """Both numeric views of a space, compiled once."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.layout = space.layout
        self.places: list[_Place] = []
        width = 0
        for entry in self.layout.own:
            place = _Place(entry, width, 1, entry.stage > 0)
            if not place.scaled:
                place.width = entry.card * (entry.width if place.per_slot else 1)
            self.places.append(place)
            width += place.width + place.flagged
        self.width = width
        self.dtype = np.float64 if any(p.scaled for p in self.places) else np.float32
        self.single = [p for p in self.places if p.entry.shape == SINGLE and not p.scaled]
        self.columns = np.array([p.entry.column for p in self.single], np.intp)
        self.offsets = np.array([p.start for p in self.single], np.intp)
        flagged = [p for p in self.single if p.flagged]
        self.flag_columns = np.array([p.entry.column for p in flagged], np.intp)
        self.flags = np.array([p.start + p.width for p in flagged], np.intp)
        own = [(e.column, e.width) for e in self.layout.own if e.shape != REAL]
        self.own_columns = np.concatenate([np.arange(c, c + w) for c, w in own] or [np.empty(0, np.intp)])
        self.own_reals = np.array([e.column for e in self.layout.own if e.shape == REAL], np.intp)
        order = [(e.shape == REAL, c) for e in self.layout.own for c in e.columns]
        self.is_real = np.array([real for real, _ in order], bool)

    # ------------------------------------------------------------ names

    def names(self, view: View) -> tuple[str, ...]:
        """Return what each column of a view stands for."""
        names: list[str] = []
        for place in self.places:
            entry = place.entry
            address = entry.point.address
            slots = [f"{address}#{slot}" for slot in range(entry.width)]
            if view == "ordinal":
                names += slots if entry.shape not in (SINGLE, REAL) else [address]
                continue
            if place.scaled:
                names.append(address)
            elif entry.shape == SINGLE:
                names += [f"{address}={show(value)}" for value in entry.domain.values()]
            else:
                labels = [show(entry.domain.value((code,))) for code in range(entry.card)]
                heads = slots if place.per_slot else [address]
                names += [f"{head}={label[1:-1]}" for head in heads for label in labels]
            if place.flagged:
                names.append(f"{address}?")
        return tuple(names)

    # ------------------------------------------------------------ encoding

    def encode(self, batch: Batch, view: View) -> Array:
        """Return the array of a view, one row per decision."""
        if view == "ordinal":
            return self._ordinal(batch)
        if view != "onehot":
            raise DecisionError(f"a view is 'onehot' or 'ordinal', got {view!r}")
        out: Array = np.zeros((len(batch), self.width), self.dtype)
        for rows in chunks(self.layout, len(batch)):
            self._encode_rows(batch.codes[rows], batch.reals[rows], out[rows])
        return out

    def _encode_rows(self, codes: NDArray[np.signedinteger], reals: NDArray[np.float64], out: Array) -> None:
        single = np.ascontiguousarray(codes[:, self.columns])
        places = single + self.offsets
        places += np.arange(len(codes))[:, None] * self.width
        flat = out.reshape(-1)
        if len(self.flags):
            flat[places[single != INACTIVE]] = 1.0
            out[:, self.flags] = codes[:, self.flag_columns] != INACTIVE
        else:
            flat[places] = 1.0
        for place in self.places:
            if place.scaled:
                self._scale(place, codes, reals, out)
            elif place.entry.shape != SINGLE:
                self._mark(place, codes, out)

    @staticmethod
    def _scale(
        place: _Place, codes: NDArray[np.signedinteger], reals: NDArray[np.float64], out: Array
    ) -> None:
        entry = place.entry
        if entry.shape == REAL:
            assert isinstance(entry.domain, FloatRange)
            low, high = scale_bounds(entry.domain)
            values = reals[:, entry.column]
            held = ~np.isnan(values)
            unit = ((np.log(values) if entry.domain.log else values) - low) / (high - low)
        else:
            held = codes[:, entry.column] != INACTIVE
            unit = codes[:, entry.column] / (entry.card - 1)
        out[:, place.start] = np.where(held, unit, 0.0)
        if place.flagged:
            out[:, place.start + 1] = held

    @staticmethod
    def _mark(place: _Place, codes: NDArray[np.signedinteger], out: Array) -> None:
        entry = place.entry
        slots = codes[:, entry.column : entry.column + entry.width]
        for slot in range(entry.width):
            rows = np.flatnonzero(slots[:, slot] >= 0)
            shift = slot * entry.card if place.per_slot else 0
            out[rows, place.start + shift + slots[rows, slot]] += 1.0
        if place.flagged:
            out[:, place.start + place.width] = slots[:, 0] != INACTIVE

    def _ordinal(self, batch: Batch) -> Array:
        out = np.empty((len(batch), len(self.is_real)), np.float64)
        codes = batch.codes[:, self.own_columns].astype(np.float64)
        codes[codes == INACTIVE] = np.nan
        codes[codes == UNUSED] = -1.0
        out[:, ~self.is_real] = codes
        out[:, self.is_real] = batch.reals[:, self.own_reals]
        return out

    # ------------------------------------------------------------ decoding

    def decode(self, array: Array, view: View, strict: bool) -> Batch:
        """Return the decisions of an array's rows; unless `strict`, of whatever is nearest to them."""
        width = self.width if view == "onehot" else len(self.is_real)
        given = np.asarray(array)
        if view not in ("onehot", "ordinal") or given.ndim != 2 or given.shape[1] != width:
            raise DecisionError(
                f"the {view!r} view of this space has {width} columns per decision, got shape {given.shape}"
            )
        codes = np.full((self.layout.columns, len(given)), INACTIVE, self.layout.dtype)
        reals = np.full((self.layout.reals, len(given)), np.nan)
        for rows in chunks(self.layout, len(given)):
            if view == "onehot":
                self._decode_onehot(given[rows], codes[:, rows], reals[:, rows])
            else:
                self._decode_ordinal(given[rows], codes[:, rows], reals[:, rows])
            self.space.activity.mask(codes[:, rows], reals[:, rows])
        batch = Batch(self.space, codes.T, reals.T)
        if strict:
            self._check(given, self.encode(batch, view), view)
        return batch

    def _check(self, given: Array, again: Array, view: View) -> None:
        wrong = ~(np.isclose(given, again, rtol=1e-5, atol=1e-6, equal_nan=True))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DecisionError(
                f"row {row}, column {self.names(view)[column]}: {given[row, column]} stands where the nearest "
                f"decision has {again[row, column]}; pass strict=False to take the nearest decisions"
            )

    def _decode_onehot(
        self, given: Array, codes: NDArray[np.signedinteger], reals: NDArray[np.float64]
    ) -> None:
        by_card: dict[int, list[_Place]] = {}
        for place in self.single:
            by_card.setdefault(place.width, []).append(place)
        for card, places in by_card.items():
            starts = np.array([p.start for p in places])
            best = np.zeros((len(given), len(places)), self.layout.dtype)
            top = given[:, starts]
            for code in range(1, card):
                value = given[:, starts + code]
                higher = value > top
                best[higher] = code
                np.maximum(top, value, out=top)
            codes[[p.entry.column for p in places]] = best.T
        for place in self.places:
            if place.scaled:
                self._unscale(place, given, codes, reals)
            elif place.entry.shape != SINGLE:
                self._unmark(place, given, codes)

    @staticmethod
    def _unscale(
        place: _Place, given: Array, codes: NDArray[np.signedinteger], reals: NDArray[np.float64]
    ) -> None:
        entry = place.entry
        unit = np.clip(np.nan_to_num(given[:, place.start].astype(np.float64)), 0.0, 1.0)
        if entry.shape == REAL:
            assert isinstance(entry.domain, FloatRange)
            low, high = scale_bounds(entry.domain)
            values = low + unit * (high - low)
            values = np.exp(values) if entry.domain.log else values
            reals[entry.column] = np.clip(values, entry.domain.low, entry.domain.high) + 0.0
        else:
            codes[entry.column] = np.rint(unit * (entry.card - 1))

    def _unmark(self, place: _Place, given: Array, codes: NDArray[np.signedinteger]) -> None:
        entry = place.entry
        block = given[:, place.start : place.start + place.width]
        slots = np.full((len(given), entry.width), UNUSED, np.int64)
        if place.per_slot:
            marks = block.reshape(len(given), entry.width, entry.card)
            slots = np.where(marks.max(axis=2) > 0.5, marks.argmax(axis=2), UNUSED)
        else:
            left = np.rint(np.clip(np.nan_to_num(block), 0, entry.width)).astype(np.int64)
            for slot in range(entry.width):
                code = (left > 0).argmax(axis=1)
                found = left[np.arange(len(left)), code] > 0
                slots[found, slot] = code[found]
                left[np.flatnonzero(found), code[found]] -= 1
        codes[entry.column : entry.column + entry.width] = self._repair(entry, slots).T

    def _decode_ordinal(
        self, given: Array, codes: NDArray[np.signedinteger], reals: NDArray[np.float64]
    ) -> None:
        column = 0
        for entry in self.layout.own:
            block = given[:, column : column + entry.width]
            column += entry.width
            if entry.shape == REAL:
                assert isinstance(entry.domain, FloatRange)
                values = np.nan_to_num(block[:, 0].astype(np.float64), nan=entry.domain.default)
                reals[entry.column] = np.clip(values, entry.domain.low, entry.domain.high) + 0.0
            elif entry.shape == SINGLE:
                codes[entry.column] = np.clip(np.rint(np.nan_to_num(block[:, 0])), 0, entry.card - 1)
            else:
                slots = np.rint(np.nan_to_num(block, nan=-1.0)).astype(np.int64)
                slots = np.where(slots < 0, UNUSED, slots)
                codes[entry.column : entry.column + entry.width] = self._repair(entry, slots).T

    def _repair(self, entry: Entry, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Put the default in place of slots that are no selection."""
        subsets = entry.subsets
        if subsets.packable and subsets.tabulated and ((slots < subsets.n) & (slots >= UNUSED)).all():
            known = subsets.table[subsets.rank_rows(slots)]
            wrong = np.flatnonzero((known != slots).any(axis=1))
        else:
            wrong = np.arange(len(slots))
        default = entry.domain.code(entry.domain.default)  # type: ignore[attr-defined]
        assert isinstance(default, tuple)
        blank = [*default, *[UNUSED] * (entry.width - len(default))]
        for row in wrong.tolist():
            chosen = [int(code) for code in slots[row] if code != UNUSED]
            legal = tuple(chosen) if subsets.ordered else tuple(sorted(chosen))
            if legal not in subsets:
                slots[row] = blank
            else:
                slots[row] = [*legal, *[UNUSED] * (entry.width - len(legal))]
        return slots
