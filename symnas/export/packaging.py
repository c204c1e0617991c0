"""Several modules as a small package: their files, with imports between them that are relative.

The package has the modules under the names that they have: `pkg.net` is `pkg/net.py` in it. Its own
`__init__.py` gives the target.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

from symnas.export.imports import ImportNode, Unit, defined, globals_used, import_nodes, moved
from symnas.export.text_edits import Edit, SourceText
from symnas.frontend.reachability import bound_name


def packaged(units: Mapping[str, Unit], target: str, name: str, added: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a package that has several modules, by their paths.

    Args:
        units: the modules, by their full names.
        target: the module of the target.
        name: the target's name in it.
        added: names that stand in no import of the user's -> the module that defines them.
    """
    files = {}
    packages = {"__init__.py"}
    for unit in units.values():
        path = "main" if unit.name == "__main__" else unit.name.replace(".", "/")
        parts = path.split("/")
        for end in range(1, len(parts)):
            packages.add(f"{'/'.join(parts[:end])}/__init__.py")
        files[f"{path}/__init__.py" if unit.package else f"{path}.py"] = _linked(unit, units, added)
    home = "main" if target == "__main__" else target
    files = {**dict.fromkeys(sorted(packages - set(files)), ""), **files}
    files["__init__.py"] = f"from .{home} import {name}\n\n__all__ = [{name!r}]\n"
    return files


def _linked(unit: Unit, units: Collection[str] | Mapping[str, Unit], added: Mapping[str, str]) -> str:
    """Return a text whose imports of other modules of the package are relative, and of others absolute."""
    tree = ast.parse(unit.text)
    source = SourceText(unit.text)
    edits = []
    for node in import_nodes(tree):
        edit = _import(unit, source, node, units)
        if edit is not None:
            edits.append(edit)
    text = source.render((0, len(unit.text)), edits)
    missing = sorted(
        used for used in globals_used(text) & set(added) - defined(tree) if added[used] != unit.name
    )
    return _with_imports(text, [f"from {_relative(unit, added[used])} import {used}" for used in missing])


def _relative(unit: Unit, module: str) -> str:
    """Spell a module of the package as an import of a unit's does: `.layers`, `..util`."""
    base = _place(unit)
    parts = module.split(".")
    shared = 0
    while shared < min(len(base), len(parts)) and base[shared] == parts[shared]:
        shared += 1
    return "." * (len(base) - shared + 1) + ".".join(parts[shared:])


def _place(unit: Unit) -> list[str]:
    if unit.name == "__main__":
        return []
    parts = unit.name.split(".")
    return parts if unit.package else parts[:-1]


def _import(unit: Unit, source: SourceText, node: ImportNode, units: Collection[str]) -> Edit | None:
    """Return the edit of an import statement, None where it may stay."""
    if isinstance(node, ast.ImportFrom):
        module, _ = unit.origin(node, node.names[0])
        inner = [alias for alias in node.names if f"{module}.{alias.name}" in units]
        if module in units:
            return moved(source, node, _relative(unit, module))
        if not inner:
            return moved(source, node, module) if node.level else None
        # Modules are taken from the package, what else its `__init__` has from where it is.
        others = [alias for alias in node.names if alias not in inner]
        lines = [f"from {_relative(unit, module)} import {', '.join(map(ast.unparse, inner))}"]
        if others:
            lines.append(f"from {module} import {', '.join(map(ast.unparse, others))}")
        return Edit(*source.span(node), f"\n{source.indent(node)}".join(lines))
    lines, plain = [], []
    for alias in node.names:
        if not any(known == alias.name or known.startswith(f"{alias.name}.") for known in units):
            plain.append(alias)
            continue
        parent, _, last = alias.name.rpartition(".")
        top = "." * (len(_place(unit)) + 1)
        head = _relative(unit, parent) if parent else top
        if alias.asname or "." not in alias.name:
            local = alias.asname or last
            lines.append(f"from {head} import {last}" + (f" as {local}" if local != last else ""))
        else:
            # `import a.b` binds a, of which b is then an attribute.
            lines.append(f"from {top} import {bound_name(alias)}")
            lines.append(f"from {head} import {last} as _{last}")
    if not lines:
        return None
    if plain:
        lines.insert(0, f"import {', '.join(map(ast.unparse, plain))}")
    return Edit(*source.span(node), f"\n{source.indent(node)}".join(lines))


def _with_imports(text: str, lines: list[str]) -> str:
    """Put imports behind those at the top of a text."""
    if not lines:
        return text
    source = SourceText(text)
    at = 0
    for position, node in enumerate(ast.parse(text).body):
        docstring = position == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not isinstance(node, (ast.Import, ast.ImportFrom)):
            break
        at = source.line_span(node)[1]
    return f"{text[:at]}{''.join(f'{line}{chr(10)}' for line in lines)}{text[at:]}"
