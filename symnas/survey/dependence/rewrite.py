# ruff: noqa: D102  (one method per kind of node, named after it)
"""The dependence pass: rewrites a module so that labels travel beside its values.

The rewritten code computes what the original computes. Beside every local variable stands a second one that
holds the labels of its value; everything else (attributes, items, conditions, calls) goes through the frame.
So `if a: x = b` becomes, for local names,

    _tk_1 = _tk_f.at.pc
    if _tk_f.test(0, (a, _tk_x_a), 0):
        x, _tk_x_x = (b, _tk_x_b)
    if _tk_f.at.pc is not _tk_1:
        _tk_2 = _tk_f.join(_tk_1)
        _tk_x_x |= _tk_2

where the last line stands behind the branch, and is run whether it was taken or not.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from symnas.survey.dependence.conditions import Place
from symnas.survey.dependence.rewrite_expressions import (
    FRAME,
    RUNTIME,
    SHADOW,
    Expressions,
    constant,
    innermost,
    load,
    op,
    pack,
    parameter_names,
    store,
)
from symnas.survey.dependence.scopes import Scope, bound_names, declared, exits, is_generator, rebound_inside


def instrument(
    tree: ast.Module,
    may_reach: Callable[[Iterable[ast.AST]], bool],
    first: int = 0,
    describe: Callable[[ast.AST], str] | None = None,
    reserved: str = "",
) -> tuple[ast.Module, list[Place]]:
    """Rewrite a module for tracking.

    Args:
        tree: the module; it is not changed.
        may_reach: whether code may hold a point.
        first: number of the first place, so that several modules share one numbering.
        describe: writes a place for messages.
        reserved: a name whose methods are operations of the choice points.

    Returns:
        The new module, to be run with the tracker under the name `_tk`, and the places it refers to.
    """
    rewriter = Pass(may_reach, first, describe, reserved)
    body = list(tree.body)
    head: list[ast.stmt] = []
    # Docstrings and `from __future__` must stay first.
    while body and (
        _is_docstring(body[0]) or (isinstance(body[0], ast.ImportFrom) and body[0].module == "__future__")
    ):
        head.append(body.pop(0))
    opened = ast.Assign([store(FRAME)], op("module", ast.Call(load("globals"), [], []), owner=RUNTIME))
    module = ast.Module([*head, opened, *rewriter.block(body)], tree.type_ignores)
    return ast.fix_missing_locations(module), rewriter.places


def instrument_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
    may_reach: Callable[[Iterable[ast.AST]], bool],
    first: int,
    describe: Callable[[ast.AST], str],
    reserved: str,
    owner: str = "",
) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, list[Place]]:
    """Rewrite one function whose code will replace that of an existing one.

    Args:
        node: the function.
        may_reach: whether code may hold a point.
        first: number of the first place.
        describe: writes a place for messages.
        reserved: a name whose methods are operations of the choice points.
        owner: the class around it, for private names.
    """
    rewriter = Pass(may_reach, first, describe, reserved)
    if owner:
        rewriter.scope = Scope("class", parent=rewriter.scope, name=owner)
    made: ast.AST
    if isinstance(node, ast.Lambda):
        made = ast.copy_location(rewriter.x_lambda(node), node).args[1]  # type: ignore[attr-defined]
    else:
        made = rewriter.block([node])[0]
        # Never executed, but they are where the function's first line is.
        made.decorator_list = node.decorator_list  # type: ignore[attr-defined]
    return ast.fix_missing_locations(made), rewriter.places  # type: ignore[return-value]


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _catches_all(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def _deleted(targets: Iterable[ast.expr]) -> Iterable[ast.expr]:
    for target in targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            yield from _deleted(target.elts)
        else:
            yield target


def _do(call: ast.expr) -> ast.stmt:
    return ast.Expr(call)


class Pass(Expressions):
    """Rewrites statements."""

    def block(self, nodes: Iterable[ast.stmt]) -> list[ast.stmt]:
        """Rewrite statements in order."""
        result: list[ast.stmt] = []
        for node in nodes:
            # A statement without a method (`pass`, `import`, `break`, `global`) holds no expression to
            # follow.
            method = getattr(self, f"s_{type(node).__name__.lower()}", None)
            written: list[ast.stmt] = [node] if method is None else method(node)
            result += [ast.copy_location(statement, node) for statement in written]
        return result

    def assign(self, target: ast.expr, pair: ast.expr) -> list[ast.stmt]:
        """Write the assignment of a pair to a target."""
        if isinstance(target, ast.Name):
            return self._assign_name(target.id, pair)
        if isinstance(target, ast.Attribute):
            name = self.attribute_name(target.attr)
            return [_do(op("setattr", self.place(target), self.expr(target.value), name, pair))]
        if isinstance(target, ast.Subscript):
            place = self.place(target)
            return [_do(op("setitem", place, self.expr(target.value), self.expr(target.slice), pair))]
        if isinstance(target, ast.Starred):
            return self.assign(target.value, pair)
        assert isinstance(target, (ast.Tuple, ast.List))
        # a, *b = c    _tk_1, _tk_2 = _tk_f.unpack(c, 2, 1); a = _tk_1; b = _tk_2       (each a pair)
        names = [self.temporary() for _ in target.elts]
        star = next((i for i, e in enumerate(target.elts) if isinstance(e, ast.Starred)), -1)
        parts = op("unpack", pair, len(names), star)
        result: list[ast.stmt] = [
            ast.Assign([ast.Tuple([store(name) for name in names], ast.Store())], parts)
        ]
        for name, element in zip(names, target.elts, strict=True):
            result += self.assign(element, load(name))
        return result

    def _assign_name(self, name: str, pair: ast.expr) -> list[ast.stmt]:
        where = self.scope.resolve(name)
        if where == "local":
            return [ast.Assign([ast.Tuple([store(name), store(SHADOW + name)], ast.Store())], pair)]
        # Names of modules and class bodies are assigned by other code as well, so their labels are kept by
        # name.
        kept = ast.Assign([store(name)], op("keep", pair))
        return [kept, _do(op("cset" if where == "class" else "gset", name, op("kept")))]

    def note(self, name: str, labels: ast.expr) -> ast.stmt:
        """Write that a name bound by other means has these labels."""
        where = self.scope.resolve(name)
        if where == "local":
            return ast.Assign([store(SHADOW + name)], labels)
        return _do(op("cset" if where == "class" else "gset", name, labels))

    def join(self, nodes: Iterable[ast.AST], labels: ast.expr) -> list[ast.stmt]:
        """Write that what a block assigns depends on these labels."""
        nodes = list(nodes)
        names = bound_names(nodes)
        # A call in the block may run a function written here that assigns names of this scope.
        if any(isinstance(inner, ast.Call) for top in nodes for inner in ast.walk(top)):
            names |= self.scope.rebound
        result: list[ast.stmt] = []
        for name in sorted(names):
            where = self.scope.resolve(name)
            if where == "local":
                result.append(ast.AugAssign(ast.Name(SHADOW + name, ast.Store()), ast.BitOr(), labels))
            else:
                result.append(_do(op("cweak" if where == "class" else "gweak", name, labels)))
        return result

    # -- simple statements ---------------------------------------------------------------------

    def s_importfrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        # from m import a as b    …; the labels of b are those of m's global a
        where = "." * node.level + (node.module or "")
        if node.module == "__future__":
            return [node]
        if node.names[0].name == "*":
            return [node, _do(op("all_imported", where))]
        return [node, *(self.note(a.asname or a.name, op("imported", where, a.name)) for a in node.names)]

    def s_expr(self, node: ast.Expr) -> list[ast.stmt]:
        return [ast.Expr(self.expr(node.value))]

    def s_assign(self, node: ast.Assign) -> list[ast.stmt]:
        value = self.expr(node.value)
        if len(node.targets) == 1:
            return self.assign(node.targets[0], value)
        # The value is evaluated once, and the pair assigned to each target in turn.
        name = self.temporary()
        result: list[ast.stmt] = [ast.Assign([store(name)], value)]
        for target in node.targets:
            result += self.assign(target, load(name))
        return result

    def s_annassign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return [node]
        if not isinstance(node.target, ast.Name):
            return self.assign(node.target, self.expr(node.value))
        kept = ast.AnnAssign(node.target, node.annotation, op("keep", self.expr(node.value)), node.simple)
        return [kept, self.note(node.target.id, op("kept"))]

    def s_augassign(self, node: ast.AugAssign) -> list[ast.stmt]:
        operator, target, place = type(node.op).__name__, node.target, self.place(node)
        if isinstance(target, ast.Name):
            current = self.expr(ast.copy_location(ast.Name(target.id, ast.Load()), target))
            return self.assign(target, op("aug", place, operator, current, self.expr(node.value)))
        # Object and index are evaluated once, so reading, computing and storing are one operation.
        owner = self.expr(target.value)
        if isinstance(target, ast.Attribute):
            name = self.attribute_name(target.attr)
            return [_do(op("augattr", place, operator, owner, name, self.expr(node.value)))]
        return [_do(op("augitem", place, operator, owner, self.expr(target.slice), self.expr(node.value)))]

    def s_return(self, node: ast.Return) -> list[ast.stmt]:
        return [ast.Return(op("ret", self.expr(node.value)) if node.value else None)]

    def s_raise(self, node: ast.Raise) -> list[ast.stmt]:
        return [ast.Raise(*(op("v", self.expr(part)) if part else None for part in (node.exc, node.cause)))]

    def s_assert(self, node: ast.Assert) -> list[ast.stmt]:
        return [ast.Assert(op("v", self.expr(node.test)), op("v", self.expr(node.msg)) if node.msg else None)]

    def s_delete(self, node: ast.Delete) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for target in _deleted(node.targets):
            if isinstance(target, ast.Subscript):
                place = self.place(target)
                result.append(_do(op("delitem", place, self.expr(target.value), self.expr(target.slice))))
            elif isinstance(target, ast.Attribute):
                name = self.attribute_name(target.attr)
                result.append(_do(op("delattr", self.place(target), self.expr(target.value), name)))
            else:
                result.append(ast.Delete([target]))
        return result

    def s_nonlocal(self, node: ast.Nonlocal) -> list[ast.stmt]:
        # The labels live where the variable lives.
        shadows = [SHADOW + name for name in node.names if self.scope.resolve(name) == "local"]
        return [ast.Nonlocal([*node.names, *shadows])]

    # -- branches ------------------------------------------------------------------------------

    def s_if(self, node: ast.If) -> list[ast.stmt]:
        saved, kinds = self.temporary(), exits([*node.body, *node.orelse])
        # A branch that may leave decides about all that follows, too.
        place = self.place(node, [*node.body, *node.orelse], may=self.rest_reaches if kinds else None)
        test = op("test", place, self.expr(node.test), kinds)
        return [
            ast.Assign([store(saved)], innermost()),
            ast.If(test, self.block(node.body), self.block(node.orelse)),
            *self._rejoin(saved, [*node.body, *node.orelse, ast.Expr(node.test)]),
        ]

    def _rejoin(self, saved: str, nodes: Iterable[ast.AST]) -> list[ast.stmt]:
        # Most branches have no labels and leave the conditions as they were: nothing is joined then.
        changed = ast.Compare(innermost(), [ast.IsNot()], [load(saved)])
        labels = self.temporary()
        joined = ast.Assign([store(labels)], op("join", load(saved)))
        return [ast.If(changed, [joined, *self.join(nodes, load(labels))], [])]

    def s_match(self, node: ast.Match) -> list[ast.stmt]:
        saved, subject = self.temporary(), self.temporary()
        kinds = exits(case_part for case in node.cases for case_part in case.body)
        inside = [statement for case in node.cases for statement in case.body]
        place = self.place(node, inside, may=self.rest_reaches if kinds else None)
        cases = []
        for position, case in enumerate(node.cases):
            names = [
                self.note(name, op("captured", load(subject))) for name in sorted(bound_names([case.pattern]))
            ]
            guard = op("mguard", load(subject), position, self.expr(case.guard)) if case.guard else None
            chosen = _do(op("chosen", load(subject), position, kinds))
            # A pattern is matched natively; what it captures has the labels of the whole subject.
            cases.append(ast.match_case(case.pattern, guard, [chosen, *names, *self.block(case.body)]))
        # That no case fits is an outcome as well.
        if not any(_catches_all(case) for case in node.cases):
            cases.append(ast.match_case(ast.MatchAs(), None, [_do(op("chosen", load(subject), -1, kinds))]))
        return [
            ast.Assign([store(saved)], innermost()),
            ast.Assign([store(subject)], op("subject", place, self.expr(node.subject))),
            *self._patterns(node, subject),
            ast.Match(ast.Attribute(load(subject), "value", ast.Load()), cases),
            *self._rejoin(saved, [node]),
        ]

    def _patterns(self, node: ast.Match, subject: str) -> list[ast.stmt]:
        """Write what the dotted names and the classes in patterns depend on; Python matches them natively."""
        found: list[ast.expr] = []
        for case in node.cases:
            for part in ast.walk(case.pattern):
                if isinstance(part, (ast.MatchValue, ast.MatchClass)):
                    found.append(part.value if isinstance(part, ast.MatchValue) else part.cls)
                elif isinstance(part, ast.MatchMapping):
                    found += part.keys
        result = []
        for value in found:
            names: list[ast.expr] = []
            while isinstance(value, ast.Attribute):
                names.insert(0, constant(self.attribute_name(value.attr)))
                value = value.value
            if isinstance(value, ast.Name):
                result.append(_do(op("pattern", load(subject), self.expr(value), pack(names))))
        return result

    # -- loops ---------------------------------------------------------------------------------

    def s_for(self, node: ast.For) -> list[ast.stmt]:
        # _tk_1 = _tk_f.loop(place, iterable)
        # for _tk_2 in _tk_1:
        #     if _tk_1.dropped: _tk_x_x |= _tk_1.dropped         for all that the loop assigns
        #     target = _tk_2; body
        # else: _tk_f.loop_else(_tk_1); orelse
        # _tk_3 = _tk_f.loop_end(_tk_1)
        # if _tk_3: _tk_x_x |= _tk_3
        loop, pair = self.temporary(), self.temporary()
        inside: list[ast.AST] = [node.target, *node.body, *node.orelse]
        kinds = exits(node.body)
        # `break` and `continue` decide about this loop only, `return` (1) about all that follows.
        place = self.place(node, inside, may=self.rest_reaches if kinds & 1 else None)
        begin = ast.Assign([store(loop)], op("loop", place, self.expr(node.iter)))
        body = [*self._again(loop, inside), *self.assign(node.target, load(pair)), *self.block(node.body)]
        orelse = [_do(op("loop_else", load(loop))), *self.block(node.orelse)] if node.orelse else []
        made = type(node)(store(pair), load(loop), body, orelse)
        return [begin, made, *self._after(loop, inside)]

    s_asyncfor = s_for

    def _again(self, loop: str, inside: list[ast.AST]) -> list[ast.stmt]:
        dropped = ast.Attribute(load(loop), "dropped", ast.Load())
        joined = self.join(inside, dropped)
        return [ast.If(dropped, joined, [])] if joined else []

    def _after(self, loop: str, inside: list[ast.AST]) -> list[ast.stmt]:
        labels = self.temporary()
        ended = ast.Assign([store(labels)], op("loop_end", load(loop)))
        joined = self.join(inside, load(labels))
        return [ended, *([ast.If(load(labels), joined, [])] if joined else [])]

    def s_while(self, node: ast.While) -> list[ast.stmt]:
        loop = self.temporary()
        inside: list[ast.AST] = [ast.Expr(node.test), *node.body, *node.orelse]
        kinds = exits(node.body)
        place = self.place(node, inside, may=self.rest_reaches if kinds & 1 else None)
        begin = ast.Assign([store(loop)], op("whil", place))
        test = op("turn", load(loop), op("next_turn", load(loop)), self.expr(node.test))
        body = [*self._again(loop, inside), *self.block(node.body)]
        orelse = [_do(op("loop_else", load(loop))), *self.block(node.orelse)] if node.orelse else []
        return [begin, ast.While(test, body, orelse), *self._after(loop, inside)]

    # -- exceptions and contexts ---------------------------------------------------------------

    def s_try(self, node: ast.Try) -> list[ast.stmt]:
        # _tk_1 = _tk_f.attempt(place)
        # try: body
        # except E as e: _tk_f.caught(_tk_1, 0, kinds); _tk_x_e = _tk_1.labels; handler
        # else: _tk_f.passed(_tk_1, kinds); orelse
        # finally: _tk_f.finally_(_tk_1); finalbody
        # _tk_2 = _tk_f.try_end(_tk_1); _tk_x_x |= _tk_2        for all that is assigned, except in `finally`
        attempt, labels = self.temporary(), self.temporary()
        everything: list[ast.AST] = [*node.body, *node.handlers, *node.orelse]
        kinds = exits(everything)
        place = self.place(node, everything, may=self.rest_reaches if kinds else None)
        handlers = []
        for position, handler in enumerate(node.handlers):
            caught: list[ast.stmt] = [_do(op("caught", load(attempt), position, kinds))]
            if handler.name:
                caught.append(self.note(handler.name, ast.Attribute(load(attempt), "labels", ast.Load())))
            kind = op("v", self.expr(handler.type)) if handler.type else None
            body = [*caught, *self.block(handler.body)]
            handlers.append(ast.copy_location(ast.ExceptHandler(kind, handler.name, body), handler))
        passed = [_do(op("passed", load(attempt), kinds)), *self.block(node.orelse)]
        final = [_do(op("finally_", load(attempt))), *self.block(node.finalbody)] if node.finalbody else []
        # Python allows `else` only behind handlers.
        made = type(node)(self.block(node.body), handlers, passed if handlers else [], final)
        return [
            ast.Assign([store(attempt)], op("attempt", place, int(bool(handlers)))),
            made,
            ast.Assign([store(labels)], op("try_end", load(attempt))),
            *self.join(everything, load(labels)),
        ]

    s_trystar = s_try

    def s_with(self, node: ast.With) -> list[ast.stmt]:
        return self._with(node, list(node.items))

    s_asyncwith = s_with

    def _with(self, node: ast.With, items: list[ast.withitem]) -> list[ast.stmt]:
        if not items:
            return self.block(node.body)
        # `with a as b, c as d` is `with a as b: with c as d`, from the outside in; one of them is written
        # _tk_1 = _tk_f.attempt(place)
        # with _tk_f.manager(_tk_1, a) as _tk_2: b = _tk_f.managed(_tk_1, _tk_2); body
        # _tk_3 = _tk_f.try_end(_tk_1); _tk_x_x |= _tk_3
        item, attempt, value, labels = items[0], self.temporary(), self.temporary(), self.temporary()
        kinds = exits(node.body)
        place = self.place(node, node.body, may=self.rest_reaches if kinds else None)
        manager = op("manager", load(attempt), self.expr(item.context_expr))
        body: list[ast.stmt] = []
        if item.optional_vars:
            body += self.assign(item.optional_vars, op("managed", load(attempt), load(value)))
        body += [*self._with(node, items[1:])]
        made = type(node)([ast.withitem(manager, store(value))], body)
        return [
            ast.Assign([store(attempt)], op("attempt", place)),
            made,
            ast.Assign([store(labels)], op("try_end", load(attempt))),
            *self.join(node.body, load(labels)),
            *([_do(op("behind", load(attempt), kinds))] if kinds else []),
        ]

    # -- definitions ---------------------------------------------------------------------------

    def s_functiondef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        # Decorators and defaults belong to the scope outside, parameters and body to the function's.
        decorators = [op("v", self.expr(item)) for item in node.decorator_list]
        arguments, count = self.defaults(node.args)
        outer, self.scope = self.scope, self._body_scope(node)
        reaches, self.rest_reaches = self.rest_reaches, self.may_reach(node.body)
        entry: list[ast.stmt] = [
            ast.Assign([store(name)], value)
            for name, value in self._entry(node.name, node.args, self.place(node, node.body))
        ]
        # A local variable's labels exist before the variable does: a join may come before the first
        # assignment.
        plain = sorted(
            self.scope.bound - set(parameter_names(node.args)) - self.scope.globals - self.scope.nonlocals
        )
        entry += [ast.Assign([store(SHADOW + name)], constant(0)) for name in plain]
        head = node.body[:1] if _is_docstring(node.body[0]) else []
        body = self.block(node.body[len(head) :])
        # However the function is left, its frame is closed.
        guarded = ast.Try(body, [], [], [_do(op("exit"))])
        written = self._generator(node, entry, guarded) if is_generator(node) else [*entry, guarded]
        self.scope, self.rest_reaches = outer, reaches
        written = [ast.copy_location(statement, node) for statement in written]
        # Innermost, so that it gets the function itself.
        decorators.append(op("defined", count))
        made = type(node)(**{**dict(ast.iter_fields(node)), "args": arguments, "body": [*head, *written],
                             "decorator_list": decorators})  # fmt: skip
        return [made, self.note(node.name, constant(0))]

    s_asyncfunctiondef = s_functiondef

    def _body_scope(self, node: ast.FunctionDef) -> Scope:
        outside = declared(node.body, ast.Global), declared(node.body, ast.Nonlocal)
        bound = bound_names(node.body) | set(parameter_names(node.args))
        rebound = rebound_inside(node.body) & bound
        return Scope("function", bound, *outside, parent=self.scope, rebound=rebound)

    def _generator(self, node: ast.FunctionDef, entry: list[ast.stmt], guarded: ast.Try) -> list[ast.stmt]:
        # A call of a generator function runs nothing of its body. So the labels of the parameters are taken
        # at the call, and the body moves into a generator of its own, which begins when it is asked.
        names = parameter_names(node.args)
        taken = [FRAME, *(SHADOW + name for name in names)]
        inner_names = [*names, *taken]
        started = [_do(op("started")), *entry[len(taken) :], guarded]
        inner = type(node)(
            **{**dict(ast.iter_fields(node)), "name": "_tk_body", "decorator_list": [], "returns": None,
               "args": ast.arguments([], [ast.arg(name) for name in inner_names], None, [], [], None, []),
               "body": started}
        )  # fmt: skip
        made = ast.Call(load("_tk_body"), [load(name) for name in inner_names], [])
        return [*entry[: len(taken)], inner, ast.Return(op("generator", made))]

    def s_classdef(self, node: ast.ClassDef) -> list[ast.stmt]:
        decorators: list[ast.expr] = [op("v", self.expr(item)) for item in node.decorator_list]
        bases = [ast.Starred(op("v", self.expr(b.value)), ast.Load()) if isinstance(b, ast.Starred)
                 else op("v", self.expr(b)) for b in node.bases]  # fmt: skip
        keywords = [ast.keyword(k.arg, op("v", self.expr(k.value))) for k in node.keywords]
        outer = self.scope
        self.scope = Scope(
            "class", bound_names(node.body), declared(node.body, ast.Global), parent=outer, name=node.name
        )
        head = node.body[:1] if _is_docstring(node.body[0]) else []
        body = [*head, _do(op("class_begin")), *self.block(node.body[len(head) :]), _do(op("class_body_end"))]
        self.scope = outer
        # Innermost, like `defined`: it is called with the new class.
        decorators.append(ast.Attribute(load(FRAME), "class_end", ast.Load()))
        changed = {"bases": bases, "keywords": keywords, "body": body, "decorator_list": decorators}
        made = type(node)(**{**dict(ast.iter_fields(node)), **changed})
        return [made, self.note(node.name, constant(0))]
