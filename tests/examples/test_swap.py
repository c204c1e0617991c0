"""Every algorithm by one word: in small, with the words that need no extra."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import symnas

SWAP = Path(__file__).resolve().parents[2] / "examples" / "swap"


def test_the_network_needs_no_symnas_and_every_child_builds() -> None:
    import numpy as np
    import torch

    assert "symnas" not in (SWAP / "net.py").read_text()
    program = symnas.program(f"{SWAP / 'net.py'}:Net")
    x = torch.zeros(2, 1, 14, 14)
    for decision in [program.space.default, *program.space.sample(20, np.random.default_rng(0))]:
        assert program.build(decision)(x).shape == (2, 10)


def test_the_readme_names_every_algorithm_and_its_line_is_the_one_that_runs() -> None:
    text = (SWAP / "README.md").read_text()
    line = "symnas search net.py:Net --task task.py:task --algorithm "
    assert line in text
    assert line in (SWAP / "table.py").read_text()
    told = set(re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE))
    assert told <= set(symnas.algorithms.names())
    assert len(told) >= 12


@pytest.mark.slow
def test_the_table_is_made_and_continued(tmp_path: Path) -> None:
    words = ["random", "hyperband", "pyglove"]
    for trials in ("2", "3"):
        command = [sys.executable, str(SWAP / "table.py"), *words, "--seeds", "1", "--trials", trials]
        done = subprocess.run(
            [*command, "--store", str(tmp_path / "swap.db")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        rows = re.findall(
            r"^\| `([a-z0-9-]+)` \| 0\.\d{3} \| 0\.\d{3} to 0\.\d{3} \|", done.stdout, re.MULTILINE
        )
        assert sorted(rows) == sorted(words)
    studies = symnas.studies(tmp_path / "swap.db")
    assert {study.name: study.trials for study in studies} == {f"{word}-0": 3 for word in words}
