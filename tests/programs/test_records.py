"""Fields of dataclasses and named tuples: one point per construction that leaves the field out."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

import symnas

TEXT = """
from __future__ import annotations
from dataclasses import dataclass, field, KW_ONLY, InitVar
from types import SimpleNamespace
from typing import ClassVar, NamedTuple
from torch import nn

@dataclass
class Acc:
    pe: int = 16  # search: {8, 16, 32}
    bw: int = 2   # search: {1, 2}

def two():
    a = Acc()
    b = Acc()
    return a.pe, b.pe, a.bw + b.bw

def turns():
    return [Acc(bw=1).pe for i in range(2)]

@dataclass(frozen=True, slots=True)
class Frozen:
    pe: int = field(default=16)  # search: {8, 16}
    _: KW_ONLY
    bw: int = 2   # search: {1, 2}

def frozen():
    f = Frozen(8)
    g = Frozen(bw=1)
    return f.pe * f.bw * g.pe

@dataclass
class Base:
    width: int = 8  # search: {8, 16}

@dataclass
class Big(Base):
    depth: int = 1  # search: {1, 2, 3}
    inner: Acc = field(default_factory=Acc)
    act: str = field(default_factory=lambda: "relu")  # search: {a: (lambda: "relu"), b: (lambda: "tanh")}

def big():
    base = Base()
    cfg = Big()
    extra = 0
    if cfg.depth > 2:
        extra = 1  # search: {1, 2}
    return base.width, cfg.width, cfg.depth, cfg.inner.pe, cfg.act, extra

class Point(NamedTuple):
    x: int = 1  # search: {1, 2}
    y: int = 3  # search: {3, 4}

def point():
    p = Point()
    if p.x > 1:
        z = 5  # search: {5, 6}
        return p, z
    return p

@dataclass
class Post:
    n: int = 2  # search: 1..3
    k: InitVar[int] = 1  # search: {1, 2}
    c: ClassVar[int] = 7
    w: list = field(init=False)
    def __post_init__(self, k):
        self.w = [self.n] * k
        if k == 2:
            t = 1  # search: {1, 9}
            self.w.append(t)

def post():
    p = Post()
    return p.n, p.w

def settings():
    a = SimpleNamespace(
        width=16,  # search: {8, 16}
    )
    b = {
        "width": 4,  # search: {4, 5}
        "depth": 1,
    }
    return a.width, b["width"]

@dataclass
class Early:
    w: int = 4  # search: {4, 8}

EARLY = Early()

def early():
    return EARLY.w

class Net(nn.Module):
    def __init__(self, config: Big | None = None):
        super().__init__()
        config = config or Big()
        self.body = nn.Sequential(*[nn.Linear(config.width, config.width) for _ in range(config.depth)])

    def forward(self, x):
        return self.body(x)
"""

POINTS = {
    "two": ("a.pe", "a.bw", "b.pe", "b.bw"),
    "turns": ("i[0].return.pe", "i[1].return.pe"),
    "frozen": ("f.bw", "g.pe"),
    "big": ("base.width", "cfg.act", "cfg.depth", "extra", "cfg.width", "cfg.inner.pe", "cfg.inner.bw"),
    "point": ("p.y", "p.x", "z"),
    "post": ("p.n", "p.k", "p.t"),
    "settings": ("a.width", "b[width]"),
    "early": ("Early.w",),
    "Acc": ("pe", "bw"),
    "Big": ("act", "depth", "width", "inner.pe", "inner.bw"),
}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder: Path = tmp_path_factory.mktemp("records")
    (folder / "records_of_it.py").write_text(TEXT)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("records_of_it")
    sys.path.remove(str(folder))
    del sys.modules["records_of_it"]


@pytest.mark.parametrize("name", POINTS)
def test_points_belong_to_constructions_and_source_equals_build(module: ModuleType, name: str) -> None:
    program = symnas.program(getattr(module, name))
    assert set(program.space.addresses) == set(POINTS[name])
    seen = set()
    for decision in program.space.sample(min(4, program.space.size), 0):
        made = program.build(decision)
        text = ModuleType("records_written")
        sys.modules["records_written"] = text
        exec(compile(program.source(decision), "records_written.py", "exec"), vars(text))
        assert repr(vars(text)[name]()) == repr(made)
        seen.add(repr(made))
    assert len(seen) > 1
    del sys.modules["records_written"]


def test_children_are_of_the_users_own_classes_and_nothing_stays(module: ModuleType) -> None:
    before = vars(module.Big)["__init__"]
    program = symnas.program(module.Net)
    child = program.build({"config.width": 16, "config.depth": 3})
    assert type(child) is module.Net
    assert [layer.in_features for layer in child.body] == [16] * 3
    assert vars(module.Big)["__init__"] is before
    assert module.Big() == module.Big(8, 1, module.Acc(), "relu")
    assert type(symnas.program(module.Acc).build()) is module.Acc
