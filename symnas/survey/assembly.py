"""From what a survey has learnt to a tree: conditions become branches and guards.

Under which decisions a point exists is a disjunction, over the ways in which it was met, of conjunctions of
facts. It is brought into clauses, each a set of points and the rows of their codes that are allowed:

- facts that all ways share are clauses by themselves, over the few points that each depends on; what is left
  of the ways becomes one clause over all of their points;
- a point that makes no difference to a clause is dropped from it, and a clause that the existence of another
  clause's points implies is dropped altogether;
- a clause over one point says where the point belongs in the tree, under which branch; the other clauses are
  its guards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from symnas.errors import ProgramError
from symnas.survey.knowledge import Code, Conjunction, Fact, Knowledge
from symnas.tree.choices import Branch, FloatRange, Guard, ManyOf, Permutation, Point
from symnas.tree.space import Space
from symnas.tree.subsets import INACTIVE

# Codes as in a `Guard`: ranks, and INACTIVE for "that point does not exist".
Clause = tuple[tuple[int, ...], frozenset[tuple[int, ...]]]
"""Points and the rows of their codes that are allowed."""


@dataclass
class _Placed:
    """A point in the tree being built."""

    number: int
    parent: int | None = None
    when: tuple[int, ...] = ()
    guards: list[Clause] = field(default_factory=list)
    children: list[int] = field(default_factory=list)


def assemble(knowledge: Knowledge, requires: tuple[str, ...] = ()) -> Space:
    """Return the tree of everything that was learnt.

    Args:
        knowledge: points and complete tables.
        requires: requirements over decisions, as texts.

    Raises:
        ProgramError: a real-valued choice decides which points exist, or the joint conditions of a
            point are too many.
    """
    return _Assembly(knowledge).space(requires)


class _Assembly:
    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.clauses: dict[int, list[Clause]] = {}
        self.implied: dict[int, dict[tuple[int, ...], frozenset[tuple[int, ...]]]] = {}
        self.placed: dict[int, _Placed] = {}
        self.roots: list[int] = []
        self._tables: dict[Conjunction, list[Clause]] = {}

    def space(self, requires: tuple[str, ...]) -> Space:
        for number in self._ordered():
            self._place(number)
        return Space(tuple(self._build(number) for number in self.roots), requires)

    def _ordered(self) -> list[int]:
        """Put every point behind those that its conditions name; else in the program's order."""
        for number in self.knowledge.order:
            self.clauses[number] = self._conditions(number)
        done: dict[int, None] = {}

        # Depth first, which is a topological order if conditions have no circle; `above` ends the search
        # where they have one.
        def visit(number: int, above: frozenset[int]) -> None:
            if number in done or number in above:
                return
            for variables, _ in self.clauses[number]:
                for variable in variables:
                    visit(variable, above | {number})
            done[number] = None

        for number in self.knowledge.order:
            visit(number, frozenset())
        return list(done)

    # -- conditions of one point ---------------------------------------------------------------

    def _conditions(self, number: int) -> list[Clause]:
        ways = self._ways(list(self.knowledge.around[number]))
        conjunctions = [self._closed(conjunction) for conjunction in ways]
        # D = C_1 or … or C_m with C_j = S and R_j, S being the shared facts, is S and (R_1 or … or R_m):
        # the facts of S are clauses one by one, the disjunction is one clause.
        shared = [fact for fact in conjunctions[0] if all(fact in other for other in conjunctions[1:])]
        rest = [tuple(fact for fact in conjunction if fact not in shared) for conjunction in conjunctions]
        merged: dict[tuple[int, ...], frozenset[tuple[int, ...]]] = {}
        for fact in shared:
            for variables, rows in self._clauses([(fact,)], number):
                merged[variables] = merged[variables] & rows if variables in merged else rows
        # If one R_j is empty, the disjunction is true.
        if all(rest):
            for variables, rows in self._clauses(rest, number):
                merged[variables] = merged[variables] & rows if variables in merged else rows
        return list(merged.items())

    def _ways(self, met: list[Conjunction]) -> list[Conjunction]:
        """Add the ways that no run took, because what they lead to was known already.

        A place under a condition K is reached under K's outcome in every way in which K is met (behind the
        last turn of a loop, which may be any of its turns), while K's rows are complete when they were seen
        in one of them. A turn for another candidate of a subset leads to a point with another address.
        """
        found = dict.fromkeys(met)
        pending = list(found)
        while pending and len(found) < self.knowledge.limit:
            way = pending.pop()
            for place, (key, _) in enumerate(way):
                around = self.knowledge.tables[key].around
                # A way that the table knows, or its beginning: turns of loops are met after the turns before.
                if len(around) > 1 and any(other[:place] == way[:place] for other in around):
                    for other in around:
                        again = (*other, *way[place:])
                        if again not in found and _candidates(other) == _candidates(way[:place]):
                            found[again] = None
                            pending.append(again)
        return list(found)

    def _closed(self, conjunction: Conjunction) -> Conjunction:
        """Add what has to hold for a conjunction's conditions to be met at all: earlier turns of a loop."""
        facts: dict[Fact, None] = {}
        pending = list(reversed(conjunction))
        while pending:
            fact = pending.pop()
            if fact not in facts:
                facts[fact] = None
                # Only what lies around it in every way in which it was met is implied.
                first, *others = self.knowledge.tables[fact[0]].around
                pending.extend(outer for outer in first if all(outer in other for other in others))
        return tuple(facts)

    def _clauses(self, conjunctions: list[Conjunction], number: int) -> list[Clause]:
        # Points of one block share their facts, and most of them are single: each is tabulated once.
        key = conjunctions[0] if len(conjunctions) == 1 else None
        if key is not None and key in self._tables:
            return self._tables[key]
        found = self._clause(conjunctions, number)
        result = [found] if found is not None else []
        if key is not None:
            self._tables[key] = result
        return result

    def _clause(self, conjunctions: list[Conjunction], number: int) -> Clause | None:
        knowledge = self.knowledge
        point = knowledge.points[number]
        held, refuted = knowledge.tabulate(conjunctions, str(point.origin))
        variables = sorted({v for row in [*held, *refuted] for v in row}, key=knowledge.rank)
        # Nothing to decide, but it may tell where the point belongs.
        if not refuted:
            return self._always(conjunctions)
        self._refuse_real(variables, held, refuted, point)
        # A real point that got here makes no difference, so its column is dropped.
        finite = [v for v in variables if not _is_real(knowledge.points[v])]
        allowed, excluded = self._expand(held, finite, point), self._expand(refuted, finite, point)
        # A point makes no difference if, without its column, no row is both allowed and excluded.
        for variable in list(finite):
            at = finite.index(variable)
            fewer = (
                {row[:at] + row[at + 1 :] for row in allowed},
                {row[:at] + row[at + 1 :] for row in excluded},
            )
            if not fewer[0] & fewer[1]:
                allowed, excluded = fewer
                finite.remove(variable)
        return (tuple(finite), frozenset(allowed)) if finite else None

    def _always(self, conjunctions: list[Conjunction]) -> Clause | None:
        """Return a condition that always holds, but says where a point belongs (a loop's first turn)."""
        if len(conjunctions) != 1 or len(conjunctions[0]) != 1:
            return None
        named = [{v for v, _ in row} for row in self.knowledge.tables[conjunctions[0][0][0]].rows]
        if any(len(variables) != 1 or variables != named[0] for variables in named):
            return None
        (variable,) = named[0]
        point = self.knowledge.points[variable]
        # A large selection is not written out for it.
        if _is_real(point) or (_is_selection(point) and point.cardinality > self.knowledge.limit):
            return None
        return (variable,), frozenset((code,) for code in range(int(point.cardinality)))

    def _refuse_real(
        self,
        variables: list[int],
        held: Iterable[dict[int, Code]],
        refuted: Iterable[dict[int, Code]],
        point: Point,
    ) -> None:
        real = [v for v in variables if _is_real(self.knowledge.points[v])]
        if not real:
            return

        def without(rows: Iterable[dict[int, Code]]) -> set[frozenset[tuple[int, Code]]]:
            return {frozenset((v, c) for v, c in row.items() if v not in real) for row in rows}

        # The same test as for other points: without the real columns an assignment would be held and refuted.
        if without(held) & without(refuted):
            names = ", ".join(self.knowledge.addresses[v] for v in real)
            raise ProgramError(
                f"{point.origin}: which points exist cannot hang on a real number; "
                f"{point.address!r} exists for some values of {names} and not for others; make that "
                "decision a {True, False} choice, or give the range a fact"
            )

    def _expand(
        self, rows: Iterable[dict[int, Code]], variables: Sequence[int], point: Point
    ) -> set[tuple[int, ...]]:
        result: set[tuple[int, ...]] = set()
        # Rows are partial assignments of the expansion; all of their points' codes are written out.
        limit = self.knowledge.limit * 16
        for row in rows:
            # A point that a row leaves open may have any code, or not exist.
            options = [
                [_rank(self.knowledge.points[v], row[v])]
                if v in row
                else [INACTIVE, *range(int(self.knowledge.points[v].cardinality))]
                for v in variables
            ]
            if math.prod(map(len, options)) + len(result) > limit:
                raise self.knowledge.too_many(set(variables), str(point.origin))
            result.update(itertools.product(*options))
        return result

    # -- the tree ------------------------------------------------------------------------------

    def _known(self, number: int) -> dict[tuple[int, ...], frozenset[tuple[int, ...]]]:
        """Return the conditions that hold where a point exists: its own and those of points they need."""
        found = self.implied.get(number)
        if found is None:
            # Entered before it is known, which ends circles.
            self.implied[number] = {}
            found = {}
            for variables, rows in self.clauses[number]:
                found[variables] = found[variables] & rows if variables in found else rows
                for position, variable in enumerate(variables):
                    # The clause holds only where this point exists; so what it needs holds, too.
                    if all(row[position] != INACTIVE for row in rows):
                        for key, more in self._known(variable).items():
                            found[key] = found[key] & more if key in found else more
            self.implied[number] = found
        return found

    def _place(self, number: int) -> None:
        clauses = self._needed(number)
        placed = _Placed(number)
        end = self._ends()
        # One-point conditions that a branch can express; those that allow INACTIVE hold without the parent.
        singles = [
            (variables[0], rows) for variables, rows in clauses
            if len(variables) == 1 and (INACTIVE,) not in rows and self._when(variables[0], rows)
        ]  # fmt: skip
        before = {v for variables, _ in clauses for v in variables}
        # Innermost first. Guards name earlier points, so a parent will do only if all that are named come
        # before the end of what lies inside it.
        for parent, rows in sorted(singles, key=lambda item: -self.position[item[0]]):
            if all(self.position[v] <= end[parent] for v in before):
                placed.parent = parent
                placed.when = self._when(parent, rows)
                clauses = [clause for clause in clauses if clause != ((parent,), rows)]
                break
        placed.guards = [clause for clause in clauses if not self._idle(clause)]
        self.placed[number] = placed
        (self.roots if placed.parent is None else self.placed[placed.parent].children).append(number)

    def _idle(self, clause: Clause) -> bool:
        """Whether a condition on one point allows everything it can be."""
        variables, rows = clause
        # Only of a point that always exists: of another, "any of its codes" still says that it does.
        always = len(variables) == 1 and len(rows) >= int(self.knowledge.points[variables[0]].cardinality)
        return always and not self.clauses[variables[0]]

    def _needed(self, number: int) -> list[Clause]:
        """Drop conditions that the other conditions' points imply."""
        clauses = self.clauses[number]
        result = []
        for clause in clauses:
            variables, rows = clause
            others = [other for other in clauses if other is not clause]
            implied = False
            for other_variables, other_rows in others:
                for position, variable in enumerate(other_variables):
                    if any(row[position] == INACTIVE for row in other_rows):
                        continue
                    # What exists with `variable` is known, and is at least as narrow as this clause.
                    known = self._known(variable).get(variables)
                    implied |= known is not None and known <= rows
            if not implied:
                result.append(clause)
        return result

    def _when(self, parent: int, rows: frozenset[tuple[int, ...]]) -> tuple[int, ...]:
        """Return the codes of a branch that stands for a one-point condition; empty where none does."""
        point = self.knowledge.points[parent]
        ranks = {row[0] for row in rows}
        if isinstance(point, Permutation):
            return ()
        if not isinstance(point, ManyOf):
            return tuple(sorted(ranks))
        # A branch of a subset is taken if any of its candidates was chosen. So a set of candidates stands
        # for the condition if each allowed subset holds one of them and no refused subset does.
        values = [frozenset(point.code(value)) for value in point.values()]
        chosen = [codes for rank, codes in enumerate(values) if rank in ranks]
        refused = [codes for rank, codes in enumerate(values) if rank not in ranks]
        when = set(range(point.codes)).difference(*refused)
        return tuple(sorted(when)) if when and all(codes & when for codes in chosen) else ()

    def _ends(self) -> dict[int, int]:
        """Number what is placed in pre-order; return the last number inside each point."""
        self.position: dict[int, int] = {}
        ends: dict[int, int] = {}

        def walk(number: int) -> None:
            self.position[number] = len(self.position)
            for child in self.placed[number].children:
                walk(child)
            ends[number] = len(self.position) - 1

        for root in self.roots:
            walk(root)
        return ends

    def _build(self, number: int) -> Point:
        placed, knowledge = self.placed[number], self.knowledge
        branches: list[Branch] = []
        groups: list[tuple[tuple[int, ...], list[int]]] = []
        for child in placed.children:
            when = self.placed[child].when
            # Only neighbours share a branch: order among siblings is the program's.
            if groups and groups[-1][0] == when:
                groups[-1][1].append(child)
            else:
                groups.append((when, [child]))
        for when, children in groups:
            branches.append(Branch(when, tuple(self._build(child) for child in children)))
        guards = tuple(
            Guard(tuple(knowledge.addresses[v] for v in variables), rows) for variables, rows in placed.guards
        )
        return knowledge.points[number].replace(branches=tuple(branches), guards=guards)


def _candidates(facts: Conjunction) -> set[Fact]:
    """Return the facts that name the candidate of a turn; see `tracked_hooks._names_a_candidate`."""
    return {fact for fact in facts if isinstance(fact[1], tuple) and fact[1][-1] is not None}


def _is_selection(point: Point) -> bool:
    return isinstance(point, (ManyOf, Permutation))


def _rank(point: Point, code: Code) -> int:
    """Return a survey's code as guards have it: of a selection its rank."""
    return int(point.rank(code)) if _is_selection(point) else int(code)  # type: ignore[call-overload]


def _is_real(point: Point) -> bool:
    return isinstance(point, FloatRange) and math.isinf(point.cardinality)
