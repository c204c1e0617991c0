"""All that the space of a program follows from, as one text; or nothing, where that cannot be known.

A survey runs the user's code, so it follows from the text of that code, from the values of the module
variables that it names, from arguments and inputs, and from the versions of what is imported. They are
collected from the target on: the words of its definition lead to variables of its module, these to classes
and functions of the project, whose words are followed in turn, in every module of the project that any of
them imports. Words are matched without regard to scope, so more is collected than is needed, never less.

What would make a space depend on something else (a file that is opened, the environment, an object that
cannot be written down) means that nothing is known: the program has no identity, and is surveyed every time.
"""

from __future__ import annotations

import argparse
import ast
import collections
import dataclasses
import enum
import functools
import hashlib
import importlib.util
import logging
import os
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from types import FunctionType, ModuleType
from typing import Any

from symnas._fingerprint import PLAIN, is_installed
from symnas._version import __version__
from symnas.errors import ProgramError
from symnas.frontend.arguments import is_program
from symnas.frontend.sources import as_module

# Words in a definition after which its result may follow from what is neither text nor variable: names, and
# attributes with their dot (`forward(self, input)` reads nothing, and `def exists(x)` is everywhere).
_OUTSIDE = frozenset({
    "name open", "name exec", "name eval", "name __import__", "input()", ".open", ".read_text",
    ".read_bytes", ".load", ".loads", ".safe_load", ".full_load", ".read_csv", ".loadtxt",
    ".from_file", ".fromfile", ".environ", ".getenv",
    ".argv", ".stdin", ".listdir", ".scandir", ".walk", ".glob", ".iglob", ".rglob", ".iterdir", ".exists",
    ".is_file", ".is_dir", ".isfile", ".isdir", ".getcwd", ".cwd", ".urlopen", ".is_available",
    ".device_count", ".cpu_count", ".urandom", ".uuid1", ".uuid4", ".import_module", ".from_pretrained",
    ".getpid", ".get_num_threads", ".getrecursionlimit", ".exec_module",
})  # fmt: skip
_OUTSIDE_MODULES = frozenset({
    "time", "datetime", "subprocess", "socket", "requests", "urllib", "http", "platform", "getpass", "glob",
    "secrets", "uuid", "threading", "multiprocessing", "sqlite3", "tempfile", "ctypes", "inspect",
})  # fmt: skip
# After these any variable of the module may be read, and after a computed name any definition.
_ANY_NAME = frozenset({"globals", "vars", "__dict__"})
_ANY_DEFINITION = "getattr()"
_DEPTH = 30
_PLAIN_MAPPINGS = (dict, collections.OrderedDict, collections.Counter, types.MappingProxyType)
_NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
_TYPING = (types.GenericAlias, types.UnionType, typing.TypeVar, type(list[int]), type(typing.Any))
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class _UnknownError(Exception):
    """The space may follow from something that cannot be told."""


def identity(
    target: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    include: Iterable[Any],
    inputs: Any,
    *settings: object,
) -> str | None:
    """Return a hash of all that a program's space follows from, or None where that cannot be known.

    Args:
        target: the class or function.
        args: positional arguments of every call of it.
        kwargs: keyword arguments of every call of it.
        include: further modules whose choices belong to it.
        inputs: example inputs.
        settings: whatever else counts, by its `repr`.
    """
    reader = _Reader()
    try:
        reader.facts["target"] = reader.target(target)
        reader.facts["modules"] = " ".join(reader.project(as_module(item)) for item in include)
        reader.facts["arguments"] = reader.write([list(args), dict(kwargs)])
        reader.facts["inputs"] = reader.write(inputs)
        reader.follow()
        facts = [*sorted(reader.facts.items()), *reader.texts(), *reader.versions(), *map(repr, settings)]
    except (_UnknownError, ProgramError, SyntaxError, OSError, ValueError, RecursionError):
        return None
    return hashlib.blake2b(repr(facts).encode(errors="surrogatepass"), digest_size=20).hexdigest()


class _Reader:
    """Follows a program's code from its target on."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.modules: dict[str, ModuleType] = {}
        self.files: dict[str, str] = {}
        """Text of every file of the project that is read."""
        self.packages: set[str] = set()
        self.trees: dict[str, ast.Module] = {}
        self.words: set[str] = set()
        self.reached: set[int] = set()

    # -- code ------------------------------------------------------------------------------------

    def target(self, target: Any) -> str:
        """Name the target; one that its module does not have under its name may be anything."""
        if not isinstance(target, (type, FunctionType)):
            raise _UnknownError
        module = sys.modules.get(target.__module__)
        found: Any = module
        for part in target.__qualname__.split("."):
            found = getattr(found, part, None)
        if module is None or found is not target:
            raise _UnknownError
        self.project(module)
        return self.write(target)

    def project(self, module: ModuleType) -> str:
        """Take in a module of the project, and return its name."""
        name, file = module.__name__, getattr(module, "__file__", None)
        if name in self.modules:
            return name
        if file is None or not file.endswith(".py"):
            raise _UnknownError
        content = Path(file).read_bytes()
        digest = getattr(module, "__symnas_source__", None)
        # The file may have changed since it was imported. A module that we have loaded tells; of another one
        # the file must be older than this process.
        if (
            digest != hashlib.sha256(content).hexdigest()
            if digest
            else _started() < Path(file).stat().st_mtime
        ):
            raise _UnknownError
        self.modules[name] = module
        self._read(name, file, content)
        self._imported(name.rpartition(".")[0])
        return name

    def _read(self, name: str, file: str, content: bytes) -> None:
        self.files[file] = hashlib.sha256(content).hexdigest()
        self.trees[name] = tree = ast.parse(content)
        package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._imported(alias.name)
            elif isinstance(node, ast.ImportFrom):
                base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                home = ".".join(filter(None, (base if node.level else "", node.module or "")))
                self._imported(home)
                for alias in node.names:
                    self._imported(f"{home}.{alias.name}", maybe=True)

    def _imported(self, name: str, maybe: bool = False) -> None:
        """Follow an import: into the project, or to a package of which the version counts.

        Args:
            name: of the module.
            maybe: whether it may be a variable of a module as well.
        """
        if not name or name in self.modules:
            return
        module = sys.modules.get(name)
        if name.partition(".")[0] == "symnas":
            return
        if module is not None:
            file = getattr(module, "__file__", None)
            if file is None or is_installed(file):
                self.packages.add(name.partition(".")[0])
            else:
                self.project(module)
            return
        # Imported where it is needed, inside a function, so its file is looked for.
        top, *below = name.split(".")
        spec = None if top in sys.modules else importlib.util.find_spec(top)
        origin = getattr(sys.modules.get(top), "__file__", None) if spec is None else spec.origin
        if origin is None or not origin.endswith(".py") or is_installed(origin):
            self.packages.add(top)
            return
        path = Path(origin)
        for part in ["", *below]:
            if part:
                folder = path.parent / part
                path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
            if maybe and not path.is_file():
                return
            if str(path) not in self.files:
                self._read(name, str(path), path.read_bytes())

    def follow(self) -> None:
        """Follow words to variables and definitions, until there are no new ones."""
        while True:
            if _ANY_DEFINITION in self.words:
                for name in [name for name in self.trees if name != "__main__"]:
                    self._walk(self.trees[name])
            before = len(self.facts), len(self.reached), len(self.words), len(self.modules)
            for name, module in list(self.modules.items()):
                held = vars(module)
                names = held.keys() if self.words & _ANY_NAME else held.keys() & self.words
                for word in sorted(names):
                    if f"{name}:{word}" not in self.facts and not word.startswith("__"):
                        self.facts[f"{name}:{word}"] = self.write(held[word])
            if (len(self.facts), len(self.reached), len(self.words), len(self.modules)) == before:
                break
        if self.words & _OUTSIDE or self.words & {f"import {name}" for name in _OUTSIDE_MODULES}:
            raise _UnknownError

    def _defined(self, value: Any) -> None:
        """Follow the words of a definition of the project."""
        module = sys.modules.get(value.__module__)
        if module is None:
            raise _UnknownError
        self.project(module)
        top = value.__qualname__.partition(".")[0]
        tree = self.trees[module.__name__]
        nodes = [n for n in _statements(tree.body) if isinstance(n, _DEFINITIONS) and n.name == top]
        for node in nodes:
            self._walk(node)
        if not nodes:  # a lambda, or what a factory made, stands anywhere
            self._walk(tree)

    def _walk(self, node: ast.AST) -> None:
        if id(node) not in self.reached:
            self.reached.add(id(node))
            self.words.update(_words(node))

    # -- values ----------------------------------------------------------------------------------

    def write(self, value: Any, depth: int = 0) -> str:
        """Return a text of a value, from which nothing is left out.

        Raises:
            _UnknownError: it may hold what cannot be seen.
        """
        kind = type(value)
        if depth > _DEPTH:
            raise _UnknownError
        if kind in PLAIN or kind in (range, slice, type(Ellipsis), type(NotImplemented)):
            return f"{kind.__name__}:{value!r}"
        if kind in _PLAIN_MAPPINGS or kind is collections.defaultdict:
            items = [f"{self.write(k, depth + 1)}={self.write(v, depth + 1)}" for k, v in value.items()]
            made = self.write(value.default_factory) if kind is collections.defaultdict else ""
            return f"{kind.__name__}{made}{{{','.join(items)}}}"
        if kind in (list, tuple, set, frozenset, collections.deque):
            texts = [self.write(item, depth + 1) for item in value]
            return f"{kind.__name__}[{','.join(sorted(texts) if kind in (set, frozenset) else texts)}]"
        return self._other(value, depth)

    def _other(self, value: Any, depth: int) -> str:
        if isinstance(value, ModuleType):
            if value.__name__.partition(".")[0] in _OUTSIDE_MODULES:
                raise _UnknownError
            self._imported(value.__name__)
            return f"module:{value.__name__}"
        if is_program(value):
            inner = value.internals
            held = [list(inner.args), dict(inner.kwargs), list(inner.include)]
            return f"program:{self.target(inner.target)}{self.write(held, depth + 1)}"
        if isinstance(value, _TYPING):
            return f"typing:{value!r}"
        if isinstance(value, type):
            return self._class(value, depth)
        if isinstance(value, FunctionType):
            return self._function(value, depth)
        if isinstance(value, (staticmethod, classmethod)):
            return self.write(value.__func__, depth + 1)
        if isinstance(value, property):
            return self.write([value.fget, value.fset, value.fdel], depth + 1)
        if isinstance(value, functools.cached_property):
            return self.write(value.func, depth + 1)
        if isinstance(value, functools.partial) and type(value) is functools.partial:
            return f"partial:{self.write([value.func, value.args, value.keywords], depth + 1)}"
        if isinstance(value, types.MethodType):
            return f"method:{self.write([value.__func__, value.__self__], depth + 1)}"
        if isinstance(value, (types.BuiltinFunctionType, types.MethodDescriptorType)):
            owner = getattr(value, "__self__", None)
            if owner is None or isinstance(owner, (ModuleType, type)):
                _inside(value)
                return f"builtin:{value.__module__ if owner is not None else ''}.{value.__qualname__}"
        return self._object(value, depth)

    def _class(self, value: type, depth: int) -> str:
        name = f"class:{value.__module__}.{value.__qualname__}"
        if name in self.facts or self._from_package(value):
            return name
        self.facts[name] = ""
        self._defined(value)
        held = {
            key: item
            for key, item in vars(value).items()
            if isinstance(item, FunctionType) or not key.startswith(("__", "_abc_"))
        }
        self.facts[name] = self.write([value.__bases__, held], depth + 1)
        return name

    def _function(self, value: FunctionType, depth: int) -> str:
        name = f"function:{value.__module__}.{value.__qualname__}:{value.__code__.co_firstlineno}"
        if self._from_package(value):
            return name
        if id(value) in self.reached:
            return name
        self.reached.add(id(value))
        self._defined(value)
        cells = [cell.cell_contents for cell in value.__closure__ or () if not _is_class_cell(value, cell)]
        held = [value.__defaults__, value.__kwdefaults__, cells, getattr(value, "__wrapped__", None)]
        return f"{name}{self.write(held, depth + 1)}"

    def _from_package(self, value: Any) -> bool:
        """Whether an installed package defines a class or a function; then its version is what counts."""
        top = (value.__module__ or "").partition(".")[0]
        module = sys.modules.get(value.__module__ or "")
        if module is None:
            raise _UnknownError
        file = getattr(module, "__file__", None)
        if top == "symnas" and module.__name__ not in self.modules:
            return True
        if module.__name__ != "__main__" and (file is None or is_installed(file)):
            _inside(value)
            self.packages.add(top)
            return True
        return False

    def _object(self, value: Any, depth: int) -> str:
        kind = type(value)
        if isinstance(value, enum.Enum):
            return f"{self.write(kind, depth + 1)}.{value.name}"
        if isinstance(value, (PurePath, re.Pattern)):
            return f"{kind.__name__}:{value!r}"
        if isinstance(value, logging.Logger):
            return f"logger:{value.name}"
        torch: Any = sys.modules.get("torch")
        if torch is not None and isinstance(value, (torch.dtype, torch.device, torch.Size)):
            return repr(value)
        tensor = torch is not None and kind is torch.Tensor
        if tensor or kind.__module__ == "numpy":
            return _array(value, tensor)
        # What a plain class of the project holds is in its attributes.
        if kind in _NAMESPACES or (not self._from_package(kind) and kind.__mro__[1:] == (object,)):
            slots = dataclasses.is_dataclass(kind) and not hasattr(value, "__dict__")
            held = (
                {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
                if slots
                else dict(vars(value))
            )
            return f"{self.write(kind, depth + 1)}{self.write(held, depth + 1)}"
        raise _UnknownError

    # -- what the code runs on -----------------------------------------------------------------------

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the files of the project with their hashes."""
        yield from sorted(self.files.items())

    def versions(self) -> Iterator[object]:
        """Yield what tells the versions of Python, this library and imported packages."""
        yield sys.version, sys.flags.optimize, __version__, _own_files()
        torch: Any = sys.modules.get("torch")
        if torch is not None:
            yield str(torch.get_default_dtype()), str(torch.get_default_device())
        for name in sorted(self.packages | {"numpy"} | ({"torch"} if torch is not None else set())):
            module = sys.modules.get(name)
            file = getattr(module, "__file__", None)
            stat = None if file is None else Path(file).stat()
            yield name, getattr(module, "__version__", ""), stat and (stat.st_size, stat.st_mtime_ns)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements of a module, those inside `if` and `try` included."""
    for node in body:
        yield node
        if not isinstance(node, _DEFINITIONS):
            yield from _statements(
                inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt)
            )


def _words(node: ast.AST) -> Iterator[str]:
    """Yield all names, attributes and short texts: `getattr(blocks, "Wide")` names one as well."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield from (inner.id, f"name {inner.id}")
        elif isinstance(inner, ast.Attribute):
            yield from (inner.attr, f".{inner.attr}")
        elif isinstance(inner, ast.Import | ast.ImportFrom):
            for alias in inner.names:
                yield from (
                    *alias.name.split("."),
                    f".{alias.name}",
                    f"import {alias.name.partition('.')[0]}",
                )
            if isinstance(inner, ast.ImportFrom):
                yield f"import {(inner.module or '').partition('.')[0]}"
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name):
            if (
                inner.func.id == "getattr"
                and len(inner.args) > 1
                and not isinstance(inner.args[1], ast.Constant)
            ):
                yield _ANY_DEFINITION
            yield f"{inner.func.id}()"
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
            yield inner.value


def _inside(value: Any) -> None:
    """Refuse what reads from elsewhere under a name of its own: `from os import getenv`."""
    home = getattr(value, "__module__", None) or ""
    if f".{value.__name__}" in _OUTSIDE or home.partition(".")[0] in _OUTSIDE_MODULES:
        raise _UnknownError


def _is_class_cell(function: FunctionType, cell: types.CellType) -> bool:
    """Whether a cell is the class of a method, for `super()`, or has no value yet."""
    names = function.__code__.co_freevars
    empty = False
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        empty = True
    return empty or names[(function.__closure__ or ()).index(cell)] == "__class__"


def _array(value: Any, tensor: bool) -> str:
    if tensor:
        if value.layout is not sys.modules["torch"].strided or value.is_quantized:
            raise _UnknownError
        about = (str(value.dtype), tuple(value.shape), str(value.device), value.requires_grad)
        if value.device.type == "meta":
            return repr(about)
        value = value.detach().cpu().contiguous().flatten().view(sys.modules["torch"].uint8).numpy()
    else:
        about = (str(value.dtype), tuple(value.shape), type(value).__name__, False)
        if value.dtype.hasobject:
            raise _UnknownError
    return f"array:{about}:{hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()}"


@functools.cache
def _started() -> float:
    """Return when this process began."""
    import psutil

    return float(psutil.Process().create_time())


@functools.cache
def _own_files() -> str:
    """Return a hash of this library's files by size and time: it may change without its version."""
    root = Path(__file__).parents[1]
    found = []
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            if name.endswith((".py", ".lark")):
                stat = (Path(folder) / name).stat()
                found.append((folder, name, stat.st_size, stat.st_mtime_ns))
    return hashlib.blake2b(repr(sorted(found)).encode(), digest_size=16).hexdigest()
