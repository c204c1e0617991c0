from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from symnas.errors import BuildError
from symnas.export.torch_graph import graph

torch.set_num_threads(1)


class Chosen(nn.Module):
    """What a build leaves: attributes that hold the choices, and control flow over them."""

    def __init__(self, depth: int, skip: bool, kind: str) -> None:
        super().__init__()
        self.depth, self.skip, self.kind = depth, skip, kind
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(depth))

    def forward(self, x):
        for layer in self.layers:
            y = {"relu": torch.relu, "tanh": torch.tanh}[self.kind](layer(x))
            x = x + y if self.skip else y
        return x


class OnValues(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x - 1


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_the_graph_computes_what_the_child_computes_without_branches(skip, kind):
    child, x = Chosen(3, skip, kind).eval(), torch.randn(2, 4)
    exported = graph(child, [x])
    assert isinstance(exported, ExportedProgram)
    torch.testing.assert_close(exported.module()(x), child(x))
    names = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert not any(word in name for name in names for word in ("cond", "sym", "eq.", "assert"))
    assert sum(kind in name for name in names) == 3
    assert sum("add.Tensor" in name for name in names) == (3 if skip else 0)


def test_state_keys_and_keywords_survive():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x, *, scale):
            return self.linear(x) * scale

    child, x = Scaled(), torch.randn(3, 4)
    exported = graph(child, [x], {"scale": torch.tensor(2.0)})
    assert list(exported.state_dict) == list(child.state_dict())
    torch.testing.assert_close(exported.module()(x, scale=torch.tensor(3.0)), child(x, scale=3.0))


def test_dynamic_sizes_are_passed_on():
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = graph(nn.Linear(4, 2), [torch.randn(3, 4)], dynamic_shapes=({0: batch},))
    assert exported.module()(torch.randn(9, 4)).shape == (9, 2)


def test_fx_steps_in_where_export_refuses(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("unsupported operator")

    monkeypatch.setattr(torch.export, "export", refuse)
    child, x = Chosen(2, True, "tanh"), torch.randn(2, 4)
    traced = graph(child, [x])
    assert isinstance(traced, GraphModule)
    torch.testing.assert_close(traced(x), child(x))


def test_a_wrong_trace_is_not_handed_out(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("unsupported operator")

    monkeypatch.setattr(torch.export, "export", refuse)
    monkeypatch.setattr(torch.fx, "symbolic_trace", lambda child: nn.Sequential(child, nn.Tanh()))
    with pytest.raises(BuildError, match="the traced graph computes something else"):
        graph(nn.Linear(4, 4), [torch.randn(2, 4)])


def test_errors_say_what_both_ways_said():
    with pytest.raises(BuildError, match=r"(?s)OnValues has no graph.*torch\.export:.*torch\.fx: "):
        graph(OnValues(), [torch.randn(3)])
    with pytest.raises(BuildError, match=r"only a torch\.nn\.Module has a graph, and the program built int"):
        graph(3, [])
