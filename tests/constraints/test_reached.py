"""Which `require` clauses are a program's, and which names they may use: found out when it is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import symnas
from symnas.cli import main
from symnas.errors import AnnotationError

TWO = """
def one():
    a = 1  # search: {1, 2, 3} require a < 3
    return a

def two():
    a = 1  # search: {1, 2, 3} require a < 2
    return a

# search: require a > 1
def three():
    a = 2  # search: {1, 2, 3}
    return a

class Four:
    def __init__(self):
        # search: require a != 2
        self.a = 1  # search: {1, 2, 3}

def helper():
    b = 1  # search: {1, 2} require b < 2
    return b

def five():
    a = 1  # search: {1, 2, 3}
    return a + helper()

def unused():
    c = 1  # search: {1, 2} require c < 1
    return c
"""


@pytest.mark.parametrize(
    ("target", "requires", "admitted"),
    [
        ("one", ("a < 3",), {1, 2}),
        ("two", ("a < 2",), {1}),
        ("three", ("a > 1",), {2, 3}),
        ("Four", ("a != 2",), {1, 3}),
        ("five", ("b < 2",), {1, 2, 3}),
    ],
)
def test_clauses_belong_to_the_definitions_that_are_reached(
    target: str, requires: tuple[str, ...], admitted: set[int], tmp_path: Path
) -> None:
    file = tmp_path / "two.py"
    file.write_text(TWO)
    found = symnas.program(f"{file}:{target}")
    assert found.requires == requires
    values = {dict(d.flat())["a"] for d in found.sample(60, np.random.default_rng(0))}
    assert values == admitted


@pytest.mark.parametrize(
    ("clause", "name", "meant"),
    [
        ("latency < 5", "latency", None),
        ("widht * depth < 64", "widht", "width"),
        ("parms < 1e6", "parms", "params"),
        ("width < 8 or max(depths) > 1", "depths", "depth"),
        ("width if deep else depth > 1", "deep", "depth"),
    ],
)
def test_a_name_that_nothing_provides_is_told_with_its_line(
    clause: str, name: str, meant: str | None, tmp_path: Path
) -> None:
    text = f"def net():\n    width = 4  # search: {{4, 8}}\n    depth = 2  # search: 1..3 require {clause}\n"
    (tmp_path / "net.py").write_text(text + "    return width * depth\n")
    with pytest.raises(AnnotationError, match=rf"nothing here is named `{name}`") as caught:
        _ = symnas.program(f"{tmp_path / 'net.py'}:net").space
    place = caught.value.location
    assert (place.line, place.text[place.column : place.end]) == (3, name)
    assert meant is None or f"did you mean {meant!r}" in caught.value.message
    done = CliRunner().invoke(main, ["check", str(tmp_path / "net.py")])
    assert done.exit_code == 1
    assert name in done.output


def test_names_of_other_files_of_the_program_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "peculiar_parts.py").write_text(
        "def part():\n    heads = 2  # search: {1, 2, 4}\n    return heads\n"
    )
    (tmp_path / "net.py").write_text(
        "import peculiar_parts\n\n# search: require heads < 4\ndef net():\n    return peculiar_parts.part()\n"
    )
    found = symnas.program(f"{tmp_path / 'net.py'}:net", include=["peculiar_parts"])
    assert {dict(d.flat())[next(iter(d.flat()))] for d in found.sample(30, 0)} == {1, 2}
    done = CliRunner().invoke(main, ["check", str(tmp_path)])
    assert done.exit_code == 0
    assert "require heads < 4" in done.output


@pytest.mark.parametrize(
    "clause",
    [
        "width < 8 and flops < 1e9",
        "net_width < 9",
        "self.width < 9",
        "len(STAGES) < 9",
        "block.width > 1",
        "table['wide'] > 1",
        "limit > 1",
    ],
)
def test_names_of_the_code_are_left_to_the_run(clause: str, tmp_path: Path) -> None:
    text = (
        "from math import pi as limit\nSTAGES = (1, 2)\ntable = {'wide': 2}\n"
        "class Net:\n    def __init__(self, block=None):\n"
        "        self.width = 4  # search: {4, 8} as net_width\n"
        f"        k = 1  # search: {{1, 2}} require {clause}\n        width = k\n"
    )
    (tmp_path / "net.py").write_text(text)
    assert symnas.program(f"{tmp_path / 'net.py'}:Net").requires == (clause,)
