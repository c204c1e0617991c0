"""Runs in which chosen numbers remember how they were calculated, so that clauses can be told by points.

A chosen number (or text) is handed to the code as an instance of a subclass that carries an expression: first
the name of its point, then what arithmetic makes of it. `total += w` in a loop so leaves `total` with the sum
of all widths. A clause that the run comes past is written down with these expressions in the place of
variables. What arithmetic alone does not make (a branch, `int(…)`, `max`) loses the expression or has another
one under other decisions, and is told apart by comparing runs.
"""

from __future__ import annotations

import ast
import copy
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from symnas._typing import Value
from symnas.frontend.run import Run, Visit
from symnas.tree.requirements.clauses import evaluate

# Of an expression: what it takes to write 100 widths added up, several times over.
MOST_NODES = 4000


class NoExpression(Exception):  # noqa: N818 - control flow: the clause is left to be judged by a run
    """A clause speaks of something that no expression over points stands for."""


def name_of(address: str) -> str:
    """Return an identifier that stands for a point in expressions."""
    return f"point_{address.encode().hex()}"


def address_of(name: str) -> str | None:
    """Return the address that an identifier stands for; None for others."""
    return bytes.fromhex(name[6:]).decode() if name.startswith("point_") else None


@dataclass(frozen=True)
class Leaf:
    """A chosen value of any kind, in the place where a clause is written down."""

    address: str


class TracedInt(int):
    """A whole number with the expression that made it."""

    node: ast.expr


class TracedFloat(float):
    """A number with the expression that made it."""

    node: ast.expr


class TracedText(str):
    """A chosen text."""

    node: ast.expr


def traced(value: Any, node: ast.expr) -> Any:
    """Return a number or text with an expression; anything else as it is."""
    for plain, kind in ((int, TracedInt), (float, TracedFloat), (str, TracedText)):
        if type(value) is plain:
            found = kind(value)
            found.node = node
            return found
    return value


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, TracedInt) else float(value)


def _binary(apply: Callable[[Any, Any], Any], op: type[ast.operator], mirrored: bool) -> Any:
    def method(self: Any, other: Any) -> Any:
        if type(other) not in (int, float, TracedInt, TracedFloat):
            return NotImplemented
        own, theirs = _plain(self), _plain(other) if hasattr(other, "node") else other
        operands = (theirs, own) if mirrored else (own, theirs)
        nodes = (to_node(other), self.node) if mirrored else (self.node, to_node(other))
        return traced(apply(*operands), ast.BinOp(nodes[0], op(), nodes[1]))

    return method


def _unary(apply: Callable[[Any], Any], op: type[ast.unaryop]) -> Any:
    return lambda self: traced(apply(_plain(self)), ast.UnaryOp(op(), self.node))


for _name, _apply, _op in (
    ("add", operator.add, ast.Add),
    ("sub", operator.sub, ast.Sub),
    ("mul", operator.mul, ast.Mult),
    ("truediv", operator.truediv, ast.Div),
    ("floordiv", operator.floordiv, ast.FloorDiv),
    ("mod", operator.mod, ast.Mod),
    ("pow", operator.pow, ast.Pow),
):
    for _kind in (TracedInt, TracedFloat):
        setattr(_kind, f"__{_name}__", _binary(_apply, _op, False))
        setattr(_kind, f"__r{_name}__", _binary(_apply, _op, True))
for _kind in (TracedInt, TracedFloat):
    for _name, _method in (
        ("neg", _unary(operator.neg, ast.USub)),
        ("pos", _unary(operator.pos, ast.UAdd)),
        # A pickle is the plain number, and a copy within the run the number itself.
        ("reduce", lambda self: (type(_plain(self)), (_plain(self),))),
        ("copy", lambda self: self),
        ("deepcopy", lambda self, _: self),
    ):
        setattr(_kind, f"__{_name}__", _method)


def to_node(value: Any) -> ast.expr:
    """Return an expression that a value stands for.

    Raises:
        NoExpression: it is neither plain nor made of points.
    """
    if isinstance(value, Leaf):
        return ast.Name(name_of(value.address), ast.Load())
    if isinstance(value, (TracedInt, TracedFloat, TracedText)):
        return value.node
    if value is None or type(value) in (bool, int, float, str):
        return ast.Constant(value)
    if type(value) in (list, tuple):
        items = [to_node(item) for item in value]
        return ast.List(items, ast.Load()) if type(value) is list else ast.Tuple(items, ast.Load())
    raise NoExpression


def written(tree: ast.expr, scope: Mapping[str, Any]) -> str:
    """Return a clause over points, given what its names stand for.

    Raises:
        NoExpression: it speaks of something that no expression stands for.
    """
    found = simplified(_Writer(scope).visit(copy.deepcopy(tree)))
    if sum(1 for _ in ast.walk(found)) > MOST_NODES:
        raise NoExpression
    return ast.unparse(ast.fix_missing_locations(found))


def simplified(node: ast.expr) -> ast.expr:
    """Return an expression without what is known of it whatever is chosen, its truth being the same."""
    found = _Simplifier().visit(copy.deepcopy(node))
    assert isinstance(found, ast.expr)
    return found


class _Simplifier(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> Any:
        node = super().visit(node)
        if isinstance(node, (ast.Constant, ast.List, ast.Tuple, ast.Set)) or not isinstance(node, ast.expr):
            return node
        if any(isinstance(part, ast.Name) and address_of(part.id) for part in ast.walk(node)):
            return node
        try:
            value = evaluate(node, {})
        except Exception:
            return node
        return ast.Constant(value) if value is None or type(value) in (bool, int, float, str) else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, (ast.List, ast.Tuple)):
            return ast.Constant(not node.operand.elts)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        try:
            if isinstance(node.value, (ast.List, ast.Tuple)):
                found: ast.expr = node.value.elts[ast.literal_eval(node.slice)]
                return found
        except (ValueError, IndexError, TypeError):
            pass
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.args = [self.visit(argument) for argument in node.args]
        counts = isinstance(node.func, ast.Name) and node.func.id == "len" and len(node.args) == 1
        if counts and isinstance(node.args[0], (ast.List, ast.Tuple)):
            return ast.Constant(len(node.args[0].elts))
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        either = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        # In order, as Python does: what comes behind a part that decides is never looked at.
        for value in node.values:
            found = self.visit(value)
            if isinstance(found, (ast.List, ast.Tuple)):
                found = ast.Constant(bool(found.elts))
            if isinstance(found, ast.Constant) and bool(found.value) == either:
                values.append(ast.Constant(either))
                break
            if not isinstance(found, ast.Constant):
                values.append(found)
        if not values:
            return ast.Constant(not either)
        return values[0] if len(values) == 1 else ast.BoolOp(node.op, values)


class _Writer(ast.NodeTransformer):
    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return ast.Call(node.func, [self.visit(argument) for argument in node.args], [])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.scope:
            raise NoExpression
        return to_node(self.scope[node.id])

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._reference(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self._reference(node)

    def _reference(self, node: ast.Attribute | ast.Subscript) -> ast.AST:
        text = ast.unparse(node)
        if text in self.scope:
            return to_node(self.scope[text])
        try:
            return to_node(evaluate(node, self.scope))
        except NoExpression:
            raise
        except Exception:
            # An item of a chosen selection, which is no object here.
            if isinstance(node, ast.Subscript):
                return ast.Subscript(self.visit(node.value), self.visit(node.slice), ast.Load())
            raise NoExpression from None


@dataclass(frozen=True)
class Met:
    """A clause as a run came past it.

    Args:
        text: the clause.
        origin: `file:line` of its annotation.
        address: the point at which it stands.
        expression: the clause over points; None where there is none.
    """

    text: str
    origin: str
    address: str
    expression: str | None


class TracedRun(Run):
    """A run under a decision that writes down the clauses it comes past.

    Args:
        values: the decision.
        own: what a clause may name besides variables: points by address, or by the last part of one.
        trees: the clauses, read.

    Attributes:
        met: clauses in order; of one that is met several times at a point, each time.
        seen: what the code had in place of each label, by address.
    """

    def __init__(
        self, values: Mapping[str, Value], own: Mapping[str, Leaf], trees: Mapping[str, ast.expr]
    ) -> None:
        super().__init__(values, strict=True)
        self.own = own
        self.trees = trees
        self.met: list[Met] = []
        self.seen: dict[str, tuple[Value, Any]] = {}

    def left(self, visit: Visit, result: object) -> object:
        """Hand on a chosen number with the name of its point, and write down the clauses that stand here."""
        site = visit.site
        result = super().left(visit, result)
        if result is None or type(result) in (bool, int, float, str):
            self.seen[visit.address] = visit.value, result
        if site.requires:
            scope = {**self.own, **sys._getframe(2).f_locals}  # left <- Hooks.leave <- the user's function
            statement = site.annotation.statement if site.annotation is not None else None
            if isinstance(statement, ast.Assign) and statement.value is site.node:
                names = (target.id for target in statement.targets if isinstance(target, ast.Name))
                scope |= dict.fromkeys(names, self._chosen(visit, result))
            for text in filter(self.trees.__contains__, site.requires):
                try:
                    expression: str | None = written(self.trees[text], scope)
                except NoExpression:
                    expression = None
                self.met.append(Met(text, site.origin, visit.address, expression))
        if site.role == "turns":
            return result
        return traced(result, ast.Name(name_of(visit.address), ast.Load()))

    @staticmethod
    def _chosen(visit: Visit, result: object) -> object:
        # A module or a function that was chosen is no label: what a clause asks of it, a run must tell.
        plain = result is None or type(result) in (bool, int, float, str)
        return Leaf(visit.address) if plain or isinstance(visit.value, tuple) else result
