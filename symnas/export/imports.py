"""Imports in the texts of a program's source: where they lead, and how they are written elsewhere."""

from __future__ import annotations

import ast
import dis
import re
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import CodeType, ModuleType

from symnas.errors import ProgramError
from symnas.export.text_edits import Edit, SourceText
from symnas.frontend.reachability import bound_name
from symnas.grammar import project

ImportNode = ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Unit:
    """The text of one module.

    Args:
        name: full name of the module.
        package: whether it is a package, whose text is that of its `__init__.py`.
        text: its source.
        parent: the package that its relative imports start from, where the name does not say.
    """

    name: str
    package: bool
    text: str
    parent: str = ""

    @classmethod
    def of(cls, module: ModuleType, name: str, text: str) -> Unit:
        """Return the unit of a module with a text in the place of its own."""
        parent = getattr(module, "__package__", None) or ""
        return cls(name, hasattr(module, "__path__"), text, parent)

    @property
    def base(self) -> str:
        """The package that relative imports start from."""
        return self.parent or (self.name if self.package else self.name.rpartition(".")[0])

    def imports(self) -> Iterator[str]:
        """Yield full names of what the text imports; some are no modules."""
        return project.imports(self.text, self.base)

    def origin(self, node: ImportNode, alias: ast.alias) -> tuple[str, str]:
        """Return the module that an import leads to, and the name taken from it, "" for the module itself.

        Raises:
            ProgramError: a relative import leads out of the package.
        """
        if isinstance(node, ast.Import):
            return alias.name, ""
        found = project.absolute("." * node.level + (node.module or ""), self.base)
        if found is None:
            raise ProgramError(
                f"{self.name} line {node.lineno}: `{ast.unparse(node)}` leads out of its package"
            )
        return found, alias.name


def import_nodes(tree: ast.AST) -> Iterator[ImportNode]:
    """Yield all import statements, in functions too."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))


def absolutised(unit: Unit, inside: Collection[str]) -> str:
    """Return a text whose relative imports of modules that are not `inside` are absolute."""
    source = SourceText(unit.text)
    edits = []
    for node in import_nodes(ast.parse(unit.text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            found, _ = unit.origin(node, node.names[0])
            names = {found, *(f"{found}.{alias.name}" for alias in node.names)}
            if names.isdisjoint(set(inside) - {unit.name}) or len(inside) == 1:
                edits.append(moved(source, node, found))
    return source.render((0, len(unit.text)), edits)


def moved(source: SourceText, node: ast.ImportFrom, where: str) -> Edit:
    """Return the edit that lets `from … import` import from elsewhere."""
    start, end = source.span(node)
    found = re.match(r"from[ \t]*[.\w \t]*?[ \t]+(?=import\b)", source.text[start:end])
    assert found is not None
    return Edit(start, start + found.end(), f"from {where} ")


def written(node: ImportNode, where: str, names: list[ast.alias]) -> str:
    """Write an import of some names; of modules, where `where` is empty."""
    listed = ", ".join(map(ast.unparse, names))
    return f"from {where} import {listed}" if isinstance(node, ast.ImportFrom) else f"import {listed}"


def defined(tree: ast.Module) -> set[str]:
    """Return the names that are bound at the top level of a module, in blocks too."""
    names: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {bound_name(alias) for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda):
            pending += ast.iter_child_nodes(node)
    return names


def globals_used(text: str) -> set[str]:
    """Return the global names that a text reads; those of class bodies may be the class's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        pending = [compile(text, "<source>", "exec", dont_inherit=True)]
    names: set[str] = set()
    while pending:
        code = pending.pop()
        for step in dis.get_instructions(code):
            if step.opname.startswith("LOAD") and ("GLOBAL" in step.opname or "NAME" in step.opname):
                names.add(step.argval)
        pending += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return names
