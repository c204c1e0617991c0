"""Where a point stands: the static half of every address, read off the text.

An address is the prefix of a function's invocation, the turns of the loops around the point, and a path that
depends on the text alone: the name that the statement gives, the positions of the calls around the point,
and the parameter it fills. This module computes the paths; a run adds prefixes and turns. Nothing here counts
visits, so an address moves only when the code around its point moves.

| in the text | address |
| --- | --- |
| `width = 32`, `self.width = 32` | `width` |
| `class Block: pool = True` | `Block.pool` |
| `class Block: def __init__(self, size=3)` | `Block.size` |
| `for stage in range(2)`, its turns annotated | `stage` |
| `for stage in …: k = 3` | `stage[0].k`, `stage[1].k` |
| `stem = Sequential(block(), block())`, `k = 3` in `block` | `stem[0].k`, `stem[1].k` |
| `layers.append(block())`, `layers += [block()]` | `layers.k` |
| `self.drop = Dropout(0.1)`, the 0.1 annotated | `drop.p` |
| `table = {"a": oneof([1, 2])}` | `table[a]` |
| `depths = [2, 2]`, `[1] in 1..4` | `depths[1]` |
| `if (wide := 3) > 2` | `wide` |
| `head = conv(size=3)`, size annotated in a candidate labelled out | `head:out.size` |
| `k = 3` again in the same function | `k_2` |
| `@property def size(self): return 3` | `size` |

To read in this order: `Walker.module`, `_statement` (what names a point), `_expression` and `_call` (what is
added on the way down to it), `_path`, `_place`, `_number` (what is left the same is told apart).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

from symnas.frontend.sites import CallSite, Function, Loop, Site
from symnas.grammar.attachment.roots import defaults_of

GROWING = frozenset({"append", "appendleft", "extend", "insert", "add", "update", "setdefault", "add_module",
                     "register_module", "register_buffer", "register_parameter"})  # fmt: skip
"""Methods whose receiver (or first argument) names what is stored."""
_NAMING = frozenset({"add_module", "register_module", "register_buffer", "register_parameter"})
_PLAIN = frozenset({"super", "locals", "globals", "vars", "dir", "eval", "exec", "enumerate", "range", "len",
                    "isinstance", "int", "float", "str", "bool", "print", "zip"})  # fmt: skip
"""Builtins that mean something else when another function calls them, or that make numbers at most."""
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Resolver(Protocol):
    """What the walk must know about the objects that names stand for."""

    def reaches(self, call: ast.Call, function: Function) -> bool:
        """Whether the call may end in code that holds a point."""

    def parameter(self, call: ast.Call, position: int, function: Function) -> str | None:
        """The name of the parameter that a positional argument fills, if the callee is known."""


def name_of(target: ast.AST) -> str | None:
    """Return the name of a variable, an attribute or an item by constant key, as addresses use it."""
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Starred):
        return name_of(target.value)
    if isinstance(target, (ast.Tuple, ast.List)) and target.elts:
        return name_of(target.elts[0])
    if isinstance(target, ast.Subscript):
        base = name_of(target.value)
        if base and isinstance(target.slice, ast.Constant):
            return f"{base}[{target.slice.value!s}]"
        return base
    return None


def called_name(function: ast.expr) -> str:
    """Return the bare name of a callee, or `call` where it has none."""
    if isinstance(function, ast.Attribute) and function.attr == "__init__":
        inner = function.value
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name):
            return inner.func.id
        return name_of(inner) or "super"
    return name_of(function) or "call"


class Walker:
    """One pass over a module's tree that places every function, loop, site and reaching call.

    Args:
        file: the name of the file, for origins.
        sites: the sites by the identity of the node that they describe.
        resolver: knows which calls reach points and what their parameters are called.
        everywhere: whether calls that reach none are placed as well (after those that do, whose paths stay as
            they are).
        records: by the identity of a class statement, the defaults of fields that its constructor fills in.
    """

    def __init__(
        self,
        file: str,
        sites: Mapping[int, Site],
        resolver: Resolver,
        everywhere: bool = False,
        records: Mapping[int, Mapping[str, ast.expr]] | None = None,
    ) -> None:
        self._records = records or {}
        self.records: dict[int, Function] = {}
        self.file = file
        self.sites = sites
        self.resolver = resolver
        self.everywhere = everywhere
        # What the walk finds, by the identity of the node.
        self.functions: dict[int, Function] = {}
        self.loops: dict[int, Loop] = {}
        self.calls: dict[int, CallSite] = {}
        # Where it stands: the function and its loops around the node, the name that the statement gives, the
        # class bodies around (with a dot behind each), the definitions around, and the site and number of the
        # candidate that holds the node.
        self._function: Function
        self._around: list[Loop] = []
        self._name = ""
        self._classes = ""
        self._parents: list[ast.AST] = []
        self._parent: tuple[Site, int] | None = None
        # The positions in lists on the way down from that candidate.
        self._item = ""

    def module(self, tree: ast.Module) -> Function:
        """Walk a whole module; its own statements form a function of their own."""
        self._function = Function("<module>", "<module>", tree, self.file, 1)
        self.functions[id(tree)] = self._function
        for statement in tree.body:
            self._statement(statement)
        for function in self.functions.values():
            _number(function)
        return self._function

    # -- functions and classes ------------------------------------------------------------------

    def _enter_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, suffix: str = ""
    ) -> None:
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        qualname = ".".join([getattr(p, "name", "<lambda>") for p in self._parents] + [name])
        # A code object begins at its first decorator.
        line = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        function = Function(name, qualname, node, self.file, line, tuple(self._parents))
        function.path = self._path(suffix)
        self.functions[id(node)] = function
        self._function.children.append(function)
        self._parameters(node, function)
        # Paths inside are relative to an invocation, so what stands around the definition does not count.
        saved = self._function, self._around, self._name, self._classes, self._parent
        self._function, self._around, self._name, self._classes, self._parent = function, [], "", "", None
        self._parents.append(node)
        if isinstance(node, ast.Lambda):
            self._name = "lambda"
            self._expression(node.body, "")
        else:
            for statement in node.body:
                self._statement(statement)
        self._parents.pop()
        self._function, self._around, self._name, self._classes, self._parent = saved

    def _parameters(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, function: Function
    ) -> None:
        owner = function.name
        if function.owner is not None:
            # Who calls a class passes its constructor's parameters: `Block.size`, not `Block.__init__.size`.
            owner = function.owner.name if owner == "__init__" else f"{function.owner.name}.{owner}"
        saved = self._name, self._classes
        self._classes = ""  # the class is part of the name already
        for name, default in defaults_of(node.args):
            self._name = f"{owner}.{name}"
            if not self._inside_function() and any(id(part) in self.sites for part in ast.walk(default)):
                function.parameters[name] = default
            self._expression(default, "")
        self._name, self._classes = saved

    def _inside_function(self) -> bool:
        return any(not isinstance(parent, ast.ClassDef) for parent in self._parents)

    def _enter_class(self, node: ast.ClassDef) -> None:
        saved = self._name, self._classes
        self._name = node.name
        for item in [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]:
            self._expression(item, "")
        self._classes = f"{self._classes}{node.name}."
        self._parents.append(node)
        if id(node) in self._records:
            self._enter_fields(node, self._records[id(node)])
        for statement in node.body:
            if not self._is_field(node, statement):
                self._statement(statement)
        self._parents.pop()
        self._name, self._classes = saved

    def _is_field(self, node: ast.ClassDef, statement: ast.stmt) -> bool:
        """Whether what a statement of a class chooses is chosen by the constructor."""
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        held = self.records[id(node)].parameters if id(node) in self.records else {}
        return isinstance(target, ast.Name) and target.id in held

    def _enter_fields(self, node: ast.ClassDef, fields: Mapping[str, ast.expr]) -> None:
        """Place the defaults of a class's fields in a constructor that stands in no text."""
        empty = ast.arguments([], [], None, [], [], None, [])
        made = ast.copy_location(ast.FunctionDef("__init__", empty, [], [], None, None), node)
        if any(getattr(base, "id", getattr(base, "attr", "")) == "NamedTuple" for base in node.bases):
            made.name = "__new__"
        qualname = ".".join([*(getattr(p, "name", "<lambda>") for p in self._parents), made.name])
        # No line: no function of the text is taken for it.
        function = Function(made.name, qualname, made, self.file, 0, tuple(self._parents))
        function.generated = True
        saved = self._function, self._around, self._name, self._classes, self._parent
        self._function, self._around, self._classes, self._parent = function, [], "", None
        self._parents.append(made)
        for name, default in fields.items():
            chosen = any(id(part) in self.sites for part in ast.walk(default))
            called = isinstance(default, ast.Call) and self.resolver.reaches(default, function)
            if chosen or called:
                self._name = name
                function.parameters[name] = default
                self._expression(default, "")
        self._parents.pop()
        self._function, self._around, self._name, self._classes, self._parent = saved
        self.functions[id(made)] = self.records[id(node)] = function
        self._function.children.append(function)

    # -- statements -----------------------------------------------------------------------------

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ClassDef):
            self._enter_class(node)
            return
        if isinstance(node, _FUNCTIONS):
            self._name = node.name
            for item in node.decorator_list:
                self._expression(item, "")
            self._enter_function(node)
            return
        self._name = _statement_name(node)
        if isinstance(node, (ast.For, ast.AsyncFor)):
            self._for(node)
        elif isinstance(node, ast.While):
            loop = self._loop(node, "while", "while")
            self._around = [*self._around, loop]
            self._expression(node.test, "")
            self._statements(node.body)
            self._around = self._around[:-1]
            self._statements(node.orelse)
        else:
            self._children(node)

    def _statements(self, nodes: Iterable[ast.stmt]) -> None:
        for node in nodes:
            self._statement(node)

    def _children(self, node: ast.AST) -> None:
        name = self._name
        for child in _in_order(node):
            self._name = name
            if isinstance(child, ast.stmt):
                self._statement(child)
            elif isinstance(child, ast.expr):
                self._expression(child, "")
            elif isinstance(child, ast.AST):
                self._children(child)
        self._name = name

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        name = name_of(node.target) or "for"
        site = self.sites.get(id(node.iter))
        turns = site if site is not None and site.role == "turns" else None
        if turns is not None and turns.name:
            name = turns.name
        # What is looped over is evaluated before the first turn, outside the loop.
        self._expression(node.iter, "")
        loop = self._loop(node, name, "for", turns)
        self._around = [*self._around, loop]
        self._expression(node.target, "")
        self._statements(node.body)
        self._around = self._around[:-1]
        self._statements(node.orelse)

    def _loop(
        self,
        node: ast.AST,
        name: str,
        kind: Literal["for", "while", "comprehension"],
        site: Site | None = None,
    ) -> Loop:
        line = getattr(node, "lineno", 0) or getattr(getattr(node, "target", None), "lineno", 0)
        loop = Loop(name, node, kind, line, self.file, tuple(self._around), site)
        self.loops[id(node)] = loop
        self._function.loops.append(loop)
        return loop

    # -- expressions ----------------------------------------------------------------------------

    def _expression(self, node: ast.expr, suffix: str) -> None:
        site = self.sites.get(id(node))
        if site is not None:
            self._place(site, suffix)
            # Only a default that the text does not tell is ever evaluated by the code's own expression; one
            # that is a candidate is evaluated as that candidate.
            if site.by_value:
                self._inside(node, suffix)
            for branch, candidate in enumerate(site.candidates):
                self._candidate(site, branch, candidate.expr)
            return
        self._inside(node, suffix)

    def _inside(self, node: ast.expr, suffix: str) -> None:
        if isinstance(node, ast.Call):
            self._call(node, suffix)
        elif isinstance(node, ast.Lambda):
            self._enter_function(node, suffix)
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, suffix)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is not None:
                    self._expression(key, suffix)
                step = f"[{key.value!s}]" if isinstance(key, ast.Constant) else ""
                self._expression(value, suffix + step)
        elif isinstance(node, ast.NamedExpr) and self._parent is None:
            name, self._name = self._name, node.target.id
            self._expression(node.value, "")
            self._name = name
        elif isinstance(node, ast.List | ast.Tuple) and self._parent is not None:
            item = self._item
            for place, element in enumerate(node.elts):
                self._item = f"{item}[{place}]"
                self._expression(element, suffix)
            self._item = item
        else:
            for child in _in_order(node):
                if isinstance(child, ast.expr):
                    self._expression(child, suffix)
                elif isinstance(child, ast.keyword):
                    self._expression(child.value, suffix)

    def _candidate(self, site: Site, branch: int, expr: ast.expr) -> None:
        saved = self._name, self._parent, self._item
        self._name, self._parent, self._item = "", (site, branch), ""
        self._expression(expr, "")
        self._name, self._parent, self._item = saved

    def _comprehension(self, node: ast.expr, suffix: str) -> None:
        around = self._around
        for clause in node.generators:  # type: ignore[attr-defined]
            site = self.sites.get(id(clause.iter))
            turns = site if site is not None and site.role == "turns" else None
            self._expression(clause.iter, suffix)
            name = (turns.name if turns else None) or name_of(clause.target) or "for"
            self._around = [*self._around, self._loop(clause, name, "comprehension", turns)]
            for test in clause.ifs:
                self._expression(test, suffix)
        for part in ("key", "value", "elt"):
            if hasattr(node, part):
                self._expression(getattr(node, part), suffix)
        self._around = around

    def _call(self, node: ast.Call, suffix: str) -> None:
        reaching = self.resolver.reaches(node, self._function)
        if reaching or (self.everywhere and not _makes_nothing(node)):
            call = CallSite(
                node,
                node.lineno,
                self._function,
                tuple(self._around),
                self._path(suffix),
                reaching=reaching,
            )
            if self._parent is not None:
                call.parent, call.branch = self._parent
            self.calls[id(node)] = call
            self._function.calls.append(call)
        self._expression(node.func, suffix)
        # One argument needs no position to be told apart, and what is appended has its receiver's name.
        several = len(node.args) + len(node.keywords) > 1
        growing = isinstance(node.func, ast.Attribute) and node.func.attr in GROWING and not suffix
        for position, argument in enumerate(node.args):
            self._expression(argument, suffix + self._step(node, position, argument, several and not growing))
        for keyword in node.keywords:
            step = f".{keyword.arg}" if keyword.arg else ""
            self._expression(keyword.value, suffix + step)

    def _step(self, call: ast.Call, position: int, argument: ast.expr, several: bool) -> str:
        """Return what a positional argument adds: its parameter where that is known, else `[position]`."""
        site = self.sites.get(id(argument))
        if isinstance(argument, ast.Starred):
            return ""
        # Literals and variables hold no points, unless one is a site itself.
        if site is not None:
            name = self.resolver.parameter(call, position, self._function)
            if name is not None:
                return f".{name}"
            return f"[{position}]" if several or not isinstance(argument, ast.Call) else ""
        return f"[{position}]" if several and isinstance(argument, ast.Call) else ""

    def _path(self, suffix: str) -> str:
        """Return the path of a node: in a candidate what leads down to it, else with the statement's name."""
        if self._parent is not None:
            return suffix.removeprefix(".")
        return f"{self._classes}{self._name}{suffix}"

    def _place(self, site: Site, suffix: str) -> None:
        """Give a site its path, the loops around it, and the candidate that holds it."""
        site.function = self._function
        site.loops = tuple(self._around)
        path = self._path(suffix + site.item)
        if self._parent is not None:
            site.parent, site.branch = self._parent
            site.item = self._item
            path = path or "value"
        elif site.role == "turns" and not suffix:
            path = _turns_name(site, self._path(suffix), self._function)
        elif path in ("if", "while", "match", "assert"):
            path = name_of(site.node) or path
        elif path == "return" and self._function.is_property:
            path = self._function.name
        if site.name:
            path = site.name if self._parent is not None else f"{self._classes}{site.name}"
        site.path = path
        site.definition = site.parent.definition if site.parent is not None else not self._inside_function()
        self._function.sites.append(site)


def _rank(item: Site | CallSite) -> tuple[bool, int, int]:
    """Order by place; calls that reach nothing come last, so that placing them moves no other's name."""
    return not getattr(item, "reaching", True), item.node.lineno, item.node.col_offset


def _makes_nothing(node: ast.Call) -> bool:
    """Whether a call needs no place even where those that reach no point have one."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr in ("append", "appendleft", "extend", "insert")
    return isinstance(node.func, ast.Name) and node.func.id in _PLAIN


def _turns_name(site: Site, path: str, function: Function) -> str:
    """Return the name of a number of turns: the variable of its loop."""
    for node in ast.walk(function.node):
        if isinstance(node, (ast.comprehension, ast.For, ast.AsyncFor)) and node.iter is site.node:
            return name_of(node.target) or path
    return path


def _in_order(node: ast.AST) -> Sequence[ast.AST]:
    return list(ast.iter_child_nodes(node))


def _statement_name(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign):
        return name_of(node.targets[0]) or "value"
    if isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For, ast.AsyncFor)):
        return name_of(node.target) or "value"
    if isinstance(node, ast.Expr):
        return _bare_name(node.value)
    if isinstance(node, (ast.With, ast.AsyncWith)):
        target = node.items[0].optional_vars
        return (name_of(target) if target is not None else None) or "with"
    return type(node).__name__.lower()


def _bare_name(node: ast.expr) -> str:
    """Name an expression statement: the receiver of `append` and the like, else what is called."""
    if isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom)):
        return "yield" if not isinstance(node, ast.Await) else _bare_name(node.value)
    if not isinstance(node, ast.Call):
        return name_of(node) or "value"
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in GROWING:
        first = node.args[0] if node.args else None
        if function.attr in _NAMING and isinstance(first, ast.Constant) and isinstance(first.value, str):
            return first.value
        receiver = name_of(function.value)
        if receiver is not None and receiver not in ("self", "cls"):
            return receiver
    return called_name(function)


def _name_items(sites: Sequence[Site]) -> None:
    """Name by their places in a list what has no name in a candidate, where there are several such."""
    nameless: dict[tuple[int, int], list[Site]] = {}
    for site in sites:
        if site.parent is not None and site.path == "value" and site.item and not site.name:
            nameless.setdefault((id(site.parent), site.branch), []).append(site)
    for siblings in nameless.values():
        if len(siblings) > 1:
            for site in siblings:
                site.path = site.item


def _number(function: Function) -> None:
    """Tell siblings that share a path apart by their place in the text."""
    places: list[Site | CallSite] = [*function.sites, *function.calls]
    for item in places:
        for loop in item.loops:
            loop.counted = True
    _name_items(function.sites)
    groups: tuple[Sequence[Site | CallSite], ...] = (function.sites, function.calls)
    for group in groups:
        taken: set[tuple[object, ...]] = set()
        for item in sorted(group, key=_rank):
            around = tuple(loop.name for loop in item.loops)
            parent = (id(item.parent), item.branch)
            path, count = item.path, 1
            while (parent, around, path) in taken:
                count += 1
                path = f"{item.path}_{count}" if item.path else f"[{count}]"
            taken.add((parent, around, path))
            item.path = path
