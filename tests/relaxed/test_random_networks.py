"""The third law of shared weights and expected costs, on random programs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import OPS, Network
from relaxed_law import law

import symnas
from symnas.relaxed.network import Relaxed

NUMBERS = itertools.count()
X = torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MORE = """\
class Zero(nn.Module):
    def forward(self, x):
        return x * 0.0


class Edge(nn.Module):
    def __init__(self, source, op):
        super().__init__()
        self.source, self.op = source, op

    def forward(self, states):
        return self.op(states[self.source])


def edge(source, c):
    # search: {OPS} as op
    op = FIRST
    return Edge(source, op)


def nested(c):
    # search: {nn.Tanh(), nn.Sequential(nn.BatchNorm1d(c)), nn.Identity()} as inner
    inner = nn.Tanh()
    return nn.Sequential(nn.Conv1d(c, c, 3, padding=1), inner)


"""
INNER = [
    "Zero()",
    "nn.Identity()",
    "nn.Conv1d(c, c, 1)",
    "nn.Sequential(nn.ReLU(), nn.Conv1d(c, c, 3, padding=1), nn.BatchNorm1d(c, affine=False))",
    "nn.Sequential(nn.ReLU(), nn.Conv1d(c, c, 1), nn.BatchNorm1d(c))",
    "nn.AvgPool1d(3, 1, 1)",
]


class Relaxable(Network):
    """A network all of whose choices can be relaxed."""

    def size(self, options: list[str] | None = None) -> str:
        return super().size(["{2, 4}", "{2, 4, 6}", "{4, 6, 8}"] if options is None else options)

    def nested(self) -> None:
        chosen = self.draw(st.lists(st.sampled_from(OPS), min_size=1, max_size=2, unique=True))
        self.count += 1
        name, outer = f"self.f{self.count}", [text.format(c=self.c) for text in chosen]
        self.build += [
            f"# search: {{nested({self.c}), {', '.join(outer)}}}",
            f"{name} = nested({self.c})",
        ]
        self.call.append(f"x = x + {name}(x)")

    def edges(self) -> None:
        keep, most = self.pick([(1, 2), (2, 2), (2, 3)])
        self.count += 1
        name = f"self.f{self.count}"
        made = [f"edge({source % 2}, {self.c})" for source in range(most)]
        named = ", ".join(f"e{i}: {one}" for i, one in enumerate(made))
        self.build += [
            f"# search: {keep} of {{{named}}} as e{self.count}",
            f"e{self.count} = [{', '.join(made[:keep])}]",
            f"{name} = nn.ModuleList(e{self.count})",
        ]
        self.call += ["states = [x, torch.tanh(x)]", f"x = sum(one(states) for one in {name})"]

    def deep(self) -> None:
        self.count += 1
        name, most = f"self.f{self.count}", self.pick([2, 3])
        block = self.pick(["nn.Conv1d({c}, {c}, 3, padding=1)", "nested({c})", "wide({c}, 3)"])
        body = block.format(c=self.c)
        self.build += [
            f"d{self.count} = {most}  # search: {self.pick(['1', '0'])}..{most}",
            f"{name} = nn.Sequential(*[{body} for _ in range(d{self.count})])",
        ]
        self.call.append(f"x = {name}(x)")

    def called(self) -> None:
        self.count += 1
        self.build.append(f"self.f{self.count} = nn.Conv1d({self.c}, {self.c}, 1)")
        self.call += [
            f"# search: {{x, torch.tanh(self.f{self.count}(x)), torch.relu(x)}} as y{self.count}",
            f"y{self.count} = x",
            f"x = x + y{self.count}",
        ]


BLOCKS = ["conv", "norm", "depthwise", "branches", "op", "nested", "edges", "deep", "called"]


@st.composite
def texts(draw: Any, most: int) -> str:
    """Draw a network with at least one choice of modules."""
    blocks = draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=most))
    blocks.insert(draw(st.integers(0, len(blocks))), draw(st.sampled_from(["nested", "edges", "deep"])))
    inner = draw(st.lists(st.sampled_from(INNER), min_size=2, max_size=4, unique=True))
    more = MORE.replace("OPS", ", ".join(inner)).replace("FIRST", inner[0])
    head, found, rest = Relaxable(draw).text(blocks).partition("class Net(")
    return head + more + found + rest


def laws(folder: Path, text: str, decisions: int) -> None:
    """Check both laws for some decisions."""
    file = folder / f"relaxed{next(NUMBERS)}.py"
    file.write_text(text)
    program = symnas.program(f"{file}:Net", inputs=(X.float(),))
    net: Relaxed = program.relaxed(dtype=torch.float64)
    for turn, decision in enumerate(program.space.sample(decisions, np.random.default_rng(0))):
        law(net, decision, (X,), sparse=bool(turn % 2))
        cost(net, decision, bool("# search: {x," not in text))


def cost(net: Relaxed, decision: Any, flops: bool) -> None:
    """Compare what a decision is expected to cost, if it is certain, with what it costs."""
    certain = {address: mix.weights for address, mix in net.one_hot(decision).items()}
    profile = net.program.profile(decision)
    assert float(net.expected_cost("params", certain)) == pytest.approx(profile.params, rel=1e-12)
    if flops:
        assert float(net.expected_cost("flops", certain)) == pytest.approx(profile.flops, rel=1e-12)


@settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=texts(3))
def test_random_networks_with_one_hot_mixes_are_their_children(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    laws(tmp_path_factory.getbasetemp(), text, 2)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=texts(5))
def test_larger_random_networks_with_one_hot_mixes_are_their_children(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    laws(tmp_path_factory.getbasetemp(), text, 3)
