from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

from symnas.grammar import parse_module

IMPORTS = "import torch\nfrom torch import nn, optim\nimport torch.nn.functional as F\n"


class RealLine(NamedTuple):
    origin: str
    line: str
    domain: str
    finds: str


def real_lines() -> list[RealLine]:
    text = Path(__file__).with_name("real_lines.txt").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if not line.startswith("#")]
    return [RealLine(*(cell.strip() for cell in row)) for row in rows]


def source_of(row: RealLine) -> str:
    body = "\n        pass" if row.line.endswith(":") else ""
    return f"{IMPORTS}def scope(self):\n    {row.line}  # search: {row.domain}{body}\n"


def test_the_table_is_long_enough() -> None:
    rows = real_lines()
    assert len(rows) >= 60
    assert len({row.origin for row in rows}) >= 10


@pytest.mark.parametrize("row", real_lines(), ids=lambda row: f"{row.line[:40]}|{row.domain[:20]}")
def test_a_line_of_a_published_model(row: RealLine) -> None:
    parsed = parse_module(source_of(row), "model.py")
    if row.finds.startswith("!"):
        assert [error.code for error in parsed.errors] == [row.finds[1:]]
        assert parsed.annotations == ()
        return
    assert parsed.errors == ()
    (found,) = parsed.annotations
    computed = row.finds.startswith("~")
    assert ast.unparse(found.node) == ast.unparse(ast.parse(row.finds.removeprefix("~"), mode="eval"))
    assert found.match == ("value" if computed else "candidate")
    assert (found.default is None) == computed
    assert any(node is found.node for node in ast.walk(parsed.tree))
