"""Locators of programs: plain data from which a later process, anywhere, makes the program of a study again.

A pickle would not do: a study outlives versions of Python and of the program's own classes, and is read by
people. So a locator is what JSON has: names of modules with the files they lay in, arguments spelled out, and
of interactive code the text itself.
"""

from __future__ import annotations

import importlib
import math
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

from symnas._fingerprint import is_installed
from symnas.errors import ProgramError
from symnas.frontend.sources import load
from symnas.programs.program import Program, program
from symnas.programs.references import Reference, spelled

ProgramLocator = dict[str, Any]
"""Where a program is found again, as JSON has it: `target`, `args`, `kwargs`, `modules` (name -> file), …"""


class _UnwritableError(Exception):
    """A value that plain data cannot say."""


def locator_of(target: Any) -> ProgramLocator | None:
    """Return what finds a program again, as JSON has it; None where only this very process can build it.

    Of example inputs it keeps shape and type alone, since a space is derived from no more than these.

    Args:
        target: a program, or anything that a search takes.
    """
    try:
        reference = getattr(target, "reference", None)
        if isinstance(reference, Reference):
            return _located(reference)
    except (ProgramError, _UnwritableError):
        return None
    if reference is not None and type(reference).__name__ == "TemplateReference":
        return {"template": reference.text, "name": reference.name}
    return None


def locate(locator: Mapping[str, Any], at: str | None = None) -> Any:
    """Return the program that a locator leads to; its module is imported if it is not yet.

    Args:
        locator: from `locator_of`.
        at: where the target is now, as `file.py:Name` or `package.module:Name`, if not where it was.

    Raises:
        ProgramError: it is not where it was.
    """
    if "template" in locator:
        from symnas.interop.pyglove import TemplateReference

        return program(TemplateReference(locator["template"], locator["name"]))
    target = at or locator["target"]
    old = locator["target"].rpartition(":")[0]
    with _roots({name: file for name, file in locator["modules"].items() if at is None or name != old}):
        if at is not None or not locator["texts"]:
            load(target)
        return program(
            Reference(
                target,
                locator["name"],
                tuple(_read(locator["args"])),
                _read(locator["kwargs"]),
                tuple(locator["include"]),
                _read(locator["inputs"]),
                tuple((file, text) for file, text in locator["texts"] if at is None),
                {name: _kept_again(kept) for name, kept in locator["names"].items()},
                tuple(locator.get("bounds", {}).items()),
            )
        )


def _located(reference: Reference) -> ProgramLocator:
    modules: dict[str, str] = {}
    if not reference.texts:
        _place(reference.target.rpartition(":")[0], modules)
    for place in reference.include:
        _place(place, modules)
    try:
        inputs = _written(reference.inputs, modules, shapes=True)
    except _UnwritableError:
        inputs = None  # building and writing out need no inputs; a space that does says so
    return {
        "target": reference.target,
        "name": reference.name,
        "args": _written(list(reference.args), modules),
        "kwargs": _written(dict(reference.kwargs), modules),
        "include": list(reference.include),
        "inputs": inputs,
        "texts": [list(text) for text in reference.texts],
        "names": {name: _kept(kept, modules) for name, kept in reference.names.items()},
        "modules": modules,
        **({"bounds": dict(reference.bounds)} if reference.bounds else {}),
    }


# -------------------------------------------------------------------- modules


def _place(place: str, modules: dict[str, str]) -> None:
    """Keep where a module's file lies, for processes that start elsewhere; libraries are found anyway."""
    file = getattr(sys.modules.get(place), "__file__", None)
    if place.endswith(".py") or file is None:
        return
    if not is_installed(file):
        modules[place] = str(Path(file).resolve())


@contextmanager
def _roots(modules: Mapping[str, str]) -> Iterator[None]:
    """Import modules from where they lay, those that this process would not find by itself."""
    added = []
    for name, file in modules.items():
        path = Path(file)
        if name not in sys.modules and path.is_file():
            up = name.count(".") + (path.name == "__init__.py")
            added.append(str(path.parents[up]))
    sys.path[:0] = added
    try:
        for name, file in modules.items():
            _import(name, Path(file))
        yield
    finally:
        for root in added:
            if root in sys.path:
                sys.path.remove(root)


def _import(name: str, file: Path) -> None:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise ProgramError(
            f"a study's program is imported from where it was, and {name!r} ({file}) cannot be: "
            f"{type(error).__name__}: {error}; pass the program, by program= or --program"
        ) from error
    found = Path(getattr(module, "__file__", None) or file).resolve()
    if file.is_file() and found != file:
        raise ProgramError(
            f"a study's program is imported from where it was, {file}, and this process has another module "
            f"{name!r}, {found}: pass the program, by program= or --program"
        )


# -------------------------------------------------------------------- values


def _written(value: Any, modules: dict[str, str], shapes: bool = False) -> Any:
    """Write a value as JSON has it, with a mapping of one key for what JSON has not."""
    kind = type(value)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is float:
        return {"float": repr(value)}
    if kind is list:
        return [_written(item, modules, shapes) for item in value]
    if kind is tuple:
        return {"tuple": [_written(item, modules, shapes) for item in value]}
    if kind is dict:
        pairs = value.items()
        return {"dict": [[_written(k, modules), _written(v, modules, shapes)] for k, v in pairs]}
    if isinstance(value, (type, FunctionType)):
        return {"object": _named(value, modules)}
    if isinstance(value, Program):
        return {"program": _located(value.reference)}
    torch = sys.modules.get("torch")
    if shapes and torch is not None and isinstance(value, torch.Tensor):
        return {"tensor": [list(value.shape), str(value.dtype).removeprefix("torch.")]}
    raise _UnwritableError(repr(value))


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        torch = importlib.import_module("torch")
        return torch.zeros(held[0], dtype=getattr(torch, held[1]))
    if kind == "program":
        return locate(held)
    if kind == "dict":
        return {_read(key): _read(item) for key, item in held}
    if kind == "tuple":
        return tuple(_read(held))
    return float(held) if kind == "float" else load(held)


def _named(value: Any, modules: dict[str, str]) -> str:
    """Name a class or function that an import leads back to."""
    module = sys.modules.get(value.__module__)
    found: Any = module
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    if module is None or found is not value or module.__name__.startswith(("__main__", "symnas_interactive")):
        raise _UnwritableError(repr(value))
    place = spelled(module)
    _place(place, modules)
    return f"{place}:{value.__qualname__}"


def _kept(kept: Any, modules: dict[str, str]) -> Any:
    """Write what interactive code takes from around it: a module, an attribute of one, or a pickled value."""
    if isinstance(kept, bytes):
        return {"value": _written(pickle.loads(kept), modules)}
    _place(kept[0], modules)
    return list(kept)


def _kept_again(kept: Any) -> Any:
    return pickle.dumps(_read(kept["value"])) if isinstance(kept, dict) else tuple(kept)
