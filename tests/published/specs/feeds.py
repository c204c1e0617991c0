"""Example inputs, the same at every call."""

from __future__ import annotations

import torch
from torch import Tensor


def numbers(*shape: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def images(side: int = 32, channels: int = 3) -> Tensor:
    """Two images."""
    return numbers(2, channels, side, side)


def tokens(high: int, *shape: int) -> Tensor:
    """Numbers of words."""
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(1))
