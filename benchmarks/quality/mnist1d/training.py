"""How a child of `spaces/mnist1d.py` is trained and scored on MNIST-1D.

The data are the 5,000 signals that the package `mnist1d` generates with its own defaults (seed 42): 3,000 of
its 4,000 training signals are trained on, the other 1,000 are for validation, and its 1,000 test signals are
kept for the report. Greydanus and Kobak, "Scaling down deep learning with MNIST-1D", ICML 2024.
"""

from __future__ import annotations

import random
import time
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from mnist1d.data import get_dataset_args, make_dataset
from torch import Tensor, nn
from torch.nn import functional as F

import symnas
from symnas import Decision, Program

SEEDS = 3
TRAIN = 3_000
EPOCHS = 6
BATCH = 100


class Data(NamedTuple):
    """Signals (examples, 1, 40) and digits (examples,) of the three splits."""

    train: tuple[Tensor, Tensor]
    valid: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


class Result(NamedTuple):
    """Accuracies on validation and test data, and the CPU seconds that the training took."""

    valid: float
    test: float
    seconds: float


@cache
def program() -> Program:
    """Return the annotated model."""
    return symnas.program("symnas.spaces.mnist1d:Net")


@cache
def data() -> Data:
    """Return the data; they are computed, not downloaded. Global generators are left as they were."""
    states = random.getstate(), np.random.get_state()
    made = make_dataset(get_dataset_args())
    random.setstate(states[0])
    np.random.set_state(states[1])

    def pair(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        return torch.tensor(x, dtype=torch.float32).unsqueeze(1), torch.tensor(y)

    x, y = made["x"], made["y"]
    return Data(pair(x[:TRAIN], y[:TRAIN]), pair(x[TRAIN:], y[TRAIN:]), pair(made["x_test"], made["y_test"]))


@cache
def costs(decision: Decision) -> tuple[int, int]:
    """Return parameters and FLOPs of one signal's forward pass."""
    profile = program().profile(decision, torch.zeros(1, 1, 40))
    return profile.params, int(profile.flops or 0)


def train(decision: Decision, seed: int) -> Result:
    """Train a child from scratch and score it once, at the end.

    Adam with the child's own learning rate, falling to zero along a cosine. The seed decides the initial
    weights, the order of the examples and what is dropped; one thread, so that sums are made in one order.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            began = time.process_time()
            child = _fit(program().build(decision))
            seconds = time.process_time() - began
        return Result(_accuracy(child, *data().valid), _accuracy(child, *data().test), seconds)
    finally:
        torch.set_num_threads(threads)


def _fit(child: nn.Module) -> nn.Module:
    x, y = data().train
    rate = float(child.learning_rate)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(child.parameters(), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * (TRAIN // BATCH))
    child.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(TRAIN).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(child(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return child.eval()


@torch.no_grad()
def _accuracy(child: nn.Module, x: Tensor, y: Tensor) -> float:
    return (child(x).argmax(1) == y).double().mean().item()
