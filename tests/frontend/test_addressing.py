"""Addresses: what they are called, that nothing shares one, and that nothing moves them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from tour import TOUR

import symnas
from symnas.errors import BuildError, DecisionError, ProgramError
from symnas.export.child import build
from symnas.frontend import addressing, execution
from symnas.frontend.run import Run
from symnas.programs.program import Program, program

torch.set_num_threads(1)


def written(folder: Path, text: str, name: str = "written.py") -> str:
    (folder / name).write_text(textwrap.dedent(text))
    return str(folder / name)


def addresses(made: Program, values: dict[str, Any] | None = None) -> list[str]:
    run = Run(values or {})
    execution.execute(made, run)
    return [visit.address for visit in run.trace]


TABLE = """
from torch import nn
from symnas import oneof

def block():
    k = 3  # search: {1, 3}
    return nn.Identity()

def conv(size):
    return nn.Identity()

class Block(nn.Module):
    pool = True  # search: {True, False}

    def __init__(self, size=3):  # search: size in {3, 5}
        super().__init__()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.width = 32  # search: {16, 32}
        self.block = Block()
        for stage in range(2):  # search: 1..3
            k = 3  # search: {1, 3}
        stem = nn.Sequential(block(), block())
        layers = []
        layers.append(block())
        self.drop = nn.Dropout(0.1)  # search: 0.0..0.5
        table = {"a": oneof([1, 2])}
        depths = [2, 2]  # search: [1] in 1..4
        if (wide := 3) > 2:  # search: {3, 5}
            pass
        head = nn.Identity()  # search: {nn.Identity(), out: conv(size={1, 3})}
        j = 3  # search: {1, 3}
        j = 4  # search: {2, 4}
        self.kept = self.size

    @property
    def size(self):
        return 3  # search: {3, 5}
"""


def test_the_table_of_addresses_is_true(tmp_path):
    rows = [line.split("|") for line in (addressing.__doc__ or "").splitlines() if line.startswith("| `")]
    said = {name for row in rows for name in re.findall("`([^`]+)`", row[2])}
    made = program(written(tmp_path, TABLE) + ":Net")
    found = addresses(made, {"head": "out"})
    assert len(said) > 10
    assert {name.replace("k_2", "j_2") for name in said} <= set(found)


def test_the_tour(tmp_path):
    made = program(written(tmp_path, TOUR) + ":ConvNet")
    assert addresses(made, {"stage": 1}) == [
        "width",
        "stage", "stage[0].block", "stage[0].block[0].k", "stage[0].block[0].layers", "stage[0].pool",
        "head[0].p",
    ]  # fmt: skip


FORMS = """
from torch import nn

class Part:
    def __init__(self, size=1):
        self.k = size  # search: {1, 2}

def choose():
    return 1  # search: {1, 2}

def everything():
    found = {}
    found["a"] = Part()
    found["b"] = Part()
    table = {"x": Part(), "y": Part()}
    pair = [Part(), Part()]
    a, b = Part(), 2
    parts = []
    parts.append(Part())
    parts.append(Part())
    choose()
    drop = nn.Dropout(0.1)  # search: {0.1, 0.2}
    conv = nn.Conv2d(4, 4, kernel_size=3)  # search: {1, 3}
    body = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())  # search: {nn.ReLU(), nn.GELU()}
    depth = 1  # search: {1, 2}
    depth = 1  # search: {1, 2}
    if depth == 1:  # search: {True, False} as flag
        named = 3  # search: {3, 4} as other
    return found
"""


def test_names_of_places(tmp_path):
    made = program(written(tmp_path, FORMS.replace("  # search: {True, False} as flag", "")) + ":everything")
    assert addresses(made) == [
        "found[a].k", "found[b].k", "table[x].k", "table[y].k", "pair.k", "pair_2.k", "a.k", "parts.k",
        "parts_2.k",
        "choose.return", "drop.p", "conv.kernel_size", "body[1]", "depth", "depth_2", "other",
    ]  # fmt: skip


def test_inserting_code_elsewhere_moves_nothing(tmp_path):
    before = addresses(program(written(tmp_path, TOUR, "before.py") + ":ConvNet"))
    text = TOUR.replace(
        "        layers, channels = [], 1\n",
        "        extra = nn.Linear(3, 3)\n        other = [nn.ReLU() for stage in range(2)]\n"
        "        layers, channels = [], 1\n",
    ).replace(
        "class ConvNet",
        "def unrelated(k):\n    width = k  # search: {1, 2}\n    return width\n\n\nclass ConvNet",
    )
    assert addresses(program(written(tmp_path, text, "after.py") + ":ConvNet")) == before


def test_addresses_do_not_depend_on_the_hash_seed(tmp_path):
    file = written(tmp_path, FORMS.replace("  # search: {True, False} as flag", ""))
    code = f"""
import sys
from symnas.programs.program import program
from symnas.frontend.execution import execute
from symnas.frontend.run import Run
run = Run()
execute(program({file + ":everything"!r}), run)
print([a.address for a in run.trace])
"""
    seen = set()
    for seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1
    assert "found[a].k" in seen.pop()


FORWARD = """
import torch
from torch import nn
from torch.nn import functional as F

class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)

    def forward(self, x):
        y = F.relu(self.fc(x))  # search: {F.relu(self.fc(x)), torch.tanh(self.fc(x))}
        if True:  # search: {True, False} as skip
            y = y + x
        return y

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        depth = 2  # search: 1..3
        self.layers = nn.ModuleList([Layer(4) for _ in range(depth)])

    def forward(self, x):
        for _ in range(2):
            for layer in self.layers:
                x = layer(x)
        return x
"""


def test_points_in_forward_belong_to_their_module(tmp_path):
    made = program(written(tmp_path, FORWARD) + ":Net", inputs=torch.zeros(2, 4))
    run = Run({"layers[1].skip": False})
    execution.execute(made, run)
    assert list(run.visits) == ["depth", "layers[0].y", "layers[0].skip", "layers[1].y", "layers[1].skip"]
    child = made.build({"layers[1].skip": False, "depth": 2})
    x = torch.randn(3, 4)
    first, second = child.layers
    once = lambda v: torch.relu(second.fc(torch.relu(first.fc(v)) + v))  # noqa: E731
    torch.testing.assert_close(child(x), once(once(x)))


def test_points_in_forward_need_inputs(tmp_path):
    made = program(written(tmp_path, FORWARD) + ":Net")
    with pytest.raises(ProgramError, match="the program is given example inputs"):
        _ = made.space


DEFINITIONS = """
from dataclasses import dataclass
from torch import nn

SCALE = 2  # search: {1, 2, 4}
HIDDEN = SCALE * 8

@dataclass
class Config:
    depth: int = 2  # search: 1..3
    width: int = HIDDEN

class Net(nn.Module):
    kind = "a"  # search: {"a", "b"}

    def __init__(self, config=None, rate=0.1):  # search: rate in 0.0..0.5
        super().__init__()
        config = config or Config()
        self.fc = nn.Linear(config.width, config.depth)
        self.drop = nn.Dropout(rate)
        self.name = self.kind
"""


def test_definitions_are_one_point_each(tmp_path):
    made = program(written(tmp_path, DEFINITIONS) + ":Net")
    assert addresses(made) == ["SCALE", "Net.kind", "Net.rate", "config.depth"]
    child = made.build({"SCALE": 4, "config.depth": 3, "Net.kind": "b", "Net.rate": 0.25})
    assert (child.fc.in_features, child.fc.out_features, child.name, child.drop.p) == (32, 3, "b", 0.25)
    plain = made.target()
    assert (plain.fc.in_features, plain.fc.out_features, plain.name, plain.drop.p) == (16, 2, "a", 0.1)


def test_building_from_a_space(tmp_path):
    made = program(written(tmp_path, TOUR) + ":ConvNet")
    assert made.space.size > 1
    child = made.build({"stage": 1, "width": 64})
    assert child.head[1].in_features == 64
    with pytest.raises(DecisionError, match="leave the address out or change stage"):
        made.build({"stage": 1, "stage[1].pool": True})
    with pytest.raises(DecisionError, match="width"):
        made.build({"width": 65})
    assert type(made.build()) is made.target


def test_helpers_of_other_modules_are_included_by_name(tmp_path, monkeypatch):
    written(
        tmp_path,
        "from symnas import oneof\n\ndef part():\n    return oneof([1, 2], name='size')\n",
        "parts_of_it.py",
    )
    file = written(
        tmp_path,
        "from parts_of_it import part\n\ndef whole():\n    a = part()\n    return a\n",
        "whole_of_it.py",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = program(file + ":whole", include="parts_of_it")
    assert addresses(made) == ["a.size"]
    # In the same folder it is followed; elsewhere it is named.
    assert addresses(program(file + ":whole")) == ["a.size"]
    (tmp_path / "elsewhere").mkdir()
    away = written(
        tmp_path / "elsewhere",
        "from parts_of_it import part\n\ndef whole():\n    a = part()\n    return a\n",
        "whole_elsewhere.py",
    )
    with pytest.raises(ProgramError, match="`include=`"):
        addresses(program(away + ":whole"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing", r"`file.py:Name`"),
        ("missing_file.py:Net", "is not a file"),
        ("no_such_package_at_all:Net", "is not installed"),
        ("symnas.errors:SymnasErrr", "did you mean 'SymnasError'"),
        (3, "a target is a class, a function"),
    ],
)
def test_targets_that_are_not_there(target, message):
    with pytest.raises(ProgramError, match=message):
        program(target)


def test_a_failing_candidate_is_named(tmp_path):
    text = "def f():\n    x = 1  # search: {1, one: int('a')}\n    return x\n"
    made = program(written(tmp_path, text) + ":f")
    with pytest.raises(BuildError, match=r"written.py:2 while 'x' was `int\('a'\)`.*ValueError") as caught:
        build(made, {"x": "one"})
    assert isinstance(caught.value.__cause__, ValueError)
    assert symnas.errors.SymnasError in BuildError.__mro__
