"""Compiles instrumented trees into code that can take the place of the user's own.

The code has the free variables, names and lines of the original. The objects that it refers to (sites, loops,
the hooks) are constants of the code itself: in a tree a marker stands for each, and in the compiled code
the object has taken its place.
"""

from __future__ import annotations
import __future__

import ast
import functools
import operator
from types import CodeType
from typing import Any, TypeVar

from symnas.errors import ProgramError
from symnas.frontend.operations import HOOKS
from symnas.frontend.sites import Function, FunctionNode

RESERVED = "__symnas__"
# No text of a user's begins so; a constant must be hashable and comparable before it is replaced.
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
    # `function.__code__ = code` refuses code whose free variables are not those of the function's closure.
    if code.co_freevars != original.co_freevars:
        extra = sorted(set(code.co_freevars) ^ set(original.co_freevars))
        raise ProgramError(
            f"{function.file}:{function.line}: the closure of {function.qualname} cannot be kept: {extra}"
        )
    return references.inject(code).replace(co_qualname=original.co_qualname)


def _lower(node: Any, references: References) -> Any:
    """Replace the reserved name by the constant in whose place the hooks are put."""
    marker = references.marker(HOOKS)

    class Lower(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return ast.copy_location(ast.Constant(marker), name) if name.id == RESERVED else name

    return Lower().visit(node)


def _factory(function: Function, node: Any, free: tuple[str, ...]) -> ast.Module:
    """Put a function where its free variables and private names mean what they mean in the original.

    Enclosing functions become one that assigns the free variables; the innermost enclosing class is kept,
    since it provides `__class__` and the prefix of private names:

        def __symnas_factory__():
            global Net           # so that the class statement makes no variable of the factory
            width = None         # free variables of the method
            class Net:
                def build(self):
                    ...
                    if False: width
    """
    classes = [parent for parent in function.parents if isinstance(parent, ast.ClassDef)]
    inner: list[ast.stmt]
    if isinstance(node, ast.Lambda):
        inner = [ast.Expr(node)]
    else:
        # Uses of every free variable keep the closure's shape, whatever the choices made of the body. They
        # come last, since no name may be used before its `nonlocal` statement.
        uses = [ast.Expr(ast.Name(name, ast.Load())) for name in free]
        if uses:
            node.body = [*node.body, place_at(ast.If(ast.Constant(False), list(uses), []), node.body[-1])]
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
        place_at(item, node)
    return module


def _def(name: str, body: list[ast.stmt]) -> ast.stmt:
    return ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), body, [], None, None)


def compile_module(tree: ast.Module, file: str, references: References) -> CodeType:
    """Compile the instrumented tree of a whole module."""
    return references.inject(compile(_lower(tree, references), file, "exec", dont_inherit=True))


def compile_constructor(node: Any, file: str, references: References) -> CodeType:
    """Compile the instrumented tree of a constructor that stands in no text; see `record_classes`."""
    tree = ast.Module([_lower(node, references)], [])
    code = compile(place_at(tree, node), file, "exec", dont_inherit=True)
    return references.inject(_find(code, node.name, node.lineno))


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


def place_at(node: _Node, where: ast.AST) -> _Node:
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


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is nothing but a text."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
