"""Several modules as one text: their definitions under each other, without the imports between them.

What the target's file needs of others comes behind its imports, dependencies first; the file itself stays
whole. One text has one set of names, so it can be made where

    - a name means the same in every module that uses it,
    - modules are used by their attributes alone (`layers.Block` becomes `Block`),
    - no two modules import each other while they are executed.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from symnas.export.imports import (
    ImportNode,
    Unit,
    absolutised,
    defined,
    globals_used,
    import_nodes,
)
from symnas.export.module_slice import module_slice
from symnas.export.text_edits import Edit, SourceText
from symnas.frontend.call_resolution import local_names
from symnas.frontend.reachability import bound_name

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class ApartError(Exception):
    """Why modules do not make one text."""


def merged(units: Mapping[str, Unit], target: str, added: Mapping[str, str]) -> str:
    """Return one text of several modules.

    Args:
        units: the modules, by their full names.
        target: the one that stays whole.
        added: names that stand in no import of the user's -> the module that defines them.

    Raises:
        ApartError: they do not make one; the message says why.
    """
    order = _order(units, target)
    units = {name: _spelled_out(unit, units) for name, unit in units.items()}
    needed: dict[str, set[str]] = {}
    texts = {target: units[target].text}
    pending = [target]

    def unit(one: str) -> Unit:
        return Unit(one, units[one].package, texts[one], units[one].base)

    while pending:
        one = pending.pop()
        for other, names in _needs(unit(one), units, added, needed.get(one, set())):
            if other != target and (other not in needed or not names <= needed[other]):
                needed.setdefault(other, set())
                needed[other] |= names
                texts[other] = module_slice(units[other].text, needed[other], _entering(units[other], units))
                pending.append(other)
    pieces = {one: _Piece(unit(one), units) for one in order if one in texts}
    _require_one_meaning(pieces)
    return _composed([pieces[one] for one in order if one in pieces and one != target], pieces[target])


def _spelled_out(unit: Unit, units: Mapping[str, Unit]) -> Unit:
    """Return a module with names in the place of `*` where it imports all of another one."""
    tree = ast.parse(unit.text)
    source = SourceText(unit.text)
    edits = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            module, _ = unit.origin(node, node.names[0])
            if module in units:
                names = sorted(globals_used(unit.text) & _handed_on(module, units, set()) - _bound(tree))
                start, end = source.span(node)
                listed = source.text[start:end].replace("*", ", ".join(names))
                edits.append(Edit(start, end, listed) if names else Edit(start, end, f"import {module}"))
    return replace(unit, text=source.render((0, len(unit.text)), edits)) if edits else unit


def _bound(tree: ast.Module) -> set[str]:
    return defined(tree) - {"*"}


def _handed_on(module: str, units: Mapping[str, Unit], seen: set[str]) -> set[str]:
    """Return the names that a module has, those that it imports by `*` from others included."""
    if module in seen:
        return set()
    seen.add(module)
    unit = units[module]
    tree = ast.parse(unit.text)
    names = _bound(tree)
    for node in import_nodes(tree):
        origin, name = unit.origin(node, node.names[0])
        if name == "*" and origin in units:
            names |= _handed_on(origin, units, seen)
    return names


def _order(units: Mapping[str, Unit], target: str) -> list[str]:
    """Return the modules so that each comes behind those that it imports when it is executed."""
    order: list[str] = []
    entered: list[str] = []

    def enter(name: str) -> None:
        if name in order:
            return
        if name in entered:
            raise ApartError(f"{entered[-1]} and {name} import each other")
        entered.append(name)
        unit = units[name]
        tree = ast.parse(unit.text)
        inner = {
            id(part) for node in ast.walk(tree) if isinstance(node, _FUNCTIONS) for part in ast.walk(node)
        }
        for node in import_nodes(tree):
            if id(node) not in inner and not _for_types(tree, node):
                for alias in node.names:
                    for found in _led_to(unit, node, alias, units):
                        if found != name:
                            enter(found)
        entered.pop()
        order.append(name)

    for name in [*(name for name in units if name != target), target]:
        enter(name)
    return [*(name for name in order if name != target), target]


def _for_types(tree: ast.Module, node: ImportNode) -> bool:
    return any(
        isinstance(block, ast.If)
        and "TYPE_CHECKING" in ast.unparse(block.test)
        and any(part is node for part in ast.walk(block))
        for block in tree.body
    )


def _led_to(unit: Unit, node: ImportNode, alias: ast.alias, units: Mapping[str, Unit]) -> Iterator[str]:
    """Yield the modules among `units` that an import executes."""
    module, name = unit.origin(node, alias)
    if f"{module}.{name}" in units:
        yield f"{module}.{name}"
    elif module in units:
        yield module


def _needs(
    unit: Unit, units: Mapping[str, Unit], added: Mapping[str, str], asked: set[str]
) -> Iterator[tuple[str, set[str]]]:
    """Yield what a text, of which some names are asked for, takes from other modules: module and names."""
    tree = ast.parse(unit.text)
    used = asked | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # Type hints may be texts.
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    used |= {word for text in texts if "\n" not in text for word in re.findall(r"[A-Za-z_]\w*", text)}
    for node in import_nodes(tree):
        for alias in node.names:
            module, name = unit.origin(node, alias)
            if name == "*" and module in units:
                yield module, used & defined(ast.parse(units[module].text))
            elif name and f"{module}.{name}" not in units and module in units:
                yield module, {name} if bound_name(alias) in used else set()
            else:
                yield from ((found, set()) for found in _led_to(unit, node, alias, units))
    for _, module, name in _Uses(unit, tree, units).found:
        yield module, {name}
    for name in used & set(added):
        yield added[name], {name}


def _entering(unit: Unit, units: Mapping[str, Unit]) -> Iterator[int]:
    """Yield the positions of statements that enter something into a table of the program's as they run."""
    tree = ast.parse(unit.text)
    ours = set(defined(tree))
    for node in import_nodes(tree):
        for alias in node.names:
            if not any(_led_to(unit, node, alias, units)):
                ours.discard(bound_name(alias))
    for position, statement in enumerate(tree.body):
        run: list[ast.expr] = []
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            run = statement.decorator_list
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            run = [statement.value.func]
        elif isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            yield position
        if any(isinstance(part, ast.Name) and part.id in ours for each in run for part in ast.walk(each)):
            yield position


class _Uses:
    """The places where names are taken from modules: `layers.Block`, `package.layers.Block`.

    Attributes:
        found: (attribute, module, name) for each.
    """

    def __init__(self, unit: Unit, tree: ast.Module, units: Mapping[str, Unit]) -> None:
        self.unit, self.units = unit, units
        self.found: list[tuple[ast.Attribute, str, str]] = []
        self.modules: dict[str, str] = {}
        """Local name -> the module, or the beginning of its name, that it stands for."""
        for node in import_nodes(tree):
            for alias in node.names:
                module, name = unit.origin(node, alias)
                full = f"{module}.{name}" if name else module
                if isinstance(node, ast.ImportFrom) and full in units:
                    self.modules[bound_name(alias)] = full
                elif isinstance(node, ast.Import) and any(
                    known == module or known.startswith(f"{module}.") for known in units
                ):
                    self.modules[bound_name(alias)] = module if alias.asname else module.partition(".")[0]
        if self.modules:
            self._walk(tree, frozenset())

    def _walk(self, node: ast.AST, local: frozenset[str]) -> None:
        if isinstance(node, _FUNCTIONS):
            imported = {
                bound_name(a) for part in ast.walk(node) if isinstance(part, (ast.Import, ast.ImportFrom))
                for a in part.names
            }  # fmt: skip
            local = (local | local_names(node)) - imported
        if isinstance(node, ast.Attribute):
            module = self._module(node.value, local)
            if module in self.units:
                if not isinstance(node.ctx, ast.Load):
                    raise ApartError(f"{self.unit.name} gives {module} the attribute {node.attr!r}")
                if node.attr in local:
                    raise ApartError(
                        f"{self.unit.name} calls something else {node.attr!r} where it uses {module}"
                    )
                self.found.append((node, module or "", node.attr))
                return
            if module is not None and f"{module}.{node.attr}" in self.units:
                return
        if isinstance(node, ast.Name) and node.id in self.modules and node.id not in local:
            raise ApartError(f"{self.unit.name} uses the module {self.modules[node.id]} by itself")
        for child in ast.iter_child_nodes(node):
            self._walk(child, local)

    def _module(self, node: ast.expr, local: frozenset[str]) -> str | None:
        """Return the module, or the beginning of its name, that an expression stands for."""
        if isinstance(node, ast.Name):
            return None if node.id in local else self.modules.get(node.id)
        if isinstance(node, ast.Attribute):
            above = self._module(node.value, local)
            full = f"{above}.{node.attr}"
            if above is not None and any(k == full or k.startswith(f"{full}.") for k in self.units):
                return full
        return None


class _Piece:
    """A module's part of the text.

    Attributes:
        text: without imports of other parts.
        imports: its own imports at the top level, as (local name, where it comes from) -> statement.
        meanings: what each name at its top level means.
        taken: names that mean what another part defines.
    """

    def __init__(self, unit: Unit, units: Mapping[str, Unit]) -> None:
        self.unit = unit
        tree = ast.parse(unit.text)
        source = SourceText(unit.text)
        uses = _Uses(unit, tree, units)
        edits = [Edit(*source.span(node), name) for node, _, name in uses.found]
        self.taken = {name for _, _, name in uses.found}
        free = _removable(tree)
        for node in import_nodes(tree):
            edit = self._without(source, node, units, id(node) in free)
            if edit is not None:
                edits.append(edit)
        text = source.render((0, len(unit.text)), edits)
        self.text = absolutised(Unit(unit.name, unit.package, text, unit.base), [unit.name])
        tree = ast.parse(self.text)
        self.meanings = dict.fromkeys(defined(tree), unit.name)
        for statement in tree.body:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                for alias in statement.names:
                    self.meanings[bound_name(alias)] = _meaning(statement, alias)
        self.used = globals_used(self.text)

    def _without(
        self, source: SourceText, node: ImportNode, units: Mapping[str, Unit], removable: bool
    ) -> Edit | None:
        """Return the edit that leaves of an import what is no part of the text."""
        kept, renamed, gone = [], [], False
        for alias in node.names:
            module, name = self.unit.origin(node, alias)
            if f"{module}.{name}" in units or (
                isinstance(node, ast.Import) and any(k == module or k.startswith(f"{module}.") for k in units)
            ):
                gone = True
            elif module in units:
                gone = True
                if name != "*":
                    self.taken.add(name)
                if alias.asname and alias.asname != name:
                    renamed.append(f"{alias.asname} = {name}")
            else:
                kept.append(alias)
        if not gone:
            return None
        lines = list(renamed)
        if kept:
            listed = ", ".join(map(ast.unparse, kept))
            if isinstance(node, ast.ImportFrom):
                where, _ = self.unit.origin(node, node.names[0])
                lines.insert(0, f"from {where} import {listed}")
            else:
                lines.insert(0, f"import {listed}")
        if not lines and removable:
            return Edit(*source.line_span(node), "")
        indent = source.indent(node)
        return Edit(*source.span(node), f"\n{indent}".join(lines or ["pass"]))


def _removable(tree: ast.Module) -> set[int]:
    """Return the identities of statements that leave others in their block, each on lines of its own."""
    found = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        for _, block in ast.iter_fields(node):
            statements = (
                [item for item in block if isinstance(item, ast.stmt)] if isinstance(block, list) else []
            )
            lines = [item.lineno for item in statements]
            if len(set(lines)) == len(lines) and any(
                not isinstance(item, (ast.Import, ast.ImportFrom)) for item in statements
            ):
                found |= {id(item) for item in statements}
    return found


def _meaning(node: ImportNode, alias: ast.alias) -> str:
    """Spell where an imported name comes from, the same for every way of importing it."""
    if isinstance(node, ast.ImportFrom):
        return f"import {node.module}.{alias.name}"
    return f"import {alias.name if alias.asname else alias.name.partition('.')[0]}"


def _require_one_meaning(pieces: Mapping[str, _Piece]) -> None:
    known: dict[str, tuple[str, str]] = {}
    for name, piece in pieces.items():
        for bound, meaning in piece.meanings.items():
            if bound == "__all__":
                continue
            before = known.setdefault(bound, (name, meaning))
            if before[1] != meaning:
                raise ApartError(f"{bound!r} means one thing in {before[0]} and another in {name}")
    for name, piece in pieces.items():
        # What is not bound here and not taken from another part is built in, or not there; it must stay so.
        for used in piece.used - set(piece.meanings) - piece.taken:
            if used in known and hasattr(builtins, used):
                raise ApartError(
                    f"{used!r} is built in where {name} uses it, and {known[used][0]} defines it"
                )


def _composed(pieces: list[_Piece], target: _Piece) -> str:
    """Put the parts behind the imports of the target's file, their own imports before them."""
    tree = ast.parse(target.text)
    source = SourceText(target.text)
    at, have = 0, set()
    futures = []
    for position, node in enumerate(tree.body):
        docstring = position == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not isinstance(node, (ast.Import, ast.ImportFrom)):
            break
        at = source.line_span(node)[1]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            have |= {(bound_name(alias), _meaning(node, alias)) for alias in node.names}
    imports: list[str] = []
    bodies = []
    for piece in pieces:
        text, own, future = _split(piece.text, have)
        imports += own
        futures += [line for line in future if line not in target.text and line not in futures]
        if text.strip():
            bodies.append(f"# From {piece.unit.name}.\n\n{text.strip()}\n")
    head, rest = target.text[:at].rstrip(), target.text[at:].strip("\n")
    first = _start(tree, source) if futures else 0
    if futures:
        head = "\n".join([head[:first].rstrip(), *futures, head[first:].lstrip()]).strip()
    top = "\n".join([line for line in (head, *imports) if line])
    return "\n\n\n".join([*([top] if top else []), *[body.rstrip() for body in bodies], rest]) + "\n"


def _start(tree: ast.Module, source: SourceText) -> int:
    """Return where statements may begin: behind the docstring."""
    first = tree.body[0] if tree.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return source.line_span(first)[1]
    return 0


def _split(text: str, have: set[tuple[str, str]]) -> tuple[str, list[str], list[str]]:
    """Return a text without its docstring and imports at the top level, and the imports that are new."""
    tree = ast.parse(text)
    source = SourceText(text)
    edits, imports, futures = [], [], []
    for position, node in enumerate(tree.body):
        if position == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            edits.append(Edit(*source.line_span(node), ""))
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        edits.append(Edit(*source.line_span(node), ""))
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            futures.append(ast.unparse(node))
            continue
        new = [alias for alias in node.names if (bound_name(alias), _meaning(node, alias)) not in have]
        have |= {(bound_name(alias), _meaning(node, alias)) for alias in new}
        if new:
            imports.append(ast.unparse(type(node)(**{**dict(ast.iter_fields(node)), "names": new})))
    return source.render((0, len(text)), edits), imports, futures
