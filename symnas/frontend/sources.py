"""Finds a program's target, its source and every function of the user's that belongs to it.

A target is an object or a text (`file.py:Name`, `package.module:Name`). Its module, and the modules of
`include=`, are covered: their functions, the methods of their classes (nested ones, static and class methods,
properties), what their decorators wrap, and for a target made inside a function also what its closures hold.
A notebook's cells are files of their own in `linecache`, so `__main__` may have several sources.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from symnas.errors import ProgramError, SymnasError, nearest, unreadable
from symnas.grammar.project import needs_package, package_of

_CELL = re.compile(r"ipython-input|ipykernel|<python-input|<cell|<command|__marimo__cell")


def load(
    target: str,
    *,
    what: str = "the target",
    error: type[SymnasError] = ProgramError,
    importable: bool = False,
) -> Any:
    """Return the object that `file.py:Name` or `package.module:Name` names.

    Args:
        target: the text.
        what: is named, for messages.
        error: raised where nothing is there.
        importable: whether other processes shall find the object by its module's name, as pickle does: the
            folder of its file (the current one, for a module) stays on the path, and its name is the file's.

    Raises:
        SymnasError: an `error`: no such file, module or name, or the file itself raises.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name or (len(place) == 1 and name.startswith(("\\", "/"))):
        raise error(f"{what} is written `file.py:Name` or `package.module:Name`, got {target!r}")
    if importable:
        folder = str(Path(place).resolve().parent if place.endswith(".py") else Path.cwd())
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        module = load_file(Path(place)) if place.endswith(".py") else _import(place)
    except ProgramError as failure:
        raise error(f"{what}: {failure}") from failure.__cause__
    if importable and place.endswith(".py") and module.__package__:
        resolved = Path(place).resolve()
        root = str(package_of(resolved, resolved.read_text(encoding="utf-8", errors="replace"))[0])
        if root not in sys.path:
            sys.path.insert(0, root)
    elif importable and place.endswith(".py") and module.__name__ != Path(place).stem:
        known = getattr(sys.modules[Path(place).stem], "__file__", "built in")
        raise error(
            f"{what} is imported by the name of its file, and {Path(place).stem!r} is {known} already: "
            f"rename {place}"
        )
    found: Any = module
    for part in name.split("."):
        if part not in dir(found):
            names = [key for key in vars(found) if not key.startswith("_")]
            raise error(
                f"{place} has no {name!r}{nearest(part, names)}; it has {', '.join(names) or 'nothing'}"
            )
        found = getattr(found, part)
    return found


def load_file(path: Path) -> ModuleType:
    """Import a file as a module; the same file is imported once per process while it does not change.

    It is called as the file is, unless another module is called so already: then a digest follows the name.

    Raises:
        ProgramError: the file does not exist or raises.
    """
    if not path.is_file():
        raise ProgramError(f"{str(path)!r} is not a file (from {str(Path.cwd())!r}): check the path")
    resolved = path.resolve()
    content = resolved.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    for known in list(sys.modules.values()):
        own = getattr(known, "__file__", None) == str(resolved) and known.__name__ != "__main__"
        # A module that the import statement made has no digest, and is never imported anew.
        if own and getattr(known, "__symnas_source__", digest) == digest:
            return known
    text = content.decode(errors="replace")
    root, full = package_of(resolved, text)
    if needs_package(text, full):
        return _load_in_package(path, root, full, digest)
    name = resolved.stem
    if name in sys.modules:
        name += f"_{hashlib.sha256(content + bytes(resolved)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise ProgramError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__symnas_source__"] = digest
    # Pickled children name their module, so it is registered, as the import statement would.
    sys.modules[name] = module
    linecache.checkcache(str(resolved))
    with first_on_path(str(resolved.parent)):
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            sys.modules.pop(name, None)
            raise ProgramError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _load_in_package(path: Path, root: Path, name: str, digest: str) -> ModuleType:
    """Import a file as a part of its package, whose folder is on the path meanwhile; anew where it changed.

    Raises:
        ProgramError: it raises, or another package has the name.
    """
    changed = sys.modules.pop(name, None)
    linecache.checkcache(str(path.resolve()))
    with first_on_path(str(root)):
        try:
            module = importlib.import_module(name)
        except Exception as error:
            if changed is not None:
                sys.modules[name] = changed
            raise ProgramError(
                f"{path} cannot be imported as {name!r} from {str(root)!r}: {type(error).__name__}: {error}"
            ) from error
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path.resolve():
        if changed is not None:
            sys.modules[name] = changed
        raise ProgramError(
            f"{path} imports other files of its package {name.partition('.')[0]!r}, and that name is another "
            f"package here: {found}; rename one of them"
        )
    module.__dict__["__symnas_source__"] = digest
    return module


@contextlib.contextmanager
def first_on_path(folder: str) -> Iterator[None]:
    """Let a file import its neighbours while it is executed, as a script's can."""
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def root_of(module: ModuleType) -> str | None:
    """Return the folder from which a module that was loaded by its path imports others; None for others."""
    file = getattr(module, "__file__", None)
    if file is None or "__symnas_source__" not in vars(module):
        return None
    return str(Path(file).parents[module.__package__.count(".") + 1 if module.__package__ else 0])


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in (name, name.partition(".")[0]):
            raise ProgramError(f"the module {name!r} is not installed: check the name") from None
        raise ProgramError(f"the module {name!r} cannot be imported: {error}") from error
    except Exception as error:
        raise ProgramError(
            f"the module {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def as_module(item: Any) -> ModuleType:
    """Return the module that an item of `include=` stands for: a module, its name, or a `.py` file."""
    if isinstance(item, ModuleType):
        return item
    if isinstance(item, (str, Path)) and str(item).endswith(".py"):
        return load_file(Path(item))
    if isinstance(item, str):
        return _import(item)
    name = getattr(item, "__module__", None)
    if name in sys.modules:
        return sys.modules[name]
    raise ProgramError(f"`include=` takes modules, their names or `.py` files, got {item!r}")


def source_of(file: str, namespace: Mapping[str, Any] | None = None) -> str:
    """Return the text of a source by the name that code objects carry, notebook cells included.

    Raises:
        ProgramError: there is no such source.
    """
    lines = linecache.getlines(file, dict(namespace) if namespace is not None else None)
    if not lines:
        _refuse_undecodable(file)
    if not lines:
        raise ProgramError(
            f"the source of {file!r} is not available, and annotations are read from the source; define the "
            "target in a file or a notebook cell"
        )
    return "".join(lines)


def _refuse_undecodable(file: str) -> None:
    """Tell of a file in another encoding than it says, which `linecache` takes for one without lines."""
    if Path(file).is_file():
        try:
            with tokenize.open(file) as text:
                text.read()
        except (UnicodeDecodeError, SyntaxError, LookupError) as error:
            raise ProgramError(unreadable(file, error)) from None


def functions_of(target: Any, modules: Iterable[ModuleType]) -> list[FunctionType]:
    """Return every function of the user's that a program covers, each once, in a stable order.

    Args:
        target: the class or function.
        modules: modules to cover: the target's own and those of `include=`.
    """
    covered = [module.__name__ for module in modules]
    found: dict[int, FunctionType] = {}
    seen: set[int] = set()
    for module in modules:
        for value in list(vars(module).values()):
            _collect(value, covered, found, seen)
    _collect(target, covered, found, seen)
    return list(found.values())


_CACHE = type(functools.lru_cache(len))


def caches_of(modules: Iterable[ModuleType], functions: Iterable[FunctionType]) -> list[Any]:
    """Return the memories (`functools.lru_cache`, `cache`) of given functions, in modules and their classes.

    What such a function returned under one decision is no answer under another one.
    """
    wanted = {id(function) for function in functions}
    values = [value for module in modules for value in list(vars(module).values())]
    values += [part for value in values if isinstance(value, type) for part in list(vars(value).values())]
    plain = [getattr(value, "__func__", value) for value in values]
    found = {
        id(value): value
        for value in plain
        if isinstance(value, _CACHE) and id(inspect.unwrap(value)) in wanted
    }
    return list(found.values())


def _collect(value: Any, covered: list[str], found: dict[int, FunctionType], seen: set[int]) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, FunctionType):
            if _home(item) in covered:
                found[id(item)] = item
            if item.__module__ in covered or hasattr(item, "__wrapped__"):
                pending.extend(_held(item))
        elif isinstance(item, type):
            if item.__module__ in covered:
                pending.extend(vars(item).values())
                pending.extend(item.__mro__[1:])
        else:
            pending.extend(_inside(item))


def _home(function: FunctionType) -> str | None:
    """Return the module that a function was written in; a wrapper may claim the name of what it wraps."""
    name: str | None = function.__globals__.get("__name__", function.__module__)
    return name


def _held(function: FunctionType) -> Iterator[Any]:
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield wrapped
    for cell in function.__closure__ or ():
        content = _content(cell)
        if isinstance(content, (FunctionType, type)):
            yield content


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell: a name not assigned yet
        return None


def _inside(item: Any) -> Iterator[Any]:
    if isinstance(item, (staticmethod, classmethod, MethodType)):
        yield item.__func__
    elif isinstance(item, property):
        yield from (part for part in (item.fget, item.fset, item.fdel) if part is not None)
    elif isinstance(item, (functools.cached_property, functools.partial)):
        yield item.func
    elif isinstance(item, (dict, list, tuple)):  # a table of functions
        kinds = (FunctionType, functools.partial, dict, list, tuple)
        yield from (
            part for part in (item.values() if isinstance(item, dict) else item) if isinstance(part, kinds)
        )
    elif isinstance(getattr(item, "__wrapped__", None), FunctionType):
        yield item.__wrapped__


def unwrap(target: Any) -> Any:
    """Return the class or function behind a target, or raise for what has no source of its own.

    Raises:
        ProgramError: the target is neither a class nor a function.
    """
    if isinstance(target, type):
        return target
    found = inspect.unwrap(target) if callable(target) else target
    if isinstance(found, functools.partial):
        return unwrap(found.func)
    if isinstance(found, (MethodType, staticmethod, classmethod)):
        return found.__func__
    if isinstance(found, FunctionType):
        return found
    raise ProgramError(
        "a target is a class, a function, `file.py:Name` or `package.module:Name`, got "
        f"{type(target).__name__}: {target!r:.80}"
    )


def file_of(target: Any) -> str:
    """Return the file that a class or function was written in, as code objects name it.

    Raises:
        ProgramError: nothing tells.
    """
    if isinstance(target, FunctionType):
        return target.__code__.co_filename
    own = [
        part
        for value in vars(target).values()
        for part in (value, *_inside(value))
        if isinstance(part, FunctionType)
    ]
    wrapped = [getattr(part, "__wrapped__", None) for part in own]
    own += [part for part in wrapped if isinstance(part, FunctionType)]
    files = [part.__code__.co_filename for part in own if _home(part) == target.__module__]
    readable = [file for file in files if linecache.getlines(file)]
    if readable:
        return readable[0]
    try:
        file = inspect.getsourcefile(target)
    except (TypeError, OSError):
        # Of a class in `python -c`, or at a prompt, there is no file.
        file = None
    for candidate in files:
        _refuse_undecodable(candidate)
    # A class without methods, or a dataclass whose methods are all generated, may still stand in the file.
    written = [name for name in files if name != "<string>"]
    if file is None or written or not linecache.getlines(file) or not _mentions(file, target.__name__):
        raise ProgramError(
            f"the source of {target.__qualname__!r} is not available (module {target.__module__!r}); define "
            "it in a file or a notebook cell"
        )
    return file


def cells_of(module: ModuleType) -> dict[str, str]:
    """Return the texts of the cells that an interactive module was made by, in the order of their last run.

    Cells are what is called as interactive Python calls them, or as cells that the module has functions of.
    """
    known = {_shape(value.__code__.co_filename) for value in vars(module).values()
             if isinstance(value, FunctionType) and value.__module__ == module.__name__}  # fmt: skip
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            own = (item for item in vars(value).values() if isinstance(item, FunctionType))
            known |= {_shape(item.__code__.co_filename) for item in own if _home(item) == module.__name__}
    known.discard(_shape("<string>"))
    # A file has a time of change here, or is known by name alone.
    found = {
        name: "".join(entry[2])
        for name, entry in list(linecache.cache.items())
        if len(entry) == 4 and entry[1] is None and (_CELL.search(name) or _shape(name) in known)
    }
    history = list(vars(module).get("In") or ())
    last = {text.strip(): index for index, text in enumerate(history) if isinstance(text, str)}
    return dict(sorted(found.items(), key=lambda item: last.get(item[1].strip(), -1)))


def origins_of(module: ModuleType) -> dict[str, tuple[str, str]]:
    """Return where the names of an interactive module come from, as far as it imported them.

    Returns:
        Name -> name of a module, and the name there; "" is the module itself.
    """
    found = {}
    for name, value in vars(module).items():
        home = getattr(value, "__module__", None)
        if isinstance(value, ModuleType):
            found[name] = value.__name__, ""
        elif isinstance(home, str) and home != module.__name__ and hasattr(value, "__qualname__"):
            found[name] = home, value.__qualname__
    return found


def _shape(name: str) -> str:
    return re.sub(r"[0-9a-fA-F]*\d[0-9a-fA-F]*", "#", name)


def _mentions(file: str, name: str) -> bool:
    return any(
        line.lstrip().startswith(("class ", "@")) and name in line for line in linecache.getlines(file)
    )
