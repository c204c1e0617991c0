"""Expected costs against the mean over all children."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import symnas
from symnas.relaxation import RelaxedPoint
from symnas.relaxed_costs import Costs
from symnas.relaxed_sizes_found import all_together, find_sizes
from symnas.superposed import openable, superposed

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


def costs(folder: Path, name: str) -> tuple[Any, Costs]:
    body, shape = NETS[name]
    file = folder / "net.py"
    file.write_text(HEAD + body.lstrip("\n"))
    target = symnas.program(f"{file}:Net", inputs=(torch.randn(shape),))
    opened = openable(target)
    sizes = find_sizes(target, opened, superposed(target, device="meta", only=opened).closed)
    made = superposed(target, sizes.largest, device="meta", only=opened)
    points = dict(sizes.points)
    for address, choices in made.choices.items():
        points[address] = RelaxedPoint(address, choices[0].labels)
        for choice in choices:
            choice.rule = all_together
    return target, Costs(target, made, points, sizes)


@pytest.mark.parametrize("metric", ["params", "flops"])
@pytest.mark.parametrize("name", NETS)
def test_expected_cost_is_the_mean_over_all_children(name: str, metric: Any, tmp_path: Path) -> None:
    target, found = costs(tmp_path, name)
    generator = torch.Generator().manual_seed(0)
    weights = {
        address: torch.softmax(torch.randn(len(point.labels), generator=generator).double(), 0)
        for address, point in found.points.items()
    }
    mean = float(found.expected(metric, weights))
    assert mean == pytest.approx(_mean(target, found.points, weights, metric), rel=1e-9)


def _mean(
    target: Any, points: Mapping[str, RelaxedPoint], weights: Mapping[str, torch.Tensor], metric: str
) -> float:
    total = 0.0
    for codes in itertools.product(*(range(len(point.labels)) for point in points.values())):
        share, values = 1.0, {}
        for (address, point), code in zip(points.items(), codes, strict=True):
            share *= float(weights[address][code])
            values[address] = point.labels[code]
        total += share * float(getattr(target.profile(_existing(target, values)), metric))
    return total


def _existing(target: Any, values: Mapping[str, Any]) -> Any:
    """Return the decision with the values of those points that exist under it."""
    return target.decision({a: v for a, v in values.items() if a in target.space.addresses})


def test_gradient_of_an_expected_cost(tmp_path: Path) -> None:
    _, found = costs(tmp_path, "sizes inside and outside")
    logits = [torch.randn(len(point.labels)).double().requires_grad_() for point in found.points.values()]

    def cost(*own: torch.Tensor) -> torch.Tensor:
        weights = {a: torch.softmax(each, 0) for a, each in zip(found.points, own, strict=True)}
        return found.expected("flops", weights) / 1e4

    assert torch.autograd.gradcheck(cost, logits)
    assert all(gradient.any() for gradient in torch.autograd.grad(cost(*logits), logits))
