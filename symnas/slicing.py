"""The part of a module that a definition needs: for targets in scripts, whose other lines do work."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from symnas.splicing import Edit, SourceText

_IMPORTS = (ast.Import, ast.ImportFrom)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def sliced(text: str, names: Iterable[str]) -> str:
    """Return a module's text without the top-level statements that the definitions of `names` do not need.

    Args:
        text: source of a module.
        names: top-level names that must still be defined.
    """
    tree = ast.parse(text)
    needed = set(names)
    imported = {_bound(alias) for s in tree.body if isinstance(s, _IMPORTS) for alias in s.names}
    kept: set[int] = set()
    grown = True
    while grown:
        grown = False
        for position, statement in enumerate(tree.body):
            # A bare call on a module (torch.manual_seed(0)) defines nothing.
            bound = _binds(statement) - (imported if isinstance(statement, ast.Expr) else set())
            if position not in kept and bound & needed:
                kept.add(position)
                needed |= _loads(statement)
                grown = True
    source = SourceText(text)
    edits = []
    for position, statement in enumerate(tree.body):
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        docstring = (
            position == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        )
        if position not in kept and not future and not docstring:
            edits.append(Edit(*source.line_span(statement), ""))
        elif position in kept and isinstance(statement, _IMPORTS):
            edits += _needed_aliases(source, statement, needed)
    return _tidied(source.render((0, len(text)), edits))


def _binds(statement: ast.stmt) -> set[str]:
    """Return the names that a statement defines or changes."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    if isinstance(statement, _IMPORTS):
        return {_bound(alias) for alias in statement.names}
    bound = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    # TABLE["x"] = 1 and TABLE.update(…) give TABLE what those who use it need.
    for node in ast.walk(statement):
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            bound |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        function = statement.value.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            bound.add(function.value.id)
    return bound


def _loads(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _needed_aliases(source: SourceText, statement: ast.stmt, needed: set[str]) -> list[Edit]:
    assert isinstance(statement, _IMPORTS)
    kept = [alias for alias in statement.names if _bound(alias) in needed]
    if len(kept) == len(statement.names):
        return []
    listed = ", ".join(map(ast.unparse, kept))
    if isinstance(statement, ast.Import):
        return [Edit(*source.span(statement), f"import {listed}")]
    where = "." * statement.level + (statement.module or "")
    return [Edit(*source.span(statement), f"from {where} import {listed}")]


def _tidied(text: str) -> str:
    """Leave at most two blank lines in a row, and none at the ends."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or lines[-2:] != ["", ""]:
            lines.append(line.rstrip() if not line.strip() else line)
    return "\n".join(lines).strip("\n") + "\n"
