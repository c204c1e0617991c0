# ruff: noqa: E501  (program texts)
"""Surveys of real programs: every random decision meets exactly its own points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from symnas.errors import BuildError, ProgramError
from symnas.frontend import execution
from symnas.frontend.run import Run
from symnas.programs.program import Program, program

HEAD = "from torch import nn\nimport torch\n"

PROGRAMS: dict[str, tuple[str, int]] = {
    "loop and if": (
        """
def net():
    width = 8                          # search: {8, 16}
    layers, channels = [], 3
    for i in range(2):                 # search: 1..3
        k = 3                          # search: {1, 3}
        layers += [nn.Conv2d(channels, width, k)]
        if channels != width:
            layers += [nn.Identity()]  # search: {nn.Identity(), nn.Conv2d(width, width, {1, 3})}
        channels = width
    return nn.Sequential(*layers)
""",
        2 * sum(2**n * 3 for n in (1, 2, 3)),
    ),
    "joint guard": (
        """
def net():
    a = 1        # search: {1, 2, 3}
    b = 1        # search: 1..3
    if a * b > 4:
        c = 0    # search: {0, 1}
    return a
""",
        9 + 3,
    ),
    "subset": (
        """
def net():
    total = 0
    picked = [0, 1]              # search: 2 of {0, 1, 2}
    for source in picked:
        op = 1                   # search: {1, 2, 3}
        if op == source:
            total += 1           # search: {1, 2}
    return total
""",
        (3 * 4) + (3 * 4) + (4 * 4),
    ),
    "helper and recursion": (
        """
def tree(depth):
    if depth == 0:
        return None
    split = True        # search: {True, False}
    return tree(depth - 1) if split else None
def net():
    depth = 1           # search: 0..3
    return tree(depth)
""",
        1 + 2 + 3 + 4,
    ),
    "class and inheritance": (
        """
class Base(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width
        self.wide = self.grow()
    def grow(self):
        return self.width > 8
class net(Base):
    def __init__(self):
        width = 8             # search: {8, 16}
        super().__init__(width)
        if self.wide:
            self.k = 1        # search: {1, 3, 5}
""",
        1 + 3,
    ),
    "dictionary of classes": (
        """
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = 1   # search: {1, 2}
class B(nn.Module):
    pass
OPS = {"a": A, "b": B}
def net():
    name = "a"       # search: {"a", "b"}
    block = OPS[name]()
    return block
""",
        3,
    ),
}


def made(folder: Path, text: str, **options: Any) -> Program:
    file = folder / "net.py"
    file.write_text(HEAD + text)
    return program(f"{file}:net", **options)


def agrees(found: Program, rows: int = 40) -> None:
    for decision in found.space.sample(rows, np.random.default_rng(0)):
        run = Run(dict(decision), strict=True)
        execution.execute(found, run)
        assert set(run.visits) == set(decision)


@pytest.mark.parametrize("name", PROGRAMS)
def test_spaces_are_complete(name: str, tmp_path: Path) -> None:
    text, size = PROGRAMS[name]
    found = made(tmp_path, text)
    assert found.space.size == size
    agrees(found)


FORWARD = """
class Block(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 1)
        self.proj = None
        if i != o:
            self.proj = nn.Conv2d(i, o, 1)
    def forward(self, x):
        y = self.conv(x)
        if self.proj is not None:
            y = y + self.proj(x)     # search: {y + self.proj(x), y}
        return torch.relu(y)         # search: {torch.relu(y), torch.tanh(y)} as act
class net(nn.Module):
    def __init__(self):
        super().__init__()
        c, blocks = 3, []
        for i in range(1):           # search: 1..2
            w = 3                    # search: {3, 4}
            blocks.append(Block(c, w))
            c = w
        self.body = nn.Sequential(*blocks)
    def forward(self, x):
        return self.body(x)
"""


def test_points_in_forward_follow_the_built_modules(tmp_path: Path) -> None:
    found = made(tmp_path, FORWARD, inputs=torch.zeros(1, 3, 4, 4))
    # Per block: an activation, and another choice where the width changes.
    assert found.space.size == (2 + 4) + (2 * 2 + 2 * 4 + 4 * 4 + 4 * 2)
    agrees(found)


def test_first_turns_stand_under_the_number_of_turns(tmp_path: Path) -> None:
    text = "def net():\n    for i in range(2):   # search: 1..3\n        k = 1            # search: {1, 2}\n"
    space = made(tmp_path, text).space
    (root,) = space.points
    assert [(list(b.when), [p.address for p in b.points]) for b in root.branches] == [
        ([0, 1, 2], ["i[0].k"]),
        ([1, 2], ["i[1].k"]),
        ([2], ["i[2].k"]),
    ]


def test_a_candidate_that_cannot_be_built_is_named(tmp_path: Path) -> None:
    text = "def net():\n    op = nn.ReLU()   # search: {nn.ReLU(), nn.Conv2d(1)}\n    return op\n"
    with pytest.raises(BuildError, match=r"'op' was `nn.Conv2d\(1\)`"):
        _ = made(tmp_path, text).space


def test_a_real_condition_is_refused(tmp_path: Path) -> None:
    text = (
        "def net():\n    p = 0.1   # search: 0.0..0.5\n    if p > 0.25:\n        k = 1   # search: {1, 2}\n"
    )
    with pytest.raises(ProgramError, match="cannot hang on a real number"):
        _ = made(tmp_path, text).space


def test_a_survey_leaves_the_program_as_it_was(tmp_path: Path) -> None:
    found = made(tmp_path, PROGRAMS["loop and if"][0])
    before, state = found.target.__code__, torch.get_rng_state()
    assert found.space.size > 1
    assert found.target.__code__ is before
    assert torch.equal(torch.get_rng_state(), state)


def test_four_hundred_points_take_a_few_runs(tmp_path: Path) -> None:
    text = (
        "def net():\n    layers, c = [], 3\n    for s in range(10):\n        w = 8   # search: {8, 16}\n"
        "        for b in range(10):\n            k = 3   # search: {1, 3, 5}\n"
        "            a = nn.ReLU()   # search: {nn.ReLU(), nn.GELU()}\n"
        "            if True:   # search: {True, False} as norm\n                layers.append(nn.BatchNorm2d(c))\n"
        "            if c != w:\n                layers.append(nn.Conv2d(c, w, 1))\n"
        "            layers += [nn.Conv2d(w, w, k), a]\n            c = w\n            g = 1   # search: {1, 2}\n"
        "    return nn.Sequential(*layers)\n"
    )
    from symnas.survey.runner import ProgramRunner
    from symnas.survey.survey import Survey

    survey = Survey(ProgramRunner(made(tmp_path, text)))
    space = survey.space()
    assert len(space.addresses) == 410
    assert survey.runs < 40


def test_the_tree_is_the_same_under_another_hash_seed(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(HEAD + PROGRAMS["loop and if"][0])
    line = f"from symnas.programs.program import program; print(program({f'{file}:net'!r}).space.fingerprint)"
    prints = [
        subprocess.run(
            [sys.executable, "-c", line],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert prints[0] == prints[1] != ""


def test_a_choice_in_forward_after_layers_of_many_shapes_takes_few_runs(tmp_path: Path) -> None:
    """Which of torch's own layers are called, and how many, decides about no point."""
    path = tmp_path / "wide.py"
    path.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        layers = []\n"
        "        for stage in range(2):  # search: 1..4\n"
        "            for block in range(1):  # search: 1..3\n"
        "                layers += [nn.Linear(4, 4)]\n"
        "                layers += [nn.ReLU()]  # search: {nn.ReLU(), nn.GELU(), nn.SiLU()}\n"
        "            if True:  # search: {True, False} as norm\n"
        "                layers += [nn.LayerNorm(4)]\n"
        "        self.body = nn.Sequential(*layers)\n"
        "    def forward(self, x):\n"
        "        x = self.body(x)\n"
        "        return x.mean(1)  # search: {x.mean(1), x.amax(1)} as pooling\n"
    )
    from symnas.survey.survey import survey

    net = program(f"{path}:Net", inputs=(torch.zeros(2, 4),))
    space = survey(net, max_runs=150)
    assert "pooling" in space.addresses
    assert space["stage[3].block[2].layers"].candidates == ("ReLU", "GELU", "SiLU")


BY_VALUE = {
    "range": (
        "def net(depth=2):\n"
        "    count = depth * 1        # search: 1..6\n"
        "    total = []\n"
        "    for i in range(count):\n"
        "        k = 3                # search: {1, 3}\n"
        "        total.append(k)\n"
        "    return total\n",
        sum(2**n for n in range(1, 7)),
        {"count": 2, "i[0].k": 3, "i[1].k": 3},
        {"count": 6, "i[5].k": 1},
        [3, 3, 3, 3, 3, 1],
    ),
    "turns": (
        "def net(depth=2):\n"
        "    total = []\n"
        "    for i in range(depth):   # search: 1..3\n"
        "        k = 3                # search: {1, 3}\n"
        "        total.append(k)\n"
        "    return total\n",
        2 + 4 + 8,
        {"i": 2, "i[0].k": 3, "i[1].k": 3},
        {"i": 3, "i[2].k": 1},
        [3, 3, 1],
    ),
    "subset": (
        "def net(first=1):\n"
        "    picked = list((first, 2))  # search: 1..2 of {1, 2, 3}\n"
        "    total = [0]\n"
        "    if 3 in picked:\n"
        "        extra = 5            # search: {5, 6}\n"
        "        total.append(extra)\n"
        "    return total\n",
        3 + 3 * 2,
        {"picked": (1, 2)},
        {"picked": (3,), "extra": 6},
        [0, 6],
    ),
    "order": (
        "def net(items=(2, 1, 3)):\n"
        "    order = sorted(items)    # search: order of {3, 1, 2}\n"
        "    total = [0]\n"
        "    if order[0] == 2:\n"
        "        extra = 5            # search: {5, 6}\n"
        "        total.append(extra)\n"
        "    return total\n",
        4 + 2 * 2,
        {"order": (1, 2, 3)},
        {"order": (2, 1, 3), "extra": 6},
        [0, 6],
    ),
    "one": (
        "def net(kind=2):\n"
        "    chosen = kind * 1        # search: {1, 2, 3}\n"
        "    if chosen == 3:\n"
        "        extra = 5            # search: {5, 6}\n"
        "        return extra\n"
        "    return chosen\n",
        4,
        {"chosen": 2},
        {"chosen": 3, "extra": 6},
        6,
    ),
    "behind a choice": (
        "def net(depth=2):\n"
        "    on = False               # search: {True, False}\n"
        "    count = 0\n"
        "    if on:\n"
        "        count = depth * 1    # search: 1..4\n"
        "    total = []\n"
        "    for i in range(count):\n"
        "        k = 3                # search: {1, 3}\n"
        "        total.append(k)\n"
        "    return total\n",
        1 + 2 + 4 + 8 + 16,
        {"on": False},
        {"on": True, "count": 1},
        [3],
    ),
    "choices inside what computes it": (
        "def own():\n"
        "    k = 3                    # search: {1, 3}\n"
        "    return k\n"
        "def net():\n"
        "    count = own()            # search: 1..4\n"
        "    return count\n",
        4,
        {"count": 3},
        {"count": 4},
        4,
    ),
}


@pytest.mark.parametrize("name", BY_VALUE)
def test_defaults_that_the_code_computes_are_varied(name: str, tmp_path: Path) -> None:
    text, size, default, given, result = BY_VALUE[name]
    path = tmp_path / "by_value.py"
    path.write_text(text)
    net = program(f"{path}:net")
    assert any(site.by_value for site in net.internals.source_set.sites)
    assert net.space.size == size
    assert dict(net.space.default) == default
    if name == "behind a choice":
        assert net.decision({"on": True})["count"] == 2
    assert net.build(given) == result
    for decision in net.space.enumerate():
        run = Run(decision, strict=True)
        execution.execute(net, run)
        assert {visit.address for visit in run.trace} == set(decision)
