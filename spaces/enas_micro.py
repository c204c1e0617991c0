"""The cells of ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268), its micro space.

A network is a stack of cells of two kinds, normal ones and two that halve the resolution, and all cells of a
kind are alike. A cell has five nodes. A node adds two operations, each on the output of one of the last two
cells or of an earlier node; what no node reads is concatenated.

The defaults are the cells that the authors publish with their code, in the network that their final script
trains. What only training adds, the auxiliary classifier and dropped paths, is left out.
"""

from typing import Any

import torch
from torch import Tensor, nn

from symnas import oneof

Input = tuple[int, Any]
"""What a node reads: the position of a state (0 and 1 are the cell's inputs), and an operation on it."""

SMALL: dict[str, Any] = {"channels": 8, "cells": 1}
"""Arguments of a network that a search on two cores can afford."""


class Separable(nn.Sequential):
    """Activation, a convolution of every channel, one across channels, and normalisation."""

    def __init__(self, channels: int, kernel: int, stride: int):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


class Squeeze(nn.Sequential):
    """Activation, a 1x1 convolution without bias, and normalisation."""

    def __init__(self, channels: int, width: int):
        super().__init__(nn.ReLU(), nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


class FactorizedReduce(nn.Module):
    """Halves the resolution: one 1x1 convolution reads the even pixels, another the odd ones."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.even = nn.Conv2d(channels, width // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels, width - width // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to half the height and width, which are even."""
        return self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))


def sep_conv_3x3(channels: int, stride: int) -> nn.Module:
    """Make two separable convolutions, one after the other."""
    return nn.Sequential(Separable(channels, 3, stride), Separable(channels, 3, 1))


def sep_conv_5x5(channels: int, stride: int) -> nn.Module:
    """Make two separable convolutions, one after the other."""
    return nn.Sequential(Separable(channels, 5, stride), Separable(channels, 5, 1))


def avg_pool_3x3(_channels: int, stride: int) -> nn.Module:
    """Make an average pooling, which does not count the border."""
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def max_pool_3x3(_channels: int, stride: int) -> nn.Module:
    """Make a max pooling."""
    return nn.MaxPool2d(3, stride, padding=1)


def identity(channels: int, stride: int) -> nn.Module:
    """Make the operation that passes its input on, at half the resolution for a stride of 2."""
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)


NORMAL: list[tuple[Input, Input]] = [
    ((0, avg_pool_3x3), (0, sep_conv_3x3)),
    ((0, identity), (0, sep_conv_5x5)),
    ((0, identity), (1, sep_conv_5x5)),
    ((1, sep_conv_3x3), (0, sep_conv_5x5)),
    ((0, avg_pool_3x3), (1, sep_conv_5x5)),
]
"""The published normal cell."""
REDUCTION: list[tuple[Input, Input]] = [
    ((1, sep_conv_3x3), (1, sep_conv_3x3)),
    ((0, max_pool_3x3), (0, avg_pool_3x3)),
    ((1, sep_conv_5x5), (3, sep_conv_5x5)),
    ((1, sep_conv_3x3), (0, identity)),
    ((0, max_pool_3x3), (1, sep_conv_5x5)),
]
"""The published reduction cell."""


def read(states: int, default: Input) -> Input:
    """Choose one of the states before a node, and an operation on it."""
    source = oneof(range(states), default=default[0])
    op = default[1]  # search: {sep_conv_3x3, sep_conv_5x5, avg_pool_3x3, max_pool_3x3, identity}
    return source, op


def choose(published: list[tuple[Input, Input]]) -> list[tuple[Input, Input]]:
    """Choose what the nodes of a cell read; the published cell is the default."""
    nodes = []
    for node in range(len(published)):
        left = read(node + 2, published[node][0])
        right = read(node + 2, published[node][1])
        nodes.append((left, right))
    return nodes


class Cell(nn.Module):
    """Two inputs, nodes that add two operations each, and the concatenation of what none of them reads.

    Args:
        before: channels of the output of the cell before the last.
        last: channels of the last cell's output.
        channels: of every node.
        nodes: what each node reads.
        stride: 2 where the cell halves the resolution, else 1.
        reduced: whether the last cell halved the resolution.
    """

    def __init__(
        self,
        before: int,
        last: int,
        channels: int,
        nodes: list[tuple[Input, Input]],
        stride: int,
        reduced: bool,
    ):
        super().__init__()
        self.before: nn.Module = nn.Identity()
        if reduced:
            self.before = nn.Sequential(nn.ReLU(), FactorizedReduce(before, channels))
        elif before != channels:
            self.before = Squeeze(before, channels)
        self.last: nn.Module = Squeeze(channels, channels)
        if last != channels:
            self.last = nn.Sequential(Squeeze(last, channels), self.last)
        self.sources = [(left[0], right[0]) for left, right in nodes]
        self.left = nn.ModuleList()
        self.right = nn.ModuleList()
        for left, right in nodes:
            self.left.append(left[1](channels, stride if left[0] < 2 else 1))
            self.right.append(right[1](channels, stride if right[0] < 2 else 1))
        used = {source for sources in self.sources for source in sources}
        self.unused = [state for state in range(len(nodes) + 2) if state not in used]
        # An input that no node reads has twice the resolution of the nodes in a cell that halves it.
        self.reduce = nn.ModuleDict(
            {str(state): FactorizedReduce(channels, channels) for state in self.unused if state < 2}
            if stride == 2
            else {}
        )
        self.width = len(self.unused) * channels

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """Map the outputs of the last two cells to (batch, self.width, height, width)."""
        states = [self.before(before), self.last(last)]
        for (first, second), left, right in zip(self.sources, self.left, self.right, strict=True):
            states.append(left(states[first]) + right(states[second]))
        for state, layer in self.reduce.items():
            states[int(state)] = layer(states[int(state)])
        return torch.cat([states[state] for state in self.unused], dim=1)


class Net(nn.Module):
    """The whole network.

    Args:
        classes: number of classes.
        channels: of the first cells' nodes; the two reduction cells double them. Even.
        cells: how many normal cells there are before, between and behind the two reduction cells.
        colours: channels of the images.
    """

    def __init__(self, classes: int = 10, channels: int = 36, cells: int = 5, colours: int = 3):
        super().__init__()
        normal = choose(NORMAL)
        reduction = choose(REDUCTION)
        before, last = 3 * channels, 3 * channels
        self.stem = nn.Sequential(nn.Conv2d(colours, last, 3, padding=1, bias=False), nn.BatchNorm2d(last))
        self.cells = nn.ModuleList()
        reduced = False
        for index in range(3 * cells + 2):
            halve = index in (cells, 2 * cells + 1)
            channels = 2 * channels if halve else channels
            cell = Cell(before, last, channels, reduction if halve else normal, 2 if halve else 1, reduced)
            before, last, reduced = last, cell.width, halve
            self.cells.append(cell)
        self.head = nn.Linear(last, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, colours, height, width) to logits (batch, classes)."""
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.head(last.relu().mean((2, 3)))
