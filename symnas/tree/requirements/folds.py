"""Clauses as folds: terms over a few points each, added up (or multiplied) and compared with a bound.

    a <= b                  a - b <= 0                   two terms of one point each
    w0*w1 + w1*w2 <= 500    t(w0, w1) + t(w1, w2) <= 500 two terms of two points each
    kind in {"a", "b"}      t(kind) >= 1                 one term, true or false

What a fold needs of the points before is its running value, whatever the points are that made it. So a sum
over many points is counted in as many states as it has values, where a table would have a row for every way
of deciding all of them. Running values are whole numbers: they add up in any order to the same, as the clause
says. What is neither a fold nor over few enough points is left to those who ask decisions one by one.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Value
from symnas.tree.requirements.clauses import evaluate
from symnas.tree.requirements.requirement import Requirement

# Joint values that one term may be tabulated over; whole numbers that are added up in 64 bits.
MOST_ROWS = 1 << 14
LARGEST = 1 << 40
HIGHEST_PRODUCT = 1 << 30

Comparison = Literal["<=", ">=", "==", "!="]
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq
}  # fmt: skip
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Term:
    """Whole numbers over the joint values of a few points.

    Args:
        addresses: the points.
        table: an axis per point, in their order; int64.
    """

    addresses: tuple[str, ...]
    table: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """One comparison of a clause.

    Args:
        kind: whether terms are added or multiplied; what is multiplied is not negative.
        terms: the terms.
        comparison: how they stand to the bound.
        bound: the bound.
        needs: the points without which the clause does not apply, those of the terms among them.
        requirement: the clause.
        always: whether it applies whatever exists; tables then have a last place for absence.
    """

    kind: Literal["sum", "product"]
    terms: tuple[Term, ...]
    comparison: Comparison
    bound: int
    needs: tuple[str, ...]
    requirement: Requirement = field(repr=False)
    always: bool = False


Domains = Mapping[str, Sequence[Value] | None]
"""The values of every point by rank; None where they are too many, or real."""


def folds_of(requirement: Requirement, domains: Domains) -> list[Fold] | None:
    """Return the folds that hold together exactly where a clause does; None where it is not made of such."""
    if any(domains[address] is None for address in requirement.addresses):
        return None
    return _Reader(requirement, domains).read()


class _NoFold(Exception):  # noqa: N818 - control flow, never seen outside
    """A part of a clause is no fold."""


class _Reader:
    def __init__(self, requirement: Requirement, domains: Domains) -> None:
        self.requirement = requirement
        self.address = dict(requirement.names)
        # Per name, what stands for it under each rank of its point.
        self.values: dict[str, list[Any]] = {}
        for name, address in requirement.names:
            labels = domains[address]
            assert labels is not None
            self.values[name] = [requirement.value(name, label) for label in labels]

    def read(self) -> list[Fold] | None:
        tree = self.requirement.clause.tree
        try:
            return [fold for part in _conjuncts(tree, False) for fold in self._part(part)]
        except _NoFold:
            pass
        # Parts that cannot be asked alone (`k is not None and k > 3`) may still make one small table.
        try:
            return [self._table(tree)]
        except _NoFold:
            return None

    def _part(self, part: ast.expr) -> list[Fold]:
        extremes = _without_extremes(part)
        if extremes is not None:
            return [fold for each in extremes for fold in self._part(each)]
        if not self._names(part):
            return [] if self._constant(part) else [self._fold("sum", (), ">=", 1)]
        if isinstance(part, ast.Compare):
            for attempt in (self._sum, self._product):
                try:
                    return [attempt(part.left, part.ops[0], part.comparators[0])]
                except _NoFold:
                    continue
        return [self._table(part)]

    def _fold(self, kind: Any, terms: Sequence[Term], comparison: Comparison, bound: int) -> Fold:
        return Fold(kind, tuple(terms), comparison, bound, self.requirement.addresses, self.requirement)

    # ------------------------------------------------------------ sums

    def _sum(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Fold:
        if type(op) not in _MIRRORED:
            raise _NoFold
        # left op right  <=>  left - right op 0, terms of the same points added into one
        parts = [*_addends(left, 1), *_addends(right, -1)]
        constant = 0
        terms: dict[tuple[str, ...], Term] = {}
        for factor, node in parts:
            names = self._names(node)
            if not names:
                constant += factor * _whole(self._constant(node))
            else:
                self._add(terms, factor, node, names)
        return self._fold("sum", tuple(terms.values()), *_against(op, -constant))

    def _add(self, terms: dict[tuple[str, ...], Term], factor: int, node: ast.expr, names: list[str]) -> None:
        addresses = self._addresses(names)
        table = factor * self._tabulate(node, names, _whole)
        same = terms.get(addresses)
        terms[addresses] = Term(addresses, table if same is None else same.table + table)

    # ------------------------------------------------------------ products

    def _product(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Fold:
        if not self._names(left):
            left, right, op = right, left, _MIRRORED.get(type(op), type(op))()
        if type(op) not in _MIRRORED or self._names(right):
            raise _NoFold
        terms: dict[tuple[str, ...], Term] = {}
        for node in _factors(left):
            names = self._names(node)
            addresses = self._addresses(names)
            # A factor without points is one over no point, of no axis.
            table = self._tabulate(node, names, _natural)
            same = terms.get(addresses)
            terms[addresses] = Term(addresses, table if same is None else same.table * table)
        bound = _whole(self._constant(right))
        if abs(bound) >= HIGHEST_PRODUCT:
            raise _NoFold
        return self._fold("product", tuple(terms.values()), *_against(op, bound))

    # ------------------------------------------------------------ tables

    def _table(self, part: ast.expr) -> Fold:
        names = self._names(part)
        table = self._tabulate(part, names, bool, wrong=False)
        return self._fold("sum", (Term(self._addresses(names), table),), ">=", 1)

    def _tabulate(
        self, node: ast.expr, names: list[str], read: Callable[[Any], int], wrong: int | None = None
    ) -> NDArray[np.int64]:
        """Return whole numbers over all joint values; `wrong` stands for what cannot be calculated."""
        points: dict[str, list[str]] = {}
        for name in names:
            points.setdefault(self.address[name], []).append(name)
        sizes = [len(self.values[same[0]]) for same in points.values()]
        if math.prod(sizes) > MOST_ROWS:
            raise _NoFold
        flat = []
        for ranks in itertools.product(*map(range, sizes)):
            scope = {
                name: self.values[name][rank]
                for rank, same in zip(ranks, points.values(), strict=True)
                for name in same
            }
            try:
                flat.append(int(read(evaluate(node, scope))))
            except Exception:
                if wrong is None:
                    raise _NoFold from None
                flat.append(wrong)
        if max(map(abs, flat)) > LARGEST:
            raise _NoFold
        return np.array(flat, np.int64).reshape(sizes)

    def _addresses(self, names: list[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.address[name] for name in names))

    def _names(self, node: ast.expr) -> list[str]:
        return [
            name
            for name in dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
            if name in self.address
        ]

    @staticmethod
    def _constant(node: ast.expr) -> Any:
        try:
            return evaluate(node, {})
        except Exception:
            raise _NoFold from None


def _whole(value: Any) -> int:
    # Floats are added in some order, and rounded in it: only whole numbers are the same in any other.
    if not isinstance(value, int):
        raise _NoFold
    return int(value)


def _natural(value: Any) -> int:
    if _whole(value) < 0:
        raise _NoFold
    return int(value)


def _against(op: ast.cmpop, bound: int) -> tuple[Comparison, int]:
    """Return a comparison of whole numbers with the bound, by one of four signs."""
    if isinstance(op, ast.Lt):
        return "<=", bound - 1
    if isinstance(op, ast.Gt):
        return ">=", bound + 1
    signs: dict[type[ast.cmpop], Comparison] = {
        ast.LtE: "<=", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="
    }  # fmt: skip
    return signs[type(op)], bound


# -------------------------------------------------------------------- syntax


def _conjuncts(node: ast.expr, negated: bool) -> list[ast.expr]:
    """Return expressions that hold together where one does (or, negated, does not)."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _conjuncts(node.operand, not negated)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or if negated else ast.And):
        return [part for value in node.values for part in _conjuncts(value, negated)]
    if isinstance(node, ast.Compare) and not negated:
        operands = [node.left, *node.comparators]
        return [
            ast.Compare(left, [op], [right])
            for left, op, right in zip(operands, node.ops, operands[1:], strict=False)
        ]
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _NEGATED:
        return [ast.Compare(node.left, [_NEGATED[type(node.ops[0])]()], node.comparators)]
    # `all((a < b, b < c))` is a conjunction as well.
    if not negated and _calls(node, "all"):
        return [part for item in node.args[0].elts for part in _conjuncts(item, False)]  # type: ignore[attr-defined]
    return [ast.UnaryOp(ast.Not(), node)] if negated else [node]


def _calls(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == name
        and len(node.args) == 1
        and isinstance(node.args[0], (ast.List, ast.Tuple))
    )


def _without_extremes(part: ast.expr) -> list[ast.expr] | None:
    """Return `x <= b` for every x of `max(…) <= b`, and so on; None for anything else."""
    if not isinstance(part, ast.Compare):
        return None
    left, op, right = part.left, part.ops[0], part.comparators[0]
    for side, other, sign in ((left, right, type(op)), (right, left, _MIRRORED.get(type(op)))):
        name = "max" if sign in (ast.Lt, ast.LtE) else "min" if sign in (ast.Gt, ast.GtE) else None
        if name is None or sign is None or not isinstance(side, ast.Call):
            continue
        if isinstance(side.func, ast.Name) and side.func.id == name:
            items = side.args[0].elts if _calls(side, name) else side.args  # type: ignore[attr-defined]
            if _calls(side, name) or len(items) > 1:
                return [ast.Compare(item, [sign()], [other]) for item in items]
    return None


def _addends(node: ast.expr, factor: int) -> list[tuple[int, ast.expr]]:
    """Take a sum apart: whole factors, and what they multiply."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        second = factor if isinstance(node.op, ast.Add) else -factor
        return [*_addends(node.left, factor), *_addends(node.right, second)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return _addends(node.operand, -factor if isinstance(node.op, ast.USub) else factor)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(one, ast.Constant) and type(one.value) is int:
                return _addends(other, factor * one.value)
    if _calls(node, "sum"):
        return [part for item in node.args[0].elts for part in _addends(item, factor)]  # type: ignore[attr-defined]
    return [(factor, node)]


def _factors(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]
