"""Hashes of what things are, the same in every process: of evaluators, of settings, of arguments.

One walk over values (`_Text`), and three ways to write down what it meets, since studies keep their hashes:
the walk itself writes the arguments of a program, `_SettingsText` the settings of a task, and
`_EvaluatorText` follows a function through all that it depends on. Whatever belongs to SymNAS counts by a
name that lasts, not by the module where it happens to be.
"""

from __future__ import annotations

import ast
import enum
import functools
import hashlib
import inspect
import io
import linecache
import pickle
import re
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from symnas._moved import lasting_name
from symnas.errors import StudyError

PLAIN = (int, float, complex, str, bytes, bool, type(None))
INCIDENTAL = frozenset({"__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__"})
DEPTH = 6
"""How deep settings are described; what lies deeper counts by its class alone."""
LIBRARIES = tuple(
    Path(path).resolve()
    for path in {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def fingerprint(value: Any) -> str:
    """Return a hash (32 hex digits) of a function and all it depends on.

    Code, closure, globals and defaults count. Code counts by its syntax tree, so comments and moving a
    function change nothing. Functions and classes of the user's own modules are followed; those of installed
    packages count by their names.

    Raises:
        StudyError: something in it cannot be read; the message says where it is.
    """
    return _hash(_EvaluatorText("the evaluator").read(value))


def fingerprint_of_context(function: Any, context: Any) -> str:
    """Return a hash of a function's own code and of what its user says that it depends on."""
    inner = getattr(function, "func", function)
    code = getattr(inner, "__code__", None)
    own = source_of(code) if code is not None else type(inner).__qualname__
    return _hash(f"{own}|{_EvaluatorText('context').read(context)}")


def describe(value: Any) -> str:
    """Return a text that changes when the content of a setting does, and not with its place in memory.

    Functions are described by their source (their bytecode where there is none), defaults and what their
    closure holds; arrays and tensors by shape, type and content; modules by their structure and weights;
    other objects by their class and attributes, down to a depth of six.
    """
    return _SettingsText().read(value)


def spell(value: Any) -> str:
    """Return a text of a program's argument: classes and functions by name, others by their pickle."""
    return _Text().read(value)


def source_of(code: types.CodeType) -> str:
    """Return a function's source without comments and layout, or its bytecode where there is none."""
    node = _definition(code)
    return _bytecode(code) if node is None else ast.unparse(node)


def is_installed(file: str | PurePath) -> bool:
    """Tell whether a module's file belongs to an installed package or to Python, and not to the user.

    Packages also lie outside this environment's own folder: below an environment that sees the system's
    packages, and in a user's own (`pip install --user`).
    """
    path = Path(file).resolve()
    if not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
        return True
    return any(path.is_relative_to(folder) for folder in LIBRARIES)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _is_ours(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").partition(".")[0] == "symnas"


def _name(value: Any) -> str:
    """Name a class or a function by its module, or by what lasts where it is ours."""
    if _is_ours(value):
        return lasting_name(value.__module__, value.__qualname__)
    return f"{value.__module__}.{value.__qualname__}"


class _Text:
    """One walk over values, kind by kind; as it is, it writes arguments of a program."""

    plain: tuple[type, ...] = PLAIN

    def read(self, value: Any) -> str:
        """Return the text of a value."""
        if self.is_plain(value):
            return self.constant(value)
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, list | tuple):
            return self.sequence(value)
        if isinstance(value, set | frozenset):
            return self.set(value)
        return self.other(value)

    def is_plain(self, value: Any) -> bool:
        return isinstance(value, self.plain)

    def constant(self, value: Any) -> str:
        return f"{type(value).__name__}:{value!r}"

    def mapping(self, value: Mapping[Any, Any]) -> str:
        items = sorted(f"{self.read(key)}={self.read(item)}" for key, item in value.items())
        return f"{{{','.join(items)}}}"

    def sequence(self, value: list[Any] | tuple[Any, ...]) -> str:
        return f"{type(value).__name__}({','.join(map(self.read, value))})"

    def set(self, value: set[Any] | frozenset[Any]) -> str:
        return f"set({','.join(sorted(map(self.read, value)))})"

    def other(self, value: Any) -> str:
        if callable(value) and hasattr(value, "__qualname__"):
            return _name(value)
        data = pickle.dumps(value)
        if b"symnas" in data:
            buffer = io.BytesIO()
            _LastingPickler(buffer).dump(value)
            data = buffer.getvalue()
        return f"{type(value).__qualname__}:{hashlib.sha256(data).hexdigest()}"


class _SettingsText(_Text):
    """How settings are written; functions by the very text that `inspect` finds, comments included."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth

    def read(self, value: Any) -> str:
        if self._depth == 0 and not isinstance(value, self.plain):
            return type(value).__qualname__
        return super().read(value)

    def constant(self, value: Any) -> str:
        return repr(value)

    def mapping(self, value: Mapping[Any, Any]) -> str:
        return f"{{{','.join(f'{self._inner(key)}:{self._inner(item)}' for key, item in value.items())}}}"

    def sequence(self, value: list[Any] | tuple[Any, ...]) -> str:
        return f"{type(value).__name__}({self._join(value)})"

    def set(self, value: set[Any] | frozenset[Any]) -> str:
        return f"{{{','.join(sorted(map(self._inner, value)))}}}"

    def other(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            return f"partial({self._join((value.func, value.args, value.keywords))})"
        if isinstance(value, types.MethodType):
            return f"{self._inner(value.__func__)}@{self._inner(value.__self__)}"
        if isinstance(value, types.FunctionType):
            held = (
                value.__defaults__,
                value.__kwdefaults__,
                [_held(cell) for cell in value.__closure__ or ()],
            )
            return f"{_text_of(value)}({self._join(held)})"
        if isinstance(value, type | types.BuiltinFunctionType):
            return _name(value)
        return self._object(value)

    def _object(self, value: Any) -> str:
        name = _name(type(value))
        if hasattr(value, "detach") and hasattr(value, "numpy"):
            value = value.detach().cpu().numpy()
        if hasattr(value, "tobytes") and hasattr(value, "dtype"):
            return f"{name}{tuple(value.shape)}{value.dtype}{_digest(value.tobytes())}"
        attributes = getattr(value, "__dict__", None)
        if attributes:
            return f"{name}({self._inner(attributes)})"
        return name + re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))

    def _inner(self, value: Any) -> str:
        return _SettingsText(self._depth - 1).read(value)

    def _join(self, values: Iterable[Any]) -> str:
        return ",".join(map(self._inner, values))


class _EvaluatorText(_Text):
    """How an evaluator is written: through all that it depends on, knowing where it is for messages.

    Args:
        where: what it begins with, in words.
    """

    plain = (*PLAIN, range, slice, type(Ellipsis))

    def __init__(self, where: str) -> None:
        self._where = where
        # What was met before counts by its number, so that cycles end; it is kept alive, since a number
        # stands for an address.
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []

    def read(self, value: Any) -> str:
        if not self.is_plain(value):
            if id(value) in self._numbers:
                return f"#{self._numbers[id(value)]}"
            self._numbers[id(value)] = len(self._numbers)
            self._alive.append(value)
        return super().read(value)

    def is_plain(self, value: Any) -> bool:
        return super().is_plain(value) and not isinstance(value, enum.Enum)

    def mapping(self, value: Mapping[Any, Any]) -> str:
        return self._own(value) or (
            f"{type(value).__name__}{{{self._join(sorted(value.items(), key=lambda item: repr(item[0])))}}}"
        )

    def sequence(self, value: list[Any] | tuple[Any, ...]) -> str:
        return f"{type(value).__name__}[{self._join(enumerate(value))}]"

    def set(self, value: set[Any] | frozenset[Any]) -> str:
        return f"set[{','.join(sorted(_EvaluatorText(self._where).read(item) for item in value))}]"

    def other(self, value: Any) -> str:
        if isinstance(value, types.ModuleType):
            return f"module:{value.__name__}"
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return f"method:{self.read(value.__func__)}@{self.read(value.__self__)}"
        if isinstance(value, functools.partial):
            return f"partial:{self.read((value.func, value.args, value.keywords))}"
        if isinstance(value, type):
            return self._class(value)
        if isinstance(
            value, types.BuiltinFunctionType | types.WrapperDescriptorType | types.MethodDescriptorType
        ):
            return f"builtin:{value.__module__ if hasattr(value, '__module__') else ''}.{value.__qualname__}"
        if isinstance(value, enum.Enum):
            return f"enum:{type(value).__qualname__}.{value.name}"
        if isinstance(value, PurePath):
            return f"path:{value}"
        return self._own(value) or _array(value) or self._object(value)

    def _at(self, where: str, value: Any) -> str:
        """Read what lies at another place."""
        before, self._where = self._where, where
        try:
            return self.read(value)
        finally:
            self._where = before

    def _join(self, items: Iterable[tuple[Any, Any]]) -> str:
        # Keys tell where a value is and are no part of the text: so it is in the hashes that studies keep.
        where = self._where
        return ",".join(self._at(f"{where}[{key!r}]", item) for key, item in items)

    def _function(self, function: types.FunctionType) -> str:
        if installed(function.__module__):
            return f"installed:{_name(function)}"
        default = f"a default of {_name(function)}"
        parts = [source_of(function.__code__), self._at(default, function.__defaults__)]
        parts.append(self._at(default, function.__kwdefaults__))
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # a name that is not bound yet
                continue
            place = f"{variable!r}, which {function.__qualname__} closes over"
            parts.append(f"{variable}={self._at(place, content)}")
        for variable in sorted(_global_names(function.__code__) & function.__globals__.keys()):
            place = f"the global {variable!r}, which {function.__qualname__} uses"
            parts.append(f"{variable}={self._at(place, function.__globals__[variable])}")
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            parts.append(self.read(wrapped))
        return f"function:({'|'.join(parts)})"

    def _class(self, cls: type) -> str:
        if installed(cls.__module__):
            return f"installed:{_name(cls)}"
        parts = [self.read(base) for base in cls.__bases__ if base is not object]
        for attribute, held in sorted(vars(cls).items()):
            inner = _unwrapped(held)
            if attribute not in INCIDENTAL and isinstance(inner, (types.FunctionType, type, *self.plain)):
                parts.append(f"{attribute}={self._at(f'{_name(cls)}.{attribute}', inner)}")
        return f"class:{cls.__qualname__}({'|'.join(parts)})"

    def _own(self, value: Any) -> str | None:
        """Return the hash that a space, a program or a decision has of itself."""
        own = getattr(value, "fingerprint", None)
        if own is None and hasattr(getattr(value, "space", None), "fingerprint"):
            own = getattr(value, "key", None)
        return f"{type(value).__qualname__}:{own}" if isinstance(own, str) else None

    def _object(self, value: Any) -> str:
        kind, cls = self.read(type(value)), type(value)
        state = dict(getattr(value, "__dict__", None) or {})
        for base in cls.__mro__:
            slots = base.__dict__.get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, slot) and slot not in ("__dict__", "__weakref__"):
                    state[slot] = getattr(value, slot)
        if not state and not _stateless(value):
            raise StudyError(f"{self._where} is a {cls.__module__}.{cls.__qualname__}, which cannot be read")
        before, self._where = self._where, f"{self._where}, {cls.__qualname__}"
        try:
            return f"object:{kind}{{{self._join(sorted(state.items()))}}}"
        finally:
            self._where = before


_PythonPickler: Any = pickle._Pickler


class _LastingPickler(_PythonPickler):  # type: ignore[misc]
    """Pickles as Python does, with the names that last for what belongs to SymNAS.

    The pickler in C does not let anybody say how a class is named; this one writes the same bytes.
    """

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Name a class or a function."""
        if not _is_ours(obj) or self.proto < 4:
            super().save_global(obj, name)
            return
        module, *names = _name(obj).rsplit(".", obj.__qualname__.count(".") + 1)
        # Texts that are the same object are written once and then referred to, as with one module's name.
        self.save(sys.intern(module))
        self.save(".".join(names))
        self.write(pickle.STACK_GLOBAL)
        self.memoize(obj)


def installed(module: str | None) -> bool:
    """Whether a module belongs to Python, an installed package or SymNAS: its name says enough."""
    if module is None or module == "__main__":
        return False
    if module.split(".")[0] in ("symnas", *sys.builtin_module_names):
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and is_installed(file)


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


def _held(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


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
    return f"array:{value.dtype}{tuple(value.shape)}:{_digest(data)}"


def _stateless(value: Any) -> bool:
    # An instance of a Python class without attributes holds nothing; an extension type holds what nobody
    # sees.
    return hasattr(value, "__dict__") or any("__slots__" in vars(cls) for cls in type(value).__mro__)


def _text_of(function: types.FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return _bytecode(function.__code__, "")


def _bytecode(code: types.CodeType, colon: str = ":") -> str:
    constants = [
        _bytecode(item, colon) if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts
    ]
    return f"{code.co_code.hex()}{colon}{code.co_names}{colon}{constants}"


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
