"""How labels pass through operators: a result has the labels of its operands, and of what is inside them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from symnas.survey.dependence.calls import call
from symnas.survey.dependence.heap import REST, is_atom
from symnas.survey.dependence.state import Activation, Pair
from symnas.survey.dependence.stores import change

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
    "USub": operator.neg, "UAdd": operator.pos, "Invert": operator.invert,
}  # fmt: skip
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda a, b: a in b, "NotIn": lambda a, b: a not in b,
}  # fmt: skip


def binary(at: Activation, site: int, name: str, left: Pair, right: Pair) -> Pair:
    """Apply a binary operator, named like its node in the syntax tree."""
    (a, la), (b, lb) = left, right
    if is_atom(a) and is_atom(b):
        # Even numbers may raise (`1 / 0`), which a `try` around has to know.
        at.state.seen |= la | lb
        return _BINARY[name](a, b), la | lb
    if name == "Add" and isinstance(a, (list, tuple)) and type(a) is type(b):
        result: Any = a + b  # type: ignore[operator]
        return _concatenated(at, site, result, a, b), la | lb
    labels = la | lb | at.state.heap.deep(a) | at.state.heap.deep(b)
    # An object's own `__add__` may be rewritten code.
    result, extra = at.natively(lambda: _BINARY[name](a, b), labels)
    return result, labels | extra


def _concatenated(at: Activation, site: int, result: Any, a: Any, b: Any) -> Any:
    """Give the items of a concatenation the labels that they had; those of `b` move up by `len(a)`."""
    heap = at.state.heap
    if result is a or result is b:
        return result  # `() + b` is b
    first, second = heap.get(a), heap.get(b)
    if first is None and second is None:
        # Without labels so far, but with a key: what is changed in it later is known again in other runs.
        if result:
            heap.record(result, at.key(site))
        return result
    record = heap.record(result, at.key(site))
    for source, shift in ((first, 0), (second, len(a))):
        if source is not None:
            record.items.update({i + shift: m for i, m in source.items.items() if isinstance(i, int)})
            record.shape |= source.shape
            record.rest |= source.rest
    return result


def unary(at: Activation, name: str, pair: Pair) -> Pair:
    """Apply a unary operator."""
    if name == "Not":
        result, labels = at.truth(pair)
        return not result, labels
    labels = pair[1] | at.state.heap.deep(pair[0])
    value, extra = at.natively(lambda: _UNARY[name](pair[0]), labels)
    return value, labels | extra


def compare(at: Activation, name: str, left: Pair, right: Pair) -> Pair:
    """Compare two operands; which objects they are does not depend on what is inside them."""
    (a, la), (b, lb) = left, right
    labels = la | lb
    if name in ("Is", "IsNot"):
        return _COMPARE[name](a, b), labels
    if is_atom(a) and is_atom(b):
        at.state.seen |= labels
        return _COMPARE[name](a, b), labels
    labels |= at.state.heap.deep(a) | at.state.heap.deep(b)
    result, extra = at.natively(lambda: _COMPARE[name](a, b), labels)
    return result, labels | extra


def augmented(at: Activation, site: int, name: str, left: Pair, right: Pair) -> Pair:
    """Apply an augmented assignment's operator, in place where the object does."""
    (a, la), (b, lb) = left, right
    # `a += b` of lists is `a.extend(b)`, for which there is a rule that keeps items apart.
    if name == "Add" and isinstance(a, list):
        return call(at, site, (a.extend, la), ((b, lb),), (), result=a)
    if is_atom(a) and is_atom(b):
        at.state.seen |= la | lb
        return _IN_PLACE[name](a, b), la | lb
    if name == "Add" and isinstance(a, tuple) and isinstance(b, tuple):
        return binary(at, site, name, left, right)
    labels = la | lb | at.state.heap.deep(a) | at.state.heap.deep(b)
    result, extra = at.natively(lambda: _IN_PLACE[name](a, b), labels)
    if result is a and not is_atom(a):
        change(at, a, REST, labels | extra)
    return result, labels | extra
