"""A text for values and functions that is equal when they do the same, in any process."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

DEPTH = 6


def describe(value: Any, depth: int = DEPTH) -> str:
    """Return a text that changes when a value's content does, and not with its place in memory.

    Functions are described by their source (their bytecode where there is none), defaults and what their
    closure holds; arrays and tensors by shape, type and content; modules by their structure and weights;
    other objects by their class and attributes, down to a depth of six.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if depth == 0:
        return type(value).__qualname__
    if isinstance(value, Mapping):
        items = [f"{describe(key, depth - 1)}:{describe(item, depth - 1)}" for key, item in value.items()]
        return "{" + ",".join(items) + "}"
    if isinstance(value, set | frozenset):
        return "{" + ",".join(sorted(describe(item, depth - 1) for item in value)) + "}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({_join(value, depth)})"
    if callable(value):
        return _callable(value, depth)
    return _object(value, depth)


def _join(values: Iterable[Any], depth: int) -> str:
    return ",".join(describe(value, depth - 1) for value in values)


def _callable(value: Callable[..., Any], depth: int) -> str:
    if isinstance(value, functools.partial):
        return f"partial({_join((value.func, value.args, value.keywords), depth)})"
    if isinstance(value, MethodType):
        return f"{describe(value.__func__, depth - 1)}@{describe(value.__self__, depth - 1)}"
    if isinstance(value, FunctionType):
        cells = [_cell(cell) for cell in value.__closure__ or ()]
        return f"{_source(value)}({_join((value.__defaults__, value.__kwdefaults__, cells), depth)})"
    if isinstance(value, type | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return _object(value, depth)


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _source(function: FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return _code(function.__code__)


def _code(code: CodeType) -> str:
    constants = [_code(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()}{code.co_names}{constants}"


def _object(value: Any, depth: int) -> str:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "detach") and hasattr(value, "numpy"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        digest = hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()
        return f"{name}{tuple(value.shape)}{value.dtype}{digest}"
    attributes = getattr(value, "__dict__", None)
    if attributes:
        return f"{name}({describe(attributes, depth - 1)})"
    return name + re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
