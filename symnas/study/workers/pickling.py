"""Pickling that takes along what a worker process cannot import: lambdas, closures, code of scripts.

cloudpickle sends by value what is defined in `__main__` or inside a function, and everything else by name.
Modules that only this process has (a file that was loaded by its path) are sent by value here too.

What was sent by value is put back under the names that it had in its module. So evaluators may send functions
of their script on to processes that they start, by Python's own pickle, which knows things by name.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from symnas.errors import EvaluatorError


def dumps(value: Any, what: str) -> bytes:
    """Return a pickle that a process with the same interpreter and `sys.path` reads with `pickle.loads`.

    Args:
        value: anything.
        what: what to call it in an error.

    Raises:
        EvaluatorError: it holds something that cannot be sent.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    try:
        pickler.dump(_Parcel(value, pickler))
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise EvaluatorError(
            f"worker processes are sent {what}, and it holds something that cannot be sent ({error}): make "
            "that inside the function, define it in a module, or evaluate in this process (workers=1 and no "
            "timeout)"
        ) from error
    finally:
        pickler.forget()
    return buffer.getvalue()


class _Parcel:
    """A value, and after it the names of the modules that were sent along, which are known by then."""

    def __init__(self, value: Any, pickler: _Pickler) -> None:
        self._value = value
        self._pickler = pickler

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self._value, _Names(self._pickler))


class _Names:
    def __init__(self, pickler: _Pickler) -> None:
        self._pickler = pickler

    def __reduce__(self) -> tuple[Any, ...]:
        # cloudpickle sends the names that functions of a module use, once for all functions. A function that
        # uses none is sent those of the others.
        modules = [sys.modules["__main__"], *self._pickler.sent]
        empty = (lambda: None).__code__
        return dict, ([(module.__name__, FunctionType(empty, vars(module))) for module in modules],)


def _unpacked(value: Any, functions: dict[str, FunctionType]) -> Any:
    for name, function in functions.items():
        names = {key: found for key, found in function.__globals__.items() if not key.startswith("__")}
        if names:
            module = sys.modules.setdefault(name, ModuleType(name))
            vars(module).update({key: names[key] for key in names.keys() - vars(module).keys()})
    return value


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that knows which modules another process would not find."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self._known: dict[str, bool] = {}
        self.sent: list[ModuleType] = []

    def reducer_override(self, obj: Any) -> Any:
        """Say how to pickle what Python's own way would only name."""
        # Modules are named; what is sent by value is what they define.
        if isinstance(obj, ModuleType) and obj.__name__ in sys.modules:
            return importlib.import_module, (obj.__name__,)
        if isinstance(obj, type | FunctionType):
            self._send(obj.__module__)
        return super().reducer_override(obj)

    def forget(self) -> None:
        """Leave cloudpickle, whose list of modules is the process's, as it was."""
        for module in self.sent:
            cloudpickle.unregister_pickle_by_value(module)

    def _send(self, name: str | None) -> None:
        """Have what a module defines sent by value, if a new process could not import it."""
        if name is None or name == "__main__" or name in self._known:
            return
        # One look per module: asking the finders is slow.
        self._known[name] = found = _findable(name.partition(".")[0])
        module = sys.modules.get(name)
        if not found and module is not None and name not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            self.sent.append(module)


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
