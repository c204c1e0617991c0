"""All code that a program covers: sources, read and placed; functions, with their instrumented code.

A `SourceSet` is made in this order: its functions are collected (`sources`), the files they were written in
are read (`symnas.grammar`), statements that the target does not reach are left out (`reachability`), the
names that may lead to a point are found over all files (`call_resolution`), every file is walked for the
places of sites, loops and calls (`addressing`), and each function is bound to its place. Its code is
instrumented and compiled when a run first needs it (`FunctionBinding.swap`), once for each second pass over
the tree.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from symnas.errors import AnnotationError, Location, ProgramError
from symnas.frontend.addressing import Walker
from symnas.frontend.call_resolution import CALLED, CallResolution, reaching_names
from symnas.frontend.code_objects import References, compile_function, compile_module, find_code
from symnas.frontend.code_swapping import AttributeSwap, Swap
from symnas.frontend.depth import deep
from symnas.frontend.instrumentation import Instrumenter
from symnas.frontend.operations import Missing
from symnas.frontend.reachability import (
    Reachability,
    SourceOutline,
    binds,
    evaluated,
    fixed_with_an_instance,
)
from symnas.frontend.record_classes import (
    VALUES,
    EarlyStatement,
    RecordClass,
    assigned,
    called_at_import,
    constructors,
    early_statements,
    find,
    record_classes,
)
from symnas.frontend.sites import Function, Site, site_of
from symnas.frontend.sources import caches_of, cells_of, functions_of, origins_of, source_of
from symnas.frontend.turn_counts import mark_loops_of_data
from symnas.grammar.attachment.annotation import Annotation
from symnas.grammar.module import ParsedModule, parse_module
from symnas.grammar.project import imports, registries
from symnas.grammar.requirements import unknown_names

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Transform = Callable[[Function, Any], Any]
"""A second pass over an instrumented tree, before it is compiled."""


@dataclass(eq=False)
class SourceFile:
    """One source of a program: a file, or a notebook's cell.

    Args:
        file: its name, as code objects carry it.
        parsed: its tree and annotations.
        module: the module that its functions live in.
        root: the module's own statements; every function of the source is below it.
    """

    file: str
    text: str
    parsed: ParsedModule
    module: ModuleType
    sites: list[Site]
    root: Function
    walker: Walker
    instrumenter: Instrumenter
    records: Mapping[int, RecordClass] = field(default_factory=dict)
    """Classes whose fields are parameters' defaults, by the identity of the statement."""
    unreached: frozenset[int] = frozenset()
    """Identities of the nodes of statements that the target does not reach."""
    again: set[int] = field(default_factory=set)
    """Of a script or a cell, identities of assignments that use what is chosen when it is executed."""
    _compiled: dict[int, tuple[object, CodeType]] = field(default_factory=dict)
    _values: dict[int, tuple[object, CodeType]] = field(default_factory=dict)

    @property
    def definitions(self) -> list[Site]:
        """Sites in class bodies and module statements: evaluated when the definition is, once per build."""
        return [
            site
            for site in self.sites
            if site.definition and site.role != "parameter" and site.parent is None
        ]

    def reaches(self, site: Site) -> bool:
        """Whether a site stands in a definition that the target reaches."""
        while site.parent is not None:
            site = site.parent
        return id(site.node) not in self.unreached

    def code(self, references: References, transform: Transform | None = None, *, whole: bool) -> CodeType:
        """Return its instrumented statements (compiled once for each transform).

        Args:
            references: what the code refers to.
            transform: a second pass over the tree.
            whole: as for `Instrumenter.module`.
        """
        # The transform is kept with the code, so that no other one gets its identity.
        if id(transform) not in self._compiled:
            tree = self.instrumenter.module(self.root, whole=whole, again=self.again)
            if transform is not None:
                tree = transform(self.root, tree)
            self._compiled[id(transform)] = transform, compile_module(tree, self.file, references)
        return self._compiled[id(transform)][1]

    def values_code(
        self,
        references: References,
        transform: Transform | None,
        statements: list[EarlyStatement],
    ) -> CodeType:
        """Return code that makes the choices of some statements alone (compiled once for each transform)."""
        key = id(transform)
        if key not in self._values:
            named = {f"{each.owner}.{each.name}": each.node for each in statements}
            tree = self.instrumenter.values(self.root, VALUES, named)
            if transform is not None:
                tree = transform(self.root, tree)
            self._values[key] = transform, compile_module(tree, self.file, references)
        return self._values[key][1]

    def definitions_only(self) -> list[ast.stmt]:
        """Return what defines something: of a file everything; a cell may also hold the search itself."""
        whole = getattr(self.module, "__file__", None) == self.file
        return [
            node
            for node in self.parsed.tree.body
            if whole or id(node) in self.again or self.instrumenter.defines(node)
        ]

    def text_of_definitions(self) -> str:
        """Return the text with everything blanked that defines nothing, line numbers kept."""
        lines = self.text.splitlines(keepends=True)
        kept = {id(node) for node in self.definitions_only()}
        for node in self.parsed.tree.body:
            if id(node) not in kept:
                for line in range(node.lineno - 1, node.end_lineno or node.lineno):
                    lines[line] = "\n"
        return "".join(lines)


@dataclass(eq=False)
class FunctionBinding:
    """A function of the user's, its place in the text and its own code."""

    function: FunctionType
    record: Function
    source: SourceFile
    original: CodeType
    _compiled: dict[int, tuple[object, CodeType]] = field(default_factory=dict)

    def swap(self, references: References, transform: Transform | None = None) -> Swap:
        """Return the exchange of its code for the instrumented one (compiled once for each transform)."""
        key = id(transform)
        if key not in self._compiled:
            node = self.source.instrumenter.function(self.record)
            if transform is not None:
                node = transform(self.record, node)
            code = compile_function(self.record, node, self.original, references)
            self._compiled[key] = (transform, code)
        return Swap(self.function, self._compiled[key][1], *self._defaults())

    def _defaults(self) -> tuple[tuple[Any, ...] | None, dict[str, Any] | None]:
        """Return defaults in which those that hold a choice are marked as missing."""
        chosen = self.record.parameters
        if not chosen:
            return None, None
        code = self.function.__code__
        positional = self.function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount][code.co_argcount - len(positional) :]
        defaults = tuple(
            Missing(value) if name in chosen else value for name, value in zip(names, positional, strict=True)
        )
        keywords = self.function.__kwdefaults__
        kwdefaults = keywords and {n: Missing(v) if n in chosen else v for n, v in keywords.items()}
        return defaults or None, kwdefaults


class SourceSet:
    """Everything static about a program's code.

    Args:
        target: the class or function.
        modules: the modules covered: the target's own first, then those of `include=`.
        file: the source that the target was written in.
        given: what the target is called with.
        everywhere: whether calls that reach no point are instrumented too, for what they make.
        followed: modules of the target's project that lead to choices; covered as far as they are reached.

    Raises:
        AnnotationError: a mistake in an annotation (a ProgramError listing all, where there are several).
        ProgramError: a source is not available.
    """

    def __init__(
        self,
        target: Any,
        modules: Iterable[ModuleType],
        file: str,
        given: Iterable[Any] = (),
        everywhere: bool = False,
        followed: Iterable[ModuleType] = (),
    ) -> None:
        self.target = target
        self.everywhere = everywhere
        self.given = tuple(given)
        self.modules = tuple(modules)
        self.followed = tuple(followed)
        self.references = References()
        functions = functions_of(target, [*self.modules, *self.followed])
        self.made_before: list[Site] = []
        """Choices in what a given instance holds: it was made before, so these are no points."""
        self.names_reached: dict[str, tuple[set[str], set[str]]] = {}
        """Of every file, the global names that what is reached in it refers to, and the attributes."""
        self.files = self._read(functions, file)
        self._watch_constructors()
        self.constructors = constructors(self.files)
        self.bindings = [binding for function in functions for binding in self._bind(function)]
        self.by_source: bool | None = None
        """Whether children are instances of generated classes; found out once, by the builder."""
        self.touched = [binding for binding in self.bindings if binding.record.touched]
        self.caches = caches_of(
            [*self.modules, *self.followed], [binding.function for binding in self.touched]
        )

    @property
    def sites(self) -> list[Site]:
        """All sites of all sources, those inside candidates included."""
        return [site for source in self.files.values() for site in source.sites]

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """All annotations of all sources."""
        return tuple(annotation for source in self.files.values() for annotation in source.parsed.annotations)

    @property
    def local_requires(self) -> tuple[str, ...]:
        """The texts of the `require` clauses at choices, but those that are never met."""
        return tuple(
            text
            for source in self.files.values()
            for site in source.sites
            if source.reaches(site)
            for text in site.requires
        )

    @property
    def clause_places(self) -> list[tuple[str, Location]]:
        """Every `require` clause of definitions that are reached, with the place of its comment."""
        found = []
        for source in self.files.values():
            for site in filter(source.reaches, source.sites):
                found += [(text, site.location) for text in site.requires]
            for requirement in source.parsed.requirements:
                found += [(text, requirement.location) for text in requirement.expressions]
        return found

    @property
    def requires(self) -> tuple[str, ...]:
        """The texts of all `require` clauses of definitions that are reached."""
        texts: dict[str, None] = {}
        for source in self.files.values():
            for site in filter(source.reaches, source.sites):
                texts.update(dict.fromkeys(site.requires))
            for requirement in source.parsed.requirements:
                defines = requirement.scope or isinstance(requirement.statement, DEFINITIONS)
                if not (defines and id(requirement.statement) in source.unreached):
                    texts.update(dict.fromkeys(requirement.expressions))
        return tuple(texts)

    @functools.cached_property
    def stored_names(self) -> frozenset[str]:
        """The names that places begin with in the target: `body` of `self.body = block(…)`."""
        own = self.target.__qualname__
        functions = (f for source in self.files.values() for f in source.walker.functions.values())
        calls = (c for f in functions if f"{f.qualname}.".startswith(f"{own}.") for c in f.calls)
        return frozenset(re.split(r"[.\[{]", call.path)[0] for call in calls)

    @functools.cached_property
    def definitions(self) -> list[Site]:
        """Sites in class bodies and module statements."""
        return [site for source in self.files.values() for site in source.definitions]

    @functools.cached_property
    def executed_anew(self) -> dict[str, list[SourceFile]]:
        """The modules that a run executes itself, by name: those with such sites, and what imports them.

        The target's own is always one; of a notebook, its cells in their order.
        """
        by_module: dict[str, list[SourceFile]] = {}
        for source in self.files.values():
            by_module.setdefault(source.module.__name__, []).append(source)
        used = {
            name: {
                found
                for source in sources
                for found in imports(source.text, getattr(source.module, "__package__", None) or "")
            }
            for name, sources in by_module.items()
        }
        # What they enter into another module's table as they are executed is entered into one of the run's.
        entered = {
            name: {
                found
                for source in sources
                for found in registries(source.text, getattr(source.module, "__package__", None) or "")
            }
            for name, sources in by_module.items()
        }
        anew = {source.module.__name__ for source in self.files.values() if source.definitions}
        anew.add(self.modules[0].__name__)
        while more := {
            name
            for name in set(by_module) - anew
            if not anew.isdisjoint(used[name]) or any(name in entered[other] for other in anew)
        }:
            anew |= more
        return {name: sources for name, sources in by_module.items() if name in anew}

    @functools.cached_property
    def when_called(self) -> list[Function]:
        """Functions with choices that may run when a built model is called."""
        return [record for record in self._called if record.has_sites]

    @functools.cached_property
    def _called(self) -> list[Function]:
        """Functions that may run when a built model is called.

        Calls are followed by bare names from every `forward` and `__call__`: what `self.block` is, no text
        tells, so a method of that name in any class of the program counts.
        """
        records = [
            record
            for source in self.files.values()
            for record in source.walker.functions.values()
            if id(record.node) not in source.unreached
        ]
        named: dict[str, list[Function]] = {}
        for record in records:
            named.setdefault(record.name, []).append(record)
        pending = [record for name in CALLED for record in named.get(name, []) if record.owner is not None]
        seen: set[int] = set()
        found = []
        while pending:
            record = pending.pop()
            if id(record) in seen:
                continue
            seen.add(id(record))
            found.append(record)
            for name in _called_names(record.node):
                pending.extend(named.get(name, []))
            # A property runs where it is read.
            for name in _read_names(record.node):
                pending.extend(one for one in named.get(name, []) if one.is_property)
        return found

    @functools.cached_property
    def early(self) -> dict[str, list[EarlyStatement]] | None:
        """By source, the statements whose choices only constructors read; None where others do, too."""
        found = {}
        for source in self.files.values():
            if not source.definitions:
                continue
            whole = getattr(source.module, "__file__", None) == source.file
            others = [other.parsed.tree for other in self.files.values() if other is not source]
            called = [record.node for record in self._called_with_constructors()]
            own = early_statements(source.parsed.tree, source.definitions, called, others) if whole else None
            if own is None or "<locals>" in self.target.__qualname__:
                return None
            # `from settings import DEPTH` is another variable of the same value.
            taken = {
                a.name for o in others for n in ast.walk(o) if isinstance(n, ast.ImportFrom) for a in n.names
            }
            if any(not each.owner and not taken.isdisjoint({each.name, "*"}) for each in own):
                return None
            found[source.file] = own
        return found

    def _called_with_constructors(self) -> list[Function]:
        """Return what may run when a built model is called or a module imported, constructors included."""
        makers: dict[str, list[Function]] = {}
        first = called_at_import(source.parsed.tree for source in self.files.values())
        found = list(self._called)
        for source in self.files.values():
            for record in source.walker.functions.values():
                owner = record.owner.name if record.owner is not None else record.name
                found += [record] if owner in first and record not in found else []
                if record.owner is not None and record.name in ("__init__", "__new__", "__post_init__"):
                    makers.setdefault(record.owner.name, []).append(record)
        for record in found:  # grows while it is gone through
            for name in _called_names(record.node):
                found += [one for one in makers.get(name, ()) if one not in found]
        return found

    def early_values(self, transform: Transform | None = None) -> AbstractContextManager[list[AttributeSwap]]:
        """Let classes and modules have the values that only constructors read, for the length of a `with`."""
        sources = [self.files[file] for file in self.early or ()]
        assert self.early is not None
        own = self.early
        return assigned(
            [(s.module, s.values_code(self.references, transform, own[s.file]), own[s.file]) for s in sources]
        )

    def swaps(self, transform: Transform | None = None) -> list[Swap | AttributeSwap]:
        """Return the exchanges for every function that needs it; a second pass may need them all."""
        bindings = self.touched if transform is None else self.bindings
        with deep(self.modules[0].__name__):
            return [
                *(binding.swap(self.references, transform) for binding in bindings),
                *(constructor.swap(self.references, transform) for constructor in self.constructors),
            ]

    def fill_in(self, modules: Mapping[str, ModuleType], transform: Transform | None = None) -> None:
        """Let the record classes of modules that a run has executed anew make their choices."""
        for each in self.constructors:
            module = modules.get(each.source.module.__name__)
            kind = None if module is None else find(module, each.record.qualname)
            if module is not None and isinstance(kind, type) and kind is not each.kind:
                swap = each.swap_of(kind, module, self.references, transform)
                setattr(swap.owner, swap.name, swap.value)

    def plain_code(self, record: Function) -> CodeType | None:
        """Return the uninstrumented code of a function that another one creates when it runs."""
        for binding in self.bindings:
            if binding.record.node in record.parents:
                return find_code(binding.original, record.name, record.line)
        return None

    def _watch_constructors(self) -> None:
        """Record where instances are made, if what they do when called holds choices."""
        if self.when_called:
            mark_loops_of_data(
                record
                for source in self.files.values()
                for record in source.walker.functions.values()
                if id(record.node) not in source.unreached
            )
            for source in self.files.values():
                for record in source.walker.functions.values():
                    record.watched = record.owner is not None and record.name in ("__init__", "__post_init__")

    # -- reading --------------------------------------------------------------------------------

    def _read(self, functions: list[FunctionType], file: str) -> dict[str, SourceFile]:
        homes = self._homes(functions, file)
        texts = {name: source_of(name, vars(module)) for name, module in homes.items()}
        parsed = {name: self._parse(text, name, homes[name]) for name, text in texts.items()}
        tops = {name: [site_of(annotation) for annotation in one.annotations] for name, one in parsed.items()}
        outlines = [
            SourceOutline(
                name,
                homes[name].__name__,
                one.tree,
                tops[name],
                getattr(homes[name], "__package__", None),
                origins_of(homes[name]) if getattr(homes[name], "__file__", None) is None else None,
            )
            for name, one in parsed.items()
        ]
        reachability = Reachability(outlines, self.target, self.given)
        for name in [name for name, home in homes.items() if home in self.followed]:
            if not reachability.reaches(name):
                del homes[name], parsed[name], tops[name]
        self.followed = tuple(module for module in self.followed if module in homes.values())
        self.names_reached = {name: (reachability.names(name), reachability.parts(name)) for name in parsed}
        unknown = unknown_names(list(parsed.values()))
        _raise(error for index, one in enumerate(parsed.values()) for error in [*one.errors, *unknown[index]])
        sites: dict[str, dict[int, Site]] = {}
        defaulted: dict[str, set[int]] = {}
        for name in parsed:
            # A choice in a definition that is not reached would be a point for nothing: it stays code. One in
            # the body of a function is a point only if the function is called, so it may stay a site.
            apart = {id(node) for statement in reachability.unreached(name) for node in evaluated(statement)}
            fixed = {
                id(node)
                for statement in reachability.made_before
                if statement.source.file == name
                for node in fixed_with_an_instance(statement.node)
            }
            self.made_before += [top for top in tops[name] if id(top.node) in fixed]
            apart |= fixed
            met = [top for top in tops[name] if id(top.node) not in apart]
            sites[name] = {id(site.node): site for top in met for site in top.walk()}
            defaulted[name] = {id(top.node) for top in tops[name] if top.spelling == "call"} & apart
        # Names are followed over all sources at once, since one may call what another defines.
        everything = {key: site for group in sites.values() for key, site in group.items()}
        reaching, stored = reaching_names([one.tree for one in parsed.values()], everything)
        early = called_at_import(one.tree for one in parsed.values())
        read = {}
        for name, one in parsed.items():
            resolver = CallResolution(one.tree, vars(homes[name]), reaching, stored)
            records = record_classes(one.tree, homes[name], everything, early)
            fields = {key: record.fields for key, record in records.items()}
            walker = Walker(name, sites[name], resolver, self.everywhere, fields)
            root = walker.module(one.tree)
            maker = Instrumenter(
                sites[name], walker.functions, walker.loops, walker.calls, self.references, defaulted[name],
                _filled(records, walker),
            )  # fmt: skip
            apart = {id(node) for statement in reachability.unreached(name) for node in ast.walk(statement)}
            read[name] = SourceFile(
                name, texts[name], one, homes[name], list(sites[name].values()), root, walker, maker,
                records, frozenset(apart),
            )  # fmt: skip
        _tell_apart(read.values())
        _note_what_follows([source for source in read.values() if source.module.__name__ == "__main__"])
        _note_what_follows([source for source in read.values() if not hasattr(source.module, "__file__")])
        return read

    def _homes(self, functions: list[FunctionType], file: str) -> dict[str, ModuleType]:
        """Return every source by the name that code objects carry, with the module that it defines."""
        homes: dict[str, ModuleType] = {}
        covered = (*self.modules, *self.followed)
        for module in covered:
            own = getattr(module, "__file__", None)
            if own is not None and own.endswith(".py"):
                homes.setdefault(own, module)
        # A notebook's cells have names of their own, which their functions know; a cell of constants or of a
        # dataclass has no functions.
        first = self.modules[0]
        if getattr(first, "__file__", None) is None:
            homes |= dict.fromkeys(_live_cells(first), first)
        by_name = {module.__name__: module for module in covered}
        for function in functions:
            name = function.__code__.co_filename
            home = by_name.get(function.__module__)
            if name not in homes and home is not None and _belongs(name, home):
                homes[name] = home
        homes.setdefault(file, self.modules[0])
        return homes

    def _parse(self, text: str, name: str, module: ModuleType) -> ParsedModule:
        return parse_module(text, name, imports=_imports(vars(module)))

    def _bind(self, function: FunctionType) -> list[FunctionBinding]:
        source = self.files.get(function.__code__.co_filename)
        if source is None:
            return []
        code = function.__code__
        matches = [
            record
            for record in source.walker.functions.values()
            if record.line == code.co_firstlineno and record.name == code.co_name
        ]
        # Lambdas on one line are told apart by the columns of their code.
        if len(matches) > 1:
            matches = [record for record in matches if _stands_at(code, record.node)] or matches
        if len(matches) == 1:
            return [FunctionBinding(function, matches[0], source, code)]
        if any(record.touched for record in matches):
            raise ProgramError(
                f"{source.file}:{code.co_firstlineno}: several functions called {code.co_name!r} begin on "
                "this line, and one holds a choice; put each on a line of its own"
            )
        if not matches and source.sites and code.co_name != "<lambda>":
            raise ProgramError(
                f"{source.file}:{code.co_firstlineno}: {code.co_qualname!r} was loaded from a source that "
                "has changed since; load it again"
            )
        return []


def _filled(records: Mapping[int, RecordClass], walker: Walker) -> set[int]:
    """Return the identities of the statements of fields that constructors fill in."""
    return {
        id(part)
        for key, record in records.items()
        for part in record.definition.body
        if isinstance(part, ast.AnnAssign)
        and isinstance(part.target, ast.Name)
        and part.target.id in walker.records[key].parameters
    }


def _live_cells(module: ModuleType) -> Iterator[str]:
    """Yield the cells of an interactive module by which something that it still has was defined, in order."""
    defined: dict[str, str] = {}
    cells = cells_of(module)
    for name, text in cells.items():
        with contextlib.suppress(SyntaxError, ValueError):
            for statement in ast.parse(text).body:
                if isinstance(statement, (*DEFINITIONS, ast.Assign, ast.AnnAssign)):
                    defined |= dict.fromkeys(binds(statement), name)
    live = {defined[name] for name in defined if name in vars(module)}
    yield from (name for name in cells if name in live)


def _belongs(name: str, module: ModuleType) -> bool:
    """Whether a source is a module's: its file or a cell, not that of a library's function under its name."""
    own = getattr(module, "__file__", None)
    if own is not None and Path(name).name != Path(own).name:
        return False
    others = {getattr(known, "__file__", None) for known in list(sys.modules.values()) if known is not module}
    if name in others:
        return False
    try:
        source_of(name)
    except ProgramError:
        return False
    return True


def _stands_at(code: CodeType, node: ast.AST) -> bool:
    """Whether code was compiled from a lambda, told by the column of what it returns."""
    body = getattr(node, "body", None)
    return isinstance(body, ast.expr) and any(
        (line, column) == (body.lineno, body.col_offset) for line, _, column, _ in code.co_positions()
    )


def _raise(errors: Iterable[AnnotationError]) -> None:
    found = list(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        listed = "\n\n".join(map(str, found))
        raise ProgramError(f"{len(found)} annotations cannot be read:\n\n{listed}")


def _imports(namespace: Mapping[str, Any]) -> dict[str, str]:
    """Return what a module's names stand for, for sources (notebook cells) whose imports are elsewhere."""
    found = {}
    for name, value in namespace.items():
        if isinstance(value, ModuleType):
            found[name] = value.__name__
        elif callable(value) and getattr(value, "__module__", None) and getattr(value, "__qualname__", None):
            found[name] = f"{value.__module__}.{value.__qualname__}"
    return found


def _tell_apart(files: Iterable[SourceFile]) -> None:
    """Prefix definition-level paths of included modules that another module uses too."""
    taken: dict[str, SourceFile] = {}
    for source in files:
        for site in source.sites:
            if not site.definition or site.parent is not None:
                continue
            # `width`, `layers.width`, `head.layers.width`, …: as much of the module's name as is needed.
            path, above = site.path, source.module.__name__.split(".")
            while taken.setdefault(site.path, source) is not source and above:
                site.path = path = f"{above.pop()}.{path}"


def _note_what_follows(sources: list[SourceFile]) -> None:
    """Note which assignments of scripts and cells use what is chosen there: `HIDDEN = 2 * WIDTH`."""
    chosen: set[str] = set()
    assignments = []
    for source in sources:
        sites = {id(site.node) for site in source.definitions}
        for node in source.parsed.tree.body:
            if any(id(part) in sites for part in ast.walk(node)):
                chosen |= binds(node)
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                assignments.append((source, node))
    grown = bool(chosen)
    while grown:
        grown = False
        for source, node in assignments:
            used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            if id(node) not in source.unreached | source.again and not used.isdisjoint(chosen):
                source.again.add(id(node))
                chosen |= binds(node)
                grown = True


def _read_names(module: ast.AST) -> set[str]:
    """Return the names of the attributes that a piece of code reads."""
    return {n.attr for n in ast.walk(module) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}


def _called_names(module: ast.AST) -> set[str]:
    """Return the bare names that a piece of code calls."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name is not None:
                names.add(name)
    return names
