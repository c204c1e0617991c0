"""Many decisions at once, decided action by action: against the path of each decision by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnas._typing import Floats, Ints
from symnas.algorithms.sequencing.batches import BatchSequencer, Query
from symnas.algorithms.sequencing.points import RealSequence
from symnas.tree.choices import IntRange, ManyOf, OneOf
from symnas.tree.space import Batch, Space
from tests.support.strategies import spaces


class Recorder:
    """Follows decisions and notes their actions, with the prior's probability of each."""

    def __init__(self, rows: int) -> None:
        self.actions: list[list[tuple[int, Any, int]]] = [[] for _ in range(rows)]
        self.chances = np.ones(rows)

    def pick(self, query: Query) -> Ints:
        shares = np.exp(query.log_prior)
        assert ((shares > 0).sum(axis=1) >= 2).all()
        shares /= shares.sum(axis=1, keepdims=True)
        for row, node, action, own in zip(query.rows, query.nodes, query.taken, shares, strict=True):
            self.actions[row].append((query.point.entry.number, int(action), int(node)))
            self.chances[row] *= own[action]
        return query.taken

    def place(self, query: Query) -> Floats:
        for row, unit in zip(query.rows, query.units, strict=True):
            self.actions[row].append((query.point.entry.number, float(unit), 0))
        return query.units


def alone(sequencer: BatchSequencer, batch: Batch, row: int) -> list[tuple[int, Any, int]]:
    """Return the actions of one decision, point by point, without those that have no alternative."""
    codes, reals = batch.codes[row].tolist(), batch.reals[row].tolist()
    found: list[tuple[int, Any, int]] = []
    for number, point in sequencer.points.items():
        if point.entry.point.address not in batch[row]:
            continue
        if isinstance(point, RealSequence):
            found.append((number, float(point.unit(batch.reals[row : row + 1, point.column])[0]), 0))
            continue
        state = point.start
        while not point.decided(state):
            action = point.taken(state, codes, reals)
            found.append((number, action, point.node(state)))
            state = point.after(state, action)
    return found


@settings(max_examples=60, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**16))
def test_following_decisions_takes_the_path_of_each(space: Space, seed: int) -> None:
    sequencer = BatchSequencer(space)
    batch = space.sample(9, np.random.default_rng(seed))
    recorder = Recorder(len(batch))
    assert sequencer.run(len(batch), recorder, batch) == batch
    assert recorder.actions == [alone(sequencer, batch, row) for row in range(len(batch))]


@settings(max_examples=30, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**16))
def test_what_is_kept_takes_no_action(space: Space, seed: int) -> None:
    sequencer = BatchSequencer(space)
    batch = space.sample(5, np.random.default_rng(seed))
    recorder = Recorder(len(batch))
    assert sequencer.run(len(batch), recorder, batch, batch) == batch
    assert recorder.actions == [[]] * len(batch)
    free = frozenset(range(0, len(space.addresses), 2))
    assert sequencer.run(len(batch), recorder, batch, batch, free) == batch
    assert recorder.actions == [
        [action for action in alone(sequencer, batch, row) if action[0] in free] for row in range(len(batch))
    ]


def test_the_log_prior_draws_as_the_space_does() -> None:
    weights = (0.5, 0.25, 0.25)
    space = Space(
        (
            OneOf("op", ("a", "b", "c"), weights=weights),
            IntRange("n", 1, 77),
            ManyOf("some", tuple("wxyz"), 1, 3),
            ManyOf("row", tuple("uv"), 1, 2, ordered=True, repeats=True),
        )
    )
    batch = space.sample(50, np.random.default_rng(0))
    recorder = Recorder(len(batch))
    BatchSequencer(space).run(len(batch), recorder, batch)
    expected = np.array(weights)[batch.column("op")] / (77 * (4 + 6 + 4) * (2 + 4))
    assert recorder.chances == pytest.approx(expected)
