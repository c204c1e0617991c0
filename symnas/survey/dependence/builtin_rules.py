"""What the results of known functions depend on, item by item: methods of containers, and built-in functions.

A rule makes the call itself and returns the result with its labels, or None where it does not apply after
all; then the call is treated like any other native one.
"""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from symnas.survey.dependence.access import begin, entries, gather, read_attribute
from symnas.survey.dependence.heap import REST, SHAPE, is_atom, is_mapping, is_sequence
from symnas.survey.dependence.state import Activation, Named, Pair
from symnas.survey.dependence.stores import change, filled, set_attribute

Rule = Callable[[Activation, int, list[Pair], Named], Pair | None]
"""Gets who calls, the labels of the function itself, and the arguments."""

_REGISTERING: dict[str, tuple[str, tuple[str, ...]]] = {
    "add_module": ("module", ()),
    "register_module": ("module", ()),
    "register_buffer": ("tensor", ("persistent",)),
    "register_parameter": ("param", ()),
}
"""Methods by which torch's modules hold something under a name: their parameters behind the name."""

# -- containers ------------------------------------------------------------------------------------


def call_method(
    at: Activation, receiver: Any, callee: Any, labels: int, pairs: list[Pair], named: Named
) -> Pair | None:
    """Call a method of a list, a module list, a dictionary or a set; None where there is no rule for it."""
    name = callee.__name__
    if name in _REGISTERING and callee.__module__ == "torch.nn.modules.module":
        return _register(at, receiver, callee, labels, pairs, named)
    module_list = is_sequence(receiver) and not isinstance(receiver, (list, tuple))
    if (isinstance(receiver, list) or module_list) and not named and len(pairs) == 1:
        if name == "append":
            return _append(at, receiver, callee, labels, pairs, 0, True)
        if name == "extend":
            # Other methods that change a list (`insert`, `sort`) move items about; they are native calls.
            items = gather(at, pairs[0])
            return _append(at, receiver, callee, labels, items.pairs, items.labels, False)
    if is_mapping(receiver):
        if name in ("items", "keys", "values"):
            value = callee()
            # A view has no labels of its own: what is read through it later is looked up in the dictionary
            # then.
            at.state.heap.record(value).source = (receiver,)
            return value, labels
        if name in ("get", "setdefault", "pop") and pairs and is_atom(pairs[0][0]):
            return _look_up(at, receiver, callee, labels, pairs)
    if type(receiver) is set and name == "add":
        callee(pairs[0][0])
        change(at, receiver, REST, labels | pairs[0][1])
        return None, labels
    return None


def _register(
    at: Activation, receiver: Any, callee: Any, labels: int, pairs: list[Pair], named: Named
) -> Pair | None:
    """Call `add_module(name, module)` and its like: what `setattr` does, and behind all others in a list."""
    value_name, more = _REGISTERING[callee.__name__]
    given = dict(zip(("name", value_name, *more), pairs, strict=False))
    given |= {str(key): pair for key, pair in named.items()}
    name, own = given.pop("name", (None, 0)), given.pop(value_name, (None, 0))[1]
    # Under another name, or in another module, all else would be what it was without this: native code.
    if labels or name[1] or not isinstance(name[0], str) or any(pair[1] for pair in given.values()):
        return None
    names = list(receiver._modules)
    result = callee(*(value for value, _ in pairs), **{key: value for key, (value, _) in named.items()})
    record = at.state.heap.record(receiver)
    field: tuple[str, Any] = ("a", name[0])
    if is_sequence(receiver) and name[0] in receiver._modules:
        # As for `append`: where an earlier one was conditional, this one may stand elsewhere.
        own |= record.shape
        field = ("i", names.index(name[0]) if name[0] in names else len(names))
    elif is_mapping(receiver) and name[0] in receiver._modules:
        field = ("i", name[0])
    (record.attributes if field[0] == "a" else record.items)[field[1]] = own
    if at.pc is not None:
        at.state.touch(record, field, at.pc)
        at.state.touch(record, SHAPE, at.pc)
    return result, 0


def _append(
    at: Activation, receiver: Any, callee: Any, labels: int, items: Sequence[Pair], shape: int, single: bool
) -> Pair:
    """Append items: the place of each depends on how many there were, and their number on `shape`."""
    record = at.state.heap.record(receiver)
    start = len(receiver)
    result = callee(items[0][0]) if single else callee([value for value, _ in items])
    for offset, (_, own) in enumerate(items):
        # Where an earlier `append` was conditional, `shape` has its condition, and this item may stand
        # elsewhere.
        total = own | record.shape | shape
        if total:
            record.items[start + offset] = total
        if at.pc is not None:
            at.state.touch(record, ("i", start + offset), at.pc)
    if items or shape or labels:
        change(at, receiver, SHAPE, shape | labels)
    return result, labels


def _look_up(at: Activation, receiver: Any, callee: Any, labels: int, pairs: list[Pair]) -> Pair:
    """Call `get`, `setdefault` or `pop`: a chosen key may have hit any item, a fixed one its own alone."""
    record = at.state.heap.record(receiver)
    key, key_labels = pairs[0]
    before = record.every() if key_labels else record.item(key) | record.shape
    name = callee.__name__
    # Labels are taken before the call: `pop` removes what they belong to.
    value = callee(*(value for value, _ in pairs))
    total = labels | key_labels | before
    for _, own in pairs[1:]:
        total |= own
    if name == "setdefault":
        change(at, receiver, ("i", key), total)
        change(at, receiver, SHAPE, key_labels)
    if name == "pop":
        change(at, receiver, SHAPE, total)
    if key_labels and name != "get":
        change(at, receiver, REST, total)
    return value, total


# -- built-in functions ----------------------------------------------------------------------------


def _length(at: Activation, labels: int, pairs: list[Pair], _: Named) -> Pair | None:
    value, own = pairs[0]
    if is_sequence(value) or is_mapping(value) or isinstance(value, (dict, set, frozenset, range)):
        return len(value), labels | own | at.state.heap.shape(value)
    return None


def _identity(function: Callable[..., Any]) -> Rule:
    def run(_: Activation, labels: int, pairs: list[Pair], named: Named) -> Pair | None:
        if named or (function is type and len(pairs) != 1):
            return None
        # Only the references count: none of these functions looks inside its arguments.
        for _value, own in pairs:
            labels |= own
        return function(*(value for value, _own in pairs)), labels

    return run


def _range(at: Activation, labels: int, pairs: list[Pair], _: Named) -> Pair | None:
    """Make a range: its length depends on all three numbers, its items on start and step alone."""
    value = range(*(value for value, _ in pairs))
    # range(stop), range(start, stop[, step]): item t is start + t * step, and there are
    # ceil((stop - start) / step) of them
    stop = pairs[0] if len(pairs) == 1 else pairs[1]
    others = [pair for pair in pairs if pair is not stop]
    total = labels
    for _, own in others:
        total |= own
    if stop[1] | total:
        record = at.state.heap.record(value, at.key(at.site))
        record.shape |= stop[1] | total
        record.rest |= total
    return value, labels


def _taken_apart(at: Activation, pairs: list[Pair]) -> tuple[Sequence[Pair], int]:
    if not pairs:
        return (), 0
    items = gather(at, pairs[0])
    return items.pairs, items.labels


def _collect(kind: type) -> Rule:
    def run(at: Activation, labels: int, pairs: list[Pair], named: Named) -> Pair | None:
        if named or len(pairs) > 1:
            return None
        items, shape = _taken_apart(at, pairs)
        value = filled(at, at.site, kind(value for value, _ in items), items, shape)
        # Of a list, the shape is inside; a tuple or a set may be compared and hashed as one value.
        return value, labels | (shape if kind is not list else 0)

    return run


def _mapping(kind: type[dict[Any, Any]]) -> Rule:
    """Make a dictionary of a mapping or of pairs, and of keywords: `dict(a=…)`, `OrderedDict([("a", …)])`."""

    def run(at: Activation, labels: int, pairs: list[Pair], named: Named) -> Pair | None:
        found = entries(at, pairs[0]) if pairs else None
        if len(pairs) > 1 or (pairs and found is None):
            return None
        value = kind(*(given for given, _ in pairs), **{name: given for name, (given, _) in named.items()})
        record = at.state.heap.record(value, at.key(at.site))
        if found is not None:
            record.items.update(found.values)
            record.shape |= found.shape
            record.rest |= found.rest
        record.items.update({name: own for name, (_, own) in named.items()})
        return value, labels

    return run


def _over(function: Callable[..., Any]) -> Rule:
    """Make an iterator over others: what it gives is looked up in those (`access.peek`)."""

    def run(at: Activation, labels: int, pairs: list[Pair], named: Named) -> Pair | None:
        # Of any other iterator it is not known what it goes through; that is a native call.
        known = (types.GeneratorType, enumerate, zip)
        if any(hasattr(type(value), "__next__") and not isinstance(value, known) for value, _ in pairs):
            return None
        value = function(*(value for value, _ in pairs), **{k: v for k, (v, _) in named.items()})
        record = at.state.heap.record(value, at.key(at.site))
        extra = pairs[1:] if function is enumerate else []
        sources = pairs[:1] if function is enumerate else pairs
        record.source = tuple(source for source, _ in sources)
        for source in record.source:
            begin(at.state.heap, source)
        for _, own in [*extra, *named.values(), *sources]:
            record.rest |= own
        return value, labels

    return run


def _getattr(at: Activation, labels: int, pairs: list[Pair], _: Named) -> Pair | None:
    (obj, own), (name, name_labels) = pairs[0], pairs[1]
    if len(pairs) == 3 and not hasattr(obj, name):
        held = at.state.heap.get(obj)
        # That there is no such attribute may depend on who would have assigned it.
        found = held.attributes.get(name, 0) | held.rest if held else 0
        return pairs[2][0], pairs[2][1] | own | name_labels | found | labels
    value, found = read_attribute(at, (obj, own), name)
    if name_labels:
        found |= at.state.heap.deep(obj)
    return value, found | name_labels | labels


def _setattr(at: Activation, labels: int, pairs: list[Pair], _: Named) -> Pair | None:
    (obj, own), (name, name_labels), value = pairs
    set_attribute(at, (obj, own | name_labels), name, value)
    if name_labels:
        change(at, obj, REST, name_labels)
    return None, labels


def _hasattr(at: Activation, labels: int, pairs: list[Pair], _: Named) -> Pair | None:
    (obj, own), (name, name_labels) = pairs
    held = at.state.heap.get(obj)
    found = held.attributes.get(name, 0) | held.rest if held else 0
    return hasattr(obj, name), labels | own | name_labels | found


RULES: dict[Any, Rule] = {
    len: _length, range: _range, list: _collect(list), tuple: _collect(tuple), set: _collect(set),
    frozenset: _collect(frozenset), dict: _mapping(dict), OrderedDict: _mapping(OrderedDict),
    enumerate: _over(enumerate), zip: _over(zip), reversed: _over(reversed),
    getattr: _getattr, setattr: _setattr, hasattr: _hasattr,
    **{function: _identity(function) for function in (isinstance, issubclass, callable, id, type)},
}  # fmt: skip
