"""The network of NAS-Bench-201 (Dong & Yang 2020): a stem, three stages of five equal cells, a classifier.

A cell has four nodes; node 0 is its input, node 3 its output, and each later node is the sum of what the
operations on its edges make of all earlier nodes. The six operations are the search space: 15,625 cells.
"""

import torch
from torch import Tensor, nn


class ReLUConvBN(nn.Sequential):
    """Activation, convolution without bias, normalisation, in this order."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
        )


def edge(op: str, channels: int) -> nn.Module:
    """Return the operation of an edge, which keeps the tensor's shape."""
    if op == "nor_conv_1x1":
        return ReLUConvBN(channels, channels, 1)
    if op == "nor_conv_3x3":
        return ReLUConvBN(channels, channels, 3)
    if op == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity()


class Cell(nn.Module):
    """Four nodes; an edge whose operation is `none` is not built.

    Args:
        channels: of the input, of every node and of the output.
        ops: for each node after the first the operations on its edges, by the node they come from.
    """

    def __init__(self, channels: int, ops: list[list[str]]):
        super().__init__()
        self.edges = nn.ModuleDict()
        for target, sources in enumerate(ops, start=1):
            for source, op in enumerate(sources):
                if op != "none":
                    self.edges[f"{source}-{target}"] = edge(op, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape."""
        values = [x]
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for source, value in enumerate(values):
                if f"{source}-{target}" in self.edges:
                    total = total + self.edges[f"{source}-{target}"](value)
            values.append(total)
        return values[-1]


class Reduction(nn.Module):
    """A residual block that halves the resolution; it is not searched."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.body = nn.Sequential(ReLUConvBN(channels, width, 3, stride=2), ReLUConvBN(width, width, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, width, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, width, height / 2, width / 2)."""
        return self.body(x) + self.shortcut(x)


class NasBench201(nn.Module):
    """The whole network.

    Args:
        classes: 10 for CIFAR-10, 100 for CIFAR-100, 120 for ImageNet16-120.
        channels: of the stem; each later stage has twice those of the one before.
        cells: per stage.
    """

    def __init__(self, classes: int = 10, channels: int = 16, cells: int = 5):
        super().__init__()
        ops = []
        for node in (1, 2, 3):
            sources = []
            for source in range(node):
                # search: {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"}
                op = "nor_conv_3x3"
                sources.append(op)
            ops.append(sources)
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        body: list[nn.Module] = []
        for stage in range(3):
            if stage > 0:
                body.append(Reduction(channels, 2 * channels))
                channels = 2 * channels
            body.extend(Cell(channels, ops) for _ in range(cells))
        self.body = nn.Sequential(*body)
        self.last = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) to logits (batch, classes)."""
        return self.head(self.last(self.body(self.stem(x))).mean((2, 3)))
