"""Deep code is read and built, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

import symnas
from symnas.errors import ProgramError

DEEP = {
    "attributes": ("o" + ".x" * 400 + " = 1  # search: {1, 2}", 0),
    "sums": ("k = 1  # search: {1, 2}\n        r = " + " + ".join(["k"] * 400), 1),
    "calls": ("k = 1  # search: {1, 2}\n        r = o" + ".m()" * 200, 1),
    "lists": ("k = 1  # search: {1, 2}\n        r = " + "[" * 90 + "k" + "]" * 90, 1),
    "strings": ("k = 1  # search: {1, 2}\n        r = " + " + ".join(["'a'"] * 700), 1),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_expressions_are_read_and_built(tmp_path: Path, kind: str) -> None:
    line, points = DEEP[kind]
    # `o` has none of these, so the line runs only where it is given.
    condition = "o is not None" if "o." in line else "True"
    text = f"def net(o=None):\n    k = 0\n    if {condition}:\n        {line}\n"
    (tmp_path / "net.py").write_text(text + "    return 3\n")
    program = symnas.program(f"{tmp_path / 'net.py'}:net")
    assert len(program.space) == (0 if "o." in line else points)
    assert program.build() == 3


def test_what_is_too_deep_says_so(tmp_path: Path) -> None:
    text = "{1, " * 3000 + "2" + "}" * 3000
    (tmp_path / "net.py").write_text(f"def net():\n    a = 1  # search: {text}\n")
    with pytest.raises(ProgramError, match="nested too deep to be read or compiled"):
        _ = symnas.program(f"{tmp_path / 'net.py'}:net").space
