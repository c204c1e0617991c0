"""What a space admits: its clauses on columns, the draws that keep them, and the closest admitted decision.

Clauses that are folds (`requirements.folds`) are part of how coupled points are counted: `RequiredPoints`
stands where `coupled_counting` would, with a diagram of all ways within the clauses. The others, over real
values or over too many ways, are loose: decisions are drawn until they hold, or mended step by step.

Arrays are (columns, rows) here, as `layout` numbers columns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from symnas._typing import Codes, Floats, Ints, Mask, Reals, Value
from symnas.errors import RequirementError
from symnas.tree.activity import Activity, source_codes
from symnas.tree.choices import FloatRange
from symnas.tree.coupled_counting import CoupledPoint, choose_by_counts
from symnas.tree.layout import REAL, SINGLE, Entry, Layout, scale_bounds
from symnas.tree.requirements.diagram import ABSENT, Course, Diagram, TooManyWays, Variable
from symnas.tree.requirements.folds import MOST_ROWS, Fold, folds_of
from symnas.tree.requirements.requirement import Requirement
from symnas.tree.rows import value_at
from symnas.tree.sampling import Sampler, Shares, prior
from symnas.tree.subsets import INACTIVE

# What it costs to change a value that is to stay, one that was there, and one that was only drawn.
PINNED, GIVEN, DRAWN = 1000.0, 1.0, 0.01
# Steps until a loose clause is met, candidates of each, and after how many there is another start.
STEPS, CANDIDATES, RESTART = 96, 32, 24
# Real values are moved by half of their range down to 2^-FINEST of it.
FINEST = 12.0


class Given(Protocol):
    """Decisions that are followed: codes (rows, columns)."""

    codes: Codes


class Rules:
    """The clauses of a space, taken apart.

    Args:
        layout: the compiled space.
        requirements: its clauses.

    Attributes:
        folds: those that are counted.
        loose: those that are not.
    """

    def __init__(self, layout: Layout, requirements: Sequence[Requirement]) -> None:
        self.layout = layout
        self.requirements = tuple(requirements)
        self.folds: list[Fold] = []
        self.loose: list[Requirement] = []
        domains = {address: self._values(address) for r in requirements for address in r.addresses}
        for requirement in requirements:
            found = folds_of(requirement, domains)
            if found is None:
                self.loose.append(requirement)
            else:
                self.folds += found

    def _values(self, address: str) -> list[Value] | None:
        entry = self.layout.entry(address)
        if entry.shape == REAL or entry.domain.cardinality > MOST_ROWS:
            return None
        if entry.shape == SINGLE:
            return list(entry.domain.values())
        if not entry.subsets.tabulated:
            return None
        return [entry.domain.value(codes) for codes in entry.subsets.rows]

    @cached_property
    def numbers(self) -> list[list[int]]:
        """Per fold, the numbers of the points that it needs, in order."""
        return [sorted({self.layout.index[a] for a in fold.needs}) for fold in self.folds]

    @property
    def couplings(self) -> list[list[int]]:
        """Numbers of points that are counted together: those of each fold, and all above each of them.

        So what a clause leaves below a value weighs when that value is chosen.
        """
        found = list(self.numbers)
        for number in self.named:
            line = [number]
            while (up := self.layout.entries[line[-1]].parent) >= 0:
                line.append(up)
            found.append(line)
        return found

    @cached_property
    def named(self) -> frozenset[int]:
        """The numbers of all points that folds need."""
        return frozenset(number for numbers in self.numbers for number in numbers)

    def loosen(self, numbers: Iterable[int]) -> None:
        """Take the clause over the most of these points out of those that are counted."""
        inside = set(numbers)
        among = [f for f, need in zip(self.folds, self.numbers, strict=True) if inside.issuperset(need)]
        worst = max(among, key=lambda fold: (len(fold.needs), len(fold.terms))).requirement
        self.folds = [fold for fold in self.folds if fold.requirement is not worst]
        self.loose.append(worst)
        del self.numbers, self.named

    def points(self, items: list[CoupledPoint], real: int) -> RequiredPoints | None:
        """Return a group of coupled points under the folds that lie in it, None where none does."""
        place = {item.entry.number: position for position, item in enumerate(items)}
        courses = [
            Course(
                fold.kind,
                [(tuple(place[self.layout.index[a]] for a in t.addresses), t.table) for t in fold.terms],
                fold.comparison,
                fold.bound,
                [place[number] for number in need],
                fold.always,
            )
            for fold, need in zip(self.folds, self.numbers, strict=True)
            if need and need[0] in place
        ]
        if not courses:
            return None
        try:
            return RequiredPoints(self.layout, items, courses, real)
        except TooManyWays as error:
            error.numbers = tuple(item.entry.number for item in items)
            raise


class RequiredPoints:
    """Coupled points under folds; to those who count and draw it is `coupled_counting.CoupledPoints`.

    Args:
        layout: the compiled space.
        items: the points, parents before children, each group in tree order.
        courses: the folds, over positions of items.
        real: how many values a real range counts for.

    Attributes:
        diagram: all ways to decide them.
        total: how many there are.
    """

    def __init__(self, layout: Layout, items: list[CoupledPoint], courses: list[Course], real: int) -> None:
        self.layout = layout
        self.items = items
        self.place = {item.entry.number: position for position, item in enumerate(items)}
        self.variables = [self._variable(item, real) for item in items]
        self.diagram = Diagram(self.variables, courses)
        self.counts = [[sum(v.ways[r] for r in ranks) for ranks in v.classes] for v in self.variables]
        self.total = int(self.diagram.futures(self.counts)[0][0]) if self.diagram.possible else 0

    def _variable(self, item: CoupledPoint, real: int) -> Variable:
        entry = item.entry
        elsewhere = entry.tied and entry.target not in self.place
        if item.size is not None or entry.shape == REAL or elsewhere:
            one = item.size if item.size is not None else 1 if entry.tied else real
            found = Variable([one], takes=[frozenset()])
        else:
            assert item.weigh is not None
            codes = [(c,) for c in range(entry.card)] if entry.shape == SINGLE else entry.subsets.rows
            takes = [frozenset(k for k in item.open if _takes(entry, k, each)) for each in codes]
            found = Variable(item.weigh(entry), takes=takes)
            found.target = self.place[entry.target] if entry.tied else -1
        found.parent, found.branch = item.parent, item.branch
        found.guards = [
            (tuple(self.place[self.layout.index[a]] for a in guard.addresses), guard.allowed)
            for guard in entry.point.guards
        ]
        return found

    @property
    def numbers(self) -> int:
        """How many random numbers `draw` takes per row: for every point one for its class, one within."""
        return 2 * len(self.items)

    def decided(self, position: int) -> bool:
        """Tell whether a point is decided on the way, and not by itself."""
        item = self.items[position]
        return item.size is None and item.entry.shape != REAL and not item.entry.tied

    # ------------------------------------------------------------ drawing

    @cached_property
    def _even(self) -> list[Floats]:
        return self.diagram.bounds(self.counts)

    @cached_property
    def priors(self) -> list[list[float]]:
        """Per point and rank, how likely it is by itself."""
        return [
            ranked_prior(item.entry) if self.decided(position) else [1.0] * len(variable.ways)
            for position, (item, variable) in enumerate(zip(self.items, self.variables, strict=True))
        ]

    @cached_property
    def _weighted(self) -> list[Floats]:
        weights = [
            [math.fsum(chances[rank] for rank in ranks) for ranks in variable.classes]
            for chances, variable in zip(self.priors, self.variables, strict=True)
        ]
        return self.diagram.bounds(weights)

    def draw(self, codes: Codes, u: Floats, prior: bool = False) -> None:
        """Write the points that are decided on the way, in place.

        Args:
            codes: (columns, rows).
            u: (rows, numbers) random numbers of [0, 1).
            prior: whether ways are drawn by the points' own chances, and not all evenly.
        """
        bounds = self._weighted if prior else self._even
        nodes = np.zeros(codes.shape[1], np.intp)
        for t, layer in enumerate(self.diagram.layers):
            edges = self.diagram.step(t, nodes, u[:, 2 * t], bounds)
            classes, nodes = layer.classes[edges], layer.targets[edges]
            if not self.decided(t):
                continue
            variable = self.variables[t]
            chances = self.priors[t] if prior else variable.ways
            for kind, ranks in enumerate(variable.classes):
                rows = np.flatnonzero(classes == kind)
                if len(rows):
                    weights: list[Any] = [chances[rank] for rank in ranks]
                    place = choose_by_counts(
                        weights if sum(weights) else [1] * len(ranks), u[rows, 2 * t + 1]
                    )
                    self.write(t, codes, rows, np.array(ranks)[place])

    def write(self, t: int, codes: Codes, rows: Ints, ranks: Ints) -> None:
        """Write the values of these ranks into the columns of a point; INACTIVE of those below 0."""
        entry = self.items[t].entry
        if entry.shape == SINGLE:
            codes[entry.column, rows] = np.where(ranks < 0, INACTIVE, ranks)
            return
        table = entry.subsets.table[np.maximum(ranks, 0)].T
        codes[np.array(entry.columns)[:, None], rows] = np.where(ranks < 0, INACTIVE, table)

    # ------------------------------------------------------------ asking

    def ranks(self, t: int, codes: Codes, reals: Reals) -> Ints:
        """Return the rank (rows,) of a point in every row, ABSENT where it does not exist."""
        entry = self.items[t].entry
        if entry.shape == REAL:
            return np.where(np.isnan(reals[entry.column]), ABSENT, 0)
        if len(self.variables[t].ways) == 1 and not self.decided(t):
            return np.where(codes[entry.column] == INACTIVE, ABSENT, 0)
        return source_codes(entry, codes)

    def classes(self, t: int, codes: Codes, reals: Reals) -> Ints:
        """Return the class (rows,) of a point in every row, ABSENT where it does not exist."""
        ranks = self.ranks(t, codes, reals)
        return np.append(self.variables[t].class_of, ABSENT)[ranks]

    def admits(self, codes: Codes, reals: Reals) -> Mask:
        """Tell in which rows these points are decided within the folds."""
        rows = codes.shape[1]
        nodes = np.zeros(rows, np.intp)
        if not self.diagram.possible:
            return np.zeros(rows, bool)
        for t in range(len(self.items)):
            nodes = self.diagram.follow(t, nodes, self.classes(t, codes, reals))
        return nodes >= 0

    def mend(self, codes: Codes, reals: Reals, costs: Floats, rng: np.random.Generator | None) -> None:
        """Put, in place, the closest way in every row.

        Args:
            codes: (columns, rows) in which the points are there.
            reals: (reals, rows).
            costs: (points of the space, rows) what it costs to change each.
            rng: what decides between ways that are as close, else the first does.
        """
        rows = codes.shape[1]
        before, each = [], []
        for t, variable in enumerate(self.variables):
            ranks = self.ranks(t, codes, reals)
            before.append(ranks)
            each.append(self._costs(t, variable, ranks, costs[self.items[t].entry.number], rng))
        for t, classes in enumerate(self.diagram.closest(each)):
            if not self.decided(t):
                continue
            variable, old = self.variables[t], before[t]
            kept = np.append(variable.class_of, ABSENT)[old] == classes
            for kind in np.unique(classes[~kept]).tolist():
                some = np.flatnonzero((classes == kind) & ~kept)
                ranks = np.array(variable.classes[kind] if kind >= 0 else [ABSENT])
                self.write(t, codes, some, self._within(t, ranks, old[some], rng))
        del rows

    def _costs(
        self, t: int, variable: Variable, ranks: Ints, cost: Floats, rng: np.random.Generator | None
    ) -> Floats:
        count = len(variable.classes)
        found = np.zeros((len(ranks), count + 1))
        middles = np.array([sum(each) / len(each) for each in variable.classes])
        span = max(len(variable.ways) - 1, 1)
        # One for a change, and less than all changes of one together for how far it goes along a range.
        far = 1.0 + np.abs(middles - ranks[:, None]) / (2.0 * span * len(self.items))
        own = np.append(variable.class_of, count)[ranks]
        found[:, :count] = np.where(np.arange(count) == own[:, None], 0.0, far * cost[:, None])
        absent = ranks == ABSENT
        default = self.items[t].entry
        if absent.any() and self.decided(t):
            # What comes into being takes its default, or what is drawn.
            mine = np.full(count, DRAWN)
            mine[variable.class_of[rank_of_default(default)]] = 0.0
            found[absent, :count] = mine if rng is None else 0.0
        if rng is not None and count > 1:
            chances = np.array([math.fsum(self.priors[t][r] for r in each) for each in variable.classes])
            # The least of exponential times, each by its rate, is each by its share (Efraimidis, Spirakis).
            noise = rng.exponential(size=(len(ranks), count)) / np.maximum(chances, 1e-12)
            found[:, :count] += np.minimum(noise, 1e3) * (1e-6 / len(self.items))
        return found

    def _within(self, t: int, ranks: Ints, old: Ints, rng: np.random.Generator | None) -> Ints:
        if len(ranks) == 1:
            return np.full(len(old), ranks[0])
        near: Ints = ranks[np.abs(ranks - old[:, None]).argmin(axis=1)]
        if rng is None:
            near[old == ABSENT] = ranks[0]
            return near
        chances = [self.priors[t][rank] for rank in ranks.tolist()]
        drawn: Ints = ranks[
            choose_by_counts(chances if sum(chances) else [1] * len(ranks), rng.random(len(old)))
        ]
        return np.where(old == ABSENT, drawn, near)


class Admission:
    """What a space with clauses admits, compiled.

    Args:
        rules: its clauses.
        groups: its coupled points under folds.
        activity: its compiled conditions.
        sampler: its compiled draws.
    """

    def __init__(
        self, rules: Rules, groups: Sequence[RequiredPoints], activity: Activity, sampler: Sampler
    ) -> None:
        self.rules = rules
        self.layout = rules.layout
        self.loose = rules.loose
        self.groups = list(groups)
        self.activity = activity
        self.sampler = sampler
        self.at = {
            item.entry.number: (group, t)
            for group in self.groups
            for t, item in enumerate(group.items)
            if group.decided(t)
        }

    # ------------------------------------------------------------ asking

    def admits(self, codes: Codes, reals: Reals) -> Mask:
        """Tell which rows meet all clauses, (rows,)."""
        held = np.ones(codes.shape[1], bool)
        for group in self.groups:
            held &= group.admits(codes, reals)
        if self.loose:
            for row in np.flatnonzero(held).tolist():
                held[row] = self.gap(codes[:, row], reals[:, row]) == 0.0
        return held

    def gap(self, codes: Codes, reals: Reals) -> float:
        """Return by how much one row, (columns,) and (reals,), misses the loose clauses."""
        decision = self._values(codes.tolist(), reals.tolist(), self.loose)
        return math.fsum(requirement.judge(decision).gap for requirement in self.loose)

    def broken(self, codes: Sequence[int], reals: Sequence[float]) -> list[tuple[Requirement, str]]:
        """Return the clauses that one row breaks, each with what it speaks of."""
        decision = self._values(list(codes), list(reals), self.rules.requirements)
        verdicts = [(each, each.judge(decision)) for each in self.rules.requirements]
        return [(each, verdict.detail) for each, verdict in verdicts if not verdict.holds]

    def _values(
        self, codes: list[int], reals: list[float], requirements: Iterable[Requirement]
    ) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for address in {address for each in requirements for address in each.addresses}:
            entry = self.layout.entries[self.layout.index[address]]
            there = reals[entry.column] == reals[entry.column] if entry.shape == REAL else (
                codes[entry.column] != INACTIVE
            )  # fmt: skip
            if there:
                found[address] = value_at(entry, codes, reals)
        return found

    def impossible(self) -> RequirementError:
        """Return the error for clauses that nothing meets, with those that do so by themselves."""
        texts = [str(requirement) for requirement in self.rules.requirements]
        return RequirementError(
            f"no decision of the space meets {'; '.join(dict.fromkeys(texts))}\n"
            "loosen a requirement, or widen the space"
        )

    @property
    def possible(self) -> bool:
        """Whether the folds leave anything, as far as each group of points by itself tells."""
        return all(group.diagram.possible for group in self.groups)

    # ------------------------------------------------------------ mending

    def mend(
        self,
        codes: Codes,
        reals: Reals,
        rng: np.random.Generator | None,
        costs: Floats | None = None,
    ) -> Ints:
        """Replace, in place, rows that break a clause by admitted ones that are close; return these rows.

        Args:
            codes: (columns, rows), complete.
            reals: (reals, rows).
            rng: what is drawn with; without it what comes into being takes its default.
            costs: (points, rows) what it costs to change each; `GIVEN` for None.

        Raises:
            RequirementError: a row cannot be mended.
        """
        changed = np.zeros(codes.shape[1], bool)
        for group in self.groups:
            rows = np.flatnonzero(~group.admits(codes, reals))
            if not len(rows):
                continue
            if not group.diagram.possible:
                raise self.impossible()
            some, some_reals = codes[:, rows].copy(), reals[:, rows].copy()
            for piece in _pieces(len(rows), group):
                part = np.full((len(self.layout.entries), piece.stop - piece.start), GIVEN)
                if costs is not None:
                    part = costs[:, rows[piece]]
                group.mend(some[:, piece], some_reals[:, piece], part, rng)
            self._complete(some, some_reals, rng)
            codes[:, rows], reals[:, rows] = some, some_reals
            changed[rows] = True
        if self.loose:
            for row in range(codes.shape[1]):
                if self.gap(codes[:, row], reals[:, row]) > 0.0:
                    self._mend_loose(codes, reals, row, rng or np.random.default_rng(row), costs)
                    changed[row] = True
        return np.flatnonzero(changed)

    def _complete(self, codes: Codes, reals: Reals, rng: np.random.Generator | None) -> None:
        """Fill what came into being, and empty what ceased to exist."""
        drawn, drawn_reals = np.empty_like(codes), np.empty_like(reals)
        if rng is None:
            drawn[:], drawn_reals[:] = self._defaults[0][:, None], self._defaults[1][:, None]
        else:
            self.sampler.draw(drawn, drawn_reals, rng)
        np.copyto(codes, drawn, where=codes == INACTIVE)
        np.copyto(reals, drawn_reals, where=np.isnan(reals))
        self.activity.mask(codes, reals)

    @cached_property
    def _defaults(self) -> tuple[Codes, Reals]:
        from symnas.tree.rows import put

        codes, reals = [INACTIVE] * self.layout.columns, [math.nan] * self.layout.reals
        for entry in self.layout.entries:
            put(entry, entry.default, codes, reals)
        return np.array(codes, self.layout.dtype), np.array(reals)

    def _mend_loose(
        self, codes: Codes, reals: Reals, row: int, rng: np.random.Generator, costs: Floats | None
    ) -> None:
        """Go down the gap of the loose clauses, few points at a time (min-conflicts, Minton et al. 1992)."""
        numbers = sorted({self.layout.index[a] for each in self.loose for a in each.addresses})
        entries = [self.layout.entries[n] for n in self._deciding(numbers)]
        free = [e for e in entries if costs is None or costs[e.number, row] < PINNED]
        start = best, best_reals, least = self._measured(codes[:, [row]], reals[:, [row]])
        closest = start
        for step in range(STEPS):
            # What is to stay is given up where half of the steps did not help.
            moving = entries if step >= STEPS // 2 or not free else free
            some = np.repeat(best, CANDIDATES, axis=1)
            some_reals = np.repeat(best_reals, CANDIDATES, axis=1)
            # From time to time from somewhere else, so that a dead end is left.
            anew = step % RESTART == RESTART - 1
            share = 1.0 if anew else min(1.0, 1.5 / len(moving))
            for entry in moving:
                rows = np.flatnonzero(rng.random(CANDIDATES) < share)
                self._redraw(entry, some, some_reals, rows, anew, rng)
            self._complete(some, some_reals, rng)
            for group in self.groups:
                kept = np.flatnonzero(group.admits(some, some_reals))
                some, some_reals = some[:, kept], some_reals[:, kept]
            if not some.shape[1]:
                continue
            found = self._measured(some, some_reals)
            if anew or found[2] <= least:
                best, best_reals, least = found
            closest = min(closest, found, key=lambda each: each[2])
            if least == 0.0:
                codes[:, [row]], reals[:, [row]] = best, best_reals
                return
        raise self._not_found(*closest)

    def _measured(self, codes: Codes, reals: Reals) -> tuple[Codes, Reals, float]:
        """Return the row of the least gap, (columns, 1) and (reals, 1), and the gap."""
        gaps = [self.gap(codes[:, i], reals[:, i]) for i in range(codes.shape[1])]
        place = int(np.argmin(gaps))
        return codes[:, [place]], reals[:, [place]], gaps[place]

    def _redraw(
        self, entry: Entry, codes: Codes, reals: Reals, rows: Ints, anew: bool, rng: np.random.Generator
    ) -> None:
        """Draw a point again in some rows; half of the numbers are moved by a part of their range instead."""
        if not len(rows) or not (entry.mutable or entry.shape == REAL):
            return
        store, columns = (reals if entry.shape == REAL else codes), np.array(entry.columns)[:, None]
        old = store[columns, rows]
        drawn = self.sampler.draw_one(entry, len(rows), rng)
        store[columns, rows] = drawn.T if drawn.ndim > 1 else drawn
        if entry.shape != REAL or anew:
            return
        assert isinstance(entry.domain, FloatRange)
        low, high = scale_bounds(entry.domain)
        unit = np.log(old[0]) if entry.domain.log else old[0]
        unit = unit + (high - low) * rng.standard_normal(len(rows)) * 0.5 ** rng.uniform(
            1.0, FINEST, len(rows)
        )
        unit = np.exp(np.clip(unit, low, high)) if entry.domain.log else np.clip(unit, low, high)
        near = (rng.random(len(rows)) < 0.5) & ~np.isnan(unit)
        moved = np.clip(unit, entry.domain.low, entry.domain.high) + 0.0
        reals[entry.column, rows[near]] = moved[near]

    def _not_found(self, codes: Codes, reals: Reals, gap: float) -> RequirementError:
        broken = self.broken(codes[:, 0].tolist(), reals[:, 0].tolist())
        told = "; ".join(f"{clause}: {detail}" for clause, detail in broken)
        return RequirementError(
            f"no decision was found that meets the clauses; the closest, off by {gap:.3g}, breaks {told}\n"
            "loosen a requirement, or widen the space"
        )

    def _deciding(self, numbers: Iterable[int]) -> list[int]:
        """Return the points that these hang on as well: parents, targets, sources of guards."""
        found: dict[int, None] = {}
        pending = list(numbers)
        while pending:
            number = pending.pop()
            if number in found:
                continue
            entry = self.layout.entries[number]
            if not entry.tied:
                found[number] = None
            pending += [n for n in (entry.parent, entry.target) if n >= 0]
            pending += [self.layout.index[a] for guard in entry.point.guards for a in guard.addresses]
        return sorted(found)


class Guide:
    """What folds leave to the next point, where points are decided in tree order.

    Args:
        admission: the clauses.
    """

    def __init__(self, admission: Admission) -> None:
        self.at = {
            item.entry.number: (group, t) for group in admission.groups for t, item in enumerate(group.items)
        }
        # Per group, the node before each of its points, as far as these have been asked about.
        self.nodes = {id(group): [0] * len(group.items) for group in admission.groups}

    def open(self, entry: Entry, codes: Sequence[int], reals: Sequence[float] = ()) -> set[int] | None:
        """Return the ranks that can be completed, None where any can.

        Asked about each point of a group once those before it are in `codes`; only of points that exist.
        """
        found = self.at.get(entry.number)
        if found is None:
            return None
        group, t = found
        nodes = self.nodes[id(group)]
        if t:
            classes = group.classes(t - 1, np.array(codes)[:, None], np.array(reals)[:, None])
            nodes[t] = int(group.diagram.follow(t - 1, np.array([nodes[t - 1]]), classes)[0])
        if not group.decided(t) or nodes[t] < 0:
            return None
        kinds = np.flatnonzero(group.diagram.open(t, np.array([nodes[t]]))[0])
        variable = group.variables[t]
        return {
            rank for kind in kinds.tolist() if kind < len(variable.classes) for rank in variable.classes[kind]
        }

    def narrow(
        self, entry: Entry, codes: list[int], options: Iterable[tuple[int, ...]]
    ) -> Iterator[tuple[int, ...]]:
        """Return those of a point's values, in order, that can be completed."""
        ranks = self.open(entry, codes)
        if ranks is None:
            return iter(options)
        return (
            value for rank, value in enumerate(options) if value[0] == INACTIVE or rank in ranks
        )  # fmt: skip


class Guides:
    """What folds leave to the next point in many rows, where points are decided in tree order.

    Args:
        admission: the clauses.
        rows: how many rows.
    """

    def __init__(self, admission: Admission, rows: int) -> None:
        self.at = {
            item.entry.number: (group, t) for group in admission.groups for t, item in enumerate(group.items)
        }
        self.nodes = {id(group): np.zeros(rows, np.intp) for group in admission.groups}

    def open(self, entry: Entry, codes: Codes, reals: Reals, given: Given | None = None) -> Mask | None:
        """Return the ranks (rows, values) that can be completed, None where any can.

        Asked about every point, once those before it are in `codes`.

        Args:
            entry: the point.
            codes: (columns, rows) so far.
            reals: (reals, rows) so far.
            given: decisions that are followed, whatever clauses say.
        """
        found = self.at.get(entry.number)
        if found is None:
            return None
        group, t = found
        if t:
            classes = group.classes(t - 1, codes, reals)
            self.nodes[id(group)] = group.diagram.follow(t - 1, self.nodes[id(group)], classes)
        if not group.decided(t):
            return None
        nodes = self.nodes[id(group)]
        allowed: Mask = group.diagram.open(t, nodes)[:, group.variables[t].class_of]
        # What came there in spite of a clause is free.
        allowed[~allowed.any(axis=1)] = True
        if given is not None:
            ranks = source_codes(entry, given.codes.T)
            allowed[np.arange(len(ranks)), np.maximum(ranks, 0)] = True
        return allowed


class AdmittedSampler:
    """Draws as `Sampler` does, every point by its own chances, given that all folds hold.

    Args:
        layout: the compiled space.
        groups: its coupled points under folds.

    Attributes:
        width: how many random numbers a decision takes.
    """

    def __init__(self, layout: Layout, groups: Sequence[RequiredPoints]) -> None:
        self.groups = list(groups)
        apart = [
            item.entry for group in groups for t, item in enumerate(group.items) if group.decided(t)
        ]  # fmt: skip
        self.apart = np.array([column for entry in apart for column in entry.columns], np.intp)
        self.sampler = Sampler(layout, None, {entry.number for entry in apart})
        self.width = self.sampler.width + sum(group.numbers for group in groups)

    def fill(self, codes: Codes, reals: Reals, u: Floats) -> None:
        """Write every column that is not a tie's, in place; as `Sampler.fill`."""
        codes[self.apart] = INACTIVE
        start = self.sampler.width
        self.sampler.fill(codes, reals, u[:, :start])
        for group in self.groups:
            group.draw(codes, u[:, start : start + group.numbers], prior=True)
            start += group.numbers


def ranked_prior(entry: Entry) -> list[float]:
    """Return how likely every value of a point is by itself, in the order of ranks."""
    weights = prior(entry)
    assert not isinstance(weights, Shares)
    if entry.shape == SINGLE:
        chances = [1.0] * entry.card if weights is None else list(weights)
    elif weights is None:
        chances = [1.0] * len(entry.subsets.rows)
    else:
        chances = [_selection_weight(codes, weights, entry) for codes in entry.subsets.rows]
        if not entry.subsets.only:
            chances = _by_size(entry, chances)
    total = math.fsum(chances)
    return [chance / total for chance in chances]


def _selection_weight(codes: tuple[int, ...], weights: Sequence[float], entry: Entry) -> float:
    """Return the weight of a selection among those of its size: Plackett and Luce's, over all its orders."""
    subsets = entry.subsets
    if subsets.only or subsets.repeats:
        orders = 1 if subsets.only or subsets.ordered else len(set(itertools.permutations(codes)))
        return orders * math.prod(weights[code] for code in codes)
    total, found = math.fsum(weights), 0.0
    for order in [codes] if subsets.ordered else itertools.permutations(codes):
        left, chance = total, 1.0
        for code in order:
            chance *= weights[code] / left if left > 0 else 0.0
            left -= weights[code]
        found += chance
    return found


def _by_size(entry: Entry, chances: list[float]) -> list[float]:
    # Sizes keep the share that they have without weights.
    rows = entry.subsets.rows
    sums: dict[int, float] = {}
    for codes, chance in zip(rows, chances, strict=True):
        sums[len(codes)] = sums.get(len(codes), 0.0) + chance
    return [
        entry.subsets.count_of(len(codes)) * (chance / sums[len(codes)] if sums[len(codes)] else 0.0)
        for codes, chance in zip(rows, chances, strict=True)
    ]


def rank_of_default(entry: Entry) -> int:
    """Return the rank of a point's default."""
    return entry.domain.rank(entry.domain.code(entry.default))


def _takes(entry: Entry, k: int, codes: Sequence[int]) -> bool:
    if entry.domain.kind == "permutation":
        return True
    branch = entry.point.branches[k]
    return sum(code in branch.when for code in codes) > branch.occurrence


def _pieces(rows: int, group: RequiredPoints) -> list[slice]:
    """Cut rows so that (rows, edges of a layer) stay in little memory."""
    widest = max(len(layer.sources) for layer in group.diagram.layers)
    size = max(1, (1 << 21) // widest)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
