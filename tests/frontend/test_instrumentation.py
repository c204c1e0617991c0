"""What becomes of a function is what the module says, and stands at the user's own lines."""

from __future__ import annotations

import ast
import re
import textwrap

import pytest

import symnas
from symnas.frontend import instrumentation, operations
from symnas.frontend.code_objects import RESERVED


def examples() -> list[str]:
    """Return the functions that the module's text shows, before and after."""
    assert instrumentation.__doc__
    blocks = re.findall(r"(?m)(?:^ {4}.*\n)+", instrumentation.__doc__)
    return [textwrap.dedent(block) for block in blocks]


def test_the_table_of_operations_has_them_all() -> None:
    rows = [line.split("|")[1] for line in (operations.__doc__ or "").splitlines() if line.startswith("| `")]
    told = {
        re.split(r"[^\w]", name.removeprefix("f = "))[0]
        for row in rows
        for name in re.findall("`([^`]+)`", row)
    }
    assert told == {name for name in vars(operations.Hooks) if not name.startswith("_")}


class Shown(ast.NodeTransformer):
    """Names places, the frame and the library as the module's text does."""

    def __init__(self, references) -> None:
        self.references = references

    def visit_Name(self, node: ast.Name) -> ast.AST:
        short = {RESERVED: "S", instrumentation.FRAME: "f"}
        return ast.Name(short.get(node.id, node.id), node.ctx)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        place = self.references.resolve(node.value)
        return node if place is node.value else ast.Constant(getattr(place, "path", "") or place.name)


def test_the_example_is_what_comes_out(tmp_path) -> None:
    before, after = examples()
    block = "def block(width, k):\n    pool = True  # search: {True, False}\n    return [width, k, pool]\n"
    (tmp_path / "example.py").write_text(f"{before}\n\n{block}")
    program = symnas.program(f"{tmp_path / 'example.py'}:stem", 8)
    (source,) = program.internals.source_set.files.values()
    record = next(each for each in source.walker.functions.values() if each.name == "stem")
    made = Shown(program.internals.source_set.references).visit(source.instrumenter.function(record))
    assert ast.unparse(made) == ast.unparse(ast.parse(after))
    lines = before.splitlines()
    for node in ast.walk(source.instrumenter.function(record)):
        if isinstance(node, ast.expr | ast.stmt):
            assert 1 <= node.lineno <= len(lines)


COUNTERS = {
    "at the top": "nonlocal count\n        count += 1",
    "under a docstring": '"""Count."""\n        nonlocal count\n        count += 1',
    "two of them": "nonlocal count\n        nonlocal last\n        last, count = count, count + 1",
    "in a branch": "if True:\n            nonlocal count\n            count += 1",
    "behind a choice": "by = 1  # search: {1, 2}\n        nonlocal count\n        count += by",
    "behind a return": "nonlocal count\n        if count > 9:\n            return None\n        count += 1",
}


@pytest.mark.parametrize("body", COUNTERS.values(), ids=list(COUNTERS))
def test_functions_may_assign_names_of_those_around(tmp_path, body) -> None:
    text = f"""
def counter():
    count = last = 0

    def step(f):
        {body}
        return f()

    return step, lambda: count

def make():
    step, count = counter()
    width = step(lambda: 8)  # search: {{step(lambda: 8), 16}}
    step(int)
    return width, count()
"""
    (tmp_path / "counters.py").write_text(text)
    program = symnas.program(f"{tmp_path / 'counters.py'}:make")
    built = {str(program.build(decision)) for decision in program.space.enumerate()}
    assert {"(8, 2)", "(16, 1)"} <= built
