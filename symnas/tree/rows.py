"""Rows: one decision as codes and floats, as bytes, and from and to a mapping of addresses to values.

A row holds the codes of all columns, then the floats; `layout` says which columns are whose. Here is what is
done to one row in plain Python; `activity` does the same to many at once.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from symnas._typing import Value
from symnas.errors import DecisionError, nearest
from symnas.tree.choices import FloatRange, show
from symnas.tree.layout import REAL, SINGLE, Entry, Layout
from symnas.tree.subsets import INACTIVE

# Of the standard library's `array`, by bytes per item.
_TYPECODES = {1: "b", 2: "h", 4: "i", 8: "q"}

# -------------------------------------------------------------------- bytes


def unpack_row(layout: Layout, row: bytes) -> tuple[list[int], list[float]]:
    """Return a row's codes and floats as Python lists."""
    cut = layout.columns * layout.dtype.itemsize
    codes: list[int] = array(_TYPECODES[layout.dtype.itemsize], row[:cut]).tolist()
    return codes, array("d", row[cut:]).tolist()


def pack_row(layout: Layout, codes: list[int], reals: list[float]) -> bytes:
    """Return codes and floats as a row."""
    row = array(_TYPECODES[layout.dtype.itemsize], codes).tobytes()
    return row + array("d", reals).tobytes() if reals else row


# -------------------------------------------------------------------- which points exist


def exists(entry: Entry, codes: list[int], reals: list[float]) -> bool:
    """Tell whether a point exists in a complete row."""
    return not math.isnan(reals[entry.column]) if entry.shape == REAL else codes[entry.column] != INACTIVE


def holds_branch(layout: Layout, entry: Entry, codes: list[int]) -> bool:
    """Tell whether the branch a point stands in is taken, whatever its guards say."""
    parent = layout.entries[entry.parent]
    slots = codes[parent.column : parent.column + parent.width]
    if entry.branch is None or parent.domain.kind == "permutation":
        return slots[0] != INACTIVE
    # A parent that does not exist has -1 in its columns, which is in no `when`.
    return sum(code in entry.branch.when for code in slots) > entry.branch.occurrence


def holds(layout: Layout, entry: Entry, codes: list[int]) -> bool:
    """Tell whether a point is to exist, given the codes of all points before it."""
    if entry.branch is not None and not holds_branch(layout, entry, codes):
        return False
    return all(
        tuple(_seen(layout.entries[layout.index[a]], codes) for a in guard.addresses) in guard.allowed
        for guard in entry.point.guards
    )


def _seen(source: Entry, codes: list[int]) -> int:
    """Return the code that guards see, of a selection its rank."""
    if source.shape == SINGLE:
        return codes[source.column]
    slots = codes[source.column : source.column + source.width]
    if slots[0] == INACTIVE:
        return INACTIVE
    # UNUSED is below 0 as well, and no part of the selection.
    return source.domain.rank(tuple(code for code in slots if code >= 0))


# -------------------------------------------------------------------- values


def value_at(entry: Entry, codes: list[int], reals: list[float]) -> Value:
    """Return the value of a point that exists in a row; a tie's is its target's."""
    if entry.shape == REAL:
        return reals[entry.column]
    if entry.shape == SINGLE:
        return entry.domain.value(codes[entry.column])
    slots = codes[entry.column : entry.column + entry.width]
    return entry.domain.value([code for code in slots if code >= 0])


def decode_row(layout: Layout, row: bytes) -> dict[str, Value]:
    """Return the mapping that a row stands for, without ties."""
    codes, reals = unpack_row(layout, row)
    values: dict[str, Value] = {}
    # Written out, since reading decisions one by one spends its time here.
    for entry in layout.own:
        column, point = entry.column, entry.point
        if entry.shape == SINGLE:
            if codes[column] >= 0:
                values[point.address] = point.value(codes[column])
        elif entry.shape == REAL:
            # NaN differs from itself.
            if reals[column] == reals[column]:
                values[point.address] = reals[column]
        elif codes[column] != INACTIVE:
            values[point.address] = point.value([c for c in codes[column : column + entry.width] if c >= 0])
    return values


def put(entry: Entry, value: object, codes: list[int], reals: list[float]) -> None:
    """Write a point's value into its columns; a `DecisionError` names what was allowed."""
    domain = entry.domain
    if entry.shape == REAL:
        assert isinstance(domain, FloatRange)
        reals[entry.column] = domain.real(value)
        return
    code = domain.code(value)
    if isinstance(code, int):
        codes[entry.column] = code
    else:
        codes[entry.column : entry.column + entry.width] = entry.slots(code)


def copy_tie(layout: Layout, entry: Entry, codes: list[int], reals: list[float]) -> None:
    """Write a tie's columns, which mirror those of its target."""
    source = layout.entries[entry.target].column
    if entry.shape == REAL:
        reals[entry.column] = reals[source]
    else:
        codes[entry.column : entry.column + entry.width] = codes[source : source + entry.width]


def build_row(layout: Layout, given: Mapping[str, object], base: Mapping[str, Value] | None = None) -> bytes:
    """Return the row with the given values.

    Args:
        layout: the compiled space.
        given: values by address; each must exist in the result.
        base: values to fall back on, then defaults; without it every existing point must be given.

    Raises:
        DecisionError: an address is unknown, absent under the others, missing, or its value not allowed.
    """
    unknown = [address for address in given if address not in layout.index]
    if unknown:
        raise DecisionError(
            f"{unknown[0]}: the space has no point at this address{nearest(str(unknown[0]), layout.index)}"
        )
    codes, reals = [INACTIVE] * layout.columns, [math.nan] * layout.reals
    met = 0
    # In tree order, so that all that a point's existence hangs on has been written when it is its turn.
    for entry in layout.entries:
        if not holds(layout, entry, codes):
            continue
        address = entry.point.address
        if entry.tied:
            copy_tie(layout, entry, codes, reals)
            if address in given:
                met += 1
                _check_tie(entry, given[address], codes, reals)
            continue
        if address in given:
            met += 1
            value: object = given[address]
        elif base is None:
            raise DecisionError(f"{address}: a value is missing; it must be one of {entry.domain.domain}")
        else:
            value = base.get(address, entry.default)
        put(entry, value, codes, reals)
    if met < len(given):
        entries = (layout.entries[layout.index[address]] for address in given)
        extra = next(entry for entry in entries if not exists(entry, codes, reals))
        raise DecisionError(_absent(layout, extra, codes, reals))
    return pack_row(layout, codes, reals)


def _check_tie(entry: Entry, value: object, codes: list[int], reals: list[float]) -> None:
    again, real_again = list(codes), list(reals)
    put(entry, value, again, real_again)
    same = real_again[entry.column] == reals[entry.column] if entry.shape == REAL else again == codes
    if not same:
        raise DecisionError(
            f"{entry.point.address}: the value must equal its target's, {entry.point.domain}, got {value!r}"
        )


def _absent(layout: Layout, entry: Entry, codes: list[int], reals: list[float]) -> str:
    """Return the message for a point that does not exist in a row, naming the reason."""
    address = entry.point.address
    if entry.parent >= 0:
        parent = layout.entries[entry.parent]
        above = parent.point.address
        if not exists(parent, codes, reals):
            return f"{address}: the point does not exist here, because {above} does not"
        if entry.branch is not None and not holds_branch(layout, entry, codes):
            wanted = [show(_label(parent, code)) for code in entry.branch.when[:8]]
            return (
                f"{address}: the point exists only where {above} is {' or '.join(wanted)}, and it is "
                f"{show(value_at(parent, codes, reals))}; leave the address out or change {above}"
            )
    sources = (layout.entries[layout.index[a]] for guard in entry.point.guards for a in guard.addresses)
    texts = [
        f"{s.point.address} = {show(value_at(s, codes, reals)) if exists(s, codes, reals) else 'absent'}"
        for s in sources
    ]
    return (
        f"{address}: the point does not exist under {', '.join(texts)}; leave the address out or change one "
        "of these"
    )


def _label(parent: Entry, code: int) -> Value:
    """Return the label of a value, of a selection that of a candidate."""
    if parent.shape == SINGLE:
        return parent.domain.value(code)
    return parent.domain.value((code,))[0]  # type: ignore[index]
