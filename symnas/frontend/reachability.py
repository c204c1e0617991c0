"""Which statements of a program's sources its target reaches, decided before anything runs.

A class body, a module constant or a parameter's default is evaluated whenever its module is, used or not; so
choices there are the target's only if the target leads to them. Names are followed from statement to
statement: through functions, classes, bases, decorators, defaults, annotations, candidates and imports
between the sources. What fills a table that the target reads (a decorator that registers, `TABLE["x"] = …`)
is reached with the table. Code that finds things without their names (`globals()`, `eval`) reaches
everything.

    reached = the least set that holds the statements defining the target, with each statement those that
              define a name in it, and with each table those that change it when they are executed

A statement counted too many costs a point that nothing depends on; one too few would lose a choice. So where
the text leaves doubt, a statement is reached.
"""

from __future__ import annotations

import ast
import dis
import functools
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from symnas.frontend.sites import Site
from symnas.grammar.project import absolute

_HIDDEN = frozenset({"globals", "eval", "exec", "vars", "import_module", "modules"})
_HIDDEN_PARTS = frozenset({"__subclasses__", "import_module"})
_ELSEWHERE = frozenset({*sys.stdlib_module_names, "torch", "numpy", "symnas"})
_READING = frozenset({"get", "items", "keys", "values", "index", "count", "copy"})
_HOOKS = frozenset({"__init_subclass__", "__new__"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)


class SourceOutline:
    """One source of a program, as far as reachability needs it.

    Args:
        file: its name, as code objects carry it.
        module: name of the module that it defines.
        tree: its tree.
        sites: its sites, whose candidates may be evaluated too.
        package: the package that its relative imports start from.
        names: where names come from that are imported elsewhere, in another cell: as `origins`.
    """

    def __init__(
        self,
        file: str,
        module: str,
        tree: ast.Module,
        sites: Iterable[Site],
        package: str | None = None,
        names: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self.file, self.module = file, module
        self.package = package if package is not None else module.rpartition(".")[0]
        self.imported: dict[str, str] = {}
        """Local name -> name of what was imported, modules included."""
        self.origins: dict[str, list[tuple[str, str]]] = {}
        """Local name -> modules that it may come from, each with the name there; "" is the module itself."""
        for node in ast.walk(tree):
            if isinstance(node, _IMPORTS):
                for alias in node.names:
                    self.imported[bound_name(alias)] = alias.name
                    self.origins.setdefault(bound_name(alias), []).append(self.origin(node, alias))
        for name, origin in (names or {}).items():
            self.origins.setdefault(name, []).append(origin)
        sites = list(sites)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # it was given when the module was imported
            self.statements = [Statement(self, node, sites) for node in tree.body]

    def origin(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> tuple[str, str]:
        """Return the full name of the module that an import leads to, and the name that it takes from it."""
        if isinstance(node, ast.Import):
            return alias.name, ""
        return absolute("." * node.level + (node.module or ""), self.package) or "", alias.name


class Statement:
    """A statement of a module: what it binds, and what the code in it refers to."""

    def __init__(self, source: SourceOutline, node: ast.stmt, sites: Iterable[Site]) -> None:
        self.source, self.node = source, node
        # `table.update(…)` gives the table something; a bare call on a module (torch.manual_seed(0)) does
        # not.
        self.binds = binds(node) - (set(source.imported) if isinstance(node, ast.Expr) else set())
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        self.lines = range(first, (node.end_lineno or node.lineno) + 1)
        self.names: set[str] = set()
        """Global names that are read."""
        self.parts: set[str] = set()
        """Attributes that are read, and what functions import."""
        if not isinstance(node, _IMPORTS):
            # The compiler knows which names are global, which no walk over the tree does so well.
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            self._read(compile(ast.Module([node], []), source.file, "exec", flags, dont_inherit=True))
        # Candidates written in comments are not in the statement's own code.
        for site in sites:
            if site.location.line in self.lines:
                for candidate in site.candidates:
                    self.names |= _loaded(candidate.expr)
                    self.parts |= {n.attr for n in ast.walk(candidate.expr) if isinstance(n, ast.Attribute)}

    def _read(self, code: CodeType) -> None:
        for step in dis.get_instructions(code):
            if step.opname.startswith("LOAD") and ("GLOBAL" in step.opname or "NAME" in step.opname):
                self.names.add(step.argval)
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"):
                self.parts.add(step.argval)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._read(constant)

    @property
    def script(self) -> bool:
        """Whether it is what the file does as a script."""
        return isinstance(self.node, ast.If) and "__name__" in _loaded(self.node.test)


class Reachability:
    """What a program's target reaches.

    Args:
        sources: all sources of the program.
        target: the class or function.
        given: what it is called with; classes and functions among it are reached too.
    """

    def __init__(self, sources: Iterable[SourceOutline], target: Any, given: Iterable[Any] = ()) -> None:
        self._sources: dict[str, list[SourceOutline]] = {}
        for source in sources:
            self._sources.setdefault(source.module, []).append(source)
        self.statements = [
            s for group in self._sources.values() for source in group for s in source.statements
        ]
        self.modules = {name.rpartition(".")[2] for name in self._sources}
        self._by_name: dict[str, list[Statement]] = {}
        self._in_module: dict[tuple[str, str], list[Statement]] = {}
        for statement in self.statements:
            for name in statement.binds:
                self._by_name.setdefault(name, []).append(statement)
                self._in_module.setdefault((statement.source.module, name), []).append(statement)
        self._changed = {statement: self._change(statement) for statement in self.statements}
        roots = self._roots(target)
        others = [root for value in given for part in _parts(value) for root in self._roots(part)]
        self.reached = self._closure([*roots, *others])
        if not roots or any(self._looks_around(statement) for statement in self.reached):
            self.reached = set(self.statements)
        self.made_before = self._made_before(cls for value in given for cls in _classes_of(value))

    def _made_before(self, classes: Iterable[type]) -> list[Statement]:
        """Return the definitions of given instances' classes that nothing else which is reached makes."""
        named = {
            s: cls.__qualname__
            for cls in classes
            for s in (self._roots(cls) if "." not in cls.__qualname__ else ())
            if isinstance(s.node, ast.ClassDef)
        }
        used = {s: _used(s.node) for s in self.reached} if named else {}
        while named:
            # A class in the fields of another one that is given was made with it, unless others name it, too.
            again = {s for s, name in named.items() if any(name in used[o] for o in used if o not in named)}
            if not again:
                break
            named = {s: name for s, name in named.items() if s not in again}
        return [*named]

    def reaches(self, file: str) -> bool:
        """Whether anything of a source is reached."""
        return any(s.source.file == file for s in self.reached)

    def names(self, file: str) -> set[str]:
        """Return the global names that what is reached of a source refers to."""
        return {name for s in self.reached if s.source.file == file for name in s.names}

    def parts(self, file: str) -> set[str]:
        """Return the names of the attributes that what is reached of a source refers to."""
        return {name for s in self.reached if s.source.file == file for name in s.parts}

    def unreached(self, file: str) -> list[ast.stmt]:
        """Return the statements of a source that the target does not reach."""
        return [s.node for s in self.statements if s.source.file == file and s not in self.reached]

    def _roots(self, value: Any) -> list[Statement]:
        """Return the statements that define a class or function."""
        name = str(getattr(value, "__qualname__", "")).partition(".")[0]
        home = getattr(value, "__module__", None)
        found = [s for s in self._by_name.get(name, ()) if s.source.module == home]
        if isinstance(value, FunctionType):
            file, line = value.__code__.co_filename, value.__code__.co_firstlineno
            found += [s for s in self.statements if s.source.file == file and line in s.lines]
        return found

    def _closure(self, roots: Iterable[Statement]) -> set[Statement]:
        reached: set[Statement] = set()
        pending = list(roots)
        while pending:
            statement = pending.pop()
            if statement not in reached:
                reached.add(statement)
                pending += self._used(statement)
            # Tables are asked about when no name leads further: a changer may lead to other tables.
            if not pending:
                pending += self._changers(reached)
        return reached

    def _used(self, statement: Statement) -> Iterator[Statement]:
        for name in statement.names:
            yield from self._named(statement, name)
        # What a function imports is local to it, so the compiler does not count it among its global names.
        within = [
            (node, alias)
            for node in ast.walk(statement.node)
            if isinstance(node, _IMPORTS) and node is not statement.node
            for alias in node.names
        ]
        modules = {m for name in statement.names for m in self._modules_of(statement.source, name)}
        for node, alias in within:
            module, name = statement.source.origin(node, alias)
            if name:
                yield from self._from(module, name, statement.source.module, set())
            modules |= self._covered(module, name)
        # `layers.Block` is followed where `layers` is a module of the program; of other things an attribute
        # tells no definition.
        for name in statement.parts if modules else ():
            for module in modules:
                yield from self._define(module, name, set())

    def _named(self, user: Statement, name: str) -> list[Statement]:
        """Return the statements that may define what a name stands for."""
        return self._define(user.source.module, name, set())

    def _define(self, module: str, name: str, seen: set[tuple[str, str]]) -> list[Statement]:
        """Return the statements that define a name of a module, those that hand it on included."""
        if (module, name) in seen:
            return []
        seen.add((module, name))
        found = list(self._in_module.get((module, name), ()))
        sources = self._sources[module]
        for origin, original in (o for source in sources for o in source.origins.get(name, ())):
            if original and original != "*":
                found += self._from(origin, original, module, seen)
        if not found:
            for origin, _ in (o for source in sources for o in source.origins.get("*", ())):
                found += self._from(origin, name, module, seen)
        return found

    def _from(self, module: str, name: str, user: str, seen: set[tuple[str, str]]) -> list[Statement]:
        """Return the statements that define what `from module import name` takes."""
        if module in self._sources:
            found = self._define(module, name, seen)
            if found or f"{module}.{name}" in self._sources:
                return found
        if module.partition(".")[0] in _ELSEWHERE:
            return []
        # A module that is none of the program's may hand on what one of them defines.
        return [s for s in self._by_name.get(name, ()) if s.source.module != user]

    def _modules_of(self, source: SourceOutline, name: str) -> set[str]:
        """Return the modules of the program that a name may stand for or lead to."""
        origins = [o for one in self._sources[source.module] for o in one.origins.get(name, ())]
        return {found for module, original in origins for found in self._covered(module, original)}

    def _covered(self, module: str, name: str) -> set[str]:
        if name:
            module = f"{module}.{name}" if module else name
            return {module} & set(self._sources) or self._called(name)
        # `import a.b` binds a, which leads to all that is imported below it.
        below = {known for known in self._sources if known == module or known.startswith(f"{module}.")}
        top = module.partition(".")[0]
        beside = {known for known in self._sources if known.startswith(f"{top}.") or known == top}
        return below | beside or self._called(module.rpartition(".")[2])

    def _called(self, name: str) -> set[str]:
        """Return the modules whose last name this is; files that were loaded by their path go by it."""
        return {known for known in self._sources if known.rpartition(".")[2] == name}

    def _is_module(self, statement: Statement, name: str) -> bool:
        return bool(self._modules_of(statement.source, name))

    def _looks_around(self, statement: Statement) -> bool:
        """Whether the code may find definitions without naming them."""
        names, parts = statement.names, statement.parts
        if names & _HIDDEN or parts & _HIDDEN_PARTS or ("modules" in parts and "sys" in names):
            return True
        return any(
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "getattr"
            and call.args
            and any(self._is_module(statement, name) for name in _loaded(call.args[0]))
            for call in ast.walk(statement.node)
        )

    # -- tables that other statements fill -----------------------------------------------------------

    def _changers(self, reached: set[Statement]) -> list[Statement]:
        """Return the statements that change a reached table when they are executed."""
        tables = {
            name
            for statement in reached
            if not isinstance(statement.node, (ast.FunctionDef, ast.AsyncFunctionDef, *_IMPORTS))
            for name in statement.binds - set(statement.source.imported)
        }
        return [s for s in self.statements if s not in reached and not s.script and self._changed[s] & tables]

    def _change(self, statement: Statement) -> set[str]:
        """Return the names of what executing a statement may change, by what it calls."""
        node = statement.node
        if isinstance(node, _IMPORTS):
            return set()
        # Of a definition only the decorators, bases and keywords are executed with it, not the body.
        run: list[ast.AST] = [node]
        if isinstance(node, _DEFINITIONS):
            run = [*node.decorator_list, *getattr(node, "bases", ()), *getattr(node, "keywords", ())]
        changed: set[str] = set()
        for part in run:
            changed |= _changes(part)
            changed |= {n.value.id for n in ast.walk(part)
                        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
                        and isinstance(node, _DEFINITIONS)}  # fmt: skip
        seen: set[Statement] = set()
        pending = [s for part in run for name in _loaded(part) for s in self._named(statement, name)]
        while pending:
            found = pending.pop()
            if found in seen:
                continue
            seen.add(found)
            # What is called changes what its own body changes: a decorator that registers, a base class whose
            # `__init_subclass__` does.
            if isinstance(found.node, ast.ClassDef):
                hooks = [item for item in found.node.body if getattr(item, "name", None) in _HOOKS]
                if hooks:
                    changed |= {found.node.name, *(name for hook in hooks for name in _changes(hook))}
                bases = [*found.node.bases, *found.node.keywords]
                pending += [s for base in bases for name in _loaded(base) for s in self._named(found, name)]
            elif isinstance(found.node, _DEFINITIONS):
                changed |= _changes(found.node)
                pending += [s for name in found.names for s in self._named(found, name)
                            if isinstance(s.node, (ast.FunctionDef, ast.AsyncFunctionDef))]  # fmt: skip
        return changed


def binds(statement: ast.stmt) -> set[str]:
    """Return the names that a statement defines or changes."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    if isinstance(statement, _IMPORTS):
        return {bound_name(alias) for alias in statement.names}
    bound = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    # TABLE["x"] = 1 and TABLE.update(…) give TABLE what those who use it need.
    for node in ast.walk(statement):
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            bound |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        function = statement.value.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            bound.add(function.value.id)
    return bound


def bound_name(alias: ast.alias) -> str:
    """Return the local name that an import gives."""
    return alias.asname or alias.name.partition(".")[0]


def evaluated(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes that are evaluated with a definition itself: all but the bodies of functions."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, _FUNCTIONS):
            pending += [node.args, *getattr(node, "decorator_list", ())]
        else:
            pending += ast.iter_child_nodes(node)


def fixed_with_an_instance(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a class that say what an instance holds once it is made.

    These are its attributes, and the defaults of what makes it; defaults of its other methods count whenever
    they are called.
    """
    assert isinstance(statement, ast.ClassDef)
    for part in statement.body:
        if isinstance(part, _FUNCTIONS):
            if part.name in ("__init__", "__new__", "__post_init__"):
                yield from ast.walk(part.args)
        else:
            yield from ast.walk(part)


def _used(node: ast.AST) -> set[str]:
    """Return the names that a piece of code refers to, type hints and `isinstance` aside."""
    found: set[str] = set()
    pending: list[ast.AST] = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Attribute):
            found.add(part.attr)
        if isinstance(part, ast.arg):
            continue
        if isinstance(part, ast.AnnAssign):
            pending += [part.target, *([part.value] if part.value else [])]
        elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            pending += [*part.body, *part.decorator_list, part.args]
        elif isinstance(part, ast.Call) and ast.unparse(part.func) in ("isinstance", "issubclass"):
            pending += part.args[:1]
        else:
            pending += ast.iter_child_nodes(part)
    return found


def _loaded(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _changes(node: ast.AST) -> set[str]:
    """Return the names of variables whose contents a piece of code may change."""
    changed: set[str] = set()
    called = {id(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
    for part in ast.walk(node):
        if isinstance(part, ast.Global):
            changed |= set(part.names)
        elif isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.ctx, ast.Store):
            changed |= _loaded(part.value)
        elif isinstance(part, ast.Attribute) and part.attr not in _READING and id(part) in called:
            changed |= {part.value.id} if isinstance(part.value, ast.Name) else set()
    return changed


def _classes_of(value: Any, depth: int = 4) -> Iterator[type]:
    """Yield the classes of the instances in an argument."""
    held: Iterable[Any] = ()
    if isinstance(value, (type, FunctionType, ModuleType)):
        return
    if isinstance(value, MethodType):
        held = [value.__self__]
    elif isinstance(value, functools.partial):
        held = [*value.args, *value.keywords.values()]
    elif isinstance(value, Mapping):
        held = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = value
    elif type(getattr(value, "__dict__", None)) is dict:
        held = vars(value).values()
    yield type(value)
    # A configuration may hold others: a few levels deep, which is as deep as such things are.
    for item in held if depth else ():
        yield from _classes_of(item, depth - 1)


def _parts(value: Any) -> Iterator[Any]:
    """Yield the classes and functions in an argument; those of its instances count."""
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, functools.partial):
        yield from _parts([value.func, value.args, value.keywords])
    elif isinstance(value, (type, FunctionType)):
        yield value
    else:
        yield value.__func__ if isinstance(value, MethodType) else type(value)
