"""Algorithms that choose widths and kernels in relaxed networks."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import symnas
from symnas.algorithms import TAS, SinglePathNAS
from symnas.contracts.relaxed_points import RelaxedPoint
from symnas.errors import AlgorithmError

WIDTH = RelaxedPoint("width", (8, 2, 4), "size")


def logits_of(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("strong", [*itertools.product([False, True], repeat=2)])
def test_a_size_is_used_while_all_rings_up_to_it_are_above_their_thresholds(
    strong: tuple[bool, bool],
) -> None:
    thresholds = logits_of(0.5, 9.0, 0.5)  # of 8, 2 and 4; that of the smallest is not used
    strengths = torch.tensor([1.0 if strong[1] else 0.1, 0.0, 1.0 if strong[0] else 0.1])
    mixes = SinglePathNAS().mixes(
        (WIDTH,), {"width": thresholds}, 0.0, torch.Generator(), strengths=lambda _: strengths
    )
    expected = 2 if not strong[0] else (4 if not strong[1] else 8)
    weights = mixes["width"].weights
    assert weights.tolist() == [float(label == expected) for label in WIDTH.labels]
    derived = SinglePathNAS().derive((WIDTH,), {"width": thresholds}, lambda _: strengths)
    assert derived == {"width": expected}


def test_gradient_of_a_threshold_is_that_of_a_sigmoid() -> None:
    thresholds = logits_of(0.2, 0.0, 0.4)
    strengths = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    values = torch.tensor([3.0, 5.0, 11.0], dtype=torch.float64)  # losses of 8, 2 and 4
    algorithm = SinglePathNAS()
    mixes = algorithm.mixes(
        (WIDTH,), {"width": thresholds}, 0.0, torch.Generator(), strengths=lambda _: strengths
    )
    loss = (mixes["width"].weights * values).sum()
    slope, power = torch.autograd.grad(loss, [thresholds, strengths])

    def derivative(margin: float) -> float:
        inside = 1 / (1 + math.exp(-margin))
        return inside * (1 - inside)

    # loss = 5 + g4 (11 - 5) + g4 g8 (3 - 11), with both gates open
    expected = [-derivative(0.8) * (3 - 11), 0.0, -derivative(0.6) * ((11 - 5) + (3 - 11))]
    assert slope.tolist() == pytest.approx(expected)
    assert power.tolist() == pytest.approx([-each for each in expected])


def test_two_widths_are_weighed_by_the_numbers_that_drew_them() -> None:
    logits = logits_of(0.3, -0.2, 0.1)
    generator = torch.Generator().manual_seed(3)
    counts = torch.zeros(3)
    for _ in range(3000):
        mix = TAS().mix(WIDTH, logits, 1.0, generator, "logits")
        assert mix.active is not None
        assert len(set(mix.active)) == 2
        assert mix.weights.detach().sum().item() == pytest.approx(1.0)
        assert all(mix.weights[i] == 0 for i in range(3) if i not in mix.active)
        counts[list(mix.active)] += 1
    chances = logits.detach().softmax(-1)
    # How often a candidate is among two that are drawn without replacement.
    for code in range(3):
        others = [i for i in range(3) if i != code]
        expected = chances[code] + sum(chances[i] * chances[code] / (1 - chances[i]) for i in others)
        assert counts[code] / 3000 == pytest.approx(float(expected), abs=0.03)


def test_the_temperature_sharpens() -> None:
    soft, sharp = (
        TAS().mix(WIDTH, logits_of(1.0, 0.0, -1.0), progress, torch.Generator().manual_seed(1), "logits")
        for progress in (0.0, 1.0)
    )
    assert soft.active == sharp.active
    assert soft.weights.detach().max() < 0.6 < sharp.weights.detach().max()


def test_gradients_reach_the_logits_of_widths() -> None:
    logits = logits_of(0.3, -0.2, 0.1)
    mix = TAS().mix(WIDTH, logits, 0.5, torch.Generator().manual_seed(0), "logits")
    (gradient,) = torch.autograd.grad((mix.weights * torch.arange(3.0)).sum(), logits)
    assert float(gradient.abs().sum()) > 1e-4
    assert float(gradient.sum()) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("wrong", [{"tau_min": 0.0}, {"tau_max": 0.01}, {"drawn": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AlgorithmError, match=next(iter(wrong))):
        TAS(**wrong)


NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 8  # search: {2, 4, 8}
        self.up = nn.Linear(4, width)
        self.down = nn.Linear(width, 2)

    def forward(self, x):
        return self.down(self.up(x).relu())
"""


@pytest.mark.parametrize(
    "algorithm", [TAS(epochs=2, batch_size=8), SinglePathNAS(epochs=2, batch_size=8)], ids=repr
)
def test_a_search_ends_in_a_child_of_the_space(algorithm: Any, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(32, 4, generator=generator)
    data = inputs, (inputs.sum(1) > 0).long()
    task = symnas.Task(
        train=data, valid=data, loss=torch.nn.functional.cross_entropy, batch_size=8, device="cpu"
    )
    program = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=(inputs[:2],))
    study = symnas.search(program, task, algorithm=algorithm, seed=0)
    assert study.best.decision["width"] in (2, 4, 8)
    again = symnas.search(program, task, algorithm=algorithm, seed=0)
    assert again.best.decision == study.best.decision
    assert again.best.metrics == study.best.metrics
