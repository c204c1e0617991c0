"""Points coupled by guards and ties, counted and drawn in tree order, the codes still needed as state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from symnas.errors import SpaceError
from symnas.tree.layout import REAL, SINGLE, Entry, Layout
from symnas.tree.subsets import INACTIVE, UNUSED

MAX_STATES = 1_000_000

State = tuple[int, ...]


@dataclass(slots=True)
class Coupled:
    """One step of a chain.

    Args:
        entry: the point.
        parent: position of its parent in the chain, or -1.
        branch: which of the parent's branches it stands in.
        size: the count of its whole subtree where nothing couples it; None when the chain decides it.
        weigh: counts per code (or per selection) of its uncoupled branches.
        open: its branches that the chain goes through.
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


class Chain:
    """Coupled points in tree order.

    Args:
        layout: the compiled space.
        items: the points, parents before children, each group in tree order.
        real: how many values a real range counts for.
    """

    def __init__(self, layout: Layout, items: list[Coupled], real: int) -> None:
        self.layout = layout
        self.items = items
        self.real = real
        self.place = {item.entry.number: position for position, item in enumerate(items)}
        self._find_uses()
        for item in items:
            self._classify(item)
        self.steps: list[dict[State, list[tuple[int, State, int]]]] = []
        self.futures = self._count()
        self.total = self.futures[0][()]

    def _sources(self, item: Coupled) -> list[int]:
        numbers = [self.layout.index[a] for guard in item.entry.point.guards for a in guard.addresses]
        if item.entry.tied and item.entry.target in self.place:
            numbers.append(item.entry.target)
        return [self.place[number] for number in numbers]

    def _find_uses(self) -> None:
        self.named: set[int] = set()
        for position, item in enumerate(self.items):
            sources = self._sources(item)
            self.named.update(sources)
            for needed in [*sources, *([item.parent] if item.parent >= 0 else [])]:
                self.items[needed].last = max(self.items[needed].last, position)

    def _classify(self, item: Coupled) -> None:
        """Merge the values that nothing later in the chain tells apart."""
        entry = item.entry
        idle = entry.tied and entry.target not in self.place
        if item.size is not None or entry.shape == REAL or idle:
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
        live: list[int] = []
        states: list[State] = [()]
        for position, item in enumerate(self.items):
            grown = [*live, position]
            after = [p for p in grown if self.items[p].last > position]
            keep = [grown.index(p) for p in after]
            moves: dict[State, list[tuple[int, State, int]]] = {}
            for state in states:
                options = self._options(item, dict(zip(live, state, strict=True)))
                moves[state] = [
                    (chosen, tuple((*state, chosen)[k] for k in keep), weight) for chosen, weight in options
                ]
            self.steps.append(moves)
            states = list({new for options in moves.values() for _, new, _ in options})
            if len(states) > MAX_STATES:
                raise SpaceError(
                    f"the conditions around {item.entry.point.address} interact in more than {MAX_STATES} "
                    "ways; make them fewer or the points smaller"
                )
            live = after
        futures: list[dict[State, int]] = [dict.fromkeys(states, 1)]
        for moves in reversed(self.steps):
            later = futures[-1]
            futures.append(
                {state: sum(w * later[new] for _, new, w in options) for state, options in moves.items()}
            )
        futures.reverse()
        return futures

    def _options(self, item: Coupled, known: dict[int, int]) -> list[tuple[int, int]]:
        """Return the classes that a step may take, with their counts; -1 is "does not exist"."""
        if item.parent >= 0:
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

    def draw(self, codes: NDArray[np.signedinteger], rng: np.random.Generator) -> None:
        """Draw the chain's own points, all completions equally likely, into columns (columns, rows)."""
        rows = codes.shape[1]
        groups: dict[State, NDArray[np.intp]] = {(): np.arange(rows)}
        for position, item in enumerate(self.items):
            later = self.futures[position + 1]
            pieces: dict[State, list[NDArray[np.intp]]] = {}
            for state, members in groups.items():
                options = self.steps[position][state]
                place = draw_by_counts([w * later[new] for _, new, w in options], len(members), rng)
                for choice, (chosen, new, _) in enumerate(options):
                    mine = members[place == choice]
                    if len(mine):
                        pieces.setdefault(new, []).append(mine)
                        if chosen >= 0:
                            self._write(item, chosen, codes, mine, rng)
            groups = {state: np.concatenate(parts) for state, parts in pieces.items()}

    def _write(
        self,
        item: Coupled,
        chosen: int,
        codes: NDArray[np.signedinteger],
        rows: NDArray[np.intp],
        rng: np.random.Generator,
    ) -> None:
        entry = item.entry
        if item.size is not None or entry.shape == REAL or entry.tied:
            return
        ranks = item.classes[chosen]
        place = draw_by_counts([item.counts[rank] for rank in ranks], len(rows), rng)
        if entry.shape == SINGLE:
            codes[entry.column, rows] = np.array(ranks)[place]
            return
        table = np.full((len(ranks), entry.width), UNUSED)
        for row, rank in enumerate(ranks):
            members = entry.subsets.rows[rank]
            table[row, : len(members)] = members
        codes[np.array(entry.columns)[:, None], rows] = table[place].T


def draw_by_counts(counts: list[int], rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw positions in proportion to exact counts of any size."""
    if len(counts) == 1:
        return np.zeros(rows, np.intp)
    total = sum(counts)
    running, bounds = 0, []
    for count in counts[:-1]:
        running += count
        bounds.append(running / total)
    return np.searchsorted(bounds, rng.random(rows), side="right")
