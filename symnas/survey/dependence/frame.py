"""What rewritten code calls: one frame per running function, with operations on (value, labels) pairs."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

from symnas.survey.dependence.calls import call as run_call
from symnas.survey.dependence.conditions import Condition, Path
from symnas.survey.dependence.loops import Attempt, Loop, Subject
from symnas.survey.dependence.state import Pair
from symnas.survey.dependence.values import Star, Values

__all__ = ["Frame", "Pair", "Star"]


class Frame(Values):
    """Calls, definitions, generators, loops, exceptions and `match`; see the bases for the rest."""

    # -- calls, functions and classes ----------------------------------------------------------

    def call(self, site: int, function: Pair, args: tuple[Any, ...], keywords: tuple[Any, ...]) -> Pair:
        """Call anything."""
        self.site = site
        return run_call(self, site, function, args, keywords)

    def operate(
        self, site: int, name: str, hooks: Any, args: tuple[Any, ...], keywords: tuple[Any, ...]
    ) -> Pair:
        """Run an operation of a choice point."""
        self.site = site
        return self.rt.operations(self, site, name, hooks, args, keywords)

    def d(self, pair: Pair) -> Any:
        """Note the labels of a parameter's default."""
        self.noted.append(pair[1])
        return pair[0]

    def _take(self, count: int) -> tuple[int, ...]:
        start = len(self.noted) - count
        taken = tuple(self.noted[start:])
        del self.noted[start:]
        return taken

    def defined(self, count: int) -> Callable[[Any], Any]:
        """Return a decorator that attaches the defaults' labels to a new function."""

        def attach(function: Any) -> Any:
            return self.lam(count, function)[0]

        return attach

    def lam(self, count: int, function: Any) -> Pair:
        """Attach the defaults' labels to a new function."""
        labels = self._take(count)
        code = function.__code__
        self.rt.codes.add(code)
        self.rt.made[id(function)] = (
            self.path,
            code.co_name,
            code.co_firstlineno,
            self.rt.paths.child("code", code),
        )
        self.rt.alive.append(function)
        if any(labels):
            self.rt.defaults[id(function)] = labels
            for item in labels:
                self.rt.any_defaults |= item
        return function, 0

    def ret(self, pair: Pair) -> Any:
        """Return from the function."""
        self.result |= pair[1] | self.since_base()
        self.has_result = True
        return pair[0]

    def exit(self) -> None:
        """Close the frame."""
        rt = self.rt
        if not self.has_result:
            self.result |= self.since_base()
        rt.seen |= self.result
        while rt.attempts and rt.attempts[-1].frame is self:
            rt.attempts[-1].close()
        self.drop(self.base, 0)
        if self.generated is not None:
            self.generated.shape |= self.result
            rt.collected |= self.result
        elif self.direct:
            rt.returned = (self, self.result)
        else:
            rt.collected |= self.result
        rt.top = self.parent or rt.top

    def class_begin(self) -> None:
        """Enter a class body."""
        self.classes.append({})

    def class_body_end(self) -> None:
        """Leave a class body; its names' labels go to the class once it exists."""
        self.stack.append(self.classes.pop())

    def class_end(self, kind: Any) -> Any:
        """Attach the labels of a class body to the class."""
        held = self.stack.pop()
        if any(held.values()):
            self.rt.heap.record(kind).attributes.update(held)
        return kind

    # -- generators ----------------------------------------------------------------------------

    def generator(self, made: Any) -> Any:
        """Register a generator; its body runs when it is asked."""
        self.generated = self.rt.heap.record(made)
        self.rt.alive.append(made)
        self.rt.top = self.parent or self.rt.top
        if self.direct:
            self.rt.returned = (self, 0)
        return made

    def started(self) -> None:
        """A generator's body begins."""
        self.parent, self.rt.top = self.rt.top, self

    def yielding(self, pair: Pair) -> Any:
        """Hand a value out."""
        labels = pair[1] | self.since_base()
        if self.generated is not None:
            self.generated.last = labels
            self.generated.shape |= self.since_base()
        self.rt.collected |= labels
        self.rt.seen |= labels
        self.rt.top = self.parent or self.rt.top
        return pair[0]

    def delegating(self, pair: Pair) -> Any:
        """Hand over to another generator."""
        return self.yielding((pair[0], pair[1] | self.rt.heap.deep(pair[0])))

    def resumed(self, value: Any) -> Pair:
        """Go on after a yield."""
        self.parent, self.rt.top = self.rt.top, self
        return value, self.rt.native

    # -- loops ---------------------------------------------------------------------------------

    def save(self) -> tuple[Condition | None, Path]:
        """Return the place to come back to."""
        return self.pc, self.path

    def loop(self, site: int, pair: Pair) -> Loop:
        """Begin a `for`."""
        self.site = site
        return Loop(self, site, pair)

    def whil(self, site: int) -> Loop:
        """Begin a `while`."""
        return Loop(self, site, None)

    def next_turn(self, loop: Loop) -> None:
        """Begin a turn of a `while`."""
        loop.again()

    def turn(self, loop: Loop, _: None, pair: Pair) -> bool:
        """Decide whether a `while` goes on."""
        return loop.decide(pair)

    def loop_else(self, loop: Loop) -> None:
        """Begin a loop's `else`."""
        loop.finish()

    def loop_end(self, loop: Loop) -> int:
        """End a loop: return the labels of what was assigned in it."""
        return loop.end()

    def each(self, site: int, pair: Pair) -> Iterator[Pair]:
        """Go through a comprehension's iterable."""
        return iter(Loop(self, site, pair, ends=True))

    def listc(self, site: int, saved: tuple[Condition | None, Path], pairs: list[Pair]) -> Pair:
        """Make a list of a comprehension."""
        shape = self._gathered(saved)
        return self.made(site, [value for value, _ in pairs], pairs, shape), 0

    def setc(self, site: int, saved: tuple[Condition | None, Path], pairs: list[Pair]) -> Pair:
        """Make a set of a comprehension."""
        shape = self._gathered(saved)
        return self.made(site, {value for value, _ in pairs}, pairs, shape), 0

    def dictc(self, site: int, saved: tuple[Condition | None, Path], pairs: list[tuple[Pair, Pair]]) -> Pair:
        """Make a dictionary of a comprehension."""
        shape = self._gathered(saved)
        result, labels = self.mapping(site, tuple(pairs))
        record = self.rt.heap.record(result)
        record.shape |= shape
        record.rest |= shape
        return result, labels

    def _gathered(self, saved: tuple[Condition | None, Path]) -> int:
        shape = self.drop(saved[0], 0)
        self.path = saved[1]
        return shape | self._taken()

    def _taken(self) -> int:
        gone, self.gone = self.gone, 0
        return gone

    def genx(self, site: int, first: Pair, made: Callable[[Frame, Pair], Any]) -> Pair:
        """Make a generator expression, with a frame of its own."""
        frame = Frame(self.rt, self.rt.paths.child(self.path, site, "generator"), self.pc)
        frame.namespace, frame.parent = self.namespace, self
        if isinstance(first[0], types.GeneratorType):
            self.rt.alive.append(first[0])
        result = made(frame, first)
        frame.generated = self.rt.heap.record(result)
        frame.generated.source = (first[0],)
        frame.generated.shape |= first[1]
        return result, 0

    def y(self, pair: Pair) -> Any:
        """Hand out an item of a generator expression."""
        labels = pair[1] | self.since_base()
        if self.generated is not None:
            self.generated.last = labels
            self.generated.shape |= self.since_base()
        self.rt.collected |= labels
        return pair[0]

    # -- exceptions, contexts, match -----------------------------------------------------------

    def attempt(self, site: int) -> Attempt:
        """Begin a `try` or a `with`."""
        self.site = site
        return Attempt(self, site)

    def caught(self, attempt: Attempt, position: int, kinds: int) -> None:
        """Enter a handler."""
        attempt.caught(position, kinds)

    def passed(self, attempt: Attempt, kinds: int) -> None:
        """No exception came."""
        attempt.caught(-1, kinds)

    def finally_(self, attempt: Attempt) -> None:
        """Enter `finally`."""
        attempt.close()

    def try_end(self, attempt: Attempt) -> int:
        """End a `try`: return the labels of what was assigned in it."""
        return attempt.end()

    def manager(self, attempt: Attempt, pair: Pair) -> Any:
        """Enter a context."""
        attempt.manages(pair)
        return self.v(pair)

    def managed(self, attempt: Attempt, value: Any) -> Pair:
        """Return what a context hands out."""
        inside = self.rt.heap.deep(attempt.manager) | (self.rt.seen if attempt.open else 0)
        return value, attempt.labels | inside

    def subject(self, site: int, pair: Pair) -> Subject:
        """Begin a `match`."""
        return Subject(self, site, pair)

    def captured(self, subject: Subject) -> int:
        """Return the labels of what a pattern captured."""
        return subject.labels

    def mguard(self, subject: Subject, position: int, pair: Pair) -> bool:
        """Decide a case's guard."""
        del position
        result, labels = self.truth(pair)
        subject.labels |= labels
        return result

    def chosen(self, subject: Subject, position: int, kinds: int) -> None:
        """Enter a case."""
        subject.chosen(position, kinds)
