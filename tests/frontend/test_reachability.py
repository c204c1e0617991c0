"""Choices of definitions belong to a program only if its target leads to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from symnas.frontend import execution
from symnas.frontend.sources import load
from symnas.programs.program import program

torch.set_num_threads(1)

MODEL = """
from dataclasses import dataclass, field
from torch import nn
import symnas
from symnas import oneof

WIDTH = 8                       # search: {8, 16}
DEPTH = oneof([1, 2])
SPARE = DEPTH + WIDTH

@dataclass
class Config:
    hidden: int = 4             # search: {4, 8}
    rate: float = symnas.oneof([0.1, 0.2])

class Base(nn.Module):
    slope = 1                   # search: {1, 2} require slope < 3

class Cell(nn.Module):
    def __init__(self, k=3):    # search: {3, 5}
        super().__init__()
        self.conv = nn.Conv1d(1, 1, k)

class Late(nn.Module):
    def forward(self, x):
        return x + 1            # search: {x + 1, x + 2}

class Child(Base):
    def __init__(self):
        super().__init__()
        self.width = helper()

def helper():
    return WIDTH

def scaled(config=None, by=2):  # search: {2, 4}
    hidden = 0
    return (config or Config()).hidden * by + hidden

def unrelated(size=1):          # search: {1, 2}
    return size

OPS = {}

def register(cls):
    OPS[cls.__name__] = cls
    return cls

@register
class Wide:
    size = 3                    # search: {3, 4}

def table():
    return OPS["Wide"]().size

def hidden():
    return globals()["Config"]().hidden

def made(kind):
    return kind().hidden

symnas.oneof([Late, unrelated])  # evaluated with the module, a point of nobody

def chosen():
    return helper()             # search: {helper(), scaled()}
"""


def addresses(path: Path, name: str, *args: Any, **kwargs: Any) -> set[str]:
    return set(program(f"{path}:{name}", *args, **kwargs).space.addresses)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "reach_model.py"
    path.write_text(MODEL)
    return path


def test_only_definitions_that_the_target_reaches_give_points(model: Path) -> None:
    assert addresses(model, "helper") == {"WIDTH"}
    assert addresses(model, "Child") == {"WIDTH", "Base.slope"}
    assert addresses(model, "Config") == {"hidden", "rate"}
    assert addresses(model, "scaled") == {"return.hidden", "return.rate", "scaled.by"}
    assert addresses(model, "unrelated") == {"unrelated.size"}


def test_candidates_registries_arguments_and_hidden_ways_reach(model: Path) -> None:
    assert {"WIDTH", "return:scaled.return.hidden", "return"} <= addresses(model, "chosen")
    assert addresses(model, "table") == {"Wide.size"}
    found = addresses(model, "hidden", inputs=(torch.zeros(1),))
    assert {"return.hidden", "WIDTH", "Wide.size"} <= found
    given = load(f"{model}:Config")
    assert addresses(model, "made", kind=given) == {"return.hidden", "return.rate"}


def test_a_target_without_such_choices_is_an_instance_of_its_own_class(model: Path) -> None:
    made = program(f"{model}:Cell")
    assert not execution.needs_source(made.internals.source_set)
    assert made.space.size == 2
    assert dict(made.space.default) == {"Cell.k": 3}
    assert type(made.build()) is made.target
    assert made.build({"Cell.k": 5}).conv.kernel_size == (5,)
    assert not any("hidden" in address for address in made.space.addresses)
    assert made.requires == ()
    assert program(f"{model}:Child").requires == ("slope < 3",)


def test_what_is_not_reached_keeps_its_defaults_in_children_and_source(model: Path) -> None:
    made = program(f"{model}:Child")
    child = made.build({"WIDTH": 16, "Base.slope": 2})
    assert (child.width, child.slope) == (16, 2)
    assert dict(made.space.default) == {"WIDTH": 8, "Base.slope": 1}
    text = made.source({"WIDTH": 16})
    assert "symnas" not in text
    space: dict[str, Any] = {}
    exec(text, space)
    assert space["Child"]().width == 16


def test_forward_choices_of_unreached_classes_need_no_inputs(model: Path) -> None:
    assert program(f"{model}:Cell").internals.source_set.when_called == []
    late = program(f"{model}:Late", inputs=(torch.zeros(1),))
    assert set(late.space.addresses) == {"return"}


def test_reach_crosses_included_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reach_parts.py").write_text(
        "class Used:\n    size = 1  # search: {1, 2}\n"
        "class Other:\n    size = 1  # search: {1, 2}\n"
        "class Inner:\n    size = 1  # search: {1, 2}\n"
    )
    (tmp_path / "reach_main.py").write_text(
        "import reach_parts\nfrom reach_parts import Used as Part\n"
        "def by_name():\n    return Part().size\n"
        "def by_module():\n    return reach_parts.Inner().size\n"
        "def by_text(kind='Other'):\n    return getattr(reach_parts, kind)().size\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    both = {"include": "reach_parts"}

    def found(name: str) -> set[str]:
        return set(program(f"reach_main:{name}", **both).space.addresses)

    assert found("by_name") == {"Used.size"}
    assert found("by_module") == {"Inner.size"}
    assert found("by_text") == {"Used.size", "Other.size", "Inner.size"}
