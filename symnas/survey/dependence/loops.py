"""Loops, `try` and `match` under the dependence tracker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from symnas.survey.dependence.calls import Stepper
from symnas.survey.dependence.conditions import Condition
from symnas.survey.dependence.scopes import BREAK, RETURN

if TYPE_CHECKING:
    from symnas.survey.dependence.frame import Frame

Pair = tuple[Any, int]


class Loop:
    """A running loop: every turn has a path, and a condition where the number of turns matters."""

    def __init__(
        self, frame: Frame, site: int, pair: Pair | None, *, ends: bool = False, reaches: bool = True
    ) -> None:
        self.frame = frame
        self.site = site
        self.base, self.path = frame.pc, frame.path
        self.turns = -1
        self.dropped = 0
        self.total = 0
        self.ends = ends
        self.reaches = reaches
        self.stepper = None if pair is None else Stepper(frame, pair)
        self.effect_key = ("loop", site, self.path)
        self.last: Condition | None = None
        self.passed: list[Condition] = []
        self.depth = len(frame.rt.attempts)

    def __iter__(self) -> Iterator[Pair]:
        """Go through the turns."""
        return self

    def again(self) -> None:
        """Leave a turn and begin the next."""
        frame = self.frame
        self._close_attempts()
        node = frame.pc
        while node is not None and node is not self.base:
            if not node.kinds & (BREAK | RETURN):
                self.passed.append(node)
                self.dropped |= node.labels
            node = node.parent
        self._keep(BREAK | RETURN)
        self.total |= self.dropped
        self.turns += 1
        frame.path = frame.rt.paths.child(self.path, self.site, "turn", self.turns)

    def _close_attempts(self) -> None:
        """Close what was left open by `break` or `continue`."""
        attempts = self.frame.rt.attempts
        while len(attempts) > self.depth and attempts[-1].frame is self.frame:
            attempts[-1].close()

    def _keep(self, kinds: int) -> None:
        frame, kept = self.frame, []
        node = frame.pc
        while node is not None and node is not self.base:
            if node.kinds & kinds:
                kept.append(node)
            node = node.parent
        frame.pc = self.base
        for item in reversed(kept):
            again = Condition(frame.pc, item.key, item.labels, item.outcome, item.kinds, item.effect_key)
            again.effects = item.effects
            frame.pc = again

    def __next__(self) -> Pair:
        """Return the next item with its labels."""
        assert self.stepper is not None
        self.again()
        frame = self.frame
        frame.site = self.site
        try:
            pair, labels = self.stepper.step()
        except StopIteration:
            labels = self.stepper.labels()
            self._turn(labels, False)
            if self.ends:
                self.end()
            raise
        self._turn(labels, True)
        return pair

    def _turn(self, labels: int, outcome: bool) -> None:
        if labels:
            key = ("turn", self.site, self.frame.path)
            record = self.frame.rt.heap.get(self.stepper.value) if self.stepper else None
            named = (outcome, record.outcome()) if outcome and record and record.outcome else outcome
            self.frame.push(key, labels, named, self.site, 0, self.effect_key, self.last, self.reaches)
            self.last = self.frame.pc

    def decide(self, pair: Pair) -> bool:
        """Decide whether a `while` goes on; later turns depend on it."""
        result, labels = self.frame.truth(pair)
        if labels:
            key = ("turn", self.site, self.frame.path)
            self.frame.push(key, labels, result, self.site, BREAK, self.effect_key)
        return result

    def finish(self) -> None:
        """Enter the loop's `else`."""
        self.frame.path = self.path

    def end(self) -> int:
        """Leave the loop; return the labels of what was assigned in it."""
        frame = self.frame
        self._close_attempts()
        node = frame.pc
        while node is not None and node is not self.base:
            if not node.kinds & RETURN:
                self.passed.append(node)
                self.total |= node.labels
            node = node.parent
        self._keep(RETURN)
        frame.path = self.path
        for item in self.passed:
            frame.rt.settle(item, self.total)
        if self.ends:
            frame.gone |= self.total
        return self.total


class Attempt:
    """A running `try` or `with`: anything computed in it may decide whether it is left by an exception."""

    def __init__(self, frame: Frame, site: int) -> None:
        self.frame = frame
        self.site = site
        self.base, self.path = frame.pc, frame.path
        self.key = ("try", site, frame.path)
        rt = frame.rt
        self.saved = rt.seen
        rt.seen = 0
        rt.attempts.append(self)
        self.open = True
        self.labels = 0
        self.manager: object = None
        self.node = Condition(frame.pc, self.key, 0, None, 0, self.key)
        frame.pc = self.node

    def manages(self, pair: Pair) -> None:
        """Note the context manager; torch's own never swallow an exception."""
        self.labels |= pair[1]
        self.manager = pair[0]
        kind = type(pair[0])
        if kind.__module__.split(".")[0] == "torch" or kind.__name__ == "nullcontext":
            self.close()
            self.labels = pair[1]

    def close(self) -> None:
        """Stop watching for exceptions."""
        if not self.open:
            return
        self.open = False
        rt = self.frame.rt
        while rt.attempts and rt.attempts[-1] is not self:
            inner = rt.attempts.pop()
            inner.open = False
            rt.seen |= inner.saved
        if rt.attempts:
            rt.attempts.pop()
        self.labels |= rt.seen
        rt.seen |= self.saved
        self.frame.rt.top = self.frame

    def caught(self, position: int, kinds: int) -> None:
        """Enter a handler, or what follows when there was no exception."""
        self.close()
        frame = self.frame
        frame.path = self.path
        frame.rt.top = frame
        frame.pc = self.node
        if self.labels:
            frame.push((*self.key, "outcome"), self.labels, position, self.site, kinds, self.key)

    def end(self) -> int:
        """Leave the statement."""
        self.close()
        frame = self.frame
        if self.labels or frame.pc is not self.node:
            self.labels |= frame.drop(self.node, RETURN | BREAK | 4)
        frame.path = self.path
        frame.rt.settle(self.node, self.labels)
        self._unlink()
        return self.labels

    def _unlink(self) -> None:
        """Take the statement's own marker out of the conditions, which may go on after an early exit."""
        frame, kept = self.frame, []
        node = frame.pc
        while node is not None and node is not self.node:
            kept.append(node)
            node = node.parent
        frame.pc = self.base
        for item in reversed(kept):
            again = Condition(frame.pc, item.key, item.labels, item.outcome, item.kinds, item.effect_key)
            again.effects = item.effects
            frame.pc = again


class Subject:
    """A running `match`."""

    def __init__(self, frame: Frame, site: int, pair: Pair) -> None:
        self.frame = frame
        self.site = site
        self.value, labels = pair
        self.labels = labels | frame.rt.heap.deep(self.value)

    def chosen(self, position: int, kinds: int) -> None:
        """Enter a case."""
        if self.labels:
            frame = self.frame
            frame.push((self.site, frame.path), self.labels, position, self.site, kinds)
