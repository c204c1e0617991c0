"""Normalisation across features of a chosen width: with all weight on one value it is the child's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import symnas
from symnas.errors import ProgramError

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        dim = 8  # search: {4, 8, 16}
        hidden = 8  # search: {8, 12}
        self.enter, self.norm, self.last = nn.Linear(3, dim), NORM, nn.LayerNorm(dim)
        self.up, self.inner, self.down = nn.Linear(dim, hidden), nn.LayerNorm(hidden), nn.Linear(hidden, dim)
        self.leave = nn.Linear(dim, 2)

    def forward(self, x):
        h = self.enter(x)
        h = h + self.down(torch.relu(self.inner(self.up(self.norm(h)))))
        return self.leave(self.last(h))
"""
NORMS = {
    "nn.LayerNorm(dim)": True,
    "nn.LayerNorm(dim, eps=0.1, bias=False)": True,
    "nn.RMSNorm(dim)": True,
    "nn.RMSNorm(dim, eps=0.1)": True,
    "nn.GroupNorm(1, dim)": True,
    "nn.GroupNorm(dim, dim)": True,
    "nn.GroupNorm(dim // 4, dim)": True,
    "nn.GroupNorm(2, dim)": False,
}


def _program(norm: str, folder: Path) -> Any:
    (folder / "normed.py").write_text(MODEL.replace("NORM", norm))
    return symnas.program(f"{folder / 'normed.py'}:Net", inputs=torch.randn(5, 3))


@pytest.mark.parametrize("norm", [norm for norm, mixed in NORMS.items() if mixed])
def test_statistics_are_those_of_the_child(norm: str, tmp_path: Path) -> None:
    made = _program(norm, tmp_path)
    relaxed = made.relaxed(dtype=torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64)
    for parameter in relaxed.model.parameters():
        torch.nn.init.normal_(parameter)
    for decision in made.space.enumerate():
        child = relaxed.extract(decision)
        expected = torch.autograd.grad(child(x).square().sum(), child.leave.bias)
        network = relaxed(x, mixes=relaxed.one_hot(decision))
        found = torch.autograd.grad(network.square().sum(), relaxed.model.leave.bias)
        torch.testing.assert_close(network, child(x))
        torch.testing.assert_close(found, expected)
    relaxed(x).square().sum().backward()
    assert all(logits.grad.abs().max() > 1e-6 for logits in relaxed.logits.values())


def test_groups_that_a_width_moves_are_refused_by_their_name(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"'dim' .*the group normalisation `norm` has 2 groups"):
        _program("nn.GroupNorm(2, dim)", tmp_path).relaxed()
