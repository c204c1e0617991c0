"""Kernels of different sizes: crops from the middle, and learned transforms between them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import symnas
from symnas.errors import BuildError
from symnas.features.module_rules import register_slicing
from symnas.supernet.supernet import Supernet

TUPLES = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        high = 7  # search: {3, 5, 7}
        wide = 5  # search: {1, 3, 5}
        width = 4  # search: {2, 4}
        self.conv = nn.Conv2d(2, width, (high, wide), padding=(high // 2, wide // 2), bias=False)
        self.last = nn.Conv2d(width, 3, 1)

    def forward(self, x):
        return self.last(torch.relu(self.conv(x)))
"""
SQUARE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        k = 7  # search: {3, 5, 7}
        self.conv = nn.Conv2d(4, 4, k, padding=k // 2, groups=4, bias=False)

    def forward(self, x):
        return self.conv(x)
"""


def made(tmp_path: Path, text: str, inputs: Any = None, **options: Any) -> Supernet:
    (tmp_path / "net.py").write_text("import torch\nfrom torch import nn\n\n" + dedent(text))
    net: Supernet = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=inputs).supernet(
        dtype=torch.float64, **options
    )
    return net


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_tuples_of_sizes_are_cropped_from_the_middle(tmp_path: Path) -> None:
    net = made(tmp_path, TUPLES)
    weight = net._parameters["conv/weight"]
    assert tuple(weight.shape) == (4, 2, 7, 5)
    for decision in net.program.space.enumerate():
        high, wide, width = decision["high"], decision["wide"], decision["width"]
        top, left = (7 - high) // 2, (5 - wide) // 2
        expected = weight[:width, :, top : top + high, left : left + wide]
        assert torch.equal(net.extract(decision).conv.weight, expected)


def published(net: Supernet, size: int) -> torch.Tensor:
    """Return the weights as the paper makes them: 7 -> 5 -> 3, each the middle times a matrix."""
    value = net._parameters["conv/weight"]
    for large, small in ((7, 5), (5, 3)):
        if size <= small:
            edge = (large - small) // 2
            middle = value[:, :, edge : large - edge, edge : large - edge].reshape(4, small * small)
            matrix = net._parameters[f"conv/weight:{large}x{large}>{small}x{small}"]
            value = torch.einsum("oi,ci->co", matrix, middle).reshape(4, 1, small, small)
    return value


def test_learned_transforms_are_those_of_once_for_all(tmp_path: Path) -> None:
    net, x = made(tmp_path, SQUARE, kernels="learned"), noise(2, 4, 8, 8)
    cropped = net.program.supernet(dtype=torch.float64)
    assert {tuple(p.shape) for p in net.parameters()} == {(4, 1, 7, 7), (25, 25), (9, 9)}
    for size in (3, 5, 7):
        assert torch.equal(net(x, decision={"k": size}), cropped(x, decision={"k": size}))
    for name, parameter in net.named_parameters():
        if ">" in name:
            parameter.data += 0.1 * noise(*parameter.shape, seed=len(parameter))
    for size in (3, 5, 7):
        value = published(net, size)
        expected = F.conv2d(x, value, padding=size // 2, groups=4)
        result = net(x, decision={"k": size})
        torch.testing.assert_close(result, expected)
        torch.testing.assert_close(net.extract({"k": size})(x), expected)
        used = list(net.active_parameters({"k": size}))
        assert len(used) == {3: 3, 5: 2, 7: 1}[size]
        mine, theirs = (torch.autograd.grad(y.square().sum(), used) for y in (result, expected))
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other)


def test_learned_transforms_are_trained_saved_and_not_taken_over(tmp_path: Path) -> None:
    net, x = made(tmp_path, SQUARE, kernels="learned"), noise(2, 4, 8, 8)
    other = net.program.supernet(dtype=torch.float64, kernels="learned", seed=3)
    sliced = net.optimizer(lambda p: torch.optim.SGD(p, 0.01, momentum=0.9))
    other.load_state_dict(net.state_dict())
    whole = torch.optim.SGD(other.parameters(), 0.01, momentum=0.9)
    for size in (3, 7, 5, 3):
        for each, optimizer in ((net, sliced), (other, whole)):
            optimizer.zero_grad()
            each(x, decision={"k": size}).square().sum().backward()
            optimizer.step()
        for one, two in zip(net.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(one, two)
    third = net.program.supernet(dtype=torch.float64, kernels="learned", seed=5)
    third.load_state_dict(net.state_dict())
    assert torch.equal(third(x, decision={"k": 3}), net(x, decision={"k": 3}))
    net.inherit(net.extract({"k": 7}), {"k": 7})
    with pytest.raises(BuildError, match=r"with the largest ones, and 'conv.weight' is \(4, 1, 3, 3\)"):
        net.inherit(net.extract({"k": 3}), {"k": 3})
    with pytest.raises(BuildError, match="'cropped' or 'learned', got 'other'"):
        made(tmp_path, SQUARE, kernels="other")


def test_sizes_that_are_not_squares_have_matrices_too(tmp_path: Path) -> None:
    net, x = made(tmp_path, TUPLES, (torch.zeros(1, 2, 8, 8),), kernels="learned"), noise(2, 2, 8, 8)
    cropped = net.program.supernet(dtype=torch.float64)
    for decision in net.program.space.enumerate():
        torch.testing.assert_close(net(x, decision=decision), cropped(x, decision=decision))
        assert all(p.grad is None for p in net.parameters())
        torch.testing.assert_close(net.extract(decision)(x), net(x, decision=decision))


GATED = """
class Gated(nn.Module):
    def __init__(self, features, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2 * width, features))

    def forward(self, x):
        value, gate = nn.functional.linear(x, self.weight).chunk(2, -1)
        return value * torch.sigmoid(gate)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 3  # search: {2, 3}
        self.gated = Gated(2, width)

    def forward(self, x):
        return self.gated(x)
"""


@pytest.mark.parametrize("registered", [True, False])
def test_users_say_how_their_parameters_are_put_together(tmp_path: Path, registered: bool) -> None:
    (tmp_path / "net.py").write_text("import torch\nfrom torch import nn\n\n" + GATED)
    program = symnas.program(f"{tmp_path / 'net.py'}:Net")
    if registered:
        kind = type(program.build().gated)
        register_slicing(kind, lambda m: {"weight": ((2, len(m.weight) // 2), m.weight.shape[1])})
    net = program.supernet()
    wide, narrow = (net.extract({"width": width}).gated.weight for width in (3, 2))
    assert torch.equal(narrow, wide[[0, 1, 3, 4]]) == registered
    assert torch.equal(narrow, wide[:4]) != registered
