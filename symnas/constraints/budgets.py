"""Budgets over parameters and FLOPs as folds: what each part of a model costs, by the few points it hangs on.

A model's parameters are the sum over its tensors, and each tensor's size hangs on few choices: the widths
before and behind it, a kernel. A few hundred children, counted on `meta`, tell which, and what the size is
under their values. So a budget is a sum over terms of a few points each, and `tree.requirements.diagram`
counts and draws what meets it. Terms are rounded down to a share of the budget, or sums would be too many to
count; what is drawn so includes everything that meets the budget, evenly, and what does not is dropped when
it is counted for real. The result is spread as all decisions within the budget are.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symnas.tree.activity import source_codes
from symnas.tree.admission import AdmittedSampler, RequiredPoints, Rules
from symnas.tree.counting import Counter
from symnas.tree.layout import REAL
from symnas.tree.requirements.clauses import Clause, evaluate
from symnas.tree.requirements.diagram import TooManyWays
from symnas.tree.requirements.folds import Comparison, Fold, Term
from symnas.tree.requirements.requirement import Requirement
from symnas.tree.space import Batch, Decision, Space

Parts = Mapping[str, float]
"""What the parts of one child cost, by name."""

# Children that are counted to learn from; joint values of the points of one part, and how many points.
LEARNT, MOST_JOINT, MOST_POINTS = 240, 1024, 3
# Children that are counted to see whether what was learnt is exact.
ASKED = 24
# Shares of a budget that terms are rounded down to, finest first.
SHARES = (1024, 512, 256, 128, 64)


@dataclass(frozen=True)
class Budget:
    """A bound on a cost."""

    cost: str
    comparison: Comparison
    bound: float
    text: str
    strict: bool

    def admits(self, costs: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which costs are within the bound."""
        if self.comparison == "<=":
            return costs < self.bound if self.strict else costs <= self.bound
        return costs > self.bound if self.strict else costs >= self.bound


def wholly(clauses: Sequence[Clause], budgets: Sequence[Budget]) -> bool:
    """Tell whether clauses say nothing but these bounds."""
    count = 0
    for clause in clauses:
        for node in ast.walk(clause.tree):
            if isinstance(node, (ast.Or, ast.Not, ast.IfExp)):
                return False
            count += len(node.ops) if isinstance(node, ast.Compare) else 0
    return count == len(budgets)


def budgets_of(clauses: Sequence[Clause]) -> list[Budget]:
    """Return the bounds on single costs that clauses are made of."""
    found = []
    for clause in clauses:
        pending = [clause.tree]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
                pending += node.values
            elif isinstance(node, ast.Compare):
                operands = [node.left, *node.comparators]
                for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
                    found += _bound(left, op, right, clause.text)
    return found


def _bound(left: ast.expr, op: ast.cmpop, right: ast.expr, text: str) -> list[Budget]:
    upper = isinstance(op, (ast.Lt, ast.LtE))
    if not upper and not isinstance(op, (ast.Gt, ast.GtE)):
        return []
    for side, other, above in ((left, right, upper), (right, left, not upper)):
        if isinstance(side, ast.Name) and side.id in ("params", "flops"):
            try:
                strict = isinstance(op, (ast.Lt, ast.Gt))
                return [Budget(side.id, "<=" if above else ">=", float(evaluate(other, {})), text, strict)]
            except Exception:
                return []
    return []


class Learnt:
    """What the parts of children cost, learnt from some of them.

    Args:
        space: the program's space.
        count: returns what the parts of a child cost, per cost.
        costs: which costs.
    """

    def __init__(
        self, space: Space, count: Callable[[Decision], Mapping[str, Parts]], costs: Sequence[str]
    ) -> None:
        self.space = space
        layout = space.compiled.layout
        self.entries = [
            e for e in layout.own if e.mutable and e.shape != REAL and e.domain.cardinality <= MOST_JOINT
        ]
        batch = space.sample(LEARNT, np.random.default_rng(0))
        # (children, points): ranks, the last place of a table standing for absence
        self.ranks = np.stack([source_codes(e, batch.codes.T) for e in self.entries], axis=1)
        self.cards = np.array([int(e.domain.cardinality) + 1 for e in self.entries])
        counted = [count(decision) for decision in batch]
        self.met: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        self.terms = {cost: self._terms([each[cost] for each in counted]) for cost in costs}
        others = space.sample(ASKED, np.random.default_rng(1))
        guessed, known = self.predict(others)
        self.exact = all(
            abs(sum(parts.values()) - guessed[cost][row]) < 0.5
            for row, decision in enumerate(others)
            if known[row]
            for cost, parts in count(decision).items()
        )
        """Whether costs are what was learnt, wherever all that they hang on was met."""

    def predict(self, batch: Batch) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
        """Return what decisions cost, (rows,) each, and in which rows that is known and not guessed."""
        ranks = np.stack([source_codes(e, batch.codes.T) for e in self.entries], axis=1)
        known = np.ones(len(batch), bool)
        found = {}
        for cost, terms in self.terms.items():
            total = np.zeros(len(batch))
            for points, table in terms:
                place = tuple(ranks[:, p] for p in points)
                total += table[place]
                known &= self.met[points][place]
            found[cost] = total
        return found, known

    def meets(self, batch: Batch, budgets: Sequence[Budget]) -> NDArray[np.bool_]:
        """Tell which decisions are known to meet budgets, without counting them."""
        guessed, known = self.predict(batch)
        for budget in budgets:
            known &= budget.admits(guessed[budget.cost])
        return known & self.exact

    def _terms(self, parts: Sequence[Parts]) -> list[tuple[tuple[int, ...], NDArray[np.float64]]]:
        """Return points and tables of what parts cost; parts that cost the same everywhere are one."""
        names = dict.fromkeys(name for each in parts for name in each)
        columns: dict[bytes, tuple[NDArray[np.float64], int]] = {}
        for name in names:
            values = np.array([each.get(name, 0.0) for each in parts])
            _, times = columns.get(values.tobytes(), (values, 0))
            columns[values.tobytes()] = values, times + 1
        joined: dict[tuple[int, ...], NDArray[np.float64]] = {}
        for values, times in columns.values():
            points = self._points(values)
            joined[points] = joined.get(points, np.zeros(len(values))) + times * values
        return [(points, self._table(points, values)) for points, values in joined.items()]

    def _points(self, values: NDArray[np.float64]) -> tuple[int, ...]:
        """Return the points that values hang on: one after the other, each what explains most of the rest."""
        chosen: list[int] = []
        keys = np.zeros(len(values), np.int64)
        while len(chosen) < MOST_POINTS and _spread(values, keys) > 1e-9:
            size = math.prod(int(self.cards[p]) for p in chosen)
            options = [
                (_spread(values, keys * self.cards[p] + self.ranks[:, p] + 1), p)
                for p in range(len(self.entries))
                if p not in chosen and size * int(self.cards[p]) <= MOST_JOINT
            ]
            if not options:
                break
            best = min(options)[1]
            chosen.append(best)
            keys = keys * self.cards[best] + self.ranks[:, best] + 1
        return tuple(sorted(chosen))

    def _table(self, points: tuple[int, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean under each joint value; of one that was not met what its factors suggest."""
        if not points:
            self.met[points] = np.array(True)
            return np.array(values.mean())
        shape = tuple(int(self.cards[p]) for p in points)
        table = np.full(shape, np.nan)
        sums, counts = np.zeros(shape), np.zeros(shape)
        place = tuple(self.ranks[:, p] for p in points)
        np.add.at(sums, place, values)
        np.add.at(counts, place, 1.0)
        seen = counts > 0
        self.met[points] = seen
        table[seen] = sums[seen] / counts[seen]
        if not seen.all():
            # A product of factors, one per point, fitted to the logarithms of what was met.
            factored = _factored(table, seen)
            table[~seen] = factored[~seen]
            if np.allclose(factored[seen], table[seen], rtol=1e-6, atol=1e-3):
                # What was met is such a product (a kernel's weights are), and so is the rest.
                table[~seen] = np.rint(table[~seen])
                self.met[points] = np.ones_like(seen)
        return table

    def closest(self, budgets: Sequence[Budget], rng: np.random.Generator) -> Decision:
        """Return a decision that is as near to budgets as changes of one point each lead to."""
        found = self.space.sample(64, rng)
        place, least = self._nearest(found, budgets)
        while True:
            best = found[place]
            found = self.space.neighbours(best)
            if not len(found):
                return best
            place, gap = self._nearest(found, budgets)
            if gap >= least:
                return best
            least = gap

    def _nearest(self, batch: Batch, budgets: Sequence[Budget]) -> tuple[int, float]:
        guessed, _ = self.predict(batch)
        gaps = sum(
            np.maximum((guessed[b.cost] - b.bound) * (1 if b.comparison == "<=" else -1), 0.0)
            / max(abs(b.bound), 1.0)
            for b in budgets
        )
        return int(np.argmin(gaps)), float(np.min(gaps))

    def sampler(self, budgets: Sequence[Budget]) -> AdmittedSampler | None:
        """Return draws of what meets budgets as far as is learnt, and all clauses over chosen values."""
        layout = self.space.compiled.layout
        own = self.space.compiled.rules
        for shares in SHARES:
            rules = Rules(layout, () if own is None else own.requirements)
            rules.folds = [*rules.folds, *(self._fold(budget, shares) for budget in budgets)]
            try:
                counter = Counter(layout, rules=rules)
            except TooManyWays:
                continue
            groups = [group for group in counter.coupled if isinstance(group, RequiredPoints)]
            if not all(group.diagram.possible for group in groups):
                return None
            return AdmittedSampler(layout, groups)
        return None

    def _fold(self, budget: Budget, shares: int) -> Fold:
        unit = budget.bound / shares
        upper = budget.comparison == "<="
        rounded = np.floor if upper else np.ceil
        terms, bound = [], (math.floor if upper else math.ceil)(budget.bound / unit)
        for points, table in self.terms[budget.cost]:
            whole = rounded(table / unit + (1e-9 if upper else -1e-9)).astype(np.int64)
            if not points:
                bound -= int(whole)
                continue
            terms.append(Term(tuple(self.entries[p].point.address for p in points), whole))
        needs = tuple(dict.fromkeys(address for term in terms for address in term.addresses))
        requirement = Requirement(budget.text, tuple((a, a) for a in needs))
        return Fold("sum", tuple(terms), budget.comparison, bound, needs, requirement, always=True)


def _spread(values: NDArray[np.float64], keys: NDArray[np.int64]) -> float:
    """Return the share of the variance of values that is left within equal keys."""
    total = float(((values - values.mean()) ** 2).sum())
    if total <= 0.0:
        return 0.0
    _, which = np.unique(keys, return_inverse=True)
    means = np.bincount(which, values) / np.bincount(which)
    return float(((values - means[which]) ** 2).sum()) / total


def _factored(table: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return exp(sum of one number per point and value), fitted to what was seen by coordinate descent."""
    logs = np.log(np.where(seen, np.maximum(np.nan_to_num(table), 1e-9), 1.0))
    parts = [
        np.zeros([n if axis == i else 1 for i, n in enumerate(table.shape)]) for axis in range(table.ndim)
    ]
    for _ in range(100):
        for axis, part in enumerate(parts):
            others = tuple(i for i in range(table.ndim) if i != axis)
            rest = logs - sum(p for p in parts if p is not part)
            count = seen.sum(axis=others, keepdims=True)
            part[:] = np.where(seen, rest, 0.0).sum(axis=others, keepdims=True) / np.maximum(count, 1)
    found: NDArray[np.float64] = np.exp(sum(parts[1:], parts[0])) if parts else np.zeros(())
    return np.broadcast_to(found, table.shape)
