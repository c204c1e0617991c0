"""Tasks and pruners under a real search: same seed, same study, weights and stops included."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symnas
from symnas.study.pruners import Median, Pruner, SuccessiveHalving
from symnas.training.task import Task
from symnas.tree.choices import IntRange, OneOf
from symnas.tree.space import Decision, Space


class Nets:
    """A program over small perceptrons."""

    name = fingerprint = "nets"
    space = Space((OneOf("width", (2, 4, 8)), OneOf("act", ("ReLU", "Tanh")), IntRange("depth", 1, 3)))

    def build(self, decision: Decision) -> nn.Module:
        parts: list[nn.Module] = []
        size = 4
        for _ in range(decision["depth"]):
            parts += [nn.Linear(size, decision["width"]), getattr(nn, decision["act"])()]
            size = decision["width"]
        return nn.Sequential(*parts, nn.Dropout(0.1), nn.Linear(size, 2))


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).float().mean()


def make_task() -> Task:
    inputs = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    data = inputs, (inputs[:, 0] > inputs[:, 1]).long()
    optimizer = partial(torch.optim.SGD, lr=0.3)
    return Task(
        train=data, valid=data, loss=nn.functional.cross_entropy, metrics={"accuracy": accuracy},
        optimizer=optimizer, epochs=4, device="cpu",
    )  # fmt: skip


def run(pruner: Pruner | None, **changes: Any) -> symnas.Study:
    settings: dict[str, Any] = {"trials": 14, "seed": 3, "pruner": pruner, "progress": "silent"}
    options = {"population": 5, "tournament": 2}
    return symnas.search(
        Nets(), make_task(), algorithm="evolution", options=options, **{**settings, **changes}
    )


def listed(study: symnas.Study) -> list[tuple[Any, ...]]:
    return [(trial.decision, trial.status, dict(trial.metrics)) for trial in study.trials]


@pytest.mark.parametrize("pruner", [None, Median(startup=2), SuccessiveHalving(factor=2)], ids=repr)
def test_the_same_seed_gives_the_same_study(pruner: Pruner | None) -> None:
    torch.manual_seed(1)
    first = run(pruner)
    torch.manual_seed(2)
    second = run(pruner)
    assert listed(first) == listed(second)
    assert listed(first) != listed(run(pruner, seed=4))
    assert ("pruned" in {trial.status.value for trial in first.trials}) is (pruner is not None)


def test_a_search_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(None, trials=3)
    assert torch.equal(torch.get_rng_state(), before)
