"""Saved supernets load into others of their program, whatever those have grown to."""

from __future__ import annotations

import copy
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import nn

import symnas
from symnas.errors import BuildError
from symnas.supernet.supernet import Supernet

# Sizes that no decision which is asked first shows: each pair of decisions asks for rows of its own.
GROWING = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        a = 2  # search: 1..4
        b = 2  # search: 1..4
        extra = 3 * (a == 2) * (b == 3) + 5 * (a == 3) * (b == 2)
        self.first = nn.Linear(3, 2)
        self.second = nn.Linear(3, extra + 1)
        self.norm = nn.BatchNorm1d(3 + extra)
        self.last = nn.Linear(3 + extra, 2) if extra != 5 else nn.Sequential(nn.Linear(3 + extra, 2))

    def forward(self, x):
        return self.last(self.norm(torch.cat([self.first(x), self.second(x)], -1)))
"""
LARGE, LARGER = {"a": 2, "b": 3}, {"a": 3, "b": 2}
X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


def made(tmp_path: Path, text: str, **options: Any) -> Supernet:
    (tmp_path / "net.py").write_text("import torch\nfrom torch import nn\n\n" + dedent(text))
    net: Supernet = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=(X,)).supernet(**options)
    return net


@pytest.fixture
def grown(tmp_path: Path) -> tuple[Supernet, Supernet]:
    """Return two supernets, each of which has met another decision that asked for more."""
    first = made(tmp_path, GROWING)
    second = first.program.supernet(seed=5)
    assert tuple(first._parameters["second/weight"].shape) == (1, 3)
    first(X, decision=LARGE)
    second(X, decision=LARGER)
    return first, second


def same(one: Supernet, other: Supernet, decisions: Any) -> bool:
    states = [[net.extract(d).state_dict() for d in decisions] for net in (one, other)]
    return all(torch.equal(a[key], b[key]) for a, b in zip(*states, strict=True) for key in {**a, **b})


def test_a_state_loads_into_a_supernet_that_has_grown_differently(
    grown: tuple[Supernet, Supernet], tmp_path: Path
) -> None:
    first, second = grown
    decisions = [{}, LARGE, {"a": 4, "b": 1}]
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    kept = second.extract(LARGER)
    assert not same(first, second, decisions[:1])
    second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert same(first, second, decisions)
    for net in grown:
        net.eval()
    for decision in decisions:
        assert torch.equal(first(X, decision=decision), second(X, decision=decision))
    # What the state does not hold has stayed: the rows that only the other's decision asks for.
    after = second.extract(LARGER)
    assert torch.equal(after.second.weight[4:], kept.second.weight[4:])
    assert torch.equal(after.second.weight[:4], first.extract(LARGE).second.weight)
    assert torch.equal(after.last[0].weight, kept.last[0].weight)


def test_a_fresh_supernet_takes_the_shapes_of_the_state(grown: tuple[Supernet, Supernet]) -> None:
    first, _ = grown
    fresh = first.program.supernet(seed=7)
    fresh.load_state_dict(first.state_dict())
    assert {n: p.shape for n, p in fresh.named_parameters()} == {
        n: p.shape for n, p in first.named_parameters()
    }
    for one, other in zip(first.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, other)
    inside = nn.ModuleDict({"net": first.program.supernet(seed=8)})
    inside.load_state_dict({f"net.{name}": value for name, value in first.state_dict().items()})
    assert same(first, inside["net"], [{}, LARGE])


def test_optimisers_go_along(grown: tuple[Supernet, Supernet]) -> None:
    """Trained on after loading, both supernets stay equal, moments included."""
    optimizers = [net.optimizer(lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)) for net in grown]
    for net, optimizer in zip(grown, optimizers, strict=True):
        net(X, decision={}).sum().backward()
        optimizer.step()
    grown[1].load_state_dict(grown[0].state_dict())
    momentum = optimizers[1].state[grown[1]._parameters["second/weight"]]["momentum_buffer"]
    assert tuple(momentum.shape) == tuple(grown[1]._parameters["second/weight"].shape)
    optimizers[0].zero_grad()
    optimizers[1].zero_grad()
    for net, optimizer in zip(grown, optimizers, strict=True):
        net(X, decision=LARGE).square().sum().backward()
        optimizer.step()
    one, other = (net.extract(LARGE).second.weight for net in grown)
    assert torch.equal(one[1:], other[1:])


def test_each_childs_own_statistics_are_saved(tmp_path: Path) -> None:
    first = made(tmp_path, GROWING, statistics="own")
    for decision in ({}, LARGE):
        first(X, decision=decision)
    second = first.program.supernet(statistics="own", seed=3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    first(X * 2, decision={})
    fresh = first.program.supernet(statistics="own", seed=4)
    fresh.load_state_dict(first.state_dict())
    assert same(first, fresh, [{}, LARGE])
    assert not same(first, second, [{}])
    assert same(first, second, [LARGE])


def test_states_of_other_programs_are_refused(tmp_path: Path) -> None:
    net = made(tmp_path, GROWING)
    (tmp_path / "other").mkdir()
    other = made(tmp_path / "other", GROWING.replace("5 *", "4 *"))
    with pytest.raises(BuildError, match=r"these were saved from another than Net .*strict=False"):
        other.load_state_dict(net.state_dict())
    other.load_state_dict(net.state_dict(), strict=False)
    assert same(net, other, [{}, LARGE])
    (tmp_path / "third").mkdir()
    third = made(
        tmp_path / "third",
        GROWING.replace("first = nn.Linear(3, 2)", "first = nn.Conv1d(3, 2, 1)").replace(
            "self.first(x)", "self.first(x[:, :, None])[:, :, 0]"
        ),
    )
    with pytest.raises(BuildError, match=r"'first\.weight' has 3 dimensions in Net and 2 in what was saved"):
        third.load_state_dict(net.state_dict(), strict=False)
    state = net.state_dict()
    del state["_extra_state"]
    with pytest.raises(RuntimeError, match="_extra_state"):
        net.load_state_dict(state)


def test_positions_that_a_later_decision_uses_move_along(tmp_path: Path) -> None:
    """A decision that fits without growing keeps its weights when another one makes the tensors grow."""
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            a = 2  # search: 1..6
            b = 2  # search: 1..6
            rows, columns = (4, 1) if (a, b) == (2, 3) else (1, 4) if (a, b) == (3, 2) else (1, 1)
            rows, columns = (4, 4) if (a, b) == (3, 4) else (6, 6) if (a, b) == (4, 3) else (rows, columns)
            self.columns, self.fc = columns, nn.Linear(columns, rows)

        def forward(self, x):
            return self.fc(x.repeat(1, 2)[:, : self.columns])
    """
    net = made(tmp_path, text)
    for decision in ({"a": 2, "b": 3}, {"a": 3, "b": 2}, {"a": 3, "b": 4}):
        net(X, decision=decision)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.uniform_()
    before = net.extract({"a": 3, "b": 4})
    net(X, decision={"a": 4, "b": 3})
    assert torch.equal(before.fc.weight, net.extract({"a": 3, "b": 4}).fc.weight)


def test_tensors_grow_while_graphs_of_smaller_ones_are_held(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            a = 2  # search: 2..5
            b = 2  # search: 2..5
            self.a = nn.Linear(3, a + (4 if (a, b) == (4, 2) else 0))
            self.b = nn.Linear(3, b)
            self.last = nn.Linear(self.a.out_features + b, 2)

        def forward(self, x):
            return self.last(torch.cat([self.a(x), self.b(x)], -1))
    """
    net = made(tmp_path, text)
    held = net(X, decision={"a": 2, "b": 3})
    before = tuple(net._parameters["last/weight"].shape)
    for decision in ({"a": 4, "b": 2}, {"a": 2, "b": 3}):
        child = net.extract(decision)
        for each in (child, lambda x: net(x, decision=decision)):  # noqa: B023
            each(X).square().sum().backward()
        total = sum(float(p.grad.abs().sum()) for p in child.parameters())
        ours = sum(float(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None)
        assert ours == pytest.approx(total, rel=1e-5)
        net.zero_grad()
    assert tuple(net._parameters["last/weight"].shape) > before
    assert held.requires_grad
