# ruff: noqa: E501  (program texts in tables)
"""What stands behind a loop's last turn, which may be any of its turns, is met in several ways."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import really, surveyed

from symnas.programs.program import program

J, N, W = "choose('j', [1, 2, 3])", "choose('n', [1, 2, 3, 4, 5])", "choose(f'w{g}', [0, 1])"
PROGRAMS = {
    "for": f"for j in range({J}): pass\nelse:\n    n = {N}\n    for g in range(n % 4 % 3): {W}\n",
    "while": f"j = {J}\nwhile j: j -= 1\nelse:\n    n = {N}\n    for g in range(n % 4 % 3): {W}\n",
    "if": f"for j in range({J}): pass\nelse:\n    n = {N}\n    if n > 2: choose('w', [0, 1])\n    else: choose('v', [0, 1])\n",
    "nested": f"for j in range({J}):\n    for k in range(choose(f'k{{j}}', [1, 2])): pass\n    else:\n        n = choose(f'n{{j}}', [1, 2])\n        for g in range(n): choose(f'w{{j}}{{g}}', [0, 1])\n",
    "break": f"for j in range({J}):\n    if choose(f'b{{j}}', [0, 1]): break\nelse:\n    n = {N}\n    for g in range(n % 4 % 3): {W}\n",
    "while with a break": f"j = {J}\nwhile j:\n    if choose(f'b{{j}}', [0, 1]): break\n    j -= 1\nelse:\n    n = {N}\n    for g in range(n % 4 % 3): {W}\n",
}  # fmt: skip

TEXT = """
def make():
    o = []
    for j in range(2):  # search: 1..3
        pass
    else:
        n = 1  # search: {1, 2, 3, 4, 5}
        for g in range(n % 4 % 3):
            w = 1  # search: {1, 2}
            o.append(w)
    return o
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tree_has_exactly_the_decisions_of_the_program(name: str) -> None:
    assert surveyed(PROGRAMS[name], checks=0) == really(PROGRAMS[name])


def test_an_annotated_loop(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(TEXT)
    found = program(f"{file}:make")
    assert found.space.size == 3 * (2 + 4 + 1 + 1 + 2)
    for decision in found.space.enumerate():
        found.build(decision)
