# ruff: noqa: D102  (one method per kind of node, named after it)
"""The expression half of the dependence pass: every expression becomes one that gives (value, labels).

Evaluation order is the user's. Nothing is wrapped in a lambda, so `super()`, `yield` and `:=` keep working.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from symnas.survey.dependence.conditions import Place
from symnas.survey.dependence.scopes import Scope, bound_names

# The frame of the running function, the prefix of variables that hold labels, the tracker. Names that begin
# with `_tk` are the pass's own.
FRAME, SHADOW, RUNTIME = "_tk_f", "_tk_x_", "_tk"
# What these return depends on the frame of the caller, so they are called directly.
_RAW_CALLS = frozenset({"super", "locals", "globals", "vars", "dir", "eval", "exec"})


def constant(value: object) -> ast.expr:
    """Write a constant."""
    return ast.Constant(value)  # type: ignore[arg-type]


def load(name: str) -> ast.expr:
    """Write the reading of a name."""
    return ast.Name(name, ast.Load())


def store(name: str) -> ast.expr:
    """Write a name as a target."""
    return ast.Name(name, ast.Store())


def pack(items: Iterable[ast.expr]) -> ast.Tuple:
    """Write a tuple."""
    return ast.Tuple(list(items), ast.Load())


def op(method: str, *args: ast.expr | int | str | None, owner: str = FRAME) -> ast.Call:
    """Write a call of the frame's own method."""
    written = [arg if isinstance(arg, ast.expr) else constant(arg) for arg in args]
    return ast.Call(ast.Attribute(load(owner), method, ast.Load()), written, [])


def innermost() -> ast.Attribute:
    """Write the reading of the innermost condition around."""
    return ast.Attribute(ast.Attribute(load(FRAME), "at", ast.Load()), "pc", ast.Load())


class Expressions:
    """Rewrites expressions; the statement pass builds on it.

    Args:
        may_reach: whether code that is run or skipped may hold a point.
        first: number of the first place.
        describe: writes a place for messages.
        reserved: a name whose methods are operations of the choice points, handled by the tracker's
            `operations`.
    """

    def __init__(
        self,
        may_reach: Callable[[Iterable[ast.AST]], bool],
        first: int = 0,
        describe: Callable[[ast.AST], str] | None = None,
        reserved: str = "",
    ) -> None:
        self.may_reach = may_reach
        self.describe = describe or _described
        self.reserved = reserved
        self.rest_reaches = True
        self.places: list[Place] = []
        self.first = first
        self.scope = Scope("module")
        self.temporaries = 0

    def place(self, node: ast.AST, dependent: Iterable[ast.AST] = (), may: bool | None = None) -> int:
        """Number a place and note whether the code that depends on it matters."""
        dependent = list(dependent)
        reached = self.may_reach(dependent) if may is None else may
        # Places that no point depends on are numbered as well: their numbers are part of paths.
        number = self.first + len(self.places)
        text = self.describe(node) if reached else ""
        effects = _effects(dependent, self.reserved)
        self.places.append(Place(number, getattr(node, "lineno", 0), text, reached, effects))
        return number

    def temporary(self) -> str:
        """Return a fresh name."""
        self.temporaries += 1
        return f"_tk_{self.temporaries}"

    def expr(self, node: ast.expr) -> ast.expr:
        """Return an expression for (value, labels)."""
        method = getattr(self, f"x_{type(node).__name__.lower()}", self.opaque)
        result: ast.expr = method(node)
        return ast.copy_location(result, node)

    def opaque(self, node: ast.expr) -> ast.expr:
        """Keep an expression's form; its labels are those of all its parts."""
        # `fin(begin(), …)`: arguments are evaluated in order, so the collecting begins before the parts run.
        fields: dict[str, Any] = {name: self._inner(value) for name, value in ast.iter_fields(node)}
        copy = type(node)(**fields)
        return op("fin", op("begin"), ast.copy_location(copy, node))

    def _inner(self, value: object) -> object:
        if isinstance(value, list):
            return [self._inner(item) for item in value]
        if isinstance(value, ast.FormattedValue):
            spec = self._inner(value.format_spec)
            return ast.FormattedValue(self.side(value.value), value.conversion, spec)  # type: ignore[arg-type]
        if isinstance(value, ast.JoinedStr):
            return ast.JoinedStr([self._inner(item) for item in value.values])  # type: ignore[misc]
        if isinstance(value, ast.Constant):
            return value
        return self.side(value) if isinstance(value, ast.expr) else value

    def side(self, node: ast.expr) -> ast.expr:
        """Return an expression for the bare value; its labels go to the collector around it."""
        return op("v", self.expr(node))

    # -- leaves --------------------------------------------------------------------------------

    def x_constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str) and node.value.startswith("\0"):
            # Stands for an object that is put in after compilation, which a constant tuple would hide.
            return op("k", node)
        return pack([node, constant(0)])

    def x_name(self, node: ast.Name) -> ast.expr:
        where = self.scope.resolve(node.id)
        if where == "local":
            return pack([node, load(SHADOW + node.id)])
        return op("c" if where == "class" else "g", node.id, node)

    def x_namedexpr(self, node: ast.NamedExpr) -> ast.expr:
        name = node.target.id
        value = ast.NamedExpr(store(name), op("keep", self.expr(node.value)))  # type: ignore[arg-type]
        # The pair is written in place: the value first, which puts its labels aside, then the labels.
        where = self.scope.resolve(name)
        if where == "local":
            return pack([value, ast.NamedExpr(store(SHADOW + name), op("kept"))])  # type: ignore[arg-type]
        return pack([value, op("cset" if where == "class" else "gset", name, op("kept"))])

    # -- operators -----------------------------------------------------------------------------

    def x_binop(self, node: ast.BinOp) -> ast.expr:
        return op(
            "bin", self.place(node), type(node.op).__name__, self.expr(node.left), self.expr(node.right)
        )

    def x_unaryop(self, node: ast.UnaryOp) -> ast.expr:
        return op("un", self.place(node), type(node.op).__name__, self.expr(node.operand))

    def x_compare(self, node: ast.Compare) -> ast.expr:
        return self._chain(self.expr(node.left), list(zip(node.ops, node.comparators, strict=True)), node)

    def _chain(self, left: ast.expr, rest: list[tuple[ast.cmpop, ast.expr]], node: ast.Compare) -> ast.expr:
        (operator, right), later = rest[0], rest[1:]
        if not later:
            return op("cmp", self.place(node), type(operator).__name__, left, self.expr(right))
        # `a < b < c` is `a < b and b < c`, with `b` evaluated once.
        first = op("cmp", self.place(node), type(operator).__name__, left, op("hold", self.expr(right)))
        place = self.place(node, [item for _, item in later])
        following = self._chain(op("held"), later, node)
        return op("ejoin", ast.IfExp(op("etest", place, first), following, op("elast")))

    def x_boolop(self, node: ast.BoolOp) -> ast.expr:
        # `a and b` is `b if a else a`, with `a` evaluated once: `elast` takes it from where `etest` put it.
        # From the right: `a and b and c` is `b and c if a else a`.
        result = self.expr(node.values[-1])
        for position in range(len(node.values) - 2, -1, -1):
            place = self.place(node, node.values[position + 1 :])
            test = op("etest", place, self.expr(node.values[position]))
            last = op("elast")
            both = (result, last) if isinstance(node.op, ast.And) else (last, result)
            result = op("ejoin", ast.IfExp(test, *both))
        return result

    def x_ifexp(self, node: ast.IfExp) -> ast.expr:
        test = op("etest", self.place(node, [node.body, node.orelse]), self.expr(node.test))
        return op("ejoin", ast.IfExp(test, self.expr(node.body), self.expr(node.orelse)))

    # -- access --------------------------------------------------------------------------------

    def attribute_name(self, name: str) -> str:
        """Mangle a private name as the compiler would."""
        # The compiler mangles names in the text, and these become strings.
        owner = self.scope.owner.lstrip("_")
        private = name.startswith("__") and not name.endswith("__")
        return f"_{owner}{name}" if private and owner else name

    def x_attribute(self, node: ast.Attribute) -> ast.expr:
        return op("attr", self.place(node), self.expr(node.value), self.attribute_name(node.attr))

    def x_subscript(self, node: ast.Subscript) -> ast.expr:
        return op("item", self.place(node), self.expr(node.value), self.expr(node.slice))

    def x_slice(self, node: ast.Slice) -> ast.expr:
        parts = [self.expr(part) if part else pack([constant(None), constant(0)])
                 for part in (node.lower, node.upper, node.step)]  # fmt: skip
        return op("slice", *parts)

    # -- displays ------------------------------------------------------------------------------

    def items(self, nodes: Iterable[ast.expr]) -> ast.Tuple:
        """Write the items of a display or a call, starred ones marked."""
        return pack(
            op("star", self.place(node), self.expr(node.value))
            if isinstance(node, ast.Starred)
            else self.expr(node)
            for node in nodes
        )

    def x_list(self, node: ast.List) -> ast.expr:
        return op("display", self.place(node), "list", self.items(node.elts))

    def x_tuple(self, node: ast.Tuple) -> ast.expr:
        return op("display", self.place(node), "tuple", self.items(node.elts))

    def x_set(self, node: ast.Set) -> ast.expr:
        return op("display", self.place(node), "set", self.items(node.elts))

    def x_dict(self, node: ast.Dict) -> ast.expr:
        pairs = [
            pack([self.expr(key) if key is not None else constant(None), self.expr(value)])
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        return op("mapping", self.place(node), pack(pairs))

    # -- calls ---------------------------------------------------------------------------------

    def x_call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id in _RAW_CALLS:
            raw = ast.Call(node.func, [self.side(arg) for arg in node.args], [])
            if node.func.id == "super":
                return op("sup", raw)
            if node.func.id in ("locals", "vars", "dir") and not node.args:
                return op("visible", raw)
            return op("fin", op("begin"), raw)
        operation = node.func if isinstance(node.func, ast.Attribute) else None
        if operation and isinstance(operation.value, ast.Name) and operation.value.id == self.reserved:
            arguments = self.items(node.args), self._keywords(node)
            place = self.place(node, may=operation.attr == "call")
            return op("operate", place, operation.attr, operation.value, *arguments)
        keywords = self._keywords(node)
        place = self.place(node, [node])
        return op("call", place, self.expr(node.func), self.items(node.args), keywords)

    def _keywords(self, node: ast.Call) -> ast.expr:
        # A name that is None stands for `**value`.
        return pack(pack([constant(keyword.arg), self.expr(keyword.value)]) for keyword in node.keywords)

    def x_lambda(self, node: ast.Lambda) -> ast.expr:
        outer, self.scope = self.scope, self._function_scope(node.args, [node.body])
        entry = self._entry("<lambda>", node.args, self.place(node, [node.body]))
        # A lambda has no statements; walruses in the arguments of `leave` open the frame and take the labels,
        # in order, and the last argument is the lambda's value.
        steps = [ast.NamedExpr(store(name), value) for name, value in entry]  # type: ignore[arg-type]
        steps += [
            ast.NamedExpr(store(SHADOW + name), constant(0))  # type: ignore[arg-type]
            for name in sorted(bound_names([node.body]))
        ]
        body = op("leave", *steps, self.expr(node.body), owner=RUNTIME)
        self.scope = outer
        arguments, count = self.defaults(node.args)
        return op(
            "lam", count, ast.copy_location(ast.Lambda(arguments, ast.copy_location(body, node.body)), node)
        )

    def _function_scope(self, arguments: ast.arguments, body: list[ast.AST]) -> Scope:
        return Scope("function", bound_names(body) | set(parameter_names(arguments)), parent=self.scope)

    def _entry(self, name: str, arguments: ast.arguments, place: int) -> list[tuple[str, ast.expr]]:
        """Write what a function does first: open a frame and take the labels of its parameters."""
        names = parameter_names(arguments)
        positional = [arg.arg for arg in [*arguments.posonlyargs, *arguments.args]]
        meta = pack(
            [
                constant(name),
                pack(map(constant, positional)),
                pack(constant(a.arg) for a in arguments.kwonlyargs),
                constant(place),
            ]
        )
        extra = [load(arg.arg) if arg else constant(None) for arg in (arguments.vararg, arguments.kwarg)]
        opened = op("enter", meta, pack(load(item) for item in names), *extra, owner=RUNTIME)
        taken: list[tuple[str, ast.expr]] = [(FRAME, opened)]
        for position, parameter in enumerate(names):
            labels = ast.Subscript(
                ast.Attribute(load(FRAME), "args", ast.Load()), constant(position), ast.Load()
            )
            taken.append((SHADOW + parameter, labels))
        return taken

    def defaults(self, arguments: ast.arguments) -> tuple[ast.arguments, int]:
        """Return the parameters with their defaults' labels noted, and how many defaults there are."""
        written: list[ast.expr] = [op("d", self.expr(item)) for item in arguments.defaults]
        keyword: list[ast.expr | None] = [
            op("d", self.expr(item)) if item is not None else None for item in arguments.kw_defaults
        ]
        copy = ast.arguments(
            arguments.posonlyargs, arguments.args, arguments.vararg, arguments.kwonlyargs,
            keyword, arguments.kwarg, written,
        )  # fmt: skip
        return copy, len(written) + sum(item is not None for item in keyword)

    # -- comprehensions ------------------------------------------------------------------------

    def x_listcomp(self, node: ast.ListComp) -> ast.expr:
        return self._comprehension(node, [node.elt], "listc", ast.ListComp)

    def x_setcomp(self, node: ast.SetComp) -> ast.expr:
        return self._comprehension(node, [node.elt], "setc", ast.ListComp)

    def x_dictcomp(self, node: ast.DictComp) -> ast.expr:
        return self._comprehension(node, [node.key, node.value], "dictc", ast.ListComp)

    def _comprehension(
        self,
        node: ast.ListComp | ast.SetComp | ast.DictComp,
        parts: list[ast.expr],
        kind: str,
        made: type[ast.ListComp],
    ) -> ast.expr:
        place = self.place(node)
        first = self.expr(node.generators[0].iter)
        outer = self.scope
        clauses = self._clauses(node.generators, first, [*parts])
        # Sets and dictionaries as well become lists of pairs first; `setc` and `dictc` make of them what was
        # asked.
        element = self.expr(parts[0]) if len(parts) == 1 else pack([self.expr(part) for part in parts])
        self.scope = outer
        return op(kind, place, op("save"), made(element, clauses))

    def _clauses(
        self, generators: list[ast.comprehension], first: ast.expr, parts: list[ast.AST]
    ) -> list[ast.comprehension]:
        # The first iterable belongs to the scope outside; it has been rewritten there.
        self.scope = Scope("comprehension", _targets(generators), parent=self.scope)
        clauses = []
        for position, clause in enumerate(generators):
            iterable = first if position == 0 else self.expr(clause.iter)
            later: list[ast.AST] = [*clause.ifs, *generators[position + 1 :], *parts]
            place = self.place(clause, later)
            # for p, (q, r) in b:
            # for _tk_1 in each(b) for p, _tk_2 in (unpack(_tk_1),) for q, r in (unpack(_tk_2),)
            target, more = self.target_clauses(clause.target)
            clauses.append(ast.comprehension(target, op("each", place, iterable), [], 0))
            clauses.extend(more)
            # Filters follow the clauses that take the target apart, since they read its names.
            clauses[-1].ifs = [op("filt", self.place(test, later), self.expr(test)) for test in clause.ifs]
        return clauses

    def target_clauses(self, target: ast.expr) -> tuple[ast.expr, list[ast.comprehension]]:
        """Return a target that takes a pair, and clauses that take it apart where it is a tuple."""
        if isinstance(target, ast.Name):
            return ast.Tuple([store(target.id), store(SHADOW + target.id)], ast.Store()), []
        if not isinstance(target, (ast.Tuple, ast.List)):
            raise SyntaxError("a comprehension's target must be a name or a tuple of names to be surveyed")
        name = self.temporary()
        inner = [self.target_clauses(e.value if isinstance(e, ast.Starred) else e) for e in target.elts]
        star = next((i for i, e in enumerate(target.elts) if isinstance(e, ast.Starred)), -1)
        parts = op("unpack", load(name), len(target.elts), star)
        clause = ast.comprehension(ast.Tuple([part for part, _ in inner], ast.Store()), pack([parts]), [], 0)
        return store(name), [clause, *(more for _, clauses in inner for more in clauses)]

    def x_generatorexp(self, node: ast.GeneratorExp) -> ast.expr:
        place = self.place(node)
        first = self.expr(node.generators[0].iter)
        outer = self.scope
        clauses = self._clauses(node.generators, load("_tk_first"), [node.elt])
        body = ast.GeneratorExp(op("y", self.expr(node.elt)), clauses)
        self.scope = outer
        # Its body runs whenever it is asked, under a frame of its own; the first iterable is evaluated now.
        names = [ast.arg(FRAME), ast.arg("_tk_first")]
        made = ast.Lambda(ast.arguments([], names, None, [], [], None, []), body)
        return op("genx", place, first, made)

    # -- generators ----------------------------------------------------------------------------

    def x_yield(self, node: ast.Yield) -> ast.expr:
        value = self.expr(node.value) if node.value else pack([constant(None), constant(0)])
        return op("resumed", ast.Yield(op("yielding", value)))

    def x_yieldfrom(self, node: ast.YieldFrom) -> ast.expr:
        return op("resumed", ast.YieldFrom(op("delegating", self.expr(node.value))))

    def x_await(self, node: ast.Await) -> ast.expr:
        return op("resumed", ast.Await(op("v", self.expr(node.value))))


def _described(node: ast.AST) -> str:
    shown = node.test if isinstance(node, (ast.If, ast.While)) else getattr(node, "iter", node)
    return ast.unparse(shown)[:120] if isinstance(shown, ast.expr) else type(node).__name__.lower()


def parameter_names(arguments: ast.arguments) -> list[str]:
    """Return all parameters in order: positional, `*args`, keyword-only, `**kwargs`."""
    names = [arg.arg for arg in [*arguments.posonlyargs, *arguments.args]]
    names += [arguments.vararg.arg] if arguments.vararg else []
    names += [arg.arg for arg in arguments.kwonlyargs]
    return names + ([arguments.kwarg.arg] if arguments.kwarg else [])


def _targets(generators: list[ast.comprehension]) -> set[str]:
    return {
        inner.id
        for clause in generators
        for inner in ast.walk(clause.target)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    }


def _effects(nodes: list[ast.AST], reserved: str) -> bool:
    # Coarse: any call may change anything, but that by which a choice of several goes through its candidates.
    for top in nodes:
        for node in ast.walk(top):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "each"
            ):
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id == reserved:
                    continue
            if isinstance(node, (ast.Call, ast.Yield, ast.Await, ast.Delete, ast.Global, ast.Nonlocal)):
                return True
            if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
                return True
            if isinstance(node, ast.AugAssign):
                return True
    return False
