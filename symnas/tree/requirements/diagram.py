"""All ways to decide some points under folds: a layered graph, a layer per point, an edge per value.

A node stands for all that the points behind can ask of those before: the classes of points that a later
branch, guard, tie or term needs, and the running value of every fold under way. Ways that agree on this
share the node, so that a chain `w0 <= w1 <= …` takes as many nodes a layer as there are widths, and a bounded
sum as many as there are sums. Nodes from which nothing can be completed are left out, so whatever walks along
edges stays within the clauses. This is a decision diagram (Bergman, Ciré, van Hoeve, Hooker: Decision
diagrams for optimization, 2016), or the elimination of variables along an order (Dechter: Bucket
elimination, 1999).

    counting     N(t, s) = sum over edges (s, class, s') of ways(class) * N(t + 1, s')
    drawing      P(edge | s) = ways(class) * N(t + 1, s') / N(t, s), so that a whole way has product / N(0, 0)
    repairing    C(t, s) = least over edges of cost(class) + C(t + 1, s'): the closest way (Viterbi 1967)
    what is left the edges of the node that the points so far lead to

A running value past which every way on holds is DONE, as is one whose clause does not apply; one past which
none holds is FAILED, and ends there unless a point to come may be absent: bounds of the terms to come tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats, Ints, Mask

# The class of a point that does not exist, and the running value of a fold that holds whatever comes.
ABSENT = -1
DONE = np.iinfo(np.int64).min
# The running value of a fold that cannot hold any more, but may still not apply.
FAILED = DONE + 1
# Edges of one layer, and of all of them.
MOST_EDGES = 1 << 21
MOST_IN_ALL = 1 << 23


class TooManyWays(Exception):  # noqa: N818 - a clause is then met in another way
    """A layer would have more edges than there is room for; `numbers` are the points, once known."""

    numbers: tuple[int, ...] = ()


@dataclass(slots=True)
class Variable:
    """One point on the way.

    Args:
        ways: per rank, how many ways hang on it; one rank for what is not told apart.
        parent: position of its parent, or -1.
        branch: which of the parent's branches it stands in.
        takes: per rank, the open branches that it takes.
        guards: positions of sources, and the rows of their ranks under which it exists.
        target: position of what it is tied to, or -1.
        apart: whether all ranks are told apart.
        classes: ranks that nothing tells apart.
        class_of: per rank, its class.
        last: the last position that needs the class.
    """

    ways: list[int]
    parent: int = -1
    branch: int = -1
    takes: list[frozenset[int]] = field(default_factory=list)
    guards: list[tuple[tuple[int, ...], frozenset[tuple[int, ...]]]] = field(default_factory=list)
    target: int = -1
    apart: bool = False
    classes: list[list[int]] = field(default_factory=list)
    class_of: Ints = field(default_factory=lambda: np.empty(0, np.intp))
    last: int = -1


@dataclass(slots=True)
class Course:
    """A fold along the way.

    Args:
        kind: "sum" or "product".
        terms: positions, and the table over their ranks.
        comparison: "<=", ">=", "==" or "!=".
        bound: what it is compared with.
        needs: positions of the points without which it does not apply, in order.
        always: whether it applies whatever exists; tables then have a last place for absence.
        low: per position, the least that terms from there on add (or multiply by); `high` the most.
    """

    kind: str
    terms: list[tuple[tuple[int, ...], NDArray[np.int64]]]
    comparison: str
    bound: int
    needs: list[int]
    always: bool = False
    low: list[int] = field(default_factory=list)
    high: list[int] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Where it begins."""
        return self.needs[0]

    @property
    def last(self) -> int:
        """Where it is decided."""
        return self.needs[-1]

    def at(self, position: int) -> list[tuple[tuple[int, ...], NDArray[np.int64]]]:
        """Return the terms that are known from a position on."""
        return [term for term in self.terms if term[0] and max(term[0]) == position]

    def prepare(self, count: int) -> None:
        """Bound what is to come, from every position on."""
        unit = 0 if self.kind == "sum" else 1
        low, high = [unit], [unit]
        for position in reversed(range(count)):
            least, most = low[-1], high[-1]
            for _, table in self.at(position):
                smallest, largest = int(table.min()), int(table.max())
                if self.kind == "sum":
                    least, most = least + smallest, most + largest
                else:
                    least, most = least * smallest, most * largest
            low.append(least)
            high.append(most)
        self.low, self.high = low[::-1], high[::-1]

    @property
    def most(self) -> int:
        """What a product is cut to: all past the bound are alike, whether a factor of 0 comes or not."""
        return max(self.bound, 0) + 1

    def verdict(self, position: int, values: NDArray[np.int64]) -> tuple[Mask, Mask]:
        """Tell, behind a position, which running values can no longer hold, and which hold whatever comes."""
        low, high = self.low[position + 1], self.high[position + 1]
        least: NDArray[Any]
        most: NDArray[Any]
        if self.kind == "sum":
            least, most = values + low, values + high
        else:
            # Products may leave 64 bits; as floats they are exact up to far beyond the bound.
            least, most = values * float(low), values * float(high)
        if self.comparison == "<=":
            return least > self.bound, most <= self.bound
        if self.comparison == ">=":
            return most < self.bound, least >= self.bound
        other = (least > self.bound) | (most < self.bound)
        same = (least == self.bound) & (most == self.bound)
        return (other, same) if self.comparison == "==" else (same, other)


@dataclass(slots=True)
class Layer:
    """The edges from one layer of nodes to the next, in the order of the nodes they leave.

    Args:
        sources: (edges,) the nodes they leave.
        classes: (edges,) the classes, ABSENT where the point does not exist.
        targets: (edges,) the nodes they come to.
        starts: (nodes + 1,) where the edges of each node begin.
    """

    sources: Ints
    classes: Ints
    targets: Ints
    starts: Ints

    def leaving(self, nodes: Ints) -> tuple[Ints, Mask]:
        """Return the edges that leave nodes, (rows, most of any), and which of these places hold one."""
        counts = self.starts[nodes + 1] - self.starts[nodes]
        places = np.arange(counts.max(initial=1))
        there = places < counts[:, None]
        return np.where(there, self.starts[nodes][:, None] + places, 0), there


class Diagram:
    """All ways to decide some points under folds.

    Args:
        variables: the points, parents before children.
        courses: the folds, over positions.

    Attributes:
        layers: the edges, a layer per point; none where nothing can be decided.
        possible: whether anything can be decided.

    Raises:
        TooManyWays: there would be too many edges.
    """

    def __init__(self, variables: Sequence[Variable], courses: Sequence[Course]) -> None:
        self.variables = list(variables)
        self.courses = list(courses)
        for course in self.courses:
            course.needs = sorted(set(course.needs))
            course.prepare(len(self.variables))
        self._find_uses()
        for position, variable in enumerate(self.variables):
            self._classify(position, variable)
        self.layers = self._pruned(self._forward())
        self.possible = bool(self.layers) or not self.variables

    # ------------------------------------------------------------ classes

    def _find_uses(self) -> None:
        """Note up to which position the class of every point is needed, and whose ranks are told apart."""
        for position, variable in enumerate(self.variables):
            named = [p for sources, _ in variable.guards for p in sources]
            named += [variable.target] if variable.target >= 0 else []
            for needed in named:
                self.variables[needed].apart = True
            for needed in [*named, *([variable.parent] if variable.parent >= 0 else [])]:
                self.variables[needed].last = max(self.variables[needed].last, position)
            variable.apart = variable.apart or variable.target >= 0
        for course in self.courses:
            for positions, _ in course.terms:
                for needed in positions if len(positions) > 1 else ():
                    self.variables[needed].apart = True
                    self.variables[needed].last = max(self.variables[needed].last, *positions)

    def _classify(self, position: int, variable: Variable) -> None:
        """Merge the ranks that nothing tells apart: equal branches, and equal terms of this point alone."""
        own = [table for course in self.courses for at, table in course.terms if at == (position,)]
        takes = variable.takes or [frozenset()] * len(variable.ways)
        known: dict[Any, int] = {}
        variable.classes = []
        variable.class_of = np.empty(len(variable.ways), np.intp)
        for rank in range(len(variable.ways)):
            key = (rank if variable.apart else -1, takes[rank], *(int(table[rank]) for table in own))
            if key not in known:
                known[key] = len(variable.classes)
                variable.classes.append([])
            variable.classes[known[key]].append(rank)
            variable.class_of[rank] = known[key]

    # ------------------------------------------------------------ forwards

    def _forward(self) -> list[Layer]:
        # (nodes, registers), a column for each live point (its class) and fold (its running value)
        states = np.zeros((1, 0), np.int64)
        registers: list[tuple[str, int]] = []
        layers: list[Layer] = []
        edges = 0
        for position in range(len(self.variables)):
            sources, classes = self._edges(position, states, registers)
            grown, names = self._registers(position, states[sources], registers, classes)
            held, grown = self._settle(position, grown, names, classes)
            keep = [
                i
                for i, (kind, which) in enumerate(names)
                if (self.variables[which] if kind == "point" else self.courses[which]).last > position
            ]
            sources, classes = sources[held], classes[held]
            states, targets = _distinct(grown[held][:, keep])
            registers = [names[i] for i in keep]
            layers.append(Layer(sources, classes, targets, np.empty(0, np.intp)))
            edges += len(sources)
            if not len(sources):
                return []
            if edges > MOST_IN_ALL:
                raise TooManyWays
        return layers

    def _edges(
        self, position: int, states: NDArray[np.int64], registers: list[tuple[str, int]]
    ) -> tuple[Ints, Ints]:
        """Return node and class of every edge that branches, guards and ties allow."""
        variable = self.variables[position]
        place = {which: i for i, (kind, which) in enumerate(registers) if kind == "point"}
        exists = np.ones(len(states), bool)
        if variable.parent >= 0:
            parent = self.variables[variable.parent]
            taken = [variable.branch in parent.takes[ranks[0]] for ranks in parent.classes]
            # The last place catches the class of a parent that does not exist, -1.
            exists &= np.array([*taken, False])[states[:, place[variable.parent]]]
        for sources, allowed in variable.guards:
            ranks = np.stack([self._first(p)[states[:, place[p]]] for p in sources], axis=1)
            rows, which = np.unique(ranks, axis=0, return_inverse=True)
            exists &= np.array([tuple(row) in allowed for row in rows.tolist()], bool)[which.reshape(-1)]
        nodes, absent = np.flatnonzero(exists), np.flatnonzero(~exists)
        count = len(variable.classes)
        if variable.target >= 0:
            classes = variable.class_of[self._first(variable.target)[states[nodes, place[variable.target]]]]
            count = 1
        else:
            if len(nodes) * count > MOST_EDGES:
                raise TooManyWays
            classes = np.tile(np.arange(count), len(nodes))
        found = np.concatenate([np.repeat(nodes, count), absent])
        every = np.concatenate([classes, np.full(len(absent), ABSENT)])
        order = np.argsort(found, kind="stable")
        return found[order], every[order]

    def _registers(
        self, position: int, states: NDArray[np.int64], registers: list[tuple[str, int]], classes: Ints
    ) -> tuple[NDArray[np.int64], list[tuple[str, int]]]:
        """Append the point's class, and the running values of folds that begin here."""
        columns, names = [states, classes[:, None]], [*registers, ("point", position)]
        for which, course in enumerate(self.courses):
            if course.first == position:
                start = 0 if course.kind == "sum" else 1
                for _, table in (term for term in course.terms if not term[0]):
                    start = start + int(table) if course.kind == "sum" else start * int(table)
                columns.append(np.full((len(states), 1), start))
                names.append(("fold", which))
        return np.concatenate(columns, axis=1), names

    def _settle(
        self, position: int, states: NDArray[np.int64], names: list[tuple[str, int]], classes: Ints
    ) -> tuple[Ints, NDArray[np.int64]]:
        """Take running values on past a point; return the edges that may still hold, and all states."""
        place = {which: i for i, (kind, which) in enumerate(names) if kind == "point"}
        held = np.ones(len(states), bool)
        for column, (kind, which) in enumerate(names):
            if kind != "fold":
                continue
            course = self.courses[which]
            values = states[:, column].copy()
            if position in course.needs and not course.always:
                values[classes == ABSENT] = DONE
            going = (values != DONE) & (values != FAILED)
            for positions, table in course.at(position):
                added = table[tuple(self._first(p)[states[going, place[p]]] for p in positions)]
                if course.kind == "sum":
                    values[going] += added
                else:
                    values[going] = np.minimum(values[going] * np.minimum(added, course.most), course.most)
            fails, done = course.verdict(position, values)
            values[done & going] = DONE
            values[fails & going] = FAILED
            if course.always or all(self._sure(p) for p in course.needs if p > position):
                held &= values != FAILED
            states[:, column] = values
        return np.flatnonzero(held), states

    def _first(self, position: int) -> Ints:
        """Return the first rank of every class of a point, ABSENT last."""
        return np.array([*(ranks[0] for ranks in self.variables[position].classes), ABSENT], np.intp)

    def _sure(self, position: int) -> bool:
        """Tell whether a point exists on every way."""
        return self.variables[position].parent < 0 and not self.variables[position].guards

    def _pruned(self, layers: list[Layer]) -> list[Layer]:
        """Leave out what cannot be completed, and number what is left anew."""
        if not layers:
            return []
        # From the end: the nodes behind the last layer are all complete.
        alive = np.ones(int(layers[-1].targets.max()) + 1, bool)
        pruned = []
        # How many nodes each layer leaves: those that the one before comes to.
        nodes = [1, *(int(layer.targets.max()) + 1 for layer in layers[:-1])]
        for count, layer in zip(reversed(nodes), reversed(layers), strict=True):
            kept = alive[layer.targets]
            numbers = np.cumsum(alive) - 1
            sources, classes = layer.sources[kept], layer.classes[kept]
            pruned.append((sources, classes, numbers[layer.targets[kept]]))
            alive = np.zeros(count, bool)
            alive[sources] = True
        found = []
        for sources, classes, targets in reversed(pruned):
            different, numbers = np.unique(sources, return_inverse=True)
            starts = np.searchsorted(numbers, np.arange(len(different) + 1))
            found.append(Layer(numbers, classes, targets, starts))
        return found if len(found[0].sources) else []

    # ------------------------------------------------------------ counting

    def futures(self, ways: Sequence[Sequence[Any]]) -> list[NDArray[Any]]:
        """Return the weighted ways to go on from every node, a layer more than there are points.

        Args:
            ways: per point and class, its weight: whole numbers of any size, or floats.
        """
        whole = all(isinstance(way, int) for each in ways for way in each)
        bound = math.prod(max(sum(each), 1) for each in ways) if whole else 0
        # Whole numbers that may not fit into 64 bits are added up as Python's own.
        kind: Any = np.float64 if not whole else np.int64 if bound < 1 << 62 else object
        last = self.layers[-1]
        found = [np.ones(int(last.targets.max()) + 1, kind)]
        for layer, each in zip(reversed(self.layers), reversed(ways), strict=True):
            weights = np.array([*each, 1], kind)[layer.classes]
            sums = np.add.reduceat(weights * found[-1][layer.targets], layer.starts[:-1])
            # Shares alone count of floats, which would vanish over many layers.
            found.append(sums if whole else sums / (sums.max() or 1.0))
        return found[::-1]

    def bounds(self, ways: Sequence[Sequence[Any]]) -> list[Floats]:
        """Return, per layer, (edges,) s + P(an edge of node s up to this one), for `walk`."""
        futures = self.futures(ways)
        found = []
        for t, (layer, each) in enumerate(zip(self.layers, ways, strict=True)):
            kind = futures[t].dtype
            shares = np.array([*each, 1], kind)[layer.classes] * futures[t + 1][layer.targets]
            whole = np.add.reduceat(shares, layer.starts[:-1])
            # Where all that is left weighs nothing, evenly.
            shares = np.where((whole == 0)[layer.sources], 1, shares)
            whole = np.add.reduceat(shares, layer.starts[:-1])
            total = np.cumsum((shares / whole[layer.sources]).astype(np.float64))
            before = np.concatenate([[0.0], total])[layer.starts[:-1]]
            # Rounding must not carry over from one node to the next.
            found.append(layer.sources + np.minimum(total - before[layer.sources], 1.0))
        return found

    def step(self, t: int, nodes: Ints, u: Floats, bounds: list[Floats]) -> Ints:
        """Return the edges (rows,) that random numbers of [0, 1) stand for, out of nodes."""
        layer = self.layers[t]
        edges = np.searchsorted(bounds[t], nodes + u, side="right")
        return np.clip(edges, layer.starts[nodes], layer.starts[nodes + 1] - 1)

    # ------------------------------------------------------------ the closest way

    def closest(self, costs: Sequence[Floats]) -> list[Ints]:
        """Return, per point, the class (rows,) that it has on the least costly way of every row.

        Args:
            costs: per point, (rows, classes + 1) what each class costs, the last being absence.
        """
        rows = len(costs[0])
        ahead = np.zeros((rows, int(self.layers[-1].targets.max()) + 1))
        kept: list[Floats] = [ahead]
        for t in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[t]
            # (rows, edges), absence being the last column
            each = costs[t][:, layer.classes] + kept[-1][:, layer.targets]
            kept.append(np.minimum.reduceat(each, layer.starts[:-1], axis=1))
        kept.reverse()
        nodes = np.zeros(rows, np.intp)
        every, found = np.arange(rows)[:, None], []
        for t, layer in enumerate(self.layers):
            edges, there = layer.leaving(nodes)
            ahead = costs[t][every, layer.classes[edges]] + kept[t + 1][every, layer.targets[edges]]
            chosen = edges[every[:, 0], np.where(there, ahead, np.inf).argmin(axis=1)]
            found.append(layer.classes[chosen])
            nodes = layer.targets[chosen]
        return found

    # ------------------------------------------------------------ what is left

    def follow(self, t: int, nodes: Ints, classes: Ints) -> Ints:
        """Return the nodes that classes lead to, -1 where they lead nowhere (or begin there)."""
        layer = self.layers[t]
        edges, there = layer.leaving(np.maximum(nodes, 0))
        there &= (layer.classes[edges] == classes[:, None]) & (nodes >= 0)[:, None]
        found = layer.targets[edges[np.arange(len(nodes)), there.argmax(axis=1)]]
        return np.where(there.any(axis=1), found, -1)

    def open(self, t: int, nodes: Ints) -> Mask:
        """Return the classes (rows, classes + 1) that can be completed from nodes, absence the last."""
        layer = self.layers[t]
        edges, there = layer.leaving(np.maximum(nodes, 0))
        there &= (nodes >= 0)[:, None]
        found = np.zeros((len(nodes), len(self.variables[t].classes) + 1), bool)
        rows, places = np.nonzero(there)
        found[rows, layer.classes[edges[rows, places]]] = True
        return found


def _distinct(states: NDArray[np.int64]) -> tuple[NDArray[np.int64], Ints]:
    """Return the different rows, and for every row which of them it is."""
    if not states.shape[1] or not len(states):
        return states[:1], np.zeros(len(states), np.intp)
    # A row as one number where it fits, since sorting these is many times as fast.
    key = np.zeros(len(states), np.int64)
    size = 1
    for column in states.T:
        values, which = np.unique(column, return_inverse=True)
        size *= len(values)
        if size >= 1 << 62:
            rows, found = np.unique(states, axis=0, return_inverse=True)
            return rows, found.reshape(-1)
        key = key * len(values) + which
    _, first, found = np.unique(key, return_index=True, return_inverse=True)
    return states[first], found.reshape(-1)
