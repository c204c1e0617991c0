"""An instance that a program is given was made before: what its class chooses is no point of the program.

It is one where the program's own code makes the instance; and what a method of a given instance chooses when
it is called is one, too.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import symnas

TEXT = """
from __future__ import annotations
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

@dataclass
class Config:
    width: int = 16  # search: {8, 16, 32}
    depth: int = 2   # search: 1..3

@dataclass
class Inner:
    heads: int = 2   # search: {1, 2, 4}

@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    width: int = 16  # search: {8, 16}

class Attributes:
    width = 16       # search: {8, 16, 32}

class Plain:
    def __init__(self, width=16):  # search: {8, 16, 32}
        self.width = width

class Methods:
    width = 16       # search: {8, 16}
    def scaled(self, by=2):  # search: {1, 2, 3}
        return self.width * by

class Settings(NamedTuple):
    width: int = 16  # search: {8, 16, 32}

def net(config: Config, k=1):  # search: {1, 2}
    assert isinstance(config, Config) or config
    return config.width * k

def bare(config, k=1):  # search: {1, 2}
    return config.width * k

def outer(config: Outer | None = None):
    return config.width * config.inner.heads

def uses_inner(config: Outer):
    return config.width * Inner().heads

def either(config: Config | None = None):
    config = config or Config()
    return config.width * config.depth

def called(config):
    return config.scaled()

def many(configs):
    return sum(config.width for config in configs)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "given_net.py").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "given_net", raising=False)
    importlib.invalidate_caches()
    return importlib.import_module("given_net")


GIVEN: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "a dataclass": (lambda m: symnas.program(m.net, m.Config()), ("net.k",)),
    "by keyword": (lambda m: symnas.program(m.net, config=m.Config(8)), ("net.k",)),
    "attributes of a class": (lambda m: symnas.program(m.bare, m.Attributes()), ("bare.k",)),
    "a constructor's default": (lambda m: symnas.program(m.bare, m.Plain()), ("bare.k",)),
    "one in another": (lambda m: symnas.program(m.outer, m.Outer()), ()),
    "in a list": (lambda m: symnas.program(m.many, [m.Config(), m.Config(32)]), ()),
    "in a dictionary": (lambda m: symnas.program(m.many, {m.Settings(): 1}), ()),
    "with a method that chooses": (lambda m: symnas.program(m.called, m.Methods()), ("called.scaled.by",)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_was_chosen_before_is_no_point_and_told(name: str, module: ModuleType) -> None:
    make, addresses = GIVEN[name]
    found = make(module)
    with pytest.warns(UserWarning, match=r"given an instance whose fields had .*given_net\.py:\d+"):
        space = found.space
    if name == "with a method that chooses":
        assert [address.rpartition(".")[2] for address in space.addresses] == ["by"]
    else:
        assert space.addresses == addresses
    built = {found.build(decision) for decision in space.enumerate()}
    assert len(built) == space.size


MADE: dict[str, tuple[Callable[[Any], Any], int]] = {
    "by the target": (lambda m: symnas.program(m.either), 9),
    "by a function around": (lambda m: symnas.program(m.made), 9 * 2),
    "one of two": (lambda m: symnas.program(m.uses_inner, m.Outer()), 3),
}


@pytest.mark.parametrize("name", MADE)
def test_what_the_program_makes_is_chosen(name: str, module: ModuleType, tmp_path: Path) -> None:
    if name == "by a function around":
        (tmp_path / "given_net.py").write_text(TEXT + "\ndef made():\n    return net(Config())\n")
        importlib.invalidate_caches()
        module = importlib.reload(module)
    make, size = MADE[name]
    found = make(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert found.space.size == size
