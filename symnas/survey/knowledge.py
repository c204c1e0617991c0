"""What a survey has learnt: runs, the points they met, and conditions as tables over points.

A row of a table says: whatever agrees with these codes gives this outcome, where the condition is met at all.
Rows come from runs, and name only the points that the outcome was seen to depend on: where `k` is not 3, the
row of `k == 3 and n > 1` names `k` alone. So a table is a decision diagram rather than a truth table, and it
is complete when its rows cover all codes of the points that they name.

What a run says is as good as what was known of effects when it was made: before it was seen that a branch
which was not taken changes an object, conditions on that object had fewer labels, or went unnoticed. So
everything is kept with the runs that said it, as a set of bits, and what is said no more when some of them
have been done again is forgotten (`Knowledge.doubt`, `Knowledge.forget`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symnas.errors import ProgramError
from symnas.tree.choices import FloatRange, IntRange, Point
from symnas.tree.ranges import LONG

Code = Hashable
"""What a point was: a rank in its domain, a real number, or of a selection the tuple of candidates' codes."""
Row = Mapping[int, Code]
Fact = tuple[Hashable, Hashable]
"""A condition and its outcome."""
Conjunction = tuple[Fact, ...]
"""Facts that hold together, outermost first: what lies around a place in a run."""


_Rows = list[tuple[dict[int, Code], Hashable]]
_Open = list[tuple[Hashable, _Rows]]
"""A conjunction being decided: of each fact the outcome, and the rows of its condition that still fit."""


@dataclass(frozen=True)
class PointSeen:
    """A point met by a run: its node, its code, and the conditions around it."""

    point: Point
    code: Code
    around: Conjunction


@dataclass(frozen=True)
class ConditionSeen:
    """A condition met by a run."""

    key: Hashable
    labels: int
    outcome: Hashable
    around: Conjunction
    may: bool
    effects: bool
    line: str


@dataclass(frozen=True)
class RunSeen:
    """One run: points and conditions in order, and how it failed if it did."""

    points: tuple[PointSeen, ...]
    conditions: tuple[ConditionSeen, ...]
    error: Exception | None = None


@dataclass
class Table:
    """Everything known about one condition."""

    key: Hashable
    line: str
    may: bool = False
    effects: bool = False
    # Partial assignment -> outcome; the runs that showed the row; the ways in which the condition was met,
    # with the runs that met it so; assignments given up, since no run met it there.
    rows: dict[frozenset[tuple[int, Code]], Hashable] = field(default_factory=dict)
    shown: dict[frozenset[tuple[int, Code]], int] = field(default_factory=dict)
    around: dict[Conjunction, int] = field(default_factory=dict)
    dead: set[frozenset[tuple[int, Code]]] = field(default_factory=set)
    _giving: dict[Hashable, list[frozenset[tuple[int, Code]]]] = field(default_factory=dict)
    _counted: int = 0

    def giving(self, outcome: Hashable) -> Sequence[frozenset[tuple[int, Code]]]:
        """Return the rows with an outcome."""
        if self._counted != len(self.rows):
            self._giving, self._counted = {}, len(self.rows)
            for row, found in self.rows.items():
                self._giving.setdefault(found, []).append(row)
        return self._giving.get(outcome, ())

    @property
    def reach(self) -> bool:
        """Whether it says that a place inside a `try` is reached: no other outcome can be met."""
        return isinstance(self.key, tuple) and self.key[0] == "reach"

    def matching(self, prefix: Row) -> list[tuple[frozenset[tuple[int, Code]], Hashable]]:
        """Return the rows that do not contradict an assignment."""
        return [
            (row, outcome) for row, outcome in self.rows.items() if all(prefix.get(v, c) == c for v, c in row)
        ]


@dataclass
class Knowledge:
    """Points and conditions of all runs so far.

    Args:
        limit: how many joint assignments one condition may take.
    """

    limit: int = 4096
    numbers: dict[str, int] = field(default_factory=dict)
    """Address -> label."""
    addresses: list[str] = field(default_factory=list)
    points: dict[int, Point] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    around: dict[int, dict[Conjunction, int]] = field(default_factory=dict)
    """Of every point the ways in which it was met, each with the runs that met it so."""
    tables: dict[Hashable, Table] = field(default_factory=dict)
    codes: dict[int, dict[Code, None]] = field(default_factory=dict)
    """Codes seen, of every point."""
    changed: dict[Hashable, None] = field(default_factory=dict)
    domains: Callable[[Point], Sequence[Code]] = lambda point: range(int(point.cardinality))
    ranks: dict[int, int] = field(default_factory=dict)

    def number(self, address: str) -> int:
        """Return the label of an address."""
        found = self.numbers.get(address)
        if found is None:
            found = self.numbers[address] = len(self.addresses)
            self.addresses.append(address)
        return found

    def learn(self, trace: RunSeen, run: int = 0) -> None:
        """Take a run in, the first one or a later one of its number."""
        said = 1 << run
        values = {self.number(met.point.address): met.code for met in trace.points}
        previous: int | None = None
        known = set(self.order)
        for met in trace.points:
            number = self.number(met.point.address)
            self._same(number, met.point)
            # A new point goes behind the one met before it, which is where the program's text has it.
            if number not in known:
                self.order.insert(0 if previous is None else self.order.index(previous) + 1, number)
                known.add(number)
            ways = self.around.setdefault(number, {})
            ways[met.around] = ways.get(met.around, 0) | said
            self.codes.setdefault(number, {})[met.code] = None
            previous = number
        self.ranks = {number: rank for rank, number in enumerate(self.order)}
        for condition in trace.conditions:
            table = self.tables.get(condition.key)
            if table is None:
                table = self.tables[condition.key] = Table(condition.key, condition.line)
            # It may differ from run to run, by which function is called: one that matters is enough.
            table.may |= condition.may
            table.effects |= condition.effects
            # Met in a new way, what seemed impossible may be possible.
            if condition.around not in table.around:
                table.dead.clear()
                self.changed[condition.key] = None
            table.around[condition.around] = table.around.get(condition.around, 0) | said
            # A label without a value belongs to a point that this run gave none.
            row = frozenset((v, values[v]) for v in bits(condition.labels) if v in values)
            if row not in table.rows:
                table.rows[row] = condition.outcome
                self.changed[condition.key] = None
            table.shown[row] = table.shown.get(row, 0) | said

    def doubt(self, runs: int) -> None:
        """Take some runs, as bits, for no longer saying what they said; they are to be done again."""
        accounts: list[dict[Any, int]] = list(self.around.values())
        for table in self.tables.values():
            accounts += [table.shown, table.around]
        for account in accounts:
            for key, said in account.items():
                account[key] = said & ~runs

    def forget(self) -> None:
        """Forget what no run says any more; points, their order and codes stay."""
        # A program that goes another way when it is run again hangs on something that is no choice. That is
        # told by the check at the end, for which everything is kept.
        if any(not any(conjunctions.values()) for conjunctions in self.around.values()):
            return
        for number, conjunctions in self.around.items():
            self.around[number] = {key: said for key, said in conjunctions.items() if said}
        for key, table in list(self.tables.items()):
            fewer = [row for row, said in table.shown.items() if not said]
            for row in fewer:
                del table.rows[row], table.shown[row]
            table._counted = -1 if fewer else table._counted
            around = {way: said for way, said in table.around.items() if said}
            if not table.rows:
                del self.tables[key]
            elif fewer or len(around) < len(table.around):
                table.around = around
                table.dead.clear()
            if fewer:
                self.changed[key] = None

    def _same(self, number: int, point: Point) -> None:
        # A default may differ, since the code may compute it from other choices; the first run's stays.
        known = self.points.setdefault(number, point)
        default = getattr(point, "default", None)
        if known is not point and known != point and known.replace(default=default) != point:
            raise ProgramError(
                f"{point.origin}: a point has one domain, whatever was chosen before; {point.address!r} was "
                f"{known.domain} in one run and {point.domain} in another; write the choice twice, under the "
                "condition that makes the difference, or give the candidates labels that stay"
            )

    def tabulate(
        self, conjunctions: Sequence[Conjunction], what: str
    ) -> tuple[list[dict[int, Code]], list[dict[int, Code]]]:
        """Return the assignments under which one of several conjunctions holds, and those where none does."""
        held: list[dict[int, Code]] = []
        refuted: list[dict[int, Code]] = []
        opened = [
            [(outcome, [(dict(row), found) for row, found in self.tables[key].rows.items()])
             for key, outcome in conjunction]
            for conjunction in conjunctions
        ]  # fmt: skip
        for prefix, verdict in self._decide(opened, {}, [0], what):
            (held if verdict else refuted).append(prefix)
        return held, refuted

    def _decide(
        self, conjunctions: Sequence[_Open], prefix: dict[int, Code], count: list[int], what: str
    ) -> Iterator[tuple[dict[int, Code], bool]]:
        # Shannon expansion: assign one more point, the first in the program's order, until the disjunction is
        # decided. Each path of the expansion is one partial assignment, so what is told apart stays small.
        # Rows are passed on only where they fit, so that each is looked at once per point that it names.
        left, variables = [], set()
        for conjunction in conjunctions:
            verdict, free = _evaluated(conjunction, prefix)
            if verdict is True:
                yield prefix, True
                return
            if verdict is None:
                left.append(conjunction)
                variables |= free
        if not left:
            yield prefix, False
            return
        count[0] += 1
        if count[0] > self.limit:
            raise self.too_many(variables | set(prefix), what)
        variable = min(variables, key=self.rank)
        codes = self.domain(variable, what)
        fitting = [[(outcome, _by_code(rows, variable)) for outcome, rows in facts] for facts in left]
        for code in codes:
            narrowed = [
                [(outcome, [*by_code.get(code, ()), *either]) for outcome, (by_code, either) in facts]
                for facts in fitting
            ]
            yield from self._decide(narrowed, {**prefix, variable: code}, count, what)

    def rank(self, variable: int) -> int:
        """Return where a point stands in the program's order."""
        return self.ranks.get(variable, len(self.ranks))

    def domain(self, variable: int, what: str) -> Sequence[Code]:
        """Return the codes that a point may have in a table; selections are listed here alone, if few."""
        point = self.points[variable]
        if point.kind in ("manyof", "permutation") and point.cardinality > self.limit:
            raise ProgramError(
                f"{what}: a condition that decides which points exist is tried under all values of the "
                f"points it depends on, up to {self.limit} of them; this one depends on {point.address!r}, a "
                f"selection with {int(point.cardinality)} values; make the decision a choice of its own, "
                "select from fewer candidates, or raise the bound (`symnas.program(…, joint_limit=N)`)"
            )
        if isinstance(point, IntRange | FloatRange) and point.codes > LONG:
            raise ProgramError(
                f"{what}: a condition that decides which points exist is tried under all values of the "
                f"points it depends on; this one depends on {point.address!r}, a range with {point.codes:,} "
                "values; give it a larger step, or make the decision a choice of its own"
            )
        return self.domains(point)

    def missing(
        self, table: Table, domains: Callable[[Point], Sequence[Code]] | None = None
    ) -> Iterator[dict[int, Code]]:
        """Yield assignments of a condition that no run has tried; `domains` says what to try of a point."""
        yield from self._missing(table, list(table.rows), {}, [0], domains)

    def _missing(
        self,
        table: Table,
        rows: list[frozenset[tuple[int, Code]]],
        prefix: dict[int, Code],
        count: list[int],
        domains: Callable[[Point], Sequence[Code]] | None,
    ) -> Iterator[dict[int, Code]]:
        # The same expansion, over rows: where no row fits an assignment any more, nothing is known of it.
        if not rows:
            if frozenset(prefix.items()) not in table.dead:
                yield prefix
            return
        variables = {v for row in rows for v, _ in row if v not in prefix}
        # One row that fits names no other point: it says what comes out here.
        if not variables:
            return
        count[0] += 1
        if count[0] > self.limit:
            raise self.too_many(variables | set(prefix), table.line)
        variable = min(variables, key=self.rank)
        # Rows by their code of this point, and those that leave it open and so fit every code.
        fitting: dict[Code, list[frozenset[tuple[int, Code]]]] = {}
        either: list[frozenset[tuple[int, Code]]] = []
        for row in rows:
            named = next(([c] for v, c in row if v == variable), [])
            (fitting.setdefault(named[0], []) if named else either).append(row)
        codes = domains(self.points[variable]) if domains else self.domain(variable, table.line)
        for code in codes:
            chosen = [*fitting.get(code, ()), *either]
            yield from self._missing(table, chosen, {**prefix, variable: code}, count, domains)

    def too_many(self, variables: set[int], what: str) -> ProgramError:
        """Return the error for a condition over too many points."""
        names = [self.addresses[v] for v in sorted(variables, key=self.rank)]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return ProgramError(
            f"{what}: a condition that decides which points exist is tried under all joint values of the "
            f"points it depends on, up to {self.limit} of them; this one depends on {shown}; make the "
            "decision a choice of its own, let it depend on fewer points, or raise the bound "
            "(`symnas.program(…, joint_limit=N)`)"
        )


def _evaluated(conjunction: _Open, prefix: Row) -> tuple[bool | None, set[int]]:
    # no row with this outcome fits           the conjunction is refuted, or its condition not met
    # all rows that fit have this outcome     the fact holds
    # rows of both kinds fit                  open, until one of the points that they name is assigned
    free: set[int] = set()
    for outcome, rows in conjunction:
        met = sum(found == outcome for _, found in rows)
        if not met:
            return False, set()
        if met < len(rows):
            free |= {v for row, _ in rows for v in row if v not in prefix}
    return (True, free) if not free else (None, free)


def _by_code(rows: _Rows, variable: int) -> tuple[dict[Code, _Rows], _Rows]:
    """Sort rows by their code of a point; those that leave it open fit every code."""
    by_code: dict[Code, _Rows] = {}
    either: _Rows = []
    for item in rows:
        row = item[0]
        (by_code.setdefault(row[variable], []) if variable in row else either).append(item)
    return by_code, either


def code_of(point: Point, value: object) -> Code:
    """Return the survey's code of a value; the rank of a selection would need all of them listed."""
    if isinstance(point, FloatRange) and point.step is None:
        return float(value)  # type: ignore[arg-type]
    code = point.code(value)
    return code if isinstance(code, tuple) else int(point.rank(code))


def bits(labels: int) -> Iterator[int]:
    """Yield the labels of a set."""
    while labels:
        # In two's complement x & -x is the lowest bit of x.
        low = labels & -labels
        yield low.bit_length() - 1
        labels ^= low
