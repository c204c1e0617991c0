"""The project that a target lives in, and which of its files lead to choices.

A target's project is its package, from the top-level one down, or the folder of its file where it is in no
package. Installed packages are nobody's project. From the target's file, imports are followed from text to
text, those inside functions too; wanted is what lies on a way to a file with choices:

    wanted = { file : target ->* file ->* file with choices },   -> "imports", within the project

Nothing is imported for this but what the program itself would import while it runs, and that only if it leads
to choices.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from symnas._fingerprint import is_installed

# What may be an annotation or a call that is one; the grammar decides. A text without either has no choices.
_COMMENT = re.compile(r"#[^\n]*\bsearch\s*:", re.IGNORECASE)
_JOINED = re.compile(r"\\\r?\n")
_IMPORT = re.compile(r"(?:^|[;:])[ \t]*import[ \t]+([\w.]+(?:[ \t]+as[ \t]+\w+)?(?:[ \t]*,[^\n;#]+)?)", re.M)
_FROM = re.compile(r"(?:^|[;:])[ \t]*from[ \t]*(\.*[ \t]*[\w.]*)[ \t]+import[ \t]*(\([^)]*\)|[^\n;#]+)", re.M)
_ANY_WAY = re.compile(r"\b(?:import_module|__import__|iter_modules|walk_packages)\b")


@dataclass(frozen=True)
class ProjectFile:
    """A file by the name that it is imported by."""

    name: str
    file: str
    package: bool

    @property
    def text(self) -> str:
        """What stands in it; empty where it cannot be read."""
        try:
            state = Path(self.file).stat()
        except OSError:
            return ""
        return _text(self.file, (state.st_mtime_ns, state.st_ctime_ns, state.st_size))

    @property
    def may_choose(self) -> bool:
        """Whether an annotation or, in what is imported already, the name of this library is in it."""
        called = self.name in sys.modules and "symnas" in self.text
        return called or _COMMENT.search(self.text) is not None

    @property
    def parent(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.package else self.name.rpartition(".")[0]

    def imports(self) -> Iterator[str]:
        """Yield full names of modules that its text imports, and of what may be modules."""
        yield from imports(self.text, self.parent)


class Project:
    """The files that a target may be spread over.

    Args:
        top: the top-level package, or "" where the target is in none.
        folder: the folder of the target's file, or where the package lies.
        loaded: whether modules that are imported count as what they were imported from.
    """

    def __init__(self, top: str, folder: Path, *, loaded: bool = True) -> None:
        self.top = top
        self.folder = folder.resolve()
        self.loaded = loaded

    @classmethod
    def of(cls, module: ModuleType) -> Project | None:
        """Return the project of a module; None where it was installed."""
        file = getattr(module, "__file__", None)
        top = (getattr(module, "__package__", None) or module.__name__.rpartition(".")[0]).partition(".")[0]
        if top == "symnas" or (file is not None and is_installed(file)):
            return None
        # A notebook's cells lie in no file; what they import lies where the notebook runs.
        return cls(top, Path(file).parent if file is not None else Path.cwd())

    def __str__(self) -> str:
        """Name it, for messages."""
        return f"package {self.top!r}" if self.top else f"folder {str(self.folder)!r}"

    def holds(self, found: ProjectFile) -> bool:
        """Whether a file belongs to it."""
        top = found.name.partition(".")[0]
        if top in ("symnas", "__main__") or is_installed(found.file):
            return False
        return top == self.top if self.top else Path(found.file).resolve().is_relative_to(self.folder)

    def find(self, name: str) -> ProjectFile | None:
        """Return the file of a module by its name, without importing anything; None where there is none."""
        known = sys.modules.get(name) if self.loaded else None
        if known is not None:
            file = getattr(known, "__file__", None)
            return ProjectFile(name, file, hasattr(known, "__path__")) if _is_source(file) else None
        path: list[str] | None = [str(self.folder), *sys.path]
        spec = None
        for end in (match.end() for match in re.finditer(r"[^.]+", name)):
            above = sys.modules.get(name[:end]) if self.loaded and end < len(name) else None
            if above is not None:
                path = list(getattr(above, "__path__", []))
                continue
            spec = PathFinder.find_spec(name[:end], path)
            if spec is None:
                return None
            places = spec.submodule_search_locations
            path = None if places is None else list(places)
            if path is None and end < len(name):
                return None
        if spec is None or not _is_source(spec.origin):
            return None
        return ProjectFile(name, str(spec.origin), spec.submodule_search_locations is not None)

    def wanted(self, start: ProjectFile | str, package: str = "") -> list[ProjectFile]:
        """Return the files of the project that lie on a way from a file to choices, that file aside.

        Args:
            start: the target's file, or the text of what lies in none.
            package: the package that relative imports of a text start from.
        """
        files: dict[str, ProjectFile] = {}
        used: dict[str, list[str]] = {}
        names = list(imports(start, package) if isinstance(start, str) else start.imports())
        first = names
        own = "" if isinstance(start, str) else start.name
        if _ANY_WAY.search(start if isinstance(start, str) else start.text):
            names = [*names, *self._imported()]
            first = names
        pending = list(names)
        while pending:
            name = pending.pop(0)
            if name in used or name == own:
                continue
            used[name] = []
            found = self.find(name)
            if found is None or not self.holds(found):
                continue
            files[name] = found
            used[name] = [*found.imports(), *(self._imported() if _ANY_WAY.search(found.text) else ())]
            pending += used[name]
        # Backwards, from those with choices to whatever imports one that is wanted. Where one of these enters
        # something into another file's table as it is executed, whoever uses the table is wanted, too.
        wanted = {name for name, found in files.items() if found.may_choose}
        asked: set[str] = set()
        grown = bool(wanted)
        while grown:
            more = {name for name in files if name not in wanted and not wanted.isdisjoint(used[name])}
            for name in wanted - asked:
                more |= {
                    found for found in registries(files[name].text, files[name].parent) if found in files
                }
            asked |= wanted
            grown = not more <= wanted
            wanted |= more
        reachable = _reachable(first, used, wanted)
        # One file may have been imported under two names; the one that the target says comes first.
        ways: dict[str, ProjectFile] = {}
        for name, found in files.items():
            if name in reachable:
                ways.setdefault(found.file, found)
        return list(ways.values())

    def _imported(self) -> list[str]:
        """Return the names of all modules of the project that are imported."""
        names = []
        for name, module in sys.modules.copy().items():
            file = getattr(module, "__file__", None)
            if _is_source(file) and self.holds(ProjectFile(name, file, False)):
                names.append(name)
        return names if self.loaded else []

    def load(self, found: ProjectFile) -> ModuleType | None:
        """Return a file's module, imported if it is not yet; None where it cannot be."""
        if found.name in sys.modules:
            return sys.modules[found.name]
        added = str(self.folder) not in sys.path and not self.top
        if added:
            sys.path.insert(0, str(self.folder))
        try:
            return importlib.import_module(found.name)
        except Exception:  # the program itself may never import it, and says so if it does
            return None
        finally:
            if added and str(self.folder) in sys.path:
                sys.path.remove(str(self.folder))


def imports(text: str, package: str) -> Iterator[str]:
    """Yield full names of modules that a text imports, and of names in modules, which may be modules.

    Args:
        text: Python source.
        package: the package that its relative imports start from.
    """
    text = _JOINED.sub(" ", text)
    for listed in _IMPORT.findall(text):
        for item in listed.split(","):
            # `import a.b.c` runs and leads through a and a.b as well, unless it is renamed.
            name, _, renamed = item.strip().partition(" as ")
            name = name.strip()
            if not renamed:
                yield from (name[: match.start()] for match in re.finditer(r"\.", name))
            yield name
    for where, listed in _FROM.findall(text):
        base = absolute(where.replace(" ", ""), package)
        if base is None:
            continue
        if base:
            yield base
        for item in re.sub(r"#[^\n]*", "", listed).strip("() \t\n").split(","):
            name = item.strip().partition(" ")[0]
            if name.isidentifier():
                yield f"{base}.{name}" if base else name


def registries(text: str, package: str) -> set[str]:
    """Return names of modules, and in modules, of which a text uses decorators, functions, tables as it runs.

    Args:
        text: Python source.
        package: the package that its relative imports start from.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return set()
    origins: dict[str, str] = {}
    used: set[str] = set()
    for node in body:
        run: list[ast.AST] = []
        if isinstance(node, ast.Import):
            origins |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = absolute("." * node.level + (node.module or ""), package) or ""
            origins |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            run = list(node.decorator_list)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            run = [node.value.func]
        elif isinstance(node, ast.Assign):
            run = [target for target in node.targets if isinstance(target, ast.Subscript)]
        used |= {part.id for each in run for part in ast.walk(each) if isinstance(part, ast.Name)}
    found = {origins[name] for name in used & set(origins)}
    return found | {name.rpartition(".")[0] for name in found}


def absolute(name: str, package: str) -> str | None:
    """Return the full name of what `from NAME import` says in a package; None where it leads out of it."""
    plain = name.lstrip(".")
    level = len(name) - len(plain)
    if level == 0:
        return plain
    parts = package.split(".") if package else []
    if level > len(parts):
        return None
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{plain}" if plain else base


def package_of(path: Path, text: str) -> tuple[Path, str]:
    """Return the folder that the package of a file lies in, and the file's full name there.

    A folder is a package if `__init__.py` is in it, or where the file's own relative imports say so.
    """
    level = max((len(dots) for dots in re.findall(r"^[ \t]*from[ \t]+(\.+)", text, re.M)), default=0)
    names = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() or level > 0:
        if not folder.name.isidentifier():
            break
        names.insert(0, folder.name)
        folder, level = folder.parent, level - 1
    return folder, ".".join(names)


def needs_package(text: str, name: str) -> bool:
    """Whether a file of this full name imports other files of its package."""
    top, dots, _ = name.partition(".")
    relative = re.search(r"^[ \t]*from[ \t]+\.", text, re.M) is not None
    return relative or (bool(dots) and any(found.partition(".")[0] == top for found in imports(text, "")))


def _reachable(names: Iterable[str], used: dict[str, list[str]], wanted: set[str]) -> set[str]:
    """Return the wanted modules that are reached through wanted ones."""
    reached: set[str] = set()
    pending = [name for name in names if name in wanted]
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending += [inner for inner in used[name] if inner in wanted]
    return reached


def _is_source(file: str | None) -> TypeGuard[str]:
    return file is not None and file.endswith(".py")


@functools.lru_cache(maxsize=4096)
def _text(file: str, changed: tuple[int, ...]) -> str:  # noqa: ARG001  (it is part of the key)
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
