"""Budgets that few decisions meet: drawn as listing everything within them draws."""

from __future__ import annotations

import numpy as np
import pytest

import symnas
from symnas.errors import RequirementError
from symnas.tree.space import Space

SOURCE = """\
from torch import nn

# search: require {clause}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        before, layers = 16, []
        for i in range({blocks}):
            w = 8  # search: {{8, 16, 32, 64, 128}}
            k = 3  # search: {{1, 3, 5}}
            layers += [nn.Conv2d(before, w, k), nn.BatchNorm2d(w)]
            before = w
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(before, 10)
"""


def net(folder, blocks: int, clause: str) -> symnas.Program:
    (folder / "net.py").write_text(SOURCE.format(blocks=blocks, clause=clause))
    return symnas.program(f"{folder}/net.py:Net")


def parameters(space: Space, codes) -> np.ndarray:
    """Count all rows by the formula; columns are w and k in turn."""
    widths, kernels = np.array([8, 16, 32, 64, 128])[codes[:, 0::2]], np.array([1, 3, 5])[codes[:, 1::2]]
    before, total = np.full(len(codes), 16), np.zeros(len(codes))
    for w, k in zip(widths.T, kernels.T, strict=True):
        total += before * w * k**2 + 3 * w
        before = w
    return total + 10 * before + 10


def test_draws_are_spread_as_the_list_of_all_within_a_budget(tmp_path):
    program = net(tmp_path, 3, "params < 2500")
    space = program.space
    everything = space.batch(list(space.enumerate()))
    within = everything[parameters(space, everything.codes) < 2500]
    assert 20 < len(within) < 0.1 * len(everything)
    n = 50 * len(within)
    drawn = program.sample(n, 0)
    assert set(drawn.keys()) == set(within.keys())
    keys, counts = np.unique(drawn.keys(), return_counts=True)
    statistic = ((counts - n / len(keys)) ** 2 / (n / len(keys))).sum()
    # A chi-square's mean is its degrees of freedom, its variance twice that.
    assert abs(statistic - len(keys)) < 5 * np.sqrt(2 * len(keys))


@pytest.mark.slow
def test_a_thousand_decisions_within_a_budget_that_one_in_ten_thousand_meets(tmp_path):
    program = net(tmp_path, 12, "params < 15600")
    share = (parameters(program.space, program.space.sample(400_000, 1).codes) < 15600).mean()
    assert share < 3e-4
    drawn = program.sample(1000, 0)
    assert len(set(drawn.keys())) == 1000
    assert (parameters(program.space, drawn.codes) < 15600).all()
    assert program.sample(70, 0) == drawn[:70]


def test_an_impossible_budget_names_the_closest_and_the_clause(tmp_path):
    program = net(tmp_path, 4, "params < 400")
    least = 16 * 8 + 24 + 3 * (64 + 24) + 90
    with pytest.raises(RequirementError, match=f"closest breaks require params < 400: params = {least}"):
        program.sample(3, 0)
