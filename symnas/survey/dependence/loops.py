"""Loops, `try` and `match` under the dependence tracker: statements whose conditions outlast one branch."""

from __future__ import annotations

from collections.abc import Iterator

from symnas.survey.dependence.access import Stepper
from symnas.survey.dependence.conditions import Condition, outwards
from symnas.survey.dependence.scopes import BREAK, CONTINUE, RETURN
from symnas.survey.dependence.state import Activation, Pair


class Loop:
    """A running loop: every turn has a path, and a condition where the number of turns matters.

    There is no third turn without a second one, so the condition of a turn is met after that of the turn
    before (`last`). And what a loop assigns depends on every condition met in any of its turns: each turn
    may have changed what the next one reads. `total` gathers them, and `dropped` those of the turns that
    are over, for what is assigned in the turns to come.

    Args:
        at: who runs it.
        site: its place.
        pair: what a `for` goes through; None for a `while`.
        ends: whether it belongs to a comprehension, and ends with its last turn.
        reaches: whether points may depend on the number of turns.
    """

    def __init__(
        self, at: Activation, site: int, pair: Pair | None, *, ends: bool = False, reaches: bool = True
    ) -> None:
        self.at = at
        self.site = site
        self.base, self.path = at.pc, at.path
        self.turns = -1
        self.dropped = 0
        self.total = 0
        self.ends = ends
        self.reaches = reaches
        self.stepper = None if pair is None else Stepper(at, pair)
        self.effect_key = ("loop", site, self.path)
        self.last: Condition | None = None
        self.passed: list[Condition] = []
        self.depth = len(at.state.attempts)

    def __iter__(self) -> Iterator[Pair]:
        """Go through the turns."""
        return self

    def again(self) -> None:
        """Leave a turn and begin the next.

        Only what may have left the loop or the function stays in force: the next turn runs because it did
        not.
        """
        at = self.at
        self._close_attempts()
        self._pass(BREAK | RETURN)
        self.total |= self.dropped
        self.turns += 1
        # What is made in a turn has a key of that turn, so that objects of two turns have effects of their
        # own.
        at.path = at.state.paths.child(self.path, self.site, "turn", self.turns)

    def _pass(self, kinds: int) -> int:
        """Leave the conditions since the loop began, but those with such exits; return the labels so far."""
        met = list(outwards(self.at.pc, self.base))
        over = [condition for condition in met if not condition.kinds & kinds]
        # They are settled at the end only, when it is known what all turns depend on.
        self.passed += over
        for condition in over:
            self.dropped |= condition.labels
        self.at.restack(self.base, [condition for condition in met if condition.kinds & kinds])
        return self.dropped

    def _close_attempts(self) -> None:
        """Close what was left open by `break` or `continue`."""
        attempts = self.at.state.attempts
        while len(attempts) > self.depth and attempts[-1].at is self.at:
            attempts[-1].close()

    def __next__(self) -> Pair:
        """Return the next item with its labels."""
        assert self.stepper is not None
        self.again()
        self.at.site = self.site
        try:
            pair, labels = self.stepper.step()
        except StopIteration:
            # That no turn follows is an outcome of the turn's condition, under which the `else` of the loop
            # runs.
            self._turn(self.stepper.labels(), False)
            if self.ends:
                self.end()
            raise
        self._turn(labels, True)
        return pair

    def _turn(self, labels: int, outcome: bool) -> None:
        if labels:
            at = self.at
            record = at.state.heap.get(self.stepper.value) if self.stepper else None
            # In a loop over a chosen subset the outcome of a turn is not only that it comes, but for which
            # candidate.
            named = (outcome, record.outcome()) if outcome and record and record.outcome else outcome
            key = ("turn", self.site, at.path)
            # One account of effects for all turns: a later turn may change what an earlier one left alone.
            at.push(key, labels, named, self.site, 0, self.effect_key, self.last, self.reaches)
            self.last = at.pc

    def decide(self, pair: Pair) -> bool:
        """Decide whether a `while` goes on; later turns depend on it."""
        result, labels = self.at.truth(pair)
        if labels:
            # A `while` that stops is like a `break`: the turns behind it run because it went on.
            key = ("turn", self.site, self.at.path)
            self.at.push(key, labels, result, self.site, BREAK, self.effect_key)
        return result

    def finish(self) -> None:
        """Enter the loop's `else`."""
        self.at.path = self.path

    def end(self) -> int:
        """Leave the loop; return the labels of what was assigned in it."""
        at = self.at
        self._close_attempts()
        self.total |= self._pass(RETURN)
        at.path = self.path
        # With the labels of all turns, not of the condition's own: see the class.
        for condition in self.passed:
            at.state.settle(condition, self.total)
        if self.ends:
            at.ended |= self.total
        return self.total


class Attempt:
    """A running `try` or `with`: anything computed in it may decide whether it is left by an exception.

    So while it runs, labels of everything computed are gathered in `TrackerState.seen`; where it is left,
    they become the labels of one condition whose outcome is the handler that was entered, or -1.
    """

    def __init__(self, at: Activation, site: int, stack: int, watches: bool) -> None:
        self.at = at
        self.site = site
        # How many expressions of the frame were open when it began.
        self.stack = stack
        self.base, self.path = at.pc, at.path
        # Whether an exception may end here.
        self.watches = watches
        self.key = ("try", site, at.path)
        state = at.state
        self.saved = state.seen
        state.seen = 0
        state.attempts.append(self)
        self.open = True
        self.labels = 0
        self.manager: object = None
        # A marker without labels: it gathers what is changed inside.
        self.marker = Condition(at.pc, self.key, 0, None, 0, self.key)
        at.pc = self.marker

    def manages(self, pair: Pair) -> None:
        """Note the context manager; torch's own never swallow an exception."""
        self.labels |= pair[1]
        self.manager = pair[0]
        kind = type(pair[0])
        if kind.__module__.split(".")[0] == "torch" or kind.__name__ == "nullcontext":
            self.close()
            self.labels = pair[1]
            self.watches = False

    def close(self) -> None:
        """Stop watching for exceptions."""
        if not self.open:
            return
        self.open = False
        state = self.at.state
        # Inner statements that an exception has left never closed themselves.
        while state.attempts and state.attempts[-1] is not self:
            inner = state.attempts.pop()
            inner.open = False
            state.seen |= inner.saved
        if state.attempts:
            state.attempts.pop()
        self.labels |= state.seen
        # What was computed in this `try` was computed in the one around it as well.
        state.seen |= self.saved
        state.top = self.at

    def caught(self, position: int, kinds: int) -> None:
        """Enter a handler, or what follows when there was no exception."""
        self.close()
        at = self.at
        # The exception has left branches and turns that it broke out of as if they still ran.
        at.path = self.path
        at.state.top = at
        at.pc = self.marker
        if self.labels:
            at.push((*self.key, "outcome"), self.labels, position, self.site, kinds, self.key)

    def end(self) -> int:
        """Leave the statement."""
        self.close()
        at = self.at
        if self.labels or at.pc is not self.marker:
            self.labels |= at.drop(self.marker, RETURN | BREAK | CONTINUE)
        at.path = self.path
        # What was changed inside may have been left unchanged by an exception that came first.
        at.state.settle(self.marker, self.labels)
        # Take the marker out of the conditions, which may go on after an early exit.
        at.restack(self.base, list(outwards(at.pc, self.marker)))
        return self.labels

    def behind(self, kinds: int) -> None:
        """Go on behind a `with` that is over: its body may have been left, had no exception been swallowed.

        Where it is left there is nothing behind it to be met, so it is known like a place inside a `try`:
        reached, or not.
        """
        if self.watches and self.labels:
            self.at.push(("reach", self.key, "behind"), self.labels, True, self.site, kinds)


class Subject:
    """A running `match`."""

    def __init__(self, at: Activation, site: int, pair: Pair) -> None:
        self.at = at
        self.site = site
        self.value, labels = pair
        self.labels = labels | at.state.heap.deep(self.value)

    def chosen(self, position: int, kinds: int) -> None:
        """Enter a case."""
        if self.labels:
            self.at.push((self.site, self.at.path), self.labels, position, self.site, kinds)
