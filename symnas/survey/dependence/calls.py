"""How labels pass through calls: rewritten functions, containers, built-in functions, anything else."""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from symnas.survey.dependence.access import Stepper, gather, read_attribute
from symnas.survey.dependence.heap import REST, SHAPE, is_atom, is_sequence

if TYPE_CHECKING:
    from symnas.survey.dependence.values import Values

__all__ = ["Stepper", "call"]

Pair = tuple[Any, int]
_MISSING = object()
_PURE = frozenset({"torch", "builtins", "math", "cmath", "numpy", "operator", "itertools", "functools",
                   "copy", "collections", "dataclasses", "typing", "enum", "re", "string",
                   "warnings", "logging"})  # fmt: skip
_TORCH_MUTATORS = (
    "add_",
    "register_",
    "set_",
    "append",
    "extend",
    "insert",
    "pop",
    "update",
    "load",
    "clear",
)
_READING = frozenset({"copy", "index", "count", "get", "keys", "values", "items", "union", "intersection",
                      "difference", "issubset", "issuperset", "isdisjoint"})  # fmt: skip


def call(
    frame: Values,
    site: int,
    function: Pair,
    args: tuple[Any, ...],
    keywords: tuple[Any, ...],
    result: Any = _MISSING,
) -> Pair:
    """Call a function with pairs; `result` replaces what it returns."""
    pairs, shape = _positional(args)
    named = _named(frame, keywords)
    callee, labels = function
    rt = frame.rt
    handler = rt.intrinsics.get(id(getattr(callee, "__func__", callee)))
    if handler is not None:
        return handler(frame, site, function, pairs, named)
    saved = frame.pc
    for _, own in pairs:
        rt.seen |= own
    if rt.attempts:
        rt.seen |= _all(frame, labels, pairs, named) | rt.heap.deep(getattr(callee, "__self__", None))
    if labels and not _builtin_method(callee):
        single = not labels & (labels - 1)
        reaches = single or _reaches(frame, callee)
        frame.push(("callee", site, frame.path), labels, _called(frame, callee), site, 0, reaches=reaches)
    value, found = _dispatch(frame, callee, labels, pairs, named, shape)
    if frame.pc is not saved:
        found |= frame.drop(saved, 0)
    return (value if result is _MISSING else result), (labels if result is not _MISSING else found)


def _positional(args: tuple[Any, ...]) -> tuple[list[Pair], int]:
    pairs: list[Pair] = []
    shape = 0
    for item in args:
        if isinstance(item, tuple):
            pairs.append((item[0], item[1] | shape))
        else:
            pairs.extend((value, labels | item.labels) for value, labels in item.pairs)
            shape |= item.labels
    return pairs, shape


def _named(frame: Values, keywords: tuple[Any, ...]) -> dict[str, Pair]:
    named: dict[str, Pair] = {}
    for name, (value, labels) in keywords:
        if name is not None:
            named[name] = (value, labels)
            continue
        record = frame.rt.heap.get(value)
        for key in value:
            inner = 0 if record is None else record.item(key) | record.shape
            named[key] = (value[key], labels | inner)
    return named


def _builtin_method(callee: Any) -> bool:
    return isinstance(callee, types.BuiltinMethodType) and is_atom(callee.__self__)


def _reaches(frame: Values, callee: Any) -> bool:
    """Whether a call may end in rewritten code: torch's own modules do only where they hold others."""
    plain = isinstance(callee, type | types.FunctionType | types.BuiltinFunctionType)
    kind = callee if plain else type(callee)
    if str(kind.__module__).split(".")[0] != "torch":
        return True
    if plain:
        return False
    parts = callee.modules() if hasattr(callee, "modules") else [callee]
    return any(
        _entered(frame, part, 0) is not None
        or getattr(part, "_forward_hooks", None)
        or getattr(part, "_forward_pre_hooks", None)
        for part in parts
    )


def _called(frame: Values, callee: Any) -> Hashable:
    """Name what is called so that two functions of one text, closed over different values, differ."""
    made = frame.rt.made.get(id(getattr(callee, "__func__", callee)))
    name = str(getattr(callee, "__qualname__", None) or type(callee).__qualname__)
    return name if made is None else (name, made)


def _dispatch(
    frame: Values, callee: Any, labels: int, pairs: list[Pair], named: dict[str, Pair], shape: int
) -> Pair:
    try:
        special = _SPECIAL.get(callee)
    except TypeError:
        special = None
    if special is not None:
        handled = special(frame, labels, pairs, named)
        if handled is not None:
            return handled
    receiver = getattr(callee, "__self__", None)
    if isinstance(callee, types.MethodType | types.BuiltinMethodType) and receiver is not None:
        handled = _container(frame, receiver, callee, labels, pairs, named)
        if handled is not None:
            return handled
    entered = _entered(frame, callee, labels)
    if entered is not None:
        return _direct(frame, callee, labels, pairs, named, shape, *entered)
    if _is_sequential(callee) and len(pairs) == 1 and not named:
        from symnas.survey.dependence.loops import Loop

        # Which of its modules are called depends on which there are, not on what is inside them.
        value, site = pairs[0], frame.site
        reaches = _reaches(frame, callee)
        for item in Loop(frame, site, (callee, labels), ends=True, reaches=reaches):  # type: ignore[arg-type]
            value = call(frame, site, item, (value,), ())
        frame.gone = 0
        return value
    return _native(frame, callee, labels, pairs, named, shape)


def _is_sequential(callee: Any) -> bool:
    forward = getattr(type(callee), "forward", None)
    return getattr(forward, "__qualname__", "") == "Sequential.forward"


def _entered(frame: Values, callee: Any, labels: int) -> tuple[Any, tuple[int, ...], Any] | None:
    """Find the rewritten function that a call enters: its code, the labels of `self`, the function."""
    codes = frame.rt.codes
    inner: Any
    if isinstance(callee, types.FunctionType):
        return (callee.__code__, (), callee) if callee.__code__ in codes else None
    if isinstance(callee, types.MethodType):
        inner = callee.__func__
        code = getattr(inner, "__code__", None)
        return (code, (labels,), inner) if code in codes else None
    if isinstance(callee, type):
        for name in ("__init__", "__new__"):
            inner = getattr(callee, name)
            if getattr(inner, "__code__", None) in codes:
                return inner.__code__, (labels,), inner
        return None
    for name in ("forward", "__call__"):
        inner = getattr(type(callee), name, None)
        if getattr(inner, "__code__", None) in codes:
            return inner.__code__, (labels,), inner
    return None


def _direct(
    frame: Values, callee: Any, labels: int, pairs: list[Pair], named: dict[str, Pair], shape: int,
    code: Any, first: tuple[int, ...], function: Any,
) -> Pair:  # fmt: skip
    from symnas.survey.dependence.tracker import Call

    rt = frame.rt
    plain = isinstance(callee, (types.FunctionType, types.MethodType))
    around = 0 if plain else _all(frame, labels, pairs, named)
    tag = _called(frame, callee) if labels else None
    made = Call(
        code,
        (*first, *(own for _, own in pairs)),
        {k: own for k, (_, own) in named.items()},
        function,
        shape,
        tag,
    )

    def run() -> Any:
        rt.pending, rt.returned = made, None
        return callee(*(value for value, _ in pairs), **{k: value for k, (value, _) in named.items()})

    value, collected = frame.natively(run, around)
    returned, rt.returned = rt.returned, None
    if isinstance(callee, type):
        if not is_atom(value):
            record = rt.heap.record(value, frame.key(frame.site))
            record.rest |= collected
        return value, labels
    if returned is not None and returned[0].call_made is made:
        return value, returned[1] | collected
    return value, collected | around | _all(frame, labels, pairs, named)


def _all(frame: Values, labels: int, pairs: list[Pair], named: dict[str, Pair]) -> int:
    heap = frame.rt.heap
    for value, own in [*pairs, *named.values()]:
        labels |= own | heap.deep(value)
    return labels


def _native(
    frame: Values, callee: Any, labels: int, pairs: list[Pair], named: dict[str, Pair], shape: int
) -> Pair:
    rt = frame.rt
    total = _all(frame, labels | shape, pairs, named)
    receiver = getattr(callee, "__self__", None)
    if receiver is None and not isinstance(callee, (type, types.FunctionType, types.BuiltinFunctionType)):
        receiver = callee
    if receiver is not None and not isinstance(receiver, types.ModuleType):
        total |= rt.heap.deep(receiver)
    values = [value for value, _ in pairs]
    keywords = {name: value for name, (value, _) in named.items()}
    value, collected = frame.natively(lambda: callee(*values, **keywords), total)
    total |= collected
    _mutations(frame, callee, receiver, total, pairs, named)
    if isinstance(callee, type) and not is_atom(value):
        record = rt.heap.record(value, frame.key(frame.site))
        if is_sequence(value) and type(value).__module__.startswith("torch"):
            record.shape |= shape
            for position, (_, own) in enumerate(pairs):
                record.items[position] = own
            if not (len(pairs) == 1 and not _is_sequential(value)):
                return value, labels
            source = rt.heap.get(pairs[0][0])
            record.items.clear()
            record.shape |= pairs[0][1]
            if source is not None:
                record.items.update(source.items)
                record.shape |= source.shape
                record.rest |= source.rest
            return value, labels
        record.rest |= total
        return value, labels
    if not is_atom(value) and rt.heap.get(value) is None:
        rt.heap.record(value, frame.key(frame.site))
    return value, total


def _mutations(
    frame: Values, callee: Any, receiver: Any, total: int, pairs: list[Pair], named: dict[str, Pair]
) -> None:
    """Native code may change its receiver, iterators, and arguments that it is not known to spare."""
    root = str(getattr(callee, "__module__", None) or type(receiver).__module__).split(".")[0]
    if receiver is not None and receiver is not callee and not is_atom(receiver):
        name = getattr(callee, "__name__", "")
        torch = type(receiver).__module__.split(".")[0] == "torch" or root == "torch"
        if name not in _READING and (not torch or name.startswith(_TORCH_MUTATORS)) and name != "__init__":
            frame.change(receiver, REST, total)
    for value, _ in [*pairs, *named.values()]:
        if is_atom(value) or isinstance(value, (tuple, range, frozenset)):
            continue
        if hasattr(type(value), "__next__"):
            frame.change(value, REST, total)
            frame.rt.heap.record(value).attributes["#used"] = 0
        elif root not in _PURE and not isinstance(callee, type(len)):
            frame.change(value, REST, total)


# -- containers ------------------------------------------------------------------------------------


def _container(
    frame: Values, receiver: Any, callee: Any, labels: int, pairs: list[Pair], named: dict[str, Pair]
) -> Pair | None:
    name = callee.__name__
    module_list = is_sequence(receiver) and not isinstance(receiver, (list, tuple))
    if (isinstance(receiver, list) or module_list) and not named and len(pairs) == 1:
        if name == "append":
            return _append(frame, receiver, callee, labels, [pairs[0]], 0, True)
        if name == "extend":
            items = gather(frame, pairs[0])
            return _append(frame, receiver, callee, labels, list(items[0]), items[1], False)
    if type(receiver) is dict:
        if name in ("items", "keys", "values"):
            value = callee()
            frame.rt.heap.record(value).source = (receiver,)
            return value, labels
        if name in ("get", "setdefault", "pop") and pairs and is_atom(pairs[0][0]):
            return _look_up(frame, receiver, callee, labels, pairs)
    if type(receiver) is set and name == "add":
        callee(pairs[0][0])
        frame.change(receiver, REST, labels | pairs[0][1])
        return None_pair(labels)
    return None


def None_pair(labels: int) -> Pair:  # noqa: N802
    """Return None with labels."""
    return None, labels


def _append(
    frame: Values, receiver: Any, callee: Any, labels: int, items: list[Pair], shape: int, single: bool
) -> Pair:
    record = frame.rt.heap.record(receiver)
    start = len(receiver)
    result = callee(items[0][0]) if single else callee([value for value, _ in items])
    for offset, (_, own) in enumerate(items):
        total = own | record.shape | shape
        if total:
            record.items[start + offset] = total
        if frame.pc is not None:
            frame.rt.touch(record, ("i", start + offset), frame.pc)
    if items or shape or labels:
        frame.change(receiver, SHAPE, shape | labels)
    return result, labels


def _look_up(frame: Values, receiver: Any, callee: Any, labels: int, pairs: list[Pair]) -> Pair:
    record = frame.rt.heap.record(receiver)
    key, key_labels = pairs[0]
    before = record.every() if key_labels else record.item(key) | record.shape
    name = callee.__name__
    value = callee(*(value for value, _ in pairs))
    total = labels | key_labels | before
    for _, own in pairs[1:]:
        total |= own
    if name == "setdefault":
        frame.change(receiver, ("i", key), total)
        frame.change(receiver, SHAPE, key_labels)
    if name == "pop":
        frame.change(receiver, SHAPE, total)
    if key_labels and name != "get":
        frame.change(receiver, REST, total)
    return value, total


# -- built-in functions ----------------------------------------------------------------------------


def _length(frame: Values, labels: int, pairs: list[Pair], _: dict[str, Pair]) -> Pair | None:
    value, own = pairs[0]
    if is_sequence(value) or isinstance(value, (dict, set, frozenset, range)):
        return len(value), labels | own | frame.rt.heap.shape(value)
    return None


def _identity(function: Callable[..., Any]) -> Callable[..., Pair | None]:
    def run(_: Values, labels: int, pairs: list[Pair], named: dict[str, Pair]) -> Pair | None:
        if named or (function is type and len(pairs) != 1):
            return None
        for _value, own in pairs:
            labels |= own
        return function(*(value for value, _own in pairs)), labels

    return run


def _range(frame: Values, labels: int, pairs: list[Pair], _: dict[str, Pair]) -> Pair | None:
    value = range(*(value for value, _ in pairs))
    stop = pairs[0] if len(pairs) == 1 else pairs[1]
    others = [pair for pair in pairs if pair is not stop]
    total = labels
    for _, own in others:
        total |= own
    if stop[1] | total:
        record = frame.rt.heap.record(value, frame.key(frame.site))
        record.shape |= stop[1] | total
        record.rest |= total
    return value, labels


def _collect(kind: type) -> Callable[..., Pair | None]:
    def run(frame: Values, labels: int, pairs: list[Pair], named: dict[str, Pair]) -> Pair | None:
        if named or len(pairs) > 1:
            return None
        items, shape = gather(frame, pairs[0]) if pairs else ((), 0)
        return frame.made(frame.site, kind(value for value, _ in items), list(items), shape), labels | (
            shape if kind is not list else 0
        )

    return run


def _over(function: Callable[..., Any]) -> Callable[..., Pair | None]:
    def run(frame: Values, labels: int, pairs: list[Pair], named: dict[str, Pair]) -> Pair | None:
        known = (types.GeneratorType, enumerate, zip)
        if any(hasattr(type(value), "__next__") and not isinstance(value, known) for value, _ in pairs):
            return None
        value = function(*(value for value, _ in pairs), **{k: v for k, (v, _) in named.items()})
        record = frame.rt.heap.record(value, frame.key(frame.site))
        extra = pairs[1:] if function is enumerate else []
        sources = pairs[:1] if function is enumerate else pairs
        record.source = tuple(source for source, _ in sources)
        for _, own in [*extra, *named.values(), *sources]:
            record.rest |= own
        return value, labels

    return run


def _getattr(frame: Values, labels: int, pairs: list[Pair], _: dict[str, Pair]) -> Pair | None:
    (obj, own), (name, name_labels) = pairs[0], pairs[1]
    if len(pairs) == 3 and not hasattr(obj, name):
        held = frame.rt.heap.get(obj)
        found = held.attributes.get(name, 0) | held.rest if held else 0
        return pairs[2][0], pairs[2][1] | own | name_labels | found | labels
    value, found = read_attribute(frame, (obj, own), name)
    if name_labels:
        found |= frame.rt.heap.deep(obj)
    return value, found | name_labels | labels


def _setattr(frame: Values, labels: int, pairs: list[Pair], _: dict[str, Pair]) -> Pair | None:
    (obj, own), (name, name_labels), value = pairs
    frame.setattr(frame.site, (obj, own | name_labels), name, value)
    if name_labels:
        frame.change(obj, REST, name_labels)
    return None, labels


def _hasattr(frame: Values, labels: int, pairs: list[Pair], _: dict[str, Pair]) -> Pair | None:
    (obj, own), (name, name_labels) = pairs
    held = frame.rt.heap.get(obj)
    found = held.attributes.get(name, 0) | held.rest if held else 0
    return hasattr(obj, name), labels | own | name_labels | found


_SPECIAL: dict[Any, Callable[..., Pair | None]] = {
    len: _length, range: _range, list: _collect(list), tuple: _collect(tuple), set: _collect(set),
    frozenset: _collect(frozenset), enumerate: _over(enumerate), zip: _over(zip), reversed: _over(reversed),
    getattr: _getattr, setattr: _setattr, hasattr: _hasattr,
    **{function: _identity(function) for function in (isinstance, issubclass, callable, id, type)},
}  # fmt: skip
