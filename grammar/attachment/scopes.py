"""What names mean by the imports of a source."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from symnas.grammar.domains.model import FORMS


def imported_names(tree: ast.Module, outside: Mapping[str, str]) -> dict[str, str]:
    """Return what each imported name stands for (`{"nn": "torch.nn", "pick": "symnas.oneof"}`).

    Args:
        tree: the module; imports anywhere in it count, and names that it defines itself do not.
        outside: meanings of names that a piece of a module takes from around it.
    """
    names = dict(outside)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.name != "*":
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                elif node.module == "symnas":
                    names.update({name: f"symnas.{name}" for name in FORMS})
    # A name that is defined anywhere in the module may not be the imported one: better no meaning than a
    # wrong one.
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.pop(node.name, None)
        elif isinstance(node, ast.arg):
            names.pop(node.arg, None)
    return names


def resolve(callee: ast.expr, names: Mapping[str, str]) -> str | None:
    """Return the dotted path that a name or attribute stands for, or None where no import says it."""
    parts: list[str] = []
    while isinstance(callee, ast.Attribute):
        parts.append(callee.attr)
        callee = callee.value
    if not isinstance(callee, ast.Name) or callee.id not in names:
        return None
    return ".".join([names[callee.id], *reversed(parts)])
