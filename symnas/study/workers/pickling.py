"""Pickling that takes along what a worker process cannot import: lambdas, closures, code of scripts.

Functions and classes go by reference where a new process finds the same module, else by value: a function
as its code object (workers run the very same interpreter) with the globals it uses, a class as its
attributes.
"""

from __future__ import annotations

import builtins
import enum
import importlib
import io
import marshal
import pickle
import sys
import types
from typing import Any

from symnas.errors import EvaluatorError

# What a class gets anew when it is made.
MADE_ANEW = frozenset({"__dict__", "__weakref__", "_abc_impl", "__abstractmethods__", "__firstlineno__"})


def dumps(value: Any, what: str) -> bytes:
    """Return a pickle that a process with the same interpreter and `sys.path` reads with `pickle.loads`.

    Args:
        value: anything.
        what: what to call it in an error.

    Raises:
        EvaluatorError: it holds something that cannot be sent.
    """
    buffer = io.BytesIO()
    try:
        _Carrier(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise EvaluatorError(
            f"worker processes are sent {what}, and it holds something that cannot be sent ({error}): make "
            f"that "
            "inside the function, define it in a module, or evaluate in this process (workers=1 and no "
            "timeout)"
        ) from error
    return buffer.getvalue()


class _Carrier(pickle.Pickler):
    """A pickler whose functions, classes and modules need not be importable."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self._namespaces: dict[int, dict[str, Any]] = {}
        self._findable: dict[str, bool] = {}

    def reducer_override(self, value: Any) -> Any:
        """Say how to pickle what Python's own way would only name."""
        if isinstance(value, types.ModuleType):
            return importlib.import_module, (value.__name__,)
        if isinstance(value, staticmethod | classmethod):
            return type(value), (value.__func__,)
        if isinstance(value, property):
            return property, (value.fget, value.fset, value.fdel, value.__doc__)
        if isinstance(value, types.FunctionType) and not self._importable(value):
            return self._function(value)
        if isinstance(value, type) and not issubclass(value, enum.Enum) and not self._importable(value):
            return self._class(value)
        return NotImplemented

    def _importable(self, value: Any) -> bool:
        name = value.__module__
        if name is None or name == "__main__" or "<locals>" in value.__qualname__:
            return getattr(builtins, value.__qualname__, None) is value
        found: Any = sys.modules.get(name)
        for part in value.__qualname__.split("."):
            found = getattr(found, part, None)
        top = name.partition(".")[0]
        if top not in self._findable:
            self._findable[top] = _findable(top)
        return found is value and self._findable[top]

    def _function(self, function: types.FunctionType) -> Any:
        code = function.__code__
        # Functions of one module keep sharing their globals; the dict is pickled once and then referred to.
        shared = self._namespaces.setdefault(
            id(function.__globals__), {"__name__": function.__module__, "__file__": code.co_filename}
        )
        used = {name: function.__globals__[name] for name in _names(code) if name in function.__globals__}
        state = {
            "globals": used,
            "closure": [_content(cell) for cell in function.__closure__ or ()],
            "attributes": {
                "__defaults__": function.__defaults__,
                "__kwdefaults__": function.__kwdefaults__,
                "__qualname__": function.__qualname__,
                "__module__": function.__module__,
                "__doc__": function.__doc__,
            },
            "dict": dict(vars(function)),
        }
        made = (marshal.dumps(code), shared, len(code.co_freevars))
        return make_function, made, state, None, None, fill_function

    def _class(self, cls: type) -> Any:
        slots = cls.__dict__.get("__slots__", ())
        dropped = MADE_ANEW | set((slots,) if isinstance(slots, str) else slots)
        held = {name: value for name, value in vars(cls).items() if name not in dropped}
        made = (type(cls), cls.__name__, cls.__bases__, slots if "__slots__" in vars(cls) else None)
        return make_class, made, held, None, None, fill_class


def make_function(code: bytes, shared: dict[str, Any], cells: int) -> types.FunctionType:
    """Make a function that has its code but not yet what it refers to."""
    shared.setdefault("__builtins__", builtins)
    closure = tuple(types.CellType() for _ in range(cells))
    return types.FunctionType(marshal.loads(code), shared, closure=closure)


def fill_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    """Give a function what it refers to, itself perhaps among it."""
    function.__globals__.update(state["globals"])
    for cell, content in zip(function.__closure__ or (), state["closure"], strict=True):
        if content:
            cell.cell_contents = content[0]
    for name, value in state["attributes"].items():
        setattr(function, name, value)
    vars(function).update(state["dict"])


def make_class(metaclass: type, name: str, bases: tuple[type, ...], slots: Any) -> type:
    """Make a class that has its bases but not yet its attributes."""
    namespace = {} if slots is None else {"__slots__": slots}
    return types.new_class(name, bases, {"metaclass": metaclass}, lambda body: body.update(namespace))


def fill_class(cls: type, held: dict[str, Any]) -> None:
    """Give a class its attributes."""
    for name, value in held.items():
        if name != "__slots__":
            setattr(cls, name, value)


def _content(cell: Any) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _findable(module: str) -> bool:
    if module in sys.builtin_module_names:
        return True
    for finder in sys.meta_path:
        try:
            if finder.find_spec(module, None) is not None:
                return True
        except (AttributeError, ImportError, ValueError):
            continue
    return False
