"""Rewrites instrumented code so that a choice evaluates all the candidates that its run offers."""

from __future__ import annotations

import ast
from typing import Any

from symnas.frontend.code_objects import RESERVED, place_at
from symnas.frontend.sites import Function


def all_evaluated(record: Function, node: Any) -> Any:  # noqa: ARG001
    """Rewrite an instrumented tree so that a choice evaluates all candidates that its run offers.

    `a if enter(…) == 0 else b` becomes `together(…, enter(…), a if offered(…, 0) else None, …)`: the
    candidates stay in the scope and the stack frame of the code around them.
    """
    return _Rewriter().visit(node)


class _Rewriter(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.expr:
        new: Any = self.generic_visit(node)
        if not _operation(new, "leave"):
            return new  # type: ignore[no-any-return]
        # Inside out: candidates that hold choices have been rewritten by now.
        frame, place, value = new.args
        chain = _chain(value)
        if chain is None:
            return new  # type: ignore[no-any-return]
        enter, values, own = chain

        def call(name: str, *args: ast.expr) -> ast.expr:
            function = ast.Attribute(ast.Name(RESERVED, ast.Load()), name, ast.Load())
            return place_at(ast.Call(function, [frame, place, *args], []), node)

        offered = []
        for index, each in enumerate(values):
            number: ast.expr = place_at(ast.Constant(-1 if own and index == len(values) - 1 else index), node)
            offered.append(
                place_at(ast.IfExp(call("offered", number), each, place_at(ast.Constant(None), node)), node)
            )
        new.args = [frame, place, call("together", enter, *offered)]
        return new  # type: ignore[no-any-return]


def _chain(value: ast.expr) -> tuple[ast.expr, list[ast.expr], bool] | None:
    """Take a choice apart: its visit, its candidates, and whether the last is the code's own expression."""
    enter: ast.expr | None = None
    values: list[ast.expr] = []
    # The user's own conditional expressions ask something else than `enter` or `taken`.
    while isinstance(value, ast.IfExp) and isinstance(value.test, ast.Compare):
        asked = value.test.left
        if not isinstance(value.test.ops[0], ast.Eq) or not _operation(
            asked, "enter" if enter is None else "taken"
        ):
            break
        enter = asked if enter is None else enter
        values.append(value.body)
        value = value.orelse
    if enter is None:
        return None
    values.append(value)
    return enter, values, _operation(value, "settle")


def _operation(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == RESERVED
    )
