"""Turns the syntax tree of a user's function into one whose choices ask the run what to be.

The result has the user's own lines, so tracebacks and debuggers show them, and refers to the library by one
reserved name, `__symnas__`, always as `__symnas__.operation(frame, place, …)`; a later pass over the tree
(the survey's dependence tracking) recognises it by that. `symnas.frontend.code_objects` then compiles the
tree.

A choice becomes a conditional expression, not a set of closures: only the chosen candidate is ever
evaluated, in the scope and stack frame of the code around it, where `super()`, `yield` and local variables
mean what they mean there.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Mapping
from typing import Any

from symnas.errors import ProgramError
from symnas.frontend.code_objects import RESERVED, References, is_docstring, place_at
from symnas.frontend.sites import CallSite, Function, FunctionNode, Loop, Site

FRAME = "__symnas_frame__"


class Instrumenter:
    """Rebuilds the trees of one module's functions; the parsed tree itself is never changed.

    Args:
        sites: by the identity of the node described; functions, loops and calls likewise.
        references: takes the objects that the new code refers to.
        idle: identities of calls (`oneof(…)`) that are no points of the program, and give their defaults.
    """

    def __init__(
        self,
        sites: Mapping[int, Site],
        functions: Mapping[int, Function],
        loops: Mapping[int, Loop],
        calls: Mapping[int, CallSite],
        references: References,
        idle: Collection[int] = (),
    ) -> None:
        self.sites = sites
        self.idle = idle
        self.functions = functions
        self.loops = loops
        self.calls = calls
        self.references = references

    def function(self, function: Function) -> FunctionNode:
        """Return the instrumented tree of a function, signature and decorators included."""
        assert not isinstance(function.node, ast.Module)
        node: FunctionNode = self._define(function.node)
        return node

    def module(self, function: Function, *, whole: bool = True) -> ast.Module:
        """Return the instrumented tree of a module, which opens a frame of its own.

        Args:
            function: the module's own statements.
            whole: False to keep only definitions, imports and annotated statements, as of a notebook's cell,
            which may
                also hold the search that this is part of.
        """
        node = function.node
        assert isinstance(node, ast.Module)
        kept = [item for item in node.body if whole or self.defines(item)]
        body = self._body(kept)
        at = 1 if body and is_docstring(body[0]) else 0
        while at < len(body) and _is_future(body[at]):
            at += 1
        where = (
            body[at] if at < len(body) else ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
        )
        return ast.Module([*body[:at], self._open(where, function, None), *body[at:]], [])

    def defines(self, node: ast.stmt) -> bool:
        """Whether a statement of a module defines or imports something, or holds a choice."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
        return isinstance(node, kinds) or any(id(part) in self.sites for part in ast.walk(node))

    # -- rebuilding -----------------------------------------------------------------------------

    def visit(self, node: Any) -> Any:
        """Return a new tree for a node (an expression, or anything that is not a statement)."""
        site = self.sites.get(id(node))
        if site is not None:
            return self._choice(site, node)
        return self._inside(node)

    def _inside(self, node: Any) -> Any:
        if id(node) in self.idle:
            new = self._rebuild(node)
            return self._op(node, "idle", self._frame(node), new.func, *new.args, keywords=new.keywords)
        if isinstance(node, ast.Call) and id(node) in self.calls:
            new = self._rebuild(node)
            place = self.references.marker(self.calls[id(node)])
            return self._op(
                node,
                "call",
                self._frame(node),
                _const(node, place),
                new.func,
                *new.args,
                keywords=new.keywords,
            )
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
        new = self._rebuild(node)
        loop = self.loops.get(id(node))
        if loop is None:
            return [new]
        if isinstance(node, ast.For) and loop.counted:
            new.iter = self._counted(loop, node.iter)
        elif isinstance(node, ast.While):
            place = _const(node.test, self.references.marker(loop))
            begin = self._op(node.test, "start", self._frame(node.test), place)
            again = self._op(node.test, "again", self._frame(node.test), place)
            new.test = ast.copy_location(ast.BoolOp(ast.And(), [again, new.test]), node.test)
            return [ast.copy_location(ast.Expr(begin), node), new]
        return [new]

    def _counted(self, loop: Loop, iterable: ast.expr) -> ast.expr:
        place = _const(iterable, self.references.marker(loop))
        inner = iterable
        wrapped = (
            isinstance(iterable, ast.Call)
            and isinstance(iterable.func, ast.Name)
            and iterable.func.id == "enumerate"
        )
        if wrapped and iterable.args and id(iterable) not in self.sites and id(iterable) not in self.calls:  # type: ignore[attr-defined]
            new = self._rebuild(iterable)
            new.args[0] = self._op(inner, "look", self._frame(inner), place, new.args[0])
        else:
            new = self._op(inner, "look", self._frame(inner), place, self.visit(iterable))
        return self._op(iterable, "turns", self._frame(iterable), place, new)

    # -- functions ------------------------------------------------------------------------------

    def _nested(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
        function = self.functions[id(node)]
        new = self._define(node)
        if function.touched:
            # Applied first of all decorators: remembers the function, whose plain code comes back after the
            # run.
            place = self.references.marker(function)
            argument = ast.arg("function", None)
            body = self._op(node, "made", ast.Name("function", ast.Load()), _const(node, place))
            made = ast.Lambda(ast.arguments([], [argument], None, [], [], None, []), body)
            new.decorator_list = [*new.decorator_list, place_at(made, node)]
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
        arguments: list[ast.expr] = [_const(where, self.references.marker(function))]
        if owner is not None:
            arguments.append(place_at(ast.Name(owner, ast.Load()), where))
        target = place_at(ast.Name(FRAME, ast.Store()), where)
        return place_at(ast.Assign([target], self._op(where, "frame", *arguments)), where)

    def _parameter(self, where: ast.AST, function: Function, name: str, default: ast.expr) -> ast.stmt:
        """`if missing(p): p = recall(…) if known(…) else keep(…, <the default, choices made>)`."""
        place = [self._frame(where), _const(where, self.references.marker(function)), _const(where, name)]
        value = place_at(ast.Name(name, ast.Load()), where)
        known = self._op(where, "known", *place)
        recall = self._op(where, "recall", *place, value)
        keep = self._op(where, "keep", *place, self.visit(default))
        chosen = place_at(ast.IfExp(known, recall, keep), where)
        assign = place_at(ast.Assign([place_at(ast.Name(name, ast.Store()), where)], chosen), where)
        return place_at(ast.If(self._op(where, "missing", value), [assign], []), where)

    def _generator(self, node: ast.FunctionDef, rest: list[ast.stmt]) -> list[ast.stmt]:
        """Open the frame when the function is called; at the first item its call is long gone."""
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
        # (lambda frame: body)(__symnas__.frame(FUNCTION)): a lambda has no statements to open its frame with.
        argument = ast.arg(FRAME, None)
        inner = ast.Lambda(ast.arguments([], [argument], None, [], [], None, []), new.body)
        opened = self._op(node.body, "frame", _const(node.body, self.references.marker(function)))
        new.body = place_at(ast.Call(place_at(inner, node.body), [opened], []), node.body)
        return new  # type: ignore[no-any-return]

    # -- choices --------------------------------------------------------------------------------

    def _choice(self, site: Site, node: ast.expr) -> ast.expr:
        place = _const(node, self.references.marker(site))
        frame = self._frame(node)
        if site.dynamic is not None:
            return self._dynamic(site, node)
        enter = self._op(node, "enter", frame, place)
        candidates = [self.visit(candidate.expr) for candidate in site.candidates]
        kind = site.kind
        if kind == "oneof" and not site.by_value:
            result = self._chain(node, site, enter, candidates)
        else:
            own = self._own(site, node)
            if kind == "oneof":
                result = self._chain(node, site, enter, [*candidates, own])
            else:
                test = place_at(ast.Compare(enter, [ast.Lt()], [_const(node, 0)]), node)
                result = place_at(ast.IfExp(test, own, self._chosen(site, node, candidates)), node)
        return self._op(node, "leave", frame, place, result)

    def _chain(self, node: ast.expr, site: Site, first: ast.expr, values: list[ast.expr]) -> ast.expr:
        """`a if enter(…) == 0 else b if taken(…) == 1 else c`."""
        result = values[-1]
        for index in range(len(values) - 2, -1, -1):
            asked = first
            if index:
                asked = self._op(node, "taken", self._frame(node), _const(node, self.references.marker(site)))
            test = place_at(ast.Compare(asked, [ast.Eq()], [_const(node, index)]), node)
            result = place_at(ast.IfExp(test, values[index], result), node)
        if len(values) == 1:
            # A single candidate is still visited: `(enter(…), a)[1]`.
            pair = place_at(ast.Tuple([first, values[0]], ast.Load()), node)
            result = place_at(ast.Subscript(pair, _const(node, 1), ast.Load()), node)
        return result

    def _own(self, site: Site, node: ast.expr) -> ast.expr:
        """The code's own expression; where the default is found by value, recognised among the candidates."""
        own: ast.expr = self._inside(node)
        if not site.by_value or site.kind == "tied":
            return own
        place = [self._frame(node), _const(node, self.references.marker(site))]
        if site.role == "turns":
            return self._op(node, "length", *place, own)
        values = []
        for candidate in site.candidates:
            if candidate.nested:
                values.append(_const(node, None))
            else:
                value = copy.deepcopy(candidate.expr)
                if not isinstance(value, (ast.Constant, ast.Name)):
                    value = place_at(ast.Lambda(ast.arguments([], [], None, [], [], None, []), value), value)
                values.append(value)
        return self._op(node, "settle", *place, own, place_at(ast.Tuple(values, ast.Load()), node))

    def _chosen(self, site: Site, node: ast.expr, candidates: list[ast.expr]) -> ast.expr:
        place = [self._frame(node), _const(node, self.references.marker(site))]
        if site.role == "turns":
            return self._op(node, "count", *place, self._inside(node))
        if site.kind not in ("manyof", "permutation"):
            return self._op(node, "value", *place)
        for candidate in site.candidates:
            _refuse_in_comprehension(site, candidate.expr)
        name = f"{FRAME}_index"
        result = candidates[-1]
        for index in range(len(candidates) - 2, -1, -1):
            test = ast.Compare(ast.Name(name, ast.Load()), [ast.Eq()], [_const(node, index)])
            result = place_at(ast.IfExp(place_at(test, node), candidates[index], result), node)
        clause = ast.comprehension(ast.Name(name, ast.Store()), self._op(node, "each", *place), [], 0)
        return place_at(ast.ListComp(result, [clause]), node)

    def _dynamic(self, site: Site, node: ast.expr) -> ast.expr:
        assert site.dynamic is not None
        new = self._rebuild(node)
        place = [
            self._frame(node),
            _const(node, self.references.marker(site)),
            _const(node, site.dynamic.kind),
        ]
        made = self._op(node, "dynamic", *place, *new.args, keywords=new.keywords)
        return self._op(node, "leave", self._frame(node), place[1], made)

    # -- small things ---------------------------------------------------------------------------

    def _frame(self, where: ast.AST) -> ast.expr:
        return place_at(ast.Name(FRAME, ast.Load()), where)

    def _op(
        self, where: ast.AST, name: str, *args: ast.expr, keywords: list[ast.keyword] | None = None
    ) -> ast.expr:
        function = ast.Attribute(ast.Name(RESERVED, ast.Load()), name, ast.Load())
        return place_at(ast.Call(function, list(args), keywords or []), where)


def _const(where: ast.AST, value: str | int | None) -> ast.expr:
    return place_at(ast.Constant(value), where)


def _owner(function: Function) -> str | None:
    node = function.node
    if function.owner is None or isinstance(node, (ast.Lambda, ast.Module)):
        return None
    if any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in node.decorator_list):
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
                f"{site.location}\ncandidates of a subset or an order are evaluated in a "
                "comprehension, where `super()`, `yield` "
                "and `await` mean nothing; compute the value in a line of its own and name it here"
            )
