"""Which loops that run when a model is called turn a number of times that is known before.

In `forward` a loop over constants, attributes and chosen values gives a point per turn, as everywhere. One
whose turns depend on what the model is called with cannot: another batch would have other points. So, for
every function that a `forward` leads to, two sets of names are computed, the least ones closed under these
rules:

    content = names whose value depends on the arguments of a call of the model
    length  = names of which it is unknown how many items they have

    y = e           puts y into either set where e is in it
    [a, b], xs.append(a)     have as many items as the text says, whatever a is
    len(xs)         is content where the length of xs is unknown
    zip(xs, ys)     has a known length where one of them has: it ends with the shortest

A name is one thing in the whole of its function, and an attribute in the whole program; calls are followed by
bare names, and what is handed on as an object may be called with anything. A loop that counts too few times
as known asks for `shared` where it would not be needed, so doubt is length.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from symnas.frontend.call_resolution import CALLED
from symnas.frontend.sites import Function, Loop

_SAME_LENGTH = frozenset(
    {"enumerate", "reversed", "sorted", "list", "tuple", "iter", "items", "keys", "values"}
)
_GROWING = frozenset({"append", "extend", "insert", "add", "appendleft", "update"})
_DISPLAYS = (ast.List, ast.Tuple, ast.Set)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(eq=False)
class _Scope:
    """What is known of one function: names whose content, and whose number of items, comes from a call."""

    record: Function
    content: set[str] = field(default_factory=set)
    length: set[str] = field(default_factory=set)


def mark_loops_of_data(functions: Iterable[Function]) -> None:
    """Set `of_data` of every loop whose number of turns depends on what a model is called with.

    Args:
        functions: all of a program that its target reaches.
    """
    _Analysis(functions).run()


class _Analysis:
    """The two sets for all functions that a `forward` leads to, found by iterating until nothing is added."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self.named: dict[str, list[Function]] = {}
        self.by_node: dict[int, Function] = {}
        for record in functions:
            if not isinstance(record.node, ast.Module):
                self.named.setdefault(record.name, []).append(record)
                self.by_node[id(record.node)] = record
        self.scopes: dict[int, _Scope] = {}
        # Names of attributes that hold data, and of functions that return it.
        self.attributes: set[str] = set()
        self.returning: set[str] = set()
        self.changed = False

    def run(self) -> None:
        """Compute the sets, then mark the loops."""
        for name in CALLED:
            for record in self.named.get(name, []):
                if record.owner is not None:
                    # Everything but `self` is data.
                    self._give(record, _parameters(record)[1:])
        self.changed = True
        while self.changed:
            self.changed = False
            for scope in list(self.scopes.values()):
                self._statements(scope, scope.record.node, False)
        for scope in self.scopes.values():
            for loop in scope.record.loops:
                loop.of_data = self._is_of_data(scope, loop)

    def _give(self, record: Function, names: Iterable[str]) -> None:
        """Add parameters to both sets of a function."""
        if id(record) not in self.scopes:
            self.scopes[id(record)] = _Scope(record)
            self.changed = True
        scope = self.scopes[id(record)]
        self._add(scope.content, names)
        self._add(scope.length, names)

    def _add(self, known: set[str], names: Iterable[str]) -> None:
        fresh = set(names) - known
        if fresh:
            known |= fresh
            self.changed = True

    # -- what statements do ------------------------------------------------------------------------

    def _statements(self, scope: _Scope, node: ast.AST, unsure: bool) -> None:
        """Apply the rules to what stands under a node; `unsure` where it runs an unknown number of times."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                self._closure(scope, child)
                self._statements(scope, child, unsure)
                continue
            within = unsure
            if isinstance(child, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
                self._assign(scope, child, unsure)
            elif isinstance(child, (ast.For, ast.AsyncFor, ast.comprehension)):
                self._bind_items(scope, child.target, child.iter)
                within = unsure or self.length(scope, child.iter)
            elif isinstance(child, (ast.While, ast.If)):
                within = unsure or self.content(scope, child.test)
            elif isinstance(child, (ast.With, ast.AsyncWith)):
                for item in child.items:
                    if item.optional_vars is not None:
                        self._store(scope, item.optional_vars, *self._both(scope, item.context_expr))
            elif isinstance(child, ast.Call):
                self._call(scope, child, unsure)
            elif isinstance(child, ast.Return) and child.value is not None:
                self._add(self.returning, {scope.record.name} if self.content(scope, child.value) else ())
            self._statements(scope, child, within)

    def _closure(self, scope: _Scope, node: ast.AST) -> None:
        """Let a function inside another one see the names around it."""
        record = self.by_node.get(id(node))
        if record is not None:
            # Who calls a lambda, no name tells.
            self._give(record, _parameters(record) if isinstance(node, ast.Lambda) else ())
            inner = self.scopes[id(record)]
            self._add(inner.content, scope.content)
            self._add(inner.length, scope.length)

    def _both(self, scope: _Scope, node: ast.expr) -> tuple[bool, bool]:
        return self.content(scope, node), self.length(scope, node)

    def _assign(
        self, scope: _Scope, node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr, unsure: bool
    ) -> None:
        if node.value is None:
            return
        content, length = self._both(scope, node.value)
        if isinstance(node, ast.AugAssign):
            # `xs += [x]` makes xs longer by one, each time that it runs.
            self._store(scope, node.target, content or unsure, length or unsure)
            return
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if not isinstance(target, _DISPLAYS):
                self._store(scope, target, content, length)
            elif isinstance(node.value, _DISPLAYS) and len(target.elts) == len(node.value.elts):
                for one, value in zip(target.elts, node.value.elts, strict=True):
                    self._store(scope, one, *self._both(scope, value))
            else:
                self._store(scope, target, content, content)  # parts of one value: of each nothing is known

    def _store(self, scope: _Scope, target: ast.expr, content: bool, length: bool) -> None:
        for part in ast.walk(target):
            if isinstance(part, ast.Name):
                self._add(scope.content, {part.id} if content else ())
                self._add(scope.length, {part.id} if length else ())
            elif isinstance(part, ast.Attribute) and content and isinstance(part.ctx, ast.Store):
                self._add(self.attributes, {part.attr})

    def _bind_items(self, scope: _Scope, target: ast.expr, iterable: ast.expr) -> None:
        """Bind a loop's variables: those of `enumerate` and `zip` each to its own."""
        name, args = _named_call(iterable)
        if name == "enumerate" and args and isinstance(target, ast.Tuple) and len(target.elts) == 2:
            self._bind_items(scope, target.elts[1], args[0])
        elif name == "zip" and isinstance(target, ast.Tuple) and len(target.elts) == len(args):
            for one, inner in zip(target.elts, args, strict=True):
                self._bind_items(scope, one, inner)
        else:
            content = self.content(scope, iterable)
            self._store(scope, target, content, content)

    def _call(self, scope: _Scope, call: ast.Call, unsure: bool) -> None:
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr in _GROWING:
            grown = any(self.length(scope, arg) for arg in call.args) and function.attr in (
                "extend",
                "update",
            )
            content = any(self.content(scope, arg) for arg in call.args)
            if isinstance(function.value, (ast.Name, ast.Attribute)):
                self._grow(scope, function.value, content, unsure or grown)
        for argument in [*call.args, *(k.value for k in call.keywords)]:
            # What is handed on may be called with anything.
            for part in (argument,) if isinstance(argument, (ast.Name, ast.Attribute)) else ():
                name = part.id if isinstance(part, ast.Name) else part.attr
                for record in self.named.get(name, []):
                    self._give(record, _parameters(record))
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        for record in self.named.get(name, []):
            self._give(record, ())
            self._pass(scope, call, self.scopes[id(record)])

    def _grow(self, scope: _Scope, target: ast.expr, content: bool, length: bool) -> None:
        if isinstance(target, ast.Name):
            self._add(scope.content, {target.id} if content else ())
            self._add(scope.length, {target.id} if length else ())
        elif isinstance(target, ast.Attribute) and (content or length):
            self._add(self.attributes, {target.attr})

    def _pass(self, scope: _Scope, call: ast.Call, callee: _Scope) -> None:
        """Hand a call's arguments to the parameters of a function."""
        names = _parameters(callee.record)
        if callee.record.owner is not None and isinstance(call.func, ast.Attribute):
            names = names[1:]
        if any(isinstance(arg, ast.Starred) for arg in call.args) or any(
            k.arg is None for k in call.keywords
        ):
            self._give(callee.record, names)
            return
        given = [*zip(names, call.args, strict=False), *((str(k.arg), k.value) for k in call.keywords)]
        if len(call.args) > len(names):
            self._give(callee.record, names[-1:])  # *args
        for name, value in given:
            content, length = self._both(scope, value)
            self._add(callee.content, {name} if content else ())
            self._add(callee.length, {name} if length else ())

    # -- what expressions are ------------------------------------------------------------------------

    def content(self, scope: _Scope, node: ast.AST) -> bool:
        """Whether the value of an expression depends on what the model is called with."""
        if isinstance(node, ast.Name):
            return node.id in scope.content
        if isinstance(node, ast.Attribute) and node.attr in self.attributes:
            return True
        name, args = _named_call(node)
        if name == "len" and len(args) == 1:
            return self.length(scope, args[0])
        if name in self.returning:
            return True
        return any(self.content(scope, child) for child in ast.iter_child_nodes(node))

    def length(self, scope: _Scope, node: ast.AST) -> bool:
        """Whether it depends on what the model is called with how many items an expression has."""
        if isinstance(node, ast.Name):
            return node.id in scope.length
        if isinstance(node, _DISPLAYS):
            return any(isinstance(e, ast.Starred) and self.length(scope, e.value) for e in node.elts)
        if isinstance(node, ast.Dict):
            return any(key is None and self.length(scope, value)
                       for key, value in zip(node.keys, node.values, strict=True))  # fmt: skip
        if isinstance(node, _COMPREHENSIONS):
            return any(
                self.length(scope, clause.iter) or any(self.content(scope, test) for test in clause.ifs)
                for clause in node.generators
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.length(scope, node.left) or self.length(scope, node.right)
        name, args = _named_call(node)
        if name == "zip":
            return bool(args) and all(self.length(scope, arg) for arg in args)
        receiver = _receiver(node)
        if name == "chunk" and args:
            # Into how many parts a tensor is cut is an argument (`x.chunk(n)`, `torch.chunk(x, n)`).
            of_tensor = receiver is not None and self.content(scope, receiver)
            return self.content(scope, args[0] if of_tensor or len(args) < 2 else args[1])
        if name in _SAME_LENGTH and (receiver is not None or args):
            return self.length(scope, args[0] if receiver is None else receiver)
        return self.content(scope, node)

    def _is_of_data(self, scope: _Scope, loop: Loop) -> bool:
        node = loop.node
        if isinstance(node, ast.comprehension):
            return self.length(scope, node.iter) or any(self.content(scope, test) for test in node.ifs)
        if isinstance(node, ast.While):
            return self.content(scope, node.test) or self._ends_early(scope, node)
        assert isinstance(node, (ast.For, ast.AsyncFor))
        return self.length(scope, node.iter) or self._ends_early(scope, node)

    def _ends_early(self, scope: _Scope, loop: ast.For | ast.AsyncFor | ast.While) -> bool:
        """Whether a loop is left, or a turn is cut short, by a test of data."""
        return any(
            isinstance(test, ast.If)
            and self.content(scope, test.test)
            and any(isinstance(end, (ast.Break, ast.Return)) for end in ast.walk(test))
            for statement in loop.body
            for test in _within(statement)
        )


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that belong to the function around it."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            yield from _within(child)


def _parameters(record: Function) -> list[str]:
    arguments = record.node.args  # type: ignore[union-attr]
    named = [*arguments.posonlyargs, *arguments.args]
    extra = [arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [argument.arg for argument in [*named, *extra] if argument is not None]


def _receiver(call: ast.AST) -> ast.expr | None:
    """Return x of `x.method(…)`."""
    return call.func.value if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else None


def _named_call(node: ast.AST) -> tuple[str, list[ast.expr]]:
    """Return the bare name and the arguments of a call; an empty name for anything else."""
    if not isinstance(node, ast.Call) or any(isinstance(arg, ast.Starred) for arg in node.args):
        return "", []
    if isinstance(node.func, ast.Name):
        return node.func.id, node.args
    return (node.func.attr, node.args) if isinstance(node.func, ast.Attribute) else ("", [])
