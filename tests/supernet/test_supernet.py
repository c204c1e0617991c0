"""The first law of shared weights: under a decision the supernet computes what the standalone child does."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from real_models import CASES
from supernets import cases, law, supernet_of

import symnas
from symnas.errors import BuildError
from symnas.supernet.calibration import recalibrate
from symnas.supernet.supernet import Supernet


def small(tmp_path: Path, text: str, *, inputs: Any = None, **options: Any) -> Supernet:
    head = "import torch\nfrom torch import nn\n\n"
    (tmp_path / "net.py").write_text(head + dedent(text))
    made: Supernet = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=inputs).supernet(**options)
    return made


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("name", cases(CASES))
def test_it_computes_what_the_child_computes(name: str, traced: bool) -> None:
    before = torch.get_rng_state()
    net = supernet_of(name, traced, dtype=torch.float64)
    feed = tuple(x.double() if x.is_floating_point() else x for x in CASES[name].feed())
    assert torch.equal(torch.get_rng_state(), before)
    for turn, decision in enumerate(net.program.space.sample(2, np.random.default_rng(1))):
        law(net, decision, feed, training=bool(turn % 2))


NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 4  # search: {2, 4, 6}
        self.body = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU())
        # search: {one: nn.Linear(width, 4), two: nn.Linear(width, 4, bias=False)}
        self.op = nn.Linear(width, 4)
        self.register_buffer("scale", torch.arange(1.0, 1.0 + width))

    def forward(self, x):
        return self.op(self.body(x) * self.scale)
"""


def test_extracted_children_are_plain(tmp_path: Path) -> None:
    net = small(tmp_path, NET)
    child = net.extract({"width": 6})
    assert type(child) is type(net.program.build())
    for other in (pickle.loads(pickle.dumps(child)), copy.deepcopy(child)):
        assert torch.equal(other(torch.ones(2, 3)), child(torch.ones(2, 3)))
    child.load_state_dict(net.program.build({"width": 6}).state_dict())
    assert not {p.data_ptr() for p in child.parameters()} & {p.data_ptr() for p in net.parameters()}


def test_parameters_are_those_of_the_largest_children(tmp_path: Path) -> None:
    net = small(tmp_path, NET)
    assert {name: tuple(p.shape) for name, p in net.named_parameters()} == {
        "body[0]/weight": (6, 3), "body[0]/bias": (6,), "body[1]/weight": (6,), "body[1]/bias": (6,),
        "op:one/weight": (4, 6), "op:one/bias": (4,), "op:two/weight": (4, 6),
    }  # fmt: skip


def test_what_is_active_is_called(tmp_path: Path) -> None:
    net = small(tmp_path, NET).eval()
    x = torch.ones(2, 3)
    net.activate({"width": 2, "op": "two"})
    assert torch.equal(net(x), net.extract()(x))
    assert torch.equal(net(x), net(x, decision={"width": 2, "op": "two"}))
    assert net.active["op"] == "two"
    names = {id(p): name for name, p in net.named_parameters()}
    assert "op:two/weight" in {names[id(p)] for p in net.active_parameters()}
    assert "op:one/weight" not in {names[id(p)] for p in net.active_parameters()}


def test_state_saves_and_loads(tmp_path: Path) -> None:
    net = small(tmp_path, NET)
    net(torch.randn(8, 3), decision={"width": 6})
    other = net.program.supernet(seed=5)
    assert not torch.equal(other.extract().op.weight, net.extract().op.weight)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    x = torch.randn(4, 3)
    for decision in net.program.space.enumerate():
        for training in (True, False):
            one, two = (n.train(training)(x, decision=decision) for n in (net, other))
            assert torch.equal(one, two)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_apart(tmp_path: Path, copied: Any) -> None:
    net = small(tmp_path, NET)
    net(torch.randn(4, 3))
    other = copied(net)
    x = torch.randn(4, 3)
    assert torch.equal(other(x), net(x))
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert not torch.equal(other(x), net(x))


def test_weights_are_inherited_from_a_trained_child(tmp_path: Path) -> None:
    net = small(tmp_path, NET).eval()
    child = net.program.build({"width": 6}).eval()
    with torch.no_grad():
        for tensor in (*child.parameters(), child.body[1].running_mean, child.body[1].running_var):
            tensor.add_(1)
    net.inherit(child, {"width": 6})
    x = torch.randn(4, 3)
    assert torch.equal(net(x, decision={"width": 6}), child(x))
    narrow = net.extract({"width": 2})
    assert torch.equal(narrow.body[0].weight, child.body[0].weight[:2])
    assert torch.equal(narrow.body[1].running_var, child.body[1].running_var[:2])
    assert torch.equal(narrow.scale, torch.arange(1.0, 3.0))
    with pytest.raises(BuildError, match=r"'body\[0\].weight' is \(6, 3\) in this child and \(2, 3\)"):
        net.inherit(child, {"width": 2})


def test_a_decision_that_asks_for_more_grows_the_tensors(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            a = 2  # search: 1..4
            b = 2  # search: 1..4
            self.fc = nn.Linear(2, 6 * (a == 2) * (b == 3) + 1)
    """
    net = small(tmp_path, text)
    assert [tuple(p.shape) for p in net.parameters()] == [(1, 2), (1,)]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.follow(optimizer)
    torch.manual_seed(0)
    before = net.extract({"a": 1})
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    after = net.extract({"a": 1})
    kept = {name: value.clone() for name, value in after.state_dict().items()}
    assert not torch.equal(before.fc.weight, after.fc.weight)
    largest = net.extract({"a": 2, "b": 3})
    assert tuple(largest.fc.weight.shape) == (7, 2)
    assert torch.equal(largest.fc.weight[:1], kept["fc.weight"])
    assert largest.fc.weight.unique().numel() == 14
    momentum = [optimizer.state[p]["momentum_buffer"] for p in net.parameters()]
    assert [m.sum() for m in momentum] == [2, 1]
    assert [tuple(m.shape) for m in momentum] == [(7, 2), (7,)]
    assert torch.equal(net.extract({"a": 1}).fc.weight, kept["fc.weight"])


def test_one_place_holds_one_kind_of_tensor(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            flat = True  # search: {True, False}
            self.weight = nn.Parameter(torch.zeros((2,) if flat else (2, 2)))
    """
    with pytest.raises(
        BuildError, match=r"'weight' is \(2,\) .* under .*True.* and \(2, 2\) .* under .*False"
    ):
        small(tmp_path, text)


def test_weights_made_outside_are_refused(tmp_path: Path) -> None:
    text = """
    HEAD = nn.Linear(4, 4)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            width = 4  # search: {4, 8}
            self.head = HEAD
    """
    with pytest.raises(BuildError, match=r"head\.weight, head\.bias of Net were constructed outside"):
        small(tmp_path, text)


def test_it_moves_between_types_and_runs_under_autocast(tmp_path: Path) -> None:
    net = small(tmp_path, NET)
    x = torch.randn(4, 3)
    net(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(x).dtype == torch.bfloat16
    assert net.double()(x.double()).dtype == torch.float64
    assert net.extract()(x.double()).dtype == torch.float64
    net.activate({"width": 2})
    assert net(x.double()).dtype == torch.float64


CROSSED = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        a = 2  # search: {2, 3}
        self.a, self.b = nn.Linear(3, a), nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(a + 2)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(torch.cat([self.a(x), self.b(x)], 1)))
"""


@pytest.mark.parametrize("statistics", ["shared", "own"])
def test_statistics_are_computed_anew(tmp_path: Path, statistics: str) -> None:
    net = small(tmp_path, CROSSED, inputs=(torch.zeros(2, 3),), statistics=statistics)
    batches = [torch.randn(5, 3, generator=torch.Generator().manual_seed(turn)) for turn in range(3)]
    for width in (2, 3, 2):
        net(batches[0] * 9, decision={"a": width})
    recalibrate(net, batches, {"a": 2})
    child = net.extract({"a": 2})
    rows = [torch.cat([child.a(x), child.b(x)], 1) for x in batches]
    mean = torch.stack([row.mean(0) for row in rows]).mean(0)
    torch.testing.assert_close(child.norm.running_mean, mean.detach())
    variance = torch.stack([row.var(0) for row in rows]).mean(0)
    torch.testing.assert_close(child.norm.running_var, variance.detach())
    assert child.norm.momentum == 0.1
    assert net.training
    assert net.extract({"a": 2}).drop.training
    other = net.extract({"a": 3}).norm.running_mean
    kept = torch.equal(other[[0, 1, 3, 4]], child.norm.running_mean)
    assert kept == (statistics == "shared")
    child.norm.reset_running_stats()
    recalibrate(child, [(batch,) for batch in batches])
    torch.testing.assert_close(child.norm.running_mean, mean.detach())


TOKENS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        pool = "cls"  # search: {"cls", "mean"}
        heads = 3  # search: {1, 2, 3}
        width = 8  # search: {4, 8}
        if width == 4 and heads == 3:
            raise ValueError("no heads of whole width")
        self.token = nn.Parameter(torch.randn(1 if pool == "cls" else 0, width))
        self.head = nn.Linear(width, 2)
        self.stretch = nn.Linear(3, width)

    def forward(self, x):
        return self.head(torch.cat([self.token, self.stretch(x)]).mean(0))
"""


def test_children_that_cannot_be_built_are_left_out_and_parameters_may_have_no_rows(tmp_path: Path) -> None:
    (tmp_path / "tokens.py").write_text("import torch\nfrom torch import nn\n" + TOKENS)
    target = symnas.program(f"{tmp_path / 'tokens.py'}:Net", inputs=torch.randn(5, 3))
    with pytest.warns(UserWarning, match=r"(?s)cannot be built; .*no heads of whole width"):
        net = target.supernet()
    assert any("heads=3" in note for note in net.notes)
    for decision in ({}, {"pool": "mean"}, {"pool": "mean", "width": 4, "heads": 1}):
        x = torch.randn(5, 3)
        assert torch.equal(net(x, decision=decision), net.extract(decision)(x))
    with pytest.raises(BuildError, match="no heads of whole width"):
        net(x, decision={"heads": 3, "width": 4})
