"""Paths of single decisions: each leads to one decision, and every decision has one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas.algorithms.sequencing.paths import Paths, ordered
from symnas.tree.choices import Branch, Guard, IntRange, ManyOf, OneOf, Permutation, Tied
from symnas.tree.space import Batch, Space
from tests.support.strategies import spaces


@settings(max_examples=60, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**16), bisect=st.integers(1, 4))
def test_paths_tell_decisions_apart_and_lead_back_to_them(space: Space, seed: int, bisect: int) -> None:
    rng = np.random.default_rng(seed)
    paths = Paths(space, bisect, rng.random(len(space)) if seed % 2 else None)
    batch = space.sample(12, rng)
    rows: dict[object, bytes] = {}
    for decision, codes, reals in zip(batch, batch.codes.tolist(), batch.reals.tolist(), strict=True):
        path = paths.path(codes, reals)
        assert rows.setdefault(tuple(path), decision.row) == decision.row
        again = [-1] * space.compiled.layout.columns
        floats = [math.nan] * space.compiled.layout.reals
        for place, state, action in path:
            point = paths.points[place]
            if point.options:
                actions, weights = point.actions(state)
                assert action in actions
                assert len(actions) == len(set(actions)) == len(weights) >= 2
            following = point.after(state, action)
            if point.decided(following):
                point.write(following, again, floats)
        column, real = np.array(again)[:, None], np.array(floats)[:, None]
        column = column.astype(space.compiled.layout.dtype)
        space.compiled.mutator.complete(column, real, rng)
        assert Batch(space, column.T, real.T)[0] == decision


def ends_below(paths: Paths) -> int:
    """Count the ends of all paths of a space with a single point."""
    point = paths.points[0]

    def count(state: object) -> int:
        return (
            1 if point.decided(state) else sum(count(point.after(state, a)) for a in point.actions(state)[0])
        )

    return count(point.start)


@pytest.mark.parametrize(
    "point",
    [
        OneOf("p", tuple(range(7))),
        IntRange("p", 0, 20),
        ManyOf("p", tuple("abcd"), 0, 3),
        ManyOf("p", tuple("abcd"), 2, 3),
        ManyOf("p", tuple("abc"), 1, 3, repeats=True),
        ManyOf("p", tuple("abcd"), 1, 3, ordered=True),
        ManyOf("p", tuple("abc"), 0, 2, ordered=True, repeats=True),
        ManyOf("p", tuple("abc"), 0, 2, only=((), ("a",), ("a", "c"), ("b", "c"))),
        Permutation("p", tuple("abcd")),
        Permutation("p", tuple("abc"), only=(tuple("abc"), tuple("acb"), tuple("cba"))),
    ],
    ids=lambda point: point.domain,
)
@pytest.mark.parametrize("bisect", [2, 9])
def test_every_value_is_the_end_of_one_path(point: object, bisect: int) -> None:
    space = Space((point,))  # type: ignore[arg-type]
    paths = Paths(space, bisect)
    assert ends_below(paths) == space.size
    # The weights of actions make all values equally likely, as the space draws them.
    weights: dict[float, int] = {}
    for decision in space.enumerate():
        batch = space.batch([decision])
        chance = 1.0
        for place, state, action in paths.path(batch.codes[0].tolist(), batch.reals[0].tolist()):
            actions, shares = paths.points[place].actions(state)
            chance *= shares[actions.index(action)] / sum(shares)
        key = round(chance * int(space.size), 9)
        weights[key] = weights.get(key, 0) + 1
    assert weights == {1.0: space.size}


def test_points_are_measured_and_come_after_what_they_depend_on() -> None:
    kernel = OneOf("k", (1, 3))
    guard = Guard(("late",), frozenset({(0,)}))
    space = Space(
        (
            OneOf("idle", (1, 2)),
            OneOf("op", ("conv", "pool"), branches=(Branch((0,), (kernel,)),)),
            OneOf("late", (1, 2, 3)),
            OneOf("guarded", (1, 2), guards=(guard,)),
            Tied("same", "late"),
        )
    )
    importance = dict.fromkeys(space.addresses, 0.0) | {"k": 3.0, "guarded": 2.0, "late": 1.0}
    order = ordered(space, list(importance.values()))
    assert [space.addresses[number] for number in order] == ["late", "same", "guarded", "idle", "op", "k"]
