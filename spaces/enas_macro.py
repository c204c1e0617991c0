"""The macro space of ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268): whole networks.

Every layer is one of six operations on the layer before, and joins to it the outputs of any of the layers
further back. Resolution is halved, and the number of channels doubled, after one and two thirds of the
layers.

The defaults are the network of 24 layers that the authors publish with their code. In the final training
there, its separable convolutions are ordinary ones; here they are separable, so there are fewer parameters.
"""

from typing import Any

import torch
from torch import Tensor, nn

SEARCH: dict[str, Any] = {"channels": 36, "layers": 12, "joins": False}
"""Arguments of the network in which the authors search."""
SMALL: dict[str, Any] = {"channels": 8, "layers": 6, "joins": False}
"""Arguments of a network that a search on two cores can afford."""


class Squeeze(nn.Sequential):
    """A 1x1 convolution without bias, and normalisation."""

    def __init__(self, channels: int, width: int):
        super().__init__(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


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


def conv(channels: int, kernel: int, separable: bool) -> nn.Module:
    """Make a 1x1 convolution and the one that is meant, each behind an activation and normalised."""
    layers: list[nn.Module] = [nn.ReLU(), Squeeze(channels, channels), nn.ReLU()]
    if separable:
        layers.append(nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False))
        layers.append(nn.Conv2d(channels, channels, 1, bias=False))
    else:
        layers.append(nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False))
    return nn.Sequential(*layers, nn.BatchNorm2d(channels))


def conv_3x3(channels: int) -> nn.Module:
    """Make a convolution."""
    return conv(channels, 3, separable=False)


def sep_conv_3x3(channels: int) -> nn.Module:
    """Make a separable convolution."""
    return conv(channels, 3, separable=True)


def conv_5x5(channels: int) -> nn.Module:
    """Make a convolution."""
    return conv(channels, 5, separable=False)


def sep_conv_5x5(channels: int) -> nn.Module:
    """Make a separable convolution."""
    return conv(channels, 5, separable=True)


def avg_pool_3x3(channels: int) -> nn.Module:
    """Make a 1x1 convolution and an average pooling."""
    return nn.Sequential(
        Squeeze(channels, channels), nn.ReLU(), nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    )


def max_pool_3x3(channels: int) -> nn.Module:
    """Make a 1x1 convolution and a max pooling."""
    return nn.Sequential(Squeeze(channels, channels), nn.ReLU(), nn.MaxPool2d(3, 1, 1))


OPS = [conv_3x3, sep_conv_3x3, conv_5x5, sep_conv_5x5]
"""The operations of the published network, in the order of the authors' code."""
TEXT = """
    0 30 010 2001 20000 311010 2000001 20110111 101110101 0000000000 20000010000 010011000011
    2010000010110 10010001110101 011010100000100 2001000000010101 20100010011110010 200001010100101001
    3011010000010101000 30110000000001100001 010010110001000001100 3010110010110110100100
    01010100000000101001000 011000111010001010011000
"""
"""For every layer an operation, and for every output before that of the last layer whether it is joined."""
PUBLISHED = [[int(digit) for digit in layer] for layer in TEXT.split()]


class Layer(nn.Module):
    """An operation on the layer before, and its join with outputs of layers further back.

    Args:
        channels: of every output.
        published: the default: an operation of `OPS`, and for every output further back whether it is joined.
        joins: whether what is joined is concatenated and mixed by a convolution, or added up and normalised.
    """

    def __init__(self, channels: int, published: list[int], joins: bool):
        super().__init__()
        # search: {conv_3x3, sep_conv_3x3, conv_5x5, sep_conv_5x5, avg_pool_3x3, max_pool_3x3} as op
        make = OPS[published[0]]
        self.op = make(channels)
        self.skips = []
        for source in range(len(published) - 1):
            skip = bool(published[1 + source])  # search: {False, True}
            self.skips.append(skip)
        self.concatenates = joins
        self.join: nn.Module = nn.Identity()
        if joins and self.skips:
            self.join = nn.Sequential(nn.ReLU(), Squeeze((1 + sum(self.skips)) * channels, channels))
        elif self.skips:
            self.join = nn.BatchNorm2d(channels)

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """Map the outputs of the stem and all layers before to one, all (batch, channels, height, width)."""
        joined = [output for output, skip in zip(outputs, self.skips, strict=False) if skip]
        joined.append(self.op(outputs[-1]))
        return self.join(torch.cat(joined, dim=1) if self.concatenates else torch.stack(joined).sum(0))


class Net(nn.Module):
    """The whole network.

    Args:
        classes: number of classes.
        channels: of the first layers; they double twice. Even.
        layers: how many, at most 24.
        colours: channels of the images.
        joins: whether joined outputs are concatenated and mixed by a convolution, as in the final training,
            or added up and normalised, as in the search.
    """

    def __init__(
        self, classes: int = 10, channels: int = 96, layers: int = 24, colours: int = 3, joins: bool = True
    ):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(colours, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.layers = nn.ModuleList()
        self.halve = nn.ModuleDict()
        for layer in range(layers):
            self.layers.append(Layer(channels, PUBLISHED[layer], joins))
            if layer + 1 in (layers // 3, 2 * (layers // 3)):
                # Every output so far is halved, each by weights of its own.
                reduces = [FactorizedReduce(channels, 2 * channels) for _ in range(layer + 2)]
                self.halve[str(layer)] = nn.ModuleList(reduces)
                channels = 2 * channels
        self.head = nn.Linear(channels, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, colours, height, width) to logits (batch, classes)."""
        outputs = [self.stem(x)]
        for index, layer in enumerate(self.layers):
            outputs.append(layer(outputs))
            if str(index) in self.halve:
                halves: Any = self.halve[str(index)]
                outputs = [halve(output) for halve, output in zip(halves, outputs, strict=True)]
        return self.head(outputs[-1].mean((2, 3)))
