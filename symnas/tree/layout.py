"""A space compiled to columns: where every point's codes stand, and when it is known whether it exists.

Points are numbered in pre-order. Finite points take one column of codes, selections one per slot, real
ranges one column of floats. A loop of one or two turns with a kernel in each, one or two out of three, and
a rate:

    number  point         domain               exists          stage  columns
    0       i             1..2                 always          0      codes 0
    1       i[0].k        {3, 5}               i has code 0, 1 1      codes 1
    2       i[1].k        {3, 5}               i has code 1    1      codes 2
    3       m             1..2 of {a, b, c}    always          0      codes 3, 4
    4       r             0.0..1.0             always          0      reals 0

The decision {i: 1, i[0].k: 5, m: (c,), r: 0.5} is the row

    codes   0  1  INACTIVE  2  UNUSED      reals   0.5

since a value is stored as its position in the domain, `i[1].k` does not exist, and the second slot of `m`
is not needed. A real range that does not exist is NaN.

Ties take columns of their own that mirror their target's, so that whatever depends on a tie needs nothing
special; they are left out wherever decisions are counted, compared or encoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from symnas._typing import Codes, Ints, Reals, Value
from symnas.errors import SpaceError, nearest
from symnas.tree.choices import Branch, FloatRange, Guard, IntRange, ManyOf, Permutation, Point, Tied
from symnas.tree.subsets import INACTIVE, UNUSED, Subsets

# A column of codes; a column of codes per slot; a column of floats.
SINGLE, SLOTS, REAL = 0, 1, 2


def walk(points: Iterable[Point]) -> Iterator[tuple[Point, Point | None, Branch | None]]:
    """Yield every point in pre-order with its parent and the branch it stands in."""
    stack: list[tuple[Point, Point | None, Branch | None]] = [(p, None, None) for p in points]
    # Popped from the end, so what comes first is pushed last.
    stack.reverse()
    while stack:
        point, parent, branch = stack.pop()
        yield point, parent, branch
        below = [(child, point, b) for b in point.branches for child in b.points]
        stack.extend(reversed(below))


@dataclass(slots=True)
class Entry:
    """One point's place in the columns and in the tree.

    Args:
        point: the point itself.
        number: its pre-order number.
        parent: number of its parent, or -1.
        branch: the branch of the parent it stands in.
        domain: the point whose values it takes: itself, or a tie's target.
        shape: `SINGLE`, `SLOTS` or `REAL`.
        column: first column, of codes or of floats.
        width: how many columns.
        card: how many values a single column takes.
        target: number of a tie's target, or -1.
        end: one past the last number below it.
        stage: the round in which its existence is known; 0 for points that always exist, else one more than
            the largest stage of what it hangs on: its parent, a tie's target, the sources of its guards.
        below: numbers of its children, in order.
    """

    point: Point
    number: int
    parent: int
    branch: Branch | None
    domain: Point
    shape: int
    column: int
    width: int
    card: int
    target: int = -1
    end: int = 0
    stage: int = 0
    below: list[int] = field(default_factory=list)

    @property
    def columns(self) -> range:
        """The point's columns."""
        return range(self.column, self.column + self.width)

    @property
    def tied(self) -> bool:
        """Whether the point only repeats another's value."""
        return self.target >= 0

    @property
    def mutable(self) -> bool:
        """Whether the point has at least two values of its own."""
        return self.target < 0 and self.domain.cardinality > 1

    @property
    def default(self) -> Value:
        """The value that the point takes unless told otherwise; a tie's is its target's."""
        default: Value = self.domain.default  # type: ignore[attr-defined]
        return default

    @property
    def subsets(self) -> Subsets:
        """The selections of a point that has slots."""
        assert isinstance(self.domain, ManyOf | Permutation)
        return self.domain.subsets

    def slots(self, codes: Sequence[int]) -> list[int]:
        """Return a selection as its columns hold it: the codes chosen, then unused slots."""
        return [*codes, *[UNUSED] * (self.width - len(codes))]


class Layout:
    """The compiled form of a tree; building it is also what checks the tree as a whole.

    Args:
        points: the roots.

    Attributes:
        entries: the points, by number.
        own: those that are no ties.
        index: the number of every address.
        columns: how many columns of codes a row has.
        reals: how many columns of floats.
        dtype: the smallest signed integers that hold every code.
        row_bytes: how long a row is.
    """

    def __init__(self, points: tuple[Point, ...]) -> None:
        self.entries: list[Entry] = []
        self.index: dict[str, int] = {}
        self.columns = 0
        self.reals = 0
        for point, parent, branch in walk(points):
            self._add(point, parent, branch)
        self._close()
        self._check_ties()
        # `card` itself fits, one more than the largest code.
        top = max((e.card for e in self.entries if e.shape != REAL), default=1)
        self.dtype: np.dtype[np.signedinteger] = np.dtype(
            next(t for t in (np.int8, np.int16, np.int32, np.int64) if top <= np.iinfo(t).max)
        )
        self.row_bytes = self.columns * self.dtype.itemsize + self.reals * 8
        self.own = [e for e in self.entries if not e.tied]

    # ------------------------------------------------------------ construction

    def _add(self, point: Point, parent: Point | None, branch: Branch | None) -> None:
        if point.address in self.index:
            raise SpaceError(f"addresses are unique in a space; {point.address!r} is given to two points")
        number = len(self.entries)
        up = self.index[parent.address] if parent is not None else -1
        # A tie of a tie takes the values of the last target.
        domain, target = point, -1
        if isinstance(point, Tied):
            target = self._earlier(point, point.target, "a tie's target")
            domain = self.entries[target].domain
            for below in point.branches:
                domain._check_branch(below)
        shape, width, card = self._shape(domain)
        column = self.reals if shape == REAL else self.columns
        entry = Entry(point, number, up, branch, domain, shape, column, width, card, target)
        if shape == REAL:
            self.reals += width
        else:
            self.columns += width
        # stage = 1 + the largest stage of parent, target and sources, which all stand earlier; else 0
        if target >= 0:
            entry.stage = self.entries[target].stage + 1
        if up >= 0:
            self.entries[up].below.append(number)
            entry.stage = max(entry.stage, self.entries[up].stage + 1)
        for guard in point.guards:
            self._check_guard(point, guard, entry)
        self.index[point.address] = number
        self.entries.append(entry)

    @staticmethod
    def _shape(domain: Point) -> tuple[int, int, int]:
        if isinstance(domain, ManyOf):
            return SLOTS, domain.high, domain.codes
        if isinstance(domain, Permutation):
            return SLOTS, domain.codes, domain.codes
        if isinstance(domain, FloatRange) and not domain.finite:
            return REAL, 1, 0
        return SINGLE, 1, domain.codes

    def _earlier(self, point: Point, address: str, role: str) -> int:
        number = self.index.get(address)
        if number is None:
            raise SpaceError(
                f"{point.address}: {role} stands earlier in the tree, and no point {address!r} does"
                f"{nearest(address, self.index)}"
            )
        return number

    def _check_guard(self, point: Point, guard: Guard, entry: Entry) -> None:
        for position, address in enumerate(guard.addresses):
            source = self.entries[self._earlier(point, address, "a guard's source")]
            if source.shape == REAL:
                raise SpaceError(f"{point.address}: a guard needs finite points, {address} is a real range")
            if source.shape == SLOTS and not source.subsets.tabulated:
                raise SpaceError(f"{point.address}: {address} has too many values for a guard's table")
            top = source.domain.cardinality
            wrong = [row[position] for row in guard.allowed if not INACTIVE <= row[position] < top]
            if wrong:
                raise SpaceError(
                    f"{point.address}: a guard over {address} uses codes -1..{top - 1}, got {wrong[0]}"
                )
            entry.stage = max(entry.stage, source.stage + 1)

    def _close(self) -> None:
        # Numbers are in pre-order, so what is below a point is the run from its number to `end`.
        for entry in reversed(self.entries):
            entry.end = max(entry.end, entry.number + 1)
            if entry.parent >= 0:
                up = self.entries[entry.parent]
                up.end = max(up.end, entry.end)

    def _conditions(self, number: int) -> tuple[dict[int, list[Branch]], set[Guard]]:
        edges: dict[int, list[Branch]] = {}
        guards: set[Guard] = set()
        # From the point to its root: it exists only if all on the way do.
        while number >= 0:
            entry = self.entries[number]
            guards.update(entry.point.guards)
            if entry.branch is not None:
                edges.setdefault(entry.parent, []).append(entry.branch)
            number = entry.parent
        return edges, guards

    def _check_ties(self) -> None:
        # A tie exists only where its target does if each condition of the target (a branch of a parent, or a
        # guard) is implied by one of the tie's. A tie that stands earlier has passed: its own conditions
        # imply those of what it repeats in turn.
        for entry in self.entries:
            if not entry.tied:
                continue
            mine, mine_guards = self._conditions(entry.parent)
            theirs, their_guards = self._conditions(entry.target)
            mine_guards |= set(entry.point.guards)
            if entry.branch is not None:
                mine.setdefault(entry.parent, []).append(entry.branch)
            implied = all(
                any(_within(branch, given) for given in mine.get(parent, []))
                for parent, branches in theirs.items()
                for branch in branches
            )
            if not implied or not their_guards <= mine_guards:
                target = self.entries[entry.target].point.address
                raise SpaceError(
                    f"{entry.point.address}: a tie's target exists wherever the tie does, and {target} may "
                    "be absent there; tie to a point under the same conditions or less"
                )

    # ------------------------------------------------------------ asking

    def entry(self, address: str) -> Entry:
        """Return a point's place; a `SpaceError` suggests the nearest address."""
        number = self.index.get(address)
        if number is None:
            raise SpaceError(f"the space has no point {address!r}{nearest(str(address), self.index)}")
        return self.entries[number]

    @cached_property
    def owners(self) -> tuple[Ints, Ints]:
        """The number of the point of each column: of codes (columns,), and of floats (reals,)."""
        owners, real_owners = np.zeros(self.columns, np.intp), np.zeros(self.reals, np.intp)
        for entry in self.entries:
            store = real_owners if entry.shape == REAL else owners
            store[entry.column : entry.column + entry.width] = entry.number
        return owners, real_owners

    # ------------------------------------------------------------ rows

    def split(self, rows: bytes | bytearray) -> tuple[Codes, Reals]:
        """Read rows as bytes back into codes (n, columns) and floats (n, reals)."""
        # A row is its codes, then its floats. Rows of a space without points have no bytes; 1 keeps the shape
        # valid.
        size = max(self.row_bytes, 1)
        table = np.frombuffer(rows, np.uint8).reshape(-1, size)[:, : self.row_bytes]
        cut = self.columns * self.dtype.itemsize
        codes = np.ascontiguousarray(table[:, :cut]).view(self.dtype).reshape(len(table), self.columns)
        reals = np.ascontiguousarray(table[:, cut:]).view(np.float64).reshape(len(table), self.reals)
        return codes, reals

    def join(self, codes: Codes, reals: Reals) -> bytes:
        """Write codes (n, columns) and floats (n, reals) as one run of bytes, row after row."""
        if not self.reals:
            return codes.tobytes()
        if not self.columns:
            return reals.tobytes()
        # As bytes, (n, bytes of a row): columns of different types can only lie side by side as these.
        left = np.ascontiguousarray(codes).view(np.uint8)
        return np.concatenate([left, np.ascontiguousarray(reals).view(np.uint8)], axis=1).tobytes()


def _within(branch: Branch, given: Branch) -> bool:
    if isinstance(branch.when, range):
        # Codes rise, so that those between the first and the last are within as well.
        inside = given.bounds[0] in branch.when and given.bounds[1] in branch.when
    else:
        inside = len(given.when) <= len(branch.when) and set(given.when) <= set(branch.when)
    return inside and given.occurrence >= branch.occurrence


def scale_bounds(point: IntRange | FloatRange) -> tuple[float, float]:
    """Return the bounds between which a number is scaled, in logarithms where the range is logarithmic."""
    if point.log:
        return math.log(point.low), math.log(point.high)
    return float(point.low), float(point.high)
