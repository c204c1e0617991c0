"""The second law of shared weights: a narrow child computes what the largest does with the rest silenced.

The first law holds for any slicing, even a wrong one. This one holds only if a weight stays with the features
that it reads and makes, and every case here fails when the weights are plain leading slices.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from real_models import CASES
from supernets import cases, difference, supernet_of
from torch import nn

import symnas
from symnas.construction import child_layout
from symnas.construction.alignment import plain
from symnas.supernet.supernet import Supernet

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn

"""

CONCATENATION = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        a = 2  # search: {2, 3, 5}
        b = 2  # search: {2, 4}
        self.a, self.b = nn.Conv2d(3, a, 1), nn.Conv2d(3, b, 1)
        self.norm = nn.BatchNorm2d(a + b)
        self.depthwise = nn.Conv2d(a + b, 2 * (a + b), 3, padding=1, groups=a + b)
        self.head = nn.Linear(2 * (a + b) * 4, 2)

    def forward(self, x):
        y = torch.relu(self.depthwise(self.norm(torch.cat([self.a(x), self.b(x)], 1))))
        return self.head(y.flatten(1))
"""
SUM = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        a = 2  # search: {2, 3}
        b = 2  # search: {2, 4}
        self.a, self.b, self.c = nn.Linear(3, a), nn.Linear(3, b), nn.Linear(3, a + b)
        self.act = nn.PReLU(a + b)
        self.head = nn.Bilinear(a + b, b + a, 2)
        self.scale = nn.Parameter(torch.ones(a + b))

    def forward(self, x):
        y = self.act(self.c(x) + torch.cat([self.a(x), self.b(x)], -1)) * self.scale
        return self.head(y, torch.cat([self.b(x), self.a(x)], -1))
"""
OPTIONAL = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 3  # search: {2, 3}
        self.front = None  # search: {nn.Linear(4, width), None}
        self.middle = nn.Linear(4, width)
        self.last = None  # search: {nn.Linear(4, 2), None}
        used = (self.front is not None) + 1
        self.head = nn.Linear(used * width + (2 if self.last is not None else 0), 2)

    def forward(self, x):
        rows = [layer(x) for layer in (self.front, self.middle, self.last) if layer is not None]
        return self.head(torch.cat(rows, -1))
"""
HEADS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = 4  # search: {2, 4}
        self.width = 3  # search: {2, 3, 5}
        inner = self.heads * self.width
        self.qkv = nn.Linear(6, 3 * inner)
        self.out = nn.Linear(inner, 6)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (y.view(b, t, self.heads, self.width).transpose(1, 2) for y in (q, k, v))
        mixed = torch.tanh(q @ k.transpose(-2, -1)) @ v
        return self.out(mixed.transpose(1, 2).reshape(b, t, -1))
"""
STACKED = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = 2  # search: {2, 4}
        self.width = 3  # search: {2, 3}
        self.qkv = nn.Linear(6, 3 * self.heads * self.width, bias=False)
        self.out = nn.Linear(self.heads * self.width, 6)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, self.width).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, scale=0.1)
        return self.out(mixed.transpose(1, 2).flatten(2))
"""
GROUPS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 4  # search: {4, 8}
        kernel = 3  # search: {1, 3, 5}
        self.stem = nn.Conv1d(3, width, 1)
        self.grouped = nn.Conv1d(width, 2 * width, kernel, padding=kernel // 2, groups=2)
        self.up = nn.ConvTranspose1d(2 * width, width, kernel, padding=kernel // 2, groups=2)
        self.head = nn.Conv1d(width, 2, 1)

    def forward(self, x):
        return self.head(torch.relu(self.up(torch.relu(self.grouped(self.stem(x))))))
"""
GATE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 2  # search: {2, 3}
        self.fc = nn.Linear(4, 2 * width)
        self.mix = nn.Linear(4, 2 * width)
        self.head = nn.Linear(2 * width, 2)

    def forward(self, x):
        value, gate = self.fc(x).chunk(2, -1)
        return self.head(torch.cat([value * torch.sigmoid(gate), F.glu(self.mix(x))], -1))
"""
RECURRENT = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 2  # search: {2, 3}
        self.lstm = nn.LSTM(3, width, 2, bidirectional=True)
        self.gru = nn.GRU(2 * width, width)
        self.cell = nn.LSTMCell(width, width)
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        y, _ = self.gru(self.lstm(x)[0])
        return self.head(self.cell(y[-1])[0])
"""
SHUFFLE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 4  # search: {4, 6}
        self.stem = nn.Conv2d(3, width, 1)
        self.branch = nn.Conv2d(width // 2, width // 2, 3, padding=1)
        self.up = nn.Conv2d(width, 4 * width, 1)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        a, b = self.stem(x).chunk(2, 1)
        y = torch.cat([a, self.branch(b)], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.head(F.pixel_shuffle(self.up(y), 2))
"""
POSITIONS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, 4)) if True else None  # search: {True, False}
        self.positions = nn.Parameter(torch.ones(1, 4 + (self.token is not None), 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.head((x + self.positions)[:, -1])
"""
SQUARE = (2, 3, 2, 2)
PLANTED = {
    "concatenation": (CONCATENATION, SQUARE),
    "sum": (SUM, (4, 3)),
    "heads": (HEADS, (2, 5, 6)),
    "stacked": (STACKED, (2, 5, 6)),
    "groups": (GROUPS, (2, 3, 6)),
    "gate": (GATE, (3, 4)),
    "recurrent": (RECURRENT, (4, 2, 3)),
    "shuffle": (SHUFFLE, (2, 3, 4, 4)),
}


def made(tmp_path: Path, text: str, shape: tuple[int, ...]) -> Supernet:
    (tmp_path / "net.py").write_text(HEAD + dedent(text))
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    program = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=(inputs,))
    net: Supernet = program.supernet(dtype=torch.float64)
    assert not net.notes
    return net


def leading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the fault: forget all order, so that every tensor is a leading slice of the shared one."""
    monkeypatch.setattr(child_layout, "_row", lambda axis: plain([axis.find().size])[0])


def largest(net: Supernet) -> Any:
    return net.program.decision({a: max(net.program.space[a].values()) for a in net.program.space.addresses})


def differences(net: Supernet) -> list[float]:
    feed = tuple(x.double() for x in net.program.internals.example()[0])
    top = largest(net)
    return [difference(net, narrow, top, feed) for narrow in net.program.space.enumerate()]


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_narrowing_is_silencing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = made(tmp_path, *PLANTED[name])
    assert max(differences(net)) < 1e-6
    leading(monkeypatch)
    assert max(differences(made(tmp_path, *PLANTED[name]))) > 1e-3


@pytest.mark.parametrize("text", [OPTIONAL])
def test_what_stands_behind_an_optional_layer_keeps_its_weights(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def errors() -> list[float]:
        net = made(tmp_path, text, (3, 4))
        feed = (net.program.internals.example()[0][0].double(),)
        top = next(d for d in net.program.space.enumerate() if d["width"] == 3 and None not in d.values())
        return [difference(net, narrow, top, feed) for narrow in net.program.space.enumerate()]

    assert max(errors()) < 1e-6
    leading(monkeypatch)
    assert max(errors()) > 1e-3


def test_positions_stay_with_their_tokens(tmp_path: Path) -> None:
    net = made(
        tmp_path,
        POSITIONS.replace("if True else None  # search: {True, False}", "if use else None").replace(
            "super().__init__()\n", "super().__init__()\n        use = True  # search: {True, False}\n"
        ),
        (3, 4, 4),
    )
    with torch.no_grad():
        net._parameters["positions"].copy_(torch.arange(5.0).view(1, 5, 1).expand(1, 5, 4))
    child = net.extract({"use": False})
    assert child.positions[0, :, 0].tolist() == [1, 2, 3, 4]


NARROWER = {
    "resnet": ("inplanes", 8, 16),
    "mobilenet": ("MobileNet.width_mult", 0.5, 1.5),
    "densenet": ("DenseNet.growth_rate", 4, 12),
    "unet": ("width", 4, 8),
    "tagger": ("hidden", 8, 24),
    "gan": ("*width", 8, 32),
    "constants": ("WIDTH", 8, 32),
    "factories": ("width", 8, 12),
    "mixins": ("*hidden", 8, 16),
}


@pytest.mark.parametrize("name", cases(NARROWER))
def test_real_models_narrow_by_silencing(name: str) -> None:
    pattern, low, high = NARROWER[name]
    net = supernet_of(name, dtype=torch.float64)
    space = net.program.space
    feed = tuple(x.double() if x.is_floating_point() else x for x in CASES[name].feed())
    tried = 0
    for decision in space.sample(40, np.random.default_rng(0)):
        points = [a for a in decision if a == pattern or (pattern[0] == "*" and a.endswith(pattern[1:]))]
        try:
            narrow, wide = (decision.replace(dict.fromkeys(points, value)) for value in (low, high))
        except symnas.errors.DecisionError:
            continue
        if not points or {*narrow} != {*wide} or across(net, narrow):
            continue
        tried += 1
        assert difference(net, narrow, wide, feed) < 1e-6, dict(narrow)
        if tried == 3:
            return
    assert tried


def across(net: Supernet, decision: Any) -> bool:
    """Whether a child computes statistics across features."""
    kinds = (nn.GroupNorm, nn.LayerNorm)
    return any(isinstance(module, kinds) for module in net.extract(decision).modules())
