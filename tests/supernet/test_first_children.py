"""The children that shared tensors are made for first: few runs of the constructor, all the layouts."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from small_spaces import small
from torch import nn

import symnas
from symnas.construction.child_layout import ChildLayout
from symnas.supernet.child import child_alone
from symnas.supernet.first_children import first_children
from symnas.supernet.state import described
from symnas.tree.covering import covering

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often the constructor of each class of modules is run, by the name of the class."""
    found: Counter[str] = Counter()
    plain = nn.Module.__init__

    def counted(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        found[type(self).__name__] += 1
        plain(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init__", counted)
    return found


@pytest.mark.parametrize("inputs", [None, torch.zeros(1, 1, 28, 28)], ids=["classes", "traced"])
def test_the_readmes_network_is_constructed_a_few_times(
    inputs: Any, tmp_path: Path, runs: Counter[str]
) -> None:
    block = re.search(r'```python title="convnet.py"\n(.*?)```', README.read_text(), re.DOTALL)
    assert block is not None
    (tmp_path / "convnet.py").write_text(block[1])
    program = symnas.program(f"{tmp_path / 'convnet.py'}:ConvNet", inputs=inputs)
    decisions = len(list(covering(program.space)))
    runs.clear()
    program.supernet()
    assert runs["ConvNet"] <= 35 < decisions


def told(layouts: list[ChildLayout]) -> Any:
    """Return all that shared tensors are laid out by, as plain data."""
    known = {key: part for layout in layouts for key, part in layout.slices.items()}
    paths = [{key: part.paths for key, part in layout.slices.items()} for layout in layouts]
    return described([layout.rows for layout in layouts], known), paths, [layout.notes for layout in layouts]


def both(program: Any) -> tuple[list[ChildLayout], list[ChildLayout], int]:
    """Return the layouts found in few runs, those of children constructed by themselves, and how many of the
    former were."""
    alone = []

    def construct(decision: Any) -> Any:
        alone.append(decision)
        return child_alone(program, decision, 0)

    few = first_children(program, 0, construct, set())
    return few, [child_alone(program, each, 0) for each in covering(program.space)], len(alone)


@pytest.mark.parametrize("name", ["mnist", "sharing", "enas_recurrent", "calls"])
def test_layouts_are_those_of_children_constructed_one_by_one(name: str) -> None:
    few, all_of_them, alone = both(small(name))
    assert told(few) == told(all_of_them)
    assert [layout.decision for layout in few] == [layout.decision for layout in all_of_them]
    assert (alone < len(few)) == (name in ("mnist", "sharing", "enas_recurrent"))


LOOKING = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 4  # search: {4, 8}
        self.stem = nn.Linear(3, width)
        # search: {nn.ReLU(), nn.Tanh(), nn.GELU(), nn.Identity()}
        self.act = nn.ReLU()
        self.head = nn.Linear(width, 2)
        if LOOK:
            self.more = nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.act(self.stem(x)))
"""


@pytest.mark.parametrize("look", ["isinstance(self.act, nn.Tanh)", "not isinstance(self.act, nn.Module)"])
def test_code_that_looks_at_what_it_chose_is_constructed_one_by_one(look: str, tmp_path: Path) -> None:
    text = dedent(LOOKING).replace("LOOK", look)
    (tmp_path / "net.py").write_text(f"from torch import nn\n\n{text}")
    program = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=torch.zeros(2, 3))
    few, all_of_them, alone = both(program)
    assert told(few) == told(all_of_them)
    looks = look.startswith("isinstance")
    assert (alone >= len(few)) == looks
