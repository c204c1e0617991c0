"""The part of a module that a definition needs: for targets in scripts, whose other lines do work."""

from __future__ import annotations

import ast
import builtins
import textwrap
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from symnas.errors import ProgramError
from symnas.export.text_edits import Edit, SourceText
from symnas.frontend.reachability import binds, bound_name
from symnas.grammar.text.passage import lines_of

_IMPORTS = (ast.Import, ast.ImportFrom)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def module_slice(text: str, names: Iterable[str], kept_too: Iterable[int] = ()) -> str:
    """Return a module's text without the top-level statements that the definitions of `names` do not need.

    Args:
        text: source of a module.
        names: top-level names that must still be defined.
        kept_too: positions of statements that stay whatever is needed.
    """
    tree = ast.parse(text)
    needed = set(names)
    imported = {bound_name(alias) for s in tree.body if isinstance(s, _IMPORTS) for alias in s.names}
    # A slice backwards from `names`, by what statements bind and load and without their order: the least
    # fixed point, at most one pass per statement (Weiser, "Program Slicing", 1984).
    kept = set(kept_too)
    for position in kept:
        needed |= _loads(tree.body[position])
    grown = True
    while grown:
        grown = False
        for position, statement in enumerate(tree.body):
            # A bare call on a module (torch.manual_seed(0)) defines nothing.
            bound = binds(statement) - (imported if isinstance(statement, ast.Expr) else set())
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


def _loads(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}


def _needed_aliases(source: SourceText, statement: ast.stmt, needed: set[str]) -> list[Edit]:
    assert isinstance(statement, _IMPORTS)
    kept = [alias for alias in statement.names if bound_name(alias) in {*needed, "*"}]
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
    for line in lines_of(text):
        if line.strip() or lines[-2:] != ["", ""]:
            lines.append(line.rstrip() if not line.strip() else line)
    return "\n".join(lines).strip("\n") + "\n"


def hoisted(text: str, qualname: str) -> str:
    """Return a text in which a definition made inside functions stands at the top level, with what it needs.

    Args:
        text: source of a module.
        qualname: the definition's qualified name, `<locals>` included.
    """
    body: list[ast.stmt] = ast.parse(text).body
    source, parts = SourceText(text), qualname.split(".<locals>.")
    pieces = [text]
    for part in parts[:-1]:
        # The bodies of the functions around, from the outside in, as statements of the module.
        for name in part.split("."):
            body = next(s.body for s in body if isinstance(s, _DEFINITIONS) and s.name == name)
        for statement in body:
            if not isinstance(statement, (ast.Return, ast.Nonlocal, ast.Global)):
                start, end = source.line_span(statement)
                pieces.append(textwrap.dedent(text[start:end]))
    return module_slice("\n\n".join(pieces), [parts[-1].partition(".")[0]])


def completed(text: str, namespace: Mapping[str, Any]) -> str:
    """Put imports and constants in front of a text for the names that it takes from its surroundings.

    Args:
        text: source of some definitions.
        namespace: what the names stand for where the definitions were made.

    Raises:
        ProgramError: a name stands for something that neither an import nor a literal can give.
    """
    tree = ast.parse(text)
    bound = {
        name for statement in ast.walk(tree) if isinstance(statement, ast.stmt) for name in binds(statement)
    }
    bound |= {argument.arg for argument in ast.walk(tree) if isinstance(argument, ast.arg)}
    # Loaded, bound nowhere in the text, and not built in. Bound anywhere counts, so nothing is defined twice.
    free = sorted({n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - bound - set(dir(builtins)))
    lines = [_definition(name, namespace[name]) for name in free if name in namespace]
    return "\n".join([*lines, "", "", text]).lstrip("\n") if lines else text


def _definition(name: str, value: Any) -> str:
    if isinstance(value, ModuleType):
        return f"import {value.__name__}" + (f" as {name}" if name != value.__name__ else "")
    home, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if home not in (None, "__main__", "builtins") and own and "." not in own:
        return f"from {home} import {own}" + (f" as {name}" if name != own else "")
    try:
        if ast.literal_eval(repr(value)) == value:
            return f"{name} = {value!r}"
    except (ValueError, SyntaxError):
        pass
    raise ProgramError(
        f"standalone source gives every name a definition, and {name!r} is a {type(value).__name__}; "
        "define it beside the model, or pass it to the constructor"
    )
