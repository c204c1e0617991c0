"""The tree of decided prefixes that a search remembers, with visits, rewards and trials under way at each.

A node stands for a prefix of the path of actions of a decision. As long as one decision only has come through
a node, it is a leaf that keeps that decision; a second one pushes the first down an action, until the two
part. So there are fewer nodes than actions that were taken, an action without a node leads to new decisions
only, and a node without anything new beneath it knows that it is exhausted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from symnas.algorithms.sequencing.paths import Paths
from symnas.algorithms.sequencing.points import Action, State


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
        # Outcomes that are awaited, that came, and the sum of their rewards.
        self.running = 0
        self.visits = 0
        self.total = 0.0


class Node:
    """A prefix of actions, and the visits, trials under way and sum of rewards of what came through it.

    Args:
        place: place of the point that comes next, -1 where the decision is complete.
        state: what is decided of that point.
    """

    __slots__ = (
        "children",
        "closed",
        "exhausted",
        "place",
        "record",
        "running",
        "state",
        "total",
        "visits",
    )

    def __init__(self, place: int, state: State) -> None:
        self.place = place
        self.state = state
        self.children: dict[Action, Node] = {}
        # The only decision that came through, while it is the only one: there are no children then, and
        # visits, trials under way and rewards are the record's.
        self.record: Record | None = None
        self.visits = 0
        self.running = 0
        self.total = 0.0
        # How many children are exhausted.
        self.closed = 0
        self.exhausted = place < 0


class SearchTree:
    """All prefixes of the decisions that came so far.

    Args:
        paths: the sequences of actions of decisions.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.root: Node | None = None
        # What takes back the insertions made in `tentatively`, the latest last; None outside of it.
        self._undo: list[Callable[[], object]] | None = None

    def insert(self, record: Record) -> list[Node]:
        """Make room for a decision and return the nodes on its path, the root first.

        What the record counted before it came is counted along the path; later changes are the caller's.
        """
        if self.root is None:
            self.root = self._first(record)
            self._adopt(self.root, record)
            return [self.root]
        node = self.root
        path = [node]
        while node.place >= 0 and node.record is not record:
            # Two decisions are to come through: the leaf's own goes down one action first.
            self.open(node)
            action = self._taken(node, record)
            child = node.children.get(action)
            if child is None:
                path.append(self._grow(node, action, record))
                # The new leaf has taken over the record's counts; the nodes above it add them here, once. A
                # record that was found on its way down has been counted along it already.
                for above in path[:-1]:
                    above.visits += record.visits
                    above.running += record.running
                    above.total += record.total
                self._close(path)
                return path
            node = child
            path.append(node)
        return path

    def open(self, node: Node) -> None:
        """Push the only decision of a leaf down an action; nothing that a search looks at changes."""
        record = node.record
        if record is None or node.place < 0:
            return
        action = self._taken(node, record)
        # All that came through the leaf was this decision, so that the child counts what the node does.
        child = node.children[action] = self._reached(node, action, record)
        self._adopt(child, record)
        node.record = None
        # A child behind the last point is exhausted at once. The node is not: it has an alternative left.
        node.closed = int(child.exhausted)

    @contextmanager
    def tentatively(self) -> Iterator[None]:
        """Take back, at the end, every insertion that is made inside."""
        self._undo = []
        try:
            yield
        finally:
            # The latest first, so that each finds the tree as it left it.
            for take_back in reversed(self._undo):
                take_back()
            self._undo = None

    def run(self, record: Record) -> None:
        """Insert a decision as under way, inside `tentatively`."""
        assert self._undo is not None
        if self.root is None:
            self._undo.append(lambda: setattr(self, "root", None))
        # Before the insertion, which counts along the path what the record holds by then.
        record.running += 1
        for node in self.insert(record)[:-1]:
            self._undo.append(lambda node=node: setattr(node, "running", node.running - 1))  # type: ignore[misc]

    # ------------------------------------------------------------ inside

    def _taken(self, node: Node, record: Record) -> Action:
        return self.paths.points[node.place].taken(node.state, record.codes, record.reals)

    def _grow(self, node: Node, action: Action, record: Record) -> Node:
        child = node.children[action] = self._reached(node, action, record)
        if self._undo is not None:
            self._undo.append(lambda: node.children.pop(action))
        self._adopt(child, record)
        return child

    @staticmethod
    def _adopt(node: Node, record: Record) -> None:
        node.record = record
        node.visits, node.running, node.total = record.visits, record.running, record.total

    def _first(self, record: Record, place: int = -1) -> Node:
        """Return a decision's node in front of the next point that exists, after that of a place."""
        place = self.paths.following(place, record.codes, record.reals)
        return Node(place, self.paths.points[place].start if place >= 0 else None)

    def _reached(self, node: Node, action: Action, record: Record) -> Node:
        """Return the node that a decision comes to by an action: within the point, or before the next."""
        point = self.paths.points[node.place]
        state = point.after(node.state, action)
        return self._first(record, node.place) if point.decided(state) else Node(node.place, state)

    def _close(self, path: list[Node]) -> None:
        """Note which nodes above a new leaf have nothing new beneath them any more.

        A node is exhausted where it has a child for every action and all of them are. A real range never is.
        """
        for above, node in zip(reversed(path[:-1]), reversed(path), strict=False):
            if not node.exhausted:
                return
            above.closed += 1
            point = self.paths.points[above.place]
            # A real range has no list of actions (`options` is 0), and never ends.
            done = point.options > 0 and above.closed == len(point.actions(above.state)[0])
            if self._undo is not None:
                self._undo.append(lambda node=above, done=done: _reopen(node, done))  # type: ignore[misc]
            if not done:
                return
            above.exhausted = True


def _reopen(node: Node, was_closed: bool) -> None:
    node.closed -= 1
    if was_closed:
        node.exhausted = False
