"""The third law of shared weights: a one-hot relaxation computes what the child computes."""

from __future__ import annotations

import ast
import copy
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from relaxed_law import law

import symnas
from symnas.errors import DecisionError, ProgramError
from symnas.relaxed.network import Relaxed

IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def program(tmp_path: Path, text: str, inputs: Any = ROWS, name: str = "net") -> Any:
    (tmp_path / f"{name}.py").write_text("import torch\nfrom torch import nn\n\n" + dedent(text))
    return symnas.program(f"{tmp_path / f'{name}.py'}:Net", inputs=inputs)


def relaxed(tmp_path: Path, text: str, inputs: Any = ROWS, **options: Any) -> Relaxed:
    made: Relaxed = program(tmp_path, text, inputs).relaxed(dtype=torch.float64, **options)
    return made


CELLS = """
class Zero(nn.Module):
    def forward(self, x):
        return x * 0.0

def conv(c):
    # search: {bn: nn.BatchNorm2d(c), gn: nn.GroupNorm(1, c)} as norm
    norm = nn.BatchNorm2d(c)
    return nn.Sequential(nn.Conv2d(c, c, 3, padding=1), norm)

class Edge(nn.Module):
    def __init__(self, source, c):
        super().__init__()
        self.source = source
        # search: {none: Zero(), skip: nn.Identity(), conv: conv(c), pool: nn.MaxPool2d(3, 1, 1)}
        self.op = Zero()

    def forward(self, x):
        return self.op(x)

class Cell(nn.Module):
    def __init__(self, c):
        super().__init__()
        # search: 2 of {Edge(0, c) , Edge(1, c), Edge(2, c)} as edges
        edges = [Edge(0, c), Edge(1, c)]
        self.edges = nn.ModuleList(edges)

    def forward(self, states):
        return sum(edge(states[edge.source]) for edge in self.edges)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        c = 4  # search: {4, 8}
        self.stem = nn.Conv2d(3, c, 1)
        self.cell = Cell(c)
        acts = []
        for turn in range(2):
            make = nn.ReLU  # search: {nn.ReLU, nn.GELU, nn.Tanh} as act shared
            acts.append(make())
        self.acts = nn.ModuleList(acts)

    def forward(self, x):
        x = self.stem(x)
        return self.acts[1](self.cell([x, self.acts[0](x), x + 1.0]))
"""


@pytest.mark.parametrize("sparse", [False, True])
def test_one_hot_is_the_child(tmp_path: Path, sparse: bool) -> None:
    net = relaxed(tmp_path, CELLS, IMAGES, freeze={"c": 4})
    for decision in net.space.sample(8, np.random.default_rng(0)):
        law(net, decision, (IMAGES.double(),), sparse)


FORWARD = """
class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.b = nn.Linear(c, c), nn.Linear(c, c)

    def forward(self, x):
        # search: {self.a(x), torch.tanh({self.b(x), x}), x} as y
        y = self.a(x)
        act = torch.relu  # search: {torch.relu, torch.sigmoid}
        return act(y) + x

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(3, 3)
        self.blocks = nn.ModuleList([Block(3) for _ in range(2)])
        # search: {Block(3), nn.Linear(3, 3)}
        self.op = Block(3)

    def forward(self, x):
        x = self.stem(x)
        scale = 1.0  # search: {1.0, 2.0}
        for block in self.blocks:
            x = block(x)
        pair = (x, -x)  # search: {(x, -x), (x * 2, x + 1)}
        return scale * self.op(pair[0]) + pair[1]
"""


@pytest.mark.parametrize("checkpoint", [False, True])
def test_tensors_in_forward_are_added_up(tmp_path: Path, checkpoint: bool) -> None:
    with pytest.raises(ProgramError, match=r"net.py:26.*\n.*\n.*'scale' is a choice among values"):
        relaxed(tmp_path, FORWARD)
    net = relaxed(tmp_path, FORWARD, freeze={"scale": 2.0}, checkpoint=checkpoint)
    under = {point.address: point.under for point in net.points}
    assert under["op.y"] == ("op", 0)
    assert under["blocks[0].y"] is None
    nested = next(address for address in under if address.startswith("blocks[1].y:"))
    assert under[nested] == ("blocks[1].y", 1)
    for decision in net.space.sample(8, np.random.default_rng(0)):
        law(net, decision, (ROWS.double(),))


REST = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 3)
        self.op = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}
        self.k = 3  # search: {3, 5}
        # search: {on: True, off: False}
        flag = True
        if flag:
            s = 2.0  # search: {1.0, 2.0}
            self.k = self.k * s

    def forward(self, x):
        return self.op(self.body(x)) * self.k
"""


def test_all_that_cannot_be_mixed_is_named_with_one_freeze_for_it(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"so are .*freeze what is no mixture") as raised:
        relaxed(tmp_path, REST)
    told = str(raised.value)
    found = re.search(r"program\.relaxed\(freeze=(\{.*?\})\)", told)
    assert found is not None
    frozen = ast.literal_eval(found[1])
    assert all(repr(address) in told for address in frozen)
    net = relaxed(tmp_path, REST, freeze=frozen)
    assert [point.address for point in net.points] == ["op"]


def test_the_rest_can_be_frozen_by_one_word(tmp_path: Path) -> None:
    net = relaxed(tmp_path, REST, freeze="rest")
    assert [point.address for point in net.points] == ["op"]
    for decision in net.space.sample(3, np.random.default_rng(0)):
        law(net, decision, (ROWS.double(),))
    with pytest.raises(
        DecisionError, match="freeze is a mapping of addresses to values, or 'rest', got 'all'"
    ):
        relaxed(tmp_path, REST, freeze="all")


def test_copies_do_not_run_the_script_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = program(tmp_path, "print('run')\n" + dedent(REST))
    net = target.relaxed(freeze="rest")
    capsys.readouterr()
    average = torch.optim.swa_utils.AveragedModel(net)
    for other in (copy.deepcopy(net), average):
        assert torch.equal(other(ROWS), net(ROWS))
    with torch.no_grad():
        net.model.body.weight += 1
    average.update_parameters(net)
    average.update_parameters(net)
    assert copy.deepcopy(target) is target
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_full_graphs_compute_what_the_network_does(tmp_path: Path) -> None:
    net = relaxed(tmp_path, CELLS, IMAGES, freeze={"c": 4}).train()
    x, compiled = IMAGES.double(), torch.compile(copy.deepcopy(net), fullgraph=True, backend="aot_eager")
    for _ in range(2):  # two weights, one graph
        with torch.no_grad():
            for logits, others in zip(net._logits, compiled._logits, strict=True):
                logits += torch.randn_like(logits)
                others.copy_(logits)
        grads = []
        for each in (net, compiled):
            each.zero_grad()
            out = each(x)
            out.square().sum().backward()
            own = net if each is net else compiled._orig_mod
            grads.append([out.detach(), *(p.grad for p in own.parameters() if p.grad is not None)])
        assert len(grads[0]) == len(grads[1])
        for mine, other in zip(*grads, strict=True):
            torch.testing.assert_close(mine, other)
