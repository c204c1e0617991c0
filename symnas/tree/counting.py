"""How many decisions a space has: sums over values and products over what they bring into being.

Points side by side are decided independently, and the values of one point exclude one another. So with N(F)
for points side by side and N(p) for a point and everything below it,

    N(F) = product over p in F of N(p)
    N(p) = sum over values v of p of the product over branches b of p that v takes of N(points of b)

and a point without branches counts its values. Where guards or ties couple points that stand apart, that
does not hold: those are taken out and counted together by `coupled_counting`, with the uncoupled subtrees
that hang on them entering as factors. All counts are Python integers, exact however large. A real range
counts as `real` values; that they differ for one and for two tells whether one can exist.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from symnas.tree.admission import RequiredPoints, Rules
from symnas.tree.choices import Branch
from symnas.tree.coupled_counting import CoupledPoint, CoupledPoints, State, Transitions
from symnas.tree.layout import REAL, SINGLE, Entry, Layout
from symnas.tree.subsets import Subsets


class Counter:
    """Counts of every subtree of a space.

    Args:
        layout: the compiled space.
        real: how many values a real range without a step counts for.
        rules: the clauses of the space, of which the folds are counted under; None where there are none.

    Attributes:
        partners: per number of a point, those that it is coupled with.
        reach: per number, the smallest and the largest number that its subtree is coupled with.
        trees: per number, N of the point with all below it; None where a coupling leads out of it.
        branches: per number and branch, N of the branch's points; None where a coupling leads out of them.
        kids: per number and branch, the numbers of the branch's points.
        coupled: the groups of coupled points that were counted by themselves.
        total: N of the roots.
    """

    def __init__(self, layout: Layout, real: int = 1, rules: Rules | None = None) -> None:
        self.layout = layout
        self.real = real
        self.rules = rules
        self.partners = _couplings(layout, [] if rules is None else rules.couplings)
        # Points that folds need are coupled, if with themselves alone.
        self.named = frozenset() if rules is None else rules.named
        count = len(layout.entries)
        self.reach = [(i, i) for i in range(count)]
        self.trees: list[int | None] = [None] * count
        self.branches: list[list[int | None]] = [[] for _ in range(count)]
        self.kids: list[list[list[int]]] = [[] for _ in range(count)]
        self.coupled: list[CoupledPoints | RequiredPoints] = []
        # From the last to the first, so that what is below a point has been counted when it is its turn.
        for entry in reversed(layout.entries):
            self._count_tree(entry)
        self.total = self._forest([e.number for e in layout.entries if e.parent < 0])

    def _count_tree(self, entry: Entry) -> None:
        i = entry.number
        self.kids[i] = _by_branch(entry)
        self.branches[i] = [self._forest(kids) if self._closed(kids) else None for kids in self.kids[i]]
        # The subtree is a run of numbers; it is closed if the run holds all that its points are coupled with.
        low = min([i, *self.partners.get(i, ())])
        high = max([i, *self.partners.get(i, ())])
        for kid in entry.below:
            low, high = min(low, self.reach[kid][0]), max(high, self.reach[kid][1])
        self.reach[i] = low, high
        if not self._closed([i]):
            return
        # Closed as a whole, but with an open branch: the coupling is within, and the point leads its group.
        sizes = [size for size in self.branches[i] if size is not None]
        if len(sizes) < len(self.branches[i]) or i in self.named:
            self.trees[i] = self._count_coupled([i])
        elif entry.shape == REAL:
            self.trees[i] = 1 if entry.tied else self.real
        elif entry.tied:
            self.trees[i] = 1
        # no branches: its values. One code: the sum over codes. A selection: see `Selections`.
        elif not sizes:
            self.trees[i] = int(entry.domain.cardinality)
        elif entry.shape == SINGLE:
            self.trees[i] = sum((end - first) * count for first, end, count in self.code_runs(entry))
        else:
            self.trees[i] = self.selections(entry).total

    def _closed(self, kids: Sequence[int]) -> bool:
        """Tell whether no coupling leads out of these neighbouring subtrees, which are a run of numbers."""
        if not self.partners or not kids:
            return True
        low = min(self.reach[kid][0] for kid in kids)
        high = max(self.reach[kid][1] for kid in kids)
        return low >= kids[0] and high < self.layout.entries[kids[-1]].end

    def _forest(self, kids: Sequence[int]) -> int:
        sizes = [self.trees[kid] for kid in kids]
        # Closed subtrees are independent, each with a count; the others are joined by couplings into groups.
        product = math.prod(size for size in sizes if size is not None)
        for group in self._groups([kid for kid in kids if self.trees[kid] is None]):
            product *= self._count_coupled(group)
        return product

    def _groups(self, kids: list[int]) -> list[list[int]]:
        """Split subtrees into groups that no coupling joins: the components, by union and find."""
        leader = {kid: kid for kid in kids}

        def find(kid: int) -> int:
            while leader[kid] != kid:
                # Path halving.
                leader[kid] = leader[leader[kid]]
                kid = leader[kid]
            return kid

        owner = {i: kid for kid in kids for i in range(kid, self.layout.entries[kid].end)} if kids else {}
        for i, kid in owner.items():
            for partner in self.partners.get(i, ()):
                leader[find(kid)] = find(owner[partner])
        groups: dict[int, list[int]] = {}
        for kid in kids:
            groups.setdefault(find(kid), []).append(kid)
        return list(groups.values())

    def _count_coupled(self, roots: list[int]) -> int:
        """Count subtrees that couplings join, leaving aside what below them is not coupled.

        A point below a coupled one enters with the count of its whole subtree if there is one. Otherwise its
        counted branches weigh its values, and the points of the others are gone through as well.
        """
        items: list[CoupledPoint] = []
        stack = [(kid, -1, -1) for kid in reversed(roots)]
        place: dict[int, int] = {}
        while stack:
            i, parent, k = stack.pop()
            entry = self.layout.entries[i]
            size = self.trees[i]
            item = CoupledPoint(
                entry, place.get(parent, -1), k, size if size is not None and parent >= 0 else None
            )
            place[i] = len(items)
            items.append(item)
            if item.size is not None:
                continue
            item.weigh = self.code_counts if entry.shape == SINGLE else self.selection_counts
            item.open = [j for j, closed in enumerate(self.branches[i]) if closed is None]
            for j in reversed(item.open):
                stack.extend((kid, i, j) for kid in reversed(self.kids[i][j]))
        required = None if self.rules is None else self.rules.points(items, self.real)
        group = CoupledPoints(self.layout, items, self.real) if required is None else required
        self.coupled.append(group)
        return group.total

    # ------------------------------------------------------------ one point

    def code_counts(self, entry: Entry) -> list[int]:
        """Return, for every code of a point, how many ways its counted branches can be decided."""
        return [count for first, end, count in self.code_runs(entry) for _ in range(first, end)]

    def code_runs(self, entry: Entry) -> list[tuple[int, int, int]]:
        """Return runs of codes (first, end, count): in how many ways their counted branches can be decided.

        The count is the product of N(b) over the branches b with the codes in their `when`, in one sweep: a
        run of codes multiplies where it begins and divides, without remainder, where it ends. Branches
        that are not counted (None) are left to the group of coupled points that they belong to.
        """
        changes: dict[int, tuple[int, int]] = {}
        for branch, size in zip(entry.point.branches, self.branches[entry.number], strict=True):
            if size is None or size == 1:
                continue
            for start, stop in _runs(branch.when):
                up, down = changes.get(start, (1, 1))
                changes[start] = up * size, down
                up, down = changes.get(stop, (1, 1))
                changes[stop] = up, down * size
        runs, running = [], 1
        starts = sorted({0, *(code for code in changes if code < entry.card)})
        for first, end in itertools.pairwise([*starts, entry.card]):
            up, down = changes.get(first, (1, 1))
            # Runs end at a code before others begin there, and `running` has `down` among its factors then.
            running = running // down * up
            runs.append((first, end, running))
        return runs

    def selection_counts(self, entry: Entry) -> list[int]:
        """Return, for every selection in order, how many ways its counted branches can be decided.

        Only for coupled points, whose selections are few enough to be listed.
        """
        counts = []
        for codes in entry.subsets.rows:
            product = 1
            for branch, size in zip(entry.point.branches, self.branches[entry.number], strict=True):
                if size is not None and (
                    entry.domain.kind == "permutation" or _hits(branch, codes) > branch.occurrence
                ):
                    product *= size
            counts.append(product)
        return counts

    def selections(self, entry: Entry) -> Selections:
        """Return the counted selections of a point whose branches are all counted."""
        sizes = [size or 1 for size in self.branches[entry.number]]
        if entry.domain.kind == "permutation":
            return Selections(entry.subsets, (), math.prod(sizes))
        pairs = [(b, size) for b, size in zip(entry.point.branches, sizes, strict=True) if size != 1]
        return Selections(entry.subsets, tuple(pairs))


@dataclass
class Selections:
    """Counted selections of one point, without listing them: candidate by candidate, how often it is taken.

    A state is (candidates taken so far, hits of branch 1, hits of branch 2, …), where a candidate hits a
    branch that names it. A branch's points exist if it is hit more than `occurrence` times, so hits are
    counted up to one more, when the branch's count becomes a factor; and they are forgotten once no later
    candidate can hit it. So there are few states where there are binomially many selections.

    Args:
        subsets: the selections.
        branches: branches with their counts, those that count 1 left out.
        factor: what every selection is multiplied by.

    Attributes:
        transitions: per candidate and state, the options (times taken, state after, ways).
    """

    subsets: Subsets
    branches: tuple[tuple[Branch, int], ...]
    factor: int = 1
    transitions: list[Transitions] = field(default_factory=list)

    @cached_property
    def total(self) -> int:
        """How many decisions there are below the point, itself included."""
        if not self.branches:
            return self.subsets.count * self.factor
        if self.subsets.only:
            return sum(
                math.prod(size for b, size in self.branches if _hits(b, codes) > b.occurrence)
                for codes in self.subsets.only
            )
        return self.futures[0].get(self._start, 0)

    @property
    def _start(self) -> State:
        return (0, *([0] * len(self.branches)))

    @cached_property
    def futures(self) -> list[dict[State, int]]:
        """Ways to go on from every state, per candidate; after the last one, whether the size is allowed."""
        # W(n, s) = [low <= taken],   W(c, s) = sum over options (times, s', ways) of ways * W(c + 1, s')
        states = {self._start}
        for code in range(self.subsets.n):
            moves = {state: self._options(code, state) for state in states}
            self.transitions.append(moves)
            states = {after for options in moves.values() for _, after, _ in options}
        ways = {state: int(self.subsets.low <= state[0]) for state in states}
        futures = [ways]
        for moves in reversed(self.transitions):
            later = futures[0]
            futures.insert(
                0,
                {state: sum(w * later[after] for _, after, w in options) for state, options in moves.items()},
            )
        return futures

    def _options(self, code: int, state: State) -> list[tuple[int, State, int]]:
        taken, *hits = state
        most = self.subsets.high - taken
        options = []
        for times in range((most if self.subsets.repeats else min(most, 1)) + 1):
            # In order, the places of these among all taken so far: the binomials multiply to the number of
            # orders of the multiset, (taken)! / (times_1! times_2! …).
            ways = math.comb(taken + times, times) if self.subsets.ordered else 1
            after = []
            for (branch, size), hit in zip(self.branches, hits, strict=True):
                now = min(hit + times * (code in branch.when), branch.occurrence + 1)
                if hit <= branch.occurrence < now:
                    ways *= size
                # A branch that no later candidate can hit is settled: forget its hits.
                after.append(now if branch.when[-1] > code else 0)
            options.append((times, (taken + times, *after), ways))
        return options


def _hits(branch: Branch, codes: Iterable[int]) -> int:
    return sum(code in branch.when for code in codes)


def _runs(when: range | tuple[int, ...]) -> list[tuple[int, int]]:
    if isinstance(when, range):
        return [(when.start, when.stop)]
    runs: list[tuple[int, int]] = []
    # Sorted codes, as `Branch` keeps them.
    for code in when:
        if runs and runs[-1][1] == code:
            runs[-1] = runs[-1][0], code + 1
        else:
            runs.append((code, code + 1))
    return runs


def _by_branch(entry: Entry) -> list[list[int]]:
    groups: list[list[int]] = []
    position = 0
    for branch in entry.point.branches:
        groups.append(entry.below[position : position + len(branch.points)])
        position += len(branch.points)
    return groups


def _couplings(layout: Layout, folds: Sequence[Sequence[int]]) -> dict[int, set[int]]:
    """Return which points each point is coupled with by a guard, a fold, or a tie that others depend on."""
    partners: dict[int, set[int]] = {}

    def couple(a: int, b: int) -> None:
        partners.setdefault(a, set()).add(b)
        partners.setdefault(b, set()).add(a)

    # A tie that nothing hangs on has one value given its target's, and couples nothing.
    sources = set()
    for entry in layout.entries:
        for guard in entry.point.guards:
            for address in guard.addresses:
                sources.add(layout.index[address])
                couple(layout.index[address], entry.number)
    for numbers in folds:
        sources.update(numbers)
        for a, b in itertools.pairwise(numbers):
            couple(a, b)
    for entry in layout.entries:
        if entry.tied and (entry.below or entry.number in sources):
            couple(entry.target, entry.number)
    return partners
