"""A long survey shows itself on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

import symnas
from symnas.survey import progress

NET = """
def net():
    a = 1  # search: {1, 2, 3}
    b = 1  # search: {1, 2, 3}
    if a > b:
        c = 1  # search: {1, 2}
    print("built", a)
    return a
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def shown(stream: io.StringIO, folder: Path, monkeypatch: pytest.MonkeyPatch, *, silent: bool = False) -> str:
    (folder / "net.py").write_text(NET)
    monkeypatch.setattr(sys, "stderr", stream)
    program = symnas.program(f"{folder / 'net.py'}:net")
    program.internals.show_progress = not silent
    assert len(program.space) == 3
    return stream.getvalue()


@pytest.mark.usefixtures("at_once")
def test_a_terminal_shows_runs_and_points_and_is_left_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(Terminal(), tmp_path, monkeypatch)
    assert "surveying net" in text
    assert "runs" in text
    assert "points" in text
    assert text.endswith("\x1b[2K")
    assert capsys.readouterr().out == "built 1\n"


@pytest.mark.usefixtures("at_once")
def test_a_log_and_a_silenced_terminal_show_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO(), tmp_path, monkeypatch) == ""
    assert shown(Terminal(), tmp_path, monkeypatch, silent=True) == ""


def test_a_quick_survey_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 1000.0)
    assert shown(Terminal(), tmp_path, monkeypatch) == ""


def test_the_line_names_what_is_looked_at() -> None:
    line = progress.SurveyLine("net", Terminal())
    line.update(1200, 7, "line 5: if a > b:")
    assert str(line._text()) == "surveying net  1,200 runs  7 points  line 5: if a > b:"


@pytest.mark.usefixtures("at_once")
def test_a_silent_search_surveys_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.py").write_text(NET)
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    program = symnas.program(f"{tmp_path / 'net.py'}:net")
    symnas.search(program, lambda model: float(model), trials=2, algorithm="random", progress="silent")
    assert stream.getvalue() == ""
