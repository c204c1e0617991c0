"""Decisions among modules are switches in one model: the same children as those that are built one by one."""

from __future__ import annotations

import copy
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symnas
from symnas.supernet.calibration import recalibrate
from symnas.supernet.supernet import Supernet
from symnas.supernet.switching import SwitchedModel

CELLS = """
def conv(c, k):
    return nn.Sequential(nn.Conv1d(c, c, k, padding=k // 2), nn.BatchNorm1d(c), nn.ReLU())


class Cell(nn.Module):
    def __init__(self, c):
        super().__init__()
        # search: {conv(c, 1), conv(c, 3), nn.Identity(), nn.AvgPool1d(3, 1, 1)}
        self.op = conv(c, 3)
        # search: {one: nn.Sequential(nn.Linear(4, 4), inner()), two: nn.Linear(4, 4, bias=False)}
        self.mix = nn.Linear(4, 4, bias=False)

    def forward(self, x):
        # Looking at the module that was chosen is fine here: it is the candidate itself that stands there.
        y = x if isinstance(self.op, nn.Identity) else x + self.op(x)
        return self.mix(y)


def inner():
    act = nn.Tanh()  # search: {nn.Tanh(), nn.PReLU(), nn.LayerNorm(4)}
    return act


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        c = 3  # WIDTH
        self.stem = nn.Conv1d(2, c, 1)
        self.cells = nn.ModuleList()
        for turn in range(2):
            cell = Cell(c)
            self.cells.append(cell)
        norm = nn.BatchNorm1d  # search: {nn.BatchNorm1d, nn.InstanceNorm1d}
        self.norm = norm(c)
        self.register_buffer("table", torch.linspace(0, 1, 4))

    def forward(self, x):
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x + self.table)
        return self.norm(x).mean(1)
"""
X = torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(0))


def supernet(tmp_path: Path, text: str, **options: Any) -> Supernet:
    (tmp_path / "net.py").write_text("import torch\nfrom torch import nn\n\n" + dedent(text))
    made: Supernet = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=(X,)).supernet(**options)
    return made


def one_by_one(net: Supernet) -> Supernet:
    """Return a copy that knows of no model to switch in."""
    made = copy.deepcopy(net)
    made._models._opened = frozenset()
    return made


def switched(net: Supernet, decision: Any) -> bool:
    return isinstance(net._bound(net.program.decision(decision)), SwitchedModel)


def equal_steps(net: Supernet, decisions: Any) -> None:
    """Train both ways, and compare all that there is."""
    other = one_by_one(net)
    pair = (net, other)
    for turn, decision in enumerate(decisions):
        results, used = [], []
        for each in pair:
            each.train(turn % 3 > 0).zero_grad()
            results.append(each(X.clone().requires_grad_(), decision=decision))
            results[-1].square().sum().backward()
            names = {id(p): name for name, p in each.named_parameters()}
            used.append({names[id(p)] for p in each.active_parameters(decision)})
        assert torch.equal(*results)
        assert used[0] == used[1]
        for (name, mine), theirs in zip(net.named_parameters(), other.parameters(), strict=True):
            assert (mine.grad is None) == (theirs.grad is None), name
            assert mine.grad is None or torch.equal(mine.grad, theirs.grad)
        for each in pair:
            for p in each.parameters():
                if p.grad is not None:
                    p.data -= 0.1 * p.grad
        mine, theirs = (each.extract(decision).state_dict() for each in pair)
        assert list(mine) == list(theirs)
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    states = [each.state_dict() for each in pair]
    assert all(torch.equal(states[0][key], states[1][key]) for key in dict(net.named_parameters()))


@pytest.mark.parametrize("statistics", ["shared", "own"])
def test_switching_is_building(tmp_path: Path, statistics: Any) -> None:
    net = supernet(tmp_path, CELLS, statistics=statistics)
    decisions = net.program.space.sample(12, np.random.default_rng(0))
    assert switched(net, decisions[0])
    assert not switched(one_by_one(net), decisions[0])
    assert not net.notes
    equal_steps(net, decisions)
    with net.child(decisions[3]) as child:
        known = dict(net.extract(decisions[3]).named_modules())
    assert [type(module) for module in child.modules()] == [type(module) for module in known.values()]
    net.inherit(net.program.build(decisions[4]), decisions[4])
    recalibrate(net, [X], decisions[4])


def test_values_are_fixed_where_they_come_up_often(tmp_path: Path) -> None:
    net = supernet(tmp_path, CELLS.replace("# WIDTH", "# search: {2, 3, 5}"))
    rng = np.random.default_rng(0)
    decisions = [
        d.replace({"c": width}) for width in (3, 5, 2, 3, 5) for d in net.program.space.sample(4, rng)
    ]
    equal_steps(net, decisions)
    for width in (2, 3, 5):
        assert switched(net, decisions[0].replace({"c": width}))
    assert not net.notes
    other = one_by_one(net)
    optimizers = [each.optimizer(lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)) for each in (net, other)]
    for decision in decisions[:6]:
        for each, optimizer in zip((net, other), optimizers, strict=True):
            optimizer.zero_grad()
            each(X, decision=decision).square().sum().backward()
            optimizer.step()
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_two_children_at_once_are_two(tmp_path: Path) -> None:
    net = supernet(tmp_path, CELLS).eval()
    one, two = net.program.space.sample(2, np.random.default_rng(1))
    expected = net.extract(one)(X), net.extract(two)(X)
    with net.child(one) as first, net.child(two) as second:
        assert first is not second
        assert torch.equal(first(X), expected[0])
        assert torch.equal(second(X), expected[1])
        assert torch.equal(net.extract(two)(X), expected[1])
        assert torch.equal(first(X), expected[0])


LOOKING = {
    "class": ("self.kind = isinstance(self.op, nn.Linear)", "kind"),
    "width": ("self.wide = getattr(self.op, 'out_features', 0)", "wide"),
    "list": ("self.ops = [self.op]", "ops"),
    "random": ("self.register_buffer('noise', torch.rand(3))", "noise"),
    "count": ("self.count = len(list(self.op.parameters()))", "count"),
}


@pytest.mark.parametrize("name", sorted(LOOKING))
def test_programs_that_look_at_what_was_chosen_are_built_one_by_one(name: str, tmp_path: Path) -> None:
    line, where = LOOKING[name]
    text = f"""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.op = nn.Linear(4, 4)  # search: {{nn.Linear(4, 4), nn.Conv1d(2, 2, 1), nn.Identity()}}
            {line}

        def forward(self, x):
            return self.op(x) * (2 if getattr(self, "kind", False) else 3)
    """
    net = supernet(tmp_path, text)
    decisions = list(net.program.space.enumerate())
    equal_steps(net, decisions)
    assert not switched(net, decisions[0])
    assert any("one by one" in note and any(w in note for w in where.split("|")) for note in net.notes), (
        net.notes
    )


def test_a_candidate_that_is_a_choice_itself(tmp_path: Path) -> None:
    text = """
    def inner():
        op = nn.Linear(4, 4)  # search: {a: nn.Linear(4, 4), b: nn.Sequential(nn.Linear(4, 4), nn.Tanh())}
        return op

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            # search: {none: nn.Identity(), some: inner(), more: nn.Sequential(inner(), inner())}
            self.op = nn.Identity()
            self.again = self.op

        def forward(self, x):
            return self.again(self.op(x))
    """
    net = supernet(tmp_path, text)
    decisions = net.program.space.sample(16, np.random.default_rng(0))
    equal_steps(net, decisions)
    assert switched(net, decisions[0])


def test_modes_are_set_for_all_candidates(tmp_path: Path) -> None:
    text = """
    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.op = nn.Dropout(0.5)  # search: {nn.Dropout(0.5), nn.BatchNorm1d(2), Frozen(2)}

        def forward(self, x):
            return self.op(x)
    """
    net = supernet(tmp_path, text)
    decisions = list(net.program.space.enumerate())
    for mode in (True, False, True):
        net.train(mode)
        for decision in decisions:
            assert switched(net, decision)
            with net.child(decision) as child:
                assert child.op.training == (mode and type(child.op).__name__ != "Frozen")
                assert type(child.op) is type(net.program.build(decision).op)
                assert isinstance(child, nn.Module)
