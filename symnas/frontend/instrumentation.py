"""Turns the syntax tree of a user's function into one whose choices ask the run what to be.

Before:

    def stem(width):
        layers = []
        for i in range(2):  # search: 1..3
            k = 3  # search: {1, 3, 5}
            layers += [block(width, k)]
        return layers

After, where `S` is the one reserved name `__symnas__`, `f` the local variable `__symnas_frame__`, and a text
in quotes the marker of a place (`code_objects` puts the object itself there: a function, site, loop or call):

    def stem(width):
        f = S.frame("stem")
        layers = []
        for i in S.turns(f, "i", S.look(f, "i", S.leave(f, "i",
                range(2) if S.enter(f, "i") < 0 else S.count(f, "i", range(2))))):
            k = S.leave(f, "k", 1 if S.enter(f, "k") == 0 else 3 if S.taken(f, "k") == 1 else 5)
            layers += [S.call(f, "layers", block, width, k)]
        return layers

`operations` says what each operation means. A later pass over the tree (the survey's dependence tracking,
`evaluate_all`) recognises them by the reserved name, always as `S.operation(f, place, …)`. Every new node has
the place of one of the user's, so that tracebacks and debuggers show the user's own lines.

A choice becomes a conditional expression, not a set of closures: only the chosen candidate is ever
evaluated, in the scope and stack frame of the code around it, where `super()`, `yield` and local variables
mean what they mean there.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from symnas.errors import ProgramError
from symnas.frontend.code_objects import RESERVED, References, is_docstring, place_at
from symnas.frontend.sites import CallSite, Function, FunctionNode, Loop, Site

FRAME = "__symnas_frame__"
ORIGINAL = "__symnas_original__"
"""The parameter by which a constructor that stands in no text is handed the one that Python generated."""
Place: TypeAlias = Function | Site | Loop | CallSite


class Instrumenter:
    """Rebuilds the trees of one module's functions; the parsed tree itself is never changed.

    Args:
        sites: by the identity of the node described; functions, loops and calls likewise.
        references: takes the objects that the new code refers to.
        defaulted: identities of calls (`oneof(…)`) that are no points of the program, and give their
            defaults.
        fields: identities of statements whose choices are made by a constructor (`record_classes`).
    """

    def __init__(
        self,
        sites: Mapping[int, Site],
        functions: Mapping[int, Function],
        loops: Mapping[int, Loop],
        calls: Mapping[int, CallSite],
        references: References,
        defaulted: Collection[int] = (),
        fields: Collection[int] = (),
    ) -> None:
        self.sites = sites
        self.fields = fields
        self.defaulted = defaulted
        self.functions = functions
        self.loops = loops
        self.calls = calls
        self.references = references

    def function(self, function: Function) -> FunctionNode:
        """Return the instrumented tree of a function, signature and decorators included."""
        assert not isinstance(function.node, ast.Module)
        node: FunctionNode = self._define(function.node)
        return node

    def module(self, function: Function, *, whole: bool = True, again: Collection[int] = ()) -> ast.Module:
        """Return the instrumented tree of a module, which opens a frame of its own.

        Args:
            function: the module's own statements.
            whole: False to keep only definitions, imports and annotated statements, as of a notebook's cell,
                which may also hold the search that this is part of.
            again: identities of further statements that are kept then.
        """
        node = function.node
        assert isinstance(node, ast.Module)
        kept = [item for item in node.body if whole or id(item) in again or self.defines(item)]
        body = self._body(kept)
        # Nothing may stand before a docstring, and nothing else before the imports from __future__.
        at = 1 if body and is_docstring(body[0]) else 0
        while at < len(body) and _is_future(body[at]):
            at += 1
        nowhere = ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
        where = body[at] if at < len(body) else nowhere
        return ast.Module([*body[:at], self._open(where, function, None), *body[at:]], [])

    def defines(self, node: ast.stmt) -> bool:
        """Whether a statement of a module defines or imports something, or holds a choice."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
        return isinstance(node, kinds) or any(id(part) in self.sites for part in ast.walk(node))

    def values(
        self, function: Function, store: str, statements: Mapping[str, ast.Assign | ast.AnnAssign]
    ) -> ast.Module:
        """Return a module that makes the choices of some statements alone: `store[name] = <the value>`.

        Args:
            function: the statements of the module that they belong to.
            store: the variable that takes the values.
            statements: by name.
        """
        body: list[ast.stmt] = []
        for name, node in statements.items():
            assert node.value is not None
            target = ast.Subscript(ast.Name(store, ast.Load()), ast.Constant(name), ast.Store())
            body += [] if body else [self._open(node, function, None)]
            body.append(place_at(ast.Assign([target], self.visit(node.value)), node))
        return ast.Module(body, [])

    def constructor(
        self,
        function: Function,
        arguments: ast.arguments,
        defaults: Mapping[str, tuple[Function, ast.expr, Instrumenter]],
    ) -> ast.FunctionDef:
        """Return a constructor that makes the choices in defaults that were left out; see `record_classes`.

            def __init__(self, size=…, *, __symnas_original__=…):
                f = S.frame("__init__", self)
                if S.missing(size): size = S.recall(…) if S.known(…) else <the default, choices made>
                return S.fields(f, "__init__", __symnas_original__, self, size=size)

        Args:
            function: the place of the class's own fields.
            arguments: the parameters, `ORIGINAL` the last of them.
            defaults: by parameter, the place of its field, the expression, and who rebuilds that.
        """
        where = function.owner
        assert where is not None
        owner, *names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
        body = [self._open(where, function, owner)]
        for name, (holder, default, maker) in defaults.items():
            value = maker.visit(default)
            if holder is not function:
                # An inherited field belongs to the class that declares it.
                self_or_class = ast.Name(owner, ast.Load())
                opened = self._op(default, "frame", self._marker(default, holder), self_or_class)
                value = place_at(ast.Call(place_at(_lambda(value, FRAME), default), [opened], []), default)
            body.append(self._left_out(default, function, name, value))
        given = [ast.keyword(n, ast.Name(n, ast.Load())) for n in names if n != ORIGINAL]
        first = [ast.Name(ORIGINAL, ast.Load()), ast.Name(owner, ast.Load())]
        made = self._ask(where, "fields", function, *first, keywords=given)
        body.append(place_at(ast.Return(made), where))
        new = ast.FunctionDef(function.name, arguments, body, [], None, None)
        return place_at(new, where)

    # -- rebuilding -----------------------------------------------------------------------------

    def visit(self, node: Any) -> Any:
        """Return a new tree for a node (an expression, or anything that is not a statement)."""
        site = self.sites.get(id(node))
        if site is not None:
            return self._choice(site, node)
        return self._inside(node)

    def _inside(self, node: Any) -> Any:
        if id(node) in self.defaulted:
            new = self._rebuild(node)
            return self._op(node, "defaulted", self._frame(node), new.func, *new.args, keywords=new.keywords)
        if isinstance(node, ast.Call) and id(node) in self.calls:
            new, place = self._rebuild(node), self.calls[id(node)]
            return self._ask(node, "call", place, new.func, *new.args, keywords=new.keywords)
        if isinstance(node, ast.Lambda):
            return self._lambda(node)
        if isinstance(node, ast.comprehension) and id(node) in self.loops and self.loops[id(node)].counted:
            new = self._rebuild(node)
            new.iter = self._counted(self.loops[id(node)], node.iter)
            return new
        return self._rebuild(node)

    def _rebuild(self, node: Any) -> Any:
        new = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.AST):
                setattr(new, name, self.visit(value))
            elif isinstance(value, list):
                if value and isinstance(value[0], ast.stmt):
                    setattr(new, name, self._body(value))
                else:
                    setattr(new, name, [self.visit(v) if isinstance(v, ast.AST) else v for v in value])
        return new

    def _body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [new for statement in statements for new in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return [self._nested(node)]
        if id(node) in self.fields:
            return [self._field(node)]
        new = self._rebuild(node)
        loop = self.loops.get(id(node))
        if loop is None:
            return [new]
        if isinstance(node, ast.For) and loop.counted:
            new.iter = self._counted(loop, node.iter)
        elif isinstance(node, ast.While):
            begin, again = (self._ask(node.test, name, loop) for name in ("start", "again"))
            new.test = ast.copy_location(ast.BoolOp(ast.And(), [again, new.test]), node.test)
            return [ast.copy_location(ast.Expr(begin), node), new]
        return [new]

    def _counted(self, loop: Loop, iterable: ast.expr) -> ast.expr:
        """Return `turns(f, loop, look(f, loop, iterable))`."""
        wrapped = (
            isinstance(iterable, ast.Call)
            and isinstance(iterable.func, ast.Name)
            and iterable.func.id == "enumerate"
        )
        if wrapped and iterable.args and id(iterable) not in self.sites and id(iterable) not in self.calls:  # type: ignore[attr-defined]
            # Of `enumerate(chosen)` it is what is enumerated that may be a chosen subset.
            new = self._rebuild(iterable)
            new.args[0] = self._ask(iterable, "look", loop, new.args[0])
        else:
            new = self._ask(iterable, "look", loop, self.visit(iterable))
        return self._ask(iterable, "turns", loop, new)

    def _field(self, node: ast.stmt) -> ast.stmt:
        """Return a field's statement as it is outside a run: its choices are the constructor's."""
        calls = {
            id(n) for n in ast.walk(node) if id(n) in self.sites and self.sites[id(n)].spelling == "call"
        }
        plain = Instrumenter({}, self.functions, {}, {}, self.references, calls)
        new: ast.stmt = plain._rebuild(node)
        return new

    # -- functions ------------------------------------------------------------------------------

    def _nested(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
        function = self.functions[id(node)]
        new = self._define(node)
        if function.touched:
            # The last decorator is applied first: it remembers the function that the run makes here, whose
            # plain code comes back afterwards, since the function may outlive the run.
            body = self._op(node, "made", ast.Name("function", ast.Load()), self._marker(node, function))
            new.decorator_list = [*new.decorator_list, place_at(_lambda(body, "function"), node)]
        assert isinstance(new, ast.stmt)
        return new

    def _define(self, node: Any) -> Any:
        function = self.functions[id(node)]
        if isinstance(node, ast.Lambda):
            return self._lambda(node)
        new = copy.copy(node)
        new.decorator_list = [self.visit(item) for item in node.decorator_list]
        new.args = self._rebuild(node.args)
        if not function.touched:
            new.body = self._body(node.body)
            return new
        first = 1 if is_docstring(node.body[0]) and len(node.body) > 1 else 0
        rest = self._body(node.body[first:])
        owner = _owner(function)
        prologue: list[ast.stmt] = [self._open(node.body[first], function, owner)]
        for name, default in function.parameters.items():
            prologue.append(self._parameter(node.body[first], function, name, default))
        if _is_generator(node) and isinstance(node, ast.FunctionDef):
            rest = self._generator(node, rest)
        new.body = [*node.body[:first], *prologue, *rest]
        return new

    def _open(self, where: ast.AST, function: Function, owner: str | None) -> ast.stmt:
        """Return the statement that opens a frame: `f = frame(function, self)`."""
        arguments = [self._marker(where, function)]
        if owner is not None:
            arguments.append(place_at(ast.Name(owner, ast.Load()), where))
        target = place_at(ast.Name(FRAME, ast.Store()), where)
        return place_at(ast.Assign([target], self._op(where, "frame", *arguments)), where)

    def _parameter(self, where: ast.AST, function: Function, name: str, default: ast.expr) -> ast.stmt:
        """Return `if missing(p): p = recall(…) if known(…) else keep(…, <the default, choices made>)`.

        Python evaluates a default once, when the function is defined; a run makes its choices at the first
        call that does not pass the parameter, and keeps them.
        """
        kept = self._ask(where, "keep", function, _const(where, name), self.visit(default))
        return self._left_out(where, function, name, kept)

    def _left_out(self, where: ast.AST, function: Function, name: str, made: ast.expr) -> ast.stmt:
        """Return `if missing(p): p = recall(…) if known(…) else <made>`."""
        value = place_at(ast.Name(name, ast.Load()), where)
        known = self._ask(where, "known", function, _const(where, name))
        recall = self._ask(where, "recall", function, _const(where, name), value)
        chosen = place_at(ast.IfExp(known, recall, made), where)
        assign = place_at(ast.Assign([place_at(ast.Name(name, ast.Store()), where)], chosen), where)
        return place_at(ast.If(self._op(where, "missing", value), [assign], []), where)

    def _generator(self, node: ast.FunctionDef, rest: list[ast.stmt]) -> list[ast.stmt]:
        """Return `def name(…): <the body>` and `return name(…)`: a function that returns a generator.

        The frame must be opened when the function is called, and a generator's own body runs at the first
        item, when the position of the call is long gone.
        """
        plain = copy.deepcopy(node.args)
        plain.defaults, plain.kw_defaults = [], [None] * len(plain.kwonlyargs)
        for argument in [*plain.posonlyargs, *plain.args, *plain.kwonlyargs, plain.vararg, plain.kwarg]:
            if argument is not None:
                argument.annotation = None
        inner = place_at(ast.FunctionDef(node.name, plain, rest, [], None, None), node)
        call = ast.Call(ast.Name(node.name, ast.Load()), [], [])
        call.args = [ast.Name(a.arg, ast.Load()) for a in [*plain.posonlyargs, *plain.args]]
        if plain.vararg:
            call.args.append(ast.Starred(ast.Name(plain.vararg.arg, ast.Load()), ast.Load()))
        call.keywords = [ast.keyword(a.arg, ast.Name(a.arg, ast.Load())) for a in plain.kwonlyargs]
        if plain.kwarg:
            call.keywords.append(ast.keyword(None, ast.Name(plain.kwarg.arg, ast.Load())))
        return [inner, place_at(ast.Return(place_at(call, node)), node)]

    def _lambda(self, node: ast.Lambda) -> ast.expr:
        function = self.functions[id(node)]
        new = self._rebuild(node)
        if not function.touched:
            return new  # type: ignore[no-any-return]
        # A lambda has no statements to open its frame with: `lambda …: (lambda f: body)(frame(function))`.
        opened = self._op(node.body, "frame", self._marker(node.body, function))
        inner = place_at(_lambda(new.body, FRAME), node.body)
        new.body = place_at(ast.Call(inner, [opened], []), node.body)
        return new  # type: ignore[no-any-return]

    # -- choices --------------------------------------------------------------------------------

    def _choice(self, site: Site, node: ast.expr) -> ast.expr:
        """Return what stands for a choice: `leave(f, site, <one of the candidates>)`.

        The index that `enter` returns says which; it is -1 for the code's own expression, where that is not
        one of the candidates by its syntax.
        """
        if site.dynamic is not None:
            return self._dynamic(site, node)
        enter = self._ask(node, "enter", site)
        candidates = [self.visit(candidate.expr) for candidate in site.candidates]
        if site.kind == "oneof":
            own = [self._own(site, node)] if site.by_value else []
            result = self._chain(node, site, enter, [*candidates, *own])
        else:
            test = place_at(ast.Compare(enter, [ast.Lt()], [_const(node, 0)]), node)
            chosen = self._chosen(site, node, candidates)
            result = place_at(ast.IfExp(test, self._own(site, node), chosen), node)
        return self._ask(node, "leave", site, result)

    def _chain(self, node: ast.expr, site: Site, enter: ast.expr, values: list[ast.expr]) -> ast.expr:
        """Return `a if enter(…) == 0 else b if taken(…) == 1 else c`; the last value has no test."""
        if len(values) == 1:
            # A single candidate is still visited: `(enter(…), a)[1]`.
            pair = place_at(ast.Tuple([enter, values[0]], ast.Load()), node)
            return place_at(ast.Subscript(pair, _const(node, 1), ast.Load()), node)
        result = values[-1]
        for index in range(len(values) - 2, -1, -1):
            # `enter` visits the point, so it is asked once, by the test that is evaluated first.
            asked = self._ask(node, "taken", site) if index else enter
            test = place_at(ast.Compare(asked, [ast.Eq()], [_const(node, index)]), node)
            result = place_at(ast.IfExp(test, values[index], result), node)
        return result

    def _own(self, site: Site, node: ast.expr) -> ast.expr:
        """Return the code's own expression; its value is recognised where the text does not tell a default.

        Candidates are handed to `settle` as lambdas, since most runs compare with few of them; one that holds
        choices itself equals nothing.
        """
        own: ast.expr = self._inside(node)
        if not site.by_value or site.kind == "tied":
            return own
        if site.role == "turns":
            return self._ask(node, "length", site, own)
        values = []
        for candidate in site.candidates:
            if candidate.nested:
                values.append(_const(node, None))
            else:
                value = copy.deepcopy(candidate.expr)
                plain = isinstance(value, (ast.Constant, ast.Name))
                values.append(value if plain else place_at(_lambda(value), value))
        return self._ask(node, "settle", site, own, place_at(ast.Tuple(values, ast.Load()), node))

    def _chosen(self, site: Site, node: ast.expr, candidates: list[ast.expr]) -> ast.expr:
        """Return what stands for a range, a tie, a number of turns, or several of the candidates.

        Several are `[a if index == 0 else b if index == 1 else c for index in each(f, site)]`.
        """
        if site.role == "turns":
            return self._ask(node, "count", site, self._inside(node))
        if site.kind not in ("manyof", "permutation"):
            return self._ask(node, "value", site)
        for candidate in site.candidates:
            _refuse_in_comprehension(site, candidate.expr)
        name = f"{FRAME}_index"
        result = candidates[-1]
        for index in range(len(candidates) - 2, -1, -1):
            test = ast.Compare(ast.Name(name, ast.Load()), [ast.Eq()], [_const(node, index)])
            result = place_at(ast.IfExp(place_at(test, node), candidates[index], result), node)
        clause = ast.comprehension(ast.Name(name, ast.Store()), self._ask(node, "each", site), [], 0)
        return place_at(ast.ListComp(result, [clause]), node)

    def _dynamic(self, site: Site, node: ast.expr) -> ast.expr:
        """Return `leave(f, site, dynamic(f, site, "oneof", KERNELS))`."""
        assert site.dynamic is not None
        new, kind = self._rebuild(node), _const(node, site.dynamic.kind)
        made = self._ask(node, "dynamic", site, kind, *new.args, keywords=new.keywords)
        return self._ask(node, "leave", site, made)

    # -- small things ---------------------------------------------------------------------------

    def _frame(self, where: ast.AST) -> ast.expr:
        return place_at(ast.Name(FRAME, ast.Load()), where)

    def _marker(self, where: ast.AST, place: Place) -> ast.expr:
        return _const(where, self.references.marker(place))

    def _ask(
        self,
        where: ast.AST,
        name: str,
        place: Place,
        *args: ast.expr,
        keywords: list[ast.keyword] | None = None,
    ) -> ast.expr:
        """Return `S.name(f, place, …)`."""
        frame, marker = self._frame(where), self._marker(where, place)
        return self._op(where, name, frame, marker, *args, keywords=keywords)

    def _op(
        self, where: ast.AST, name: str, *args: ast.expr, keywords: list[ast.keyword] | None = None
    ) -> ast.expr:
        function = ast.Attribute(ast.Name(RESERVED, ast.Load()), name, ast.Load())
        return place_at(ast.Call(function, list(args), keywords or []), where)


def _lambda(body: ast.expr, *names: str) -> ast.Lambda:
    arguments = [ast.arg(name, None) for name in names]
    return ast.Lambda(ast.arguments([], arguments, None, [], [], None, []), body)


def _const(where: ast.AST, value: str | int | None) -> ast.expr:
    return place_at(ast.Constant(value), where)


_OF_THE_CLASS = ("staticmethod", "classmethod")


def _owner(function: Function) -> str | None:
    node = function.node
    if function.owner is None or isinstance(node, (ast.Lambda, ast.Module)):
        return None
    # What belongs to no instance is a function like others.
    if any(isinstance(item, ast.Name) and item.id in _OF_THE_CLASS for item in node.decorator_list):
        return None
    positional = [*node.args.posonlyargs, *node.args.args]
    return positional[0].arg if positional else None


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _own_nodes(node: ast.AST) -> list[ast.AST]:
    """All nodes of a function's own body, without those of functions inside it."""
    found: list[ast.AST] = []
    pending: list[ast.AST] = list(getattr(node, "body", []))
    while pending:
        item = pending.pop()
        found.append(item)
        if not isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(item))
    return found


def _is_generator(node: ast.AST) -> bool:
    return any(isinstance(item, (ast.Yield, ast.YieldFrom)) for item in _own_nodes(node))


def _refuse_in_comprehension(site: Site, expr: ast.expr) -> None:
    for item in ast.walk(expr):
        bare = (
            isinstance(item, ast.Call)
            and isinstance(item.func, ast.Name)
            and item.func.id == "super"
            and not item.args
        )
        if bare or isinstance(item, (ast.Yield, ast.YieldFrom, ast.Await)):
            raise ProgramError(
                f"{site.location}\ncandidates of a subset or an order are evaluated in a comprehension, "
                "where `super()`, `yield` and `await` mean nothing; compute the value in a line of its own "
                "and name it here"
            )
