"""Decisions as numeric arrays and back: a one-hot view for models, an ordinal view for trees.

Columns of a view stand in tree order, ties left out. A point takes, by what it is:

    point                                       one-hot                              ordinal
    one of n, a range of n values (n <= 256)    n columns, 1 at the value            the position 0 .. n-1
    a longer range                              1 column: position / (n - 1)         the position
    a real range                                1 column: (v - low) / (high - low)   v
    unordered, each candidate at most once      n columns, 1 at those chosen         a column per slot: the
    unordered with repeats                      n columns: how often each is chosen  candidate's position, or
    ordered, permutations                       n columns per slot, 1 at the choice  -1 in an unused slot

with logarithms of v, low and high where a real range is logarithmic. In the one-hot view a point that does
not exist is all 0, and one that may not exist has one column more, 1 where it does; in the ordinal view it
is NaN.

The one-hot view is float32, or float64 if any column is scaled, so that real values survive; the ordinal
view is float64. Law: `decode(encode(rows)) == rows`, exactly but for what scaling a real value loses
(1e-6), and for positions that a float cannot hold, from 2^51 on (2^53 in the ordinal view), which come back
as near ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Mask, Reals
from symnas.errors import DecisionError
from symnas.tree.activity import Activity
from symnas.tree.choices import FloatRange, show
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.sampling import chunks
from symnas.tree.subsets import INACTIVE, UNUSED

View = Literal["onehot", "ordinal"]
Encoded = NDArray[np.float32 | np.float64]

# Values with a column each; a range of more takes one scaled column.
MAX_ONE_HOT = 256
# Candidates of a selection that is looked up by its marks: a table of 2^12 patterns at most, in 16 bits.
MAX_BITS = 12


@dataclass(slots=True)
class EncodedPoint:
    """Where a point stands in the one-hot view.

    Args:
        entry: the point.
        start: its first column.
        width: how many columns its value takes.
        flagged: whether a column after these tells if it exists.
    """

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

    @property
    def counted(self) -> bool:
        """Whether a column says how often its candidate is chosen, which may be more than once."""
        return self.entry.shape not in (SINGLE, REAL) and self.entry.subsets.repeats and not self.per_slot

    @property
    def by_bits(self) -> bool:
        """Whether the marks of a selection, read as bits, look it up in a table."""
        plain = self.entry.shape not in (SINGLE, REAL) and not self.per_slot and not self.counted
        return plain and self.entry.card <= MAX_BITS

    def bit_table(self) -> NDArray[np.int64]:
        """Return slots (2 ** candidates, slots) by pattern of marks, the default where it is no selection."""
        entry = self.entry
        table = np.empty((1 << entry.card, entry.width), np.int64)
        table[:] = entry.slots(_default(entry))
        for codes in entry.subsets:
            table[sum(1 << code for code in codes)] = entry.slots(codes)
        return table


def _default(entry: Entry) -> tuple[int, ...]:
    """Return the codes of a selection's default."""
    codes = entry.domain.code(entry.default)
    assert isinstance(codes, tuple)
    return codes


class Encoder:
    """Both numeric views of a space, compiled once. Arrays of decisions are (rows, columns) here.

    Args:
        activity: the compiled conditions.

    Attributes:
        places: where every point stands in the one-hot view.
        width: how many columns that view has.
        dtype: its type.
    """

    def __init__(self, activity: Activity) -> None:
        self.activity = activity
        self.layout = activity.layout
        self.places: list[EncodedPoint] = []
        width = 0
        for entry in self.layout.own:
            place = EncodedPoint(entry, width, 1, entry.stage > 0)
            if not place.scaled:
                place.width = entry.card * (entry.width if place.per_slot else 1)
            self.places.append(place)
            width += place.width + place.flagged
        self.width = width
        self.dtype = np.float64 if any(p.scaled for p in self.places) else np.float32
        self.single = [p for p in self.places if p.entry.shape == SINGLE and not p.scaled]
        self.rest = [p for p in self.places if p.entry.shape != SINGLE or p.scaled]
        # Selections that cannot mark a column twice are written like one-of points, slot by slot.
        hot = [
            (p, slot) for p in self.places if not p.scaled and not p.counted for slot in range(p.entry.width)
        ]
        self.columns = np.array([p.entry.column + slot for p, slot in hot], np.intp)
        self.offsets = np.array([p.start + slot * p.entry.card * p.per_slot for p, slot in hot], np.intp)
        flagged = [p for p in self.places if p.flagged and p.entry.shape != REAL]
        self.flag_columns = np.array([p.entry.column for p in flagged], np.intp)
        self.flags = np.array([p.start + p.width for p in flagged], np.intp)
        # Whether every one of these codes is a mark, none of them INACTIVE or UNUSED.
        self.always = not any(p.flagged or p.entry.shape != SINGLE for p, _ in hot)
        self.by_card: dict[int, list[EncodedPoint]] = {}
        for place in self.single:
            self.by_card.setdefault(place.width, []).append(place)
        self.tables: dict[int, Codes] = {}
        own = [(e.column, e.width) for e in self.layout.own if e.shape != REAL]
        self.own_columns = np.concatenate([np.arange(c, c + w) for c, w in own] or [np.empty(0, np.intp)])
        self.own_reals = np.array([e.column for e in self.layout.own if e.shape == REAL], np.intp)
        # In the ordinal view a point takes as many columns as in the layout, ties left out.
        starts = np.cumsum([0, *(e.width for e in self.layout.own)]).tolist()
        placed = list(zip(self.layout.own, starts, strict=False))
        plain = [(e, start) for e, start in placed if e.shape == SINGLE]
        self.ordinal_single = np.array([start for _, start in plain], np.intp)
        self.single_columns = np.array([e.column for e, _ in plain], np.intp)
        # As floats, and as whole numbers, which tell all positions apart.
        self.tops = np.array([e.card - 1.0 for e, _ in plain])[:, None]
        self.last = np.array([e.card - 1 for e, _ in plain], np.int64)[:, None]
        self.ordinal_rest = [(e, start) for e, start in placed if e.shape != SINGLE]
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

    def encode(self, codes: Codes, reals: Reals, view: View) -> Encoded:
        """Return the array of a view, (rows, columns of the view), in float32 or float64 (see the module).

        Args:
            codes: (rows, columns) of `Layout.dtype`.
            reals: (rows, reals) of float64.
            view: as in `Space.encode`.
        """
        if view == "ordinal":
            return self._ordinal(codes, reals)
        if view != "onehot":
            raise DecisionError(f"a view is 'onehot' or 'ordinal', got {view!r}")
        out: Encoded = np.zeros((len(codes), self.width), self.dtype)
        for rows in chunks(self.width, len(codes)):
            self._encode_rows(codes[rows], reals[rows], out[rows])
        return out

    def _encode_rows(self, codes: Codes, reals: Reals, out: Encoded) -> None:
        # The value in column c makes a 1 in the view's column offset(c) + code: all of them are written at
        # once, as positions in the flat array, negative codes left out.
        hot = codes[:, self.columns]
        places = hot + self.offsets
        places += np.arange(len(codes))[:, None] * self.width
        flat = out.reshape(-1)
        flat[places if self.always else places[hot >= 0]] = 1.0
        if len(self.flags):
            out[:, self.flags] = codes[:, self.flag_columns] != INACTIVE
        for place in self.rest:
            if place.scaled:
                self._scale(place, codes, reals, out)
            elif place.counted:
                self._mark(place, codes, out)

    @staticmethod
    def _scale(place: EncodedPoint, codes: Codes, reals: Reals, out: Encoded) -> None:
        entry = place.entry
        if entry.shape == REAL:
            assert isinstance(entry.domain, FloatRange)
            low, high = scale_bounds(entry.domain)
            values = reals[:, entry.column]
            held = ~np.isnan(values)
            # (v - low) / (high - low) in [0, 1], or of the logarithms
            unit = ((np.log(values) if entry.domain.log else values) - low) / (high - low)
        else:
            held = codes[:, entry.column] != INACTIVE
            unit = codes[:, entry.column] / (entry.card - 1)
        out[:, place.start] = np.where(held, unit, 0.0)
        if place.flagged and entry.shape == REAL:
            out[:, place.start + 1] = held

    @staticmethod
    def _mark(place: EncodedPoint, codes: Codes, out: Encoded) -> None:
        entry = place.entry
        slots = codes[:, entry.column : entry.column + entry.width].astype(np.intp)
        # Slot by slot, since `+=` with an index counts a place once however often it is named.
        for slot in range(entry.width):
            rows = np.flatnonzero(slots[:, slot] >= 0)
            out[rows, place.start + slots[rows, slot]] += 1.0

    def _ordinal(self, codes: Codes, reals: Reals) -> Encoded:
        out = np.empty((len(codes), len(self.is_real)), np.float64)
        own = codes[:, self.own_columns].astype(np.float64)
        own[own == INACTIVE] = np.nan
        own[own == UNUSED] = -1.0
        out[:, ~self.is_real] = own
        out[:, self.is_real] = reals[:, self.own_reals]
        return out

    # ------------------------------------------------------------ decoding

    def decode(self, array: Encoded, view: View, strict: bool) -> tuple[Codes, Reals]:
        """Return codes (rows, columns) and reals (rows, reals) of an array's rows, in the layout's types.

        Args:
            array: (rows, columns of the view), of any type of numbers.
            view: as in `Space.encode`.
            strict: refuse rows that encode no decision; otherwise take the nearest decisions.
        """
        width = self.width if view == "onehot" else len(self.is_real)
        given = np.asarray(array)
        if view not in ("onehot", "ordinal") or given.ndim != 2 or given.shape[1] != width:
            raise DecisionError(
                f"the {view!r} view of this space has {width} columns per decision, got shape {given.shape}"
            )
        found = self._nearest(given, view, strict)
        if found is None:
            near = self._nearest(given, view, exact=False)
            assert near is not None
            again = self.encode(*near, view)
            row, column = np.argwhere(~_close(given, again))[0]
            raise DecisionError(
                f"row {row}, column {self.names(view)[column]}: {given[row, column]} stands where the "
                f"nearest decision has {again[row, column]}; pass strict=False to take the nearest decisions"
            )
        return found

    def _nearest(self, given: Encoded, view: View, exact: bool) -> tuple[Codes, Reals] | None:
        """Return the decisions nearest to rows: codes (rows, columns) and reals (rows, reals).

        Every point is decoded as if it existed, then `activity` empties those that do not.

        With `exact` marks are taken for ones and zeros, which is faster, and the result is None where writing
        the decisions again does not give the rows back.
        """
        # (columns, rows), as `activity` wants them.
        codes = np.full((self.layout.columns, len(given)), INACTIVE, self.layout.dtype)
        reals = np.full((self.layout.reals, len(given)), np.nan)
        for rows in chunks(self.width, len(given)):
            piece, some, some_reals = given[rows], codes[:, rows], reals[:, rows]
            if view == "ordinal":
                self._decode_ordinal(piece, some, some_reals, exact)
            else:
                self._decode_onehot(piece, some, some_reals, exact)
            self.activity.mask(some, some_reals)
            if exact:
                again = self.encode(some.T, some_reals.T, view)
                if not np.array_equal(piece, again) and not _close(piece, again).all():
                    return None
        return codes.T, reals.T

    def _decode_onehot(self, given: Encoded, codes: Codes, reals: Reals, exact: bool) -> None:
        marks = np.ascontiguousarray((given > 0.5).T)
        columns = marks.view(np.int8) if exact else np.ascontiguousarray(given.T)
        # Points with equally many values together: the first largest of their columns, or with ones and zeros
        # the sum of code times mark, one pass per code over (points, rows).
        for card, places in self.by_card.items():
            starts = np.array([p.start for p in places])
            best = np.zeros((len(places), len(given)), self.layout.dtype)
            top = columns[starts]
            for code in range(1, card):
                value = columns[starts + code]
                if exact:
                    best += value * best.dtype.type(code)
                else:
                    np.copyto(best, code, where=value > top)
                    np.maximum(top, value, out=top)
            if exact:
                # More than one mark gives a wrong code, which encoding again brings to light; but it has to
                # be a code of the point.
                np.clip(best, 0, card - 1, out=best)
            codes[[p.entry.column for p in places]] = best
        for place in self.rest:
            entry = place.entry
            if place.scaled:
                self._unscale(place, given, codes, reals)
            elif place.by_bits:
                pattern = np.zeros(len(given), np.int16)
                for code in range(entry.card):
                    pattern += marks[place.start + code] * np.int16(1 << code)
                codes[entry.column : entry.column + entry.width] = self.bits(place)[:, pattern]
            else:
                self._unmark(place, given, codes)

    def bits(self, place: EncodedPoint) -> Codes:
        """Return the slots by pattern of marks, (slots, patterns)."""
        known = self.tables.get(place.start)
        if known is None:
            known = np.ascontiguousarray(place.bit_table().T.astype(self.layout.dtype))
            self.tables[place.start] = known
        return known

    @staticmethod
    def _unscale(place: EncodedPoint, given: Encoded, codes: Codes, reals: Reals) -> None:
        entry = place.entry
        # NaN is as good as 0; below and above the range are its ends.
        unit = np.clip(np.nan_to_num(given[:, place.start].astype(np.float64)), 0.0, 1.0)
        if entry.shape == REAL:
            assert isinstance(entry.domain, FloatRange)
            low, high = scale_bounds(entry.domain)
            values = low + unit * (high - low)
            values = np.exp(values) if entry.domain.log else values
            reals[entry.column] = np.clip(values, entry.domain.low, entry.domain.high) + 0.0
        else:
            # Clipped as whole numbers, since the last position may round up to one more as a float.
            near = np.rint(unit * (entry.card - 1)).astype(np.int64)
            codes[entry.column] = np.minimum(near, entry.card - 1)

    def _unmark(self, place: EncodedPoint, given: Encoded, codes: Codes) -> None:
        entry = place.entry
        block = given[:, place.start : place.start + place.width]
        slots = np.full((len(given), entry.width), UNUSED, np.int64)
        if place.per_slot:
            # (rows, slots, candidates).
            marks = block.reshape(len(given), entry.width, entry.card)
            slots = np.where(marks.max(axis=2) > 0.5, marks.argmax(axis=2), UNUSED)
        else:
            # How often each candidate is to be taken yet: the first of those left fills the next slot.
            left = np.rint(np.clip(np.nan_to_num(block), 0, entry.width)).astype(np.int64)
            for slot in range(entry.width):
                code = (left > 0).argmax(axis=1)
                found = left[np.arange(len(left)), code] > 0
                slots[found, slot] = code[found]
                left[np.flatnonzero(found), code[found]] -= 1
        codes[entry.column : entry.column + entry.width] = self._repair(entry, slots).T

    def _decode_ordinal(self, given: Encoded, codes: Codes, reals: Reals, exact: bool) -> None:
        # `fmax` and `fmin` pass over NaN, which stands where a point does not exist.
        single = given[:, self.ordinal_single].T
        single = single if exact else np.rint(single)
        near = np.fmin(np.fmax(single, 0.0), self.tops).astype(np.int64)
        codes[self.single_columns] = np.minimum(near, self.last)
        for entry, column in self.ordinal_rest:
            block = given[:, column : column + entry.width]
            if entry.shape == REAL:
                assert isinstance(entry.domain, FloatRange)
                values = np.where(np.isnan(block[:, 0]), entry.domain.default, block[:, 0])
                reals[entry.column] = np.clip(values, entry.domain.low, entry.domain.high) + 0.0
                continue
            top = float(np.iinfo(self.layout.dtype).max)
            slots = np.fmin(np.fmax(block if exact else np.rint(block), -1.0), top).astype(self.layout.dtype)
            slots[slots < 0] = UNUSED
            codes[entry.column : entry.column + entry.width] = self._repair(entry, slots).T

    @staticmethod
    def _repair(entry: Entry, slots: Codes) -> Codes:
        """Put the default in place of slots that are no selection; gaps and needless orders are mended."""
        subsets = entry.subsets
        for row in subsets.wrong_rows(slots).tolist():
            chosen = [int(code) for code in slots[row] if code != UNUSED]
            legal = tuple(chosen) if subsets.ordered else tuple(sorted(chosen))
            slots[row] = entry.slots(legal if legal in subsets else _default(entry))
        return slots


def _close(given: Encoded, again: Encoded) -> Mask:
    """Compare cells, allowing for what scaling real values loses."""
    return np.isclose(given, again, rtol=1e-5, atol=1e-6, equal_nan=True)
