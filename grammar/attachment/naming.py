"""What the values of a line are called: variables, keywords, parameters, keys of a dictionary."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from symnas.grammar.attachment.roots import Root, defaults_of, name_of

Parameters: TypeAlias = Callable[[str], "tuple[str, ...] | None"]
"""From a callee as spelled (`nn.Conv2d`) to the names of its positional parameters, None where unknown."""


class Named(NamedTuple):
    """A value of the line and its name; `turns` where the name is a loop's variable."""

    name: str
    node: ast.expr
    root: Root
    turns: bool = False


def named_values(roots: Iterable[Root], parameters: Parameters) -> Iterator[Named]:
    """Yield every named value of some roots, arguments by position included where the callee is known."""
    for root in roots:
        looped = isinstance(root.statement, ast.For | ast.AsyncFor) and root.expr is root.statement.iter
        for name in root.names:
            yield Named(name, root.expr, root, looped)
        if isinstance(root.statement, ast.Assign) and root.expr is root.statement.value:
            yield from _unpacked(root.statement, root)
        for node in ast.walk(root.expr):
            yield from _within(node, root, parameters)


def _unpacked(statement: ast.Assign, root: Root) -> Iterator[Named]:
    """Pair the targets of `a, b = 3, 5` with their values."""
    values = statement.value
    for target in statement.targets:
        if not isinstance(target, ast.Tuple | ast.List) or not isinstance(values, ast.Tuple | ast.List):
            continue
        if len(target.elts) == len(values.elts):
            for part, value in zip(target.elts, values.elts, strict=True):
                if name := name_of(part):
                    yield Named(name, value, root)


def _within(node: ast.AST, root: Root, parameters: Parameters) -> Iterator[Named]:
    match node:
        case ast.Call(func=callee, args=arguments, keywords=keywords):
            known = parameters(ast.unparse(callee)) if arguments else None
            for name, argument in zip(known or (), arguments, strict=False):
                if isinstance(argument, ast.Starred):
                    break
                yield Named(name, argument, root)
            yield from (Named(word.arg, word.value, root) for word in keywords if word.arg)
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield Named(name, value, root)
        case ast.comprehension(target=target, iter=source):
            if variable := name_of(target):
                yield Named(variable, source, root, turns=True)
        case ast.Lambda(args=arguments):
            yield from (Named(name, value, root) for name, value in defaults_of(arguments))
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield Named(key.value, value, root)


def own_parameters(tree: ast.Module) -> Mapping[str, tuple[str, ...]]:
    """Return the positional parameters of the functions and classes that a module defines, by name."""
    # By bare name, the first of several functions and the last of several classes: a guess that is only used
    # to name arguments.
    known: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            known.setdefault(node.name, positional(node.args))
        elif isinstance(node, ast.ClassDef) and (names := of_class(node)) is not None:
            known[node.name] = names
    return known


def of_class(node: ast.ClassDef) -> tuple[str, ...] | None:
    """Return the positional parameters of a class's constructor where its body shows them."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return positional(statement.args)[1:]
    # A dataclass, as far as the body shows: one with bases may inherit fields in front.
    fields = [
        s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
    ]
    return tuple(fields) if fields and not node.bases else None


def positional(arguments: ast.arguments) -> tuple[str, ...]:
    """Return the names of the parameters that may be passed by position."""
    return tuple(parameter.arg for parameter in [*arguments.posonlyargs, *arguments.args])
