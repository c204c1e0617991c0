"""Modules that the code computes are recognised among the candidates, and nothing else is by mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import symnas
from symnas.errors import ProgramError
from symnas.frontend.value_matching import same_choice


class Scale(nn.Module):
    """Prints the same whatever it multiplies by."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor


class Nested(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), Scale(factor))


class Loop(nn.Module):
    """Holds what holds it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.back = [self]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (nn.Linear(2, 3), nn.Linear(2, 3), True),
        (nn.Linear(2, 3), nn.Linear(3, 2), False),
        (nn.Linear(2, 3), nn.Linear(2, 3, bias=False), False),
        (nn.Linear(2, 3), nn.Linear(2, 3, dtype=torch.float64), False),
        (nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1), True),
        (nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=2), False),
        (nn.ReLU(), nn.GELU(), False),
        (nn.BatchNorm2d(3), nn.BatchNorm2d(3, eps=1e-3), False),
        (Scale(2.0), Scale(3.0), False),
        (Nested(2.0), Nested(2.0), True),
        (Nested(2.0), Nested(3.0), False),
        (Loop(1), Loop(1), True),
        (Loop(1), Loop(2), False),
        (1, 1, True),
        (1, True, False),
        ([1, 2], [1, 2], True),
        (torch.zeros(2), torch.zeros(2), False),
        (np.zeros(2), np.zeros(2), False),
        (lambda: 1, lambda: 1, False),
        (nn.ReLU, nn.ReLU, True),
    ],
)
def test_alike_means_built_alike(one: object, other: object, expected: bool) -> None:
    assert same_choice(one, other) is same_choice(other, one) is expected


TEXT = """
from torch import nn


def block(name, width):
    return nn.Identity() if name == "-" else nn.Linear(width, width, bias=name == "b")


class Net(nn.Module):
    def __init__(self, width=4, names="b-n"):
        super().__init__()
        body = []
        for layer, name in enumerate(names):
            # search: {skip: nn.Identity(), b: nn.Linear(width, width),
            #          n: nn.Linear(width, width, bias=False)}
            op = block(name, width)
            body.append(op)
        self.body = nn.Sequential(*body)
"""


def program(tmp_path: Path, **arguments: object) -> symnas.Program:
    (tmp_path / "net.py").write_text(TEXT)
    return symnas.program(f"{tmp_path / 'net.py'}:Net", **arguments)


def test_the_default_of_each_layer_is_the_module_that_the_code_builds(tmp_path: Path) -> None:
    net = program(tmp_path)
    assert dict(net.space.default) == {"layer[0].op": "b", "layer[1].op": "skip", "layer[2].op": "n"}
    assert net.space.size == 27
    for decision in net.space.enumerate():
        kinds = {"skip": nn.Identity, "b": nn.Linear, "n": nn.Linear}
        child = net.build(decision)
        assert [type(op) for op in child.body] == [kinds[str(value)] for value in decision.values()]


def test_a_module_that_is_no_candidate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TEXT.replace("= block(name, width)", "= block(name, width + 1)"))
    net = symnas.program(f"{tmp_path / 'net.py'}:Net")
    with pytest.raises(ProgramError, match=r"it computed Linear\(in_features=5.*add it, or change the code"):
        assert net.space
