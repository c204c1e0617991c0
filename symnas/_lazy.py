"""Facades that import nothing until a name is used: `import symnas` loads no torch and no database."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any


def lazy(
    package: str,
    homes: Mapping[str, str],
    modules: tuple[str, ...] = (),
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a facade.

    Args:
        package: the facade's `__name__`.
        homes: the module of each public name, below the package unless it begins with `symnas.`.
        modules: the modules and packages below the package that are public themselves.
        renamed: what names of before are called now; they are understood for one release, with a warning.
    """

    def getattribute(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name in renamed:
            told = f"{package}.{name} is called {renamed[name]} now, and goes with the next release"
            warnings.warn(told, DeprecationWarning, stacklevel=2)
            return getattr(sys.modules[package], renamed[name])
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        home = homes[name] if homes[name].startswith("symnas.") else f"{package}.{homes[name]}"
        value = getattr(import_module(home), name)
        # The next look at the name finds it without asking here.
        setattr(sys.modules[package], name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes, *modules})

    return getattribute, listed
