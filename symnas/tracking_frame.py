"""What rewritten code calls: one frame per running function, with operations on (value, labels) pairs."""

from __future__ import annotations

import builtins
import operator
import types
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symnas.tracking_calls import call as run_call
from symnas.tracking_calls import expand, read_attribute, read_item
from symnas.tracking_heap import REST, SHAPE, Record, is_atom, is_sequence
from symnas.tracking_loops import Attempt, Loop, Subject
from symnas.tracking_nodes import Node, Path
from symnas.tracking_scope import BREAK, CONTINUE, RETURN

if TYPE_CHECKING:
    from symnas.tracking import Tracker

Pair = tuple[Any, int]

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "Div": operator.truediv,
    "FloorDiv": operator.floordiv, "Mod": operator.mod, "Pow": operator.pow, "MatMult": operator.matmul,
    "LShift": operator.lshift, "RShift": operator.rshift, "BitOr": operator.or_, "BitXor": operator.xor,
    "BitAnd": operator.and_,
}  # fmt: skip
_IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.iadd, "Sub": operator.isub, "Mult": operator.imul, "Div": operator.itruediv,
    "FloorDiv": operator.ifloordiv, "Mod": operator.imod, "Pow": operator.ipow, "MatMult": operator.imatmul,
    "LShift": operator.ilshift, "RShift": operator.irshift, "BitOr": operator.ior, "BitXor": operator.ixor,
    "BitAnd": operator.iand,
}  # fmt: skip
_UNARY: dict[str, Callable[[Any], Any]] = {
    "Not": operator.not_, "USub": operator.neg, "UAdd": operator.pos, "Invert": operator.invert,
}  # fmt: skip
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda a, b: a in b, "NotIn": lambda a, b: a not in b,
}  # fmt: skip


@dataclass(frozen=True)
class Star:
    """A starred item of a display or a call, taken apart."""

    pairs: tuple[Pair, ...]
    labels: int


class Frame:
    """A running function: where it is (`path`), the conditions around it (`pc`), and its operands."""

    def __init__(self, tracker: Tracker, path: Path, pc: Node | None) -> None:
        self.rt = tracker
        self.path = path
        self.pc = pc
        self.base = pc
        self.site = 0
        self.parent: Frame | None = None
        self.namespace: dict[str, Any] = {}
        self.args: list[int] = []
        self.result = 0
        self.has_result = False
        self.direct = False
        self.call_made: Any = None
        self.gone = 0
        self.stack: list[Any] = []
        self.holding: list[Pair] = []
        self.noted: list[int] = []
        self.kept_labels = 0
        self.classes: list[dict[str, int]] = []
        self.generated: Record | None = None

    # -- conditions ----------------------------------------------------------------------------

    def push(self, key: Hashable, labels: int, outcome: Hashable, number: int | None, kinds: int,
             effect_key: Hashable = None, after: Node | None = None) -> None:  # fmt: skip
        """Go under a condition; `after` is one that must have held for it to be met at all."""
        self.rt.seen |= labels
        around = self.pc
        if after is not None:
            around = Node(around, after.key, after.labels, after.outcome, 0, after.effect_key)
        key = self.rt.note(key, labels, outcome, around, number)
        self.pc = Node(self.pc, key, labels, outcome, kinds, effect_key or key)

    def drop(self, until: Node | None, keep: int) -> int:
        """Leave the conditions met since `until`, except those whose early exits still matter; return their labels."""
        met: list[Node] = []
        node = self.pc
        while node is not None and node is not until:
            met.append(node)
            node = node.parent
        self.pc, total = until, 0
        for item in reversed(met):
            if item.kinds & keep:
                kept = Node(self.pc, item.key, item.labels, item.outcome, item.kinds, item.effect_key)
                kept.effects = item.effects
                self.pc = kept
            else:
                total |= item.labels
                self.rt.settle(item, item.labels)
        return total

    def since_base(self) -> int:
        """Return the labels of the conditions met since the function was entered."""
        total, node = 0, self.pc
        while node is not None and node is not self.base:
            total |= node.labels
            node = node.parent
        return total

    def truth(self, pair: Pair) -> tuple[bool, int]:
        """Return an object's truth and what it depends on."""
        value, labels = pair
        if is_atom(value):
            return bool(value), labels
        result, extra = self.natively(lambda: bool(value), labels)
        if is_sequence(value) or isinstance(value, (dict, set)):
            return result, labels | extra | self.rt.heap.shape(value)
        kind = type(value)
        if hasattr(kind, "__bool__") or hasattr(kind, "__len__"):
            labels |= self.rt.heap.deep(value)
        return result, labels | extra

    def test(self, site: int, pair: Pair, kinds: int) -> bool:
        """Decide an `if`."""
        self.site = site
        result, labels = self.truth(pair)
        if labels:
            self.push((site, self.path), labels, result, site, kinds)
        return result

    def join(self, saved: Node | None) -> int:
        """End an `if`: return the labels of what was assigned in it."""
        return self.drop(saved, RETURN | BREAK | CONTINUE)

    def etest(self, site: int, pair: Pair) -> bool:
        """Decide a condition inside an expression."""
        self.site = site
        result, labels = self.truth(pair)
        self.stack.append((self.pc, pair))
        if labels:
            self.push((site, self.path), labels, result, site, 0)
        return result

    def elast(self) -> Pair:
        """Return the operand that decided `and` or `or`."""
        pair: Pair = self.stack[-1][1]
        return pair

    def ejoin(self, pair: Pair) -> Pair:
        """End a condition inside an expression."""
        saved, _ = self.stack.pop()
        return pair[0], pair[1] | self.drop(saved, 0)

    def filt(self, site: int, pair: Pair) -> bool:
        """Decide a comprehension's `if`; it holds until the next turn."""
        return self.test(site, pair, 0)

    # -- native code ---------------------------------------------------------------------------

    def natively(self, run: Callable[[], Any], labels: int) -> tuple[Any, int]:
        """Run what may call back into rewritten code; return the result and the labels collected there."""
        rt = self.rt
        saved = rt.collected, rt.native, rt.native_entries, rt.top, rt.pending
        rt.collected, rt.native, rt.native_entries, rt.top, rt.pending = 0, labels, 0, self, None
        rt.seen |= labels
        try:
            result = run()
            return result, rt.collected
        finally:
            rt.collected, rt.native, rt.native_entries, rt.top, rt.pending = saved

    # -- names ---------------------------------------------------------------------------------

    def k(self, value: Any) -> Pair:
        """Take a constant."""
        return value, 0

    def g(self, name: str, value: Any) -> Pair:
        """Read a global name."""
        labels = self.rt.global_labels
        return value, labels.get((id(self.namespace), name), 0) if labels else 0

    def c(self, name: str, value: Any) -> Pair:
        """Read a name inside a class body."""
        held = self.classes[-1] if self.classes else {}
        return (value, held[name]) if name in held else self.g(name, value)

    def gset(self, name: str, labels: int) -> int:
        """Note the labels of a global name."""
        self._global(name, labels, strong=True)
        return labels

    def gweak(self, name: str, labels: int) -> None:
        """Let a global name depend on more labels."""
        self._global(name, labels, strong=False)

    def _global(self, name: str, labels: int, *, strong: bool) -> None:
        key = (id(self.namespace), name)
        held = self.rt.global_labels
        total = self.rt.global_labels.get(key, 0)
        within = self._around()
        held[key] = (labels | within) if strong else labels | total
        if within:
            self.rt.touch(_GlobalRecord(held, key), REST, self.pc)

    def _around(self) -> int:
        total, node = 0, self.pc
        while node is not None:
            total |= node.labels
            node = node.parent
        return total

    def cset(self, name: str, labels: int) -> int:
        """Note the labels of a name in a class body."""
        self.classes[-1][name] = labels
        return labels

    def cweak(self, name: str, labels: int) -> None:
        """Let a name in a class body depend on more labels."""
        self.classes[-1][name] = self.classes[-1].get(name, 0) | labels

    def keep(self, pair: Pair) -> Any:
        """Return the value and put the labels aside."""
        self.kept_labels = pair[1]
        return pair[0]

    def kept(self) -> int:
        """Return the labels put aside."""
        return self.kept_labels

    def begin(self) -> None:
        """Start to collect labels for an expression kept in its form."""
        self.stack.append(self.rt.collected)
        self.rt.collected = 0

    def v(self, pair: Pair) -> Any:
        """Return the value; its labels are collected."""
        labels = pair[1] if is_atom(pair[0]) else pair[1] | self.rt.heap.deep(pair[0])
        self.rt.collected |= labels
        self.rt.seen |= labels
        return pair[0]

    def fin(self, _: None, value: Any) -> Pair:
        """End such an expression."""
        labels = self.rt.collected
        self.rt.collected = self.stack.pop()
        return value, labels

    def sup(self, value: Any) -> Pair:
        """Take `super()` as it is."""
        return value, 0

    def visible(self, value: Any) -> Pair:
        """Hide the tracker's own names from `locals()` and the like."""
        if isinstance(value, dict):
            return {k: v for k, v in value.items() if not str(k).startswith("_tk")}, self.rt.heap.everything
        return [k for k in value if not str(k).startswith("_tk")], self.rt.heap.everything

    def hold(self, pair: Pair) -> Pair:
        """Put an operand of a comparison chain aside."""
        self.holding.append(pair)
        return pair

    def held(self) -> Pair:
        """Return it."""
        return self.holding.pop()

    # -- operators -----------------------------------------------------------------------------

    def bin(self, site: int, name: str, left: Pair, right: Pair) -> Pair:
        """Apply a binary operator."""
        self.site = site
        (a, la), (b, lb) = left, right
        if is_atom(a) and is_atom(b):
            self.rt.seen |= la | lb
            return _BINARY[name](a, b), la | lb
        if name == "Add" and isinstance(a, (list, tuple)) and type(a) is type(b):
            result = a + b
            return self._concatenated(site, result, a, b), la | lb
        labels = la | lb | self.rt.heap.deep(a) | self.rt.heap.deep(b)
        result, extra = self.natively(lambda: _BINARY[name](a, b), labels)
        return result, labels | extra

    def _concatenated(self, site: int, result: Any, a: Any, b: Any) -> Any:
        heap = self.rt.heap
        first, second = heap.get(a), heap.get(b)
        if result is a or result is b or (first is None and second is None):
            if result is not a and result is not b:
                heap.record(result, self.key(site)) if result else None
            return result
        record = heap.record(result, self.key(site))
        for source, shift in ((first, 0), (second, len(a))):
            if source is not None:
                record.items.update({i + shift: m for i, m in source.items.items() if isinstance(i, int)})
                record.shape |= source.shape
                record.rest |= source.rest
        return result

    def un(self, site: int, name: str, pair: Pair) -> Pair:
        """Apply a unary operator."""
        self.site = site
        if name == "Not":
            result, labels = self.truth(pair)
            return not result, labels
        labels = pair[1] | self.rt.heap.deep(pair[0])
        result, extra = self.natively(lambda: _UNARY[name](pair[0]), labels)
        return result, labels | extra

    def cmp(self, site: int, name: str, left: Pair, right: Pair) -> Pair:
        """Compare two operands."""
        self.site = site
        (a, la), (b, lb) = left, right
        labels = la | lb
        if name in ("Is", "IsNot"):
            return _COMPARE[name](a, b), labels
        if is_atom(a) and is_atom(b):
            self.rt.seen |= labels
            return _COMPARE[name](a, b), labels
        labels |= self.rt.heap.deep(a) | self.rt.heap.deep(b)
        result, extra = self.natively(lambda: _COMPARE[name](a, b), labels)
        return result, labels | extra

    def aug(self, site: int, name: str, left: Pair, right: Pair) -> Pair:
        """Apply an augmented assignment's operator, in place where the object does."""
        self.site = site
        (a, la), (b, lb) = left, right
        if name == "Add" and isinstance(a, list):
            return run_call(self, site, (a.extend, la), ((b, lb),), (), result=a)
        if is_atom(a) and is_atom(b):
            self.rt.seen |= la | lb
            return _IN_PLACE[name](a, b), la | lb
        if name == "Add" and isinstance(a, tuple) and isinstance(b, tuple):
            return self.bin(site, name, left, right)
        labels = la | lb | self.rt.heap.deep(a) | self.rt.heap.deep(b)
        result, extra = self.natively(lambda: _IN_PLACE[name](a, b), labels)
        if result is a and not is_atom(a):
            self.change(a, REST, labels | extra)
        return result, labels | extra

    def augattr(self, site: int, name: str, owner: Pair, attribute: str, right: Pair) -> None:
        """Apply an augmented assignment to an attribute."""
        current = self.attr(site, owner, attribute)
        self.setattr(site, owner, attribute, self.aug(site, name, current, right))

    def augitem(self, site: int, name: str, owner: Pair, index: Pair, right: Pair) -> None:
        """Apply an augmented assignment to an item."""
        current = self.item(site, owner, index)
        self.setitem(site, owner, index, self.aug(site, name, current, right))

    # -- access --------------------------------------------------------------------------------

    def key(self, site: int) -> Hashable:
        """Return a key for an object made here, the same in every run."""
        return (site, self.path)

    def attr(self, site: int, owner: Pair, name: str) -> Pair:
        """Read an attribute."""
        self.site = site
        return read_attribute(self, owner, name)

    def item(self, site: int, owner: Pair, index: Pair) -> Pair:
        """Read an item."""
        self.site = site
        return read_item(self, owner, index)

    def slice(self, low: Pair, high: Pair, step: Pair) -> Pair:
        """Make a slice."""
        return slice(low[0], high[0], step[0]), low[1] | high[1] | step[1]

    def change(self, obj: object, field: Any, labels: int) -> None:
        """Note that a field of an object was changed here."""
        if is_atom(obj):
            return
        record = self.rt.heap.record(obj)
        record.add(field, labels)
        if self.pc is not None:
            self.rt.touch(record, field, self.pc)

    def setattr(self, site: int, owner: Pair, name: str, pair: Pair) -> None:
        """Assign an attribute."""
        self.site = site
        obj, labels = owner
        _, extra = self.natively(lambda: setattr(obj, name, pair[0]), labels | pair[1])
        total = labels | pair[1] | extra
        record = self.rt.heap.record(obj) if not is_atom(obj) or isinstance(obj, type) else None
        if record is not None:
            record.attributes[name] = total
            if self.pc is not None:
                self.rt.touch(record, ("a", name), self.pc)
            if labels:
                self._elsewhere(site, record, ("a", name), labels)

    def _elsewhere(self, site: int, record: Record, field: Any, labels: int) -> None:
        """A store through a reference that was chosen: the other objects were not stored to."""
        node = Node(None, ("store", site, self.path), labels, True, 0, ("store", site, self.path))
        node.effects = {(id(record), field): record}
        self.rt.settle(node, labels)

    def setitem(self, site: int, owner: Pair, index: Pair, pair: Pair) -> None:
        """Assign an item."""
        self.site = site
        obj, labels = owner
        key, index_labels = index
        _, extra = self.natively(lambda: operator.setitem(obj, key, pair[0]), labels | pair[1] | index_labels)
        total = labels | pair[1] | extra
        record = self.rt.heap.record(obj)
        if isinstance(key, (int, str, bool, float, type(None))) and not isinstance(key, slice):
            place = key + len(obj) if isinstance(key, int) and key < 0 and is_sequence(obj) else key
            new = place not in record.items
            record.items[place] = total
            if self.pc is not None:
                self.rt.touch(record, ("i", place), self.pc)
                if isinstance(obj, dict):
                    self.rt.touch(record, SHAPE, self.pc)
            if index_labels:
                self.change(obj, REST, index_labels | (total if not new else 0))
            if labels:
                self._elsewhere(site, record, ("i", place), labels)
        else:
            self.change(obj, REST, total | index_labels)
            self.change(obj, SHAPE, total | index_labels)

    def delitem(self, site: int, owner: Pair, index: Pair) -> None:
        """Delete an item."""
        self.site = site
        total = owner[1] | index[1]
        everything = self.rt.heap.record(owner[0]).every() if not is_atom(owner[0]) else 0
        self.natively(lambda: operator.delitem(owner[0], index[0]), total)
        self.change(owner[0], REST, total | everything)
        self.change(owner[0], SHAPE, total)

    def delattr(self, site: int, owner: Pair, name: str) -> None:
        """Delete an attribute."""
        self.site = site
        self.natively(lambda: delattr(owner[0], name), owner[1])
        self.change(owner[0], ("a", name), owner[1])

    def unpack(self, pair: Pair, count: int, star: int) -> list[Pair]:
        """Take an iterable apart for assignment."""
        items = list(expand(self, pair).pairs)
        if star < 0:
            if len(items) != count:
                side = "too many" if len(items) > count else "not enough"
                raise ValueError(f"{side} values to unpack (expected {count}, got {len(items)})")
            return items
        after = count - star - 1
        if len(items) < count - 1:
            raise ValueError(f"not enough values to unpack (expected at least {count - 1}, got {len(items)})")
        middle = items[star : len(items) - after]
        rest = self.display(self.site, "list", tuple(middle))
        return [*items[:star], rest, *items[len(items) - after :]]

    # -- displays ------------------------------------------------------------------------------

    def star(self, site: int, pair: Pair) -> Star:
        """Take a starred item apart."""
        self.site = site
        return expand(self, pair)

    def display(self, site: int, kind: str, items: tuple[Any, ...]) -> Pair:
        """Make a list, a tuple or a set."""
        pairs: list[Pair] = []
        shape = 0
        for item in items:
            if isinstance(item, Star):
                pairs.extend(item.pairs)
                shape |= item.labels
            else:
                pairs.append(item)
        return self.made(site, getattr(builtins, kind)(value for value, _ in pairs), pairs, shape), 0

    def made(self, site: int, value: Any, pairs: list[Pair], shape: int) -> Any:
        """Note what is in a new container."""
        if value == () and isinstance(value, tuple):
            return value
        record = self.rt.heap.record(value, self.key(site))
        record.shape |= shape
        if isinstance(value, (set, frozenset)):
            for _, labels in pairs:
                record.shape |= labels
                record.rest |= labels
            return value
        for position, (_, labels) in enumerate(pairs):
            if labels | shape:
                record.items[position] = labels | shape
        return value

    def mapping(self, site: int, pairs: tuple[Any, ...]) -> Pair:
        """Make a dictionary."""
        result: dict[Any, Any] = {}
        record = self.rt.heap.record(result, self.key(site))
        for key, value in pairs:
            if key is None:
                result.update(value[0])
                source = self.rt.heap.get(value[0])
                if source is not None:
                    record.items.update(source.items)
                    record.shape |= source.shape | value[1]
                    record.rest |= source.rest
                record.rest |= value[1]
                continue
            result[key[0]] = value[0]
            record.items[key[0]] = value[1]
            record.rest |= key[1]
            record.shape |= key[1]
        return result, 0

    # -- calls, functions and classes ----------------------------------------------------------

    def call(self, site: int, function: Pair, args: tuple[Any, ...], keywords: tuple[Any, ...]) -> Pair:
        """Call anything."""
        self.site = site
        return run_call(self, site, function, args, keywords)

    def operate(
        self, site: int, name: str, runtime: Any, args: tuple[Any, ...], keywords: tuple[Any, ...]
    ) -> Pair:
        """Run an operation of a choice point."""
        self.site = site
        return self.rt.operations(self, site, name, runtime, args, keywords)

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

    def save(self) -> tuple[Node | None, Path]:
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

    def listc(self, site: int, saved: tuple[Node | None, Path], pairs: list[Pair]) -> Pair:
        """Make a list of a comprehension."""
        shape = self._gathered(saved)
        return self.made(site, [value for value, _ in pairs], pairs, shape), 0

    def setc(self, site: int, saved: tuple[Node | None, Path], pairs: list[Pair]) -> Pair:
        """Make a set of a comprehension."""
        shape = self._gathered(saved)
        return self.made(site, {value for value, _ in pairs}, pairs, shape), 0

    def dictc(self, site: int, saved: tuple[Node | None, Path], pairs: list[tuple[Pair, Pair]]) -> Pair:
        """Make a dictionary of a comprehension."""
        shape = self._gathered(saved)
        result, labels = self.mapping(site, tuple(pairs))
        record = self.rt.heap.record(result)
        record.shape |= shape
        record.rest |= shape
        return result, labels

    def _gathered(self, saved: tuple[Node | None, Path]) -> int:
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


class _GlobalRecord:
    """Lets a global name be changed under a condition like a field of an object."""

    def __init__(self, held: dict[tuple[int, str], int], key: tuple[int, str]) -> None:
        self.held = held
        self.place = key
        self.key = None

    def add(self, _: Any, labels: int) -> None:
        """Let the name depend on more labels."""
        self.held[self.place] = self.held.get(self.place, 0) | labels
