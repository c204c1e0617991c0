"""The documentation says what happens: its code runs, page by page, and prints what the page shows.

On a page, a `python` block with a `title` is a file; one without is run, in one namespace per page. A block
titled `output` shows what the block before it printed. In a `console` block, lines that start with `$ symnas`
are run, and what follows them, if anything does, is what they print. `…` stands for anything in a line, and
alone for any lines. A decimal fraction stands for any: training differs a little from processor to processor.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]
MARK = "<!-- executed -->"
PAGES += [page for page in sorted((ROOT / "docs").glob("*.md")) if MARK in page.read_text(encoding="utf-8")]
LONG = {"command_line.md", "sharing.md"}
FENCE = re.compile(r"^```(?P<language>\w*)(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title, its text and the line it starts on."""

    language: str
    title: str | None
    body: str
    line: int


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = []
    for match in FENCE.finditer(text):
        title = TITLE.search(match["info"])
        line = text.count("\n", 0, match.start("body")) + 1
        found.append(Block(match["language"], title and title[1], match["body"], line))
    return found


def agrees(shown: str, printed: str) -> bool:
    """Tell whether a program printed what a page shows."""
    pattern = ""
    for line in shown.strip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            exact = r"[^\n]*?".join(re.escape(part) for part in line.rstrip().split("…"))
            pattern += re.sub(r"\d+\\\.\d+", lambda _: r"\d+\.\d+", exact) + r"[ ]*\n"
    text = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines()) + "\n"
    return re.fullmatch(pattern, text) is not None


def run_console(block: Block) -> None:
    """Run the `$ symnas` lines of a console block and compare what they print."""
    for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        words = shlex.split(command, comments=True)
        if words[0] != "symnas":
            continue
        code = "from symnas.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *words[1:]],
            env={**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        place = f"line {block.line}: {command}"
        if shown.strip():
            assert agrees(shown, done.stdout), f"{place}\nprints\n{done.stdout}\nand the page shows\n{shown}"
        else:
            assert done.returncode == 0, f"{place}\nexits with {done.returncode}\n{done.stdout}"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            marks=pytest.mark.slow if page.name in LONG else (),
            id=page.relative_to(ROOT).as_posix(),
        )
        for page in PAGES
    ],
)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {"__name__": "page"}
    printed = ""
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python" and block.title:
            (tmp_path / block.title).write_text(block.body, encoding="utf-8")
            # Another page or example may have left a module of the same name behind.
            monkeypatch.delitem(sys.modules, Path(block.title).stem, raising=False)
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.body, str(page), "exec")
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(code, names)
            printed = stream.getvalue()
        elif block.language == "console":
            run_console(block)
        elif block.title == "output":
            assert agrees(block.body, printed), f"line {block.line}: it prints\n{printed}"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a … c", "a b c", True),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("a", "a\nb", False),
        ("3 (x)", "3 (y)", False),
        ("loss 0.25 in 3", "loss 0.31 in 3", True),
        ("loss 0.25 in 3", "loss 0.25 in 4", False),
    ],
)
def test_the_comparison_can_fail(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) is same
