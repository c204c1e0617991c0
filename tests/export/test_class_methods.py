"""Choices in class and static methods stand in the source as in children."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import symnas

HEAD = """
import torch
from torch import nn
"""
CASES = {
    "class and static methods, by every way": (16, """
class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = self.make(4), Target.make(4)
        self.c, self.d = self.still(4), type(self).make(4)
    @classmethod
    def make(cls, n):
        w = 4  # search: {4, 8}
        return nn.Linear(n, w)
    @staticmethod
    def still(n):
        w = 4  # search: {4, 8}
        return nn.Linear(n, w)
    def forward(self, x):
        return self.a(x)
"""),
    "a factory that constructs": (16, """
class Block(nn.Module):
    def __init__(self, n, bias=True):
        super().__init__()
        w = 4  # search: {4, 8}
        self.fc, self.back = nn.Linear(n, w), nn.Linear(w, n, bias=bias)
    @classmethod
    def from_size(cls, n):
        return cls(n, bias=False)  # search: {cls(n, bias=False), cls(n)}
    def forward(self, x):
        return self.back(self.fc(x))

class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Block.from_size(4), Block.from_size(4)
    def forward(self, x):
        return self.a(x) + self.b(x)
"""),
    "inherited": (16, """
class Base(nn.Module):
    depth = 1
    @classmethod
    def build(cls, n):
        w = 4  # search: {4, 8}
        return cls(n, w)
    def __init__(self, n, w):
        super().__init__()
        self.fc = nn.Linear(n, w)
        self.out = nn.Linear(w, n, True)  # search: {nn.Linear(w, n, True), nn.Linear(w, n, False)}
    def forward(self, x):
        return self.out(self.fc(x))

class Wide(Base):
    @classmethod
    def build(cls, n):
        return super().build(n)

class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Base.build(4), Wide.build(4)
    def forward(self, x):
        return self.a(x) + self.b(x)
"""),
    "a subclass without methods": (8, """
class Base(nn.Module):
    scale = 1
    def __init__(self, n):
        super().__init__()
        w = 4  # search: {4, 8}
        self.fc, self.out = nn.Linear(n, w), nn.Linear(w, n)
    def forward(self, x):
        return self.out(self.fc(x)) * self.scale

class Wide(Base):
    scale = 2

class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = Base(4), Wide(4), Wide(4)
    def forward(self, x):
        return self.a(x) + self.b(x) + self.c(x)
"""),
    "in a loop": (8, """
class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(3):
            self.layers.append(self.layer(4))
    @classmethod
    def layer(cls, n):
        act = nn.ReLU()  # search: {nn.ReLU(), nn.PReLU()}
        return nn.Sequential(nn.Linear(n, n), act)
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
"""),
    "called by forward": (4, """
class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
    @classmethod
    def shift(cls, x):
        return x + 1  # search: {x + 1, x}
    @staticmethod
    def scale(x):
        return x * 2  # search: {x * 2, x}
    def forward(self, x):
        return self.scale(self.shift(self.fc(x)))
"""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_choices_in_class_methods_stand_in_the_source(case: str, tmp_path: Path) -> None:
    size, text = CASES[case]
    (tmp_path / "factories.py").write_text(HEAD + text)
    x = torch.randn(2, 4)
    made = symnas.program(f"{tmp_path / 'factories.py'}:Target", inputs=x)
    assert made.space.size == size
    for decision in made.space.enumerate():
        child = made.build(decision)
        namespace: dict[str, Any] = {"__name__": "written"}
        exec(made.source(decision), namespace)
        written = namespace["Target"]()
        written.load_state_dict(child.state_dict())
        assert torch.equal(written(x), child(x))


def test_named_tuples_are_told_apart(tmp_path: Path) -> None:
    text = """
from typing import NamedTuple

class Size(NamedTuple):
    width: int = 1  # search: {1, 2}
    depth: int = 3

def target():
    first = Size()
    return [first, *(Size(depth=i) for i in range(2))]
"""
    (tmp_path / "tuples.py").write_text(text)
    made = symnas.program(f"{tmp_path / 'tuples.py'}:target")
    assert made.space.size == 8
    for decision in made.space.enumerate():
        namespace: dict[str, Any] = {"__name__": "written"}
        exec(made.source(decision), namespace)
        assert namespace["target"]() == made.build(decision)
