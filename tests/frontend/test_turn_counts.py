"""A loop in `forward` has a point per turn where its turns are known ahead; else it asks for `shared`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

import symnas
from symnas.errors import ProgramError

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.n, self.cache = n, None
        self.lins = nn.ModuleList([nn.Linear(4, 4) for _ in range(n)])
        self.table = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})

    def forward(self, x, ys=()):
BODY
        return x

    def count(self):
        return self.n

    def size_of(self, x):
        return x.shape[0]

    def many(self, x, n):
        for i in range(n):
            x = x + 1  # search: {x + 1, x}
        return x

    def one(self, x):
        return x + 1  # search: {x + 1, x}
"""
KNOWN = {
    "range(3)": "for i in range(3):\n    x = x + 1  # search: {x + 1, x}",
    "attribute": "for i in range(self.n):\n    x = x + 1  # search: {x + 1, x}",
    "modules": "for lin in self.lins:\n    x = x + lin(x)  # search: {x + lin(x), lin(x)}",
    "sliced": "for lin in self.lins[:2]:\n    x = x + lin(x)  # search: {x + lin(x), lin(x)}",
    "enumerate": "for i, lin in enumerate(self.lins):\n    x = x + lin(x) * i  # search: {x + lin(x) * i, x}",
    "dictionary": "for key, lin in self.table.items():\n    x = x + lin(x)  # search: {x + lin(x), lin(x)}",
    "zip with data": "for lin, y in zip(self.lins, x):\n    x = x + lin(y)  # search: {x + lin(y), x}",
    "len": "for i in range(len(self.lins)):\n    x = x + 1  # search: {x + 1, x}",
    "a list of data": "for y in [x, x + 1, x + 2]:\n    x = x + y  # search: {x + y, y}",
    "grown": "kept = []\nfor lin in self.lins:\n    kept.append(lin(x))\n"
    "for y in kept:\n    x = x + y  # search: {x + y, y}",
    "chunk": "for y in x.chunk(2, dim=1):\n    x = x + y.sum()  # search: {x + y.sum(), x}",
    "while": "i = 0\nwhile i < 3:\n    x = x + 1  # search: {x + 1, x}\n    i += 1",
    "comprehension": "x = sum([x + i  # search: {x + i, x}\n    for i in range(3)])",
    "helper": "x = self.many(x, self.count())",
    "called in a loop": "for i in range(3):\n    x = self.one(x)",
    "branch without end": "for i in range(3):\n    if x.dim() > 9:\n        pass\n"
    "    x = x + 1  # search: {x + 1, x}",
}
UNKNOWN = {
    "shape": "for i in range(x.shape[0]):\n    x = x + 1  # search: {x + 1, x}",
    "items": "for y in x:\n    x = x + y  # search: {x + y, x}",
    "through a name": "n = x.size(0)\nm = n + 1\nfor i in range(m):\n    x = x + 1  # search: {x + 1, x}",
    "len of data": "for i in range(len(x)):\n    x = x + 1  # search: {x + 1, x}",
    "unpacked": "b, c = x.shape\nfor i in range(b):\n    x = x + 1  # search: {x + 1, x}",
    "grown by data": "kept = []\nfor y in x:\n    kept.append(y)\n"
    "for y in kept:\n    x = x + y  # search: {x + y, x}",
    "kept": "self.cache = x\nfor i in range(self.cache.shape[0]):\n    x = x + 1  # search: {x + 1, x}",
    "returned": "for i in range(self.size_of(x)):\n    x = x + 1  # search: {x + 1, x}",
    "passed": "x = self.many(x, len(x))",
    "called in a loop": "for y in x:\n    x = self.one(x)",
    "ends early": "for i in range(3):\n    x = x + 1  # search: {x + 1, x}\n"
    "    if x.shape[0] > 9:\n        break",
    "while": "i = 0\nwhile i < x.shape[0]:\n    x = x + 1  # search: {x + 1, x}\n    i += 1",
    "comprehension": "x = sum([y + 1  # search: {y + 1, y}\n    for y in x])",
    "split": "for y in torch.split(x, 1):\n    x = x + y  # search: {x + y, x}",
    "closure": "def step(z):\n    for y in x:\n        z = z + y  # search: {z + y, z}\n    return z\n"
    "x = step(x)",
}


def _program(folder: Path, body: str, after: str = "") -> Any:
    text = MODEL.replace("BODY", textwrap.indent(body, " " * 8)).replace("}\n", f"}}{after}\n")
    (folder / "looping.py").write_text(text)
    return symnas.program(f"{folder / 'looping.py'}:Net", inputs=torch.ones(2, 4))


@pytest.mark.parametrize("name", KNOWN)
def test_a_loop_of_known_turns_has_a_point_per_turn(name: str, tmp_path: Path) -> None:
    made = _program(tmp_path, KNOWN[name])
    turns = 2 if name in ("sliced", "dictionary", "zip with data", "chunk") else 3
    assert made.space.size == 2**turns, made.space
    for decision in made.sample(2, 0):
        child = made.build(decision).eval()
        namespace: dict[str, Any] = {}
        exec(made.source(decision), namespace)
        written = namespace["Net"]()
        written.load_state_dict(child.state_dict())
        x = torch.randn(2, 4)
        assert torch.equal(written(x), child(x))


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_loop_of_data_asks_for_shared(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"a choice in a loop is one for each turn.*`shared`"):
        _ = _program(tmp_path, UNKNOWN[name]).space
    assert _program(tmp_path, UNKNOWN[name], " shared").space.size == 2
