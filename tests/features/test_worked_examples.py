"""The examples that the docstring of `axes` works out, worked out."""

from __future__ import annotations

import torch
from torch import nn

from symnas.features.axes import Axis, cut, ordered, split, unify
from symnas.features.trace import Trace


def test_columns_behind_a_concatenation_know_what_they_read() -> None:
    a, b, c = nn.Linear(3, 4), nn.Linear(3, 6), nn.Linear(10, 2)
    known = [
        (layer.weight, tuple(Axis(size, {f"{name}:{dim}"}) for dim, size in enumerate(layer.weight.shape)))
        for name, layer in (("a", a), ("b", b), ("c", c))
    ]
    x = torch.randn(5, 3)
    with torch.no_grad(), Trace(known) as trace:
        c(torch.cat([a(x), b(x)], 1))
    columns = [(axes[0].size, labels) for labels, axes in ordered(trace.of(c.weight)[1])]
    assert [size for size, _ in columns] == [4, 6]
    assert all(label in labels for label, (_, labels) in zip(("a:0", "b:0"), columns, strict=True))
    assert not trace.notes


def test_rows_that_are_cut_into_heads_are_a_box() -> None:
    rows = Axis(3 * 2 * 4, {"qkv:0"})
    pieces = cut(rows, [8, 8, 8])
    assert pieces is not None
    assert pieces[0].find() is pieces[1].find()
    assert split(pieces[0], [2, 4]) is not None
    assert [tuple(axis.size for axis in axes) for _, axes in ordered(rows)] == [(3, 2, 4)]


def test_products_are_read_by_sizes_that_they_have_and_no_others() -> None:
    finer = Axis(12)
    assert split(finer, [2, 6]) is not None
    assert split(finer, [2, 2, 3]) is not None
    assert repr(finer) == "(2 x (2 x 3))"
    coarser = Axis(12)
    assert split(coarser, [2, 2, 3]) is not None
    merged = split(coarser, [4, 3])
    assert merged is not None
    assert [axis.find().size for axis in merged] == [4, 3]
    other = Axis(12)
    assert split(other, [4, 3]) is not None
    assert split(other, [6, 2]) is None


def test_what_is_not_one_stays_two() -> None:
    one, other = Axis(12), Axis(12)
    assert split(one, [4, 3]) is not None
    assert split(other, [3, 4]) is not None
    assert not unify(one, other)
