"""How a child is trained and scored: three passes over 3,000 images, accuracy on 1,000 others."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from data import split
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

import symnas


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).float().mean()


def adamw(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-2)


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    return OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)


def make_task(epochs: int = 3, limit: int | None = None) -> symnas.Task:
    """Return the task; `limit` takes fewer images, for quick looks."""
    return symnas.Task(
        train=split("train", limit),
        valid=split("valid", limit),
        test=split("test", limit),
        loss=F.cross_entropy,
        metrics={"accuracy": accuracy},
        optimizer=adamw,
        schedule=one_cycle,
        epochs=epochs,
    )


task = make_task()
