"""The tree of decided prefixes that a search remembers, with visits, rewards and trials under way at each.

A node stands for a prefix of steps. As long as one decision only has come through a node, it is a leaf that
keeps that decision; a second one pushes the first down a step, until the two part. So nodes are few, a move
without a node leads to new decisions only, and a node without anything new beneath it knows that it is
exhausted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from symnas.algorithms.tree_search.point_steps import Move, Sub
from symnas.algorithms.tree_search.steps import Steps


class Record:
    """One decision that was handed out or came from elsewhere.

    Args:
        codes: its row of codes.
        reals: its row of real values.
    """

    __slots__ = ("codes", "reals", "running", "total", "visits")

    def __init__(self, codes: Sequence[int], reals: Sequence[float]) -> None:
        self.codes = codes
        self.reals = reals
        self.running = 0
        self.visits = 0
        self.total = 0.0


class Node:
    """A prefix of steps.

    Args:
        place: place of the point that comes next, -1 where the decision is complete.
        sub: what is decided of that point.
    """

    __slots__ = (
        "children",
        "closed",
        "exhausted",
        "place",
        "record",
        "running",
        "sub",
        "total",
        "visits",
    )

    def __init__(self, place: int, sub: Sub) -> None:
        self.place = place
        self.sub = sub
        self.children: dict[Move, Node] = {}
        self.record: Record | None = None
        self.visits = 0
        self.running = 0
        self.total = 0.0
        self.closed = 0
        self.exhausted = place < 0


class DecisionTree:
    """All prefixes of the decisions that came so far.

    Args:
        steps: the steps of decisions.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.root: Node | None = None
        self._undo: list[Callable[[], object]] | None = None

    def insert(self, record: Record) -> list[Node]:
        """Make room for a decision and return the nodes on its path, the root first.

        What the record counted before it came is counted along the path; later changes are the caller's.
        """
        if self.root is None:
            self.root = self._node(-1, None, None, record)
            self._adopt(self.root, record)
            return [self.root]
        node = self.root
        path = [node]
        new = False
        while node.place >= 0 and node.record is not record:
            self.open(node)
            move = self.steps.points[node.place].taken(node.sub, record.codes, record.reals)
            child = node.children.get(move)
            if child is None:
                child = node.children[move] = self._node(node.place, node.sub, move, record)
                if self._undo is not None:
                    self._undo.append(lambda node=node, move=move: node.children.pop(move))  # type: ignore[misc]
                self._adopt(child, record)
                path.append(child)
                new = True
                break
            node = child
            path.append(node)
        if new:
            for node in path[:-1]:
                node.visits += record.visits
                node.running += record.running
                node.total += record.total
            self._close(path)
        return path

    def open(self, node: Node) -> None:
        """Push the only decision of a leaf down a step; nothing that a search looks at changes."""
        record = node.record
        if record is None or node.place < 0:
            return
        move = self.steps.points[node.place].taken(node.sub, record.codes, record.reals)
        child = node.children[move] = self._node(node.place, node.sub, move, record)
        self._adopt(child, record)
        node.record = None
        node.closed = int(child.exhausted)

    @contextmanager
    def tentatively(self) -> Iterator[None]:
        """Take back, at the end, every insertion that is made inside."""
        self._undo = []
        try:
            yield
        finally:
            for action in reversed(self._undo):
                action()
            self._undo = None

    def run(self, record: Record) -> None:
        """Insert a decision as under way, inside `tentatively`."""
        assert self._undo is not None
        if self.root is None:
            self._undo.append(lambda: setattr(self, "root", None))
        record.running += 1
        for node in self.insert(record)[:-1]:
            self._undo.append(lambda node=node: setattr(node, "running", node.running - 1))  # type: ignore[misc]

    @staticmethod
    def _adopt(node: Node, record: Record) -> None:
        node.record = record
        node.visits, node.running, node.total = record.visits, record.running, record.total

    def _node(self, place: int, sub: Sub, move: Move, record: Record) -> Node:
        """Return the node that a decision comes to by a move; without a move, its first."""
        steps = self.steps
        if place >= 0:
            after = steps.points[place].after(sub, move)
            if after is not None:
                return Node(place, after)
        place = steps.following(place, record.codes, record.reals)
        return Node(place, steps.points[place].start if place >= 0 else None)

    def _close(self, path: list[Node]) -> None:
        """Note which nodes above a new leaf have nothing new beneath them any more."""
        for above, node in zip(reversed(path[:-1]), reversed(path), strict=False):
            if not node.exhausted:
                return
            above.closed += 1
            point = self.steps.points[above.place]
            done = not point.endless and above.closed == len(point.moves(above.sub)[0])
            if self._undo is not None:
                self._undo.append(lambda node=above, done=done: _reopen(node, done))  # type: ignore[misc]
            if not done:
                return
            above.exhausted = True


def _reopen(node: Node, was_closed: bool) -> None:
    node.closed -= 1
    if was_closed:
        node.exhausted = False
