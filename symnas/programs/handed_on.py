"""Functions that are handed on as values: what they choose has points only where a call shows them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from types import FunctionType
from typing import Any

from symnas.frontend.sites import Function
from symnas.frontend.source_set import SourceSet


def remarks(source_set: SourceSet, given: Iterable[Any], origins: Collection[str | None]) -> list[str]:
    """Return a remark for every function with choices that is handed on and whose choices are no points.

    Args:
        source_set: the program's code.
        given: the program's arguments.
        origins: `file:line` of all points of its space.
    """
    found = []
    passed = {
        (value.__code__.co_filename, value.__name__) for value in given if isinstance(value, FunctionType)
    }
    for source in source_set.files.values():
        handed = {name.id: name for name in _handed_on(source.parsed.tree)}
        for function in source.walker.functions.values():
            name = handed.get(function.name)
            argument = (function.file, function.name) in passed
            if not (name or argument) or not _is_plain(function) or not function.sites:
                continue
            if not any(site.origin in origins for site in function.sites):
                place, own = function.sites[0].origin, function.name
                where = f"handed on as a value (line {name.lineno})" if name else "an argument"
                found.append(
                    f"{place}: the choices of `{own}` are no points, since it is {where} and called under "
                    f"another name when the model is; call it by its own name there, as `{own}(…)`"
                )
    return found


def _is_plain(function: Function) -> bool:
    # At the module's own level, where a name means the same everywhere.
    return isinstance(function.node, ast.FunctionDef) and function.qualname == function.name


def _handed_on(tree: ast.Module) -> Iterator[ast.Name]:
    """Yield the functions that are kept as attributes, by themselves or called in a lambda."""
    # One of several that are listed may well be meant for another configuration.
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Attribute) for target in node.targets):
            kept = ast.walk(node.value) if isinstance(node.value, ast.Lambda) else [node.value]
            yield from (
                name for name in kept if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load)
            )
