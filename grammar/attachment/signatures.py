"""Find the parameter names of called functions and classes by reading sources; nothing is imported."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from symnas.grammar.attachment.naming import Parameters, of_class, own_parameters, positional
from symnas.grammar.attachment.scopes import imported_names, resolve
from symnas.grammar.text.parse_python import parse_expression, parse_module_text

# Imports and base classes that are followed from one look-up.
_DEPTH = 12


def signatures_of(tree: ast.Module, imports: Mapping[str, str]) -> Parameters:
    """Return a look-up from a callee as the code spells it to its positional parameters' names.

    Args:
        tree: the module whose own definitions and imports are used.
        imports: meanings of names that a piece of a module takes from around it.
    """
    own = own_parameters(tree)
    names = imported_names(tree, imports)

    def look_up(callee: str) -> tuple[str, ...] | None:
        if callee in own:
            return own[callee]
        path = resolve(parse_expression(callee), names)
        return None if path is None else parameters_of(path)

    return look_up


@lru_cache(maxsize=512)
def parameters_of(path: str) -> tuple[str, ...] | None:
    """Return the positional parameters of `package.module.Name`, None where no source shows them."""
    return _look(path, _DEPTH)


def _look(path: str, depth: int) -> tuple[str, ...] | None:
    """Look a name up in its module, else where that imports it from; `depth` ends circles of imports."""
    module, _, name = path.rpartition(".")
    if not module or depth == 0:
        return None
    source = _source_of(module)
    if source is None:
        return None
    body = _body_of(source)
    package = module if source.name == "__init__.py" else module.rpartition(".")[0]
    # What the module defines itself comes before what it imports.
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return positional(node.args)
        if isinstance(node, ast.ClassDef) and node.name == name:
            return of_class(node) or _inherited(node, module, depth)
    for node in body:
        if isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            for alias in node.names:
                if alias.name == "*" and base != module:
                    found = _look(f"{base}.{name}", depth - 1)
                    if found is not None:
                        return found
                elif (alias.asname or alias.name) == name:
                    return _look(f"{base}.{alias.name}", depth - 1)
    return None


def _inherited(node: ast.ClassDef, module: str, depth: int) -> tuple[str, ...] | None:
    for base in node.bases:
        found = _look(f"{module}.{base.id}", depth - 1) if isinstance(base, ast.Name) else None
        if found is not None:
            return found
    return None


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    # One dot is the package itself, each further one the package around it.
    parents = parts[: len(parts) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _source_of(module: str) -> Path | None:
    """Return a module's source file without importing any of its parents."""
    search: list[str] = list(sys.path)
    found: Path | None = None
    for part in module.split("."):
        # Part by part, since `find_spec` of a dotted name would import the packages on the way.
        spec = importlib.machinery.PathFinder.find_spec(part, search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or [])
        found = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return found


@lru_cache(maxsize=64)
def _body_of(source: Path) -> tuple[ast.stmt, ...]:
    try:
        return tuple(parse_module_text(source.read_text(encoding="utf-8")).body)
    except (OSError, SyntaxError, ValueError):
        return ()
