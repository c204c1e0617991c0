"""How the positions of a child's tensor stand in the shared one: segments, slots, and the index between them.

A dimension of a child's tensor is a row of segments, each a box: `(3, heads, width)` for three chunks of
heads. The shared dimension is a row of slots, each the box that holds every segment that takes its place. A
segment is the leading corner of its slot's box, or the middle of it for kernels. Which slot a segment takes
is told by order where the children have as many segments as there are slots, and else by the labels of what
the segment comes from.

Concatenation. The columns of a layer that reads two branches, in children with a first branch of 4 or of 2:

    child       row                  slots (4), (6)     index in the shared dimension of 10
    4 and 6     (4), (6)             both whole         0 … 9
    2 and 6     (2), (6)             2 of 4, whole      0, 1, 4 … 9
    6 alone     (6), labelled b      the second         4 … 9

Heads. The rows of a query in children of 2 heads of 3 and of 4 heads of 2 are the boxes (2, 3) and (4, 2).
A box for both is (4, 3), which is larger than either: 12 positions for children of 6 and 8. Such children
share less than they could, so both are read as the finest heads that both are made of, here 4: the second
as it is, and (2, 3) not at all, as 6 positions are no 4 heads. Then the order is forgotten, and children are
leading slices. Children of 2 heads of 6 and 4 heads of 3 share all of 12 positions: one head of 6 is two of
3 next to each other (`SharedLayout`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Index = slice | tuple[int, ...]
"""What one dimension is indexed by: a slice where the positions follow one another."""


@dataclass(frozen=True)
class Segment:
    """Positions of a child's dimension that stay together.

    Args:
        shape: the box that they are, the last size running fastest.
        labels: where they come from.
        centred: whether a smaller box is the middle of a larger one.
        axes: what identifies each size among the tensors of one child, for finding which orders belong
            together.
    """

    shape: tuple[int, ...]
    labels: frozenset[str] = frozenset()
    centred: bool = False
    axes: tuple[int, ...] = field(default=(), compare=False)

    @property
    def size(self) -> int:
        """How many positions it has."""
        return math.prod(self.shape)

    def refined(self, finer: Mapping[int, Finer]) -> Segment:
        """Return the same positions with some axes read as finer ones."""
        if not any(axis in finer for axis in self.axes):
            return self
        # An axis of `outer * inner` positions becomes two. Where the size in front is that of its heads,
        # their number joins `outer`: (heads 2, width 6) with the width read as (2, 3) is (4, 3).
        shape, axes = list[int](), list[int]()
        for size, axis in zip(self.shape, self.axes, strict=True):
            if axis not in finer:
                shape.append(size)
                axes.append(axis)
                continue
            heads, outer, inner = finer[axis]
            if axes and axes[-1] == heads:
                outer *= shape.pop()
                axes.pop()
            shape += [outer, inner]
            axes += [-axis, axis]  # the outer one is new, and the same for all that have this axis
        return Segment(tuple(shape), self.labels, self.centred, tuple(axes))


Finer = tuple[int | None, int, int]
"""The axis that runs around one, how many parts it is read as, and their size."""
Row = tuple[Segment, ...]
"""A dimension of a child's tensor."""


@dataclass
class Slot:
    """A place in a shared dimension, and all that has been seen to take it.

    Args:
        shape: the box.
        labels: of the segments seen.
        centred: whether segments are the middle of it.
        seen: the shapes of the segments seen.
        finest: the box of the shapes with the most sizes.
        merges: by position of a size in a shape: how it and the next one are one (see `_Orders.settle`).
    """

    shape: tuple[int, ...] = ()
    labels: set[str] = field(default_factory=set)
    centred: bool = False
    seen: set[tuple[int, ...]] = field(default_factory=set)
    finest: tuple[int, ...] = ()
    merges: dict[int, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many positions it has."""
        return math.prod(self.shape)

    def take(self, segment: Segment) -> None:
        """Note a segment."""
        self.take_all((segment,))

    def take_all(self, segments: Iterable[Segment]) -> None:
        """Note segments, whose order does not matter."""
        before = len(self.seen)
        for segment in segments:
            self.labels |= segment.labels
            self.centred |= segment.centred
            self.seen.add(segment.shape)
        if len(self.seen) == before:
            return
        most = max(map(len, self.seen))
        # Size by size the largest of the shapes that know most of the order.
        self.finest = tuple(map(max, zip(*(shape for shape in self.seen if len(shape) == most), strict=True)))

    def gaps(self, shape: tuple[int, ...]) -> tuple[int | None, ...]:
        """Return which size of a shape stands where among the finest ones.

        A single head is no head to its child. Gaps are left where the box grows least; if that is equal, in
        front if there are as many positions as in others' heads together, and else behind.
        """
        count = max(len(self.finest), len(shape))
        missing = count - len(shape)
        # With more than three gaps there are too many ways to try; nobody writes boxes of so many sizes.
        if not missing or not shape or missing > 3:
            return (*range(len(shape)), *(None for _ in range(missing)))
        best: tuple[int | None, ...] | None = None
        heads = math.prod(shape) in {math.prod(other) for other in self.seen if len(other) == count}
        choices = itertools.combinations(range(count), missing)
        for places in choices if heads else reversed(list(choices)):
            rest = iter(range(len(shape)))
            found = tuple(None if place in places else next(rest) for place in range(count))
            if best is None or self._volume(_filled(shape, found)) < self._volume(_filled(shape, best)):
                best = found
        return best or ()

    def pad(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape with as many sizes as the finest, ones in the gaps."""
        return _filled(shape, self.gaps(shape))

    def _volume(self, shape: tuple[int, ...]) -> int:
        return math.prod(map(max, shape, self.finest))

    def fit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a segment's shape as the slot reads it, with the sizes that are one put together."""
        sizes = list(self.pad(shape))
        # From the last place on, so that places in front stay what they are.
        for place in sorted(self.merges, reverse=True):
            if place >= len(sizes):
                continue
            # (outer, inner) is read anew as (finest, whole / finest), or as one size if that does not divide.
            whole = math.prod(sizes[place : place + 2])
            outer = self.merges[place]
            if whole % outer:
                outer = 1
            sizes[place : place + 2] = [outer, whole // outer]
        return tuple(sizes)

    def widen(self) -> None:
        """Make the box hold every shape seen."""
        shapes = [self.fit(shape) for shape in sorted(self.seen)] + [self.shape]
        count = max(map(len, shapes))
        padded = [shape + (1,) * (count - len(shape)) for shape in shapes]
        self.shape = tuple(map(max, zip(*padded, strict=True)))

    def positions(self, segment: Segment) -> NDArray[np.int64]:
        """Return where the positions of a segment stand in the box."""
        shape = self.fit(segment.shape)
        shape += (1,) * (len(self.shape) - len(shape))
        # Row-major: position (i1, …, ik) of the box is (…(i1 * n2 + i2) * n3 + …) + ik. `found` goes from ()
        # to the shape of the segment, one size at a time.
        found = np.zeros((), np.int64)
        for size, most in zip(shape, self.shape, strict=True):
            start = (most - size) // 2 if self.centred else 0
            found = (found[..., None] * most) + np.arange(start, start + size)
        return found.ravel()

    def holds(self, segment: Segment) -> bool:
        """Whether a segment fits into the box."""
        shape = self.fit(segment.shape)
        return len(shape) <= len(self.shape) and all(
            size <= most for size, most in zip(shape, self.shape, strict=False)
        )


def _filled(shape: tuple[int, ...], gaps: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(1 if place is None else shape[place] for place in gaps)


@dataclass
class SharedDimension:
    """A dimension of a shared tensor: slots one after another.

    Args:
        slots: from the first on.
        leading: the labels that each slot had from the rows that have as many segments as there are slots.
        indices: found so far, once the boxes are settled; what is learnt after that changes none.
    """

    slots: list[Slot] = field(default_factory=list)
    leading: list[set[str]] = field(default_factory=list)
    indices: dict[Row, Index] = field(default_factory=dict, compare=False)

    @property
    def size(self) -> int:
        """How many positions it has."""
        return sum(slot.size for slot in self.slots)

    def fill(self, rows: Iterable[Row]) -> None:
        """Make room for the rows of children, in their order; the longest come first."""
        ordered = sorted(rows, key=len, reverse=True)  # stable: of rows as long, the first child's
        if ordered and not self.slots and len(ordered[0]) == 1 == len(ordered[-1]):
            # Nearly all dimensions: one segment in every child, so no order and no placement to choose.
            slot = Slot()
            slot.take_all(row[0] for row in ordered)
            self.slots = [slot]
            return
        for row in ordered:
            if len(row) < len(self.slots) and not self.leading:
                self.leading = [set(slot.labels) for slot in self.slots]
            self.make_room(row)
        self.leading = self.leading or [set(slot.labels) for slot in self.slots]

    def make_room(self, row: Row) -> list[int]:
        """Make room for a child's dimension, a slot for each of its segments; the longest rows come first."""
        places = self.places(row)
        if places is None:
            # This child has more segments than any before: the slots known keep the segments that are theirs.
            kept = align([slot.labels for slot in self.slots], [set(segment.labels) for segment in row])
            fresh = [Slot() for _ in row]
            for slot, place in zip(self.slots, kept, strict=True):
                fresh[place] = slot
            self.slots = fresh
            places = list(range(len(row)))
        for place, segment in zip(places, row, strict=True):
            self.slots[place].take(segment)
        return places

    @classmethod
    def of(cls, rows: Sequence[Row]) -> SharedDimension:
        """Return the dimension that holds the rows of children, none of which has an inner order."""
        made = cls()
        made.fill(rows)
        for slot in made.slots:
            slot.widen()
        return made

    def knows(self, row: Row) -> bool:
        """Whether a further row without inner order changes nothing, or only what may be noted in place."""
        if len(row) != len(self.slots):
            return False
        if len(row) == 1:
            # The labels of the only slot choose nothing: they are noted, and what has a box has its place.
            slot, segment = self.slots[0], row[0]
            if segment.size > slot.size or (segment.centred and not slot.centred):
                return False
            slot.take(segment)
            return True
        # By order, and with labels that were there before shorter rows were placed by them.
        if not self.leading:
            return False
        return all(
            segment.labels <= labels and segment.shape in slot.seen and segment.centred <= slot.centred
            for slot, labels, segment in zip(self.slots, self.leading, row, strict=True)
        )

    @property
    def ordered(self) -> bool:
        """Whether there are segments with an inner order."""
        return any(len(slot.finest) > 1 for slot in self.slots)

    def places(self, row: Row) -> list[int] | None:
        """Return the slots of a row's segments, or None where there are fewer slots than segments."""
        if len(row) > len(self.slots):
            return None
        if len(row) == len(self.slots):
            return list(range(len(row)))
        alike = tuple(
            tuple(not segment.labels.isdisjoint(slot.labels) for slot in self.slots) for segment in row
        )
        return list(_placed(alike))

    def holds(self, row: Row) -> bool:
        """Whether a child's dimension fits."""
        places = self.places(row)
        return places is not None and all(
            self.slots[place].holds(segment) for place, segment in zip(places, row, strict=True)
        )

    def index(self, row: Row) -> Index:
        """Return where the positions of a child's dimension stand."""
        if len(self.slots) == 1 == len(row):
            (slot,), (segment,) = self.slots, row
            if len(slot.shape) == 1 == len(segment.shape) and not slot.merges and segment.size:
                start = (slot.size - segment.size) // 2 if slot.centred else 0
                return slice(start, start + segment.size)
        known = self.indices.get(row)
        if known is None:
            known = self.indices[row] = self._index(row)
        return known

    def _index(self, row: Row) -> Index:
        offsets = np.cumsum([0, *(slot.size for slot in self.slots)])  # where each slot begins
        parts = [
            offsets[place] + self.slots[place].positions(segment)
            for place, segment in zip(self.places(row) or (), row, strict=True)
        ]
        found = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        # A slice is a view, and costs nothing at every call of a child; positions are gathered. An empty part
        # is a slice as well.
        start, count = (int(found[0]), len(found)) if len(found) else (0, 0)
        if np.array_equal(found, np.arange(start, start + count)):
            return slice(start, start + count)
        return tuple(found.tolist())


def align(row: Sequence[set[str]], slots: Sequence[set[str]]) -> list[int]:
    """Place a row in order among as many slots or more: by most labels in common, then to the left."""
    if len(row) == len(slots):
        return list(range(len(row)))
    return list(_placed(tuple(tuple(bool(labels & slot) for slot in slots) for labels in row)))


@functools.lru_cache(maxsize=1 << 14)
def _placed(alike: tuple[tuple[bool, ...], ...]) -> tuple[int, ...]:
    """Place segments among slots, given by segment and slot whether they share a label.

    The score of a placement is how many segments share a label with their slot. By dynamic programming, as
    sequences are aligned (Needleman and Wunsch 1970): after each segment, the best placement of those so far
    is kept for every slot that the last one may have taken; segments times slots squared.
    """
    # By segment: by the slot of the last one, the score and the slots of all. Before the first, none.
    best: dict[int, tuple[int, tuple[int, ...]]] = {-1: (0, ())}
    for mine in alike:
        reached: dict[int, tuple[int, tuple[int, ...]]] = {}
        for last, (score, places) in best.items():
            for place in range(last + 1, len(mine)):
                found = (score + mine[place], (*places, place))
                known = reached.get(place)
                # A higher score, or as high a one further to the left.
                if known is None or (-found[0], found[1]) < (-known[0], known[1]):
                    reached[place] = found
        best = reached
    return min(best.values(), key=lambda found: (-found[0], found[1]))[1]


SizePair = tuple[str, int, int, int]
"""Two neighbouring sizes of a segment: the tensor, the dimension, the slot and the place in the shape.

Of (3, heads, width) they are (3, heads) at place 0, and (heads, width) at place 1.
"""


Tensors = Mapping[str, Sequence[Row]]
"""The dimensions of a child's tensors, by key."""


@dataclass(frozen=True)
class Joined:
    """A layout that further children have joined.

    Args:
        layout: of all.
        touched: keys of tensors of which a dimension was made anew: all others are as they were.
    """

    layout: SharedLayout
    touched: set[str]


class SharedLayout:
    """The dimensions of all shared tensors.

    Where the number of heads (or groups) is chosen as well as their width, the box of the most heads by the
    widest is larger than any child. All are then read as the finest heads that every child's are made of: one
    head of four is two heads of two, next to each other. So is every tensor that knows a single head only.

    Two passes over the children do this. The coarse one aligns them as they are, and finds the pairs of sizes
    whose box is excessive, with the finest outer size that divides all. The fine one aligns them anew, every
    segment read so. Heads are one thing in several tensors (the rows of q, k and v, the columns of the
    projection behind them), so what is decided for one pair holds for all that have the same axes.
    """

    def __init__(self) -> None:
        self._coarse = _Orders()
        self._finest: dict[SizePair, int] = {}
        self._fine = _Orders()

    @property
    def tensors(self) -> Mapping[str, Sequence[SharedDimension]]:
        """The dimensions by key."""
        return self._fine.tensors

    def make_room(self, children: Sequence[Tensors]) -> None:
        """Make room for the tensors of children, and settle the shapes."""
        self._coarse.make_room(children)
        self._finest = {node: finest for node, finest in self._coarse.excessive() if finest > 1}
        # Where nothing is read as finer, the second pass would do what the first has done.
        self._fine = self._coarse
        if self._finest:
            self._fine = _Orders()
            self._fine.make_room([self.refined(child) for child in children])
        self._fine.settle()

    def joined(self, known: Sequence[Tensors], new: Sequence[Tensors]) -> Joined | None:
        """Return what `make_room` makes of the children known and new ones, learning only what changes.

        None where some order inside segments has a part in it: then all are to be laid out anew. This layout
        goes on telling where the children known stood in the dimensions that were made anew.

        Args:
            known: the children that this layout was made for.
            new: further ones.
        """
        if self._finest:
            return None
        made, touched = SharedLayout(), set[str]()
        made._coarse = made._fine = orders = self._fine.copy()
        for number, child in enumerate(new):
            for key, rows in child.items():
                if key not in orders.tensors:
                    orders.tensors[key] = [SharedDimension() for _ in rows]
                    touched.add(key)
                for dim, row in enumerate(rows):
                    dimension = orders.tensors[key][dim]
                    if any(len(segment.shape) > 1 for segment in row) or dimension.ordered:
                        return None
                    if dimension.knows(row):
                        continue
                    before = [each[key][dim] for each in (*known, *new[:number]) if key in each]
                    orders.tensors[key] = list(orders.tensors[key])
                    orders.tensors[key][dim] = SharedDimension.of([*before, row])
                    touched.add(key)
        return Joined(made, touched)

    def refined(self, child: Tensors) -> Tensors:
        """Return a child's dimensions with its heads read as the finest ones."""
        if not self._finest:
            return child
        asked: dict[int, Finer] = {}  # by axis: tensors that have an axis of another one are read like it
        for key, rows in child.items():
            for dim, row in enumerate(rows):
                for slot, segment in self._coarse.placed(key, dim, row):
                    asked.update(self._asked((key, dim, slot), segment))
        if not asked:
            return child
        return {
            key: tuple(tuple(segment.refined(asked) for segment in row) for row in rows)
            for key, rows in child.items()
        }

    def _asked(self, where: tuple[str, int, int], segment: Segment) -> Iterator[tuple[int, Finer]]:
        if not segment.axes:
            return
        gaps = self._coarse.slot(where).gaps(segment.shape)
        for place, (before, after) in enumerate(itertools.pairwise(gaps)):
            finest = self._finest.get((*where, place))
            if finest is None or after is None:
                continue
            outer, inner = 1 if before is None else segment.shape[before], segment.shape[after]
            # Its heads are each `finest / outer` of the finest ones, if those divide it at all.
            if finest % outer == 0 and outer * inner % finest == 0:
                heads = None if before is None else segment.axes[before]
                yield segment.axes[after], (heads, finest // outer, outer * inner // finest)

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a shared tensor."""
        return tuple(dimension.size for dimension in self.tensors[key])

    def simple(self, key: str) -> bool:
        """Whether where a part of a tensor stands is told by its sizes alone."""
        return all(
            len(dimension.slots) == 1 and len(dimension.slots[0].shape) <= 1
            for dimension in self.tensors[key]
        )

    def holds(self, child: Tensors) -> bool:
        """Whether a child's tensors are parts of the shared ones; the child's dimensions are refined ones."""
        return all(
            key in self.tensors
            and len(self.tensors[key]) == len(rows)
            and all(dimension.holds(row) for dimension, row in zip(self.tensors[key], rows, strict=True))
            for key, rows in child.items()
        )

    def index(self, key: str, rows: Sequence[Row]) -> tuple[Index, ...]:
        """Return where a child's tensor stands in the shared one; the child's dimensions are refined ones."""
        return tuple(dimension.index(row) for dimension, row in zip(self.tensors[key], rows, strict=True))


class _Orders:
    """The dimensions of shared tensors, and which of their inner orders belong together."""

    def __init__(self) -> None:
        self.tensors: dict[str, list[SharedDimension]] = {}
        self._pairs: dict[SizePair, set[tuple[int, int]]] = {}
        self._same: dict[SizePair, SizePair] = {}

    def copy(self) -> _Orders:
        """Return the same, to which dimensions can be added, or put in the place of others."""
        made = _Orders()
        made.tensors, made._pairs, made._same = dict(self.tensors), self._pairs, self._same
        return made

    def make_room(self, children: Sequence[Tensors]) -> None:
        """Make room for the tensors of children."""
        by_dimension: dict[tuple[str, int], list[tuple[int, Row]]] = {}
        for number, tensors in enumerate(children):
            for key, dims in tensors.items():
                self.tensors.setdefault(key, [SharedDimension() for _ in dims])
                for dim, row in enumerate(dims):
                    by_dimension.setdefault((key, dim), []).append((number, row))
        # Pairs that have the same two axes in one child are the same two numbers in all (by union-find).
        first: dict[tuple[int, int, int], SizePair] = {}
        for (key, dim), rows in by_dimension.items():
            # The longest rows first, so that there are slots for those with fewer segments to choose among.
            dimension = self.tensors[key][dim]
            dimension.fill(row for _, row in rows)
            if dimension.ordered:
                for number, row in rows:
                    for slot, segment in self.placed(key, dim, row):
                        self._note(first, number, (key, dim, slot), segment)

    def slot(self, where: tuple[str, int, int]) -> Slot:
        """Return a slot."""
        key, dim, slot = where
        return self.tensors[key][dim].slots[slot]

    def placed(self, key: str, dim: int, row: Row) -> Iterator[tuple[int, Segment]]:
        """Yield the segments of a child's dimension with the numbers of their slots."""
        dims = self.tensors.get(key, ())
        places = dims[dim].places(row) if dim < len(dims) else None
        if places is not None:
            yield from zip(places, row, strict=True)

    def _note(
        self,
        first: dict[tuple[int, int, int], SizePair],
        number: int,
        where: tuple[str, int, int],
        segment: Segment,
    ) -> None:
        shape = self.slot(where).pad(segment.shape)
        for place, (outer, inner) in enumerate(itertools.pairwise(shape)):
            node = (*where, place)
            self._same.setdefault(node, node)
            self._pairs.setdefault(node, set()).add((outer, inner))
            # A padded shape has sizes without axes, which tell nothing of other tensors.
            if segment.axes and shape == segment.shape:
                mine = (number, segment.axes[place], segment.axes[place + 1])
                self._join(node, first.setdefault(mine, node))

    def _join(self, a: SizePair, b: SizePair) -> None:
        a, b = self._root(a), self._root(b)
        if a != b:
            self._same[a] = b

    def _root(self, node: SizePair) -> SizePair:
        while self._same[node] != node:
            node = self._same[node]
        return node

    def excessive(self) -> Iterator[tuple[SizePair, int]]:
        """Yield the pairs of sizes whose box is larger than any child, with the finest outer size.

        It is 1 where no outer size is a multiple of all: the order is then forgotten.
        """
        pairs: dict[SizePair, set[tuple[int, int]]] = {}
        for node, seen in self._pairs.items():
            pairs.setdefault(self._root(node), set()).update(seen)
        for node in self._pairs:
            seen = pairs[self._root(node)]
            # The box of all is max(outer) * max(inner); no child has more than max(outer * inner).
            most = max(outer * inner for outer, inner in seen)
            if max(outer for outer, _ in seen) * max(inner for _, inner in seen) > most:
                # The coarsest reading of all as parts of one: heads 2 and 4 are 4, heads 2 and 3 are 6.
                finest = math.lcm(*(outer for outer, _ in seen))
                yield node, finest if all(outer * inner % finest == 0 for outer, inner in seen) else 1

    def settle(self) -> None:
        """Choose the boxes."""
        for (key, dim, slot, place), finest in self.excessive():
            self.slot((key, dim, slot)).merges[place] = finest
        for dims in self.tensors.values():
            for dimension in dims:
                for box in dimension.slots:
                    box.widen()


def plain(sizes: Iterable[int]) -> tuple[Row, ...]:
    """Return the rows of a tensor of which nothing is known: leading slices."""
    return tuple((Segment((size,)),) for size in sizes)
