"""How labels are found when attributes and items are read and iterables are gone through.

What is kept item by item (lists, tuples, plain dictionaries, module lists) is read item by item; of
anything else the reader gets the labels of all that can be reached from it. That is safe, never exact: a
label too many costs runs, a label too few would lose points.
"""

from __future__ import annotations

import types
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from symnas.survey.dependence.heap import REST, Heap, Record, is_atom, is_mapping, is_sequence
from symnas.survey.dependence.state import Activation, GlobalName, Pair

_METHODS = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)
_KEYS: tuple[type, ...] = (type({}.keys()), type(OrderedDict[str, int]().keys()))
_VALUES: tuple[type, ...] = (type({}.values()), type(OrderedDict[str, int]().values()))
_VIEWS: tuple[type, ...] = (
    *(*_KEYS, *_VALUES),
    *(type({}.items()), type(OrderedDict[str, int]().items())),
)
_STORES = ("_modules", "_parameters", "_buffers")


def _stored(obj: object, name: str) -> bool:
    inside = getattr(obj, "__dict__", None)
    if not isinstance(inside, dict):
        return False
    return name in inside or any(name in (inside.get(kind) or ()) for kind in _STORES)


def read_attribute(at: Activation, owner: Pair, name: str) -> Pair:
    """Read an attribute: its own labels if it was assigned, all of the object's if it is computed."""
    obj, labels = owner
    state = at.state
    if type(obj) is types.ModuleType:
        return getattr(obj, name), labels | state.global_labels.get(GlobalName(obj.__name__, name), 0)
    value, extra = at.natively(lambda: getattr(obj, name), labels)
    # No point has been met yet, so nothing has labels.
    if not state.heap.everything:
        return value, labels
    record = state.heap.get(obj)
    # labels = the reference's | what rewritten code gave on the way | the name's | those not told apart
    found = labels | extra
    if record is not None:
        found |= record.attribute(name)
    # What is not the object's own may be its class's, and classes are assigned to as well.
    kind = obj if isinstance(obj, type) else type(obj)
    for base in kind.__mro__:
        held = state.heap.records.get(id(base))
        if held is not None:
            found |= held.attributes.get(name, 0) | held.rest
    known = record is not None and name in record.attributes
    # What is none of these was computed from the object in a way that was not seen (a property of native
    # code, `__getattr__`): it may depend on everything inside.
    computed = not (
        known or isinstance(value, _METHODS) or is_atom(obj) or _stored(obj, name) or _in_class(kind, name)
    )
    return value, found | state.heap.deep(obj) if computed else found


def _in_class(kind: type, name: str) -> bool:
    """Say whether a class holds the attribute as a plain value."""
    for base in kind.__mro__:
        if name in vars(base):
            return not hasattr(type(vars(base)[name]), "__get__")
    return False


def read_item(at: Activation, owner: Pair, index: Pair) -> Pair:
    """Read an item: its own labels where containers are kept item by item."""
    (obj, labels), (key, index_labels) = owner, index
    heap = at.state.heap
    labels |= index_labels
    # Inside a `try`, whether there is such an item decides what is reached.
    at.state.seen |= labels | (heap.deep(obj) if at.state.attempts else 0)
    # `list[int]` on a class, `"abc"[0]` on a string: nothing inside has labels of its own.
    if isinstance(obj, type) or (is_atom(obj) and is_atom(key)):
        return obj[key], labels
    record = heap.get(obj)
    if is_sequence(obj) and isinstance(key, (int, slice)):
        value = obj[key]
        if record is None:
            return value, labels
        if isinstance(key, slice):
            return _sliced(at, value, record, range(len(obj))[key]), labels | record.shape | record.rest
        place = key + len(obj) if key < 0 else key
        # Counted from the end, it is another item as soon as there are more of them.
        shape = record.shape if key < 0 else 0
        return value, labels | shape | record.item(place)
    if is_mapping(obj) and is_atom(key):
        value = obj[key]
        if record is None:
            return value, labels
        # A chosen key may have hit any item.
        if index_labels:
            return value, labels | record.every()
        return value, labels | record.item(key)
    total = labels | heap.deep(obj) | heap.deep(key)
    value, extra = at.natively(lambda: obj[key], total)
    return value, total | extra


def _sliced(at: Activation, value: Any, source: Record, places: range) -> Any:
    """Give a slice's items the labels that they had."""
    # `a[:]` of a tuple is the same tuple, and there is only one empty tuple.
    if value is source.obj or (isinstance(value, tuple) and not value):
        return value
    record = at.state.heap.record(value, at.key(at.site))
    record.shape |= source.shape
    record.rest |= source.rest
    # Item `places[new]` of the old sequence is item `new` of the slice.
    record.items.update({new: source.items[old] for new, old in enumerate(places) if old in source.items})
    return value


class Stepper:
    """Goes through an iterable item by item, with the labels of every item and of its being there."""

    def __init__(self, at: Activation, pair: Pair) -> None:
        self.at = at
        self.value, self.own = pair
        self.position = -1
        total = self.own
        # Going through these calls no code of the user's. Anything else may, under the labels of all inside
        # of it.
        known = is_sequence(self.value) or is_mapping(self.value)
        if not (known or isinstance(self.value, (dict, set, range, *_VIEWS))):
            total |= at.state.heap.deep(self.value)
        begin(at.state.heap, self.value)
        self.iterator, self.extra = at.natively(lambda: iter(self.value), total)
        self.native = total

    def step(self) -> tuple[Pair, int]:
        """Return the next item with its labels, and the labels of its being there."""
        value, extra = self.at.natively(lambda: next(self.iterator), self.native)
        if self.iterator is self.value and self.at.pc is not None:
            # An iterator that is moved on under a condition is somewhere else without it.
            record = self.at.state.heap.get(self.value)
            if record is not None:
                self.at.state.touch(record, REST, self.at.pc)
        self.position += 1
        if not self.at.state.heap.everything:
            return (value, 0), 0
        item, shape = peek(self.at.state.heap, self.value, self.position, value)
        # A tracked generator's record is exact about each item (`last`). Of other iterators all is known that
        # rewritten code, which they called, gave back to them.
        if not isinstance(self.value, types.GeneratorType):
            item, shape = item | extra, shape | extra
        total = self.own | self.extra
        return (value, item | total), shape | total

    def labels(self) -> int:
        """Return what it depends on that there are no more items."""
        _, shape = peek(self.at.state.heap, self.value, self.position + 1, None)
        return shape | self.own | self.extra


def begin(heap: Heap, source: Any) -> None:
    """Note that an iterator is gone through; the second time it does not begin at its first item."""
    record = heap.get(source)
    if record is not None and record.source and hasattr(type(source), "__next__"):
        if "#begun" in record.attributes:
            record.attributes["#used"] = 0
        record.attributes["#begun"] = 0


def peek(heap: Heap, source: Any, position: int, value: Any) -> tuple[int, int]:
    """Return the labels of the item at a position and of its being there.

    Views and iterators have no items of their own to look up: the labels are those of what they go through
    (`record.source`), unless someone else has moved an iterator on, after which positions no longer agree.
    """
    record = heap.get(source)
    if record is not None and record.outcome is not None and record.source is not None:
        return peek(heap, record.source[0], position, value)
    if is_sequence(source):
        return (0, 0) if record is None else (record.item(position), record.shape | record.rest)
    if isinstance(source, range):
        return (0, 0) if record is None else (record.rest, record.shape | record.rest)
    if isinstance(source, dict) or is_mapping(source):
        shape = 0 if record is None else record.shape | record.rest
        return shape, shape
    if isinstance(source, types.GeneratorType) and record is not None:
        return record.last | record.rest, record.shape | record.rest
    if record is not None and record.source and "#used" not in record.attributes:
        return _through(heap, source, record.source, position, value, record.rest)
    total = heap.deep(source)
    return total, total


def _through(
    heap: Heap, source: Any, under: tuple[Any, ...], position: int, value: Any, rest: int
) -> tuple[int, int]:
    """Look through an iterator or a view; an item that is a tuple gets its labels inside."""
    if isinstance(source, (enumerate, zip)):
        parts = value if isinstance(value, tuple) else ()
        # enumerate(a)[t] = (t, a[t])            zip(a, b)[t] = (a[t], b[t])
        inner = list(parts[1:]) if isinstance(source, enumerate) else list(parts)
        found = [
            peek(heap, item, position, inner[place] if place < len(inner) else None)
            for place, item in enumerate(under)
        ]
        shape = rest
        for _, labels in found:
            shape |= labels
        if value is not None:
            labels_of = (
                [rest, *(item for item, _ in found)]
                if isinstance(source, enumerate)
                else [i for i, _ in found]
            )
            # The record keeps the tuple alive; `zip` would otherwise use the same one for every item.
            heap.record(value).items.update(enumerate(labels_of))
        return rest, shape
    mapping = under[0]
    record = heap.get(mapping)
    if isinstance(source, _VIEWS) and (isinstance(mapping, dict) or is_mapping(mapping)):
        shape = 0 if record is None else record.shape | record.rest
        if isinstance(source, _KEYS) or record is None or value is None:
            return shape, shape
        # Insertion order is the order of all three views.
        key = list(mapping)[position]
        held = record.item(key)
        if isinstance(source, _VALUES):
            return held, shape
        heap.record(value).items.update({0: shape, 1: held})
        return shape, shape
    if type(source).__name__ in ("list_reverseiterator", "reversed") and is_sequence(mapping):
        # reversed(a)[t] = a[len(a) - 1 - t], which another length would move
        item, shape = peek(heap, mapping, len(mapping) - 1 - position, value)
        return item | shape, shape
    total = heap.deep(source) | heap.deep(mapping)
    return total, total


@dataclass(frozen=True)
class Items:
    """An iterable taken apart: its items with their labels, and what their number depends on."""

    pairs: tuple[Pair, ...]
    labels: int


def gather(at: Activation, pair: Pair) -> Items:
    """Take an iterable apart."""
    stepper = Stepper(at, pair)
    pairs: list[Pair] = []
    shape = 0
    while True:
        try:
            item, labels = stepper.step()
        except StopIteration:
            return Items(tuple(pairs), shape | stepper.labels())
        pairs.append(item)
        shape |= labels


@dataclass(frozen=True)
class Entries:
    """What a new dictionary is made of: by key the labels of its value, and what is not told apart."""

    values: dict[Any, int]
    shape: int
    rest: int


def entries(at: Activation, pair: Pair) -> Entries | None:
    """Take apart a mapping, or a list of pairs, that a dictionary is made of; None for anything else.

    Args:
        at: who makes it.
        pair: what is given, and its labels.
    """
    given, own = pair
    record = at.state.heap.get(given)
    values: dict[Any, int] = {}
    # Which mapping it is was chosen, so every entry may be another one or missing.
    shape = rest = own
    if is_mapping(given):
        for key in given:
            values[key] = own | (0 if record is None else record.item(key))
        if record is not None:
            shape, rest = shape | record.shape, rest | record.rest
        return Entries(values, shape, rest)
    if not isinstance(given, (list, tuple)):
        return None
    if record is not None:
        shape, rest = shape | record.shape, rest | record.rest
    for position, item in enumerate(given):
        if not isinstance(item, (list, tuple)) or len(item) != 2 or not is_atom(item[0]):
            return None
        around = own | (0 if record is None else record.item(position))
        inner = at.state.heap.get(item)
        name, value = (0, 0) if inner is None else (inner.item(0) | inner.shape, inner.item(1) | inner.shape)
        # Under another key another entry would be there, or none.
        shape, rest = shape | around | name, rest | around | name
        values[item[0]] = around | name | value
    return Entries(values, shape, rest)
