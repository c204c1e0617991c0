"""The nested flow against brute force on a small joint space, and the cost model against counting."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from symnas.tree.choices import OneOf
from symnas.tree.space import Decision, Space

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "nested"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("chip", "codesign"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import chip
    import codesign

    return chip, codesign


def counted(layer: Any, chip: Any) -> int:
    """Count the cycles of an output-stationary array tile by tile."""
    total = 0
    for _ in range(0, layer.pixels, chip.rows):
        for _ in range(0, layer.channels, chip.columns):
            # The last element starts after R + C - 2 cycles and accumulates K products.
            total += (chip.rows - 1) + (chip.columns - 1) + layer.depth
    return total


def test_cycles_agree_with_counting_tiles(modules: tuple[Any, Any]) -> None:
    chip, _ = modules
    for rows, columns, m, n, k in itertools.product((4, 16), (8, 32), (1, 49, 64), (8, 10), (9, 72)):
        layer = chip.Layer(m, n, k)
        assert chip.cycles(layer, chip.Chip(rows, columns)) == counted(layer, chip.Chip(rows, columns))
        # Any dataflow is the output-stationary count of the product with its sides exchanged.
        for dataflow, sides in {"weight": (k, n, m), "input": (k, m, n)}.items():
            other = chip.Chip(rows, columns, dataflow=dataflow)
            assert chip.cycles(layer, other) == counted(chip.Layer(*sides), other)


def test_the_roofline_is_the_slower_of_two(modules: tuple[Any, Any]) -> None:
    chip, _ = modules
    layer = chip.Layer(64, 16, 144)
    starved, fed = chip.Chip(bandwidth=1e-6), chip.Chip(bandwidth=1e6)
    assert chip.latency_ms([layer], starved) == pytest.approx(chip.traffic(layer, starved) / 1e3 * 1e3)
    assert chip.latency_ms([layer], fed) == pytest.approx(chip.cycles(layer, fed) / 500e6 * 1e3)
    assert chip.traffic(layer, chip.Chip(buffer=128)) == 64 * 144 + 144 * 16 + 64 * 16
    assert chip.traffic(layer, chip.Chip(8, 8, buffer=8)) == 2 * 64 * 144 + 144 * 16 + 64 * 16


def test_layers_are_those_of_the_network(modules: tuple[Any, Any]) -> None:
    chip, codesign = modules
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    found = chip.layers(net, codesign.EXAMPLE)
    assert found == [chip.Layer(64, 8, 9), chip.Layer(1, 10, 128)]
    assert net.training


@dataclass(frozen=True)
class Small:
    """A program over a small space."""

    name: str
    space: Space
    make: Callable[[Decision], Any]

    def build(self, decision: Decision) -> Any:
        return self.make(decision)

    @property
    def fingerprint(self) -> str:
        return self.name + self.space.fingerprint


def quality(net: nn.Module, seed: int) -> float:
    """Stand for training: more parameters are better, with diminishing returns."""
    count = sum(parameter.numel() for parameter in net.parameters())
    return 1 - 1 / (1 + count / 500) ** 0.5


def make_net(decision: Decision) -> nn.Module:
    width, kernel = decision["width"], decision["kernel"]
    return nn.Sequential(
        nn.Conv2d(1, width, kernel, padding=kernel // 2), nn.Conv2d(width, width, kernel, padding=kernel // 2)
    )


@pytest.mark.parametrize("algorithm", ["grid", "random"])
def test_the_flow_finds_what_brute_force_finds(
    modules: tuple[Any, Any], algorithm: str, tmp_path: Path
) -> None:
    chip, codesign = modules
    chip_space = Space(
        (OneOf("rows", (4, 16)), OneOf("columns", (8, 32)), OneOf("dataflow", ("output", "weight")))
    )
    net_space = Space((OneOf("width", (4, 8, 16)), OneOf("kernel", (1, 3, 5))))
    chips = Small("chips", chip_space, lambda decision: chip.Chip(**decision, bandwidth=6.4))
    nets = Small("nets", net_space, make_net)
    study = codesign.codesign(
        chips, nets, quality, outer=algorithm, inner=algorithm, chip_trials=8, net_trials=9,
        store=str(tmp_path / "joint.db"), progress="silent",
    )  # fmt: skip

    best: dict[Decision, tuple[float, float]] = {}
    for hardware in chip_space.enumerate():
        made = chip.Chip(**hardware, bandwidth=6.4)
        rewards = []
        for architecture in net_space.enumerate():
            net = make_net(architecture)
            latency = chip.latency_ms(chip.layers(net, torch.zeros(1, 1, 8, 8)), made)
            rewards.append(codesign.reward(quality(net, 0), latency))
        best[hardware] = (max(rewards), made.area_mm2)
    got = {trial.decision: (trial.metrics["reward"], trial.metrics["area_mm2"]) for trial in study.trials}
    assert got == {hardware: pytest.approx(numbers) for hardware, numbers in best.items()}

    def dominated(numbers: tuple[float, float]) -> bool:
        return any(r >= numbers[0] and a <= numbers[1] and (r, a) != numbers for r, a in best.values())

    front = sorted({numbers for numbers in best.values() if not dominated(numbers)})
    assert 1 < len(front) < len(best)
    assert sorted(got[trial.decision] for trial in study.front) == [pytest.approx(pair) for pair in front]
