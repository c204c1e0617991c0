"""How labels pass through calls: rewritten functions, containers, built-in functions, anything else.

From the exact to the safe, the first that applies:

1. functions with a rule (`builtin_rules`): what their result depends on is known item by item;
2. rewritten functions: the arguments' labels go in with the call (`state.Call`), and what comes back is what
   the function returned under its own conditions;
3. `nn.Sequential`, which calls its modules in turn;
4. native code: the result depends on everything that can be reached from the arguments, and so does whatever
   may have been changed.
"""

from __future__ import annotations

import types
from collections.abc import Hashable, Sequence
from typing import Any

from symnas.survey.dependence.access import Items, entries
from symnas.survey.dependence.builtin_rules import RULES, call_method
from symnas.survey.dependence.heap import REST, is_atom, is_mapping, is_sequence
from symnas.survey.dependence.loops import Loop
from symnas.survey.dependence.state import Activation, Call, Named, Pair
from symnas.survey.dependence.stores import change

_KEPT = object()
_PURE = frozenset({"torch", "builtins", "math", "cmath", "numpy", "operator", "itertools", "functools",
                   "copy", "collections", "dataclasses", "typing", "enum", "re", "string",
                   "warnings", "logging"})  # fmt: skip
"""Libraries whose functions leave their arguments as they are."""
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
"""How names of torch's methods begin that change what they are called on."""
_PLAIN_TENSORS = frozenset({("torch", "Tensor"), ("torch.nn.parameter", "Parameter")})
_CALLING_METHODS = frozenset({"apply_", "map_", "map2_", "register_hook",
                              "register_post_accumulate_grad_hook", "backward"})  # fmt: skip
"""Methods of tensors that call functions which they are given, or were given before."""
_READING = frozenset({"copy", "index", "count", "get", "keys", "values", "items", "union", "intersection",
                      "difference", "issubset", "issuperset", "isdisjoint"})  # fmt: skip


def call(
    at: Activation,
    site: int,
    function: Pair,
    args: Sequence[Pair | Items],
    keywords: Sequence[tuple[str | None, Pair]],
    result: Any = _KEPT,
) -> Pair:
    """Call a function with pairs.

    Args:
        at: who calls.
        site: the place of the call.
        function: what is called.
        args: positional arguments, starred ones taken apart.
        keywords: keyword arguments; a name that is None stands for `**value`.
        result: what to return in place of the function's own result.
    """
    pairs, shape = _positional(args)
    named = _named(at, keywords)
    callee, labels = function
    state = at.state
    if isinstance(callee, types.MethodType) and (made := state.heap.get(callee)) is not None:
        labels |= made.rest  # `types.MethodType(function, obj)` is what it was made of
    # By the function behind a bound method, since every access to a method makes a new object.
    handler = state.intrinsics.get(id(getattr(callee, "__func__", callee)))
    if handler is not None:
        return handler(at, site, function, pairs, named)
    saved = at.pc
    for _, own in pairs:
        state.seen |= own
    # Inside a `try` it matters that the call may raise, because of anything that it can reach.
    if state.attempts:
        state.seen |= _all(at, labels, pairs, named) | state.heap.deep(getattr(callee, "__self__", None))
    if labels and not _known_method(callee):
        # Which function it is was chosen, so all that happens inside happens under that condition.
        # x & (x - 1) clears the lowest bit, so it is 0 where there is at most one label.
        # A condition on one point has no more rows than that has codes. One on several is worth its joint
        # values only where the call may lead to points.
        single = not labels & (labels - 1)
        reaches = single or _reaches(at, callee)
        at.push(("callee", site, at.path), labels, _called(at, callee), site, 0, reaches=reaches)
    value, found = _dispatch(at, callee, labels, pairs, named, shape)
    if at.pc is not saved:
        # Whatever it returns depends on which function it was.
        found |= at.drop(saved, 0)
    return (value, found) if result is _KEPT else (result, labels)


def _positional(args: Sequence[Pair | Items]) -> tuple[list[Pair], int]:
    """Return the arguments, and what their number depends on; so do those behind a starred one."""
    pairs: list[Pair] = []
    shape = 0
    for item in args:
        if isinstance(item, tuple):
            pairs.append((item[0], item[1] | shape))
        else:
            pairs.extend((value, labels | item.labels) for value, labels in item.pairs)
            shape |= item.labels
    return pairs, shape


def _named(at: Activation, keywords: Sequence[tuple[str | None, Pair]]) -> Named:
    named: Named = {}
    for name, (value, labels) in keywords:
        if name is not None:
            named[name] = (value, labels)
            continue
        record = at.state.heap.get(value)
        for key in value:
            # `**value`: which names are given depends on the shape of the dictionary.
            inner = 0 if record is None else record.item(key) | record.shape
            named[key] = (value[key], labels | inner)
    return named


def _known_method(callee: Any) -> bool:
    """Whether a method is of a number, a text or a plain tensor, and calls nothing that it is not given.

    Of these, which object was chosen decides about the result and not about what runs. A tensor's method is
    native or torch's own; a subclass of tensors may do anything in `__torch_function__`, and is not plain.
    """
    receiver = getattr(callee, "__self__", None)
    if (type(receiver).__module__, type(receiver).__qualname__) in _PLAIN_TENSORS:
        own = str(getattr(getattr(callee, "__func__", None), "__module__", "torch"))
        # The user's functions may be bound to a tensor, or put into its class.
        return own.startswith("torch") and callee.__name__ not in _CALLING_METHODS
    return isinstance(callee, types.BuiltinMethodType) and is_atom(receiver)


def _reaches(at: Activation, callee: Any) -> bool:
    """Whether a call may end in rewritten code: torch's own modules do only where they hold others."""
    plain = isinstance(callee, type | types.FunctionType | types.BuiltinFunctionType)
    kind = callee if plain else type(callee)
    if str(kind.__module__).split(".")[0] != "torch":
        return True
    if plain:
        return False
    parts = callee.modules() if hasattr(callee, "modules") else [callee]
    return any(
        _entered(at, part, 0) is not None
        or getattr(part, "_forward_hooks", None)
        or getattr(part, "_forward_pre_hooks", None)
        for part in parts
    )


def _called(at: Activation, callee: Any) -> Hashable:
    """Name what is called so that two functions of one text, closed over different values, differ."""
    made = at.state.made.get(id(getattr(callee, "__func__", callee)))
    name = str(getattr(callee, "__qualname__", None) or type(callee).__qualname__)
    return name if made is None else (name, made)


def _dispatch(at: Activation, callee: Any, labels: int, pairs: list[Pair], named: Named, shape: int) -> Pair:
    # A callee may be any object, with a `__hash__` of its own or none.
    try:
        rule = RULES.get(callee)
    except TypeError:  # not hashable
        rule = None
    if rule is not None:
        handled = rule(at, labels, pairs, named)
        if handled is not None:
            return handled
    receiver = getattr(callee, "__self__", None)
    if isinstance(callee, types.MethodType | types.BuiltinMethodType) and receiver is not None:
        handled = call_method(at, receiver, callee, labels, pairs, named)
        if handled is not None:
            return handled
    entered = _entered(at, callee, labels)
    if entered is not None:
        return _direct(at, callee, labels, pairs, named, shape, *entered)
    if _is_sequential(callee) and len(pairs) == 1 and not named:
        # Which of its modules are called depends on which there are, not on what is inside them.
        value, site, ended = pairs[0], at.site, at.ended
        reaches = _reaches(at, callee)
        for item in Loop(at, site, (callee, labels), ends=True, reaches=reaches):
            value = call(at, site, item, (value,), ())
        at.ended = ended  # the labels of a comprehension around are its own
        return value
    return _native(at, callee, labels, pairs, named, shape)


def _is_sequential(callee: Any) -> bool:
    forward = getattr(type(callee), "forward", None)
    return getattr(forward, "__qualname__", "") == "Sequential.forward"


def _entered(at: Activation, callee: Any, labels: int) -> tuple[Any, tuple[int, ...], Any] | None:
    """Find the rewritten function that a call enters: its code, the labels of `self`, the function."""
    codes = at.state.codes
    inner: Any
    if isinstance(callee, types.FunctionType):
        return (callee.__code__, (), callee) if callee.__code__ in codes else None
    if isinstance(callee, types.MethodType):
        inner = callee.__func__
        code = getattr(inner, "__code__", None)
        return (code, (labels,), inner) if code in codes else None
    if isinstance(callee, type):
        # `self` is the first parameter and no argument of the call; it has the labels of what is called.
        for name in ("__init__", "__new__"):
            inner = getattr(callee, name)
            if getattr(inner, "__code__", None) in codes:
                return inner.__code__, (labels,), inner
        return None
    # A module's `__call__` is torch's, and native; what it ends in is `forward`.
    for name in ("forward", "__call__"):
        inner = getattr(type(callee), name, None)
        if getattr(inner, "__code__", None) in codes:
            return inner.__code__, (labels,), inner
    return None


def _direct(
    at: Activation, callee: Any, labels: int, pairs: list[Pair], named: Named, shape: int,
    code: Any, first: tuple[int, ...], function: Any,
) -> Pair:  # fmt: skip
    """Enter a rewritten function; its frame takes the labels of its parameters from `state.pending`.

    Between a call and the first line of its function other rewritten code may run (a metaclass, `__new__`),
    so the frame that takes the labels is the one whose code they are meant for, and what it returned is
    known by the call.
    """
    state = at.state
    plain = isinstance(callee, (types.FunctionType, types.MethodType))
    # Between a constructor or a module's call and the function that is entered lies native code.
    around = 0 if plain else _all(at, labels, pairs, named)
    tag = _called(at, callee) if labels else None
    made = Call(
        code,
        (*first, *(own for _, own in pairs)),
        {k: own for k, (_, own) in named.items()},
        function,
        shape,
        tag,
        # What a constructor itself changes under conditions has to be known again, so the new object has its
        # key from the first line on.
        at.key(at.site) if isinstance(callee, type) and function.__name__ == "__init__" else None,
    )

    def run() -> Any:
        state.pending, state.returned = made, None
        return callee(*(value for value, _ in pairs), **{k: value for k, (value, _) in named.items()})

    value, collected = at.natively(run, around)
    returned, state.returned = state.returned, None
    # What rewritten code gave back to native code on the way may be anywhere in the new object. The reference
    # itself depends only on which class it was.
    if isinstance(callee, type):
        if not is_atom(value):
            record = state.heap.record(value, at.key(at.site))
            record.rest |= collected
        return value, labels
    if returned is not None and returned[0] is made:
        return value, returned[1] | collected
    # The function that was announced is not what returned last (a hook ran behind it, or another function in
    # its place), so nothing exact is known of the result.
    return value, collected | around | _all(at, labels, pairs, named)


def _all(at: Activation, labels: int, pairs: list[Pair], named: Named) -> int:
    """Return the labels of everything that can be reached from the arguments."""
    heap = at.state.heap
    for value, own in [*pairs, *named.values()]:
        labels |= own | heap.deep(value)
    return labels


def _native(at: Activation, callee: Any, labels: int, pairs: list[Pair], named: Named, shape: int) -> Pair:
    """Call what is not rewritten: all that went in comes out, and into what it may have changed."""
    state = at.state
    total = _all(at, labels | shape, pairs, named)
    receiver = getattr(callee, "__self__", None)
    if receiver is None and not isinstance(callee, (type, types.FunctionType, types.BuiltinFunctionType)):
        # An object with a `__call__` of its own is its own receiver.
        receiver = callee
    if receiver is not None and not isinstance(receiver, types.ModuleType):
        total |= state.heap.deep(receiver)
    values = [value for value, _ in pairs]
    keywords = {name: value for name, (value, _) in named.items()}
    value, collected = at.natively(lambda: callee(*values, **keywords), total)
    total |= collected
    _mutations(at, callee, receiver, total, pairs, named)
    if isinstance(callee, type) and not is_atom(value):
        # `nn.Sequential`, `nn.ModuleList`, `nn.ModuleDict`: kept item by item, like lists and dictionaries.
        if (is_sequence(value) or is_mapping(value)) and type(value).__module__.startswith("torch"):
            _fill_modules(at, value, [*pairs, *named.values()], shape, total)
        else:
            # labels go inside the new object, `total`, not to the reference, which depends on the class alone
            state.heap.record(value, at.key(at.site)).rest |= total
        return value, labels
    if not is_atom(value) and state.heap.get(value) is None:
        state.heap.record(value, at.key(at.site))
    return value, total


def _fill_modules(at: Activation, value: Any, pairs: list[Pair], shape: int, total: int) -> None:
    """Label what is in a new `nn.Sequential(a, b)`, or in a container of an iterable or a mapping.

    Args:
        at: who makes it.
        value: the new container.
        pairs: what it was given.
        shape: what their number depends on.
        total: everything that went in.
    """
    record = at.state.heap.record(value, at.key(at.site))
    record.shape |= shape
    if is_mapping(value) or (len(pairs) == 1 and is_mapping(pairs[0][0])):
        # nn.ModuleDict({"a": a}) has its items by key, nn.Sequential(OrderedDict(a=a)) by place.
        found = entries(at, pairs[0]) if pairs else None
        if found is None:
            record.rest |= total
            return
        labels = found.values.items() if is_mapping(value) else enumerate(found.values.values())
        record.items.update(labels)
        record.shape |= found.shape
        record.rest |= found.rest
        return
    # nn.Sequential(a, b) has its arguments for items, nn.ModuleList([a, b]) those of its only argument
    if len(pairs) != 1 or _is_sequential(value):
        for position, (_, own) in enumerate(pairs):
            record.items[position] = own
        return
    source = at.state.heap.get(pairs[0][0])
    record.items.clear()
    record.shape |= pairs[0][1]
    if source is not None:
        record.items.update(source.items)
        record.shape |= source.shape
        record.rest |= source.rest


def _mutations(
    at: Activation, callee: Any, receiver: Any, total: int, pairs: list[Pair], named: Named
) -> None:
    """Note what native code may have changed: its receiver, iterators, arguments of unknown functions."""
    root = str(getattr(callee, "__module__", None) or type(receiver).__module__).split(".")[0]
    if receiver is not None and receiver is not callee and not is_atom(receiver):
        name = getattr(callee, "__name__", "")
        torch = type(receiver).__module__.split(".")[0] == "torch" or root == "torch"
        # Most of torch computes; what changes its receiver is known by its name.
        if name not in _READING and (not torch or name.startswith(_TORCH_MUTATORS)) and name != "__init__":
            change(at, receiver, REST, total)
    for value, _ in [*pairs, *named.values()]:
        if is_atom(value) or isinstance(value, (tuple, range, frozenset)):
            continue
        # An iterator that native code has moved on: `access.peek` no longer trusts positions in it.
        if hasattr(type(value), "__next__"):
            change(at, value, REST, total)
            at.state.heap.record(value).attributes["#used"] = 0
        elif root not in _PURE and not isinstance(callee, type(len)):
            change(at, value, REST, total)
