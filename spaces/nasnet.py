"""The cells of NASNet (Zoph et al. 2018, https://arxiv.org/abs/1707.07012).

A network is a stack of cells of two kinds, normal ones and two that halve the resolution, and all cells of a
kind are alike. A cell has five blocks. A block combines two of thirteen operations, each on the output of one
of the last two cells or of an earlier block, by adding or by concatenating them. What no block reads is
concatenated; so are, as in the published cells, the older input of a normal cell and the second block of a
reduction cell.

The defaults are the cells of NASNet-A, in the network for CIFAR-10 (NASNet-A 6 @ 768). What only training
adds, the auxiliary classifier and dropped paths, is left out; neither is part of the published sizes.
"""

from typing import Any

import torch
from torch import Tensor, nn

from symnas import oneof

Input = tuple[int, Any]
"""What a block reads: the position of a state (0 is the older input, 1 the newer), and an operation on it."""
Block = tuple[Input, Input, str]
"""Two inputs and how they are combined: "add" or "concat"."""

MOBILE: dict[str, Any] = {"classes": 1000, "channels": 44, "cells": 4, "stem": "imagenet"}
"""Arguments of NASNet-A (4 @ 1056), the paper's network for phones, for images of 224 pixels."""
LARGE: dict[str, Any] = {"classes": 1000, "channels": 168, "cells": 6, "stem": "imagenet", "first": 96}
"""Arguments of NASNet-A (6 @ 4032), the paper's largest network, for images of 331 pixels."""
SMALL: dict[str, Any] = {"channels": 8, "cells": 1}
"""Arguments of a network that a search on two cores can afford."""


def norm(channels: int) -> nn.BatchNorm2d:
    """Make a normalisation with the paper's constant."""
    return nn.BatchNorm2d(channels, eps=1e-3)


class Convolution(nn.Sequential):
    """Activation, convolution without bias, and normalisation, in this order."""

    def __init__(
        self, channels: int, width: int, kernel: int | tuple[int, int], stride: int | tuple[int, int] = 1
    ):
        sizes = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sizes[0] // 2, sizes[1] // 2)
        super().__init__(
            nn.ReLU(), nn.Conv2d(channels, width, sizes, stride, padding, bias=False), norm(width)
        )


class Separable(nn.Sequential):
    """Activation, a convolution of every channel, one across channels, and normalisation; twice."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int):
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [
                nn.ReLU(),
                nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False),
                nn.Conv2d(channels, width, 1, bias=False),
                norm(width),
            ]
            channels, stride = width, 1
        super().__init__(*layers)


class FactorizedReduce(nn.Module):
    """Halves the resolution: one 1x1 convolution reads the even pixels, another the odd ones."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.even = nn.Conv2d(channels, width // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels, width - width // 2, 1, stride=2, bias=False)
        self.norm = norm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to half the height and width, rounded up."""
        odd = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.even(x), self.odd(odd)], dim=1))


def shaped(channels: int, width: int, stride: int) -> nn.Module:
    """Give an input of a cell that none of its blocks reads the shape of a block."""
    if stride == 2:
        return FactorizedReduce(channels, width)
    if channels == width:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), norm(width))


class Add(nn.Module):
    """The sum of two tensors."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Add two tensors of one shape."""
        return x + y


class Concat(nn.Module):
    """The concatenation of two tensors, and a convolution that gives it the shape of one."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = Convolution(2 * channels, channels, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map two tensors (batch, channels, height, width) to one."""
        return self.squeeze(torch.cat([x, y], dim=1))


def pooled(pool: nn.Module, channels: int, width: int) -> nn.Module:
    """Put a convolution behind a pooling where the number of channels changes."""
    if channels == width:
        return pool
    return nn.Sequential(pool, nn.Conv2d(channels, width, 1, bias=False), norm(width))


def identity(channels: int, width: int, stride: int) -> nn.Module:
    """Make the operation that passes its input on, by a convolution where the shape changes."""
    if channels == width and stride == 1:
        return nn.Identity()
    return Convolution(channels, width, 1, stride)


def conv_1x3_3x1(channels: int, width: int, stride: int) -> nn.Module:
    """Make a convolution along the rows, then one along the columns."""
    return nn.Sequential(
        Convolution(channels, width, (1, 3), (1, stride)), Convolution(width, width, (3, 1), (stride, 1))
    )


def conv_1x7_7x1(channels: int, width: int, stride: int) -> nn.Module:
    """Make a convolution along the rows, then one along the columns."""
    return nn.Sequential(
        Convolution(channels, width, (1, 7), (1, stride)), Convolution(width, width, (7, 1), (stride, 1))
    )


def dil_conv_3x3(channels: int, width: int, stride: int) -> nn.Module:
    """Make a convolution of every second pixel."""
    layer = nn.Conv2d(channels, width, 3, stride, padding=2, dilation=2, bias=False)
    return nn.Sequential(nn.ReLU(), layer, norm(width))


def avg_pool_3x3(channels: int, width: int, stride: int) -> nn.Module:
    """Make an average pooling, which does not count the border."""
    return pooled(nn.AvgPool2d(3, stride, 1, count_include_pad=False), channels, width)


def max_pool_3x3(channels: int, width: int, stride: int) -> nn.Module:
    """Make a max pooling."""
    return pooled(nn.MaxPool2d(3, stride, 1), channels, width)


def max_pool_5x5(channels: int, width: int, stride: int) -> nn.Module:
    """Make a max pooling."""
    return pooled(nn.MaxPool2d(5, stride, 2), channels, width)


def max_pool_7x7(channels: int, width: int, stride: int) -> nn.Module:
    """Make a max pooling."""
    return pooled(nn.MaxPool2d(7, stride, 3), channels, width)


def conv_1x1(channels: int, width: int, stride: int) -> nn.Module:
    """Make a convolution."""
    return Convolution(channels, width, 1, stride)


def conv_3x3(channels: int, width: int, stride: int) -> nn.Module:
    """Make a convolution."""
    return Convolution(channels, width, 3, stride)


def sep_conv_3x3(channels: int, width: int, stride: int) -> nn.Module:
    """Make two separable convolutions."""
    return Separable(channels, width, 3, stride)


def sep_conv_5x5(channels: int, width: int, stride: int) -> nn.Module:
    """Make two separable convolutions."""
    return Separable(channels, width, 5, stride)


def sep_conv_7x7(channels: int, width: int, stride: int) -> nn.Module:
    """Make two separable convolutions."""
    return Separable(channels, width, 7, stride)


NORMAL: list[Block] = [
    ((1, sep_conv_5x5), (0, sep_conv_3x3), "add"),
    ((0, sep_conv_5x5), (0, sep_conv_3x3), "add"),
    ((1, avg_pool_3x3), (0, identity), "add"),
    ((0, avg_pool_3x3), (0, avg_pool_3x3), "add"),
    ((1, sep_conv_3x3), (1, identity), "add"),
]
"""The normal cell of NASNet-A."""
REDUCTION: list[Block] = [
    ((1, sep_conv_5x5), (0, sep_conv_7x7), "add"),
    ((1, max_pool_3x3), (0, sep_conv_7x7), "add"),
    ((1, avg_pool_3x3), (0, sep_conv_5x5), "add"),
    ((3, identity), (2, avg_pool_3x3), "add"),
    ((2, sep_conv_3x3), (1, max_pool_3x3), "add"),
]
"""The reduction cell of NASNet-A."""


def read(states: int, default: Input) -> Input:
    """Choose one of the states before a block, and an operation on it."""
    source = oneof(range(states), default=default[0])
    # search: {identity, conv_1x3_3x1, conv_1x7_7x1, dil_conv_3x3, avg_pool_3x3, max_pool_3x3, max_pool_5x5,
    #          max_pool_7x7, conv_1x1, conv_3x3, sep_conv_3x3, sep_conv_5x5, sep_conv_7x7}
    op = default[1]
    return source, op


def choose(published: list[Block]) -> list[Block]:
    """Choose the blocks of a cell; the published cell is the default."""
    blocks = []
    for block in range(len(published)):
        left = read(block + 2, published[block][0])
        right = read(block + 2, published[block][1])
        combine = published[block][2]  # search: {"add", "concat"}
        blocks.append((left, right, combine))
    return blocks


class Cell(nn.Module):
    """Two inputs, blocks of two operations each, and the concatenation of what none of them reads.

    Args:
        before: channels of the output of the cell before the last.
        last: channels of the last cell's output.
        channels: of every block.
        blocks: what each block reads, and how it combines that.
        stride: 2 where the cell halves the resolution, else 1.
        reduced: whether the last cell halved the resolution.
        always: a state that is concatenated also if a block reads it.
        first: whether the cell is the first, which reads its only input twice and once as it is.
    """

    def __init__(
        self,
        before: int,
        last: int,
        channels: int,
        blocks: list[Block],
        stride: int,
        reduced: bool,
        always: int,
        first: bool,
    ):
        super().__init__()
        older = before if first else channels
        self.before: nn.Module = nn.Identity()
        if reduced:
            self.before = nn.Sequential(nn.ReLU(), FactorizedReduce(before, channels))
        elif not first:
            self.before = Convolution(before, channels, 1)
        self.last = Convolution(last, channels, 1)
        self.sources = [(left[0], right[0]) for left, right, _ in blocks]
        self.left = nn.ModuleList()
        self.right = nn.ModuleList()
        self.join = nn.ModuleList()
        for left, right, combine in blocks:
            for (source, op), layers in ((left, self.left), (right, self.right)):
                wide = channels if source else older
                layers.append(op(wide, channels, stride if source < 2 else 1))
            self.join.append(Concat(channels) if combine == "concat" else Add())
        used = {source for sources in self.sources for source in sources} - {always}
        self.unused = [state for state in range(len(blocks) + 2) if state not in used]
        self.shapes = nn.ModuleDict(
            {
                str(state): shaped(width, channels, stride)
                for state, width in ((0, older), (1, channels))
                if state in self.unused
            }
        )
        self.width = len(self.unused) * channels

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """Map the outputs of the last two cells to (batch, self.width, height, width)."""
        states = [self.before(before), self.last(last)]
        layers = zip(self.sources, self.left, self.right, self.join, strict=True)
        for (first, second), left, right, join in layers:
            states.append(join(left(states[first]), right(states[second])))
        for state, layer in self.shapes.items():
            states[int(state)] = layer(states[int(state)])
        return torch.cat([states[state] for state in self.unused], dim=1)


class Net(nn.Module):
    """The whole network.

    Args:
        classes: number of classes.
        channels: of the first cells' blocks; the two reduction cells double them. A multiple of four.
        cells: how many normal cells there are before, between and behind the two reduction cells.
        stem: "cifar", which keeps the resolution, or "imagenet", which divides it by eight, by two reduction
            cells among others.
        first: channels that the stem for ImageNet begins with; that for CIFAR has three times `channels`.
        colours: channels of the images.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 32,
        cells: int = 6,
        stem: str = "cifar",
        first: int = 32,
        colours: int = 3,
    ):
        super().__init__()
        normal = choose(NORMAL)
        reduction = choose(REDUCTION)
        imagenet = stem == "imagenet"
        last = first if imagenet else 3 * channels
        conv = nn.Conv2d(colours, last, 3, 2 if imagenet else 1, 0 if imagenet else 1, bias=False)
        self.stem = nn.Sequential(conv, norm(last))
        plan = [(channels // 4, True), (channels // 2, True)] if imagenet else []
        for stage in range(3):
            plan += [(channels << stage, True)] if stage else []
            plan += [(channels << stage, False)] * cells
        before, reduced = last, False
        self.cells = nn.ModuleList()
        for index, (width, halve) in enumerate(plan):
            if halve:
                cell = Cell(before, last, width, reduction, 2, reduced, always=3, first=index == 0)
            else:
                cell = Cell(before, last, width, normal, 1, reduced, always=0, first=index == 0)
            before, last, reduced = last, cell.width, halve
            self.cells.append(cell)
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, colours, height, width) to logits (batch, classes)."""
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.head(last.relu().mean((2, 3)))
