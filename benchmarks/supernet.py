"""What a shared network costs beside the child alone: a training step, and switching decisions.

Run `python benchmarks/supernet.py`. The network is a small CNN of the DARTS kind, its candidates modules.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import symnas

NETWORK = """
import torch
from torch import nn


def conv(c, k):
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c, c, k, padding=k // 2, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        c = WIDTH
        self.stem = nn.Conv2d(3, c, 3, padding=1)
        self.layers = nn.ModuleList()
        for layer in range(LAYERS):
            # search: {conv(c, 3), conv(c, 5), nn.AvgPool2d(3, 1, 1), nn.MaxPool2d(3, 1, 1), nn.Identity()}
            op = conv(c, 3)
            self.layers.append(op)
        self.head = nn.Linear(c, 10)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x.mean((2, 3)))
"""
ELASTIC = "c = 16  # search: {8, 12, 16}"


def program(layers: int, width: str = "c = 16") -> Any:
    """Return a program of so many choices."""
    file = Path(tempfile.mkdtemp()) / "net.py"
    file.write_text(NETWORK.replace("LAYERS", str(layers)).replace("c = WIDTH", width))
    return symnas.program(f"{file}:Net")


def seconds(call: Callable[[], object], turns: int = 15) -> float:
    """Return the median time of a call."""
    call()
    found = []
    for _ in range(turns):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def step(call: Callable[..., torch.Tensor], parameters: list[Any], x: torch.Tensor) -> Callable[[], None]:
    """Return a training step."""
    optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9)

    def run() -> None:
        optimizer.zero_grad()
        call(x).square().mean().backward()
        optimizer.step()

    return run


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    x = torch.randn(64, 3, 16, 16)
    for title, width, choice in (("module candidates", "c = 16", {}), ("elastic width", ELASTIC, {"c": 12})):
        net = program(8, width).supernet()
        decision = net.program.decision(choice)
        child = net.extract(decision)
        net.activate(decision)
        rounds = [
            (
                seconds(step(net, list(net.parameters()), x), 7),
                seconds(step(child, list(child.parameters()), x), 7),
            )
            for _ in range(3)
        ]
        print(f"{title}: a step takes {statistics.median(a / b for a, b in rounds):.2f} times the child's")
    net = program(100).supernet()
    drawn = net.program.space.sample(60, np.random.default_rng(0))
    first, again = [], []
    for found in (first, again):
        for decision in drawn:
            start = time.perf_counter()
            with net.child(decision):
                found.append(time.perf_counter() - start)
    print(f"100 points: a new decision takes {1e3 * statistics.median(first):.1f} ms, ", end="")
    print(f"one of the last {net.most} takes {1e3 * statistics.median(again):.3f} ms")


if __name__ == "__main__":
    main()
