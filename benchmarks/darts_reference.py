"""DARTS as one would write it down from the paper: what relaxed networks are compared with.

Liu, Simonyan & Yang 2019, sections 2 and 3.1: cells of four nodes, eight operations on every edge, each
weighted by a softmax; steps of the logits and of the weights in turns, first order. Nothing is shared with
the package.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OPERATIONS = 8


class Zero(nn.Module):
    """Passes nothing on."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class FactorizedReduce(nn.Module):
    """Halves the resolution with two convolutions."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside // 2, 1, stride=2, bias=False)
        self.second = nn.Conv2d(inside, outside // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outside, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], dim=1))


def relu_conv_norm(inside: int, outside: int) -> nn.Module:
    """Make a 1x1 convolution between activation and normalisation."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside, affine=False)
    )


def separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """Make the layers of a separable convolution."""
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=False),
    ]


def pooled(layer: nn.Module, channels: int) -> nn.Module:
    """Normalise behind a pooling."""
    return nn.Sequential(layer, nn.BatchNorm2d(channels, affine=False))


def operations(channels: int, stride: int) -> list[nn.Module]:
    """Make the eight operations of an edge."""
    skip = nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    return [
        Zero(stride),
        pooled(nn.MaxPool2d(3, stride, 1), channels),
        pooled(nn.AvgPool2d(3, stride, 1, count_include_pad=False), channels),
        skip,
        nn.Sequential(*separable(channels, 3, stride), *separable(channels, 3, 1)),
        nn.Sequential(*separable(channels, 5, stride), *separable(channels, 5, 1)),
        nn.Sequential(*separable(channels, 3, stride, 2)),
        nn.Sequential(*separable(channels, 5, stride, 2)),
    ]


class MixedOp(nn.Module):
    """All operations of an edge, weighted."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(operations(channels, stride))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return sum(w * op(x) for w, op in zip(weights, self.operations, strict=True))  # type: ignore[return-value]


class Cell(nn.Module):
    """Two inputs, four nodes, and their concatenation."""

    def __init__(self, before: int, last: int, channels: int, reduction: bool, reduced: bool) -> None:
        super().__init__()
        self.before = FactorizedReduce(before, channels) if reduced else relu_conv_norm(before, channels)
        self.last = relu_conv_norm(last, channels)
        self.edges = nn.ModuleList(
            MixedOp(channels, 2 if reduction and source < 2 else 1)
            for node in range(4)
            for source in range(2 + node)
        )

    def forward(self, before: Tensor, last: Tensor, weights: Tensor) -> Tensor:
        states, at = [self.before(before), self.last(last)], 0
        for _ in range(4):
            new = sum(self.edges[at + i](state, weights[at + i]) for i, state in enumerate(states))
            at += len(states)
            states.append(new)
        return torch.cat(states[2:], dim=1)


class Network(nn.Module):
    """The network in which the paper searches.

    Args:
        channels: of the first cells' nodes.
        cells: how many; those after one and two thirds reduce.
    """

    def __init__(self, channels: int = 16, cells: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels)
        )
        before, last, reduced = 3 * channels, 3 * channels, False
        self.cells = nn.ModuleList()
        self.kinds = [number in (cells // 3, 2 * cells // 3) for number in range(cells)]
        for reduction in self.kinds:
            channels *= 2 if reduction else 1
            self.cells.append(Cell(before, last, channels, reduction, reduced))
            before, last, reduced = last, 4 * channels, reduction
        self.head = nn.Linear(last, 10)
        self.logits = nn.ParameterList(nn.Parameter(1e-3 * torch.randn(14, OPERATIONS)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for cell, reduction in zip(self.cells, self.kinds, strict=True):
            weights = F.softmax(self.logits[int(reduction)], dim=-1)
            before, last = last, cell(before, last, weights)
        return self.head(last.mean((2, 3)))  # type: ignore[no-any-return]

    def weights(self) -> list[nn.Parameter]:
        """Return all parameters but the logits."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("logits")]


def stepper(network: Network) -> Callable[[Tensor, Tensor], None]:
    """Return a step of the search, first order: of the logits, then of the weights, on a batch each.

    Args:
        network: trained in place.
    """
    weights = network.weights()
    of_weights = torch.optim.SGD(weights, lr=0.025, momentum=0.9, weight_decay=3e-4)
    of_logits = torch.optim.Adam(network.logits.parameters(), lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def step(inputs: Tensor, targets: Tensor) -> None:
        of_logits.zero_grad()
        F.cross_entropy(network(inputs), targets).backward()
        of_logits.step()
        of_weights.zero_grad()
        F.cross_entropy(network(inputs), targets).backward()
        nn.utils.clip_grad_norm_(weights, 5.0)
        of_weights.step()

    return step
