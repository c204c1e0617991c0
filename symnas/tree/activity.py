"""Which points exist in each row: conditions evaluated over whole columns, grouped over points alike.

A point exists if its parent does and has taken a code in the branch's `when`, and if all its guards hold.
This is decided in stages: what a point of stage s hangs on is known once the stages before have been
settled, so that each stage is a few operations on arrays, however deep trees are. In a stage ties copy
their targets, then every condition that fails empties its points: their codes become INACTIVE, their reals
NaN. A parent that does not exist has a code that is in no `when`, so that its children fall in the next
stage by themselves.

Arrays are (columns, rows) here: a point's codes in all rows lie side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Mask, Reals
from symnas.tree.choices import Guard, Permutation
from symnas.tree.layout import REAL, SLOTS, Entry, Layout
from symnas.tree.ranges import LONG
from symnas.tree.subsets import INACTIVE, UNUSED

# Entries of a guard's truth table, of one byte each.
MAX_LOOKUP = 1 << 20

Test = Callable[[Codes], Mask]


@dataclass(slots=True)
class _Condition:
    """Tests side by side, and the columns that each of them empties where it fails.

    Args:
        test: from codes (columns, rows) to what holds (tests, rows).
        columns: (affected,) columns of codes.
        column_tests: (affected,) the test of each of these columns.
        reals: (affected,) columns of floats.
        real_tests: (affected,) the test of each.
    """

    test: Test
    columns: NDArray[np.intp]
    column_tests: NDArray[np.intp]
    reals: NDArray[np.intp]
    real_tests: NDArray[np.intp]

    def apply(self, codes: Codes, reals: Reals) -> None:
        # held (tests, rows); an index by a list copies, so what was taken out is put back: (affected, rows)
        held = self.test(codes)
        if len(self.columns):
            kept = codes[self.columns]
            np.copyto(kept, INACTIVE, where=~held[self.column_tests])
            codes[self.columns] = kept
        if len(self.reals):
            values = reals[self.reals]
            np.copyto(values, np.nan, where=~held[self.real_tests])
            reals[self.reals] = values


@dataclass(slots=True)
class _Stage:
    """What becomes known together: ties copied first, then conditions one group after the other."""

    ties: tuple[NDArray[np.intp], NDArray[np.intp]]
    real_ties: tuple[NDArray[np.intp], NDArray[np.intp]]
    conditions: list[_Condition]


def _array(numbers: list[int]) -> NDArray[np.intp]:
    return np.array(numbers, np.intp)


class Activity:
    """Empties the columns of points that do not exist, given the codes of those they depend on."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        by_stage: dict[int, list[Entry]] = {}
        # Points of stage 0 always exist.
        for entry in layout.entries:
            if entry.stage:
                by_stage.setdefault(entry.stage, []).append(entry)
        self.stages = [self._stage(by_stage[stage]) for stage in sorted(by_stage)]

    def mask(self, codes: Codes, reals: Reals) -> None:
        """Empty, in place, the columns of points that do not exist.

        Args:
            codes: (columns, rows), every column filled.
            reals: (reals, rows), every column filled.
        """
        for stage in self.stages:
            if len(stage.ties[0]):
                codes[stage.ties[0]] = codes[stage.ties[1]]
            if len(stage.real_ties[0]):
                reals[stage.real_ties[0]] = reals[stage.real_ties[1]]
            for condition in stage.conditions:
                condition.apply(codes, reals)

    def tests(self, entry: Entry) -> list[Test]:
        """Return the tests, (1, rows) each, that hold together where a point exists.

        They look at columns of earlier points only, so that a row may be decided point by point.
        """
        own = [] if entry.branch is None else [self._edges(self._edge_kind(entry)[0], [entry])]
        return own + [self._guard(guard) for guard in entry.point.guards]

    # ------------------------------------------------------------ compilation

    def _stage(self, entries: list[Entry]) -> _Stage:
        layout = self.layout
        ties: tuple[list[int], list[int]] = ([], [])
        real_ties: tuple[list[int], list[int]] = ([], [])
        for entry in entries:
            if entry.tied:
                pair = real_ties if entry.shape == REAL else ties
                pair[0].extend(entry.columns)
                pair[1].extend(layout.entries[entry.target].columns)
        # Points under one branch share its test, and branches of one kind make one operation; so do points
        # that have equal guards.
        edges: dict[tuple[str, int], dict[tuple[int, int], list[Entry]]] = {}
        guards: dict[Guard, list[Entry]] = {}
        for entry in entries:
            if entry.branch is not None:
                kind = self._edge_kind(entry)
                edges.setdefault(kind, {}).setdefault((entry.parent, id(entry.branch)), []).append(entry)
            for guard in entry.point.guards:
                guards.setdefault(guard, []).append(entry)
        conditions = [
            self._condition(self._edges(kind[0], [group[0] for group in groups.values()]), groups.values())
            for kind, groups in edges.items()
        ]
        conditions += [self._condition(self._guard(guard), [group]) for guard, group in guards.items()]
        return _Stage(
            (_array(ties[0]), _array(ties[1])), (_array(real_ties[0]), _array(real_ties[1])), conditions
        )

    def _edge_kind(self, entry: Entry) -> tuple[str, int]:
        assert entry.branch is not None
        parent = self.layout.entries[entry.parent]
        if isinstance(parent.domain, Permutation):
            return "range", 1
        if parent.shape == SLOTS:
            return "slots", parent.width
        if isinstance(entry.branch.when, range):
            return "range", 1
        return ("list" if parent.card <= LONG else "long"), 1

    def _condition(self, test: Test, groups: Iterable[list[Entry]]) -> _Condition:
        places: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
        for position, group in enumerate(groups):
            for entry in group:
                shift = 2 if entry.shape == REAL else 0
                places[shift].extend(entry.columns)
                places[shift + 1].extend([position] * entry.width)
        return _Condition(test, *map(_array, places))

    def _edges(self, kind: str, firsts: list[Entry]) -> Test:
        """Compile branches of one kind into one test; `firsts` has a child of each.

        Args:
            kind: "range" where every `when` is a run of codes, so that two comparisons do; "list" where codes
                are looked up in a table, "long" where the table would be too long; "slots" where any slot of
                a selection may have such a code.
            firsts: one point under each branch.
        """
        parents = [self.layout.entries[entry.parent] for entry in firsts]
        branches = [entry.branch for entry in firsts if entry.branch is not None]
        columns = _array([parent.column for parent in parents])
        if kind == "range":
            # A permutation has all its candidates, so points below it exist wherever it does.
            tops = [
                (0, parent.card - 1) if isinstance(parent.domain, Permutation) else branch.bounds
                for parent, branch in zip(parents, branches, strict=True)
            ]
            bounds = np.array(tops, self.layout.dtype)
            # INACTIVE is below every `low`: what hangs on an absent parent is absent.
            low, high = bounds[:, :1], bounds[:, 1:]

            def in_range(codes: Codes) -> Mask:
                parent = codes[columns]
                return (parent >= low) & (parent <= high)

            return in_range
        if kind == "long":

            def in_long_list(codes: Codes) -> Mask:
                pairs = zip(parents, branches, strict=True)
                return np.array([np.isin(codes[parent.column], branch.when) for parent, branch in pairs])

            return in_long_list
        offsets, table = _lookup(
            [(parent.card, list(b.when)) for parent, b in zip(parents, branches, strict=True)]
        )
        if kind == "list":

            def in_list(codes: Codes) -> Mask:
                found: Mask = table[codes[columns] + offsets[:, None]]
                return found

            return in_list
        # (branches, slots) the columns of each parent's slots.
        slots = columns[:, None] + np.arange(parents[0].width)
        before = np.array([b.occurrence for b in branches])[:, None]
        if all(isinstance(b.when, range) for b in branches) and not before.any():
            # (branches, 2, 1, 1), against (branches, slots, rows).
            limits = np.array([b.bounds for b in branches], self.layout.dtype)[:, :, None, None]

            def in_any_slot(codes: Codes) -> Mask:
                chosen = codes[slots]  # (branches, slots, rows)
                held: Mask = ((chosen >= limits[:, 0]) & (chosen <= limits[:, 1])).any(axis=1)
                return held

            return in_any_slot

        # The k-th repetition's points exist if more than k slots have a code of the branch.
        def in_slots(codes: Codes) -> Mask:
            hits = table[codes[slots] + offsets[:, None, None]]
            held: Mask = hits.sum(axis=1) > before
            return held

        return in_slots

    def _guard(self, guard: Guard) -> Test:
        sources = [self.layout.entries[self.layout.index[address]] for address in guard.addresses]
        # A row of codes is one number, c + 1 being a digit with as many values as the source, and 0 INACTIVE.
        sizes = [int(source.domain.cardinality) + 1 for source in sources]
        # key = sum over sources i of (c_i + 1) * stride_i,  stride_i = product of sizes j > i
        strides = [math.prod(sizes[position + 1 :]) for position in range(len(sizes))]
        span = math.prod(sizes)
        # Too many for keys of 64 bits, for a table, for neither: by Python's sets, by `isin`, by one look.
        if span >= 2**62:
            return lambda codes: np.array([row in guard.allowed for row in _rows(sources, codes)], bool)[
                None, :
            ]
        keys = [sum((c + 1) * s for c, s in zip(row, strides, strict=True)) for row in guard.allowed]
        if span <= MAX_LOOKUP:
            table = np.zeros(span, bool)
            table[keys] = True

            def by_table(codes: Codes) -> Mask:
                held: Mask = table[_pack(sources, strides, codes)][None, :]
                return held

            return by_table
        allowed = np.array(sorted(keys), np.int64)
        return lambda codes: np.isin(_pack(sources, strides, codes), allowed)[None, :]


def _lookup(edges: list[tuple[int, list[int]]]) -> tuple[NDArray[np.intp], Mask]:
    """Concatenate one truth table per edge; two leading places catch inactive and unused codes."""
    # code c of an edge stands at offset + c; offset - 1 is INACTIVE, offset - 2 UNUSED, and both are False
    offsets, size = [], 0
    for card, _ in edges:
        offsets.append(size - UNUSED)
        size += card - UNUSED
    table = np.zeros(size, bool)
    for offset, (_, when) in zip(offsets, edges, strict=True):
        table[[offset + code for code in when]] = True
    return _array(offsets), table


def source_codes(source: Entry, codes: Codes) -> NDArray[np.int64]:
    """Return the codes (rows,) that guards see: positions of values, -1 where the point does not exist."""
    if source.shape == SLOTS:
        return source.subsets.rank_rows(codes[source.column : source.column + source.width].T)
    column: NDArray[np.int64] = codes[source.column].astype(np.int64)
    return column


def _pack(sources: list[Entry], strides: list[int], codes: Codes) -> NDArray[np.int64]:
    key = np.zeros(codes.shape[1], np.int64)
    for source, stride in zip(sources, strides, strict=True):
        key += (source_codes(source, codes) + 1) * stride
    return key


def _rows(sources: list[Entry], codes: Codes) -> list[tuple[int, ...]]:
    return list(zip(*(source_codes(source, codes).tolist() for source in sources), strict=True))
