"""Which calls may reach a choice point, decided before anything runs.

Bare names are followed to a fixpoint over all functions of the program's sources. A callee that cannot be
named (a parameter, a table look-up, an attribute that the code itself stores) counts as reaching, so nothing
is missed; what resolves to code outside the program (`nn.Conv2d`, builtins) does not.
"""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterable, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

from symnas.frontend.sites import Function, Site

_UNKNOWN = object()
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
CALLED = ("forward", "__call__")
"""Methods that run when a built model is called."""
_CONSTRUCTORS = ("__init__", "__new__", "__post_init__", "__init_subclass__")


class CallResolution:
    """The resolver of one module's names.

    Args:
        tree: the module's tree.
        namespace: what its global names stand for.
        reaching: names of functions and classes that may reach a point, over all sources of the program.
        stored: names of attributes that the program's code assigns.
    """

    def __init__(
        self, tree: ast.Module, namespace: Mapping[str, Any], reaching: frozenset[str], stored: frozenset[str]
    ) -> None:
        self.namespace = namespace
        self.reaching = reaching
        self.stored = stored
        self._locals: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self._classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}

    def reaches(self, call: ast.Call, function: Function) -> bool:
        """Whether the call may end in code that holds a point."""
        if isinstance(call.func, ast.Name) and call.func.id in (
            "super",
            "locals",
            "globals",
            "vars",
            "dir",
            "eval",
            "exec",
        ):
            return False
        if self._callee(call.func, function):
            return True
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        return any(self._handed(value, function) for value in values)

    def parameter(self, call: ast.Call, position: int, function: Function) -> str | None:
        """The name of the parameter that a positional argument fills, if the callee is known."""
        if any(isinstance(argument, ast.Starred) for argument in call.args[:position]):
            return None
        if isinstance(call.func, ast.Name) and call.func.id in self._classes:
            names = _written(self._classes[call.func.id])
            if names is not None:
                return names[position] if position < len(names) else None
        found = self.resolve(call.func, function)
        if found is _UNKNOWN or not callable(found):
            return None
        try:
            parameters = list(inspect.signature(found).parameters.values())
        except (TypeError, ValueError):
            return None
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        named = [parameter.name for parameter in parameters if parameter.kind in kinds]
        return named[position] if position < len(named) else None

    def resolve(self, node: ast.expr, function: Function) -> Any:
        """Return the object that a dotted name stands for by the module's globals, else a marker."""
        if isinstance(node, ast.Name):
            if self._is_local(node.id, function)[0]:
                return _UNKNOWN
            if node.id in self.namespace:
                return self.namespace[node.id]
            return getattr(builtins, node.id, _UNKNOWN)
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value, function)
            if isinstance(base, (ModuleType, type)):
                return (
                    inspect.getattr_static(base, node.attr, _UNKNOWN)
                    if isinstance(base, type)
                    else getattr(base, node.attr, _UNKNOWN)
                )
        return _UNKNOWN

    def _is_local(self, name: str, function: Function) -> tuple[bool, bool]:
        """Whether a name is local here or in a function around, and whether `def` or `class` binds it."""
        for node in (function.node, *reversed(function.parents)):
            if isinstance(node, (ast.Module, ast.ClassDef)):
                continue
            if id(node) not in self._locals:
                self._locals[id(node)] = _bound(node)
            bound, defined = self._locals[id(node)]
            if name in bound:
                return True, name in defined
        return False, False

    def _callee(self, node: ast.expr, function: Function) -> bool:
        if isinstance(node, ast.Name):
            local, defined = self._is_local(node.id, function)
            if local:
                return node.id in self.reaching or not defined
            found = self.resolve(node, function)
            if found is _UNKNOWN:
                return not hasattr(builtins, node.id)
            return node.id in self.reaching or self._object(found)
        if isinstance(node, ast.Attribute):
            if (
                isinstance(node.value, ast.Call)
                and isinstance(node.value.func, ast.Name)
                and node.value.func.id == "super"
            ):
                return self._super(node.attr, function)
            found = self.resolve(node, function)
            if found is not _UNKNOWN:
                return self._object(found) or (
                    node.attr in _CONSTRUCTORS and self._callee(node.value, function)
                )
            base = self.resolve(node.value, function)
            if isinstance(base, ModuleType):
                return False
            return node.attr in self.reaching or node.attr in self.stored
        return True

    def _super(self, name: str, function: Function) -> bool:
        owner = next((p for p in reversed(function.parents) if isinstance(p, ast.ClassDef)), None)
        if name not in _CONSTRUCTORS:
            return name in self.reaching
        return owner is not None and any(self._callee(base, function) for base in owner.bases)

    def _object(self, found: Any) -> bool:
        found = found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
        name = getattr(found, "__name__", None)
        if isinstance(found, (FunctionType, MethodType, type)):
            return name in self.reaching and not _is_library(found)
        if isinstance(found, ModuleType) or inspect.isbuiltin(found):
            return False
        # An instance or a wrapper of the user's (a `partial`, a cached function) may call anything.
        return not _is_library(type(found)) or type(found).__module__ == "functools"

    def _handed(self, node: ast.expr, function: Function) -> bool:
        """Whether an argument is itself something that reaches points when the callee calls it."""
        if isinstance(node, ast.Name):
            return node.id in self.reaching
        return isinstance(node, ast.Lambda) and any(
            isinstance(part, ast.Call) and self._callee(part.func, function) for part in ast.walk(node.body)
        )


def reaching_names(
    trees: Iterable[ast.Module], sites: Mapping[int, Site]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that may reach a point, and the names of attributes that the code stores.

    Args:
        trees: the modules of the program.
        sites: the sites, by the identity of the node described.
    """
    stored: set[str] = set()
    uses: dict[str, set[str]] = {}
    holds: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                stored.add(node.attr)
        _collect(tree, None, None, sites, uses, holds)
    changed = True
    while changed:
        changed = False
        for name, used in uses.items():
            if name not in holds and used & holds:
                holds.add(name)
                changed = True
    return frozenset(holds), frozenset(stored)


def _collect(
    node: ast.AST,
    name: str | None,
    owner: str | None,
    sites: Mapping[int, Site],
    uses: dict[str, set[str]],
    holds: set[str],
    variables: frozenset[str] = frozenset(),
) -> None:
    """Note what names every function and class uses, and whether it holds a site or calls the unknown."""
    if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        bound, defined = _bound(node)
        variables = frozenset() if name in CALLED else (variables - defined) | (bound - defined)
    for child in ast.iter_child_nodes(node):
        inner, within = name, owner
        if isinstance(child, _FUNCTIONS):
            constructs = owner is not None and child.name in _CONSTRUCTORS
            if owner is not None and any(_last(item) == "classmethod" for item in child.decorator_list):
                # What `cls(…)` makes.
                uses.setdefault(child.name, set()).add(owner)
            if owner is not None and child.name in CALLED:
                # Where an instance is made matters to the choices in what is called later.
                uses.setdefault(owner, set()).add(child.name)
            inner, within = (owner if constructs else child.name), None
        elif isinstance(child, ast.ClassDef):
            inner, within = child.name, child.name
            uses.setdefault(child.name, set()).update(filter(None, (_last(base) for base in child.bases)))
        if inner is not None:
            known = uses.setdefault(inner, set())
            site = sites.get(id(child))
            if site is not None:
                holds.add(inner)
                for candidate in site.candidates:
                    known.update(filter(None, (_last(part) for part in ast.walk(candidate.expr))))
            if isinstance(child, (ast.Name, ast.Attribute)):
                known.add(_last(child) or "")
            unknown = isinstance(child, ast.Call) and (
                not isinstance(child.func, (ast.Name, ast.Attribute))
                or (isinstance(child.func, ast.Name) and child.func.id in variables)
            )
            if unknown:
                holds.add(inner)
        _collect(child, inner, within, sites, uses, holds, variables)
    return


def _last(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _bound(node: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that a function binds, and those of them that it binds by `def` or `class`."""
    bound: set[str] = set()
    defined: set[str] = set()
    elsewhere: set[str] = set()
    arguments = getattr(node, "args", None)
    if isinstance(arguments, ast.arguments):
        bound |= {item.arg for item in ast.walk(arguments) if isinstance(item, ast.arg)}
    body = getattr(node, "body", [])
    pending: list[ast.AST] = list(body) if isinstance(body, list) else [body]
    while pending:
        item = pending.pop()
        if isinstance(item, (*_FUNCTIONS, ast.ClassDef)):
            bound.add(item.name)
            defined.add(item.name)
            continue
        if isinstance(item, ast.Lambda):
            continue
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            bound.add(item.id)
        elif isinstance(item, ast.Global):
            elsewhere |= set(item.names)
        elif isinstance(item, (ast.Import, ast.ImportFrom)):
            names = {(alias.asname or alias.name).split(".")[0] for alias in item.names}
            bound |= names
            defined |= names
        pending.extend(ast.iter_child_nodes(item))
    return frozenset(bound - elsewhere), frozenset(defined)


def _written(node: ast.ClassDef) -> list[str] | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return [argument.arg for argument in [*item.args.posonlyargs, *item.args.args]][1:]
    return None


def _is_library(found: Any) -> bool:
    module = getattr(found, "__module__", None) or ""
    return module.split(".")[0] in (
        "torch",
        "numpy",
        "builtins",
        "collections",
        "functools",
        "itertools",
        "math",
    )
