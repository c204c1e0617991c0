"""The function of standalone text that makes a program's child where arguments are programs themselves.

    def make_net():
        return Net(config=Config(), act=act_2())

What the text of a class alone does not tell stands there: which arguments are made by what, and by which of
its bodies where those differ (`symnas.export.variants`). Other arguments are literals, or parameters.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from symnas.export.text_edits import free_name
from symnas.frontend.arguments import is_program
from symnas.frontend.sources import unwrap

if TYPE_CHECKING:
    from symnas.frontend.protocols import Internals


def maker_name(internals: Internals, tree: ast.AST) -> str:
    """Return what the function is called that makes the child of a program, in the text of its file."""
    taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    taken |= {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unwrap(internals.target).__name__).lower()
    made: str = free_name(f"make_{name}", {*taken})
    return made


def composed(internals: Internals, module: ModuleType, name: str, called: Callable[[str], str | None]) -> str:
    """Return the text of the function.

    Args:
        internals: of a program with programs among its arguments.
        module: whose text it stands in.
        name: what it is called.
        called: the name of what makes the argument at a path, where it has another than its own.
    """
    call = _Call(module, called)
    made = call.text(internals, "")
    imports = "".join(f"    from {home} import {top}\n" for home, top in sorted(call.imports))
    return f"\n\ndef {name}({', '.join(call.given)}):\n{imports}    return {made}\n"


def left_open(internals: Internals, module: ModuleType) -> dict[str, Any]:
    """Return what the function is called with: the arguments that no literal spells, copied for a call."""
    call = _Call(module, lambda _: None)
    call.text(internals, "")
    return call.given


class _Call:
    def __init__(self, module: ModuleType, called: Callable[[str], str | None]) -> None:
        self.module, self.called = module, called
        self.given: dict[str, Any] = {}
        self.imports: set[tuple[str, str]] = set()

    def text(self, internals: Internals, path: str) -> str:
        arguments = internals.arguments
        args, kwargs = arguments.fresh()
        begin = f"{path}." if path else ""
        spelled = [self._value(value, begin + arguments.name(place)) for place, value in enumerate(args)]
        spelled += [f"{key}={self._value(value, begin + key)}" for key, value in kwargs.items()]
        return f"{self.called(path) or self._name(internals.target)}({', '.join(spelled)})"

    def _value(self, value: Any, path: str) -> str:
        if is_program(value):
            return self.text(value.internals, path)
        text = repr(value)
        try:
            if type(ast.literal_eval(text)) is type(value) and ast.literal_eval(text) == value:
                return text
        except (ValueError, SyntaxError, MemoryError):
            pass
        name: str = free_name(re.sub(r"\W+", "_", path).strip("_"), set(self.given))
        self.given[name] = value
        return name

    def _name(self, target: Any) -> str:
        plain = unwrap(target)
        top = plain.__qualname__.partition(".")[0]
        if top not in vars(self.module):
            self.imports.add((plain.__module__, top))
        return str(plain.__qualname__)
