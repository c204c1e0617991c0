from __future__ import annotations

import re
from pathlib import Path

import pytest

from symnas.grammar import check_source

PAGE = Path(__file__).parents[2] / "docs" / "language.md"


def examples() -> list[tuple[str, str]]:
    """Every Python block of the page, with the text block right behind it or nothing."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", text, flags=re.S)


@pytest.mark.parametrize(("source", "expected"), examples())
def test_the_examples_of_the_page_do_what_it_says(source: str, expected: str) -> None:
    report = check_source(source, "model.py")
    assert "\n\n".join(str(error) for error in report.errors) == expected.strip()
    assert report.findings or report.requirements or expected
    assert report.warnings == ()


def test_the_page_has_examples() -> None:
    assert len(examples()) > 12
    assert sum(bool(expected) for _, expected in examples()) == 1
