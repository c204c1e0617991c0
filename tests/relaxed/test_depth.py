"""Numbers of blocks relaxed by gates: the law, how a gate opens, and what is refused."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from relaxed_law import law

import symnas
from symnas.contracts.relaxed_points import Mixture
from symnas.errors import ProgramError

ROWS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def program(tmp_path: Path, text: str, name: str = "net") -> Any:
    (tmp_path / f"{name}.py").write_text("import torch\nfrom torch import nn\n\n" + dedent(text))
    return symnas.program(f"{tmp_path / f'{name}.py'}:Net", inputs=ROWS)


DEEP = """
class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.lin = nn.Linear(c, c)
        self.act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}

    def forward(self, x):
        return x + self.act(self.lin(x))

def chain(n):
    return [] if n == 0 else [*chain(n - 1), nn.Linear(5, 5)]

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Linear(3, 5)]
        for i in range(2):  # search: 1..4 as depth
            layers += [nn.Linear(5, 5), nn.Tanh()]
            if i < 2:
                if True:  # search: {True, False} as norm
                    layers.append(nn.BatchNorm1d(5))
        blocks = 1  # search: {3, 1, 2}
        self.blocks = nn.ModuleList([Block(5) for _ in range(blocks)])
        more = 0  # search: 0..2
        self.first = nn.Sequential(*layers, *chain(more))
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)
"""


def test_one_hot_is_the_child(tmp_path: Path) -> None:
    net = program(tmp_path, DEEP).relaxed(dtype=torch.float64)
    kinds = {point.address: (point.kind, point.labels) for point in net.points}
    assert kinds["depth"] == ("depth", (1, 2, 3, 4))
    assert kinds["depth[1].norm"] == ("depth", (True, False))
    assert kinds["blocks"] == ("depth", (3, 1, 2))
    assert kinds["more"] == ("depth", (0, 1, 2))
    assert sum(kind == "one" for kind, _ in kinds.values()) == 3
    for decision in net.space.sample(10, np.random.default_rng(0)):
        law(net, decision, (ROWS.double(),))


def test_a_gate_is_the_weight_of_all_deeper_values(tmp_path: Path) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            depth = 3  # search: 1..3
            self.layers = nn.Sequential(*[nn.Linear(3, 3) for _ in range(depth)])

        def forward(self, x):
            return self.layers(x)
    """
    net = program(tmp_path, text).relaxed(dtype=torch.float64)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64, requires_grad=True)
    one, two, three = net.model.layers
    x = ROWS.double()

    def by_hand(weights: torch.Tensor) -> torch.Tensor:
        hidden = one(x)
        hidden = hidden + (weights[1] + weights[2]) * (two._wrapped(hidden) - hidden)
        return hidden + weights[2] * (three._wrapped(hidden) - hidden)

    for layer in (two, three):
        layer._wrapped = lambda h, layer=layer: torch.nn.functional.linear(h, layer.weight, layer.bias)
    found = net(x, mixes={"depth": Mixture(weights)})
    torch.testing.assert_close(found, by_hand(weights))
    gradients = [torch.autograd.grad((y**2).sum(), weights)[0] for y in (found, by_hand(weights))]
    torch.testing.assert_close(*gradients)


def test_what_the_shallow_child_lacks_is_left_out_of_decisions(tmp_path: Path) -> None:
    net = program(tmp_path, DEEP).relaxed()
    values = {point.address: point.labels[-1] for point in net.points}
    decision = net.decision({**values, "depth": 1, "blocks": 1})
    assert "depth[1].norm" not in decision
    assert decision["depth[0].norm"] is False
    child = net.extract({**values, "depth": 1, "blocks": 1})
    assert len(child.blocks) == 1


@pytest.mark.parametrize(
    ("body", "forward", "message"),
    [
        ("[nn.Linear(3 + i, 4 + i) for i in range(depth)]", "for f in self.layers: x = f(x)",
         r"those of 'depth' make \(4, 5\) of \(4, 4\)"),
        ("[nn.Linear(3, 3) for i in range(depth)]", "x = x + sum(f(x) for f in self.layers)",
         "does not compute what that child does|called one after the other"),
        ("[nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 3)) for i in range(depth)]",
         "for f in self.layers: x = f(x)", "work in place on what they are given"),
        ("[nn.Linear(3, 3) for i in range(depth)]", "for f in [*self.layers] * 2: x = f(x)",
         "are not called once each"),
    ],
)  # fmt: skip
def test_other_loops_are_refused(tmp_path: Path, body: str, forward: str, message: str) -> None:
    text = f"""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            depth = 2  # search: 1..3
            self.layers = nn.ModuleList({body})

        def forward(self, x):
            {forward}
            return x
    """
    with pytest.raises(ProgramError, match=rf"(?s)net.py:8.*depth = 2.*({message}).*SharedWeights"):
        program(tmp_path, text).relaxed()


STREAM = """
class Net(nn.Module):
    def __init__(self, depth=2):  # search: 1..3
        super().__init__()
        self.enter, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
        self.layers = nn.ModuleList([])
        for _ in range(depth):
            self.layers.append(nn.ModuleList([nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())]))
        self.norms = nn.ModuleList([nn.LayerNorm(4) for _ in range(depth)])

    def forward(self, x):
        x = self.enter(x)
        for norm, (mix, mlp) in zip(self.norms, self.layers):
            BODY
        return self.head(x)
"""
BRANCHES = [
    "x = mix(x) + x; x = mlp(x) + x",
    "x = x + mix(norm(x)); x = x + mlp(x)",
    "x = mix(norm(x)).add(x); x = mlp(x) + x",
    "x = torch.add(x, mlp(mix(norm(x))))",
    "x = x + mix(x) + mlp(norm(x))",
    "x = x + torch.tanh(mix(norm(x))); x = x + mlp(x)",
    "x = mlp(mix(norm(x)))",  # a chain
]


@pytest.mark.parametrize("body", BRANCHES)
def test_blocks_beside_a_skip_connection_are_children(body: str, tmp_path: Path) -> None:
    made = program(tmp_path, STREAM.replace("BODY", body))
    if "tanh" in body:
        # What is added is no output of a module: found where the network is compared with its children.
        with pytest.raises(ProgramError, match=r"does not compute what that child does|in a chain"):
            made.relaxed()
        return
    net = made.relaxed(dtype=torch.float64)
    for decision in made.space.enumerate():
        law(net, decision, (ROWS.double(),))


def test_a_normalised_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="a number of blocks is relaxed by gates"):
        program(tmp_path, STREAM.replace("BODY", "x = norm(x + mix(x)); x = mlp(x) + x")).relaxed()
