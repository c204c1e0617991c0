"""Rules of the test suite itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = sorted(Path(__file__).parent.rglob("test_*.py"))


def unmatched(text: str) -> Iterator[int]:
    """Yield the lines that expect an error whatever it says."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.raises":
            matched = {keyword.arg for keyword in node.keywords} & {"match", "check"}
            if not matched:
                yield node.lineno


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_every_expected_error_says_what_it_says(file: Path) -> None:
    assert list(unmatched(file.read_text(encoding="utf-8"))) == []


def test_an_error_without_a_message_is_seen() -> None:
    assert list(unmatched("with pytest.raises(ValueError):\n    int('x')")) == [1]
