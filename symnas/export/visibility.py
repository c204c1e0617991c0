"""Which functions and classes of a run were called where their names do not reach.

A function made inside another one and handed out (a closure, a local class) is called through some variable.
Its further bodies are then reached through the first one: `make.make_2 = make_2` beside the definitions, and
`layer.make_2(…)` where the variable `layer` holds `make`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from symnas.export.invocations import Invocation
from symnas.export.variants import Body, Bound, ClassBody, Direct, Variants
from symnas.frontend.sites import Function


class Visibility:
    """What is called from outside of the function that defines it.

    Args:
        modules: the modules' own bodies, with all functions below them.
        root: the invocation of the target's module, with everything beneath it.
        variants: the bodies of everything that was called.
    """

    def __init__(self, modules: Sequence[Function], root: Invocation, variants: Variants) -> None:
        self._definer: dict[Function | ast.ClassDef, Function] = {}
        for function in (found for module in modules for found in below(module)):
            for child in function.children:
                self._definer[child] = function
                if child.owner is not None:
                    self._definer[child.owner] = function
        self._modules = {*modules}
        self._module = modules[0]
        self.escaped: set[Function | ast.ClassDef] = set()
        """What was called after what defines it had returned, or through a variable elsewhere."""
        self.attached: set[Body | ClassBody] = set()
        """Bodies that calls reach through the first one."""
        self._find_escaped(root)
        self._find_attached(variants)

    def hides(self, caller: Function, target: Direct) -> bool:
        """Whether the name of a call's target means nothing where the call stands."""
        if isinstance(target, tuple):
            return False
        definer = self._definer.get(_definition(target), self._module)
        around: Function | None = caller
        while around is not None:
            if around is definer:
                return False
            around = self._definer.get(around)
        return definer not in self._modules

    def is_global(self, target: Body | ClassBody) -> bool:
        """Whether what a call leads to is defined at the top of a module."""
        found = _definition(target)
        if isinstance(found, Function) and found.owner is not None:
            return False
        return self._definer.get(found, self._module) in self._modules

    def _find_escaped(self, root: Invocation) -> None:
        pending: list[tuple[Invocation, frozenset[Function]]] = [(root, frozenset())]
        while pending:
            invocation, above = pending.pop()
            function = invocation.function
            definer = self._definer.get(function, self._module)
            if definer not in self._modules and definer not in above:
                self.escaped.add(function if function.owner is None else function.owner)
            within = above | {function}
            pending.extend((inner, within) for inner in invocation.inner())

    def _find_attached(self, variants: Variants) -> None:
        classes = (text for texts in variants.classes.values() for text in texts)
        methods = (body for text in classes for bodies in text.methods.values() for body in bodies)
        for body in [*(b for bodies in variants.functions.values() for b in bodies), *methods]:
            for call, by_turns in body.calls.items():
                for found in by_turns.values():
                    target = found.target if isinstance(found, Bound) else found
                    if not isinstance(target, tuple) and self.hides(call.function, target):
                        self.attached.add(target)
                        self.escaped.add(_definition(target))


def _definition(target: Body | ClassBody) -> Function | ast.ClassDef:
    return target.function if isinstance(target, Body) else target.definition


def below(function: Function) -> Iterator[Function]:
    """Yield a function and all that are defined inside it."""
    yield function
    for child in function.children:
        yield from below(child)
