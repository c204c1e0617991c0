"""Names of programs that another process can follow: a file, a module, or the very source text."""

from __future__ import annotations

import hashlib
import importlib
import io
import linecache
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType, ModuleType
from typing import Any

from symnas.errors import ProgramError
from symnas.frontend.protocols import ProgramView


@dataclass(frozen=True)
class Reference:
    """All that another process needs to make the same program: `symnas.program(reference)`.

    Args:
        target: `file.py:Name` or `package.module:Name`; for interactive code, the name alone.
        texts: for interactive code, its sources (file name, text).
        names: for interactive code, what the sources take from around them: (module, attribute) or a
            pickled value.
        bounds: of its survey, where they are not the usual ones.
    """

    target: str
    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    inputs: Any = None
    texts: tuple[tuple[str, str], ...] = ()
    names: Mapping[str, Any] = field(default_factory=dict)
    bounds: tuple[tuple[str, int], ...] = ()

    def resolve(self) -> Any:
        """Return the target: a text to load, or the object made from the carried sources."""
        return self._made() if self.texts else self.target

    def _made(self) -> Any:
        digest = hashlib.sha256(repr(self.texts).encode()).hexdigest()[:12]
        module_name = f"symnas_interactive_{digest}"
        module = sys.modules.get(module_name)
        if module is None:
            module = sys.modules[module_name] = ModuleType(module_name)
            for name, kept in self.names.items():
                vars(module)[name] = _restore(kept)
            for position, (_, text) in enumerate(self.texts):
                file = f"<symnas {digest} {position}>"
                linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
                exec(compile(text, file, "exec", dont_inherit=True), vars(module))
        found: Any = module
        for part in self.target.split("."):
            found = getattr(found, part)
        return found


def reference_of(program: ProgramView, bounds: Mapping[str, int]) -> Reference:
    """Return the reference of a program, with the bounds of its survey.

    Raises:
        ProgramError: the target was made inside a function, or an argument does not pickle.
    """
    target = program.target
    if "<locals>" in target.__qualname__:
        raise ProgramError(
            f"another process finds a program by its module, and {target.__qualname__!r} was made inside a "
            "function; define it at the top level of a module or a notebook cell"
        )
    # What is followed by imports, another process follows again.
    module = program.internals.source_set.modules[0]
    include = tuple(spelled(item) for item in program.internals.source_set.modules[1:])
    texts: tuple[tuple[str, str], ...] = ()
    names: dict[str, Any] = {}
    if module.__name__ == "__main__" or module.__name__.startswith("symnas_interactive_"):
        file = getattr(module, "__file__", None)
        own = program.internals.source_set.files
        if file is not None and file in own and module.__name__ == "__main__":
            where = f"{file}:{target.__qualname__}"
        else:
            where = target.__qualname__
            texts = tuple(
                (source.file, source.text_of_definitions())
                for source in own.values()
                if source.module is module
            )
            names = _names(program, module)
    else:
        where = f"{spelled(module)}:{target.__qualname__}"
    found = Reference(
        where,
        program.name,
        program.internals.args,
        dict(program.internals.kwargs),
        include,
        program.inputs,
        texts,
        names,
        tuple(bounds.items()),
    )
    try:
        pickle.dumps(found)
    except Exception as error:
        raise ProgramError(
            "arguments and inputs of a program go to other processes by pickle, and those of "
            f"{program.name!r} do not: {error}"
        ) from error
    return found


def spelled(module: ModuleType) -> str:
    """Name a module by its import name where that leads back to it, else by its file."""
    spec = getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None)
    if "__symnas_source__" in vars(module) or (spec is None and file is not None):
        return str(file)
    return module.__name__


def _names(program: ProgramView, module: ModuleType) -> dict[str, Any]:
    """Keep what interactive sources refer to and do not define themselves."""
    used: set[str] = set()
    for source in program.internals.source_set.files.values():
        if source.module is module:
            used |= _used(compile(source.text_of_definitions(), source.file, "exec", dont_inherit=True))
            for site in source.sites:
                for candidate in site.candidates:
                    used |= _used(compile(_expression(candidate.expr), source.file, "eval"))
    kept = {}
    for name in sorted(used & set(vars(module))):
        saved = None if name.startswith("__") else _save(vars(module)[name])
        if saved is not None:
            kept[name] = saved
    return kept


def _expression(node: Any) -> Any:
    import ast

    return ast.fix_missing_locations(ast.Expression(node))


def _used(code: CodeType) -> set[str]:
    used = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            used |= _used(constant)
    return used


def _save(value: Any) -> tuple[str, ...] | bytes | None:
    if isinstance(value, ModuleType):
        return (value.__name__,)
    place = getattr(value, "__module__", None)
    if isinstance(place, str) and hasattr(value, "__qualname__"):
        return (
            None
            if place == "__main__" or place.startswith("symnas_interactive_")
            else (place, value.__qualname__)
        )
    try:
        return pickle.dumps(value)
    except Exception:  # what does not pickle is missed only if the worker really uses it, and named there
        return None


def _restore(kept: Any) -> Any:
    if isinstance(kept, bytes):
        return pickle.load(io.BytesIO(kept))
    found: Any = importlib.import_module(kept[0])
    for part in kept[1].split(".") if len(kept) > 1 else ():
        found = getattr(found, part)
    return found
