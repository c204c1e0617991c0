"""Loading what a text names: a file or a module, once, under a name that other processes can follow."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import symnas
from symnas.errors import EvaluatorError, ProgramError
from symnas.frontend.sources import load, load_file


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Work in a folder whose modules no other test sees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside.py").write_text("depth = 3\n")
    (tmp_path / "scored.py").write_text(
        """\
from beside import depth

class Score:
    def by(self):
        return depth

def size(net):
    return 1
"""
    )
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]


def test_a_file_is_imported_once_until_it_changes(place):
    first = load("scored.py:size")
    assert load(f"{place / 'scored.py'}:size") is first
    (place / "scored.py").write_text("def size(net): return 2\n")
    assert load("scored.py:size")(None) == 2
    assert first(None) == 1


def test_a_file_finds_its_neighbours_and_the_path_is_as_it_was(place):
    before = [*sys.path]
    assert load("scored.py:Score.by")(None) == 3
    assert sys.path == before


def test_another_module_of_that_name_is_left_alone(place):
    (place / "json.py").write_text("own = 1\n")
    made = load_file(Path("json.py"))
    assert made.own == 1
    assert made.__name__.startswith("json_")
    assert not hasattr(sys.modules["json"], "own")


def test_what_other_processes_shall_find_is_named_as_its_file_is(place):
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (place / "scored.py").rename(elsewhere / "scored.py")
    (place / "beside.py").rename(elsewhere / "beside.py")
    size = load("elsewhere/scored.py:size", importable=True)
    read = f"import pickle, sys; sys.path[:] = {sys.path!r}; size = pickle.loads({pickle.dumps(size)!r})"
    run = [sys.executable, "-c", f"{read}; print(size(None))"]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "1"
    (place / "json.py").write_text("def size(net): return 1\n")
    with pytest.raises(ProgramError, match=r"'json' is .*json/__init__\.py already: rename json\.py"):
        load("json.py:size", importable=True)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("scored.py", r"the task is written `file\.py:Name` or `package\.module:Name`, got 'scored\.py'"),
        ("absent.py:size", r"the task: 'absent\.py' is not a file \(from '.*'\): check the path"),
        ("no_such_module:size", r"the task: the module 'no_such_module' is not installed: check the name"),
        ("scored.py:sise", r"scored\.py has no 'sise' \(did you mean 'size'\?\); it has depth, Score, size"),
        ("broken.py:size", r"the task: broken\.py cannot be imported: NameError: name 'nothing' is not"),
        ("needs.py:size", r"needs\.py cannot be imported: ModuleNotFoundError: No module named 'no_such"),
    ],
)
def test_what_is_not_there_is_told(place, target, message):
    (place / "broken.py").write_text("nothing\n")
    (place / "needs.py").write_text("import no_such_module\n")
    with pytest.raises(EvaluatorError, match=message):
        load(target, what="the task", error=EvaluatorError)


def test_a_file_in_another_encoding_than_it_says_is_told_so(tmp_path):
    text = "def net():\n    a = 8  # é  # search: {8, 16}\n    return a\n"
    (tmp_path / "named.py").write_text("# -*- coding: latin-1 -*-\n" + text, encoding="latin-1")
    program = symnas.program(f"{tmp_path / 'named.py'}:net")
    assert program.space.size == 2
    assert "# é" in program.source()
    (tmp_path / "unnamed.py").write_text(text, encoding="latin-1")
    with pytest.raises(ProgramError, match=r"unnamed\.py: Python code is UTF-8 unless .* save it as UTF-8"):
        symnas.program(f"{tmp_path / 'unnamed.py'}:net").space  # noqa: B018


def test_a_class_without_a_file_is_told_so():
    code = "import symnas\nclass Net:\n    k = symnas.oneof([2, 3])\nprint(symnas.program(Net).space)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ProgramError" in found.stderr
    assert "define" in found.stderr


def test_a_product_takes_programs(tmp_path):
    (tmp_path / "net.py").write_text("def net():\n    k = 3  # search: {3, 5}\n    return k\n")
    program = symnas.program(f"{tmp_path / 'net.py'}:net")
    assert list(symnas.product(a=program, b=program.space).default) == ["a.k", "b.k"]
    with pytest.raises(symnas.errors.SpaceError, match="the factors of a product are spaces"):
        symnas.product(a=3)
