from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import symnas
from symnas.algorithms import DARTS, Random
from symnas.cli.app import main
from symnas.contracts.algorithm import Capabilities
from symnas.contracts.compatibility import CHOICES, markdown, takes
from symnas.contracts.fidelity import Proposal
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.contracts.registry import BUILT_IN, find, resolve
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm
from symnas.errors import AlgorithmError, ProgramError
from symnas.relaxed.search import network_of

ROOT = Path(__file__).resolve().parents[2]
RELAXED = sorted(name for name in BUILT_IN if issubclass(find(name), RelaxedAlgorithm))

HEAD = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
"""
TAIL = """
        self.head = nn.Linear(8, 2)

    def forward(self, x):
"""
# One program for each line of CHOICES: what stands in the constructor, and what in `forward`.
PROGRAMS = {
    "modules": ("self.a = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}", "x = self.a(x)"),
    "tensors in forward": ("", "x = x.relu()  # search: {x.relu(), x.tanh()}"),
    "k of n modules": (
        "a = [nn.ReLU(), nn.Tanh()]  # search: 2 of {nn.ReLU(), nn.Tanh(), nn.Identity()}\n"
        "        self.a = nn.ModuleList(a)",
        "x = sum(module(x) for module in self.a)",
    ),
    "widths and kernels": (
        "width = 4  # search: {4, 8}\n"
        "        self.a = nn.Sequential(nn.Linear(8, width), nn.Linear(width, 8))",
        "x = self.a(x)",
    ),
    "depths": (
        "layers = []\n        for i in range(2):  # search: 1..3\n            layers += [nn.Linear(8, 8)]\n"
        "        self.a = nn.Sequential(*layers)",
        "x = self.a(x)",
    ),
    "other values and branches": ("self.a = 2  # search: {2, 3}", "x = x**self.a if self.a > 2 else x"),
    "orders": (
        "a = (0, 1)  # search: order of {0, 1}\n        self.a = a",
        "for column in self.a:\n            x = x + x[:, [column]]",
    ),
    "real numbers": ("a = 0.1  # search: 0.0..0.5\n        self.a = nn.Dropout(a)", "x = self.a(x)"),
    "choices under others": (
        "self.a = nn.ReLU()  # search: {nn.ReLU(), nn.Sequential({nn.Tanh(), nn.ELU()})}",
        "x = self.a(x)",
    ),
}


def loss(outputs: Any, targets: Any) -> Any:
    """Return the loss; not to be asked of tasks that nothing may be trained on."""
    return torch.nn.functional.cross_entropy(outputs, targets)


def never(outputs: Any, targets: Any) -> Any:
    pytest.fail("trained")


def task(loss: Any = loss) -> symnas.Task:
    """Return a task of four examples."""
    data = (torch.zeros(4, 8), torch.zeros(4).long())
    return symnas.Task(train=data, valid=data, loss=loss, batch_size=2)


def program(name: str, folder: Path) -> Any:
    """Return the program that makes a choice of a kind."""
    inside, when_called = PROGRAMS[name]
    file = folder / "net.py"
    lines = f"{HEAD}        {inside}{TAIL}        {when_called}\n        return self.head(x)\n"
    file.write_text(lines)
    return symnas.program(f"{file}:Net", inputs=torch.ones(3, 8))


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_the_table_says_what_relaxing_does(choice: Any, tmp_path: Path) -> None:
    made = program(choice.name, tmp_path)
    assert len(made.space) == (2 if choice.conditional else 1)
    seen = set()
    for name in RELAXED:
        cls: Any = find(name)
        if (cls.kinds, cls.partial) in seen:
            continue
        seen.add((cls.kinds, cls.partial))
        if takes(cls, choice):
            network = network_of(made, task(never), cls(), 0)
            assert choice.relaxed in {point.kind for point in network.points}
        else:
            with pytest.raises((ProgramError, AlgorithmError), match=r"net\.py"):
                symnas.search(made, task(never), algorithm=cls, progress=False)
    assert len(seen) == 4


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_the_table_says_what_proposing_does(choice: Any, tmp_path: Path) -> None:
    space = program(choice.name, tmp_path).space
    for name in sorted(set(BUILT_IN) - set(RELAXED)):
        assert takes(find(name), choice)
        fidelity = find(name).capabilities.fidelity
        made = resolve(name, {"low": 1, "high": 9} if fidelity else {})
        made.setup(space)
        for call in range(2):
            batch = made.propose(1, np.random.default_rng(call))
            far = batch.fidelities[0] if isinstance(batch, Proposal) and len(batch) else None
            assert len(batch) == 1 or call, name
            assert all(decision.space == space for decision in batch)
            for outcome in (RUNNING, Outcome(Status.DONE, (float(call),))):
                made.observe(batch, [replace(outcome, fidelity=far)] * len(batch))


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_the_table_says_what_sharing_weights_does(choice: Any, tmp_path: Path) -> None:
    study = symnas.search(
        program(choice.name, tmp_path), task(), algorithm="single-path", trials=2, progress=False
    )
    assert [trial.status for trial in study.trials] == [Status.DONE] * 2


def test_algorithms_that_learn_from_outcomes_take_what_their_capabilities_allow() -> None:
    class Plain(Random):
        capabilities = Capabilities(conditional=False, real_valued=False)

    assert all(takes(Random, choice) for choice in CHOICES)
    assert [choice.name for choice in CHOICES if not takes(Plain, choice)] == [
        "real numbers",
        "choices under others",
    ]


def test_lines_are_shared_by_algorithms_that_take_the_same() -> None:
    text = markdown({"random": Random, "darts": DARTS, "again": DARTS})
    lines = text.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| `random` | yes | yes | yes |")
    assert lines[3].startswith("| `darts`, `again` | yes |")
    assert lines[3].count("yes") == 6


def test_the_tables_in_the_documentation_are_current() -> None:
    script = ROOT / ".ci" / "tables"
    loader = SourceFileLoader("tables", str(script))
    spec = importlib.util.spec_from_loader("tables", loader)
    assert spec is not None
    tables = importlib.util.module_from_spec(spec)
    loader.exec_module(tables)
    text = tables.PAGE.read_text(encoding="utf-8")
    assert "<!-- choices -->" in text
    assert (
        "| `population` | `100` | a whole number of at least 1 | how many members live at a time | Real"
        in text
    )
    assert tables.written(text) == text, "run .ci/tables"
    assert tables.written(text.replace("| `100` |", "| `101` |")) == text


def test_the_command_line_shows_the_table() -> None:
    shown = CliRunner().invoke(main, ["algorithms", "--choices", "--json"])
    rows = json.loads(shown.stdout)
    assert set(BUILT_IN) <= set(rows)
    assert rows["darts"]["modules"]
    assert not rows["darts"]["orders"]
    table = CliRunner().invoke(main, ["algorithms", "gdas", "--choices"])
    assert "gdas" in table.stdout
    assert "7  orders                    order = (0, 1, 2)  # search: order of {0, 1, 2}\n" in table.stdout
    assert "darts" not in table.stdout
    page = CliRunner().invoke(main, ["algorithms", "gdas"])
    assert "Chooses: modules, tensors in forward" in page.stdout
