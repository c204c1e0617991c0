"""A study finds the program that it searched, also after a kill, in another process and another folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch
from click.testing import CliRunner, Result

import symnas
from symnas.cli.app import main

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, features=4, act=nn.ReLU, sizes=(1,), options=None):
        super().__init__()
        width = 32  # search: {8, 16, 32}
        self.act = act()
        self.body = nn.Linear(features, width)
        self.sizes, self.options = sizes, options

    def forward(self, x):
        y = self.body(x)
        return self.act(y)  # search: {self.act(y), y}
"""
WIDE = """
from blocks import scaled

class Wide:
    def __init__(self, scale=scaled):
        self.width = scale(8)
"""
BLOCKS = """
def scaled(width):
    factor = 1  # search: {1, 2}
    return width * factor
"""
TASKS = """
import os
import signal

def fatal(net, trial):
    if trial.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return net.body.out_features
"""
LIBRARY = """
import torch, symnas
from torch import nn
from net import Net
from tasks import fatal

if __name__ == "__main__":
    target = symnas.program(
        Net, 6, act=nn.Tanh, sizes=(2, 3), options={"a": [1.5, None], 3: float("inf")},
        inputs=torch.randn(2, 6),
    )
    symnas.search(target, fatal, trials=9, store="runs.db", name="killed", progress=False)
"""
SCRIPT = f"""
import symnas
{NET}{TASKS}
program = symnas.program(Net, inputs=__import__("torch").zeros(1, 4))
GUARD
    symnas.search(program, fatal, trials=9, store="runs.db", name="killed", progress=False)
"""


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False)


def shell(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return python("-c", "from symnas.cli import main; main()", *words, cwd=cwd)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a model, what it includes and a task; beside it there is an empty one."""
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "project"
    place.mkdir()
    for name, text in (("net", NET), ("tasks", TASKS), ("library", LIBRARY)):
        (place / f"{name}.py").write_text(text)
    return place


def killed_by_cli(place: Path) -> None:
    words = ("--task", "tasks.py:fatal", "--store", "runs.db", "--trials", "9")
    done = shell(
        "search", "net.py:Net", *words, "--name", "killed", "--arg", "features=6", "--input", "2x6", cwd=place
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def finds(place: Path) -> str:
    """Export the best of a killed study from another folder, and return the child's checked text."""
    elsewhere = place.parent / "elsewhere"
    store = str(place / "runs.db")
    study = symnas.load_study(store)
    assert (study.state, study.counts) == ("killed", {"done": 2})
    written = shell("export", store, "out", "--json", cwd=elsewhere)
    assert written.returncode == 0, written.stderr
    assert set(json.loads(written.stdout)["written"]) == {"decision", "source"}
    source = (elsewhere / "out/model.py").read_text()
    names: dict[str, Any] = {"__name__": "exported"}
    exec(source, names)
    assert "symnas" not in source
    assert names["Net"]().body.out_features == study.best.metrics["value"]
    assert not (place / "runs.db.weights").exists()
    return source


@pytest.mark.slow
def test_a_killed_search_of_the_command_line_is_exported_from_another_folder(place: Path) -> None:
    killed_by_cli(place)
    source = finds(place)
    shown = shell("best", str(place / "runs.db"), "--source", "--json", cwd=place.parent / "elsewhere")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)[0]["source"] == source


@pytest.mark.slow
def test_a_killed_search_of_an_imported_class_is_exported_from_another_folder(place: Path) -> None:
    done = python("library.py", cwd=place)
    assert done.returncode == -signal.SIGKILL, done.stderr
    finds(place)
    code = f"""if True:
        import symnas
        study = symnas.load_study({str(place / "runs.db")!r})
        child = study.best.build()
        print(child.body.in_features, child.act, child.sizes, child.options, study.program.inputs.shape)"""
    built = python("-c", code, cwd=place.parent / "elsewhere")
    assert built.stdout.split("\n")[0] == ("6 Tanh() (2, 3) {'a': [1.5, None], 3: inf} torch.Size([2, 6])"), (
        built.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("guard", ['if __name__ == "__main__":', "if True:"])
def test_a_killed_script_is_found_and_never_run_again(place: Path, guard: str) -> None:
    (place / "script.py").write_text(SCRIPT.replace("GUARD", guard))
    done = python("script.py", cwd=place)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if guard != "if True:":
        finds(place)
        return
    shown = shell("best", str(place / "runs.db"), "--source", cwd=place.parent)
    assert shown.returncode == 1
    assert "put the search under `if __name__ == '__main__':`" in shown.stderr
    assert symnas.load_study(place / "runs.db").counts == {"done": 2}


def test_interactive_code_is_found_in_the_study_itself(place: Path) -> None:
    cells = SCRIPT.replace("GUARD", "if True:").split("program =", 1)
    notebook = f"""if True:
        import linecache, sys
        for number, text in enumerate({[cells[0], "program =" + cells[1]]!r}):
            name = f"<cell {{number}}>"
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            exec(compile(text, name, "exec"), vars(sys.modules["__main__"]))"""
    done = python("-c", notebook, cwd=place)
    assert done.returncode == -signal.SIGKILL, done.stderr
    finds(place)


def test_included_modules_and_functions_among_the_arguments_are_found_too(place: Path) -> None:
    package = place / "models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wide.py").write_text(WIDE.replace("from blocks", "from models.blocks"))
    (package / "blocks.py").write_text(BLOCKS)
    code = """if True:
        import symnas
        from models import blocks, wide
        target = symnas.program(wide.Wide, scale=blocks.scaled, include=blocks)
        symnas.search(target, lambda wide: wide.width, trials=2, store="runs.db", algorithm="grid")"""
    done = python("-c", code, cwd=place)
    assert done.returncode == 0, done.stderr
    code = f"import symnas; print(symnas.load_study({str(place / 'runs.db')!r}).best.build().width)"
    assert python("-c", code, cwd=place / "..").stdout == "16\n"


def searched(place: Path) -> None:
    target = symnas.program(f"{place / 'net.py'}:Net", features=6, inputs=torch.zeros(2, 6))
    symnas.search(target, size, trials=2, store=place / "runs.db", name="whole", progress=False)


def size(net: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def test_a_program_that_moved_is_named(place: Path) -> None:
    searched(place)
    moved = place / "moved.py"
    (place / "net.py").rename(moved)
    shown = run("best", str(place / "runs.db"), "--source")
    assert shown.exit_code == 1
    assert "net.py" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert run("best", str(place / "runs.db"), "--source", "--program", f"{moved}:Net").exit_code == 0


def test_a_program_with_another_space_is_refused(place: Path) -> None:
    searched(place)
    (place / "net.py").write_text(NET.replace("{8, 16, 32}", "{8, 32}"))
    shown = run("best", str(place / "runs.db"), "--source")
    assert shown.exit_code == 3
    assert "has another space by now: pass the program as it was" in shown.stderr


def test_a_store_without_a_note_opens_as_before(place: Path) -> None:
    searched(place)
    engine = sa.create_engine(f"sqlite:///{place / 'runs.db'}")
    with engine.begin() as connection:
        (text,) = connection.execute(sa.text("select header from symnas_studies")).one()
        header = json.loads(text)
        note = header.pop("program")
        assert note["kwargs"] == {"dict": [["features", 6]]}
        connection.execute(sa.text("update symnas_studies set header = :h"), {"h": json.dumps(header)})
    engine.dispose()
    assert run("best", str(place / "runs.db")).exit_code == 0
    study = symnas.load_study(place / "runs.db")
    assert study.locator is None
    with pytest.raises(symnas.errors.StudyError, match="this study could not note where that is"):
        study.best.build()
    shown = run("best", str(place / "runs.db"), "--source")
    assert shown.exit_code == 3
    assert "--program FILE.py:NAME" in shown.stderr


def test_what_only_this_process_has_is_not_noted(tmp_path: Path) -> None:
    class Local:
        def __init__(self) -> None:
            self.k = 3  # search: {3, 5}

    program = symnas.program(Local)
    study = symnas.search(program, lambda x: x.k, trials=2, store=tmp_path / "s.db", progress=False)
    assert study.locator is None
    assert study.program is program
