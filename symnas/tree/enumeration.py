"""Listing every decision of a finite space, in tree order, the last point changing fastest.

As an odometer: every point holds an iterator over the values that it can take under those before it, one
value being INACTIVE where it does not exist. The last point that has another value takes it, and all after
it start again. So memory is one row, and the first decisions come at once however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from symnas.errors import SpaceError
from symnas.tree.admission import Admission, Guide
from symnas.tree.layout import REAL, SINGLE, Entry, Layout
from symnas.tree.rows import holds, pack_row
from symnas.tree.subsets import INACTIVE


def enumerate_rows(layout: Layout, admission: Admission | None = None) -> Iterator[bytes]:
    """Yield the row of every decision once, but those that a fold of `admission` refuses.

    Raises:
        SpaceError: a point is a real range without a step, so that the decisions cannot be listed.
    """
    real = next((entry for entry in layout.own if entry.shape == REAL), None)
    if real is not None:
        raise SpaceError(
            f"only finite spaces can be listed, and {real.point.address} is a real range, "
            f"{real.domain.domain}; give it a step, or restrict or freeze it"
        )
    return _listed(layout, admission)


def _values(entry: Entry) -> Iterator[tuple[int, ...]]:
    if entry.shape == SINGLE:
        return ((code,) for code in range(entry.card))
    return (tuple(entry.slots(codes)) for codes in entry.subsets)


def _listed(layout: Layout, admission: Admission | None) -> Iterator[bytes]:
    if admission is not None and not admission.possible:
        return
    guide = None if admission is None else Guide(admission)
    entries = layout.entries
    codes = [INACTIVE] * layout.columns
    # One iterator for each of the first `position` points; those behind are not begun.
    running: list[Iterator[tuple[int, ...]]] = []
    position = 0
    while True:
        # Forward: give every further point its first value; backward: advance the last that has another.
        while position < len(entries):
            entry = entries[position]
            options = _options(layout, entry, codes)
            running.append(options if guide is None else guide.narrow(entry, codes, options))
            codes[entry.column : entry.column + entry.width] = next(running[-1])
            position += 1
        yield pack_row(layout, codes, [])
        while running:
            entry = entries[len(running) - 1]
            following = next(running[-1], None)
            if following is not None:
                codes[entry.column : entry.column + entry.width] = following
                break
            running.pop()
        if not running:
            return
        position = len(running)


def _options(layout: Layout, entry: Entry, codes: list[int]) -> Iterator[tuple[int, ...]]:
    if not holds(layout, entry, codes):
        return iter([(INACTIVE,) * entry.width])
    if entry.tied:
        target = layout.entries[entry.target]
        # A tie has the one value that its target has now.
        return iter([tuple(codes[target.column : target.column + target.width])])
    return _values(entry)
