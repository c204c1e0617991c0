"""Operators, attributes, items and displays under the dependence tracker."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from symnas.survey.dependence.access import gather, read_attribute, read_item
from symnas.survey.dependence.conditions import Condition
from symnas.survey.dependence.heap import REST, SHAPE, Record, is_atom, is_sequence
from symnas.survey.dependence.state import Conditions, Pair

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


class Values(Conditions):
    """Operations on values with labels."""

    # -- operators -----------------------------------------------------------------------------

    def bin(self, site: int, name: str, left: Pair, right: Pair) -> Pair:
        """Apply a binary operator."""
        self.site = site
        (a, la), (b, lb) = left, right
        if is_atom(a) and is_atom(b):
            self.rt.seen |= la | lb
            return _BINARY[name](a, b), la | lb
        if name == "Add" and isinstance(a, (list, tuple)) and type(a) is type(b):
            result: Any = a + b  # type: ignore[operator]
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
            from symnas.survey.dependence.calls import call

            return call(self, site, (a.extend, la), ((b, lb),), (), result=a)
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
        node = Condition(None, ("store", site, self.path), labels, True, 0, ("store", site, self.path))
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
        items = list(gather(self, pair)[0])
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
        return Star(*gather(self, pair))

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
