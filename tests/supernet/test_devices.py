"""Supernets under autocast, on a GPU where there is one, and their children compiled."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import symnas
from symnas.supernet.supernet import Supernet

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        a = 4  # search: {2, 4}
        b = 4  # search: {4, 6}
        kernel = 3  # search: {1, 3}
        self.a = nn.Conv1d(2, a, kernel, padding=kernel // 2)
        self.b = nn.Conv1d(2, b, 1)
        self.norm = nn.BatchNorm1d(a + b)
        # search: {one: nn.Conv1d(a + b, 3, 1), two: nn.Sequential(nn.Conv1d(a + b, 3, 3), nn.ReLU())}
        self.op = nn.Conv1d(a + b, 3, 1)

    def forward(self, x):
        return self.op(torch.relu(self.norm(torch.cat([self.a(x), self.b(x)], 1)))).mean(-1)
"""
X = torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(0))
DECISIONS: list[dict[str, Any]] = [{"a": 2, "kernel": 1}, {"b": 6, "op": "two"}, {"a": 4, "b": 6}, {"a": 2}]


@pytest.fixture
def net(tmp_path: Path) -> Supernet:
    (tmp_path / "net.py").write_text(NET)
    made: Supernet = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=(X,)).supernet()
    return made


def trained(net: Supernet, device: str, kind: torch.dtype) -> None:
    """Train children and supernet side by side under autocast, and compare."""
    optimizer = net.optimizer(lambda p: torch.optim.SGD(p, 0.1))
    x = X.to(device)
    for decision in DECISIONS:
        child = net.extract(decision)
        alone = torch.optim.SGD(child.parameters(), 0.1)
        outputs = []
        for call, own in ((child, alone), (lambda x: net(x, decision=decision), optimizer)):  # noqa: B023
            own.zero_grad()
            with torch.autocast(device, dtype=kind):
                outputs.append(call(x))
            outputs[-1].float().square().sum().backward()
            own.step()
        assert outputs[0].dtype == outputs[1].dtype == kind
        torch.testing.assert_close(*outputs)
        after = net.extract(decision).state_dict()
        for key, value in child.state_dict().items():
            torch.testing.assert_close(after[key], value, rtol=1e-4, atol=1e-4)


def test_training_under_autocast_is_the_childs(net: Supernet) -> None:
    trained(net, "cpu", torch.bfloat16)
    other = copy.deepcopy(pickle.loads(pickle.dumps(net))).eval()
    net.eval()
    for decision in DECISIONS:
        assert torch.equal(other(X, decision=decision), net(X, decision=decision))


@pytest.mark.slow
def test_extracted_children_compile_as_one_graph(net: Supernet) -> None:
    for decision in DECISIONS[:2]:
        child = net.eval().extract(decision)
        compiled = torch.compile(child, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(X), net(X, decision=decision))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_supernet_runs_on_a_gpu(net: Supernet) -> None:
    expected = [net.eval()(X, decision=decision) for decision in DECISIONS]
    net.cuda()
    for decision, result in zip(DECISIONS, expected, strict=True):
        output = net(X.cuda(), decision=decision)
        assert output.is_cuda
        assert all(p.is_cuda for p in net.extract(decision).parameters())
        torch.testing.assert_close(output.cpu(), result, rtol=1e-4, atol=1e-4)
    trained(net.train(), "cuda", torch.bfloat16)
    made = net.program.supernet(device="cuda")
    made.load_state_dict(net.state_dict())
    torch.testing.assert_close(made.eval()(X.cuda()), net.eval()(X.cuda()))
