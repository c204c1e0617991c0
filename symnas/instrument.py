"""Turns the syntax tree of a user's function into one whose choices ask the run what to be.

The result has the user's own lines, so tracebacks and debuggers show them, and refers to the library by one
reserved name, `__symnas__`, always as `__symnas__.operation(frame, place, …)`; a later pass over the tree
(the survey's dependence tracking) recognises it by that. `compile_function` then compiles the tree with the
free variables of the original, so that the code object can take the original's place.

A choice becomes a conditional expression, not a set of closures: only the chosen candidate is ever
evaluated, in the scope and stack frame of the code around it, where `super()`, `yield` and local variables
mean what they mean there.
"""

from __future__ import annotations
import __future__

import ast
import copy
import functools
import operator
from collections.abc import Collection, Mapping
from types import CodeType
from typing import Any, TypeVar

from symnas.errors import ProgramError
from symnas.operations import RUNTIME
from symnas.sites import CallSite, Function, FunctionNode, Loop, Site

RESERVED = "__symnas__"
FRAME = "__symnas_frame__"
_MARK = "\0symnas:"
_FUTURES = functools.reduce(
    operator.or_, (getattr(__future__, n).compiler_flag for n in __future__.all_feature_names)
)


_Node = TypeVar("_Node", bound=ast.AST)


class References:
    """The objects that instrumented code refers to, by the constants that stand for them in trees."""

    def __init__(self) -> None:
        self._objects: list[object] = []
        self._index: dict[int, int] = {}

    def marker(self, thing: object) -> str:
        """Return the constant that stands for an object."""
        index = self._index.get(id(thing))
        if index is None:
            index = self._index[id(thing)] = len(self._objects)
            self._objects.append(thing)
        return f"{_MARK}{index}"

    def resolve(self, constant: object) -> object:
        """Return the object that a constant stands for, or the constant itself."""
        if isinstance(constant, str) and constant.startswith(_MARK):
            return self._objects[int(constant[len(_MARK) :])]
        return constant

    def inject(self, code: CodeType) -> CodeType:
        """Put the objects in the place of their markers, in a code object and those inside it."""
        constants = tuple(
            self.inject(constant) if isinstance(constant, CodeType) else self.resolve(constant)
            for constant in code.co_consts
        )
        return code.replace(co_consts=constants)


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
        at = 1 if body and _is_docstring(body[0]) else 0
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
            new.decorator_list = [*new.decorator_list, _place(made, node)]
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
        first = 1 if _is_docstring(node.body[0]) and len(node.body) > 1 else 0
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
            arguments.append(_place(ast.Name(owner, ast.Load()), where))
        target = _place(ast.Name(FRAME, ast.Store()), where)
        return _place(ast.Assign([target], self._op(where, "frame", *arguments)), where)

    def _parameter(self, where: ast.AST, function: Function, name: str, default: ast.expr) -> ast.stmt:
        """`if missing(p): p = recall(…) if known(…) else keep(…, <the default, choices made>)`."""
        place = [self._frame(where), _const(where, self.references.marker(function)), _const(where, name)]
        value = _place(ast.Name(name, ast.Load()), where)
        known = self._op(where, "known", *place)
        recall = self._op(where, "recall", *place, value)
        keep = self._op(where, "keep", *place, self.visit(default))
        chosen = _place(ast.IfExp(known, recall, keep), where)
        assign = _place(ast.Assign([_place(ast.Name(name, ast.Store()), where)], chosen), where)
        return _place(ast.If(self._op(where, "missing", value), [assign], []), where)

    def _generator(self, node: ast.FunctionDef, rest: list[ast.stmt]) -> list[ast.stmt]:
        """Open the frame when the function is called; at the first item its call is long gone."""
        plain = copy.deepcopy(node.args)
        plain.defaults, plain.kw_defaults = [], [None] * len(plain.kwonlyargs)
        for argument in [*plain.posonlyargs, *plain.args, *plain.kwonlyargs, plain.vararg, plain.kwarg]:
            if argument is not None:
                argument.annotation = None
        inner = _place(ast.FunctionDef(node.name, plain, rest, [], None, None), node)
        call = ast.Call(ast.Name(node.name, ast.Load()), [], [])
        call.args = [ast.Name(a.arg, ast.Load()) for a in [*plain.posonlyargs, *plain.args]]
        if plain.vararg:
            call.args.append(ast.Starred(ast.Name(plain.vararg.arg, ast.Load()), ast.Load()))
        call.keywords = [ast.keyword(a.arg, ast.Name(a.arg, ast.Load())) for a in plain.kwonlyargs]
        if plain.kwarg:
            call.keywords.append(ast.keyword(None, ast.Name(plain.kwarg.arg, ast.Load())))
        return [inner, _place(ast.Return(_place(call, node)), node)]

    def _lambda(self, node: ast.Lambda) -> ast.expr:
        function = self.functions[id(node)]
        new = self._rebuild(node)
        if not function.touched:
            return new  # type: ignore[no-any-return]
        # (lambda frame: body)(__symnas__.frame(FUNCTION)): a lambda has no statements to open its frame with.
        argument = ast.arg(FRAME, None)
        inner = ast.Lambda(ast.arguments([], [argument], None, [], [], None, []), new.body)
        opened = self._op(node.body, "frame", _const(node.body, self.references.marker(function)))
        new.body = _place(ast.Call(_place(inner, node.body), [opened], []), node.body)
        return new  # type: ignore[no-any-return]

    # -- choices --------------------------------------------------------------------------------

    def _choice(self, site: Site, node: ast.expr) -> ast.expr:
        place = _const(node, self.references.marker(site))
        frame = self._frame(node)
        if site.dynamic is not None:
            return self._dynamic(site, node)
        assert site.spec is not None
        enter = self._op(node, "enter", frame, place)
        candidates = [self.visit(choice.expr) for choice in site.choices]
        kind = site.spec.kind
        if kind == "oneof" and not site.by_value:
            result = self._chain(node, site, enter, candidates)
        else:
            own = self._own(site, node)
            if kind == "oneof":
                result = self._chain(node, site, enter, [*candidates, own])
            else:
                test = _place(ast.Compare(enter, [ast.Lt()], [_const(node, 0)]), node)
                result = _place(ast.IfExp(test, own, self._chosen(site, node, candidates)), node)
        return self._op(node, "leave", frame, place, result)

    def _chain(self, node: ast.expr, site: Site, first: ast.expr, values: list[ast.expr]) -> ast.expr:
        """`a if enter(…) == 0 else b if taken(…) == 1 else c`."""
        result = values[-1]
        for index in range(len(values) - 2, -1, -1):
            asked = first
            if index:
                asked = self._op(node, "taken", self._frame(node), _const(node, self.references.marker(site)))
            test = _place(ast.Compare(asked, [ast.Eq()], [_const(node, index)]), node)
            result = _place(ast.IfExp(test, values[index], result), node)
        if len(values) == 1:
            # A single candidate still arrives: `(enter(…), a)[1]`.
            pair = _place(ast.Tuple([first, values[0]], ast.Load()), node)
            result = _place(ast.Subscript(pair, _const(node, 1), ast.Load()), node)
        return result

    def _own(self, site: Site, node: ast.expr) -> ast.expr:
        """The code's own expression; where the default is found by value, recognised among the candidates."""
        own: ast.expr = self._inside(node)
        assert site.spec is not None
        if not site.by_value or site.spec.kind == "tied":
            return own
        place = [self._frame(node), _const(node, self.references.marker(site))]
        if site.role == "turns":
            return self._op(node, "length", *place, own)
        values = []
        for choice in site.choices:
            if choice.nested:
                values.append(_const(node, None))
            else:
                value = copy.deepcopy(choice.expr)
                if not isinstance(value, (ast.Constant, ast.Name)):
                    value = _place(ast.Lambda(ast.arguments([], [], None, [], [], None, []), value), value)
                values.append(value)
        return self._op(node, "settle", *place, own, _place(ast.Tuple(values, ast.Load()), node))

    def _chosen(self, site: Site, node: ast.expr, candidates: list[ast.expr]) -> ast.expr:
        place = [self._frame(node), _const(node, self.references.marker(site))]
        assert site.spec is not None
        if site.role == "turns":
            return self._op(node, "count", *place, self._inside(node))
        if site.spec.kind not in ("manyof", "permutation"):
            return self._op(node, "value", *place)
        for choice in site.choices:
            _refuse_in_comprehension(site, choice.expr)
        name = f"{FRAME}_index"
        result = candidates[-1]
        for index in range(len(candidates) - 2, -1, -1):
            test = ast.Compare(ast.Name(name, ast.Load()), [ast.Eq()], [_const(node, index)])
            result = _place(ast.IfExp(_place(test, node), candidates[index], result), node)
        clause = ast.comprehension(ast.Name(name, ast.Store()), self._op(node, "each", *place), [], 0)
        return _place(ast.ListComp(result, [clause]), node)

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
        return _place(ast.Name(FRAME, ast.Load()), where)

    def _op(
        self, where: ast.AST, name: str, *args: ast.expr, keywords: list[ast.keyword] | None = None
    ) -> ast.expr:
        function = ast.Attribute(ast.Name(RESERVED, ast.Load()), name, ast.Load())
        return _place(ast.Call(function, list(args), keywords or []), where)


def _place(node: _Node, where: ast.AST) -> _Node:
    """Give a generated node, and what it holds that has no place yet, the place of a node of the user's."""
    line, column = getattr(where, "lineno", 1), getattr(where, "col_offset", 0)
    end_line, end = (
        getattr(where, "end_lineno", line) or line,
        getattr(where, "end_col_offset", column) or column,
    )
    pending: list[ast.AST] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, (ast.expr, ast.stmt, ast.arg, ast.keyword)):
            if hasattr(item, "lineno"):
                continue
            item.lineno, item.col_offset, item.end_lineno, item.end_col_offset = line, column, end_line, end
        pending.extend(ast.iter_child_nodes(item))
    return node


def _const(where: ast.AST, value: str | int | None) -> ast.expr:
    return _place(ast.Constant(value), where)


def _owner(function: Function) -> str | None:
    node = function.node
    if function.owner is None or isinstance(node, (ast.Lambda, ast.Module)):
        return None
    if any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in node.decorator_list):
        return None
    positional = [*node.args.posonlyargs, *node.args.args]
    return positional[0].arg if positional else None


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


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


def compile_function(
    function: Function,
    node: FunctionNode,
    original: CodeType,
    references: References,
) -> CodeType:
    """Compile an instrumented tree into a code object that can replace `original`.

    Args:
        function: the function that the tree belongs to.
        node: its instrumented tree.
        original: the code to be replaced; name, flags and free variables are taken from it.
        references: the objects behind the tree's marker constants.

    Raises:
        ProgramError: the instrumented code needs a variable of an enclosing function that the original does
        not hold.
    """
    tree = _factory(function, _lower(node, references), original.co_freevars)
    flags = original.co_flags & _FUTURES
    module = compile(tree, original.co_filename, "exec", flags=flags, dont_inherit=True)
    code = _find(module, original.co_name, original.co_firstlineno)
    if code.co_freevars != original.co_freevars:
        extra = sorted(set(code.co_freevars) ^ set(original.co_freevars))
        raise ProgramError(
            f"{function.file}:{function.line}: the closure of {function.qualname} cannot be kept: {extra}"
        )
    return references.inject(code).replace(co_qualname=original.co_qualname)


def _lower(node: Any, references: References) -> Any:
    """Replace the reserved name by the constant that becomes the runtime."""
    marker = references.marker(RUNTIME)

    class Lower(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return ast.copy_location(ast.Constant(marker), name) if name.id == RESERVED else name

    return Lower().visit(node)


def _factory(function: Function, node: Any, free: tuple[str, ...]) -> ast.Module:
    """Put a function where its free variables and private names mean what they mean in the original.

    Enclosing functions become one that assigns the free variables; the innermost enclosing class is kept,
    since it provides `__class__` and the prefix of private names.
    """
    classes = [parent for parent in function.parents if isinstance(parent, ast.ClassDef)]
    inner: list[ast.stmt]
    if isinstance(node, ast.Lambda):
        inner = [ast.Expr(node)]
    else:
        # Uses of every free variable keep the closure's shape, whatever the choices made of the body.
        uses = [ast.Expr(ast.Name(name, ast.Load())) for name in free]
        if uses:
            body = list(node.body)
            at = 1 if _is_docstring(body[0]) else 0
            body.insert(at, _place(ast.If(ast.Constant(False), list(uses), []), body[at]))
            node.body = body
        inner = [node]
    if classes:
        if not isinstance(function.parents[-1], ast.ClassDef):
            inner = [_def("__symnas_holder__", [*inner])]
        inner = [ast.ClassDef(classes[-1].name, [], [], inner, [])]
    names = [name for name in free if not (classes and name == "__class__")]
    assigned: list[ast.stmt] = [
        ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None)) for name in names
    ]
    made = classes[-1].name if classes else getattr(node, "name", None)
    if made is not None and made not in free:
        # The statement must not make its own name (recursion, `super(Net, self)`) a variable of the factory.
        assigned.insert(0, ast.Global([made]))
    module = ast.Module([_def("__symnas_factory__", [*assigned, *inner])], [])
    for item in module.body:
        _place(item, node)
    return module


def _def(name: str, body: list[ast.stmt]) -> ast.stmt:
    return ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), body, [], None, None)


def compile_module(tree: ast.Module, file: str, references: References) -> CodeType:
    """Compile the instrumented tree of a whole module."""
    return references.inject(compile(_lower(tree, references), file, "exec", dont_inherit=True))


def _find(code: CodeType, name: str, line: int) -> CodeType:
    found = find_code(code, name, line)
    if found is None:
        raise ProgramError(f"{code.co_filename}:{line}: the code of {name!r} was not found in its own source")
    return found


def find_code(code: CodeType, name: str, line: int) -> CodeType | None:
    """Return the code object of that name and first line inside another, at any depth, or None."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name and constant.co_firstlineno == line:
                return constant
            inner = find_code(constant, name, line)
            if inner is not None:
                return inner
    return None
