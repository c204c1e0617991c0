"""Names and scopes for the dependence tracker: what a block binds, and what a name refers to."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

# Early exits as bits, so that those of a block are one number; `Condition.kinds` holds them at run time.
RETURN, BREAK, CONTINUE = 1, 2, 4


@dataclass
class Scope:
    """One lexical scope: a module, a class, a function (or lambda), a comprehension."""

    kind: Literal["module", "class", "function", "comprehension"]
    bound: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    parent: Scope | None = None
    name: str = ""
    rebound: set[str] = field(default_factory=set)
    """Names of this scope that functions written inside it assign (`nonlocal`)."""

    def resolve(self, name: str) -> Literal["local", "class", "global"]:
        """Say where a name read here is kept."""
        scope: Scope | None = self
        # Whether only comprehensions lie between the scope that asks and this one.
        inner = True
        while scope is not None:
            if name in scope.globals:
                return "global"
            # Names of a class body are seen in it and in its comprehensions, not in functions inside.
            if name in scope.bound and scope.kind != "module" and name not in scope.nonlocals:
                if scope.kind != "class":
                    return "local"
                if inner:
                    return "class"
            inner = inner and scope.kind == "comprehension"
            scope = scope.parent
        # Nobody around binds it: it is the module's or built in, and both are looked up by name when code
        # runs.
        return "global"

    @property
    def owner(self) -> str:
        """The name of the innermost class around, for private names."""
        scope: Scope | None = self
        while scope is not None:
            if scope.kind == "class":
                return scope.name
            scope = scope.parent
        return ""


def bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that a block assigns in its own scope, at any depth of its statements."""
    names: set[str] = set()
    for node in _own(nodes):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            names.add(node.id)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        # `import a.b` binds `a`.
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
    return names


def declared(nodes: Iterable[ast.AST], kind: type[ast.Global] | type[ast.Nonlocal]) -> set[str]:
    """Return the names declared `global` or `nonlocal` in a block."""
    return {name for node in _own(nodes) if isinstance(node, kind) for name in node.names}


def rebound_inside(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that functions written in a block declare `nonlocal`, at any depth."""
    # They are called at any time, so what they assign may change behind the block's back; see `Pass.join`.
    return {
        name
        for top in nodes
        for node in ast.walk(top)
        if isinstance(node, ast.Nonlocal)
        for name in node.names
    }


def exits(nodes: Iterable[ast.AST]) -> int:
    """Return which of return, break and continue may leave a block."""
    found = 0
    for node in nodes:
        if isinstance(node, ast.Return):
            found |= RETURN
        elif isinstance(node, ast.Break):
            found |= BREAK
        elif isinstance(node, ast.Continue):
            found |= CONTINUE
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            # `break` and `continue` of an inner loop stay there; those in its `else` belong to the outer one.
            found |= (exits(node.body) & RETURN) | exits(node.orelse)
        # Handlers and cases are no statements but hold some. What a function or class inside does is its own.
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)) and not isinstance(
            node, (*FUNCTIONS, ast.ClassDef)
        ):
            found |= exits(ast.iter_child_nodes(node))
    return found


def is_generator(node: ast.AST) -> bool:
    """Say whether a function's own body yields."""
    body: list[ast.stmt] = getattr(node, "body", [])
    return any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in _own(body))


def _own(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk without entering functions, classes and lambdas; comprehensions yield only walruses."""
    for node in nodes:
        yield node
        # Decorators, defaults and bases are evaluated where the definition stands; the body is a scope of its
        # own.
        if isinstance(node, FUNCTIONS):
            yield from _own([*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)])
        elif isinstance(node, ast.ClassDef):
            yield from _own([*node.decorator_list, *node.bases])
        elif isinstance(node, ast.Lambda):
            yield from _own([*node.args.defaults, *filter(None, node.args.kw_defaults)])
        elif isinstance(node, COMPREHENSIONS):
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr):
                    yield inner.target
        else:
            yield from _own(ast.iter_child_nodes(node))
