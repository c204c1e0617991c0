"""What is found when a relaxed network is made, and in how few runs of the constructor."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import nn

import symnas
from symnas.errors import ProgramError

CELL = """
class Zero(nn.Module):
    def forward(self, x):
        return x * 0.0


class Edge(nn.Module):
    def __init__(self, c):
        super().__init__()
        # search: {none: Zero(), skip: nn.Identity(), one: nn.Conv2d(c, c, 1), pool: nn.AvgPool2d(3, 1, 1),
        #          three: nn.Sequential(nn.ReLU(), nn.Conv2d(c, c, 3, padding=1))}
        self.op = nn.Identity()
        EDGE

    def forward(self, x):
        return self.op(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.edges = nn.ModuleList(nn.ModuleList(Edge(4) for _ in range(node)) for node in range(1, 4))
        CELL

    def forward(self, x):
        states = [self.stem(x)]
        for edges in self.edges:
            states.append(sum(edge(state) for edge, state in zip(edges, states)))
        CALL
        return states[-1]
"""
X = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def cell(folder: Path, edge: str = "", whole: str = "", call: str = "") -> Any:
    text = dedent(CELL).replace("EDGE", edge or "pass").replace("CELL", whole or "pass")
    (folder / "net.py").write_text("from torch import nn\n\n" + text.replace("CALL", call or "pass"))
    return symnas.program(f"{folder / 'net.py'}:Net", inputs=X)


def test_a_cell_of_six_choices_is_constructed_four_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = cell(tmp_path)
    assert len(program.space.addresses) == 6
    runs: Counter[str] = Counter()
    plain = nn.Module.__init__

    def counted(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        runs[type(self).__name__] += 1
        plain(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init__", counted)
    network = program.relaxed()
    assert runs["Net"] <= 4
    network.expected_cost("flops", {address: own.softmax(0) for address, own in network.logits.items()})
    assert runs["Net"] <= 4


DOES_MORE = {
    "while a choice is made": {"edge": "self.scale = isinstance(self.op, nn.AvgPool2d)",
                               "call": "states[-1] = states[-1] * (1 + self.edges[0][0].scale)"},
    "while one is looked at": {"whole": "self.flat = isinstance(self.edges[0][0].op, nn.Conv2d)",
                               "call": "states[-1] = states[-1].flatten(2) if self.flat else states[-1]"},
    "when it is called": {"call": "states[-1] = states[-1] + isinstance(self.edges[2][1].op, nn.AvgPool2d)"},
    "by a name": {"call": "states[-1] = states[-1] + ('Zero' in str(self.edges[1][0]) and len(states))"},
}  # fmt: skip


@pytest.mark.parametrize("place", DOES_MORE)
def test_code_that_does_more_with_a_choice_than_calling_it_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"net\.py:\d+(?s:.*)does not compute what that child does"):
        cell(tmp_path, **DOES_MORE[place]).relaxed()
