"""How the positions of a child's tensor stand in the shared one: segments, slots, and the index between them.

A dimension of a child's tensor is a row of segments, each a box: `(3, heads, width)` for three chunks of
heads. The shared dimension is a row of slots, each the box that holds every segment that takes its place. A
segment is the leading corner of its slot's box, or the middle of it for kernels. Which slot a segment takes
is told by order where the children have as many segments as there are slots, and else by the labels of what
the segment comes from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
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
        merges: by position of a size in a shape: how it and the next one are one (see `Shared.settle`).
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
        self.labels |= segment.labels
        self.centred |= segment.centred
        self.seen.add(segment.shape)
        most = max(map(len, self.seen))
        self.finest = tuple(map(max, zip(*(shape for shape in self.seen if len(shape) == most), strict=True)))

    def pad(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape with as many sizes as the finest: a single head is no head to its child.

        Ones are put where the box grows least, and behind if that is equal.
        """
        missing = len(self.finest) - len(shape)
        if missing <= 0 or not shape:
            return shape + (1,) * max(missing, 0)
        best = shape + (1,) * missing
        if missing > 3:
            return best
        for places in itertools.combinations(range(len(self.finest)), missing):
            rest = iter(shape)
            padded = tuple(1 if place in places else next(rest) for place in range(len(self.finest)))
            best = min(best, padded, key=self._volume)
        return best

    def _volume(self, shape: tuple[int, ...]) -> int:
        return math.prod(map(max, shape, self.finest))

    def fit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a segment's shape as the slot reads it, with the sizes that are one put together."""
        sizes = list(self.pad(shape))
        for place in sorted(self.merges, reverse=True):
            if place >= len(sizes):
                continue
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


@dataclass
class Dimension:
    """A dimension of a shared tensor: slots one after another."""

    slots: list[Slot] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many positions it has."""
        return sum(slot.size for slot in self.slots)

    def learn(self, row: Row) -> list[int]:
        """Note a child's dimension, with a slot for each of its segments; the longest rows come first."""
        places = self.places(row)
        if places is None:
            kept = align([slot.labels for slot in self.slots], [set(segment.labels) for segment in row])
            fresh = [Slot() for _ in row]
            for slot, place in zip(self.slots, kept, strict=True):
                fresh[place] = slot
            self.slots = fresh
            places = list(range(len(row)))
        for place, segment in zip(places, row, strict=True):
            self.slots[place].take(segment)
        return places

    def places(self, row: Row) -> list[int] | None:
        """Return the slots of a row's segments, or None where there are fewer slots than segments."""
        if len(row) > len(self.slots):
            return None
        if len(row) == len(self.slots):
            return list(range(len(row)))
        return align([set(segment.labels) for segment in row], [slot.labels for slot in self.slots])

    def holds(self, row: Row) -> bool:
        """Whether a child's dimension fits."""
        places = self.places(row)
        return places is not None and all(
            self.slots[place].holds(segment) for place, segment in zip(places, row, strict=True)
        )

    def index(self, row: Row) -> Index:
        """Return where the positions of a child's dimension stand."""
        offsets = np.cumsum([0, *(slot.size for slot in self.slots)])
        parts = [
            offsets[place] + self.slots[place].positions(segment)
            for place, segment in zip(self.places(row) or (), row, strict=True)
        ]
        found = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        start, count = (int(found[0]), len(found)) if len(found) else (0, 0)
        if count and np.array_equal(found, np.arange(start, start + count)):
            return slice(start, start + count)
        return tuple(found.tolist())


def align(row: Sequence[set[str]], slots: Sequence[set[str]]) -> list[int]:
    """Place a row in order among as many slots or more: by most labels in common, then to the left."""
    if len(row) == len(slots):
        return list(range(len(row)))
    best: list[dict[int, tuple[int, tuple[int, ...]]]] = [{-1: (0, ())}]
    for labels in row:
        reached: dict[int, tuple[int, tuple[int, ...]]] = {}
        for last, (score, places) in best[-1].items():
            for place in range(last + 1, len(slots)):
                found = (score + bool(labels & slots[place]), (*places, place))
                known = reached.get(place)
                if known is None or (-found[0], found[1]) < (-known[0], known[1]):
                    reached[place] = found
        best.append(reached)
    return list(min(best[-1].values(), key=lambda found: (-found[0], found[1]))[1])


Node = tuple[str, int, int, int]
"""Two neighbouring sizes of a segment: the tensor, the dimension, the slot and the place in the shape."""


class Shared:
    """The dimensions of all shared tensors, and which of their inner orders belong together."""

    def __init__(self) -> None:
        self.tensors: dict[str, list[Dimension]] = {}
        self._pairs: dict[Node, set[tuple[int, int]]] = {}
        self._same: dict[Node, Node] = {}

    def learn(self, children: Sequence[dict[str, tuple[Row, ...]]]) -> None:
        """Note the tensors of children, and settle the shapes."""
        rows = [
            (-len(row), number, key, dim, row)
            for number, tensors in enumerate(children)
            for key, dims in tensors.items()
            for dim, row in enumerate(dims)
        ]
        for tensors in children:
            for key, dims in tensors.items():
                self.tensors.setdefault(key, [Dimension() for _ in dims])
        first: dict[tuple[int, int, int], Node] = {}
        for _, _, key, dim, row in sorted(rows, key=lambda item: item[:2]):
            self.tensors[key][dim].learn(row)
        for _, number, key, dim, row in rows:
            places = self.tensors[key][dim].places(row) or []
            for slot, segment in zip(places, row, strict=True):
                self._note(first, number, (key, dim, slot), segment)
        self.settle()

    def _note(
        self,
        first: dict[tuple[int, int, int], Node],
        number: int,
        where: tuple[str, int, int],
        segment: Segment,
    ) -> None:
        key, dim, slot = where
        shape = self.tensors[key][dim].slots[slot].pad(segment.shape)
        for place in range(len(shape) - 1):
            node = (*where, place)
            self._same.setdefault(node, node)
            self._pairs.setdefault(node, set()).add(shape[place : place + 2])  # type: ignore[arg-type]
            if segment.axes and shape == segment.shape:
                mine = (number, *segment.axes[place : place + 2])
                self._join(node, first.setdefault(mine, node))  # type: ignore[arg-type]

    def _join(self, a: Node, b: Node) -> None:
        a, b = self._root(a), self._root(b)
        if a != b:
            self._same[a] = b

    def _root(self, node: Node) -> Node:
        while self._same[node] != node:
            node = self._same[node]
        return node

    def settle(self) -> None:
        """Choose the boxes.

        Where the number of heads (or groups) is chosen as well as their width, the box of the most heads by
        the widest may be larger than any child. All are then read as the finest heads that every child's are
        made of, and where there are none, as no heads at all.
        """
        pairs: dict[Node, set[tuple[int, int]]] = {}
        for node, seen in self._pairs.items():
            pairs.setdefault(self._root(node), set()).update(seen)
        for node in self._pairs:
            seen = pairs[self._root(node)]
            most = max(outer * inner for outer, inner in seen)
            if max(outer for outer, _ in seen) * max(inner for _, inner in seen) <= most:
                continue
            finest = math.lcm(*(outer for outer, _ in seen))
            fine = all(outer * inner % finest == 0 for outer, inner in seen)
            key, dim, slot, place = node
            self.tensors[key][dim].slots[slot].merges[place] = finest if fine else 1
        for dims in self.tensors.values():
            for dimension in dims:
                for box in dimension.slots:
                    box.widen()

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a shared tensor."""
        return tuple(dimension.size for dimension in self.tensors[key])

    def holds(self, key: str, rows: Sequence[Row]) -> bool:
        """Whether a child's tensor is a part of the shared one."""
        known = self.tensors.get(key)
        return (
            known is not None
            and len(known) == len(rows)
            and all(dimension.holds(row) for dimension, row in zip(known, rows, strict=True))
        )

    def index(self, key: str, rows: Sequence[Row]) -> tuple[Index, ...]:
        """Return where a child's tensor stands in the shared one."""
        return tuple(dimension.index(row) for dimension, row in zip(self.tensors[key], rows, strict=True))


def plain(sizes: Iterable[int]) -> tuple[Row, ...]:
    """Return the rows of a tensor of which nothing is known: leading slices."""
    return tuple((Segment((size,)),) for size in sizes)
