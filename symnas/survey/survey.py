"""From a program to its complete tree, by running it under decisions that are chosen to tell the most.

Every run follows a decision; the dependence tracker says which conditions it met, what they depend on and how
they came out, which are rows of tables (`knowledge`). Which run is next follows from the tables:

1. first the defaults, then every number at its highest: long loops meet most points at once;
2. while a table that decides about points lacks a row, an assignment of that row, completed by rows of the
   conditions around it so that it is met at all. Assignments that do not contradict each other share a run.
   Concolic testing goes on like this (Godefroid, Klarlund and Sen, "DART", 2005), with a constraint solver
   where there are tables over finite domains here;
3. every candidate once, so that one that cannot be built is found;
4. again what was run before something new was seen of what branches change that were not taken; what those
   runs said only when it was not known is forgotten;
5. random decisions, as a check on the tracker itself.

It ends: domains are finite (a real choice is probed at a few values), so are tables over the points that they
name, and a round adds a row or, after a few attempts, gives an assignment up as one that cannot be met.

It is complete: let a decision meet a point that no run has met, and take the first condition on its way
whose outcome under these codes is in no table. Until there, by the law of the tracker, its run goes like
known ones, so the condition is known with what it depends on, and its table lacks a row: the survey had not
ended. What was given up wrongly, or flowed past the tracker, is what the random decisions are for.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from symnas.errors import ProgramError, SpaceError
from symnas.survey.assembly import assemble
from symnas.survey.knowledge import Code, Fact, Knowledge, Row, RunSeen, Table, bits, code_of
from symnas.tree.choices import FloatRange, IntRange, ManyOf, OneOf, Permutation, Point
from symnas.tree.ranges import LONG
from symnas.tree.space import Space
from symnas.tree.subsets import Subsets

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

DEFAULT, LONGEST, RANDOM = "default", "longest", "random"
# Runs before an assignment is given up; tries of a condition over several points that only changes objects;
# evenly spaced values of a real range.
_ATTEMPTS = 4
_EFFECT_TASKS = 24
_PROBES = 5
# Of a selection with more values not all are tried under conditions that only change objects, but some that
# cover the candidates.
_LISTED = 64
_SELECTIONS = (ManyOf, Permutation)


class Runner(Protocol):
    """Runs a program with tracking."""

    def run(self, decide: Callable[[Point], Code], knowledge: Knowledge) -> RunSeen:
        """Run the program once; `decide` gives the code (rank, or real number) of every point that is met."""

    def outdated(self, number: int) -> int:
        """Close run `number`; return the runs, as bits, that did not know what it showed of what changes."""


@dataclass
class _Task:
    """Something to be tried: an assignment, and the condition or point that it is for."""

    assignment: dict[int, Code]
    prefix: frozenset[tuple[int, Code]]
    table: Table | None = None


@dataclass
class Survey:
    """One survey.

    Args:
        runner: runs the program.
        joint_limit: joint assignments tried per condition.
        max_runs: bound on all runs.
        checks: random decisions run afterwards.
        constants: numbers in the program's text, around which real choices are probed.
    """

    runner: Runner
    joint_limit: int = 4096
    max_runs: int = 20_000
    checks: int = 12
    constants: Sequence[float] = ()
    runs: int = 0
    explain: Callable[[Mapping[str, Any], Exception], Exception] = lambda _, error: error
    """Turns what the user's code raised under some values into the error to show."""
    watch: Callable[[int, int, str], None] = lambda *_: None
    """Is told after each run how many there were, how many points are known, and which line is looked at."""
    vary: Callable[[int | None], bool] = lambda _: False
    """Has runs begin with other random numbers, where they draw any; says whether they do."""
    blame: Callable[[Mapping[str, Any]], Exception | None] = lambda _: None
    """Says which line makes runs under one decision differ, if one does."""

    def __post_init__(self) -> None:
        """Start without knowledge."""
        self.knowledge = Knowledge(self.joint_limit, domains=self._domain)
        # Of each table, and of each point's values, how often an assignment was tried.
        self.attempts: dict[Hashable, dict[frozenset[tuple[int, Code]], int]] = {}
        self.asked: list[tuple[dict[int, Code], str, int]] = []
        self.failed: dict[tuple[int, Code], Exception] = {}
        self.worked: set[tuple[int, Code]] = set()
        self.looking = ""
        self.outdated = 0
        """The runs, as bits, that were made without knowing all that was seen since of what code changes."""
        # Tables that have changed since they were found complete; the others need no second look.
        self.stale: dict[Hashable, None] = {}

    def space(self, requires: tuple[str, ...] = ()) -> Space:
        """Run the survey and return the tree."""
        first = self._run({}, DEFAULT)
        if first.error is not None and not first.points:
            raise self.explain({}, first.error)
        self._run({}, LONGEST)
        self._exhaust()
        self._catch_up()
        self._report_failures(first)
        for _ in range(8):
            self._catch_up()
            space = self._assemble(requires)
            if self._agrees(space):
                return space
            self._exhaust()
        raise ProgramError(self._disagreement)

    def _catch_up(self) -> None:
        """Run again what was run before it was known what code changes under conditions.

        The same decisions meet the same points, but under more conditions, and conditions with more labels.
        So once all are done again, what was said before and is not said now was said too early: a point that
        a branch of some run takes away was met under nothing, and is met under what the branch depends on.
        """
        while self.outdated:
            self.knowledge.doubt(self.outdated)
            for number in bits(self.outdated):
                asked, policy, seed = self.asked[number]
                self._run(asked, policy, seed, again=number)
            self.knowledge.forget()
            # Of these tables rows are missing again, so what was tried for them counts no more.
            for key in self.knowledge.changed:
                self.attempts.pop(key, None)
            self._note_changes()
            self._exhaust()

    # -- running -------------------------------------------------------------------------------

    def _run(
        self, assignment: dict[int, Code], policy: str, seed: int = 0, again: int | None = None
    ) -> RunSeen:
        self.runs += 1
        if self.runs > self.max_runs:
            raise ProgramError(
                f"a survey takes at most {self.max_runs} runs, and conditions are left to try; fewer "
                "conditions that depend on several points, or choices of their own for them, would help "
                "(`symnas.program(…, max_runs=N)` raises the bound)"
            )
        if again is None:
            self.asked.append((dict(assignment), policy, seed))
        number = len(self.asked) - 1 if again is None else again
        rng = random.Random(seed)
        numbers = self.knowledge.numbers

        def decide(point: Point) -> Code:
            label = numbers.get(point.address)
            if label is not None and label in assignment:
                return assignment[label]
            return self._policy(point, policy, rng)

        trace = self.runner.run(decide, self.knowledge)
        # This one knows what was seen before it.
        self.outdated = (self.outdated & ~(1 << number)) | self.runner.outdated(number)
        self._take(trace, number)
        self.watch(self.runs, len(self.knowledge.points), self.looking)
        return trace

    def _take(self, trace: RunSeen, number: int) -> None:
        knowledge = self.knowledge
        knowledge.learn(trace, number)
        self._note_changes()
        values = {knowledge.number(met.point.address): met.code for met in trace.points}
        if trace.error is None:
            self.worked.update(values.items())
        else:
            for item in values.items():
                self.failed.setdefault(item, trace.error)

    def _note_changes(self) -> None:
        self.stale.update(self.knowledge.changed)
        self.knowledge.changed = {}

    def _domain(self, point: Point) -> Sequence[Code]:
        if isinstance(point, FloatRange) and point.step is None:
            low, high = point.low, point.high
            # A program compares a real choice with numbers in its text: both sides of each are probed.
            near = [c + d * (high - low) for c in self.constants for d in (-1e-6, 0, 1e-6) if low < c < high]
            probes = {low, high, point.default, *np.linspace(low, high, _PROBES).tolist(), *near[:30]}
            return sorted(p for p in probes if low <= p <= high)
        return list(point.subsets) if isinstance(point, _SELECTIONS) else range(int(point.cardinality))

    def _policy(self, point: Point, policy: str, rng: random.Random) -> Code:
        default = point.default  # type: ignore[attr-defined]
        if isinstance(point, FloatRange) and point.step is None:
            return float(default)
        if isinstance(point, _SELECTIONS) and policy != DEFAULT:
            return _selected(point, policy, rng)
        if policy == RANDOM:
            return rng.randrange(min(int(point.cardinality), 1 << 40))
        if policy == LONGEST and isinstance(point, IntRange):
            return int(point.cardinality) - 1
        return code_of(point, default)

    # -- what is left to try -------------------------------------------------------------------

    def _exhaust(self) -> None:
        """Run until every table is complete."""
        # A round's tasks are gathered before any is run: the more there are, the fewer runs they share.
        while True:
            tasks = list(self._tasks())
            if not tasks:
                return
            for number, assignment in enumerate(_packed(tasks)):
                # What the assignment leaves open may keep the condition from being met; so vary it with the
                # tries.
                self.looking = next((task.table.line for task in tasks[number:] if task.table), "")
                policy = (LONGEST, DEFAULT, RANDOM)[min(2, max(self._tries(tasks)) - 1)]
                self._run(assignment, policy, self.runs + number)
            self._mark_dead(tasks)

    def _tries(self, tasks: list[_Task]) -> list[int]:
        return [self._tried(task.table.key, task.prefix) or 1 if task.table else 1 for task in tasks]

    def _tasks(self) -> Iterator[_Task]:
        knowledge = self.knowledge
        for key in list(self.stale):
            table = knowledge.tables.get(key)
            if table is None or not (wanted := self._wanted(table)):
                self.stale.pop(key, None)
                continue
            for prefix in wanted:
                attempt = self._tried(key, frozenset(prefix.items())) + 1
                assignment = self._witness(table, prefix, attempt)
                if assignment is None:
                    continue
                self._attempt(key, prefix)
                yield _Task(assignment, frozenset(prefix.items()), table)
        for number in knowledge.order:
            point = knowledge.points[number]
            if isinstance(point, (OneOf, IntRange)):
                codes = range(point.codes) if isinstance(point, OneOf) else (0, int(point.cardinality) - 1)
                for code in codes:
                    if code not in knowledge.codes[number]:
                        attempt = self._attempt(("value", number), {number: code})
                        if attempt <= _ATTEMPTS:
                            yield _Task(self._active({number: code}, attempt), frozenset({(number, code)}))

    def _attempt(self, key: Hashable, prefix: Row) -> int:
        tried, assignment = self.attempts.setdefault(key, {}), frozenset(prefix.items())
        tried[assignment] = tried.get(assignment, 0) + 1
        return tried[assignment]

    def _tried(self, key: Hashable, prefix: frozenset[tuple[int, Code]]) -> int:
        return self.attempts.get(key, {}).get(prefix, 0)

    def _wanted(self, table: Table) -> list[dict[int, Code]]:
        """Return what to try; conditions that only change objects are tried until they went both ways."""
        # On these hang points: all of their rows are needed.
        if table.may:
            return list(self.knowledge.missing(table))
        if not table.effects:
            return []
        wanted: list[dict[int, Code]] = []
        # Over several points the joint values are many, and objects are all that is at stake: a few are
        # tried.
        tried = len(self.attempts.get(table.key, ()))
        # What other conditions asked for shows rows of this one as well, as do the turns of one loop.
        tried = max(tried, len(table.rows))
        several = len({v for row in table.rows for v, _ in row}) > 1
        if several and (len(set(table.rows.values())) > 1 or tried > _EFFECT_TASKS):
            return []
        try:
            for prefix in self.knowledge.missing(table, self._some):
                wanted.append(prefix)
                if several and len(wanted) >= _EFFECT_TASKS // 4:
                    break
        except ProgramError:
            return wanted
        return wanted

    def _some(self, point: Point) -> Sequence[Code]:
        """Return what to try of a point under a condition that only changes objects."""
        if isinstance(point, IntRange | FloatRange) and point.codes > LONG:
            return (0, point.codes // 2, point.codes - 1)
        broad = isinstance(point, _SELECTIONS) and point.cardinality > _LISTED
        return _covering(point.subsets) if broad else self._domain(point)  # type: ignore[attr-defined]

    def _witness(self, table: Table, prefix: dict[int, Code], attempt: int) -> dict[int, Code] | None:
        """Return an assignment that meets the condition under these codes, or None if none is known."""
        conjunctions = list(table.around)
        # One way to the condition is enough; each further attempt begins with another one.
        budget = [200]
        for offset in range(len(conjunctions)):
            conjunction = conjunctions[(attempt - 1 + offset) % len(conjunctions)]
            found = self._satisfy(list(conjunction), dict(prefix), budget)
            if found is not None:
                return self._active(found, attempt)
        return self._active(dict(prefix), attempt) if budget[0] <= 0 else None

    def _satisfy(
        self, facts: list[Fact], assignment: dict[int, Code], budget: list[int]
    ) -> dict[int, Code] | None:
        # Depth-first over the rows of each condition around: a conjunction of tables is solved by
        # backtracking.
        if not facts:
            return assignment
        key, outcome = facts[0]
        for row in self.knowledge.tables[key].giving(outcome):
            if budget[0] <= 0:
                return None
            if all(assignment.get(v, c) == c for v, c in row):
                budget[0] -= 1
                result = self._satisfy(facts[1:], {**assignment, **dict(row)}, budget)
                if result is not None:
                    return result
        return None

    def _active(self, assignment: dict[int, Code], attempt: int) -> dict[int, Code]:
        """Add what makes the assignment's own points exist."""
        # Innermost first: what makes one exist may assign a point further out, which then has to exist as
        # well.
        done: set[int] = set()
        pending = sorted(assignment, key=self.knowledge.rank, reverse=True)
        while pending:
            number = pending.pop(0)
            if number in done:
                continue
            done.add(number)
            conjunctions = list(self.knowledge.around.get(number, ()))
            for offset in range(len(conjunctions)):
                conjunction = conjunctions[(attempt - 1 + offset) % len(conjunctions)]
                found = self._satisfy(list(conjunction), assignment, [50])
                if found is not None:
                    pending.extend(v for v in found if v not in assignment)
                    assignment = found
                    break
        return assignment

    def _mark_dead(self, tasks: list[_Task]) -> None:
        """Give up assignments under which the condition is never met."""
        for task in tasks:
            if task.table is None or task.table.matching(dict(task.prefix)):
                continue
            if self._tried(task.table.key, task.prefix) >= _ATTEMPTS:
                # Inside a `try` there is one outcome to be seen, reached; what never reaches it is the other.
                if task.table.reach:
                    task.table.rows[task.prefix] = False
                else:
                    task.table.dead.add(task.prefix)
                self.stale[task.table.key] = None

    # -- candidates that cannot be built -------------------------------------------------------

    def _report_failures(self, first: RunSeen) -> None:
        """A candidate that failed wherever it was tried is an error; the original exception is the cause."""
        if first.error is not None and not self.worked:
            raise self.explain({}, first.error)
        for (number, code), error in self.failed.items():
            if (number, code) in self.worked or not isinstance(self.knowledge.points[number], OneOf):
                continue
            assignment = self._active({number: code}, 1)
            for attempt, policy in enumerate((DEFAULT, LONGEST, RANDOM, RANDOM, RANDOM, RANDOM)):
                if (number, code) not in self.worked:
                    self._run(assignment, policy, attempt)
            if (number, code) not in self.worked:
                points = self.knowledge.points
                values = {points[n].address: points[n].value(c) for n, c in assignment.items()
                          if points[n].kind in ("oneof", "int")}  # fmt: skip
                raise self.explain(values, error)

    # -- checks --------------------------------------------------------------------------------

    def _assemble(self, requires: tuple[str, ...]) -> Space:
        try:
            return assemble(self.knowledge, requires)
        except SpaceError as error:
            raise ProgramError(f"the points that were found make no tree: {error}") from error

    def _agrees(self, space: Space) -> bool:
        """Run random decisions; whether each met exactly its active points."""
        draws = self.vary(None)
        if not space.addresses and not draws:
            return True
        self._disagreement = ""
        rng = np.random.default_rng(0)
        agreed = True
        for number, decision in enumerate(
            Space(space.points).sample(self.checks, rng)
        ):  # whatever clauses say
            wanted = dict(decision)
            codes = {}
            for address, value in wanted.items():
                point = space[address]
                if point.kind != "tied":
                    codes[address] = code_of(point, value)
            numbers = {self.knowledge.number(address): code for address, code in codes.items()}
            self.vary(number)
            trace = self._run(numbers, DEFAULT)
            self.vary(None)
            if trace.error is not None:
                continue
            met = {item.point.address for item in trace.points}
            if met != set(wanted):
                agreed = False
                self._disagreement = _difference(met, wanted)
                found = self.blame(wanted)
                if found is not None:
                    raise found
        return agreed


def survey(program: ProgramView, *, joint_limit: int = 4096, max_runs: int = 20_000) -> Space:
    """Survey a program and return its complete tree.

    Args:
        program: the program.
        joint_limit: how many joint values of the points that it depends on one condition may be tried under.
        max_runs: how many runs the whole survey may take.

    Raises:
        ProgramError: conditions need more than the bounds allow, hang on a real number, or on
            something that is no choice.
        BuildError: the program fails under its defaults, or a candidate fails wherever it is tried.
    """
    from symnas.survey.progress import SurveyLine
    from symnas.survey.randomness import blamed
    from symnas.survey.runner import ProgramRunner, explain

    constants = {
        float(node.value)
        for source in program.internals.source_set.files.values()
        for node in ast.walk(source.parsed.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
    }
    runner = ProgramRunner(program)
    made = Survey(runner, joint_limit, max_runs, constants=sorted(constants))
    made.explain = lambda values, error: explain(program, values, error)
    made.vary, made.blame = runner.vary, lambda values: blamed(program, values)
    line = SurveyLine(program.name) if program.internals.show_progress else None
    if line is not None:
        made.watch = line.update
    try:
        return made.space(program.requires)
    except ProgramError as error:
        # Tables that contradict each other have other causes than the one that is told, if code draws.
        found = blamed(program, {}) if type(error) is ProgramError else None
        if found is None:
            raise
        raise found from None
    finally:
        if line is not None:
            line.close()


def _difference(met: set[str], wanted: Mapping[str, object]) -> str:
    more, fewer = sorted(met - set(wanted))[:4], sorted(set(wanted) - met)[:4]
    return (
        "which points exist must follow from the choices alone; under one and the same decision "
        + (f"{', '.join(more)} appeared unexpectedly" if more else f"{', '.join(fewer)} did not appear")
        + "; look for conditions on anything else (time, random numbers, state kept between runs, values "
        "computed outside the program's own code), and make them choices"
    )


def _selected(point: ManyOf | Permutation, policy: str, rng: random.Random) -> tuple[int, ...]:
    """Return the last of all selections, or a random one, without listing them unless they are few."""
    subsets = point.subsets
    if policy == RANDOM and not subsets.tabulated:
        (slots,) = subsets.draw(1, np.random.default_rng(rng.getrandbits(64))).tolist()
        return tuple(code for code in slots if code >= 0)
    if policy == RANDOM:
        return subsets.rows[rng.randrange(subsets.count)]
    if isinstance(point, Permutation):
        return tuple(point.code(point.default))
    if subsets.only:
        return subsets.only[-1]
    # The largest, of which the last in lexicographic order.
    n, size = subsets.n, subsets.high
    if subsets.repeats:
        return (n - 1,) * size
    return tuple(range(n - 1, n - 1 - size, -1)) if subsets.ordered else tuple(range(n - size, n))


def _covering(subsets: Subsets) -> list[tuple[int, ...]]:
    """Return a few selections that have every candidate in every place it can take, and every size.

    Without repeats and order, slot t of i, i + 1, …, holds i + t; so the starts i = 0 .. n - low cover all
    pairs of a slot and a candidate. In order, the n rotations do. About n + high - low of them in all.
    """
    n, low, high = subsets.n, subsets.low, subsets.high
    tried: Iterable[tuple[int, ...]] = subsets.only
    if not tried and subsets.ordered:
        turned = [tuple((start + slot) % n for slot in range(high)) for start in range(n)]
        tried = [*turned, *([(0,) * high] if subsets.repeats else [])]
    elif not tried:
        tried = [tuple(range(start, min(start + high, n))) for start in range(n - min(low, n) + 1)]
        if subsets.repeats:
            same = [(code,) * high for code in range(n)]
            tried = same + [tuple(min(at + slot, n - 1) for slot in range(high)) for at in range(n)]
    sizes = [] if subsets.only else [next(iter(tried))[:size] for size in range(low, high)]
    found: dict[tuple[int, ...], None] = {}
    met: set[tuple[int, ...]] = set()
    for codes in [*sizes, *tried]:
        pairs = {(len(codes),), *enumerate(codes)}
        # Of listed ones those that add a size or a pair.
        if codes in subsets and not (subsets.only and pairs <= met):
            met |= pairs
            found[codes] = None
    return list(found)


def _packed(tasks: list[_Task]) -> list[dict[int, Code]]:
    """Put tasks that do not contradict each other into shared runs."""
    slots: list[dict[int, Code]] = []
    for task in tasks:
        # First fit; older runs are rarely open to more, and looking through all would be quadratic.
        for slot in slots[-64:]:
            if all(slot.get(v, c) == c for v, c in task.assignment.items()):
                slot.update(task.assignment)
                break
        else:
            slots.append(dict(task.assignment))
    return slots
