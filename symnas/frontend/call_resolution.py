"""Which calls may reach a choice point, decided before anything runs.

Only such calls are instrumented: what is left plain costs nothing and shows in no address. Bare names are
followed, until nothing changes, over all functions of the program's sources (`reaching_names`); then each
call is asked about by what its callee is (`CallResolution.reaches`). A callee that cannot be named (a
parameter, a table look-up, an attribute that the code itself stores) counts as reaching, so nothing is
missed; what resolves to code outside the program (`nn.Conv2d`, builtins) does not.
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
_OF_THE_FRAME = frozenset({"super", "locals", "globals", "vars", "dir", "eval", "exec"})
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
        # These look at the frame that calls them, so nothing may be put in between.
        if isinstance(call.func, ast.Name) and call.func.id in _OF_THE_FRAME:
            return False
        if self._callee(call.func, function):
            return True
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        return any(self._handed(value, function) for value in values)

    def parameter(self, call: ast.Call, position: int, function: Function) -> str | None:
        """The name of the parameter that a positional argument fills, if the callee is known."""
        if any(isinstance(argument, ast.Starred) for argument in call.args[:position]):
            return None
        # A class of the module is read as it is written, also where it is defined inside a function.
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
                # A local `def` or `class` is known by its name; a variable may hold anything.
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
            # `x.name(…)` on an unknown x: a method of the program's, or what some code has stored there.
            return node.attr in self.reaching or node.attr in self.stored
        return True

    def _super(self, name: str, function: Function) -> bool:
        # Of `super().__init__(…)` the bases of the class around tell who is meant.
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

    A name reaches a point if a function or class of that name holds a site, calls the unknown, or uses a name
    that does: the least set closed under use, found by iterating until nothing is added.

    Args:
        trees: the modules of the program.
        sites: the sites, by the identity of the node described.
    """
    stored: set[str] = set()
    uses = _Uses(sites)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                stored.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                # What another file calls `Block` may be `B` here.
                for alias in node.names:
                    if alias.asname:
                        uses.used.setdefault(alias.asname, set()).add(alias.name)
        uses.collect(tree, None, None)
    reaching = set(uses.holding)
    changed = True
    while changed:
        changed = False
        for name, used in uses.used.items():
            if name not in reaching and used & reaching:
                reaching.add(name)
                changed = True
    return frozenset(reaching), frozenset(stored)


def used_names(trees: Iterable[ast.Module]) -> Mapping[str, set[str]]:
    """Return by name of a function or class of the program the names that it uses."""
    uses = _Uses({})
    for tree in trees:
        uses.collect(tree, None, None)
    return uses.used


class _Uses:
    """Which names the functions and classes of a program use, by their bare names.

    Args:
        sites: the sites, by the identity of the node described.

    Attributes:
        used: name of a function or class -> names in it. Two of one name are one here: none is missed.
        holding: names of those that hold a site or call what no name tells.
    """

    def __init__(self, sites: Mapping[int, Site]) -> None:
        self.sites = sites
        self.used: dict[str, set[str]] = {}
        self.holding: set[str] = set()

    def collect(
        self, node: ast.AST, name: str | None, owner: str | None, variables: frozenset[str] = frozenset()
    ) -> None:
        """Note what is used beneath a node.

        Args:
            node: where to look.
            name: of the function or class around, None in a module.
            owner: of the class whose body this is, if it is one.
            variables: local names that may be bound to anything.
        """
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            bound, defined = _bound(node)
            # What `forward` calls by a variable is mostly a module (`for layer in self.layers`), whose own
            # `forward` is found by its name.
            variables = frozenset() if name in CALLED else (variables - defined) | (bound - defined)
        for child in ast.iter_child_nodes(node):
            inner, within = name, owner
            if isinstance(child, _FUNCTIONS):
                inner, within = self._method(child, owner), None
            elif isinstance(child, ast.ClassDef):
                inner, within = child.name, child.name
                bases = filter(None, (_last(base) for base in child.bases))
                self.used.setdefault(child.name, set()).update(bases)
            if inner is not None:
                self._note(child, inner, variables)
            self.collect(child, inner, within, variables)

    def _method(self, node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str | None) -> str:
        """Return the name under which a function is called: a constructor is called by its class's."""
        if owner is None:
            return node.name
        if any(_last(item) == "classmethod" for item in node.decorator_list):
            # What `cls(…)` makes.
            self.used.setdefault(node.name, set()).add(owner)
        if node.name in CALLED:
            # Where an instance is made matters to the choices in what is called later.
            self.used.setdefault(owner, set()).add(node.name)
        return owner if node.name in _CONSTRUCTORS else node.name

    def _note(self, node: ast.AST, name: str, variables: frozenset[str]) -> None:
        known = self.used.setdefault(name, set())
        site = self.sites.get(id(node))
        if site is not None:
            self.holding.add(name)
            # Candidates written in comments are no nodes of the tree.
            for candidate in site.candidates:
                known.update(filter(None, (_last(part) for part in ast.walk(candidate.expr))))
        if isinstance(node, (ast.Name, ast.Attribute)):
            known.add(_last(node) or "")
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, (ast.Name, ast.Attribute))
            or (isinstance(node.func, ast.Name) and node.func.id in variables)
        ):
            # A call of a call's result, of a table's entry or of a parameter: anything may be behind it.
            self.holding.add(name)


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


def local_names(node: ast.AST) -> frozenset[str]:
    """Return the names that a function binds for itself."""
    return _bound(node)[0]


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
