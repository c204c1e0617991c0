"""Optimisers and schedules for a `Task`, with which the papers train weights that children share."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

# The fingerprint of a task holds the text of its functions, so the text of these, comments and docstrings
# included, stays as it is: with another, studies that were begun would not go on. Notes stand above them.


def nesterov(
    parameters: Iterable[nn.Parameter], *, lr: float = 0.05, weight_decay: float = 1e-4
) -> Optimizer:
    """Return SGD with Nesterov momentum 0.9, as ENAS trains its children.

    Args:
        parameters: what is trained.
        lr: the largest learning rate.
        weight_decay: 1e-4 for cells, 2.5e-4 for whole networks in ENAS.
    """
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=weight_decay)


# Cycle i has length T_i = T_0 growth^i. At place t of T_i (their equation 5)
#     lr = low + (1 - low) (1 + cos(pi t / T_i)) / 2, as a share of the largest.
def cosine_restarts(
    optimizer: Optimizer, steps: int, *, cycles: int = 4, growth: float = 2.0, low: float = 0.01
) -> LRScheduler:
    """Lower the learning rate along half a cosine, again and again, each cycle longer than the one before.

    Loshchilov and Hutter 2017: SGDR (arXiv:1608.03983). ENAS takes cycles of 10, 20, 40, … epochs, from 0.05
    to 0.0005: 4 of them for its 150 epochs on cells, 5 for the 310 on whole networks.

    Args:
        optimizer: whose learning rates are set; they are the largest.
        steps: length of all cycles together.
        cycles: how many.
        growth: how much longer each is.
        low: the smallest learning rate, as a share of the largest.
    """
    lengths = [growth**number for number in range(cycles)]
    scale = steps / sum(lengths)

    def share(step: int) -> float:
        left = step / scale
        for length in lengths:
            if left < length:
                return low + (1.0 - low) * (1.0 + math.cos(math.pi * left / length)) / 2.0
            left -= length
        return low

    return LambdaLR(optimizer, share)


def linear(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Lower the learning rate in a line to zero, as single-path one-shot search does.

    Args:
        optimizer: whose learning rates are set; they are those at the start.
        steps: after how many it is zero.
    """
    return LambdaLR(optimizer, lambda step: max(0.0, 1.0 - step / steps))
