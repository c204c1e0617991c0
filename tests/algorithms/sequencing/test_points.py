"""Sequences of one point against the list of its values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symnas.algorithms.sequencing.points import EDGE, RealSequence, completions, draw, sequence_of
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.layout import Layout
from symnas.tree.subsets import Subsets

SUBSETS = [
    Subsets(4, 1, 3),
    Subsets(4, 0, 3, ordered=True),
    Subsets(3, 2, 3, repeats=True),
    Subsets(3, 0, 2, ordered=True, repeats=True),
    Subsets(4, 0, 2, only=((0, 1), (), (1, 3), (2,))),
    Subsets(4, 4, 4, ordered=True),
]


@pytest.mark.parametrize("subsets", SUBSETS)
def test_completions_are_counted_as_listed(subsets: Subsets) -> None:
    rows = list(subsets)
    for chosen in {row[:length] for row in rows for length in range(len(row) + 1)}:
        begun = [row for row in rows if row[: len(chosen)] == chosen]
        follow = {
            code: sum(row[len(chosen) : len(chosen) + 1] == (code,) for row in begun)
            for code in range(subsets.n)
        }
        follow[subsets.n] = int(chosen in rows)
        assert completions(subsets, chosen) == {code: count for code, count in follow.items() if count}


def test_halves_have_nodes_of_their_own_near_the_root_and_one_per_level_below() -> None:
    point = sequence_of(Layout((IntRange("n", 1, 100_000),)).entries[0], None, halved=True, counted=False)
    nodes: dict[int, set[int]] = {}
    level = [point.start]
    for depth in range(17):
        nodes[depth] = {point.node(state) for state in level}
        level = [point.step(state, half) for state in level if not point.decided(state) for half in (0, 1)]
    assert all(len(nodes[depth]) == 2**depth for depth in range(10))
    assert all(len(nodes[depth]) == 1 for depth in range(10, 17))
    together = [node for some in nodes.values() for node in some]
    assert len(together) == len(set(together))
    assert max(together) < point.nodes
    assert all(point.decided(state) for state in level)


def test_a_real_value_comes_back_from_its_place_in_the_range() -> None:
    for domain in (FloatRange("x", 1e-4, 10.0, log=True), FloatRange("x", -2.0, 3.0)):
        point = sequence_of(Layout((domain,)).entries[0], None, halved=False, counted=False)
        assert isinstance(point, RealSequence)
        rng = np.random.default_rng(0)
        values = np.array([point.draw(rng) for _ in range(100)])
        assert point.value(point.unit(values)) == pytest.approx(values, rel=1e-8)
        assert point.unit(np.array([domain.low, domain.high])).tolist() == [EDGE, 1.0 - EDGE]


def test_draws_go_by_weight_and_by_chance_where_all_weigh_nothing() -> None:
    rng = np.random.default_rng(0)
    some = [draw("abc", (1.0, 0.0, 3.0), rng) for _ in range(4000)]
    assert "b" not in some
    assert some.count("c") / 4000 == pytest.approx(0.75, abs=5 * math.sqrt(0.75 * 0.25 / 4000))
    assert {draw("abc", (0.0, 0.0, 0.0), rng) for _ in range(100)} == set("abc")
