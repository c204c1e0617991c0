r"""What rewritten code calls: one frame per running function, with operations on (value, labels) pairs.

Their names are short because they stand many times in every rewritten line. A construct in the table is
code in whose rewritten form the operation occurs (`\n` is a new line); the tests hold this.

| operation      | Python construct          | meaning                                                    |
|----------------|---------------------------|------------------------------------------------------------|
| k              | a = "\0"                  | an object put in the place of a constant: no labels        |
| g              | a                         | read a global name                                         |
| c              | class C:\n a = 1\n a      | read a name of a class body inside of it                   |
| keep           | a = b                     | go on with the value, put its labels aside                 |
| kept           | a = b                     | the labels put aside                                       |
| gset           | a = b                     | these are the labels of a global name now                  |
| gweak          | if a:\n b = 1             | a global name may have been assigned: labels are added     |
| imported       | from m import a           | the labels of another module's global name                 |
| all_imported   | from m import *           | these are the labels of all that it has                    |
| cset           | class C:\n b = a          | as gset, of a name in a class body                         |
| cweak          | class C:\n if a:\n  b = 1 | as gweak, of a name in a class body                        |
| begin          | f"{a}"                    | an expression that keeps its form: collect labels          |
| v              | f"{a}"                    | the bare value; its labels are collected                   |
| fin            | f"{a}"                    | its value, with the labels collected since begin           |
| sup            | super()                   | take super() as it is                                      |
| visible        | locals()                  | hide the tracker's own names                               |
| bin            | a + b                     | a binary operator                                          |
| un             | -a                        | a unary operator                                           |
| cmp            | a < b                     | one comparison                                             |
| hold           | a < b < c                 | put the middle operand aside                               |
| held           | a < b < c                 | take it again                                              |
| aug            | a += b                    | an augmented assignment's operator                         |
| augattr        | a.b += c                  | an augmented assignment to an attribute                    |
| augitem        | a[b] += c                 | an augmented assignment to an item                         |
| attr           | a.b                       | read an attribute                                          |
| item           | a[b]                      | read an item                                               |
| slice          | a[b:c]                    | make a slice                                               |
| setattr        | a.b = c                   | assign an attribute                                        |
| setitem        | a[b] = c                  | assign an item                                             |
| delattr        | del a.b                   | delete an attribute                                        |
| delitem        | del a[b]                  | delete an item                                             |
| unpack         | a, b = c                  | take an iterable apart for assignment                      |
| star           | [*a]                      | take a starred item of a display or a call apart           |
| display        | [a, b]                    | make a list, a tuple or a set                              |
| mapping        | {a: b}                    | make a dictionary                                          |
| call           | f(a)                      | call anything                                              |
| operate        | hooks.value(a)            | run an operation of a choice point                         |
| d              | def f(a=b): pass          | a parameter's default: note its labels                     |
| defined        | def f(a=b): pass          | decorator: attach the defaults' labels to the function     |
| lam            | lambda: a                 | the same for a lambda                                      |
| ret            | def f(): return a         | return a value, under the conditions since entry           |
| exit           | def f(): pass             | the function is left, however: close the frame             |
| class_begin    | class C: pass             | enter a class body                                         |
| class_body_end | class C: pass             | leave it                                                   |
| class_end      | class C: pass             | decorator: attach the body's labels to the class           |
| generator      | def f(): yield a          | the generator was made; its body runs when it is asked     |
| started        | def f(): yield a          | its body begins                                            |
| yielding       | def f(): yield a          | hand a value out                                           |
| delegating     | def f(): yield from a     | hand over to another generator                             |
| resumed        | def f(): yield a          | go on after a yield                                        |
| test           | if a:\n b                 | decide a branch: go under its condition                    |
| join           | if a:\n b                 | end it: the labels of what was assigned in it              |
| etest          | a if b else c             | decide a branch inside an expression                       |
| elast          | a and b                   | the operand that decided                                   |
| ejoin          | a if b else c             | end it                                                     |
| loop           | for a in b: c             | begin a for                                                |
| whil           | while a: b                | begin a while                                              |
| next_turn      | while a: b                | begin a turn of a while                                    |
| turn           | while a: b                | decide whether it goes on                                  |
| loop_else      | for a in b: c\nelse: d    | begin the else of a loop                                   |
| loop_end       | for a in b: c             | end it: the labels of what was assigned in it              |
| save           | [a for a in b]            | the place to come back to after a comprehension            |
| each           | [a for a in b]            | go through a comprehension's iterable                      |
| filt           | [a for a in b if c]       | decide a comprehension's if; it holds until the next turn  |
| listc          | [a for a in b]            | make the list                                              |
| setc           | {a for a in b}            | make the set                                               |
| dictc          | {a: b for a in c}         | make the dictionary                                        |
| genx           | (a for a in b)            | make a generator expression, with a frame of its own       |
| y              | (a for a in b)            | hand out one of its items                                  |
| attempt        | try: a\nexcept E: b       | begin a try or a with                                      |
| caught         | try: a\nexcept E: b       | enter a handler                                            |
| passed         | try: a\nexcept E: b       | no exception came                                          |
| finally_       | try: a\nfinally: b        | enter finally                                              |
| try_end        | try: a\nexcept E: b       | end it: the labels of what was assigned in it              |
| manager        | with a as b: c            | enter a context                                            |
| managed        | with a as b: c            | what it hands out                                          |
| behind         | with a:\n return b        | go on behind a with whose body may have been left          |
| subject        | match a:\n case b: c      | begin a match                                              |
| pattern        | match a:\n case b.c: d    | note what a dotted name or a class in a pattern depends on |
| captured       | match a:\n case b: c      | the labels of what a pattern captured                      |
| mguard         | match a:\n case b if c: d | decide a case's guard                                      |
| chosen         | match a:\n case b: c      | enter a case                                               |

Rewritten code also reads `at.pc` (to see whether a branch had labels) and `args` (labels of the
parameters), and of statements `loop.dropped`, `attempt.labels` and `subject.value`.

A frame has an `Activation` (where the function is), and leaves to functions over it what does not need the
frame: reading to `access`, changing to `stores`, calling to `calls`. What it holds itself is what passes
between two of its operations: operands put aside, labels being collected, names of class bodies.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from symnas.survey.dependence import access, calls, operators, stores
from symnas.survey.dependence.access import Items
from symnas.survey.dependence.conditions import Condition, Path
from symnas.survey.dependence.heap import Record, is_atom
from symnas.survey.dependence.loops import Attempt, Loop, Subject
from symnas.survey.dependence.scopes import BREAK, CONTINUE, RETURN
from symnas.survey.dependence.state import Activation, Call, GlobalName, Pair, TrackerState

Saved = tuple[Condition | None, Path]


class Frame:
    """A running function, module or generator expression.

    Args:
        state: what rewritten code reports to.
        path: how it was reached.
        pc: the conditions around the call.
        module: the name of the module whose names are global to it.
        caller: who called it.
        call: the labels that it was called with; None where native code called it.
    """

    __slots__ = ("args", "at", "call_made", "classes", "generated", "has_result", "holding", "kept_labels",
                 "module", "noted", "result", "stack", "state")  # fmt: skip

    def __init__(
        self,
        state: TrackerState,
        path: Path,
        pc: Condition | None,
        module: str,
        caller: Activation,
        call: Call | None = None,
    ) -> None:
        self.state = state
        self.at = Activation(state, path, pc)
        self.at.caller = caller
        self.module = module
        self.call_made = call
        # Between two operations:
        # `args`         labels of the parameters, in the order of `parameter_names`
        # `stack`        what nests: collectors, open branches of expressions, class bodies that have ended
        # `holding`      middle operands of comparison chains
        # `noted`        labels of defaults whose function does not exist yet
        # `kept_labels`  of the value that is just being assigned
        # `classes`      labels of the names of the class bodies being run, innermost last
        # `generated`    the record of the generator whose body this is
        self.args: list[int] = []
        self.result = 0
        self.has_result = False
        self.stack: list[Any] = []
        self.holding: list[Pair] = []
        self.noted: list[int] = []
        self.kept_labels = 0
        self.classes: list[dict[str, int]] = []
        self.generated: Record | None = None

    # -- names ---------------------------------------------------------------------------------

    def k(self, value: Any) -> Pair:
        """Take a constant."""
        return value, 0

    def g(self, name: str, value: Any) -> Pair:
        """Read a global name."""
        labels = self.state.global_labels
        return value, labels.get(GlobalName(self.module, name), 0) if labels else 0

    def c(self, name: str, value: Any) -> Pair:
        """Read a name inside a class body."""
        # What the body has not bound so far is looked up in the module, as Python does.
        held = self.classes[-1] if self.classes else {}
        return (value, held[name]) if name in held else self.g(name, value)

    def keep(self, pair: Pair) -> Any:
        """Return the value and put the labels aside."""
        self.kept_labels = pair[1]
        return pair[0]

    def kept(self) -> int:
        """Return the labels put aside."""
        return self.kept_labels

    def gset(self, name: str, labels: int) -> int:
        """Note the labels of a global name."""
        # With the conditions of the callers, too: where their branches end, the text does not name this
        # global.
        stores.set_global(self.at, GlobalName(self.module, name), labels | self.at.around())
        return labels

    def gweak(self, name: str, labels: int) -> None:
        """Let a global name depend on more labels."""
        key = GlobalName(self.module, name)
        stores.set_global(self.at, key, labels | self.state.global_labels.get(key, 0))

    def imported(self, where: str, name: str) -> int:
        """Return the labels of another module's global name."""
        labels = self.state.global_labels
        return labels.get(GlobalName(self._module(where), name), 0) if labels else 0

    def all_imported(self, where: str) -> None:
        """Note the labels of all that another module has."""
        module = self._module(where)
        for key, labels in list(self.state.global_labels.items()):
            if key.module == module:
                self.gset(key.name, labels)

    def _module(self, where: str) -> str:
        """Return the full name of a module as `from … import` spells it."""
        plain = where.lstrip(".")
        if plain == where:
            return where
        package = getattr(sys.modules.get(self.module), "__package__", None)
        return importlib.util.resolve_name(where, package) if package else plain

    def cset(self, name: str, labels: int) -> int:
        """Note the labels of a name in a class body."""
        self.classes[-1][name] = labels
        return labels

    def cweak(self, name: str, labels: int) -> None:
        """Let a name in a class body depend on more labels."""
        self.classes[-1][name] = self.classes[-1].get(name, 0) | labels

    # -- expressions that keep their form ------------------------------------------------------

    def begin(self) -> None:
        """Start to collect labels."""
        self.stack.append(self.state.collected)
        self.state.collected = 0

    def v(self, pair: Pair) -> Any:
        """Return the value; its labels are collected."""
        # The expression around may look inside the value (`f"{model}"`), so all that is inside counts.
        labels = pair[1] if is_atom(pair[0]) else pair[1] | self.state.heap.deep(pair[0])
        self.state.collected |= labels
        self.state.seen |= labels
        return pair[0]

    def fin(self, _: None, value: Any) -> Pair:
        """Return the value with what was collected; the first argument is `begin()`, which so comes first."""
        labels = self.state.collected
        self.state.collected = self.stack.pop()
        return value, labels

    def sup(self, value: Any) -> Pair:
        """Take `super()` as it is."""
        return value, 0

    def visible(self, value: Any) -> Pair:
        """Hide the tracker's own names from `locals()` and the like."""
        # Every variable at once: everything that is known.
        if isinstance(value, dict):
            return {
                k: v for k, v in value.items() if not str(k).startswith("_tk")
            }, self.state.heap.everything
        return [k for k in value if not str(k).startswith("_tk")], self.state.heap.everything

    # -- operators -----------------------------------------------------------------------------

    def bin(self, site: int, name: str, left: Pair, right: Pair) -> Pair:
        """Apply a binary operator."""
        self.at.site = site
        return operators.binary(self.at, site, name, left, right)

    def un(self, site: int, name: str, pair: Pair) -> Pair:
        """Apply a unary operator."""
        self.at.site = site
        return operators.unary(self.at, name, pair)

    def cmp(self, site: int, name: str, left: Pair, right: Pair) -> Pair:
        """Compare two operands."""
        self.at.site = site
        return operators.compare(self.at, name, left, right)

    def hold(self, pair: Pair) -> Pair:
        """Put an operand of a comparison chain aside."""
        self.holding.append(pair)
        return pair

    def held(self) -> Pair:
        """Return it."""
        return self.holding.pop()

    def aug(self, site: int, name: str, left: Pair, right: Pair) -> Pair:
        """Apply an augmented assignment's operator, in place where the object does."""
        self.at.site = site
        return operators.augmented(self.at, site, name, left, right)

    def augattr(self, site: int, name: str, owner: Pair, attribute: str, right: Pair) -> None:
        """Apply an augmented assignment to an attribute."""
        current = self.attr(site, owner, attribute)
        self.setattr(site, owner, attribute, self.aug(site, name, current, right))

    def augitem(self, site: int, name: str, owner: Pair, index: Pair, right: Pair) -> None:
        """Apply an augmented assignment to an item."""
        current = self.item(site, owner, index)
        self.setitem(site, owner, index, self.aug(site, name, current, right))

    # -- attributes and items ------------------------------------------------------------------

    def attr(self, site: int, owner: Pair, name: str) -> Pair:
        """Read an attribute."""
        self.at.site = site
        return access.read_attribute(self.at, owner, name)

    def item(self, site: int, owner: Pair, index: Pair) -> Pair:
        """Read an item."""
        self.at.site = site
        return access.read_item(self.at, owner, index)

    def slice(self, low: Pair, high: Pair, step: Pair) -> Pair:
        """Make a slice."""
        return slice(low[0], high[0], step[0]), low[1] | high[1] | step[1]

    def setattr(self, site: int, owner: Pair, name: str, pair: Pair) -> None:
        """Assign an attribute."""
        self.at.site = site
        stores.set_attribute(self.at, owner, name, pair)

    def setitem(self, site: int, owner: Pair, index: Pair, pair: Pair) -> None:
        """Assign an item."""
        self.at.site = site
        stores.set_item(self.at, owner, index, pair)

    def delattr(self, site: int, owner: Pair, name: str) -> None:
        """Delete an attribute."""
        self.at.site = site
        stores.delete_attribute(self.at, owner, name)

    def delitem(self, site: int, owner: Pair, index: Pair) -> None:
        """Delete an item."""
        self.at.site = site
        stores.delete_item(self.at, owner, index)

    # -- displays ------------------------------------------------------------------------------

    def unpack(self, pair: Pair, count: int, star: int) -> list[Pair]:
        """Take an iterable apart for assignment to `count` targets, of which number `star` takes the rest."""
        gathered = access.gather(self.at, pair)
        items = list(gathered.pairs)
        # Inside a `try`, whether there are as many decides what is reached.
        self.state.seen |= gathered.labels
        # The errors are Python's own, as its bytecode is not there to raise them.
        if star < 0:
            if len(items) != count:
                side = "too many" if len(items) > count else "not enough"
                raise ValueError(f"{side} values to unpack (expected {count}, got {len(items)})")
            return items
        after = count - star - 1
        if len(items) < count - 1:
            raise ValueError(f"not enough values to unpack (expected at least {count - 1}, got {len(items)})")
        middle = items[star : len(items) - after]
        rest = self.display(self.at.site, "list", tuple(middle))
        if gathered.labels:
            self.state.heap.record(rest[0]).shape |= gathered.labels
        # Counted from the end, an item is another one as soon as there are more of them.
        last = [(value, labels | gathered.labels) for value, labels in items[len(items) - after :]]
        return [*items[:star], rest, *last]

    def star(self, site: int, pair: Pair) -> Items:
        """Take a starred item apart."""
        self.at.site = site
        return access.gather(self.at, pair)

    def display(self, site: int, kind: str, items: tuple[Pair | Items, ...]) -> Pair:
        """Make a list, a tuple or a set."""
        pairs, shape = stores.flattened(items)
        value = getattr(builtins, kind)(value for value, _ in pairs)
        return stores.filled(self.at, site, value, pairs, shape), 0

    def mapping(self, site: int, pairs: tuple[tuple[Pair | None, Pair], ...]) -> Pair:
        """Make a dictionary."""
        return stores.mapped(self.at, site, pairs), 0

    # -- calls, functions and classes ----------------------------------------------------------

    def call(
        self,
        site: int,
        function: Pair,
        args: tuple[Pair | Items, ...],
        keywords: tuple[tuple[str | None, Pair], ...],
    ) -> Pair:
        """Call anything."""
        self.at.site = site
        return calls.call(self.at, site, function, args, keywords)

    def operate(
        self, site: int, name: str, hooks: Any, args: tuple[Any, ...], keywords: tuple[Any, ...]
    ) -> Pair:
        """Run an operation of a choice point."""
        self.at.site = site
        return self.state.operations(self.at, site, name, hooks, args, keywords)

    def d(self, pair: Pair) -> Any:
        """Note the labels of a parameter's default."""
        self.noted.append(pair[1])
        return pair[0]

    def defined(self, count: int) -> Callable[[Any], Any]:
        """Return a decorator that attaches the labels of the last `count` defaults to a new function."""

        def attach(function: Any) -> Any:
            return self.lam(count, function)[0]

        return attach

    def lam(self, count: int, function: Any) -> Pair:
        """Attach the labels of the last `count` defaults to a new function."""
        # Defaults are evaluated before the function exists, those of functions inside them first: a stack.
        start = len(self.noted) - count
        labels = tuple(self.noted[start:])
        del self.noted[start:]
        state, code = self.state, function.__code__
        state.codes.add(code)
        # Functions of one text that were made on different paths may hold different values.
        made = state.paths.child("code", code)
        state.made[id(function)] = (self.at.path, code.co_name, code.co_firstlineno, made)
        state.alive.append(function)
        if any(labels):
            state.defaults[id(function)] = labels
            for item in labels:
                state.any_defaults |= item
        return function, 0

    def ret(self, pair: Pair) -> Any:
        """Return from the function."""
        # A function may pass several `return`s (in `try` and `finally`): any may be the one that counts.
        self.result |= pair[1] | self.at.since_base()
        # Inside a `try` it is returned because nothing raised so far, of all that was computed there.
        labels = self.state.seen
        for attempt in reversed(self.state.attempts):
            if attempt.at is not self.at:
                break
            self.result |= labels if attempt.watches else 0
            labels |= attempt.saved
        self.has_result = True
        return pair[0]

    def exit(self) -> None:
        """Close the frame, and hand the labels of the result to the call or to the native code around."""
        state, at = self.state, self.at
        self._unwind(0)
        if not self.has_result:
            self.result |= at.since_base()  # None, because nothing was returned
        state.seen |= self.result
        # A `return` inside of `try` left them open.
        while state.attempts and state.attempts[-1].at is at:
            state.attempts[-1].close()
        at.drop(at.base, 0)
        # who gets the labels: the generator's record, the tracked call, or the native code that called
        if self.generated is not None:
            self.generated.shape |= self.result
            state.collected |= self.result
        elif self.call_made is not None:
            state.returned = (self.call_made, self.result)
        else:
            state.collected |= self.result
        state.top = at.caller or state.top

    def class_begin(self) -> None:
        """Enter a class body."""
        self.classes.append({})

    def class_body_end(self) -> None:
        """Leave a class body; its names' labels go to the class once it exists."""
        self.stack.append(self.classes.pop())

    def class_end(self, kind: Any) -> Any:
        """Attach the labels of a class body to the class."""
        held = self.stack.pop()
        # Classes of one text that were made on different paths are different ones.
        record = self.state.heap.record(kind, ("class", kind.__qualname__, self.at.path))
        if any(held.values()):
            record.attributes.update(held)
        return kind

    # -- generators ----------------------------------------------------------------------------

    def generator(self, made: Any) -> Any:
        """Register a generator; its body runs when it is asked."""
        self.generated = self.state.heap.record(made, self.at.key("generator"))
        self.state.alive.append(made)
        self.state.top = self.at.caller or self.state.top
        # The generator object itself depends on nothing; its items do.
        if self.call_made is not None:
            self.state.returned = (self.call_made, 0)
        return made

    def started(self) -> None:
        """A generator's body begins."""
        # Whoever asks for an item is the caller until the next `yield`, and may be someone else each time.
        self.at.caller, self.state.top = self.state.top, self.at

    def yielding(self, pair: Pair) -> Any:
        """Hand a value out."""
        labels = self._handed_out(pair)
        self.state.seen |= labels
        self.state.top = self.at.caller or self.state.top
        return pair[0]

    def _handed_out(self, pair: Pair) -> int:
        """Note that an item is there, and what it depends on; return the latter."""
        # That there is an item depends on the conditions around the `yield`; which one, on its own labels as
        # well.
        conditions = self.at.since_base()
        labels = pair[1] | conditions
        if self.generated is not None:
            self.generated.last = labels
            self.generated.shape |= conditions
        self.state.collected |= labels
        return labels

    def delegating(self, pair: Pair) -> Any:
        """Hand over to another generator."""
        return self.yielding((pair[0], pair[1] | self.state.heap.deep(pair[0])))

    def resumed(self, value: Any) -> Pair:
        """Go on after a yield."""
        self.at.caller, self.state.top = self.state.top, self.at
        # What comes in by `send` was given to native code.
        return value, self.state.native

    # -- branches ------------------------------------------------------------------------------

    def test(self, site: int, pair: Pair, kinds: int) -> bool:
        """Decide an `if` whose branches may leave early in these ways."""
        at = self.at
        at.site = site
        result, labels = at.truth(pair)
        # Without labels the branch goes the same way in every run: no condition.
        if labels:
            at.push((site, at.path), labels, result, site, kinds)
        return result

    def join(self, saved: Condition | None) -> int:
        """End an `if`: return the labels of what was assigned in it."""
        return self.at.drop(saved, RETURN | BREAK | CONTINUE)

    def etest(self, site: int, pair: Pair) -> bool:
        """Decide a condition inside an expression."""
        # `elast` takes the pair, `ejoin` the place to come back to.
        self.stack.append((self.at.pc, pair))
        return self.test(site, pair, 0)

    def elast(self) -> Pair:
        """Return the operand that decided `and` or `or`."""
        pair: Pair = self.stack[-1][1]
        return pair

    def ejoin(self, pair: Pair) -> Pair:
        """End a condition inside an expression."""
        saved, _ = self.stack.pop()
        return pair[0], pair[1] | self.at.drop(saved, 0)

    # -- loops ---------------------------------------------------------------------------------

    def loop(self, site: int, pair: Pair) -> Loop:
        """Begin a `for`."""
        self.at.site = site
        return Loop(self.at, site, pair)

    def whil(self, site: int) -> Loop:
        """Begin a `while`."""
        return Loop(self.at, site, None)

    def next_turn(self, loop: Loop) -> None:
        """Begin a turn of a `while`."""
        loop.again()

    def turn(self, loop: Loop, _: None, pair: Pair) -> bool:
        """Decide whether a `while` goes on; the second argument is `next_turn(…)`, which so comes first."""
        return loop.decide(pair)

    def loop_else(self, loop: Loop) -> None:
        """Begin a loop's `else`."""
        loop.finish()

    def loop_end(self, loop: Loop) -> int:
        """End a loop: return the labels of what was assigned in it."""
        return loop.end()

    # -- comprehensions ------------------------------------------------------------------------

    def save(self) -> Saved:
        """Return the place to come back to."""
        return self.at.pc, self.at.path

    def each(self, site: int, pair: Pair) -> Iterator[Pair]:
        """Go through a comprehension's iterable."""
        return iter(Loop(self.at, site, pair, ends=True))

    def filt(self, site: int, pair: Pair) -> bool:
        """Decide a comprehension's `if`; it holds until the next turn."""
        return self.test(site, pair, 0)

    def listc(self, site: int, saved: Saved, pairs: list[Pair]) -> Pair:
        """Make a list of a comprehension."""
        shape = self._gathered(saved)
        return stores.filled(self.at, site, [value for value, _ in pairs], pairs, shape), 0

    def setc(self, site: int, saved: Saved, pairs: list[Pair]) -> Pair:
        """Make a set of a comprehension."""
        shape = self._gathered(saved)
        return stores.filled(self.at, site, {value for value, _ in pairs}, pairs, shape), 0

    def dictc(self, site: int, saved: Saved, pairs: list[tuple[Pair, Pair]]) -> Pair:
        """Make a dictionary of a comprehension."""
        shape = self._gathered(saved)
        result, labels = self.mapping(site, tuple(pairs))
        record = self.state.heap.record(result)
        # Equal keys become one item, so under other conditions any item may be another.
        record.shape |= shape
        record.rest |= shape
        return result, labels

    def _gathered(self, saved: Saved) -> int:
        """Come back from a comprehension: return the labels of how many items there are."""
        at = self.at
        shape = at.drop(saved[0], 0) | at.ended
        at.path, at.ended = saved[1], 0
        return shape

    def genx(self, site: int, first: Pair, made: Callable[[Frame, Pair], Any]) -> Pair:
        """Make a generator expression, with a frame of its own."""
        at, state = self.at, self.state
        # Its conditions begin with those around it now, since its body may run anywhere later.
        frame = Frame(state, state.paths.child(at.path, site, "generator"), at.pc, self.module, at)
        if isinstance(first[0], types.GeneratorType):
            state.alive.append(first[0])
        result = made(frame, first)
        frame.generated = state.heap.record(result, frame.at.key(site))
        frame.generated.source = (first[0],)
        frame.generated.shape |= first[1]
        return result, 0

    def y(self, pair: Pair) -> Any:
        """Hand out an item of a generator expression."""
        self._handed_out(pair)
        return pair[0]

    # -- exceptions, contexts, match -----------------------------------------------------------

    def attempt(self, site: int, watches: int = 1) -> Attempt:
        """Begin a `try` or a `with`; one without handlers hands every exception on and `watches` for none."""
        self.at.site = site
        return Attempt(self.at, site, len(self.stack), bool(watches))

    def _unwind(self, depth: int) -> None:
        """Give up expressions that an exception has left; what was collected before them stays."""
        for saved in self.stack[depth:]:
            if isinstance(saved, int):
                self.state.collected |= saved
        del self.stack[depth:]

    def caught(self, attempt: Attempt, position: int, kinds: int) -> None:
        """Enter a handler."""
        self._unwind(attempt.stack)
        attempt.caught(position, kinds)

    def passed(self, attempt: Attempt, kinds: int) -> None:
        """No exception came."""
        attempt.caught(-1, kinds)

    def finally_(self, attempt: Attempt) -> None:
        """Enter `finally`."""
        attempt.close()

    def try_end(self, attempt: Attempt) -> int:
        """End a `try`: return the labels of what was assigned in it."""
        self._unwind(attempt.stack)
        return attempt.end()

    def behind(self, attempt: Attempt, kinds: int) -> None:
        """Go on behind a `with` whose body may have been left, had no exception been swallowed."""
        attempt.behind(kinds)

    def manager(self, attempt: Attempt, pair: Pair) -> Any:
        """Enter a context."""
        attempt.manages(pair)
        return self.v(pair)

    def managed(self, attempt: Attempt, value: Any) -> Pair:
        """Return what a context hands out."""
        # While exceptions are watched for, what `__enter__` computed is in `seen`.
        inside = self.state.heap.deep(attempt.manager) | (self.state.seen if attempt.open else 0)
        return value, attempt.labels | inside

    def subject(self, site: int, pair: Pair) -> Subject:
        """Begin a `match`."""
        return Subject(self.at, site, pair)

    def pattern(self, subject: Subject, pair: Pair, names: tuple[str, ...]) -> None:
        """Note what a dotted name or a class in a pattern depends on."""
        # Python reads it only if it comes to that case, so a missing attribute is no mistake here.
        subject.labels |= pair[1]
        for name in names:
            if not hasattr(pair[0], name):
                return
            pair = access.read_attribute(self.at, pair, name)
            subject.labels |= pair[1]

    def captured(self, subject: Subject) -> int:
        """Return the labels of what a pattern captured."""
        return subject.labels

    def mguard(self, subject: Subject, position: int, pair: Pair) -> bool:
        """Decide a case's guard."""
        del position
        result, labels = self.at.truth(pair)
        # A guard that failed is among the reasons why a later case is entered.
        subject.labels |= labels
        return result

    def chosen(self, subject: Subject, position: int, kinds: int) -> None:
        """Enter a case."""
        subject.chosen(position, kinds)
