"""What a chosen child costs next to the same model written by hand: building it, and running it.

    python benchmarks/build.py [--repeats N]

Both are built and run in turn, on one thread; the figures are medians of CPU time, and of the ratio within a
turn. The two must have the same module tree, the same code, the same keys and, with the same seed, the same
outputs, or the comparison stops.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import symnas


class ConvNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        width = 32  # search: {16, 32, 64}
        layers, channels = [], 1
        for _stage in range(2):  # search: 1..3 as stage
            for _block in range(1):  # search: 1..3 as block
                k = 3  # search: {1, 3, 5, 7}
                layers += [nn.Conv2d(channels, width, k, padding=k // 2), nn.BatchNorm2d(width)]
                layers += [nn.ReLU()]  # search: {nn.ReLU(), nn.GELU(), nn.SiLU()}
                channels = width
            if True:  # search: {True, False} as pool
                layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, classes))  # search: 0.0..0.5

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class PlainConvNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        width = 32
        layers, channels = [], 1
        for _stage in range(2):
            for _block in range(1):
                k = 3
                layers += [nn.Conv2d(channels, width, k, padding=k // 2), nn.BatchNorm2d(width)]
                layers += [nn.ReLU()]
                channels = width
            if True:
                layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, classes))

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        heads = 4  # search: {2, 4, 8}
        hidden = 4 * width  # search: {2 * width, 4 * width}
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.feed = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),  # search: {nn.GELU(), nn.ReLU()} as act
            nn.Linear(hidden, width),
        )

    def forward(self, x):
        y = self.norms[0](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.feed(self.norms[1](x))


class Transformer(nn.Module):
    def __init__(self, tokens=100):
        super().__init__()
        width = 64  # search: {32, 64, 128}
        self.embed = nn.Embedding(tokens, width)
        self.layers = nn.ModuleList()
        for _layer in range(4):  # search: 1..6 as layer
            self.layers.append(Layer(width))
        self.head = nn.Linear(width, tokens)

    def forward(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class PlainLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        heads = 4
        hidden = 4 * width
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.feed = nn.Sequential(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, width),
        )

    def forward(self, x):
        y = self.norms[0](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.feed(self.norms[1](x))


class PlainTransformer(nn.Module):
    def __init__(self, tokens=100):
        super().__init__()
        width = 64
        self.embed = nn.Embedding(tokens, width)
        self.layers = nn.ModuleList()
        for _layer in range(4):
            self.layers.append(PlainLayer(width))
        self.head = nn.Linear(width, tokens)

    def forward(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def alternating(
    first: Callable[[], Any], second: Callable[[], Any], repeats: int
) -> tuple[float, float, float]:
    """Return median milliseconds of CPU time of two calls that take turns, and their median ratio."""
    times: list[tuple[float, float]] = []
    for turn in range(repeats + 5):
        spent = {}
        for call in (first, second) if turn % 2 else (second, first):
            begun = time.process_time_ns()
            call()
            spent[call] = (time.process_time_ns() - begun) / 1e6
        if turn >= 5:  # the first turns warm up
            times.append((spent[first], spent[second]))
    ours, theirs = zip(*times, strict=True)
    return statistics.median(ours), statistics.median(theirs), statistics.median(a / b for a, b in times)


def tree(model: nn.Module) -> list[tuple[str, str]]:
    """Return paths and kinds of all modules, the two spellings of our own classes taken as one."""
    return [(path, type(module).__name__.removeprefix("Plain")) for path, module in model.named_modules()]


def code(model: nn.Module) -> list[bytes]:
    """Return the bytecode of every forward pass."""
    return [type(module).forward.__code__.co_code for module in model.modules()]


def compare(name: str, annotated: type, plain: type, x: torch.Tensor, repeats: int) -> dict[str, Any]:
    """Measure one model; stops where the child is not the plain model."""
    program = symnas.program(annotated)
    decision = program.space.default
    torch.manual_seed(0)
    child = program.build(decision).eval()
    torch.manual_seed(0)
    hand = plain().eval()
    assert type(child) is annotated
    assert tree(child) == tree(hand)
    assert code(child) == code(hand)
    assert list(child.state_dict()) == list(hand.state_dict())
    with torch.no_grad():
        assert torch.equal(child(x), hand(x))
        built, by_hand, build_ratio = alternating(lambda: program.build(decision), plain, repeats)
        forward, forward_by_hand, forward_ratio = alternating(lambda: child(x), lambda: hand(x), repeats)
    return {
        "model": name,
        "points": len(decision),
        "build_ms": built,
        "constructor_ms": by_hand,
        "build_ratio": build_ratio,
        "forward_ms": forward,
        "plain_forward_ms": forward_by_hand,
        "forward_ratio": forward_ratio,
    }


def main() -> None:
    """Print one line per model, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        compare("CNN", ConvNet, PlainConvNet, torch.randn(8, 1, 28, 28), options.repeats),
        compare(
            "transformer",
            Transformer,
            PlainTransformer,
            torch.zeros(2, 32, dtype=torch.long),
            options.repeats,
        ),
    ]
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['model']:<12} build {row['build_ms']:.2f} ms, constructor {row['constructor_ms']:.2f} ms, "
            f"ratio {row['build_ratio']:.2f} (goal 1.3); forward {row['forward_ms']:.2f} ms, "
            f"by hand {row['plain_forward_ms']:.2f} ms, ratio {row['forward_ratio']:.2f} (goal 1.0); "
            "same tree, code and outputs"
        )


if __name__ == "__main__":
    main()
