# ruff: noqa: E501  (program texts in tables)
"""Selections of several candidates: listed only where a condition that decides about points depends on them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from symnas.errors import ProgramError
from symnas.frontend import execution
from symnas.frontend.run import Run
from symnas.programs.program import Program, program
from symnas.survey.runner import ProgramRunner
from symnas.survey.survey import Survey, _covering
from symnas.tree.subsets import Subsets

HEAD = "import torch\nfrom torch import nn\n\ndef net():\n"
FORTY = ", ".join(str(i) for i in range(40))
NAMES = ", ".join(f'"a{i}"' for i in range(40))

# What is chosen, what is done with it, how many decisions there are, and the most runs that it may take.
FREE = {
    "unordered": (f"x = (0, 1, 2, 3, 4)  # search: 5 of {{{FORTY}}}", "", math.comb(40, 5), 30),
    "texts": (f'x = ("a0", "a1")  # search: 2..9 of {{{NAMES}}}', "", sum(math.comb(40, k) for k in range(2, 10)), 30),
    "with repeats, ordered": ("x = [8] * 5  # search: 5 of {8, 16, 24, 32, 40, 48, 56, 64} with repeats ordered", "y = [nn.Linear(4, w) for w in x]", 8**5, 40),
    "with repeats": ("x = [8] * 9  # search: 9 of {8, 16, 24, 32, 40, 48, 56, 64} with repeats", "y = sum(x)", math.comb(16, 9), 40),
    "order": ("x = [0, 1, 2, 3, 4, 5, 6, 7]  # search: order of {0, 1, 2, 3, 4, 5, 6, 7}", "y = nn.Sequential(*[nn.Linear(1, i + 1) for i in x])", math.factorial(8), 40),
    "order, gone through": ("x = [0, 1, 2, 3, 4, 5, 6]  # search: order of {0, 1, 2, 3, 4, 5, 6}", "y = []\nfor i in x:\n    y.append(i)", math.factorial(7), 40),
    "four of sixteen": (f"x = [0, 1, 2, 3]  # search: 4 of {{{', '.join(map(str, range(16)))}}}", "y = torch.zeros(x)", 1820, 40),
    "modules": (f"x = [nn.Linear(1, 1), nn.Linear(1, 2)]  # search: 2..4 of {{{', '.join(f'nn.Linear(1, {i})' for i in range(1, 31))}}}", "y = nn.Sequential(*x)", sum(math.comb(30, k) for k in (2, 3, 4)), 60),
    "objects changed under it": (f"x = (0, 1, 2, 3, 4)  # search: 5 of {{{FORTY}}}", "class S: pass\ns = S()\ns.f = 0\nif 7 in x:\n    s.f = 1", math.comb(40, 5), 60),
    "another choice decides": (f"x = (0, 1, 2, 3, 4)  # search: 5 of {{{FORTY}}}", "if b:\n    c = 1  # search: {1, 2, 3}", math.comb(40, 5), 60),
}  # fmt: skip


def surveyed(folder: Path, choice: str, body: str, **options: int) -> tuple[Survey, Program]:
    lines = [choice, "b = False  # search: {True, False}", *body.splitlines()]
    file = folder / "net.py"
    file.write_text(HEAD + "".join(f"    {line}\n" for line in lines))
    found = program(f"{file}:net")
    return Survey(ProgramRunner(found), **options), found


@pytest.mark.parametrize("name", FREE)
def test_selections_that_decide_nothing_take_few_runs(name: str, tmp_path: Path) -> None:
    choice, body, size, runs = FREE[name]
    survey, _ = surveyed(tmp_path, choice, body)
    space = survey.space()
    assert space.size == (size * (3 + 1) if "another" in name else size * 2)
    assert survey.runs <= runs


# Points hang on these: 3 more choices where the condition holds, of so many selections.
DECIDING = {
    "member": ("x = [0, 1]  # search: 2 of {0, 1, 2, 3, 4}", "if 3 in x:", 10, 4),
    "size": ("x = [0, 1]  # search: 1..3 of {0, 1, 2, 3}", "if len(x) == 3:", 14, 4),
    "first of an order": ("x = [0, 1, 2, 3, 4]  # search: order of {0, 1, 2, 3, 4}", "if x[0] == 3:", 120, 24),
    "two of them": ("x = [0, 1]  # search: 2 of {0, 1, 2, 3} with repeats ordered", "if x[0] == x[1]:", 16, 4),
    "sum": ("x = [1, 1, 1]  # search: 3 of {1, 2, 3, 4} with repeats", "if sum(x) > 11:", 20, 1),
    "more than are tried where objects change": ("x = [0, 1, 2, 3]  # search: 4 of {0, 1, 2, 3, 4, 5, 6, 7, 8}", "if 2 in x and 7 in x:", 126, 21),
    "one alone": ("x = [0, 1, 2, 3]  # search: 4 of {0, 1, 2, 3, 4, 5, 6, 7, 8}", "if sum(x) == 26:", 126, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DECIDING)
def test_selections_that_decide_are_tried_in_full(name: str, tmp_path: Path) -> None:
    choice, condition, size, held = DECIDING[name]
    _, found = surveyed(tmp_path, choice, f"{condition}\n    c = 1  # search: {{1, 2, 3, 4}}")
    assert found.space.size == ((size - held) + held * 4) * 2
    for decision in found.space.sample(40, np.random.default_rng(0)):
        run = Run(dict(decision), strict=True)
        execution.execute(found, run)
        assert set(run.visits) == set(decision)


@pytest.mark.parametrize("condition", ["len(x) > 4", "7 in x", "x[0] == 3", "sum(x) > 90"])
def test_conditions_on_a_whole_large_selection_are_refused(condition: str, tmp_path: Path) -> None:
    choice = f"x = (0, 1, 2, 3, 4)  # search: 5 of {{{FORTY}}}"
    survey, _ = surveyed(tmp_path, choice, f"if {condition}:\n    c = 1  # search: {{1, 2}}")
    with pytest.raises(ProgramError, match=r"line 7: .*depends on 'x', a selection with 658008 values; make"):
        survey.space()


@pytest.mark.parametrize(("low", "high"), [(0, 3), (1, 1), (2, 2), (1, 4), (4, 4)])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("repeats", [False, True])
def test_what_is_tried_covers_places_and_sizes(low: int, high: int, ordered: bool, repeats: bool) -> None:
    subsets = Subsets(5, low, high, ordered, repeats)
    every, some = list(subsets), _covering(subsets)
    assert set(some) <= set(every)
    assert len(some) == len(set(some)) <= 2 * 5 + high - low + 1

    def met(rows: list[tuple[int, ...]]) -> set[object]:
        return {pair for codes in rows for pair in (len(codes), *enumerate(codes))}

    assert met(some) == met(every)
    listed = Subsets(5, low, high, ordered, repeats, tuple(every[::2]))
    assert met(_covering(listed)) == met(every[::2])
