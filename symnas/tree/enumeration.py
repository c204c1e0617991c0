"""Listing every decision of a finite space, in tree order, the last point changing fastest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from symnas.errors import SpaceError
from symnas.tree.decision import Decision, holds, pack_row
from symnas.tree.layout import REAL, SINGLE, Entry
from symnas.tree.subsets import INACTIVE, UNUSED

if TYPE_CHECKING:
    from symnas.tree.space import Space


def enumerate_decisions(space: Space) -> Iterator[Decision]:
    """Yield every decision once.

    Raises:
        SpaceError: a point is a real range without a step, so that the decisions cannot be listed.
    """
    layout = space.layout
    real = next((entry for entry in layout.own if entry.shape == REAL), None)
    if real is not None:
        raise SpaceError(
            f"only finite spaces can be listed, and {real.point.address} is a real range, "
            f"{real.domain.domain}; give it a step, or restrict or freeze it"
        )
    return _listed(space)


def _values(entry: Entry) -> Iterator[tuple[int, ...]]:
    if entry.shape == SINGLE:
        return ((code,) for code in range(entry.card))
    unused = (UNUSED,) * entry.width
    return ((*codes, *unused[len(codes) :]) for codes in entry.subsets)


def _listed(space: Space) -> Iterator[Decision]:
    layout = space.layout
    entries = layout.entries
    codes = [INACTIVE] * layout.columns
    running: list[Iterator[tuple[int, ...]]] = []
    position = 0
    while True:
        # Forward: give every further point its first value; backward: advance the last that has another.
        while position < len(entries):
            entry = entries[position]
            running.append(_options(space, entry, codes))
            codes[entry.column : entry.column + entry.width] = next(running[-1])
            position += 1
        yield Decision(space, pack_row(layout, codes, []))
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


def _options(space: Space, entry: Entry, codes: list[int]) -> Iterator[tuple[int, ...]]:
    if not holds(space.layout, entry, codes):
        return iter([(INACTIVE,) * entry.width])
    if entry.tied:
        target = space.layout.entries[entry.target]
        return iter([tuple(codes[target.column : target.column + target.width])])
    return _values(entry)
