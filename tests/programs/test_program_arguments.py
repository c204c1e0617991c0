"""Programs among a program's arguments: built within the run, under the argument's name."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import symnas
from symnas.programs.locator import locate, locator_of

TEXT = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn

@dataclass
class Inner:
    heads: int = 2   # search: {1, 2, 4}

@dataclass
class Config:
    inner: Inner
    width: int = 16  # search: {8, 16, 32}
    depth: int = 1   # search: 1..3

class Net(nn.Module):
    def __init__(self, config: Config, act=None):
        super().__init__()
        self.first = nn.Linear(4, config.width)
        self.heads = config.inner.heads
        self.layers = nn.ModuleList([nn.Linear(config.width, config.width) for i in range(config.depth)])
        if config.depth > 2:
            bias = True  # search: {True, False}
            self.extra = nn.Linear(config.width, 3, bias=bias)
        self.last = act or nn.Identity()

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = self.last(layer(x))
        return x

def activation(slope=1.0):
    kind = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh(), nn.PReLU()}
    return nn.Sequential(kind)

class Called(nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        y = self.layer(x)
        return y * self.left.heads + self.right.heads  # search: {y * self.left.heads + self.right.heads, y}

class Mixed(nn.Module):
    def __init__(self, body, settings, *tails):
        super().__init__()
        self.body, self.tails = body, nn.Sequential(*tails)
        self.name = settings["name"]

    def forward(self, x):
        return self.tails(self.body(x))

def numbers(config, by=2):
    extra = 0
    if config.width == 8 and config.depth == 2:
        extra = 1  # search: {1, 5}
    return config.width * by + extra + config.inner.heads
"""

X = torch.linspace(-1, 1, 8).view(2, 4)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder: Path = tmp_path_factory.mktemp("arguments")
    (folder / "arguments_of_it.py").write_text(TEXT)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("arguments_of_it")
    sys.path.remove(str(folder))
    del sys.modules["arguments_of_it"]


def made(module: ModuleType, kind: str) -> Any:
    program, m = symnas.program, module
    if kind == "keyword":
        return program(m.Net, config=program(m.Config, program(m.Inner)), inputs=X)
    if kind == "position":
        return program(m.Net, program(m.Config, inner=program(m.Inner)), program(m.activation, 2.0), inputs=X)
    if kind == "called":
        return program(m.Called, program(m.Inner), right=program(m.Inner), inputs=X)
    if kind == "mixed":
        body = torch.nn.Linear(4, 4)
        return program(m.Mixed, body, {"name": "a"}, program(m.activation), program(m.activation), inputs=X)
    return program(m.numbers, program(m.Config, program(m.Inner)), by=3)


POINTS = {
    "keyword": {"config.inner.heads", "config.width", "config.depth", "bias"},
    "position": {"config.inner.heads", "config.width", "config.depth", "bias", "act.kind"},
    "called": {"left.heads", "right.heads", "return"},
    "mixed": {"tails[0].kind", "tails[1].kind"},
    "numbers": {"config.inner.heads", "config.width", "config.depth", "extra"},
}


@pytest.mark.parametrize("kind", POINTS)
def test_points_have_the_names_of_arguments_and_source_equals_build(module: ModuleType, kind: str) -> None:
    program = made(module, kind)
    assert set(program.space.addresses) == POINTS[kind]
    for decision in program.space.sample(3, 0):
        child, text = program.build(decision), ModuleType("arguments_written")
        sys.modules["arguments_written"] = text
        exec(compile(program.source(decision), "arguments_written.py", "exec"), vars(text))
        make = vars(text)[f"make_{program.name.lower()}"]
        given = {"body": torch.nn.Linear(4, 4)} if kind == "mixed" else {}
        other = make(**given)
        if kind == "numbers":
            assert other == child
            continue
        other.load_state_dict(child.state_dict())
        assert torch.equal(other(X), child(X))
    del sys.modules["arguments_written"]
    again = pickle.loads(pickle.dumps(program))
    assert again.fingerprint == program.fingerprint
    if kind != "mixed":
        assert locate(locator_of(program)).fingerprint == program.fingerprint


@pytest.mark.parametrize("kind", ["keyword", "called", "mixed"])
def test_supernets_hold_the_weights_of_arguments(module: ModuleType, kind: str) -> None:
    program = made(module, kind)
    net = program.supernet().eval()
    for decision in program.space.sample(2, 1):
        net.activate(decision)
        assert torch.allclose(net(X), net.extract(decision).eval()(X))
        assert program.profile(decision).params == sum(
            p.numel() for p in program.build(decision).parameters()
        )
    if kind == "mixed":
        keys = dict(net.named_parameters())
        assert "(body)/weight" in keys or "body/weight" in keys
        assert any(key.startswith("tails[0]/kind:") for key in keys)


def test_relaxed_networks_mix_what_arguments_choose(module: ModuleType) -> None:
    relaxed = made(module, "mixed").relaxed()
    assert relaxed(X).shape == (2, 4)


def test_an_instance_that_was_made_before_says_how_to_pass_it(module: ModuleType) -> None:
    config = module.Config(module.Inner())
    program = symnas.program(module.Net, config)
    with pytest.warns(UserWarning, match=r"symnas\.program\(Net, config=symnas\.program\(Config\)\)"):
        _ = program.space


@pytest.mark.slow
def test_another_process_builds_the_same(module: ModuleType, tmp_path: Path) -> None:
    program = made(module, "keyword")
    (tmp_path / "program.pkl").write_bytes(pickle.dumps(program))
    code = (
        f"import sys, pickle; sys.path.insert(0, {str(Path(module.__file__).parent)!r}); "
        f"p = pickle.load(open({str(tmp_path / 'program.pkl')!r}, 'rb')); print(p.fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == program.fingerprint
