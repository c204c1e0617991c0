"""Decorated code has the choices of what is decorated, in its space, its children and its source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import symnas

ELSEWHERE = """
import functools

def traced(fn):
    @functools.wraps(fn)
    def inner(*args, **kwargs):
        return fn(*args, **kwargs)
    return inner

def wrapping(cls):
    @functools.wraps(cls, updated=())
    class Wrapped(cls):
        pass
    return Wrapped

class Timer:
    def __init__(self, fn):
        functools.update_wrapper(self, fn)
        self.fn = fn
    def __call__(self, *args, **kwargs):
        return self.fn(*args, **kwargs)
"""
HEAD = """
import functools
import torch
from torch import nn
from decorators_elsewhere import Timer, traced, wrapping

REGISTRY = {}

def register(name, **options):
    def wrap(cls):
        REGISTRY[name] = cls
        return cls
    return wrap

def plain(fn):
    def inner(*args):
        return fn(*args)
    return inner

class Shift(nn.Module):
    def forward(self, x):
        return x + 1  # search: {x + 1, x}
"""
CASES = {
    "function of another module": (4, "target", """
@traced
def target():
    w = 4  # search: {4, 8}
    return nn.Sequential(nn.Linear(4, w), Shift())
"""),
    "class of another module": (4, "Target", """
@wrapping
class Target(nn.Module):
    def __init__(self):
        super().__init__()
        w = 4  # search: {4, 8}
        self.fc = nn.Linear(4, w)
    def forward(self, x):
        return self.fc(x) + 1  # search: {self.fc(x) + 1, self.fc(x)}
"""),
    "an object that calls": (4, "target", """
@Timer
def target():
    w = 4  # search: {4, 8}
    return nn.Sequential(nn.Linear(4, w), Shift())
"""),
    "one decorator on two methods": (4, "Target", """
class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = self.first(4), self.second(4)
    @plain
    def first(self, n):
        w = 4  # search: {4, 8}
        return nn.Linear(n, w)
    @plain
    def second(self, n):
        w = 4  # search: {4, 8}
        return nn.Linear(n, w)
    def forward(self, x):
        return self.a(x).sum() + self.b(x).sum()
"""),
    "one decorator on two functions and a forward": (8, "Target", """
@plain
def first(n):
    w = 4  # search: {4, 8}
    return nn.Linear(n, w)

@plain
def second(n):
    w = 4  # search: {4, 8}
    return nn.Linear(n, w)

class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = first(4), second(4)
    @plain
    def forward(self, x):
        return self.a(x).sum() + self.b(x).sum()  # search: {self.a(x).sum() + self.b(x).sum(), self.a(x)}
"""),
    "several, with arguments": (4, "Target", """
@register("target", depth=3)
class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = self.make(4)
    @classmethod
    @traced
    def make(cls, n):
        w = 4  # search: {4, 8}
        return nn.Linear(n, w)
    @staticmethod
    @plain
    def shift(x):
        return x + 1  # search: {x + 1, x}
    @torch.no_grad()
    @traced
    def forward(self, x):
        return self.shift(self.fc(x))
"""),
    "a memory": (2, "Target", """
@functools.lru_cache
def part(n):
    w = 4  # search: {4, 8}
    return nn.Linear(n, w)

class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = part(4), part(4)
    def forward(self, x):
        return self.a(x) + self.b(x)
"""),
    "a property": (4, "Target", """
class Target(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.half = nn.Linear(4, self.width), self.width // 2
    @property
    def width(self):
        return 4  # search: {4, 8}
    @functools.cached_property
    def rate(self):
        return 1.0  # search: {1.0, 2.0}
    def forward(self, x):
        return self.fc(x) * self.rate
"""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_decorated_code_has_its_choices(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, name, text = CASES[case]
    (tmp_path / "decorators_elsewhere.py").write_text(ELSEWHERE)
    (tmp_path / "decorated.py").write_text(HEAD + text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "decorators_elsewhere", raising=False)
    x = torch.randn(2, 4)
    made = symnas.program(f"{tmp_path / 'decorated.py'}:{name}", inputs=x)
    assert made.space.size == size
    outputs = set()
    for decision in made.space.enumerate():
        child = made.build(decision).eval()
        namespace: dict[str, Any] = {"__name__": "written"}
        exec(made.source(decision), namespace)
        written = namespace[name]().eval()
        written.load_state_dict(child.state_dict())
        assert torch.equal(written(x), child(x))
        outputs.add((tuple(child(x).shape), sum(p.numel() for p in child.parameters())))
    assert len(outputs) > 1
    if case == "a property":
        assert made.space.addresses == ("width", "rate")
