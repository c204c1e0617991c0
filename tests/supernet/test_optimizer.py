"""Optimiser steps on the slices in use: what is computed is the child's own step, and nothing else moves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import symnas
from symnas.errors import BuildError
from symnas.supernet.supernet import Supernet

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        a = 2  # search: {2, 3, 5}
        b = 2  # search: {2, 4}
        self.a, self.b = nn.Linear(3, a), nn.Linear(3, b)
        kernel = 3  # search: {1, 3, 5}
        self.conv = nn.Conv1d(1, 2, kernel, padding=kernel // 2)
        # search: {one: nn.Linear(a + b, 2), two: nn.Linear(a + b, 2, bias=False)}
        self.head = nn.Linear(a + b, 2)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        y = torch.tanh(torch.cat([self.a(x), self.b(x)], -1))
        return self.head(y * self.scale) + self.conv(x[:, None]).mean(-1)
"""
MAKERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.02, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, 0.02, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, 0.01, amsgrad=True, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, foreach=True),
    "nadam": lambda p: torch.optim.NAdam(p, 0.01),
    "radam": lambda p: torch.optim.RAdam(p, 0.01),
    "adamax": lambda p: torch.optim.Adamax(p, 0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.5, centered=True),
    "adadelta": lambda p: torch.optim.Adadelta(p, 1.0),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.1, initial_accumulator_value=0.1),
    "rprop": lambda p: torch.optim.Rprop(p, 0.01),
    "asgd": lambda p: torch.optim.ASGD(p, 0.01),
}
DECISIONS = [
    {"a": 2, "b": 4, "kernel": 1, "head": "one"},
    {"a": 5, "b": 2, "kernel": 5, "head": "two"},
    {"a": 3, "b": 4, "kernel": 3, "head": "two"},
    {"a": 5, "b": 4, "kernel": 5, "head": "one"},
    {"a": 2, "b": 4, "kernel": 1, "head": "one"},
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    path = tmp_path_factory.mktemp("steps") / "net.py"
    path.write_text(NET)
    made: Supernet = symnas.program(f"{path}:Net", inputs=(torch.zeros(2, 3),)).supernet(dtype=torch.float64)
    return made


def feed(seed: int) -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def used(whole: Supernet) -> list[dict[str, torch.Tensor]]:
    """Tell which positions of the shared parameters each child uses, by marking them in a copy."""
    marked, found = copy.deepcopy(whole), []
    for decision in DECISIONS:
        for parameter in marked.parameters():
            parameter.data.zero_()
        child = marked.extract(decision)
        for parameter in child.parameters():
            parameter.data.fill_(1)
        marked.inherit(child, decision)
        found.append({name: parameter.detach() == 1 for name, parameter in marked.named_parameters()})
    return found


def kept(net: Supernet, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, torch.Tensor]]:
    """Return the values of the parameters and their state, everything of full size."""
    found = {}
    for name, parameter in net.named_parameters():
        state = optimizer.state.get(parameter, {})
        values = {what: value for what, value in state.items() if torch.is_tensor(value)}
        found[name] = {what: v.clone() for what, v in values.items() if v.shape == parameter.shape}
        found[name]["value"] = parameter.detach().clone()
    return found


def given(
    net: Supernet, optimizer: torch.optim.Optimizer, child: Any, turn: int, used: Any, alone: Any
) -> None:
    """Give the child's own optimiser the state that the shared one has at the child's positions."""
    full, used = kept(net, optimizer), used[turn]
    numbers = {name: optimizer.state.get(p, {}) for name, p in net.named_parameters()}
    for tensor, part in net._bound(net.program.decision(DECISIONS[turn])).tensors(child):
        values = copy.deepcopy(dict(numbers.get(part.name, {})))
        for what in values:
            if what in full[part.name]:
                values[what] = full[part.name][what][used[part.name]].view(tensor.shape)
        if values:
            alone.state[tensor] = values


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_step_is_the_childs_own_and_nothing_else_moves(name: str, whole: Supernet, used: Any) -> None:
    net = copy.deepcopy(whole)
    optimizer = net.optimizer(MAKERS[name])
    for turn, decision in enumerate(DECISIONS):
        child = net.extract(decision)
        alone = MAKERS[name](child.parameters())
        given(net, optimizer, child, turn, used, alone)
        before = kept(net, optimizer)
        for again in range(2):
            for call, own in ((child, alone), (lambda x: net(x, decision=decision), optimizer)):  # noqa: B023
                own.zero_grad()
                (call(feed(turn + 10 * again)) ** 2).sum().backward()
                own.step()
        for key, value in net.extract(decision).state_dict().items():
            torch.testing.assert_close(value, child.state_dict()[key], rtol=1e-12, atol=1e-12)
        after = kept(net, optimizer)
        for parameter, state in before.items():
            for what, value in state.items():
                idle = ~used[turn][parameter]
                assert torch.equal(after[parameter][what][idle], value[idle]), (parameter, what)
        assert any(not torch.equal(after[key]["value"], before[key]["value"]) for key in after)


def test_several_children_move_what_any_of_them_uses(whole: Supernet, used: Any) -> None:
    net, ordinary = copy.deepcopy(whole), copy.deepcopy(whole)
    optimizer = net.optimizer(lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01))
    plain = torch.optim.SGD(ordinary.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    before = kept(net, optimizer)
    union = {name: torch.zeros_like(value["value"], dtype=torch.bool) for name, value in before.items()}
    for turn, decision in enumerate(DECISIONS[:3]):
        for own in (net, ordinary):
            (own(feed(1), decision=decision) ** 2).sum().backward()
        for name, mask in used[turn].items():
            union[name] |= mask
    norms = [
        torch.nn.utils.clip_grad_norm_(tensors, 0.5) for tensors in (optimizer.used(), ordinary.parameters())
    ]
    torch.testing.assert_close(*norms)
    optimizer.step()
    plain.step()
    expected = kept(ordinary, plain)
    assert not all(bool(mask.all()) for mask in union.values())
    for name, state in kept(net, optimizer).items():
        assert torch.equal(state["value"][~union[name]], before[name]["value"][~union[name]])
        for what, value in state.items():
            torch.testing.assert_close(value[union[name]], expected[name][what][union[name]])
    optimizer.zero_grad()
    assert not optimizer.used()


def test_gradients_of_what_is_not_called_are_none(whole: Supernet) -> None:
    net = copy.deepcopy(whole)
    optimizer = net.optimizer(MAKERS["adam"])
    net(feed(0), decision=DECISIONS[0]).sum().backward()
    assert net._parameters["head:two/weight"].grad is None
    sizes = [tuple(tensor.shape) for tensor in optimizer.used()]
    assert sizes.count((2, 6)) == 1
    assert (5, 3) not in sizes
    assert len(sizes) == len(list(net.active_parameters(DECISIONS[0])))
    optimizer.close()
    net(feed(0), decision=DECISIONS[0]).sum().backward()
    assert tuple(net._parameters["a/weight"].grad.shape) == (5, 3)


def test_gradients_may_be_forgotten_between_call_and_backward(whole: Supernet) -> None:
    net = copy.deepcopy(whole)
    optimizer = net.optimizer(MAKERS["sgd"])
    before = net.extract(DECISIONS[0])
    for _ in range(2):
        loss = net(feed(0), decision=DECISIONS[0]).sum()
        optimizer.zero_grad()
        loss.backward()
        assert optimizer.used()
        optimizer.step()
    assert not torch.equal(before.a.weight, net.extract(DECISIONS[0]).a.weight)
    optimizer.zero_grad()
    optimizer.step()
    frozen = net.extract(DECISIONS[0])
    optimizer.step()
    assert torch.equal(frozen.a.weight, net.extract(DECISIONS[0]).a.weight)


def test_schedules_and_saved_states_are_those_of_the_optimiser(whole: Supernet) -> None:
    nets = [copy.deepcopy(whole) for _ in range(2)]
    one, two = (net.optimizer(MAKERS["adam"]) for net in nets)
    schedule = torch.optim.lr_scheduler.StepLR(one, 2, 0.5)
    for turn in range(2):
        one.zero_grad()
        nets[0](feed(turn), decision=DECISIONS[turn]).sum().backward()
        one.step()
        schedule.step()
    assert one.param_groups[0]["lr"] == 0.005
    nets[1].load_state_dict(nets[0].state_dict())
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for net, optimizer in zip(nets, (one, two), strict=True):
        optimizer.zero_grad()
        net(feed(5), decision=DECISIONS[2]).sum().backward()
        optimizer.step()
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(a, b)


def test_state_that_belongs_to_no_position_is_refused(whole: Supernet) -> None:
    net = copy.deepcopy(whole)
    optimizer = net.optimizer(torch.optim.Adafactor)
    net(feed(0), decision=DECISIONS[0]).sum().backward()
    with pytest.raises(BuildError, match=r"'row_var' of Adafactor is \(2, 1\) for a weight of \(2, 3\)"):
        optimizer.step()
    with pytest.raises(BuildError, match="belongs to one supernet"):
        copy.deepcopy(optimizer)
