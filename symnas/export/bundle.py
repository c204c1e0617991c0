"""The files of a program's source: which of the user's files they are made of, as one text or as a package.

The files in which a run chose something are written out, with those that lead there by imports. Of what else
they import, a package that lies on Python's path is imported by its full name, and files of one that does not
are written out too, since nothing else would find them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from symnas.errors import ProgramError
from symnas.export.imports import Unit, absolutised, defined, globals_used
from symnas.export.merging import ApartError, merged
from symnas.export.module_slice import completed, module_slice
from symnas.export.packaging import packaged
from symnas.export.text_edits import Edit, SourceText
from symnas.frontend.reachability import bound_name
from symnas.frontend.sources import origins_of
from symnas.grammar.project import Project
from symnas.grammar.text.passage import lines_of

if TYPE_CHECKING:
    from symnas.frontend.source_set import SourceFile, SourceSet


@dataclass(frozen=True)
class SourceFiles:
    """A program's source, as files that import nothing of SymNAS.

    Args:
        files: text by path; one file, or those of a package, which import each other relatively.
        module: name of the target's module within the package; "" of one file.
        target: the target's qualified name in its module.
        why_several: what keeps the files from being one text.
    """

    files: Mapping[str, str]
    module: str
    target: str
    why_several: str = ""

    @classmethod
    def of_one(cls, module: ModuleType, text: str, qualname: str) -> SourceFiles:
        """Return a single file, called as the module's is."""
        name = Path(getattr(module, "__file__", None) or "model.py").name
        return cls({"model.py" if name == "__init__.py" else name: text}, "", qualname)


def bundle(
    source_set: SourceSet, own: SourceFile, texts: Mapping[str, str], added: Mapping[str, str], qualname: str
) -> SourceFiles:
    """Put the texts of a program's files together.

    Args:
        source_set: the code of the program.
        own: the target's file.
        texts: by file, without choices.
        added: names that were given to further bodies, with the file that each is defined in.
        qualname: the target's qualified name.

    Raises:
        ProgramError: a text needs SymNAS for more than choices.
    """
    home = _called(own.module)
    units = _units(source_set, own, texts)
    homes = {file: _called(source.module) for file, source in source_set.files.items()}
    names = {name: homes[file] for name, file in added.items()}
    top = qualname.partition(".")[0]
    part = home == "__main__" or not own.file.endswith(".py")
    if len(units) == 1:
        text = absolutised(units[home], units)
    else:
        try:
            text = merged(units, home, names)
        except ApartError as apart:
            made = {path: without_symnas(text) for path, text in packaged(units, home, top, names).items()}
            return SourceFiles(made, home if home != "__main__" else "main", qualname, str(apart))
    # A file stays whole, of a script or notebook a slice is kept.
    if part:
        text = without_symnas(completed(module_slice(text, [top]), vars(own.module)))
        return SourceFiles.of_one(own.module, text, qualname)
    try:
        text = without_symnas(text)
    except ProgramError:
        # Something else in the file needs SymNAS; the model may not.
        text = without_symnas(module_slice(text, [top]))
    return SourceFiles.of_one(own.module, text, qualname)


def _units(source_set: SourceSet, own: SourceFile, texts: Mapping[str, str]) -> dict[str, Unit]:
    """Return what is written out, by module; the cells of a notebook are one."""
    units: dict[str, Unit] = {}
    for source in source_set.files.values():
        module, text = source.module, texts[source.file]
        known = units.get(_called(module))
        if known is not None:
            text = f"{known.text.rstrip()}\n\n\n{text}"
        units[_called(module)] = Unit.of(module, _called(module), text)
    home = own.module
    if getattr(home, "__file__", None) is None:
        # What one cell imports and others use.
        unit = units[home.__name__]
        free = globals_used(unit.text) - defined(ast.parse(unit.text))
        lines = [
            f"from {module} import {name} as {local}" if name else f"import {module} as {local}"
            for local, (module, name) in origins_of(home).items()
            if local in free and module in units and "." not in name
        ]
        units[home.__name__] = replace(unit, text="\n".join([*lines, unit.text]))
    project = Project.of(own.module)
    if project is None or not project.top or _importable(project):
        return units
    pending = list(units.values())
    while pending:
        for name in pending.pop().imports():
            found = project.find(name) if name not in units else None
            if found is not None and project.holds(found):
                units[name] = Unit(found.name, found.package, found.text)
                pending.append(units[name])
    return units


def _called(module: ModuleType) -> str:
    """Return what imports call a module; one that was loaded by its path may have a digest in its name."""
    file = getattr(module, "__file__", None)
    by_path = "__symnas_source__" in vars(module) and not module.__package__
    return Path(file).stem if by_path and file else module.__name__


def _importable(project: Project) -> bool:
    """Whether another process finds the package as this one did."""
    top = sys.modules.get(project.top)
    places = {str(Path(place).resolve()) for place in getattr(top, "__path__", ())}
    for finder in sys.meta_path:
        spec = finder.find_spec(project.top, None) if hasattr(finder, "find_spec") else None
        if spec is not None:
            found = {str(Path(place).resolve()) for place in spec.submodule_search_locations or ()}
            return bool(found & places)
    return False


def imported_as(tree: ast.Module) -> dict[str, str]:
    """Return what imports call things: local name -> name where it is defined, "" for a module's own."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {bound_name(alias): "" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {bound_name(alias): alias.name for alias in node.names}
    return names


def without_symnas(text: str) -> str:
    """Return a module's text without imports of SymNAS and without the module-level statements that use them.

    Raises:
        ProgramError: a function or class uses SymNAS for something that is not a choice.
    """
    source = SourceText(text)
    tree = ast.parse(text)
    bound: set[str] = set()
    edits: list[Edit] = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        # all of its names are ours    its lines go; inside a function or class it becomes `pass`
        # some are                     the import of the others stays
        kept = [alias for alias in node.names if not _is_ours(node, alias)]
        if len(kept) == len(node.names):
            continue
        bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names if alias not in kept}
        if kept:
            edits.append(Edit(*source.span(node), f"import {', '.join(map(ast.unparse, kept))}"))
        elif node in tree.body:
            edits.append(Edit(*source.line_span(node), ""))
        else:
            edits.append(Edit(*source.span(node), "pass"))
    for statement in tree.body:
        used = [n for n in ast.walk(statement) if isinstance(n, ast.Name) and n.id in bound]
        if not used:
            continue
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            line = lines_of(text)[used[0].lineno - 1].strip()
            raise ProgramError(
                f"standalone source must not need SymNAS, and `{statement.name}` uses {used[0].id!r} for "
                f"more than a choice that the run met: {line!r}; move that use out of the model's code"
            )
        edits.append(Edit(*source.line_span(statement), ""))
    return source.render((0, len(text)), edits).strip("\n") + "\n"


def _is_ours(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    module = alias.name if isinstance(node, ast.Import) else node.module or ""
    return module.partition(".")[0] == "symnas" and not getattr(node, "level", 0)
