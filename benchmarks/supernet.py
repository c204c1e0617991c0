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


def step(
    call: Callable[..., torch.Tensor], optimizer: torch.optim.Optimizer, x: torch.Tensor
) -> Callable[[], None]:
    """Return a training step."""

    def run() -> None:
        optimizer.zero_grad()
        call(x).square().mean().backward()
        optimizer.step()

    return run


def ratio(first: Callable[[], None], second: Callable[[], None], turns: int) -> float:
    """Return how many times as much processor time one call takes as another, the two called in turn."""
    times: list[list[float]] = [[], []]
    for _ in range(turns):
        for found, call in zip(times, (first, second), strict=True):
            start = time.process_time()
            call()
            found.append(time.process_time() - start)
    return statistics.median(a / b for a, b in zip(*times, strict=True))


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """Return the optimiser that is measured."""
    return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9)


def steps(turns: int) -> None:
    """Measure training steps."""
    x = torch.randn(64, 3, 16, 16)
    for title, width, choice in (
        ("module candidates", "c = 16", {}),
        ("elastic width, 12 of 16", ELASTIC, {"c": 12}),
        ("elastic width, 8 of 16", ELASTIC, {"c": 8}),
    ):
        net = program(8, width).supernet()
        decision = net.program.decision(choice)
        child = net.extract(decision)
        net.activate(decision)
        alone = step(child, sgd(child.parameters()), x)
        whole = ratio(step(net, sgd(net.parameters()), x), alone, turns)
        slices = ratio(step(net, net.optimizer(sgd), x), alone, turns)
        print(f"{title}: a step takes {slices:.2f} times the child's, {whole:.2f} over whole tensors")


def idle(width: int = 1024, most: int = 4096) -> None:
    """Measure a step of a narrow layer in wide tensors, where what is not used costs most."""
    file = Path(tempfile.mkdtemp()) / "wide.py"
    file.write_text(
        f"""
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        c = {most}  # search: {{{width}, {most}}}
        self.body = nn.Sequential(nn.Linear(64, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU(), nn.Linear(c, 8))

    def forward(self, x):
        return self.body(x)
"""
    )
    net = symnas.program(f"{file}:Net").supernet()
    x, decision = torch.randn(64, 64), net.program.decision({"c": width})
    child = net.extract(decision)
    net.activate(decision)
    alone = step(child, sgd(child.parameters()), x)
    whole = ratio(step(net, sgd(net.parameters()), x), alone, 12)
    slices = ratio(step(net, net.optimizer(sgd), x), alone, 12)
    print(f"width {width} of {most}: {slices:.2f} times the child's, {whole:.2f} over whole tensors")


def switches(points: int = 100) -> None:
    """Measure how long a decision takes to be in place."""
    net = program(points).supernet()
    drawn = net.program.space.sample(60, np.random.default_rng(0))
    start = time.perf_counter()
    with net.child(drawn[0]):
        print(f"{points} points: the first decision takes {time.perf_counter() - start:.1f} s, ", end="")
    found = []
    for decision in drawn[1:]:
        start = time.perf_counter()
        with net.child(decision):
            found.append(time.perf_counter() - start)
    print(f"a new one {1e3 * statistics.median(found):.2f} ms")
    shared = sum(parameter.nbytes for parameter in net.parameters())
    child = statistics.mean(sum(p.nbytes for p in net.active_parameters(decision)) for decision in drawn)
    print(f"shared weights {shared / 2**20:.2f} MiB, those of one child {child / 2**20:.2f} MiB")


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    steps(40)
    idle()
    switches()


if __name__ == "__main__":
    main()
