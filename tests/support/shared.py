"""A small annotated model, its data, and tasks, for tests of weights that children share."""

from __future__ import annotations

import functools
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import symnas


class Net(nn.Module):
    """A perceptron with choices of modules, of a width and of a depth."""

    def __init__(self, norm: bool = True, classes: int = 2) -> None:
        super().__init__()
        width = 8  # search: {4, 8, 16}
        layers: list[nn.Module] = []
        size = 4
        for _ in range(2):  # search: 1..3
            act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh(), nn.PReLU()}
            layers += [nn.Linear(size, width), nn.BatchNorm1d(width) if norm else nn.Identity(), act]
            size = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(size, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Ops(nn.Module):
    """Three places with three operations each that have weights of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.one = nn.Linear(
            6, 6
        )  # search: {a: nn.Linear(6, 6), b: nn.Linear(6, 6, bias=False), c: nn.PReLU(6)}
        self.two = nn.Linear(
            6, 6
        )  # search: {a: nn.Linear(6, 6), b: nn.Linear(6, 6, bias=False), c: nn.PReLU(6)}
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.one(self.stem(x)))
        return self.head(torch.tanh(self.two(x)))


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).float().mean()


def data(rows: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed))
    return inputs, (inputs[:, 0] > inputs[:, 1]).long()


def make_task(**changes: Any) -> symnas.Task:
    settings: dict[str, Any] = {
        "train": data(),
        "valid": data(seed=1),
        "loss": nn.functional.cross_entropy,
        "metrics": {"accuracy": accuracy},
        "optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=1e-3),
        "epochs": 2,
        "batch_size": 32,
        "device": "cpu",
    }
    if "steps" in changes:
        del settings["epochs"]
    return symnas.Task(**{**settings, **changes})


@functools.cache
def net(norm: bool = True) -> symnas.Program:
    program: symnas.Program = symnas.program(Net, inputs=torch.zeros(2, 4), norm=norm)
    return program


@functools.cache
def ops() -> symnas.Program:
    program: symnas.Program = symnas.program(Ops, inputs=torch.zeros(2, 4))
    return program
