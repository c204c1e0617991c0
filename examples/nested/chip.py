"""A systolic array to choose, and what a network costs on it."""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn

CLOCK = 500e6  # cycles per second
BYTES = 1  # per number: the array computes in 8 bits


@dataclass(frozen=True)
class Chip:
    """Size of the array, buffer in KiB, bandwidth in GB/s, and which matrix stays in place."""

    rows: int = 16  # search: 4..64 x 2
    columns: int = 16  # search: 4..64 x 2
    buffer: int = 32  # search: {8, 32, 128}
    bandwidth: float = 0.4  # search: {0.1, 0.4, 1.6}
    dataflow: str = "output"  # search: {"output", "weight", "input"}

    @property
    def area_mm2(self) -> float:
        """Silicon area by a linear model of round numbers: processing elements, buffer, memory interface."""
        return 0.001 * self.rows * self.columns + 0.005 * self.buffer + 0.5 * self.bandwidth


@dataclass(frozen=True)
class Layer:
    """A layer as a product of matrices, (pixels, depth) times (depth, channels)."""

    pixels: int
    channels: int
    depth: int


def layers(net: nn.Module, example: Tensor) -> list[Layer]:
    """Return the convolutions and linear layers that an example passes through, in order."""
    found: list[Layer] = []

    def note(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        pixels = output.numel() // module.weight.shape[0]
        found.append(Layer(pixels, module.weight.shape[0], module.weight[0].numel()))

    kinds = (nn.Conv2d, nn.Linear)
    hooks = [module.register_forward_hook(note) for module in net.modules() if isinstance(module, kinds)]
    training = net.training
    with torch.no_grad():
        net.eval()(example)
    net.train(training)
    for hook in hooks:
        hook.remove()
    return found


def cycles(layer: Layer, chip: Chip) -> int:
    """Count cycles: two sides of the product lie on the array, the third streams through it.

    With the outputs in place that is (R + C + K - 2) * ceil(M / R) * ceil(N / C).
    """
    down, across, through = _sides(layer, chip)
    folds = ceil(down / chip.rows) * ceil(across / chip.columns)
    return (chip.rows + chip.columns + through - 2) * folds


def traffic(layer: Layer, chip: Chip) -> int:
    """Count bytes moved: what does not fit into a third of the buffer comes again for every fold."""
    down, across, _ = _sides(layer, chip)
    rows, columns = ceil(down / chip.rows), ceil(across / chip.columns)
    m, n, k = layer.pixels, layer.channels, layer.depth
    inputs, weights, outputs = m * k * BYTES, k * n * BYTES, m * n * BYTES
    passes = {
        "output": {"inputs": columns, "weights": rows, "outputs": 1},
        "weight": {"inputs": columns, "weights": 1, "outputs": 2 * rows - 1},
        "input": {"inputs": 1, "weights": columns, "outputs": 2 * rows - 1},
    }[chip.dataflow]
    sizes = {"inputs": inputs, "weights": weights, "outputs": outputs}
    share = chip.buffer * 1024 / 3
    return sum(size * (1 if size <= share else passes[name]) for name, size in sizes.items())


def latency_ms(found: list[Layer], chip: Chip) -> float:
    """Return milliseconds for all layers, each as slow as the slower of computing and moving (a roofline)."""
    seconds = 0.0
    for layer in found:
        seconds += max(cycles(layer, chip) / CLOCK, traffic(layer, chip) / (chip.bandwidth * 1e9))
    return 1000 * seconds


def _sides(layer: Layer, chip: Chip) -> tuple[int, int, int]:
    m, n, k = layer.pixels, layer.channels, layer.depth
    return {"output": (m, n, k), "weight": (k, n, m), "input": (k, m, n)}[chip.dataflow]
