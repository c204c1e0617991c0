"""Points coupled by guards and ties, counted and drawn in tree order, the codes still needed as state.

Going through the points in order, all that the future can ask of the past is the values of those that a
later guard, tie or branch refers to: the state. So the ways to complete a decision from a state are a sum
over the values of the next point of the ways to complete it from the state after, times the count of what
hangs on the value and is not coupled itself. That is the elimination of variables along an order (Dechter,
Bucket elimination, 1999); it takes as much as there are states, exponential in how many points are needed
at once and not in how many there are. Drawing goes the other way: each value by its share of the ways,
which makes all decisions equally likely (Nijenhuis and Wilf, Combinatorial algorithms, 1978).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from symnas._typing import Codes, Floats, Ints
from symnas.errors import SpaceError
from symnas.tree.layout import REAL, SINGLE, Entry, Layout
from symnas.tree.subsets import INACTIVE

# At one position: a state is a tuple of a few small integers.
MAX_STATES = 1_000_000

State = tuple[int, ...]
"""What is remembered on the way."""
Transitions = dict[State, list[tuple[int, State, int]]]
"""From each state the options: what is chosen, the state after, in how many ways that is one option."""


@dataclass(slots=True)
class CoupledPoint:
    """One point on the way.

    Args:
        entry: the point.
        parent: position of its parent on the way, or -1.
        branch: which of the parent's branches it stands in.
        size: the count of its whole subtree where nothing couples it; None where it is decided on the way.
        weigh: counts per code (or per selection) of its uncoupled branches.
        open: its branches whose points are on the way as well.
        counts: per value, what `weigh` says.
        classes: values that nothing later tells apart, by position in the domain.
        takes: per class, which of the open branches its values take.
        weights: per class, the sum of its counts.
        last: the last position that needs the point's value, or -1.
    """

    entry: Entry
    parent: int
    branch: int
    size: int | None
    weigh: Callable[[Entry], list[int]] | None = None
    open: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    classes: list[list[int]] = field(default_factory=list)
    takes: list[frozenset[int]] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    last: int = -1


class CoupledPoints:
    """Coupled points in tree order.

    Args:
        layout: the compiled space.
        items: the points, parents before children, each group in tree order.
        real: how many values a real range counts for.

    Attributes:
        transitions: per position, the options of every state; what is chosen is a class, or INACTIVE.
        futures: per position, the ways to complete a decision from every state.
        total: those from the start.
    """

    def __init__(self, layout: Layout, items: list[CoupledPoint], real: int) -> None:
        self.layout = layout
        self.items = items
        self.real = real
        self.place = {item.entry.number: position for position, item in enumerate(items)}
        # First who is needed until when, then which of its values are told apart, then the states that this
        # leaves.
        self._find_uses()
        for item in items:
            self._classify(item)
        self.transitions: list[Transitions] = []
        self.futures = self._count()
        self.total = self.futures[0][()]

    def _sources(self, item: CoupledPoint) -> list[int]:
        numbers = [self.layout.index[a] for guard in item.entry.point.guards for a in guard.addresses]
        # A tie to a point that is not on the way is independent of all that is.
        if item.entry.tied and item.entry.target in self.place:
            numbers.append(item.entry.target)
        return [self.place[number] for number in numbers]

    def _find_uses(self) -> None:
        """Note up to which position every point is needed, by a child, a guard or a tie."""
        self.named: set[int] = set()
        for position, item in enumerate(self.items):
            sources = self._sources(item)
            self.named.update(sources)
            for needed in [*sources, *([item.parent] if item.parent >= 0 else [])]:
                self.items[needed].last = max(self.items[needed].last, position)

    def _classify(self, item: CoupledPoint) -> None:
        """Merge the values that nothing later tells apart: those that take the same open branches.

        A point whose code a guard or a tie asks for keeps all apart.
        """
        entry = item.entry
        # Nothing to tell apart: a subtree that counts as a whole, a real range, a tie to a point elsewhere.
        elsewhere = entry.tied and entry.target not in self.place
        if item.size is not None or entry.shape == REAL or elsewhere:
            item.weights = [item.size if item.size is not None else 1 if entry.tied else self.real]
            item.classes, item.takes = [[0]], [frozenset()]
            return
        if entry.shape != SINGLE and not entry.subsets.tabulated:
            raise SpaceError(
                f"{entry.point.address}: conditions over {entry.domain.cardinality} selections cannot be "
                "counted; make the point smaller or its conditions fewer"
            )
        assert item.weigh is not None
        item.counts = item.weigh(entry)
        values: Sequence[Sequence[int]] = (
            [(code,) for code in range(entry.card)] if entry.shape == SINGLE else entry.subsets.rows
        )
        # A guard asks for the code itself, and a tie has to take it from its target.
        apart = self.place[entry.number] in self.named or entry.tied
        known: dict[tuple[int, frozenset[int]], int] = {}
        for rank, codes in enumerate(values):
            taken = frozenset(k for k in item.open if self._takes(entry, k, codes))
            key = (rank if apart else -1, taken)
            if key not in known:
                known[key] = len(item.classes)
                item.classes.append([])
                item.takes.append(taken)
            item.classes[known[key]].append(rank)
        item.weights = [sum(item.counts[rank] for rank in ranks) for ranks in item.classes]

    @staticmethod
    def _takes(entry: Entry, k: int, codes: Sequence[int]) -> bool:
        if entry.domain.kind == "permutation":
            return True
        branch = entry.point.branches[k]
        return sum(code in branch.when for code in codes) > branch.occurrence

    # ------------------------------------------------------------ counting

    def _count(self) -> list[dict[State, int]]:
        # `live` has the positions whose classes make the state, in order. First forwards, which states there
        # are, and from each the options; then backwards, how many ways each can be completed.
        live: list[int] = []
        states: list[State] = [()]
        for position, item in enumerate(self.items):
            grown = [*live, position]
            # What no later position needs is forgotten: that is what keeps states few.
            after = [p for p in grown if self.items[p].last > position]
            keep = [grown.index(p) for p in after]
            moves: Transitions = {}
            for state in states:
                options = self._options(item, dict(zip(live, state, strict=True)))
                moves[state] = [
                    (chosen, tuple((*state, chosen)[k] for k in keep), weight) for chosen, weight in options
                ]
            self.transitions.append(moves)
            states = list({new for options in moves.values() for _, new, _ in options})
            if len(states) > MAX_STATES:
                raise SpaceError(
                    f"the conditions around {item.entry.point.address} interact in more than {MAX_STATES} "
                    "ways; make them fewer or the points smaller"
                )
            live = after
        # F(end, s) = 1,   F(t, s) = sum over options (chosen, s', w) of w * F(t + 1, s')
        futures: list[dict[State, int]] = [dict.fromkeys(states, 1)]
        for moves in reversed(self.transitions):
            later = futures[-1]
            futures.append(
                {state: sum(w * later[new] for _, new, w in options) for state, options in moves.items()}
            )
        futures.reverse()
        return futures

    def _options(self, item: CoupledPoint, known: dict[int, int]) -> list[tuple[int, int]]:
        """Return the classes that a point may take, with their counts, or INACTIVE, given those before."""
        if item.parent >= 0:
            # Not taken, or under a parent that does not exist: one way, which is to be absent.
            chosen = known[item.parent]
            if chosen < 0 or item.branch not in self.items[item.parent].takes[chosen]:
                return [(INACTIVE, 1)]
        for guard in item.entry.point.guards:
            row = tuple(self._seen(self.place[self.layout.index[a]], known) for a in guard.addresses)
            if row not in guard.allowed:
                return [(INACTIVE, 1)]
        if item.entry.tied and item.size is None and item.entry.target in self.place and item.counts:
            same = self._seen(self.place[item.entry.target], known)
            return [(same, item.weights[same])]
        return list(enumerate(item.weights))

    def _seen(self, position: int, known: dict[int, int]) -> int:
        # A point that is named keeps every value apart, so that its class holds one rank.
        chosen = known[position]
        return INACTIVE if chosen < 0 else self.items[position].classes[chosen][0]

    # ------------------------------------------------------------ drawing

    @property
    def numbers(self) -> int:
        """How many random numbers `draw` takes per row: for every point one for its class, one within."""
        return 2 * len(self.items)

    def draw(self, codes: Codes, u: Floats) -> None:
        """Write the points that are decided on the way, in place, so that all completions are equally likely.

        Args:
            codes: (columns, rows).
            u: (rows, numbers) random numbers of [0, 1).
        """
        u = np.ascontiguousarray(u.T)
        # Rows in the same state go on together, each by its own numbers.
        groups: dict[State, Ints] = {(): np.arange(codes.shape[1])}
        for position, item in enumerate(self.items):
            later = self.futures[position + 1]
            first, second = u[2 * position], u[2 * position + 1]
            pieces: dict[State, list[Ints]] = {}
            for state, members in groups.items():
                options = self.transitions[position][state]
                # P(option | s) = w * F(t + 1, s') / F(t, s): over a whole way, (product of w) / F(0, ())
                place = choose_by_counts([w * later[new] for _, new, w in options], first[members])
                for choice, (chosen, new, _) in enumerate(options):
                    mine = members[place == choice]
                    if len(mine):
                        pieces.setdefault(new, []).append(mine)
                        if chosen >= 0:
                            self._write(item, chosen, codes, mine, second[mine])
            groups = {state: np.concatenate(parts) for state, parts in pieces.items()}

    @staticmethod
    def _write(item: CoupledPoint, chosen: int, codes: Codes, rows: Ints, u: Floats) -> None:
        entry = item.entry
        if item.size is not None or entry.shape == REAL or entry.tied:
            return
        # Nothing later tells the values of a class apart, so which of them it is may be drawn apart from the
        # rest.
        ranks = item.classes[chosen]
        place = choose_by_counts([item.counts[rank] for rank in ranks], u)
        if entry.shape == SINGLE:
            codes[entry.column, rows] = np.array(ranks)[place]
            return
        table = np.array([entry.slots(entry.subsets.rows[rank]) for rank in ranks])
        codes[np.array(entry.columns)[:, None], rows] = table[place].T


def choose_by_counts(counts: list[int], u: Floats) -> Ints:
    """Return positions (rows,) in proportion to exact counts of any size, for (rows,) numbers of [0, 1)."""
    if len(counts) == 1:
        return np.zeros(len(u), np.intp)
    total = sum(counts)
    # Whole numbers are summed, then divided: each bound is exact to the last bit of a float.
    running, bounds = 0, []
    for count in counts[:-1]:
        running += count
        bounds.append(running / total)
    return np.searchsorted(bounds, u, side="right")
