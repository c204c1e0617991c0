"""Code that is not deterministic is refused, with the line that decides and the one that drew."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import symnas
from symnas.errors import ProgramError

# Statements of a constructor; `DRAW` and `BRANCH` mark the lines that are to be named.
CASES = {
    "random": "r = random.random()  # DRAW\nw = 1\nif r < 0.5:  # BRANCH\n    k = 3  # search: {1, 3}",
    "numpy": "r = np.random.rand()  # DRAW\nz = random.random()\nif r < 0.5:  # BRANCH\n"
    "    k = 3  # search: {1, 3}",
    "torch": "nn.Linear(2, 2)\nr = torch.rand(1)  # DRAW\nnn.Linear(2, 2)\n"
    "if r.item() < 0.5:  # BRANCH\n    k = 3  # search: {1, 3}",
    "turns": "for i in range(random.randint(1, 4)):  # DRAW BRANCH\n    k = 3  # search: {1, 3}",
    "sample": "x = random.sample(range(9), 1)  # DRAW\nif x[0] > 4:  # BRANCH\n    k = 3  # search: {1, 3}",
    "helper": "r = draw()\nif r:  # BRANCH\n    k = 3  # search: {1, 3}",
    "own generator": "r = np.random.default_rng().random()\nif r < 0.5:  # BRANCH\n"
    "    k = 3  # search: {1, 3}",
    "beside choices": "w = 1  # search: {1, 2, 3}\nfor i in range(3):  # search: 1..4\n"
    "    k = 3  # search: {1, 3}\n"
    "r = random.random()  # DRAW\nif w > 1 and r < 0.5:  # BRANCH\n    m = 3  # search: {1, 3}",
}
HEAD = (
    "import random\nimport numpy as np\nimport torch\nfrom torch import nn\n\n"
    "def draw():\n    return random.choice([True, False])\n\ndef net():\n"
)


def program(folder: Path, body: str) -> symnas.Program:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (folder / "net.py").write_text(f"{HEAD}{lines}    return 1\n")
    return symnas.program(f"{folder / 'net.py'}:net")


def line_of(folder: Path, mark: str) -> int:
    texts = (folder / "net.py").read_text().splitlines()
    return next(number for number, text in enumerate(texts, 1) if mark in text)


@pytest.mark.parametrize("case", CASES)
def test_a_branch_on_a_random_number_is_named(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case == "own generator":
        # One that begins elsewhere each time, as of the clock, may by chance go the same way in all runs.
        seeds, make = itertools.count(1), np.random.default_rng
        monkeypatch.setattr(np.random, "default_rng", lambda *seed: make(*(seed or [next(seeds)])))
    made = program(tmp_path, CASES[case])
    with pytest.raises(ProgramError, match=r"went differently in two runs of the same decision") as caught:
        _ = made.space
    text = str(caught.value)
    assert f"net.py:{line_of(tmp_path, 'BRANCH')}: `" in text
    if case == "helper":
        assert "drawn at" in text
        assert "`return random.choice([True, False])`" in text
    elif case != "own generator":
        same = "DRAW BRANCH" in CASES[case]
        assert (
            "drawn here" if same else f"drawn at {tmp_path}/net.py:{line_of(tmp_path, 'DRAW')}: `"
        ) in text


HARMLESS = {
    "values": "r = random.random()\nnn.Parameter(torch.randn(3))\nk = 3  # search: {1, 3}\nreturn r",
    "seeded": "r = random.Random(0).random()\nif r < 2:\n    k = 3  # search: {1, 3}",
    "without points": "k = 3  # search: {1, 3}\nif random.random() < 0.5:\n    k = k + 1",
    "global seed": "random.seed(3)\nif random.random() < 0.5:\n    k = 3  # search: {1, 3}",
    "dropout": "k = 3  # search: {1, 3}\nreturn np.random.permutation(k)",
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_does_not_decide_about_points_is_no_matter(tmp_path: Path, case: str) -> None:
    made = program(tmp_path, HARMLESS[case])
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert len(made.space) <= 1
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
