"""Modules and tensors among arguments: every child has copies, and shared weights begin as they are."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import symnas
from symnas.errors import BuildError


class Net(nn.Module):
    def __init__(self, backbone, head=None):
        super().__init__()
        self.backbone = backbone
        act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}
        width = 8  # search: {4, 8}
        self.head = nn.Sequential(nn.Linear(4, width), act, nn.Linear(width, 4))
        self.last = head or nn.Identity()

    def forward(self, x):
        return self.last(self.head(self.backbone(x)))


class Wrapped(nn.Module):
    def __init__(self, body, others=()):
        super().__init__()
        drop = nn.Identity()  # search: {nn.Identity(), nn.ReLU()}
        self.body = nn.Sequential(body, drop, nn.Linear(4, 4))
        self.others = nn.ModuleList(others)

    def forward(self, x):
        x = self.body(x)
        for other in self.others:
            x = x + other(x)
        return x


class Called(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.body = settings["body"]
        self.table = nn.Parameter(settings["table"])

    def forward(self, x):
        return self.body(x) + self.table  # search: {self.body(x) + self.table, self.body(x)}


class Reads(nn.Module):
    def __init__(self, given):
        super().__init__()
        act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}
        self.body = nn.Sequential(given.body, act)

    def forward(self, x):
        return self.body(x)


class Made(nn.Module):
    def __init__(self, make):
        super().__init__()
        act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}
        self.body = nn.Sequential(make(), act)

    def forward(self, x):
        return self.body(x)


@dataclass
class Settings:
    body: nn.Module = field(default_factory=lambda: nn.Linear(4, 4))
    width: int = 3


class Pair(NamedTuple):
    body: nn.Module
    width: int = 3


X = torch.linspace(-1, 1, 12).view(3, 4)


def body() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    made[0].bias.requires_grad_(False)
    return made


def identity(module: nn.Module) -> nn.Module:
    return module


PROGRAMS = {
    "keyword": lambda given: symnas.program(Net, backbone=given, inputs=X),
    "position": lambda given: symnas.program(Net, given, inputs=X),
    "list": lambda given: symnas.program(Wrapped, body(), [given, nn.Linear(4, 4)], inputs=X),
    "place of its name": lambda given: symnas.program(Wrapped, given, inputs=X),
    "dict and tensor": lambda given: symnas.program(
        Called, {"body": given, "table": torch.ones(4)}, inputs=X
    ),
    "dataclass": lambda given: symnas.program(Reads, Settings(given), inputs=X),
    "named tuple": lambda given: symnas.program(Reads, Pair(given), inputs=X),
    "namespace": lambda given: symnas.program(Reads, SimpleNamespace(body=given), inputs=X),
    "partial": lambda given: symnas.program(Made, partial(identity, given), inputs=X),
}


def spent(child: nn.Module) -> nn.Module:
    """Train a child in place for a step."""
    with torch.no_grad():
        for tensor in child.parameters():
            tensor.add_(1.0)
        child(X)
    return child


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_is_done_to_a_child_reaches_neither_the_argument_nor_the_next_child(kind: str) -> None:
    given = body()
    before = copy.deepcopy(given.state_dict())
    program = PROGRAMS[kind](given)
    decision = program.space.sample(1, 0)[0]
    torch.manual_seed(1)
    first = program.build(decision)
    state = copy.deepcopy(first.state_dict())
    spent(first)
    torch.manual_seed(1)
    second = program.build(decision)
    assert all(torch.equal(value, state[name]) for name, value in second.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())


@pytest.mark.parametrize("kind", ["list", "dict and tensor", "named tuple"])
def test_shared_weights_begin_as_the_given_module_and_frozen_ones_stay_frozen(kind: str) -> None:
    given = body()
    net = PROGRAMS[kind](given).supernet()
    equal = [n for n, p in net.named_parameters() if p.shape == (4, 4) and torch.equal(p, given[0].weight)]
    frozen = [name for name, tensor in net.named_parameters() if not tensor.requires_grad]
    assert equal
    assert len(frozen) >= 1
    assert all(torch.equal(dict(net.named_parameters())[name], given[0].bias) for name in frozen[:1])
    decision = net.program.space.sample(3, 0)[2]
    child = net.extract(decision).eval()
    net.activate(decision)
    net.eval()
    assert torch.allclose(net(X), child(X))
    net.train()
    spent(net.extract(decision))
    assert torch.equal(dict(net.named_parameters())[equal[0]], given[0].weight)


@pytest.mark.parametrize("kind", ["list", "dataclass"])
def test_relaxed_networks_hold_copies(kind: str) -> None:
    given = body()
    relaxed = PROGRAMS[kind](given).relaxed()
    held = {id(tensor) for tensor in relaxed.parameters()}
    assert held.isdisjoint(map(id, given.parameters()))
    assert any(p.shape == (4, 4) and torch.equal(p, given[0].weight) for p in relaxed.parameters())


def test_keys_are_the_paths_of_arguments() -> None:
    net = symnas.program(Net, backbone=nn.Linear(4, 4), inputs=X).supernet()
    assert "backbone/weight" in dict(net.named_parameters())
    net = symnas.program(Wrapped, nn.Linear(4, 4), [nn.Linear(4, 4)], inputs=X).supernet()
    assert {"(body)/weight", "body[2]/weight", "(others)[0]/weight"} <= set(dict(net.named_parameters()))


def test_what_two_arguments_share_their_copies_share() -> None:
    given = nn.Linear(4, 4)
    child = symnas.program(Net, given, head=given, inputs=X).build()
    assert child.backbone is child.last
    assert child.backbone is not given


def test_fingerprints_follow_weights_and_survive_pickling() -> None:
    program = symnas.program(Net, body(), inputs=X)
    again = pickle.loads(pickle.dumps(program))
    assert again.fingerprint == program.fingerprint
    other = body()
    other[0].weight.data[0, 0] += 1
    assert symnas.program(Net, other, inputs=X).fingerprint != program.fingerprint
    other = body()
    other[0].bias.requires_grad_(True)
    assert symnas.program(Net, other, inputs=X).fingerprint != program.fingerprint


def test_a_search_twice_gives_the_same_numbers() -> None:
    program = symnas.program(Net, body(), inputs=X)

    def score(child: Any) -> float:
        optimizer = torch.optim.SGD([p for p in child.parameters() if p.requires_grad], 0.1)
        for _ in range(2):
            loss = (child(X) - X).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return -float(loss.detach())

    runs = [symnas.search(program, score, trials=4, algorithm="random", seed=0) for _ in range(2)]
    assert [t.values for t in runs[0].trials] == [t.values for t in runs[1].trials]


def test_an_argument_that_cannot_be_copied_is_named() -> None:
    given = nn.Linear(4, 4)
    given.held = (given.weight * 2).sum()  # a tensor with a history
    with pytest.raises(BuildError, match=r"argument 'backbone', a Linear, cannot be.*give a function"):
        symnas.program(Net, given, inputs=X).build()
