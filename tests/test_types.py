"""What a type checker knows of a user's script: what a choice may be, and what a program builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Every line with a comment reveals that type.
SCRIPT = """
from collections.abc import Sequence

import torch
from torch import nn

import symnas
from symnas import floatv, intv, manyof, oneof, permutate


class Net(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.width = 32  # search: {16, 32, 64}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def names(depth: int) -> list[str]:
    return ["a"] * depth


def choose(widths: Sequence[int], layers: list[type[nn.Module]], made: symnas.Program) -> None:
    reveal_type(oneof([16, 32, 64]))  #: int
    reveal_type(oneof(widths, default=2, weights=[1, 2], name="width", shared=True))  #: int
    reveal_type(oneof(["relu", None]))  #: str | None
    reveal_type(oneof([nn.ReLU(), nn.GELU()]))  #: Module
    reveal_type(oneof(layers)())  #: Module
    reveal_type(oneof([lambda: nn.ReLU(), lambda: nn.ReLU()]))  #: ReLU
    reveal_type(oneof([lambda: nn.ReLU(), lambda: nn.GELU()], weights=[0.7, 0.3]))  #: Module
    reveal_type(manyof(2, widths, ordered=True, repeats=True))  #: list[int]
    reveal_type(manyof((1, 2), [lambda: nn.ReLU(), lambda: nn.ReLU()]))  #: list[ReLU]
    reveal_type(permutate(("conv", "norm", "act")))  #: list[str]
    reveal_type(intv(16, 256, factor=2))  #: int
    reveal_type(floatv(1e-4, 1e-1, log=True))  #: float
    reveal_type(symnas.program(Net))  #: Program[Net]
    reveal_type(symnas.program(Net, classes=3, name="net").build())  #: Net
    reveal_type(symnas.program(Net).with_inputs(torch.zeros(1)).build({"width": 16}))  #: Net
    reveal_type(symnas.program(symnas.program(Net)).build())  #: Net
    reveal_type(symnas.program(names, 3).build())  #: list[str]
    reveal_type(symnas.program("net.py:Net"))  #: Program[Any]
    reveal_type(made.build())  #: Any


def net() -> symnas.Program[nn.Module]:
    return symnas.program(Net)
"""
WRONG = """
from symnas import intv, oneof, program

width: str = intv(1, 6)
name: int = oneof(["conv", "pool"])
oneof([1, 2], weights=["heavy"])
child: int = program(str).build()
"""


def checked(script: Path) -> list[str]:
    """Return what mypy says of a script, as strict as with the package itself."""
    command = [
        *(sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")),
        *("--cache-dir", str(ROOT / ".mypy_cache"), "--no-error-summary", script.name),
    ]
    there = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=script.parent, env=there, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.slow
def test_types_carry_through_a_users_script(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    expected = {
        number: line.partition("#: ")[2]
        for number, line in enumerate(SCRIPT.splitlines(), 1)
        if "reveal_type" in line
    }
    found = {}
    for line in checked(script):
        told = re.fullmatch(r'script\.py:(\d+): note: Revealed type is "(.*)"', line)
        assert told, line
        # `torch.nn.modules.module.Module` and `builtins.int` by their own names.
        found[int(told[1])] = re.sub(r"(\w+\.)+(?=\w)", "", told[2])
    assert found == expected


@pytest.mark.slow
def test_a_wrong_use_is_seen(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "wrong.py"
    script.write_text(WRONG)
    lines = {int(told[1]) for line in checked(script) if (told := re.match(r"wrong\.py:(\d+): error", line))}
    assert lines == {number for number, line in enumerate(WRONG.splitlines(), 1) if number > 3 and line}
