"""List a module's expressions by statement, each with how it is evaluated and what it is called.

A root is one expression that a statement evaluates as a whole: the value of an assignment, the iterable of a
`for`, a parameter's default, each argument of a bare call. Comments find theirs by position, which is why
roots are sorted by it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from symnas.grammar.attachment.annotation import Role

_DATACLASS = {"dataclass", "define", "frozen", "mutable", "attrs", "pydantic_dataclass"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Root:
    """One expression that a statement evaluates, as a whole.

    Args:
        expr: the expression.
        statement: the statement it belongs to.
        role: how it is evaluated.
        names: variables that it alone gives a value to (`k` for `k = …` and `self.k = …`, the parameter of a
            default).
        whole: whether it is the one value of its line: assigned, returned, tested, or looped over.
        assigned: whether the line assigns it.
        parameter: name of the parameter whose default it is.
        scope: names of the enclosing definitions.
        in_loop: whether a loop of the same function encloses the statement.
    """

    expr: ast.expr
    statement: ast.stmt
    role: Role
    names: tuple[str, ...] = ()
    whole: bool = False
    assigned: bool = False
    parameter: str | None = None
    scope: tuple[str, ...] = ()
    in_loop: bool = False

    @property
    def position(self) -> tuple[int, int]:
        """Line and byte column of the expression."""
        return self.expr.lineno, self.expr.col_offset


@dataclass(frozen=True)
class _Place:
    role: Role = "module constant"
    scope: tuple[str, ...] = ()
    in_loop: bool = False


def list_roots(tree: ast.Module) -> list[Root]:
    """Return every root of a module, in the order of the text."""
    return sorted(_body(tree.body, _Place()), key=lambda root: root.position)


def _body(statements: Sequence[ast.stmt], place: _Place) -> Iterator[Root]:
    for statement in statements:
        yield from _statement(statement, place)


def _statement(node: ast.stmt, place: _Place) -> Iterator[Root]:
    def root(expr: ast.expr, **known: object) -> Root:
        return replace(Root(expr, node, place.role, scope=place.scope, in_loop=place.in_loop), **known)  # type: ignore[arg-type]

    # Statements that hold others go on into these; of all others (`assert`, `raise`, a bare call) each
    # expression is a root of its own.
    match node:
        case ast.Assign(targets=targets, value=value):
            names = tuple(name for target in targets if (name := name_of(target)))
            one = not any(isinstance(target, ast.Tuple | ast.List) for target in targets)
            yield root(value, names=names, whole=one, assigned=one)
        case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
            if value is not None:
                name = name_of(target)
                yield root(value, names=(name,) if name else (), whole=True, assigned=True)
        case ast.Return(value=ast.expr() as value):
            yield root(value, whole=True)
        case ast.For(iter=source, target=target) | ast.AsyncFor(iter=source, target=target):
            name = name_of(target)
            yield root(source, names=(name,) if name else (), whole=True)
            yield from _body([*node.body, *node.orelse], replace(place, in_loop=True))
        case ast.While(test=test) | ast.If(test=test):
            yield root(test, whole=True)
            inner = replace(place, in_loop=place.in_loop or isinstance(node, ast.While))
            yield from _body([*node.body, *node.orelse], inner)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in items:
                name = name_of(item.optional_vars) if item.optional_vars else None
                yield root(item.context_expr, names=(name,) if name else ())
            yield from _body(node.body, place)
        case ast.Match(subject=subject, cases=cases):
            yield root(subject, whole=True)
            for case in cases:
                if case.guard:
                    yield root(case.guard)
                yield from _body(case.body, place)
        case ast.Try() | ast.TryStar():
            yield from _body([*node.body, *(s for h in node.handlers for s in h.body)], place)
            yield from _body([*node.orelse, *node.finalbody], place)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _function(node, place)
        case ast.ClassDef():
            yield from (root(expr) for expr in [*node.decorator_list, *node.bases])
            yield from (root(word.value, names=(word.arg,) if word.arg else ()) for word in node.keywords)
            role: Role = "dataclass field" if is_dataclass(node) else "class attribute"
            yield from _body(node.body, _Place(role, (*place.scope, node.name)))
        case _:
            yield from (root(expr) for expr in ast.iter_child_nodes(node) if isinstance(expr, ast.expr))


def _function(node: _Function, place: _Place) -> Iterator[Root]:
    for decorator in node.decorator_list:
        yield Root(decorator, node, place.role, scope=place.scope, in_loop=place.in_loop)
    scope = (*place.scope, node.name)
    for name, default in defaults_of(node.args):
        yield Root(default, node, "parameter", (name,), parameter=name, scope=scope, in_loop=place.in_loop)
    # A loop around a definition is none around what its body does.
    yield from _body(node.body, _Place("expression", scope))


def defaults_of(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    """Yield the parameters that have a default, with it."""
    positional = [*arguments.posonlyargs, *arguments.args]
    # Defaults belong to the last of the positional parameters.
    behind = positional[len(positional) - len(arguments.defaults) :]
    yield from zip((parameter.arg for parameter in behind), arguments.defaults, strict=True)
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield parameter.arg, default


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether a class is decorated as a dataclass (or an attrs class), whose attributes are fields."""
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if name_of(target) in _DATACLASS:
            return True
    return False


def name_of(node: ast.expr) -> str | None:
    """Return the last name of a variable or attribute, else None."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None
