"""What the positions along a dimension of a tensor are: plain, products of axes, or axes one after another.

Dimensions are found equal step by step, as types are inferred by unification (Milner 1978): what is added,
multiplied or contracted together runs along the same axis, a concatenation lays axes one after another, and a
view or a split tells that an axis had an inner order all along. So a weight's rows learn that they are three
chunks of heads from what is later done to the features that they make, and a weight's columns learn which
features of which layers they read.

An axis of n positions is of one of three kinds:

    plain      nothing is known of its order
    product    n = n1 * n2 * …, laid out as by `view`: (i1, i2, i3) is position (i1 * n2 + i2) * n3 + i3
    sum        n = n1 + n2 + …, laid out as by `cat`: what is at i2 of the second is at position n1 + i2

and three functions learn: `split` where a view asks for a product, `cut` where a split or a slice asks for a
sum, `unify` where two dimensions are used as one.

Concatenation. `y = torch.cat([a(x), b(x)], 1)` of two linear layers with 4 and 6 outputs, read by `c(y)`:

    a(x)  (batch, A)            A plain, 4 positions, labelled a.weight:0
    b(x)  (batch, B)            B plain, 6 positions, labelled b.weight:0
    y     (batch, A + B)        by the rule of `cat`
    c     weight (out, C)       C plain, 10 positions, until `linear` contracts it with y: unify(C, A + B)

From then on the columns of c are 4 that read a and 6 that read b. In a child whose `a` has 2 outputs the
columns that read b are still those that do, though they begin two places further left.

Heads. `q, k, v = qkv(x).chunk(3, -1)`, then `q.view(batch, time, heads, width)`:

    qkv(x)  (batch, time, M)    M plain, 3 * heads * width positions, labelled qkv.weight:0
    chunk   cut(M, 3 pieces)    pieces of one size are turns of one axis: M = 3 x P, and q, k, v run along P
    view    split(P, …)         P = heads x width, and so M = 3 x heads x width

The rows of `qkv.weight` are a box (3, heads, width), and those of a child with fewer heads its corner.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Literal

MOST_EXPANDED = 64
"""Segments that an order of axes inside a repeated one may be written out as, before it is left alone."""


class Axis:
    """An axis; its structure and its identity become known while a model is traced.

    Axes that were found equal are one: each but the last links to another (a union-find without ranks; chains
    stay short, for a model has few dimensions that are the same). Ask `find` before looking at structure.

    Args:
        size: how many positions it has.
        labels: where it comes from: by them axes of different children are recognised as the same.
        centred: whether a shorter one is the middle of a longer one, as in kernels, and not its beginning.
    """

    __slots__ = ("_link", "centred", "kind", "labels", "parts", "size")

    def __init__(self, size: int, labels: Iterable[str] = (), *, centred: bool = False) -> None:
        self.size = size
        self.labels = frozenset(labels)
        self.centred = centred
        self.kind: Literal["plain", "product", "sum"] = "plain"
        self.parts: list[Axis] = []
        self._link: Axis | None = None

    def __repr__(self) -> str:
        """Show the structure."""
        axis = self.find()
        if axis.kind == "plain":
            return str(axis.size)
        return "(" + (" x " if axis.kind == "product" else " + ").join(map(repr, axis.parts)) + ")"

    def find(self) -> Axis:
        """Return the axis that stands for all that are known to be the same as this one."""
        axis = self
        while axis._link is not None:
            axis = axis._link
        return axis

    def link(self, other: Axis) -> None:
        """Make another axis stand for this one; both stand for themselves so far."""
        self._link = other

    @property
    def known(self) -> frozenset[str]:
        """The labels, those of its parts together if it has any."""
        axis = self.find()
        if axis.kind == "plain":
            return axis.labels
        return frozenset(itertools.chain.from_iterable(part.known for part in axis.parts))

    def become(self, kind: Literal["product", "sum"], parts: list[Axis]) -> None:
        """Learn the inner order of a plain axis."""
        self.kind, self.parts = kind, parts


Axes = tuple[Axis, ...]
"""Those of the dimensions of a tensor, in order."""


def product(axes: Iterable[Axis]) -> Axis:
    """Return the axis that runs over several ones, the last one fastest."""
    # Flat and without ones, so that a product has one spelling: (a x b) x 1 x c is a x b x c.
    parts: list[Axis] = []
    for axis in (axis.find() for axis in axes):
        if axis.kind == "product":
            parts += axis.parts
        elif axis.size != 1:
            parts.append(axis)
    if len(parts) < 2:
        return parts[0] if parts else Axis(1)
    made = Axis(math.prod(part.size for part in parts))
    made.become("product", parts)
    return made


def concatenation(axes: Iterable[Axis]) -> Axis:
    """Return the axis that runs along several ones, one after another."""
    # Flat and without empty parts, as products are.
    parts: list[Axis] = []
    for axis in (axis.find() for axis in axes):
        if axis.kind == "sum":
            parts += axis.parts
        elif axis.size:
            parts.append(axis)
    if len(parts) < 2:
        return parts[0] if parts else Axis(0)
    made = Axis(sum(part.size for part in parts))
    made.become("sum", parts)
    return made


def split(axis: Axis, sizes: Sequence[int]) -> list[Axis] | None:
    """Return the axes that a view makes of one, or None where its order does not allow it."""
    axis = axis.find()
    if axis.size != math.prod(sizes):
        return None
    inner = [size for size in sizes if size != 1]  # sizes of one order nothing, and are put back at the end
    if len(inner) < 2:
        found: list[Axis] | None = [axis] if inner else []
    elif axis.kind == "plain":
        # The order is news. Every factor keeps the labels: of another child's axis the same factor has them.
        found = [Axis(size, axis.labels) for size in inner]
        axis.become("product", found)
    elif axis.kind == "product":
        found = _regroup(axis.parts, inner)
    else:
        found = _stacked(axis, inner)
    if found is None:
        return None
    rest = iter(found)
    return [Axis(1) if size == 1 else next(rest) for size in sizes]


def _stacked(axis: Axis, sizes: Sequence[int]) -> list[Axis] | None:
    """Read axes that follow one another as turns of a single one."""
    turns, inner = sizes[0], math.prod(sizes[1:])
    pieces = cut(axis, [inner] * turns)
    # `all` over a list: every pair is unified, also behind one that does not fit.
    if pieces is None or not all([unify(pieces[0], piece) for piece in pieces[1:]]):  # noqa: C419
        return None
    rest = split(pieces[0], sizes[1:])
    return None if rest is None else [Axis(turns), *rest]


def _regroup(parts: Sequence[Axis], sizes: Sequence[int]) -> list[Axis] | None:
    """Return the axes that a product is by other sizes: 2 x 6 read as (2, 2, 3), or 2 x 2 x 3 as (4, 3).

    Both rows of sizes are walked in step. Where the next factor is what is asked for, it is taken; where it
    is larger, it is split into the sizes that fill it; where it is smaller, factors are taken until they
    fill the size. Where neither works out, as in 4 x 3 read as (6, 2), no order has both.
    """
    found: list[Axis] = []
    have, want = list(parts), list(sizes)
    while want:  # the products of what is left of both are equal, so `have` does not run out first
        if have[0].find().size == want[0]:
            found.append(have.pop(0))
            want.pop(0)
        elif have[0].find().size > want[0]:
            taken = _fitting(want, have[0].find().size)
            inner = split(have[0], want[:taken]) if taken else None
            if inner is None:
                return None
            found += inner
            have, want = have[1:], want[taken:]
        else:
            taken = _fitting([part.find().size for part in have], want.pop(0))
            if not taken:
                return None
            found.append(product(have[:taken]))
            have = have[taken:]
    return found


def _fitting(sizes: Sequence[int], total: int) -> int:
    """Return how many leading sizes have a product, or 0."""
    reached = 1
    for count, size in enumerate(sizes, 1):
        reached *= size
        if reached == total:
            return count
    return 0


def cut(axis: Axis, sizes: Sequence[int]) -> list[Axis] | None:
    """Return the axes that follow one another in one, or None where its order does not allow it."""
    axis = axis.find()
    if axis.size != sum(sizes):
        return None
    pieces = [size for size in sizes if size]
    if len(pieces) < 2:
        found: list[Axis] | None = [axis] if pieces else []
    elif axis.kind == "sum":
        found = _cut_sum(axis.parts, pieces)
    elif len(set(pieces)) == 1:
        # Pieces of one size are turns of one axis: a weight's chunks have the same inner order.
        halves = split(axis, [len(pieces), pieces[0]])
        found = (
            None if halves is None else [halves[1] if pieces[0] > 1 else Axis(1, axis.known)] * len(pieces)
        )
    elif axis.kind == "plain":
        # The pieces are different things: they get labels of their own, by their places.
        found = [
            Axis(size, {f"{label}[{place}]" for label in axis.labels}) for place, size in enumerate(pieces)
        ]
        axis.become("sum", found)
    else:
        found = _cut_outer(axis, pieces)
    if found is None:
        return None
    rest = iter(found)
    return [next(rest) if size else Axis(0) for size in sizes]


def _cut_outer(axis: Axis, sizes: Sequence[int]) -> list[Axis] | None:
    """Return the pieces of a product, which are whole turns of its outermost factor."""
    inner = product(axis.parts[1:])
    if any(size % inner.size for size in sizes):
        return None  # a piece would end inside a turn
    outer = cut(axis.parts[0], [size // inner.size for size in sizes])
    return None if outer is None else [product([part, inner]) for part in outer]


def _cut_sum(parts: Sequence[Axis], sizes: Sequence[int]) -> list[Axis] | None:
    """Return the pieces of a sum: its parts are cut where pieces end, and put together to pieces again."""
    ends = list(itertools.accumulate(sizes))
    fine: list[Axis] = []  # of (4 + 6) in pieces of 2, 5 and 3: 2, 2, 3, 3
    start = 0
    for part in (part.find() for part in parts):
        stop = start + part.size
        inside = [start, *(end for end in ends if start < end < stop), stop]
        pieces = cut(part, [b - a for a, b in itertools.pairwise(inside)])
        if pieces is None:
            return None
        fine += pieces
        start = stop
    found = []
    for size in sizes:
        taken: list[Axis] = []
        while sum(piece.size for piece in taken) < size:
            taken.append(fine.pop(0).find())
        found.append(concatenation(taken))
    return found


def unify(first: Axis, second: Axis) -> bool:
    """Learn that two axes are the same; whether their orders allow it."""
    a, b = first.find(), second.find()
    if a is b:
        return True
    if a.size != b.size:
        return False
    # What is plain takes on the order of the other; of two plain ones the labels are joined.
    if b.kind == "plain":
        a, b = b, a
    if a.kind == "plain":
        if b.kind == "plain":
            b.labels |= a.labels
            b.centred |= a.centred
        a.link(b)
        return True
    if b.kind == "product":
        a, b = b, a
    if b.kind == "product":
        return _unify_products(a, b)
    # At least one is a sum, b: the other one is cut where its parts end.
    pieces = cut(a, [part.find().size for part in b.parts])
    agreed = pieces is not None and _unify_all(pieces, b.parts)
    # Of the same kind they are one from now on. Unifying the parts may have linked either of them already.
    if agreed and a.kind == b.kind and a.find() is a and b.find() is b:
        a.link(b)
    return agreed


def _unify_all(mine: Sequence[Axis], theirs: Sequence[Axis]) -> bool:
    """Unify pair by pair, those behind one that does not fit as well."""
    agreed = [unify(x, y) for x, y in zip(mine, theirs, strict=True)]
    return all(agreed)


def _unify_products(a: Axis, b: Axis) -> bool:
    """Unify two products, one of which is finer: (12 x 4) and (3 x 4 x 4) make the 12 a 3 x 4."""
    for one, other in ((a, b), (b, a)):
        found = split(one, [part.find().size for part in other.parts])
        if found is not None:
            agreed = _unify_all(found, other.parts)
            if agreed and one.find() is one and other.find() is other:
                one.link(other)
            return agreed
    return False


Ordered = list[tuple[frozenset[str], tuple[Axis, ...]]]


def ordered(axis: Axis) -> Ordered:
    """Return the segments of an axis, each as its labels and the plain axes that it is a product of.

    A sum inside a product is written out: 2 x (A + B) is A, B, A, B, of which the second A is another segment
    than the first, labelled by its turn. A sum that is the outermost factor is not repeated, and written as
    it is; one that would be written out too often (`MOST_EXPANDED`) is left a whole.
    """
    axis = axis.find()
    if axis.kind == "plain" or axis.size <= 1:
        return [(axis.known, (axis,))]
    if axis.kind == "sum":
        return [segment for part in axis.parts for segment in ordered(part)]
    found: Ordered = [(frozenset(), ())]
    for part in axis.parts:
        inner = ordered(part)
        if len(inner) == 1:  # no sum in it: every segment so far has one more factor
            found = [(labels | inner[0][0], (*axes, *inner[0][1])) for labels, axes in found]
            continue
        # A sum: it follows itself as often as there are positions of the factors in front of it.
        turns = sum(math.prod(each.size for each in axes) for _, axes in found)
        if turns * len(inner) > MOST_EXPANDED:
            return [(axis.known, (axis,))]
        if turns == 1 and len(found) == 1:
            found = inner
        else:
            found = [
                (frozenset(f"{label}#{turn}" for label in labels), axes)
                for turn in range(turns)
                for labels, axes in inner
            ]
    return found
