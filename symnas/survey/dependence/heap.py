"""What the dependence tracker knows about objects: labels of their attributes, items, shape and the rest.

Labels are bit sets (Python integers). A reference's own labels travel with the variable that holds it; the
labels here are those of what is found by looking inside the object. Records keep their objects alive, so
identities are never reused within a run.
"""

from __future__ import annotations

import functools
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

SHAPE, REST = "shape", "rest"
Field = Any
"""`SHAPE`, `REST`, or a pair: `a` and an attribute, `i` and an index or key."""

# Functions are atoms since what they close over has labels of its own, in shadow variables that they close
# over as well; a module's names are global names (`TrackerState.global_labels`).
ATOMS: tuple[type, ...] = (
    int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented), slice,
    types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, property,
)  # fmt: skip
_ATOMS = frozenset(ATOMS)
# In these nothing is found. What a function closes over has labels elsewhere, but it may have attributes.
_EMPTY = _ATOMS - {types.FunctionType}
_CONTAINERS = frozenset((dict, OrderedDict, set, list))
_CONTAINER_MODULE = "torch.nn.modules.container"
# In objects, for one look into what can be reached.
DEEP_LIMIT = 20_000


def is_atom(value: object) -> bool:
    """Say whether nothing can be found inside a value beyond its own labels."""
    return type(value) in _ATOMS or isinstance(value, type)


def is_sequence(value: object) -> bool:
    """Say whether a value is kept item by item, by index: lists, tuples and torch's module lists."""
    if isinstance(value, (list, tuple)):
        return True
    return _is_container(value) and not hasattr(value, "keys")


def is_mapping(value: object) -> bool:
    """Say whether a value is kept item by item, by key: dictionaries and torch's module dictionaries.

    Dictionaries of other classes (`defaultdict`, the user's own) may do anything when they are asked.
    """
    return type(value) in (dict, OrderedDict) or (_is_container(value) and hasattr(value, "keys"))


def named_items(value: object) -> list[str]:
    """Return the names under which the items of one of torch's module lists are attributes, in order."""
    held: Mapping[str, object] = getattr(value, "_modules", {}) if _is_container(value) else {}
    return list(held)


def _is_container(value: object) -> bool:
    kind = type(value)
    return kind.__module__ == _CONTAINER_MODULE and hasattr(kind, "__getitem__") and hasattr(kind, "__len__")


class Record:
    """Labels inside one object."""

    __slots__ = ("attributes", "items", "key", "last", "obj", "outcome", "rest", "shape", "source")

    def __init__(self, obj: object, key: Hashable) -> None:
        self.obj = obj
        self.key = key
        # Labels by field. What is not told apart (`rest`) counts for every item; `shape` is the number and
        # order of items; `last` what a generator's latest item depends on. `outcome` names the candidate of
        # the current turn where a chosen subset is gone through, and `source` is what an iterator or a view
        # looks at.
        self.attributes: dict[str, int] = {}
        self.items: dict[Hashable, int] = {}
        self.shape = 0
        self.rest = 0
        self.last = 0
        self.outcome: Callable[[], Hashable] | None = None
        self.source: tuple[Any, ...] | None = None

    def item(self, key: Hashable) -> int:
        """Return the labels of an item by index or key."""
        total = self.items.get(key, 0) | self.rest
        if self.attributes:
            # An item of one of torch's containers is an attribute, too, and may have been assigned as one.
            names = named_items(self.obj)
            name = names[key] if isinstance(key, int) and key < len(names) else key
            total |= self.attributes.get(str(name), 0) if names else 0
        return total

    def attribute(self, name: str) -> int:
        """Return the labels of an attribute that is held and not computed."""
        total = self.attributes.get(name, 0) | self.rest
        if self.items:
            names = named_items(self.obj)
            if name in names:
                # Which item a name stands for depends on how many there are before it.
                by_key = is_mapping(self.obj)
                total |= self.items.get(name if by_key else names.index(name), 0)
                total |= 0 if by_key else self.shape
        return total

    def every(self) -> int:
        """Return all labels directly inside."""
        total = self.shape | self.rest | self.last
        for labels in self.attributes.values():
            total |= labels
        for labels in self.items.values():
            total |= labels
        return total

    def add(self, field: Field, labels: int) -> None:
        """Let a field depend on more labels."""
        if field == SHAPE:
            self.shape |= labels
        elif field == REST:
            self.rest |= labels
        else:
            kind, name = field
            held: dict[Any, int] = self.attributes if kind == "a" else self.items
            held[name] = held.get(name, 0) | labels


class Heap:
    """All records of one run."""

    def __init__(self) -> None:
        # By identity in this run, and by a key that is the same in every run (place and path where it was
        # made). `everything` has all labels that came up in this run.
        self.records: dict[int, Record] = {}
        self.by_key: dict[Hashable, Record] = {}
        self.everything = 0

    def get(self, value: object) -> Record | None:
        """Return the record of an object, if it has one."""
        return self.records.get(id(value))

    def record(self, value: object, key: Hashable = None) -> Record:
        """Return the record of an object, made now if need be."""
        found = self.records.get(id(value))
        if found is None:
            # Classes and functions are known again by name, unless the code that makes them says more.
            if key is None and isinstance(value, (type, types.FunctionType)):
                key = ("named", value.__module__, value.__qualname__)
            found = self.records[id(value)] = Record(value, key)
        # The first object with a key keeps it: effects are remembered for one object, in every run the same.
        if key is not None and (found.key is None or key not in self.by_key):
            found.key = found.key or key
            self.by_key.setdefault(found.key, found)
        return found

    def shape(self, value: object) -> int:
        """Return what the number and order of an object's items depends on."""
        found = self.records.get(id(value))
        return 0 if found is None else found.shape | found.rest

    def deep(self, value: object) -> int:
        """Return the labels of everything that can be reached from an object."""
        # Much of the time of a survey is spent here: native code is given whole models again and again. So it
        # is one loop, in which what holds nothing (numbers, empty dictionaries of hooks) is not entered.
        everything, records = self.everything, self.records
        if type(value) in _EMPTY or not everything:
            return 0
        # Without recursion, whose limit a deeply nested model would meet.
        total, seen = 0, set()
        stack: list[Any] = [value]
        while stack:
            item = stack.pop()
            place = id(item)
            kind: Any = type(item)
            if place in seen:
                continue
            seen.add(place)
            found = records.get(place)
            if found is not None:
                total |= found.every()
                # Nothing more can be found.
                if total == everything:
                    return total
                if found.source is not None:
                    stack.extend(found.source)
            inside: Iterable[Any]
            if kind is list or kind is tuple:
                inside = item
            elif kind is dict or kind is OrderedDict:
                stack.extend(key for key in item if type(key) not in _EMPTY)
                inside = item.values()
            else:
                inside = item.__dict__.values() if _only_attributes(kind) else _children(item)
            for inner in inside:
                of = type(inner)
                # An empty container has labels where it may have been filled.
                if of not in _EMPTY and (of not in _CONTAINERS or inner or id(inner) in records):
                    stack.append(inner)
            # Safe where it is too much to look at: everything that is known.
            if len(seen) > DEEP_LIMIT:
                return everything
        return total


@functools.cache
def _only_attributes(kind: Any) -> bool:
    """Whether what objects of a class hold is in their dictionaries alone: modules and tensors, mostly."""
    apart = (list, tuple, set, frozenset, deque, dict, type,
             types.MethodType, functools.partial, types.GeneratorType)  # fmt: skip
    # A descriptor of that name, which every class with dictionaries has, and no property of the user's.
    own = next((vars(base)["__dict__"] for base in kind.__mro__ if "__dict__" in vars(base)), None)
    return not issubclass(kind, apart) and isinstance(own, types.GetSetDescriptorType) and not _slots(kind)


def _children(value: Any) -> Iterator[object]:
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        yield from value
    elif isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, types.MethodType):
        yield value.__self__
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    # A generator's record says what it hands out, a class's is read attribute by attribute.
    elif isinstance(value, (types.GeneratorType, type)):
        return
    inside = getattr(value, "__dict__", None)
    if isinstance(inside, dict):
        yield from inside.values()
    for name in _slots(value.__class__):
        try:
            yield object.__getattribute__(value, name)
        except (AttributeError, TypeError):
            continue


@functools.cache
def _slots(kind: Any) -> tuple[str, ...]:
    """Return the names of a class's slots, those of its bases included, as the compiler mangles them."""
    found: list[str] = []
    assert isinstance(kind, type)
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return tuple(name for name in found if name not in ("__dict__", "__weakref__"))
