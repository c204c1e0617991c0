"""The language of `require EXPR`: a small, safe part of Python's expressions, judged with a distance.

A clause is never given to `eval`. It may compare, calculate, index, read public attributes and call a few
pure functions; anything else is refused when it is read. Besides true or false, a verdict says how far a
clause is from holding, so that a search for a feasible decision can name the closest one.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from symnas._typing import COSTS
from symnas.errors import RequirementError, nearest

# What is allowed is listed, so that what Python adds later is refused as well.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (abs, all, any, float, int, len, max, min, round, sum)
} | {"log2": math.log2, "ceil": math.ceil, "floor": math.floor}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_PLAIN = (ast.BoolOp, ast.Constant, ast.IfExp, ast.Tuple, ast.List, ast.Set, ast.Subscript)
# Of exponents: `9 ** 9 ** 9` has 370 million digits.
_HIGHEST_POWER = 4096


@dataclass(frozen=True)
class Verdict:
    """Whether a clause holds, and its distance from holding.

    Args:
        holds: the truth of the clause.
        gap: 0 where it holds; else how far the nearest comparison is off, relative to its right side (1
            where a clause is only true or false).
        detail: the values of what was compared (`params = 1,250,000`), for messages.
    """

    holds: bool
    gap: float
    detail: str


@dataclass(frozen=True)
class Clause:
    """One `require` expression, read and found safe.

    Args:
        text: the expression as written.
        origin: `file:line` of the annotation, or None.
    """

    text: str
    origin: str | None = None

    def __post_init__(self) -> None:
        _refuse_unsafe(self.tree, self)

    @cached_property
    def tree(self) -> ast.expr:
        """The parsed expression."""
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except SyntaxError as error:
            raise RequirementError(
                f"`require` takes one Python expression, and {self.text!r}{self._place} is none ({error.msg})"
            ) from None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names that need a value, in the order of the text."""
        called = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        found = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and id(n) not in called]
        return tuple(dict.fromkeys(n.id for n in sorted(found, key=lambda n: (n.lineno, n.col_offset))))

    @cached_property
    def references(self) -> tuple[ast.expr, ...]:
        """Names, attributes and items, each as far as it goes: `self.widths[0]` and not `self`."""
        found: list[ast.expr] = []
        pending: list[ast.AST] = [self.tree]
        while pending:
            node = pending.pop()
            if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
                found.append(node)
            elif isinstance(node, ast.Call):
                pending += node.args
            else:
                pending += ast.iter_child_nodes(node)
        return tuple(found)

    @property
    def costs(self) -> tuple[str, ...]:
        """Which of `params`, `flops` and `memory` it mentions."""
        return tuple(name for name in self.names if name in COSTS)

    @property
    def _place(self) -> str:
        return f" ({self.origin})" if self.origin else ""

    def judge(self, scope: Mapping[str, Any]) -> Verdict:
        """Evaluate the clause.

        Args:
            scope: the value of every name; a dotted or indexed text such as `stage[1].k` may be a name too.

        Raises:
            RequirementError: a name has no value, or the values do not fit the expression.
        """
        try:
            holds, gap = _distance(self.tree, scope)
        except KeyError as error:
            name = str(error.args[0])
            known = sorted({*scope, *COSTS})
            raise RequirementError(
                f"`require {self.text}`{self._place} needs a value for {name!r}{nearest(name, known)}; "
                f"in scope are {', '.join(known)}"
            ) from None
        except RequirementError:
            raise
        except Exception as error:
            raise RequirementError(
                f"`require {self.text}`{self._place} cannot be calculated: {type(error).__name__}: {error}"
            ) from error
        return Verdict(holds, gap, self._detail(scope))

    def _detail(self, scope: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} = {shown(scope[name])}" for name in self.names if name in scope)


def shown(value: object) -> str:
    """Return a value as messages show it."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{value!r:.40}"


def _refuse_unsafe(tree: ast.expr, clause: Clause) -> None:
    for node in ast.walk(tree):
        allowed = isinstance(node, (*_PLAIN, ast.Name, ast.boolop, ast.expr_context)) or (
            type(node) in _BINARY
            or type(node) in _UNARY
            or type(node) in _COMPARE
            or (isinstance(node, ast.BinOp) and type(node.op) in _BINARY)
            or (isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY)
            or isinstance(node, ast.Compare)
            or (isinstance(node, ast.Attribute) and not node.attr.startswith("_"))
            or (isinstance(node, ast.Call) and _is_pure_call(node))
        )
        if not allowed:
            what = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise RequirementError(
                f"`require` takes comparisons and arithmetic over names, public attributes, indices and "
                f"{', '.join(sorted(_FUNCTIONS))}; it got {what!r} in {clause.text!r}{clause._place}"
            )


def _is_pure_call(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords


def _distance(node: ast.expr, scope: Mapping[str, Any]) -> tuple[bool, float]:
    """Return truth and gap: a conjunction misses by the sum of its parts, a disjunction by the least."""
    # gap(p and q) = gap(p) + gap(q)      gap(p or q) = min(gap(p), gap(q))      gap(l < r) = |l - r| / |r|
    # The branch distance of search-based testing (Korel, "Automated Software Test Data Generation", 1990).
    if isinstance(node, ast.BoolOp):
        return _connected(node, scope)
    if isinstance(node, ast.Compare):
        return _comparison(node, scope)
    holds = bool(evaluate(node, scope))
    return holds, 0.0 if holds else 1.0


def _connected(node: ast.BoolOp, scope: Mapping[str, Any]) -> tuple[bool, float]:
    gaps: list[float] = []
    either = isinstance(node.op, ast.Or)
    for value in node.values:
        try:
            holds, gap = _distance(value, scope)
        except Exception:
            # Python would not have evaluated this part (`k is not None and k > 3`); it only adds to the
            # distance.
            if either or not any(gaps):
                raise
            holds, gap = False, 1.0
        if either and holds:
            return True, 0.0
        gaps.append(gap)
    total = min(gaps) if either else sum(gaps)
    return total == 0.0, total


def _comparison(node: ast.Compare, scope: Mapping[str, Any]) -> tuple[bool, float]:
    gap, left = 0.0, evaluate(node.left, scope)
    # `a < b < c` is a conjunction, so its misses add up.
    for comparison, right_node in zip(node.ops, node.comparators, strict=True):
        right = evaluate(right_node, scope)
        if not _COMPARE[type(comparison)](left, right):
            gap += _miss(comparison, left, right)
        left = right
    return gap == 0.0, gap


def _miss(comparison: ast.cmpop, left: Any, right: Any) -> float:
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    if not numbers or not isinstance(comparison, (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq)):
        return 1.0
    # Relative to the bound, so that clauses in bytes and in elements may be added up.
    scale = abs(right) or abs(left) or 1
    # A strict comparison of equal numbers misses too, by as little as can be told.
    return float(max(abs(left - right) / scale, 1e-12))


def evaluate(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    """Return the value of an expression that was found safe; whatever it raises is the caller's."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
        return _reference(node, scope)
    if isinstance(node, (ast.BoolOp, ast.Compare)):
        return _distance(node, scope)[0]
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](evaluate(node.operand, scope))
    if isinstance(node, ast.BinOp):
        return _arithmetic(node, scope)
    if isinstance(node, ast.IfExp):
        return evaluate(node.body if evaluate(node.test, scope) else node.orelse, scope)
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return _FUNCTIONS[node.func.id](*(evaluate(argument, scope) for argument in node.args))
    assert isinstance(node, (ast.Tuple, ast.List, ast.Set))
    items = [evaluate(item, scope) for item in node.elts]
    if isinstance(node, ast.Set):
        return frozenset(items)
    return items if isinstance(node, ast.List) else tuple(items)


def _arithmetic(node: ast.BinOp, scope: Mapping[str, Any]) -> Any:
    left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    if isinstance(node.op, ast.Pow) and isinstance(right, (int, float)) and abs(right) > _HIGHEST_POWER:
        raise RequirementError(f"a power in `require` is at most {_HIGHEST_POWER}, got {right}")
    return _BINARY[type(node.op)](left, right)


def _reference(node: ast.Name | ast.Attribute | ast.Subscript, scope: Mapping[str, Any]) -> Any:
    text = ast.unparse(node)
    # Addresses are written like attributes and items: `stage[1].k` is looked up as a whole before it is taken
    # apart.
    if text in scope:
        return scope[text]
    if isinstance(node, ast.Name):
        raise KeyError(node.id)
    base = evaluate(node.value, scope)
    if isinstance(node, ast.Attribute):
        return getattr(base, node.attr)
    return base[evaluate(node.slice, scope)]
