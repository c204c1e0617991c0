"""Fields of dataclasses and named tuples: defaults of the constructor that Python generates for the class.

A choice in a field's default is made by every construction that leaves the field out, so two instances have
points of their own (`left.size`, `right.size`). The generated constructor has no text that could be
instrumented. Another one takes its place while a program runs (`Constructor`): it makes the choices that were
left out, and calls the generated one with all arguments.

Not every class is treated so (`record_classes`): one that is instantiated while a module is imported (as a
constant, or as a parameter's default) exists once, before anything runs, so its fields stay what class
attributes are: one point per definition, made when the module is executed anew.

The other kind of choice that needs no class of its own is one in a class attribute or module constant that
nothing but construction reads (`early_statements`, told by the text alone, and in doubt it is not). Its value
is evaluated for the run and stands in the class or module while the constructor runs (`assigned`). What is
constructed keeps the value as an attribute of its own, so that whoever asks the child finds what was chosen.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any, Protocol

from symnas.frontend.addressing import Walker
from symnas.frontend.call_resolution import used_names
from symnas.frontend.code_objects import References, compile_constructor
from symnas.frontend.code_swapping import AttributeSwap, swapped
from symnas.frontend.instrumentation import ORIGINAL, Instrumenter
from symnas.frontend.operations import Missing
from symnas.frontend.sites import Function, Site

Transform = Callable[[Function, Any], Any]
"""A second pass over an instrumented tree, before it is compiled."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(eq=False)
class RecordClass:
    """A class whose constructor Python generates from its fields.

    Args:
        definition: its statement.
        qualname: its name in the module.
        fields: by name, the expression of the default; of a factory, a call of it.
    """

    definition: ast.ClassDef
    qualname: str
    fields: dict[str, ast.expr] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The method that Python generates."""
        return "__new__" if any(_last(base) == "NamedTuple" for base in self.definition.bases) else "__init__"


class Source(Protocol):
    """What is asked of a source: see `symnas.frontend.source_set.SourceFile`."""

    file: str
    module: ModuleType
    walker: Walker
    instrumenter: Instrumenter
    records: Mapping[int, RecordClass]


def record_classes(
    tree: ast.Module, module: ModuleType, sites: Mapping[int, Site], early: Collection[str]
) -> dict[int, RecordClass]:
    """Return the classes of a module whose fields are parameters' defaults, by the identity of the statement.

    Args:
        tree: the module's tree.
        module: what it defines.
        sites: by the identity of the node described.
        early: names of what is called while a module is imported (`called_at_import`).
    """
    found = {}
    for definition, qualname in _classes(tree.body, ""):
        kind = find(module, qualname)
        record = RecordClass(definition, qualname)
        if not isinstance(kind, type) or definition.name in early or generated(kind, record.name) is None:
            continue
        for statement in definition.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                default = _default(statement)
                if default is not None and statement.target.id in _optional(kind, record.name):
                    record.fields[statement.target.id] = default
        # A name of the class's own body means nothing in a constructor.
        own = {n.id for part in definition.body for n in ast.walk(part)
               if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}  # fmt: skip
        if not any(_names(default, sites) & own for default in record.fields.values()):
            found[id(definition)] = record
    return found


def find(module: ModuleType, qualname: str) -> Any:
    """Return what a dotted name stands for in a module, or None."""
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def generated(kind: type, name: str) -> FunctionType | None:
    """Return the constructor that Python has generated for a class itself, or None."""
    made = inspect.unwrap(_plain(vars(kind).get(name)))
    record = "__dataclass_fields__" in vars(kind) if name == "__init__" else hasattr(kind, "_fields")
    text = isinstance(made, FunctionType) and made.__code__.co_filename.startswith("<")
    return made if record and text and isinstance(made, FunctionType) else None


def called_at_import(trees: Iterable[ast.Module]) -> set[str]:
    """Return the names of what may be called while modules are imported, by others that are."""
    trees = list(trees)
    used = used_names(trees)
    found: set[str] = set()
    pending = [name for tree in trees for node in _at_import(tree) for name in _called(node)]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += used.get(name, ())
    return found


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that are evaluated while a module is imported, factories of fields aside."""
    pending: list[ast.AST] = [*tree.body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "__name__" in {
            n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)
        }:
            continue  # what the file does as a script
        yield node
        if isinstance(node, _FUNCTIONS):
            pending += [node.args, *getattr(node, "decorator_list", ())]
        else:
            pending += ast.iter_child_nodes(node)


def _called(node: ast.AST) -> set[str]:
    """Return the names that a call evaluates as its function, or hands on to be called."""
    if not isinstance(node, ast.Call):
        return set()
    if _last(node.func) == "field":
        return set()
    return {name for name in (_last(part) for part in [node.func, *node.args]) if name}


def _classes(body: list[ast.stmt], around: str) -> Iterator[tuple[ast.ClassDef, str]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield node, f"{around}{node.name}"
            yield from _classes(node.body, f"{around}{node.name}.")


def _default(statement: ast.AnnAssign) -> ast.expr | None:
    value = statement.value
    if not (isinstance(value, ast.Call) and _last(value.func) == "field"):
        return value
    given = {keyword.arg: keyword.value for keyword in value.keywords}
    if "default" in given:
        return given["default"]
    factory = given.get("default_factory")
    if factory is None:
        return None
    return ast.copy_location(ast.Call(factory, [], []), factory)


def _optional(kind: type, name: str) -> list[str]:
    """Return the parameters of a generated constructor that have defaults, in order."""
    made = generated(kind, name)
    assert made is not None
    parameters = inspect.signature(made).parameters.values()
    return [each.name for each in parameters if each.default is not each.empty]


def _names(default: ast.expr, sites: Mapping[int, Site]) -> set[str]:
    """Return the names in an expression and in the candidates of its choices."""
    parts = [default]
    for node in ast.walk(default):
        site = sites.get(id(node))
        parts += [] if site is None else [candidate.expr for candidate in site.candidates]
    lambdas = {
        id(inner)
        for part in parts
        for n in ast.walk(part)
        if isinstance(n, ast.Lambda)
        for inner in ast.walk(n)
    }
    return {
        n.id for part in parts for n in ast.walk(part) if isinstance(n, ast.Name) and id(n) not in lambdas
    }


def _last(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)


def _plain(made: Any) -> Any:
    return made.__func__ if isinstance(made, staticmethod) else made


@dataclass(eq=False)
class Constructor:
    """What takes the place of a generated constructor while a program runs.

    Args:
        kind: the class.
        record: its statement, and the place of its own fields.
        source: where it is written.
        fields: by parameter, the place and the expression of the default; inherited ones among them.
    """

    kind: type
    record: RecordClass
    function: Function
    source: Source
    fields: Mapping[str, tuple[Function, ast.expr, Source]]
    _compiled: dict[int, tuple[object, CodeType]] = field(default_factory=dict)
    _swaps: dict[int, AttributeSwap] = field(default_factory=dict)

    def swap(self, references: References, transform: Transform | None = None) -> AttributeSwap:
        """Return the exchange of the generated constructor."""
        key = id(transform)
        if key not in self._swaps:
            self._swaps[key] = self.swap_of(self.kind, self.source.module, references, transform)
        return self._swaps[key]

    def swap_of(
        self, kind: type, module: ModuleType, references: References, transform: Transform | None = None
    ) -> AttributeSwap:
        """Return the exchange for the class as another execution of its module has made it."""
        name = self.record.name
        original = generated(kind, name)
        assert original is not None
        made = FunctionType(self.code(references, transform), vars(module), name)
        made.__qualname__, made.__module__ = original.__qualname__, original.__module__
        positional = original.__defaults__ or ()
        names = original.__code__.co_varnames[: original.__code__.co_argcount]
        defaults = dict(zip(names[len(names) - len(positional) :], positional, strict=True))
        made.__defaults__ = tuple(self._marked(each, value) for each, value in defaults.items())
        keywords = original.__kwdefaults__ or {}
        made.__kwdefaults__ = {each: self._marked(each, value) for each, value in keywords.items()}
        made.__kwdefaults__[ORIGINAL] = original
        return AttributeSwap(kind, name, staticmethod(made) if name == "__new__" else made)

    def code(self, references: References, transform: Transform | None = None) -> CodeType:
        """Return its code (compiled once for each transform)."""
        key = id(transform)
        if key not in self._compiled:
            original = generated(self.kind, self.record.name)
            assert original is not None
            defaults = {
                name: (holder, expr, source.instrumenter)
                for name, (holder, expr, source) in self.fields.items()
            }
            node: Any = self.source.instrumenter.constructor(self.function, _arguments(original), defaults)
            if transform is not None:
                node = transform(self.function, node)
            self._compiled[key] = transform, compile_constructor(node, self.source.file, references)
        return self._compiled[key][1]

    def _marked(self, name: str, value: object) -> object:
        return Missing(value) if name in self.fields else value


def _arguments(original: FunctionType) -> ast.arguments:
    """Return the parameters of a generated constructor; which have defaults is told, not what they are."""
    code = original.__code__
    names = code.co_varnames
    positional = [ast.arg(name) for name in names[: code.co_argcount]]
    keyword = [ast.arg(name) for name in names[code.co_argcount :][: code.co_kwonlyargcount]]
    count = len(original.__defaults__ or ())
    given = original.__kwdefaults__ or {}
    optional = [ast.Constant(None) if each.arg in given else None for each in keyword]
    return ast.arguments(
        positional[: code.co_posonlyargcount],
        positional[code.co_posonlyargcount :],
        None,
        [*keyword, ast.arg(ORIGINAL)],
        [*optional, ast.Constant(None)],
        None,
        [ast.Constant(None) for _ in range(count)],
    )  # fmt: skip


def constructors(files: Mapping[str, Source]) -> list[Constructor]:
    """Return those of all record classes in whose fields, own or inherited, something is chosen."""
    known: dict[type, tuple[RecordClass, Function, Source]] = {}
    for source in files.values():
        for key, record in source.records.items():
            kind = find(source.module, record.qualname)
            known[kind] = record, source.walker.records[key], source
    found = []
    for kind, (record, function, source) in known.items():
        fields: dict[str, tuple[Function, ast.expr, Source]] = {}
        for name in _optional(kind, record.name):
            above = next(
                (known[k] for k in kind.__mro__ if k in known and _declares(known[k][0], name)), None
            )
            if above is not None and name in above[1].parameters:
                fields[name] = above[1], above[1].parameters[name], above[2]
        if fields:
            function.watched = True
            found.append(Constructor(kind, record, function, source, fields))
    return found


def _declares(record: RecordClass, name: str) -> bool:
    return any(
        isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.target.id == name
        for part in record.definition.body
    )


# -- class attributes and module constants that only constructors read --------------------

_CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__"})
_HIDDEN = frozenset(
    {"getattr", "vars", "globals", "locals", "eval", "exec", "__dict__", "__getattr__", "hasattr"}
)
VALUES = "__symnas_values__"


@dataclass(frozen=True, eq=False)
class EarlyStatement:
    """A statement `NAME = <a choice>` of a module or class.

    Args:
        node: the statement.
        owner: the qualified name of the class, empty for the module.
        name: what it assigns.
    """

    node: ast.Assign | ast.AnnAssign
    owner: str
    name: str


def early_statements(
    tree: ast.Module, sites: Iterable[Site], called: Iterable[ast.AST], others: Iterable[ast.Module]
) -> list[EarlyStatement] | None:
    """Return the statements of a module's definition-level choices; None where others read one.

    Args:
        tree: of the module.
        sites: its choices in class bodies and module statements.
        called: the functions that may run when a built model is called.
        others: the other modules of the program.
    """
    nodes = {id(site.node) for site in sites}
    found = [
        each for each in _assignments(tree.body, "", ()) if nodes & {id(n) for n in ast.walk(each[0].node)}
    ]
    held = {id(n) for each, _ in found for n in ast.walk(each.node)}
    names = {each.name for each, _ in found}
    if not nodes <= held or len(names) < len(found):
        return None
    own = {id(each.node) for each, _ in found}
    texts = {id(site.node): [candidate.expr for candidate in site.candidates] for site in sites}
    for each, bound in found:
        # A class's own names mean nothing where the value is evaluated, and one choice may not read another.
        parts = [each.node, *(expr for n in ast.walk(each.node) for expr in texts.get(id(n), ()))]
        if {
            n.id
            for p in parts
            for n in ast.walk(p)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
        } & (names | set(bound)):
            return None
    read = [node for each in (tree, *others) for node in _outside_constructors(each, own)]
    read += [node for function in called for node in ast.walk(function)]
    for node in read:
        if {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None)} & names:
            return None
    inside = (n for each in (tree, *others) for n in ast.walk(each))
    if any({getattr(n, "id", None), getattr(n, "attr", None)} & _HIDDEN for n in inside):
        return None
    return [each for each, _ in found]


def _assignments(
    body: list[ast.stmt], owner: str, bound: tuple[str, ...]
) -> Iterator[tuple[EarlyStatement, tuple[str, ...]]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            names = tuple(
                n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )
            plain = not node.keywords and not {_last(base) for base in node.bases} & {
                "Enum",
                "NamedTuple",
                "IntEnum",
            }
            if plain and not node.decorator_list:
                yield from _assignments(node.body, f"{owner}.{node.name}".lstrip("."), names)
        elif (
            isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        ):
            yield EarlyStatement(node, owner, node.targets[0].id), bound
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield EarlyStatement(node, owner, node.target.id), bound


def _outside_constructors(tree: ast.Module, own: set[int]) -> Iterator[ast.AST]:
    """Yield all nodes but those of constructors, module-level functions and the statements."""
    pending: list[tuple[ast.AST, bool]] = [(node, False) for node in tree.body]
    while pending:
        node, within = pending.pop()
        if id(node) in own:
            continue
        if isinstance(node, _FUNCTIONS):
            name = getattr(node, "name", "")
            pending += [(part, within) for part in (node.args, *getattr(node, "decorator_list", ()))]
            if name in _CONSTRUCTORS or (not within and name not in ("", "forward", "__call__")):
                continue
        yield node
        inner = within or isinstance(node, ast.ClassDef)
        pending += [(child, inner) for child in ast.iter_child_nodes(node)]


@contextmanager
def assigned(
    sources: Iterable[tuple[ModuleType, CodeType, list[EarlyStatement]]],
) -> Iterator[list[AttributeSwap]]:
    """Evaluate values for the current run, and let classes and modules have them for the length of a `with`.

    Args:
        sources: of each, its module, the code that evaluates the values, and the statements.
    """
    swaps = []
    for module, code, statements in sources:
        values: dict[str, Any] = {}
        exec(code, vars(module), {VALUES: values})
        for each in statements:
            owner: Any = module
            for part in each.owner.split(".") if each.owner else ():
                owner = getattr(owner, part)
            swaps.append(AttributeSwap(owner, each.name, values[f"{each.owner}.{each.name}"]))
    with swapped(swaps):
        yield swaps


def keep(result: object, swaps: Iterable[AttributeSwap]) -> None:
    """Let what was constructed have what its classes had meanwhile."""
    held = [swap for swap in swaps if isinstance(swap.owner, type) and not hasattr(swap.value, "__get__")]
    if not held:
        return
    listed: Any = getattr(result, "modules", None) if hasattr(type(result), "named_modules") else None
    modules = [result] if listed is None else list(listed())
    inner = [value for module in modules for value in _attributes(module).values()]
    for found in (*modules, *inner):
        for swap in held:
            if isinstance(found, swap.owner) and isinstance(getattr(found, "__dict__", None), dict):
                found.__dict__.setdefault(swap.name, swap.value)


def _attributes(value: object) -> Mapping[str, Any]:
    held = getattr(value, "__dict__", None)
    return held if isinstance(held, dict) else {}
