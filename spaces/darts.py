"""The convolutional cells of DARTS (Liu, Simonyan & Yang 2019, https://arxiv.org/abs/1806.09055).

A network is a stack of cells of two kinds, normal ones and two that halve the resolution, and all cells of a
kind are alike. A cell has four nodes. A node keeps two of its edges, which lead to it from the outputs of the
last two cells and from the nodes before it; each edge is one of seven operations; the nodes' sums are
concatenated.

The defaults are the paper's second-order cells (`DARTS_V2` in the authors' code). What only training adds,
the auxiliary classifier and dropped paths, is left out; neither is part of the published sizes.

Searched relaxed, `none` is an operation too, and normalisation has neither scale nor shift: `Net(**SEARCH)`.
"""

from functools import partial
from itertools import starmap
from typing import Any

import torch
from torch import Tensor, nn

SEARCH: dict[str, Any] = {"channels": 16, "cells": 8, "affine": False, "none": True}
"""Arguments of the network in which the paper searches."""
SMALL: dict[str, Any] = {"channels": 8, "cells": 3, "affine": False, "none": True}
"""Arguments of a network that a search on two cores can afford."""
IMAGENET: dict[str, Any] = {"classes": 1000, "channels": 48, "cells": 14, "stem": "imagenet"}
"""Arguments of the network that the paper trains on ImageNet."""


class ReLUConvNorm(nn.Sequential):
    """Activation, a 1x1 convolution without bias, and normalisation, in this order."""

    def __init__(self, channels: int, width: int, affine: bool):
        super().__init__(
            nn.ReLU(), nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width, affine=affine)
        )


class FactorizedReduce(nn.Module):
    """Halves the resolution: one 1x1 convolution reads the even pixels, another the odd ones."""

    skip = True

    def __init__(self, channels: int, width: int, affine: bool):
        super().__init__()
        self.even = nn.Conv2d(channels, width // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels, width - width // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(width, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to half the height and width, which are even."""
        x = x.relu()
        return self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))


class Separable(nn.Sequential):
    """Activation, a convolution of every channel, one across channels, and normalisation."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool, dilation: int = 1):
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )


class Zero(nn.Module):
    """Passes nothing on."""

    zero = True

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to zeros, at half the height and width for a stride of 2."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def pool(layer: nn.Module, channels: int, affine: bool) -> nn.Module:
    """Normalise behind a pooling while searching, so that operations are of one scale."""
    return layer if affine else nn.Sequential(layer, nn.BatchNorm2d(channels, affine=False))


def none(_channels: int, stride: int, _affine: bool) -> nn.Module:
    """Make the operation that passes nothing on."""
    return Zero(stride)


def max_pool_3x3(channels: int, stride: int, affine: bool) -> nn.Module:
    """Make a max pooling."""
    return pool(nn.MaxPool2d(3, stride, padding=1), channels, affine)


def avg_pool_3x3(channels: int, stride: int, affine: bool) -> nn.Module:
    """Make an average pooling, which does not count the border."""
    return pool(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), channels, affine)


def skip_connect(channels: int, stride: int, affine: bool) -> nn.Module:
    """Make the operation that passes its input on, at half the resolution for a stride of 2."""
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)


def sep_conv_3x3(channels: int, stride: int, affine: bool) -> nn.Module:
    """Make two separable convolutions, one after the other."""
    return nn.Sequential(Separable(channels, 3, stride, affine), Separable(channels, 3, 1, affine))


def sep_conv_5x5(channels: int, stride: int, affine: bool) -> nn.Module:
    """Make two separable convolutions, one after the other."""
    return nn.Sequential(Separable(channels, 5, stride, affine), Separable(channels, 5, 1, affine))


def dil_conv_3x3(channels: int, stride: int, affine: bool) -> nn.Module:
    """Make a separable convolution of every second pixel."""
    return Separable(channels, 3, stride, affine, dilation=2)


def dil_conv_5x5(channels: int, stride: int, affine: bool) -> nn.Module:
    """Make a separable convolution of every second pixel."""
    return Separable(channels, 5, stride, affine, dilation=2)


def operation(op: Any, channels: int, stride: int, affine: bool) -> nn.Module:
    """Make one of the operations; `op` is the default."""
    # search: {max_pool_3x3, avg_pool_3x3, skip_connect, sep_conv_3x3, sep_conv_5x5, dil_conv_3x3,
    #          dil_conv_5x5} as kind shared
    make = op
    return make(channels, stride, affine)


def operation_or_none(op: Any, channels: int, stride: int, affine: bool) -> nn.Module:
    """Make one of the operations of the relaxed search; `op` is the default."""
    # search: {none, max_pool_3x3, avg_pool_3x3, skip_connect, sep_conv_3x3, sep_conv_5x5, dil_conv_3x3,
    #          dil_conv_5x5} as kind shared
    make = op
    return make(channels, stride, affine)


class Edge(nn.Module):
    """One operation on one of the states before a node.

    Args:
        source: position of the state: 0 and 1 are the outputs of the last two cells, 2 and on the nodes.
        op: the default operation.
        channels: of the state and of the result.
        reduction: whether the cell halves the resolution, which its edges from other cells do.
        affine: whether normalisation has scale and shift.
        choose: which operations there are.
    """

    def __init__(self, source: int, op: Any, channels: int, reduction: bool, affine: bool, choose: Any):
        super().__init__()
        self.source = source
        self.op = choose(op, channels, 2 if reduction and source < 2 else 1, affine)

    def forward(self, x: Tensor) -> Tensor:
        """Map the state (batch, channels, height, width) to what the node adds."""
        return self.op(x)


def normal_nodes(edge: Any) -> list[list[Edge]]:
    """Return the edges that each node of a normal cell keeps."""
    n2 = [edge(0, sep_conv_3x3), edge(1, sep_conv_3x3)]  # search: 2 of {
    #      s0: edge(0, sep_conv_3x3), s1: edge(1, sep_conv_3x3)} shared
    n3 = [edge(0, sep_conv_3x3), edge(1, sep_conv_3x3)]  # search: 2 of {
    #      s0: edge(0, sep_conv_3x3), s1: edge(1, sep_conv_3x3), s2: edge(2, skip_connect)} shared
    n4 = [edge(0, skip_connect), edge(1, sep_conv_3x3)]  # search: 2 of {
    #      s0: edge(0, skip_connect), s1: edge(1, sep_conv_3x3), s2: edge(2, skip_connect),
    #      s3: edge(3, skip_connect)} shared
    n5 = [edge(0, skip_connect), edge(2, dil_conv_3x3)]  # search: 2 of {
    #      s0: edge(0, skip_connect), s1: edge(1, skip_connect), s2: edge(2, dil_conv_3x3),
    #      s3: edge(3, skip_connect), s4: edge(4, skip_connect)} shared
    return [n2, n3, n4, n5]


def reduction_nodes(edge: Any) -> list[list[Edge]]:
    """Return the edges that each node of a reduction cell keeps."""
    n2 = [edge(0, max_pool_3x3), edge(1, max_pool_3x3)]  # search: 2 of {
    #      s0: edge(0, max_pool_3x3), s1: edge(1, max_pool_3x3)} shared
    n3 = [edge(1, max_pool_3x3), edge(2, skip_connect)]  # search: 2 of {
    #      s0: edge(0, max_pool_3x3), s1: edge(1, max_pool_3x3), s2: edge(2, skip_connect)} shared
    n4 = [edge(0, max_pool_3x3), edge(2, skip_connect)]  # search: 2 of {
    #      s0: edge(0, max_pool_3x3), s1: edge(1, max_pool_3x3), s2: edge(2, skip_connect),
    #      s3: edge(3, skip_connect)} shared
    n5 = [edge(1, max_pool_3x3), edge(2, skip_connect)]  # search: 2 of {
    #      s0: edge(0, max_pool_3x3), s1: edge(1, max_pool_3x3), s2: edge(2, skip_connect),
    #      s3: edge(3, skip_connect), s4: edge(4, skip_connect)} shared
    return [n2, n3, n4, n5]


class Cell(nn.Module):
    """Two inputs, four nodes, and their concatenation.

    Args:
        before: channels of the output of the cell before the last.
        last: channels of the last cell's output.
        channels: of every node.
        reduction: whether the cell halves the resolution.
        reduced: whether the last cell did.
        affine: whether normalisation has scale and shift.
        choose: which operations there are.
    """

    def __init__(
        self, before: int, last: int, channels: int, reduction: bool, reduced: bool, affine: bool, choose: Any
    ):
        super().__init__()
        squeeze = FactorizedReduce if reduced else ReLUConvNorm
        self.before = squeeze(before, channels, affine)
        self.last = ReLUConvNorm(last, channels, affine)
        edge = partial(Edge, channels=channels, reduction=reduction, affine=affine, choose=choose)
        if reduction:
            reduce = reduction_nodes(edge)
            nodes = reduce
        else:
            normal = normal_nodes(edge)
            nodes = normal
        self.nodes: Any = nn.ModuleList(nn.ModuleList(edges) for edges in nodes)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        """Map the outputs of the last two cells to (batch, 4 * channels, height, width)."""
        states = [self.before(before), self.last(last)]
        for edges in self.nodes:
            states.append(sum(edge(states[edge.source]) for edge in edges))
        return torch.cat(states[2:], dim=1)


class Net(nn.Module):
    """The whole network.

    Args:
        classes: number of classes.
        channels: of the first cells' nodes; the two reduction cells double them. Even.
        cells: how many; those after one and two thirds are the reduction cells.
        stem: "cifar", which keeps the resolution, or "imagenet", which divides it by eight.
        colours: channels of the images.
        affine: whether normalisation has scale and shift. Without, poolings are normalised as well.
        none: whether edges may pass nothing on, as in the relaxed search.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 36,
        cells: int = 20,
        stem: str = "cifar",
        colours: int = 3,
        affine: bool = True,
        none: bool = False,
    ):
        super().__init__()
        reduced = stem == "imagenet"
        width = channels if reduced else 3 * channels
        if reduced:
            self.stem: nn.Module = nn.Sequential(
                nn.Conv2d(colours, channels // 2, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels // 2),
                nn.ReLU(),
                nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )
            self.second: nn.Module = nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )
        else:
            self.stem = nn.Sequential(
                nn.Conv2d(colours, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
            )
            self.second = nn.Identity()
        plan = []
        before, last = width, width
        for index in range(cells):
            reduction = index in (cells // 3, 2 * cells // 3)
            channels = 2 * channels if reduction else channels
            plan.append((before, last, channels, reduction, reduced))
            before, last, reduced = last, 4 * channels, reduction
        # All cells are made at one place, not by the turns of a loop: so those of a kind share their choices.
        cell = partial(Cell, affine=affine, choose=operation_or_none if none else operation)
        self.cells = nn.ModuleList(starmap(cell, plan))
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, colours, height, width) to logits (batch, classes)."""
        before = self.stem(x)
        last = self.second(before)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.head(last.mean((2, 3)))
