"""A hash of what a function does and depends on, the same in every process.

Code, closure, globals and defaults count. Code counts by its syntax tree, so comments and moving a
function change nothing. Functions and classes of the user's own modules are followed; those of installed
packages count by their names.
"""

from __future__ import annotations

import ast
import enum
import functools
import hashlib
import linecache
import sys
import sysconfig
import types
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from symnas.errors import StudyError

PLAIN = (int, float, complex, str, bytes, bool, type(None), range, slice, type(Ellipsis))
INCIDENTAL = frozenset({"__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__"})
INSTALLED = tuple(
    str(Path(path).resolve())
    for path in {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def fingerprint(value: Any) -> str:
    """Return a hash (32 hex digits) of a function and all it depends on.

    Raises:
        StudyError: something in it cannot be read; the message says where it is.
    """
    return hashlib.blake2b(_Reader().read(value, "the evaluator").encode(), digest_size=16).hexdigest()


def fingerprint_of_context(function: Any, context: Any) -> str:
    """Return a hash of a function's own code and of what its user says that it depends on."""
    inner = getattr(function, "func", function)
    code = getattr(inner, "__code__", None)
    own = source_of(code) if code is not None else type(inner).__qualname__
    text = f"{own}|{_Reader().read(context, 'context')}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def source_of(code: types.CodeType) -> str:
    """Return a function's source without comments and layout, or its bytecode where there is none."""
    node = _definition(code)
    return _bytecode(code) if node is None else ast.unparse(node)


class _Reader:
    """Turns values into texts; knows which it is in the middle of, so that cycles end."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []

    def read(self, value: Any, where: str) -> str:
        if isinstance(value, PLAIN) and not isinstance(value, enum.Enum):
            return f"{type(value).__name__}:{value!r}"
        if id(value) in self._numbers:
            return f"#{self._numbers[id(value)]}"
        self._numbers[id(value)] = len(self._numbers)
        self._alive.append(value)
        known = self._known(value, where)
        return self._object(value, where) if known is None else known

    def _known(self, value: Any, where: str) -> str | None:
        if isinstance(value, list | tuple):
            return f"{type(value).__name__}[{self._join(enumerate(value), where)}]"
        if isinstance(value, set | frozenset):
            return f"set[{','.join(sorted(_Reader().read(item, where) for item in value))}]"
        if isinstance(value, types.ModuleType):
            return f"module:{value.__name__}"
        if isinstance(value, types.FunctionType):
            return self._function(value, where)
        if isinstance(value, types.MethodType):
            return f"method:{self.read(value.__func__, where)}@{self.read(value.__self__, where)}"
        if isinstance(value, functools.partial):
            return f"partial:{self.read((value.func, value.args, value.keywords), where)}"
        if isinstance(value, type):
            return self._class(value, where)
        if isinstance(
            value, types.BuiltinFunctionType | types.WrapperDescriptorType | types.MethodDescriptorType
        ):
            return f"builtin:{value.__module__ if hasattr(value, '__module__') else ''}.{value.__qualname__}"
        if isinstance(value, enum.Enum):
            return f"enum:{type(value).__qualname__}.{value.name}"
        if isinstance(value, PurePath):
            return f"path:{value}"
        return None

    def _join(self, items: Any, where: str) -> str:
        return ",".join(self.read(item, f"{where}[{key!r}]") for key, item in items)

    def _function(self, function: types.FunctionType, where: str) -> str:
        name = f"{function.__module__}.{function.__qualname__}"
        if installed(function.__module__):
            return f"installed:{name}"
        wrapped = getattr(function, "__wrapped__", None)
        parts = [source_of(function.__code__), self.read(function.__defaults__, f"a default of {name}")]
        parts.append(self.read(function.__kwdefaults__, f"a default of {name}"))
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            place = f"{variable!r}, which {function.__qualname__} closes over"
            parts.append(f"{variable}={self.read(content, place)}")
        for variable in sorted(_global_names(function.__code__) & function.__globals__.keys()):
            place = f"the global {variable!r}, which {function.__qualname__} uses"
            parts.append(f"{variable}={self.read(function.__globals__[variable], place)}")
        if wrapped is not None:
            parts.append(self.read(wrapped, where))
        return f"function:({'|'.join(parts)})"

    def _class(self, cls: type, where: str) -> str:
        name = f"{cls.__module__}.{cls.__qualname__}"
        if installed(cls.__module__):
            return f"installed:{name}"
        parts = [self.read(base, where) for base in cls.__bases__ if base is not object]
        for attribute, held in sorted(vars(cls).items()):
            inner = _unwrapped(held)
            if attribute not in INCIDENTAL and isinstance(inner, (types.FunctionType, type, *PLAIN)):
                parts.append(f"{attribute}={self.read(inner, f'{name}.{attribute}')}")
        return f"class:{cls.__qualname__}({'|'.join(parts)})"

    def _object(self, value: Any, where: str) -> str:
        own = _own_hash(value)
        if own is not None:
            return f"{type(value).__qualname__}:{own}"
        if isinstance(value, Mapping):
            items = sorted(value.items(), key=lambda item: repr(item[0]))
            return f"{type(value).__name__}{{{self._join(items, where)}}}"
        array = _array(value)
        if array is not None:
            return array
        kind = self.read(type(value), where)
        state = dict(getattr(value, "__dict__", None) or {})
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot) and slot not in ("__dict__", "__weakref__"):
                    state[slot] = getattr(value, slot)
        if not state and not _stateless(value):
            raise StudyError(
                f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be read"
            )
        return f"object:{kind}{{{self._join(sorted(state.items()), f'{where}, {type(value).__qualname__}')}}}"


def installed(module: str | None) -> bool:
    """Whether a module belongs to Python, an installed package or SymNAS: its name says enough."""
    if module is None or module == "__main__":
        return False
    if module.split(".")[0] in ("symnas", *sys.builtin_module_names):
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and str(Path(file).resolve()).startswith(INSTALLED)


def _own_hash(value: Any) -> str | None:
    """Return the hash that a space, a program or a decision has of itself."""
    own = getattr(value, "fingerprint", None)
    if own is None and hasattr(getattr(value, "space", None), "fingerprint"):
        own = getattr(value, "key", None)
    return own if isinstance(own, str) else None


def _unwrapped(held: Any) -> Any:
    if isinstance(held, staticmethod | classmethod):
        return held.__func__
    return held.fget if isinstance(held, property) else held


def _global_names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


def _array(value: Any) -> str | None:
    tensor = hasattr(value, "detach") and hasattr(value, "numpy")
    if not tensor and not (hasattr(value, "dtype") and hasattr(value, "tobytes")):
        return None
    if getattr(value.dtype, "hasobject", False):
        return None
    try:
        array = value.detach().cpu().contiguous().numpy() if tensor else value
        data = array.tobytes()
    except (RuntimeError, TypeError):
        data = repr(value.detach().cpu().tolist()).encode()
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return f"array:{value.dtype}{tuple(value.shape)}:{digest}"


def _stateless(value: Any) -> bool:
    # An instance of a Python class without attributes holds nothing; an extension type holds what nobody
    # sees.
    return hasattr(value, "__dict__") or any("__slots__" in vars(cls) for cls in type(value).__mro__)


def _bytecode(code: types.CodeType) -> str:
    constants = [
        _bytecode(item) if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts
    ]
    return f"{code.co_code.hex()}:{code.co_names}:{constants}"


def _definition(code: types.CodeType) -> ast.AST | None:
    lines = linecache.getlines(code.co_filename)
    if not lines:
        return None
    try:
        tree = _parsed("".join(lines))
    except SyntaxError:
        return None
    wanted = (ast.Lambda,) if code.co_name == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef)
    places = {
        (line, column)
        for line, _, column, _ in code.co_positions()
        if line is not None and column is not None
    }
    for node in ast.walk(tree):
        if not isinstance(node, wanted) or _first_line(node) != code.co_firstlineno:
            continue
        if not isinstance(node, ast.Lambda) or _holds(node.body, places):
            return _without_docstring(node)
    return None


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _first_line(node: Any) -> int:
    decorators = getattr(node, "decorator_list", [])
    return int(min([node.lineno, *(decorator.lineno for decorator in decorators)]))


def _holds(body: ast.expr, places: set[tuple[int, int]]) -> bool:
    """Whether a lambda's body is where the code's instructions say; two lambdas may share a line."""
    end = (body.end_lineno or 0, body.end_col_offset or 0)
    real = {place for place in places if place[1] > 0 or place[0] != body.lineno}
    return bool(real) and all((body.lineno, body.col_offset) <= place < end for place in real)


def _without_docstring(node: ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
    if isinstance(node, ast.Lambda) or ast.get_docstring(node) is None:
        return node
    copy = type(node)(**{name: getattr(node, name) for name in node._fields})
    copy.body = node.body[1:] or [ast.Pass()]
    return ast.fix_missing_locations(ast.copy_location(copy, node))
