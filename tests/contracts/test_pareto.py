"""Ranks, crowding and volumes against brute force and against figures worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.contracts.pareto import crowded_order, crowding, dominance, hypervolume, pareto_front, ranks

TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 5), min_size=width, max_size=width), min_size=1, max_size=15
    )
)


def beats(first: list[int], second: list[int]) -> bool:
    return all(a >= b for a, b in zip(first, second, strict=True)) and first != second


def peeled(table: list[list[int]]) -> list[int]:
    """Take the points that nothing left dominates away, again and again."""
    found = [-1] * len(table)
    for rank in itertools.count():
        left = [place for place, mine in enumerate(found) if mine < 0]
        if not left:
            return found
        for place in [p for p in left if not any(beats(table[q], table[p]) for q in left)]:
            found[place] = rank
    raise AssertionError


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_ranks_and_dominance_agree_with_brute_force(table: list[list[int]]) -> None:
    assert ranks(table).tolist() == peeled(table)
    assert dominance(table).tolist() == [[beats(a, b) for b in table] for a in table]
    front = pareto_front(table)
    assert {tuple(table[p]) for p in front} == {
        tuple(row) for row, rank in zip(table, ranks(table), strict=True) if not rank
    }


def test_crowding_is_what_the_paper_adds_up() -> None:
    # Ends are infinite; the ranges are 10 and 8. (1, 6): 4/10 + 6/8. (4, 2): 9/10 + 6/8.
    front = [(0, 8), (1, 6), (4, 2), (10, 0)]
    assert crowding(front).tolist() == pytest.approx([np.inf, 4 / 10 + 6 / 8, 9 / 10 + 6 / 8, np.inf])
    assert crowding([(1, 2), (2, 1)]).tolist() == [np.inf, np.inf]
    assert crowding([(3, 3)] * 4).tolist() == [0.0] * 4
    # The second objective is the same for all and says nothing.
    assert crowding([(0, 1), (3, 1), (4, 1)]).tolist() == [np.inf, 1.0, np.inf]


def test_the_order_is_by_rank_then_by_room() -> None:
    table = [(1, 1), (0, 8), (1, 6), (4, 2), (10, 0), (0, 0)]
    order, rank, room = crowded_order(table)
    assert rank.tolist() == [1, 0, 0, 0, 0, 2]
    assert order.tolist() == [1, 4, 3, 2, 0, 5]
    assert room[2] == pytest.approx(4 / 10 + 6 / 8)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_volumes_agree_with_counting_unit_boxes(table: list[list[int]]) -> None:
    width = len(table[0])
    boxes = itertools.product(range(1, 5), repeat=width)
    counted = sum(
        any(all(corner < value for corner, value in zip(box, row, strict=True)) for row in table)
        for box in boxes
    )
    assert hypervolume(table, (1,) * width) == pytest.approx(counted)


def test_a_volume_by_hand() -> None:
    assert hypervolume([(1, 3), (2, 2), (3, 1)], (0, 0)) == 6
    assert hypervolume([(1, 3), (2, 2), (3, 1), (1, 1)], (-1, 0)) == 9
    assert hypervolume([(2, 1, 1), (1, 2, 1), (1, 1, 2)], (0, 0, 0)) == 4
    assert hypervolume([], (0, 0)) == 0
    assert hypervolume([(-1, 5)], (0, 0)) == 0
