"""A few decisions that meet everything, numbers at their largest first."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from strategies import spaces

import symnas
from symnas import FloatRange, OneOf, Space
from symnas.tree.covering import covering

STACK = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        depth = 2  # search: 1..4
        for i in range(depth):
            width = 4  # search: {4, 8, 16}
            layers.append(nn.Linear(4, width))
        self.layers = nn.ModuleList(layers)
"""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(space=spaces())
def test_every_candidate_of_every_choice_is_taken(space: Space) -> None:
    # Points under guards are looked for by drawing, and of real ranges only the default is tried.
    points = [entry.point for entry in space.compiled.layout.own]
    assume(not any(point.guards or isinstance(point, FloatRange) for point in points))
    taken: dict[str, set[str]] = {}
    for decision in covering(space):
        for address, value in decision.items():
            taken.setdefault(address, set()).add(repr(value))
    for decision in space.sample(20, np.random.default_rng(0)):
        for address, value in decision.items():
            if isinstance(space[address], OneOf):
                assert repr(value) in taken[address]


def test_of_two_numbers_one_is_small_while_the_other_is_at_its_largest(tmp_path: Path) -> None:
    (tmp_path / "stack.py").write_text(STACK)
    space = symnas.program(f"{tmp_path / 'stack.py'}:Net").space
    found = list(covering(space))
    widths = [address for address in space.addresses if address.endswith("width")]
    assert len(widths) == 4
    for small, large in itertools.permutations(widths, 2):
        assert any(d.get(small) == 4 and d.get(large) == 16 for d in found), (small, large)
    for width in widths[:1]:
        assert any(d["depth"] == 1 and d[width] == 16 for d in found)
    assert len(found) < 40
