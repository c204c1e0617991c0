"""How labels are left behind when objects are changed: attributes, items, and the contents of new containers.

A store under conditions is also noted on each of them (`TrackerState.touch`), so that, when the condition
ends, the field depends on it, in the runs too in which the store does not happen.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence
from types import FunctionType, ModuleType
from typing import Any

from symnas.survey.dependence.access import Items
from symnas.survey.dependence.conditions import Condition
from symnas.survey.dependence.heap import REST, SHAPE, Field, Record, is_atom, is_mapping, is_sequence
from symnas.survey.dependence.state import Activation, Global, GlobalName, Pair


def change(at: Activation, obj: object, field: Field, labels: int) -> None:
    """Note that a field of an object was changed here."""
    if _holds_nothing(obj):
        return
    record = at.state.heap.record(obj, _made(at, obj))
    record.add(field, labels)
    if at.pc is not None:
        at.state.touch(record, field, at.pc)


def _holds_nothing(obj: object) -> bool:
    """Whether an object has no attributes that are assigned; classes and functions have."""
    return is_atom(obj) and not isinstance(obj, (type, FunctionType))


def _made(at: Activation, obj: object) -> Hashable:
    """Return where a function was made, which tells those of one text apart."""
    return at.state.made.get(id(obj)) if isinstance(obj, FunctionType) else None


def set_attribute(at: Activation, owner: Pair, name: str, pair: Pair) -> None:
    """Assign an attribute."""
    obj, labels = owner
    _, extra = at.natively(lambda: setattr(obj, name, pair[0]), labels | pair[1])
    if isinstance(obj, ModuleType):
        set_global(at, GlobalName(obj.__name__, name), labels | pair[1] | at.around())
    if _holds_nothing(obj):
        return
    record = at.state.heap.record(obj, _made(at, obj))
    # A strong update: what the attribute held before is gone, its labels too. The conditions around come on
    # top when they end.
    record.attributes[name] = labels | pair[1] | extra
    if at.pc is not None:
        at.state.touch(record, ("a", name), at.pc)
    if labels:
        _elsewhere(at, record, ("a", name), labels)


def set_global(at: Activation, key: GlobalName, labels: int) -> None:
    """Note what a global name depends on that is assigned here."""
    state = at.state
    state.global_labels[key] = labels
    if at.around():
        state.touch(Global(state.global_labels, key), REST, at.pc)


def _elsewhere(at: Activation, record: Record, field: Field, labels: int) -> None:
    """Note a store through a reference that was chosen: in other runs it goes to other objects.

    It is as if each of the objects were stored to under the condition that it is the chosen one. So the
    field of every object that the reference stood for in any run depends on the reference's labels.
    """
    key = ("store", at.site, at.path)
    chosen = Condition(None, key, labels, True, 0, key)
    chosen.effects = {(id(record), field): record}
    at.state.settle(chosen, labels)


def set_item(at: Activation, owner: Pair, index: Pair, pair: Pair) -> None:
    """Assign an item."""
    (obj, labels), (key, index_labels) = owner, index
    _, extra = at.natively(lambda: operator.setitem(obj, key, pair[0]), labels | pair[1] | index_labels)
    total = labels | pair[1] | extra
    record = at.state.heap.record(obj)
    # A slice, or a key that may be another object in the next run: nothing is told apart.
    if not isinstance(key, (int, str, bool, float, type(None))):
        change(at, obj, REST, total | index_labels)
        change(at, obj, SHAPE, total | index_labels)
        return
    place = key + len(obj) if isinstance(key, int) and key < 0 and is_sequence(obj) else key
    new = place not in record.items
    record.items[place] = total
    if at.pc is not None:
        at.state.touch(record, ("i", place), at.pc)
        # A new key makes a dictionary longer, a list keeps its length.
        if isinstance(obj, dict) or is_mapping(obj):
            at.state.touch(record, SHAPE, at.pc)
    if index_labels:
        # Under another index another item would have changed, any of them.
        change(at, obj, REST, index_labels | (total if not new else 0))
    if labels:
        _elsewhere(at, record, ("i", place), labels)


def delete_item(at: Activation, owner: Pair, index: Pair) -> None:
    """Delete an item."""
    total = owner[1] | index[1]
    # Behind a deleted item all others move up, so each may hold what any of them held.
    everything = at.state.heap.record(owner[0]).every() if not is_atom(owner[0]) else 0
    at.natively(lambda: operator.delitem(owner[0], index[0]), total)
    change(at, owner[0], REST, total | everything)
    change(at, owner[0], SHAPE, total)


def delete_attribute(at: Activation, owner: Pair, name: str) -> None:
    """Delete an attribute."""
    at.natively(lambda: delattr(owner[0], name), owner[1])
    change(at, owner[0], ("a", name), owner[1])


def filled(at: Activation, site: int, value: Any, pairs: Sequence[Pair], shape: int) -> Any:
    """Label what is in a new list, tuple or set, whose number of items depends on `shape`."""
    if value == () and isinstance(value, tuple):
        return value  # there is only one empty tuple
    record = at.state.heap.record(value, at.key(site))
    record.shape |= shape
    if isinstance(value, (set, frozenset)):
        # Equal items are one, so the number of items depends on their values.
        for _, labels in pairs:
            record.shape |= labels
            record.rest |= labels
        return value
    # Items behind one that may be missing are other items then, so all depend on the shape.
    for position, (_, labels) in enumerate(pairs):
        if labels | shape:
            record.items[position] = labels | shape
    return value


def flattened(items: Sequence[Pair | Items]) -> tuple[list[Pair], int]:
    """Return the items of a display, with the starred ones taken apart, and what their number depends on."""
    pairs: list[Pair] = []
    shape = 0
    for item in items:
        if isinstance(item, Items):
            pairs.extend(item.pairs)
            shape |= item.labels
        else:
            pairs.append(item)
    return pairs, shape


def mapped(at: Activation, site: int, pairs: Sequence[tuple[Pair | None, Pair]]) -> dict[Any, Any]:
    """Make a dictionary with labels inside; a key that is None stands for `**value`."""
    result: dict[Any, Any] = {}
    record = at.state.heap.record(result, at.key(site))
    for key, value in pairs:
        if key is None:
            result.update(value[0])
            source = at.state.heap.get(value[0])
            if source is not None:
                record.items.update(source.items)
                record.shape |= source.shape | value[1]
                record.rest |= source.rest
            record.rest |= value[1]
            continue
        result[key[0]] = value[0]
        record.items[key[0]] = value[1]
        # Under another key another item would be there, or none.
        record.rest |= key[1]
        record.shape |= key[1]
    return result
