"""A program's clauses over chosen values, found by a few runs and written down over points.

Clauses that stand at choices are told by variables there. A few runs write each down over points
(`tracing`), at each point where it stands; what is the same in all of them, and judged in all of them as the
code's own values are, becomes part of the space. The others are left to be judged when a decision is tried.
"""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from symnas._typing import COSTS, Value
from symnas.constraints.tracing import Leaf, Met, NoExpression, TracedRun, address_of
from symnas.errors import AnnotationError, Location, RequirementError
from symnas.tree.covering import covering
from symnas.tree.requirements.clauses import Clause
from symnas.tree.requirements.requirement import Requirement, Table, fresh, grounded, last_segment
from symnas.tree.space import Decision, Space

# Runs at least and at most, and the seconds after which there are no more than the least.
FEWEST, MOST, SECONDS = 10, 60, 0.8


class Traceable(Protocol):
    """The part of a program's inside that finding its clauses needs."""

    @property
    def local_requires(self) -> Iterable[str]:
        """Texts of the clauses that stand at choices."""

    @property
    def clause_places(self) -> Iterable[tuple[str, Location]]:
        """Every clause with the place where it stands."""

    def trace(self, run: TracedRun) -> None:
        """Construct the program under a run; what the code raises is nobody's mistake here."""


def settled(internals: Traceable, space: Space, has_inputs: bool) -> tuple[Space, bool]:
    """Return a program's space with its clauses over chosen values in it, and whether these are all.

    All of those over chosen values, that is; costs are judged apart.

    Args:
        internals: the program's inside.
        space: as it was surveyed, with the texts of all clauses.
        has_inputs: whether the program has example inputs.

    Raises:
        AnnotationError: a clause speaks of a cost that needs example inputs, and there are none; or the
            code's own values break a clause.
    """
    clauses = dict(_read(space.requires))
    if not has_inputs:
        for text, clause in clauses.items():
            _demand_inputs(internals, text, clause)
    local = {
        text: clauses[text].tree
        for text in internals.local_requires
        if text in clauses and not clauses[text].costs
    }
    found = list(grounded((t for t in space.requires if t not in local), space.addresses))
    valued = [text for text in space.requires if text not in clauses or not clauses[text].costs]
    told = len(valued) == len(found) + len(local)
    if local:
        traced, everywhere = _traced(internals, Space(space.points), local)
        found += traced
        told = told and everywhere
    made = Space(space.points, space.requires, tuple(_placed(each, internals) for each in found))
    _demand_default(internals, made)
    return made, told


def _read(texts: Iterable[str]) -> Iterator[tuple[str, Clause]]:
    for text in texts:
        with contextlib.suppress(RequirementError):  # told when it is judged
            yield text, Clause(text)


# -------------------------------------------------------------------- over points


def _traced(
    internals: Traceable, space: Space, trees: Mapping[str, ast.expr]
) -> tuple[list[Requirement], bool]:
    """Return the clauses that all runs write down alike, at each point where they stand.

    And whether that is all of them, at all points that the runs met.
    """
    alike: dict[tuple[str, str, int], tuple[Met, bool]] = {}
    seen: dict[str, dict[tuple[type, Value], Any]] = {}
    visited: set[str] = set()
    own = {name: Leaf(address) for name, address in _names(space).items()}
    started = time.monotonic()
    for count, decision in enumerate(_tried(space)):
        if count >= MOST or (count >= FEWEST and time.monotonic() - started > SECONDS):
            break
        with _unheard():
            run = TracedRun(decision, own, trees)
            internals.trace(run)
        visited.update(run.visits)
        for address, (label, value) in run.seen.items():
            seen.setdefault(address, {})[type(label), label] = value
        times: dict[tuple[str, str], int] = {}
        for met in run.met:
            nth = times[met.text, met.address] = times.get((met.text, met.address), -1) + 1
            key = met.text, met.address, nth
            before = alike.get(key)
            same = met.expression is not None and (before is None or before[0].expression == met.expression)
            alike[key] = met, same and (before is None or before[1])
    # What no run came past, or was written in different ways, only a run under the decision itself tells.
    everywhere = visited.issuperset(space.addresses) and all(same for _, same in alike.values())
    everywhere = everywhere and {text for text, _, _ in alike} == set(trees)
    found = []
    for met, same in alike.values():
        try:
            requirement = _requirement(met, space, seen) if same else None
        except NoExpression:
            everywhere = False
            continue
        if requirement is not None:
            found.append(requirement)
    return found, everywhere


def _tried(space: Space) -> Iterator[Decision]:
    yield space.default
    rng = np.random.default_rng(0)
    covers, draws = covering(space), (space.draw(rng) for _ in range(MOST))
    for pair in itertools.zip_longest(covers, draws):
        yield from (decision for decision in pair if decision is not None)


def _names(space: Space) -> dict[str, str]:
    by_name: dict[str, list[str]] = {}
    for address in space.addresses:
        by_name.setdefault(last_segment(address), []).append(address)
    return {name: found[0] for name, found in by_name.items() if len(found) == 1} | {
        address: address for address in space.addresses
    }


def _requirement(
    met: Met, space: Space, seen: Mapping[str, Mapping[tuple[type, Value], Any]]
) -> Requirement | None:
    assert met.expression is not None
    tree = ast.parse(met.expression, mode="eval").body
    names: dict[str, str] = {}
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (address := address_of(node.id)) is not None:
            name = next((own for own, known in names.items() if known == address), None)
            if name is None:
                name = fresh(last_segment(address), taken)
                names[name] = address
            node.id = name
    if not names:
        # A constant: it always holds, or never where its point exists.
        try:
            if Clause(met.expression).judge({}).holds:
                return None
        except RequirementError:
            raise NoExpression from None
    tables = {name: _table(space, address, seen.get(address, {})) for name, address in names.items()}
    if any(table is None for table in tables.values()) or met.address not in space:
        raise NoExpression
    when = () if met.address in names.values() else (met.address,)
    values = tuple((name, table) for name, table in tables.items() if table)
    return Requirement(met.text, tuple(names.items()), ast.unparse(tree), values, when, met.origin)


def _table(space: Space, address: str, seen: Mapping[tuple[type, Value], Any]) -> Table | None:
    """Return what the code has in place of labels: () where it has these, None where that is not known."""
    if address not in space:
        return None
    same = all(type(value) is kind and value == label for (kind, label), value in seen.items())
    if same:
        return ()
    domain = space.compiled.layout.entry(address).domain
    labels = [*domain.values()] if domain.cardinality <= 1000 else []
    if not labels or any((type(label), label) not in seen for label in labels):
        return None
    return tuple((label, seen[type(label), label]) for label in labels)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Keep what the code prints and warns of to itself: the survey has let it be heard."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


# -------------------------------------------------------------------- mistakes


def _placed(requirement: Requirement, internals: Traceable) -> Requirement:
    """Return a requirement with its line, where it has none."""
    if requirement.origin is not None:
        return requirement
    place = _place(internals, requirement.text)
    origin = None if place is None else f"{place.file}:{place.line}"
    return Requirement(
        requirement.text, requirement.names, requirement.expression, requirement.values, (), origin
    )


def _place(internals: Traceable, clause: str, line: int | None = None) -> Location | None:
    """Return the first place of a clause (on a line), narrowed to its text where that is found."""
    for text, place in internals.clause_places:
        if text == clause and line in (None, place.line):
            start = place.text.find(text.strip(), max(place.text.find("require", place.column), 0))
            if start < 0:
                return place
            return Location(place.file, place.line, start, start + len(text.strip()), place.text)
    return None


def _demand_inputs(internals: Traceable, text: str, clause: Clause) -> None:
    """Refuse clauses over costs that only a call of the model tells, where there is nothing to call it on."""
    missing = [cost for cost in clause.costs if cost != COSTS[0]]
    place = _place(internals, text) if missing else None
    if place is not None:
        raise AnnotationError(
            f"`require` over {' and '.join(missing)} needs example inputs, since only a call of the model "
            "tells; give them as symnas.program(..., inputs=torch.zeros(1, 3, 32, 32))",
            place,
            "require-inputs",
        )


def _demand_default(internals: Traceable, space: Space) -> None:
    """Refuse a program whose own values, which are the default, break a clause over chosen values."""
    if space.compiled.admission is None or space.admits(space.default)[0]:
        return
    decision = {a: space.default[a] for a in space.addresses if space.default.is_active(a)}
    assert space.compiled.rules is not None
    for requirement in space.compiled.rules.requirements:
        verdict = requirement.judge(decision)
        if verdict.holds:
            continue
        said = f" of {verdict.detail}" if verdict.detail else ""
        message = (
            "the code's own values are the default, and meet every clause over chosen values; "
            f"`require {requirement.text}` does not hold{said}: change these values, or the clause"
        )
        if not space.compiled.admission.possible:
            message = f"no decision meets the clauses; the code's own values break `{requirement.text}`{said}"
        line = None if requirement.origin is None else int(requirement.origin.rpartition(":")[2])
        place = _place(internals, requirement.text, line) or _place(internals, requirement.text)
        if place is None:
            raise RequirementError(message)
        raise AnnotationError(message, place, "require-default")
