"""Expected costs against the mean over all children."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import symnas
from symnas.contracts.relaxed_points import RelaxedPoint

NETS = {
    "candidates in candidates": (
        """
        # search: {nn.Linear(6, 6), nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 6)), nn.Identity()}
        self.a = nn.Linear(6, 6)
        # search: {nn.Identity(), nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 6))}
        self.b = nn.Identity()
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.b(self.a(x)))
""",
        (5, 6),
    ),
    "sizes inside and outside": (
        """
        c = 4  # search: {2, 4}
        m = 3  # search: {1, 2, 3}
        k = 5  # search: {1, 3, 5}
        self.stem = nn.Conv2d(3, c, k, padding=k // 2)
        # search: {nn.Conv2d(c, c, 1), nn.Sequential(nn.Conv2d(c, c * m, 1), nn.Conv2d(m * c, c, 1))}
        self.op = nn.Conv2d(c, c, 1)
        self.head = nn.Linear(c, 2)

    def forward(self, x):
        return self.head(self.op(self.stem(x)).mean((2, 3)))
""",
        (2, 3, 6, 6),
    ),
    "depth": (
        """
        depth = 3  # search: 1..3
        blocks = []
        for block in range(depth):
            # search: {nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))}
            op = nn.Linear(4, 4)
            blocks.append(op)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.blocks(x))
""",
        (5, 4),
    ),
    "attention": (
        """
        # search: {nn.Identity(), Attention(4), nn.Linear(4, 4)}
        self.op = nn.Identity()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.op(x))
""",
        (2, 3, 4),
    ),
}
HEAD = """import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.MultiheadAttention(width, 2, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x)[0]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
"""


def relaxed(folder: Path, name: str) -> Any:
    body, shape = NETS[name]
    file = folder / "net.py"
    file.write_text(HEAD + body.lstrip("\n"))
    return symnas.program(f"{file}:Net", inputs=(torch.randn(shape),)).relaxed()


@pytest.mark.parametrize("metric", ["params", "flops"])
@pytest.mark.parametrize("name", NETS)
def test_expected_cost_is_the_mean_over_all_children(name: str, metric: Any, tmp_path: Path) -> None:
    network = relaxed(tmp_path, name)
    points = {point.address: point for point in network.points}
    generator = torch.Generator().manual_seed(0)
    weights = {
        address: torch.softmax(torch.randn(len(point.labels), generator=generator).double(), 0)
        for address, point in points.items()
    }
    mean = float(network.expected_cost(metric, weights))
    assert mean == pytest.approx(_mean(network.program, points, weights, metric), rel=1e-9)


def _mean(
    target: Any, points: Mapping[str, RelaxedPoint], weights: Mapping[str, torch.Tensor], metric: str
) -> float:
    total = 0.0
    for decision in target.space.enumerate():
        share = math.prod(
            float(weights[address][points[address].labels.index(value)])
            for address, value in decision.items()
        )
        total += share * float(getattr(target.profile(decision), metric))
    return total


def test_gradient_of_an_expected_cost(tmp_path: Path) -> None:
    network = relaxed(tmp_path, "sizes inside and outside")
    logits = [torch.randn(len(point.labels)).double().requires_grad_() for point in network.points]

    def cost(*own: torch.Tensor) -> torch.Tensor:
        weights = {p.address: each.softmax(0) for p, each in zip(network.points, own, strict=True)}
        return network.expected_cost("flops", weights) / 1e4

    assert torch.autograd.gradcheck(cost, logits)
    assert all(gradient.any() for gradient in torch.autograd.grad(cost(*logits), logits))


def test_flops_of_choices_in_forward_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        """from torch import nn
from symnas import oneof


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, x):
        return oneof([self.a(x), self.b(x)], name="way")
"""
    )
    network = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=(torch.randn(2, 3),)).relaxed()
    even = {point.address: torch.full((len(point.labels),), 0.5) for point in network.points}
    assert float(network.expected_cost("params", even)) == 2 * (3 * 4 + 4)
    with pytest.raises(symnas.errors.ProgramError, match="give a table of costs"):
        network.expected_cost("flops", even)
