"""Which bodies a function or class needs so that every invocation of a run finds its own choices in the text.

Two invocations share a body unless they were given different things at the same place and loop turns: what
is in a loop can be told apart by its counter (`dispatch`), so only the same turn contradicts itself. What a
call leads to counts as such a thing, so a caller of two bodies is split too where its loops cannot tell
them apart. Methods belong to an instance: all bodies of one instance's methods go into one class, and
instances share a class on the same terms.

Bodies are found bottom-up: what a call leads to is settled before the caller is compared with others.
Sharing is greedy, the first body that fits; that is not always the fewest, but the order of the run makes
it the same text every time.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from symnas.export.invocations import Chosen, Invocation, Turns
from symnas.frontend.sites import CallSite, Function, Site

K = TypeVar("K")
V = TypeVar("V")
CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__"})


@dataclass(eq=False)
class Body:
    """One text of a function, with what its members were given.

    Args:
        function: whose text.
        index: which text of its function (or of its method, within one class) it is; 0 keeps the name.
        aside: what calls that name no definition lead to as well: each by its own name, so the text is one.
    """

    function: Function
    index: int = 0
    members: list[Invocation] = field(default_factory=list)
    chosen: dict[Site, dict[Turns, Chosen]] = field(default_factory=dict)
    calls: dict[CallSite, dict[Turns, Target]] = field(default_factory=dict)
    aside: list[Direct] = field(default_factory=list)

    def fits(self, other: Body) -> bool:
        """Whether nothing that the two were given contradicts."""
        return _agree(self.chosen, other.chosen) and _agree(self.calls, other.calls, _is_one_text)

    def absorb(self, other: Body) -> None:
        """Take over the members of a body that fits."""
        self.members += other.members
        for site, picks in other.chosen.items():
            self.chosen.setdefault(site, {}).update(picks)
        self.aside += other.aside
        for call, targets in other.calls.items():
            known = self.calls.setdefault(call, {})
            for turns, target in targets.items():
                if known.setdefault(turns, target) != target and not isinstance(target, Bound):
                    self.aside.append(target)


@dataclass(eq=False)
class ClassBody:
    """One text of a class: the bodies of its own methods and the texts of its bases."""

    definition: ast.ClassDef
    methods: dict[Function, list[Body]] = field(default_factory=dict)
    bases: dict[ast.ClassDef, ClassBody] = field(default_factory=dict)
    index: int = 0
    on: list[Invocation] = field(default_factory=list)
    """What ran on its instances, methods of their bases and subclasses included."""

    def fits(self, other: ClassBody) -> bool:
        """Whether instances of both may be instances of one class."""
        if any(self.bases.get(base, text) is not text for base, text in other.bases.items()):
            return False
        # Body n of a method is compared with body n: the number is part of what callers write.
        return all(
            mine.fits(theirs)
            for function, bodies in other.methods.items()
            for mine, theirs in zip(self.methods.get(function, []), bodies, strict=False)
        )

    def absorb(self, other: ClassBody) -> None:
        """Take over the instances of a class that fits."""
        self.bases.update(other.bases)
        self.on += other.on
        for function, bodies in other.methods.items():
            mine = self.methods.setdefault(function, [])
            for index, body in enumerate(bodies):
                if index < len(mine):
                    mine[index].absorb(body)
                else:
                    mine.append(body)

    @property
    def members(self) -> list[Invocation]:
        """All invocations of its methods; of a class without any, those on its instances."""
        own = [member for bodies in self.methods.values() for body in bodies for member in body.members]
        return own or self.on


Direct = Body | ClassBody | tuple[Function, int]
"""What a call leads to: a function's body, a new instance's class, or the n-th body of a method."""


@dataclass(frozen=True)
class Bound:
    """What a call of a `functools.partial` leads to."""

    target: Direct


Target = Direct | Bound
"""What a call leads to, by itself or with arguments that are bound already."""


def _agree(
    mine: Mapping[K, dict[Turns, V]],
    theirs: Mapping[K, dict[Turns, V]],
    equal: Callable[[V, V], bool] = operator.eq,
) -> bool:
    # for each place and turns that both have:  mine[place][turns] == theirs[place][turns]
    return all(
        equal(mine[place].get(turns, given), given)
        for place, by_turns in theirs.items()
        if place in mine
        for turns, given in by_turns.items()
    )


def _is_one_text(mine: Target, theirs: Target) -> bool:
    """Whether one text of a call leads to both.

    It does where they are two definitions, each of which keeps its name: then the call goes by a variable
    (`fn(x)` in a decorator of several functions), which holds the one or the other.
    """
    if mine == theirs or isinstance(mine, Bound) or isinstance(theirs, Bound):
        return mine == theirs
    return _definition(mine) is not _definition(theirs) and _keeps_name(mine) and _keeps_name(theirs)


def _definition(target: Direct) -> object:
    if isinstance(target, Body):
        return target.function
    return target.definition if isinstance(target, ClassBody) else target[0]


def _keeps_name(target: Direct) -> bool:
    return (target[1] if isinstance(target, tuple) else target.index) == 0


class Variants:
    """The bodies of all functions and classes of a run.

    Args:
        root: the invocation of the module, with everything beneath it.
        homes: the names of modules, by the files that their functions are of.
    """

    def __init__(self, root: Invocation, homes: Mapping[str, str]) -> None:
        self.functions: dict[Function, list[Body]] = {}
        self.classes: dict[ast.ClassDef, list[ClassBody]] = {}
        # Invocations by their place in the run, and by the object they are methods of; then what each was
        # given: its body, the bodies of a method of one object, the class text of an object and a class of
        # its.
        self.order: dict[Invocation, int] = {}
        self._on: dict[int, list[Invocation]] = {}
        self._own: dict[Invocation, Body] = {}
        self._methods: dict[tuple[int, Function], list[Body]] = {}
        self._class_of: dict[tuple[int, ast.ClassDef], ClassBody] = {}
        # Class statements by their module and qualified names, and modules that instances' classes name.
        self._definitions: dict[str, dict[str, ast.ClassDef]] = {}
        self._homes: set[str] = set()
        self._kinds: dict[int, type] = {}
        for invocation in [root, *root.below()]:
            self.order[invocation] = len(self.order)
            function = invocation.function
            if isinstance(function.node, ast.Module):
                self._definitions.setdefault(homes.get(function.file, ""), {}).update(_classes(function.node))
            if invocation.instance is not None:
                self._homes.add(invocation.kind.__module__)
                self._kinds[id(invocation.instance)] = invocation.kind
                self._on.setdefault(id(invocation.instance), []).append(invocation)
        self.module = self.body(root)
        for invocation in list(self.order):
            self.target(invocation)
            if invocation.instance is not None:
                self._instance(invocation.instance)
        for bodies in (*self.functions.values(), *self.classes.values()):
            bodies.sort(key=self._first)  # type: ignore[attr-defined]

    def all_bodies(self) -> Iterator[list[Body]]:
        """Yield the bodies of every function and of every method in every text of its class."""
        yield [self.module]
        yield from self.functions.values()
        for texts in self.classes.values():
            for text in texts:
                yield from text.methods.values()

    def _first(self, body: Body | ClassBody) -> int:
        return min((self.order[member] for member in body.members), default=len(self.order))

    def body(self, invocation: Invocation) -> Body:
        """Return the body that an invocation shares."""
        if invocation in self._own:
            return self._own[invocation]
        # Alone, an invocation is a body by itself; then it goes to the first one that it does not contradict.
        fresh = Body(invocation.function, 0, [invocation])
        fresh.chosen = {site: dict(picks) for site, picks in invocation.chosen.items()}
        # Invocations are a tree, also where a function calls itself, so this ends. Each is met once: at most
        # as many comparisons as there are invocations times bodies.
        for call, by_turns in invocation.calls.items():
            for turns, inner in by_turns.items():
                if inner:
                    found = self.target(inner[0], call)
                    fresh.calls.setdefault(call, {})[turns] = Bound(found) if inner[0].bound else found
        if invocation.instance is not None:
            # Compared within its instance alone: which class has the method is decided for the instance.
            shelf = self._methods.setdefault((id(invocation.instance), invocation.function), [])
        else:
            shelf = self.functions.setdefault(invocation.function, [])
        self._own[invocation] = _shelve(shelf, fresh)
        return self._own[invocation]

    def target(self, invocation: Invocation, call: CallSite | None = None) -> Direct:
        """Return what a call that begins an invocation leads to."""
        instance = invocation.instance
        constructs = invocation.function.name in CONSTRUCTORS and not _is_explicit(call)
        if instance is None:
            return self.body(invocation)
        # `Block(…)` names a class, not the `__init__` that it ends in.
        if constructs:
            found = self._instance(instance)
            if found is not None:
                return found
        return invocation.function, self.body(invocation).index

    def definition_of(self, kind: type) -> ast.ClassDef | None:
        """Return the class statement that a type was made by, if it is one of this module's."""
        name = kind.__qualname__.replace(".<locals>", "")
        known = self._definitions.get(kind.__module__)
        if known is not None:
            return known.get(name)
        # What a decorator made of a class may bear another module's name; what that one defines is its own.
        found = [classes[name] for classes in self._definitions.values() if name in classes]
        foreign = hasattr(sys.modules.get(kind.__module__), name.partition(".")[0])
        return found[0] if kind.__module__ in self._homes and len(found) == 1 and not foreign else None

    def _instance(self, instance: object) -> ClassBody | None:
        found: ClassBody | None = None
        # Bases first, so that the text of a class knows the texts of those.
        for kind in reversed(self._kinds[id(instance)].__mro__):
            definition = self.definition_of(kind)
            if definition is not None:
                found = self._of_class(instance, definition, kind)
        return found

    def _of_class(self, instance: object, definition: ast.ClassDef, kind: type) -> ClassBody:
        key = id(instance), definition
        if key in self._class_of:
            return self._class_of[key]
        fresh = ClassBody(definition, on=list(self._on.get(id(instance), ())))
        for invocation in self._on.get(id(instance), []):
            if invocation.function.owner is definition:
                self.body(invocation)
                fresh.methods[invocation.function] = self._methods[id(instance), invocation.function]
        for base in kind.__bases__:
            above = self.definition_of(base)
            if above is not None:
                fresh.bases[above] = self._of_class(instance, above, base)
        shelf = self.classes.setdefault(definition, [])
        for text in shelf:
            if text.fits(fresh):
                text.absorb(fresh)
                break
        else:
            # Copies, since absorbing other instances later must not change what this instance was given.
            text = ClassBody(definition)
            copies = {
                function: [_copy(body) for body in bodies] for function, bodies in fresh.methods.items()
            }
            text.absorb(ClassBody(definition, copies, fresh.bases, on=fresh.on))
            text.index = len(shelf)
            shelf.append(text)
        self._class_of[key] = text
        return text


def _classes(node: ast.AST, path: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the classes under a node by their qualified names, functions around them included."""
    for child in ast.iter_child_nodes(node):
        name = path
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            name = f"{path}.{child.name}" if path else child.name
            if isinstance(child, ast.ClassDef):
                yield name, child
        yield from _classes(child, name)


def _shelve(shelf: list[Body], fresh: Body) -> Body:
    for body in shelf:
        if body.fits(fresh):
            body.absorb(fresh)
            return body
    fresh.index = len(shelf)
    shelf.append(fresh)
    return fresh


def _copy(body: Body) -> Body:
    copied = Body(body.function, body.index)
    copied.absorb(body)
    return copied


def _is_explicit(call: CallSite | None) -> bool:
    """Whether a call spells a constructor out (`super().__init__(…)`), so that it makes no new instance."""
    return (
        call is not None and isinstance(call.node.func, ast.Attribute) and call.node.func.attr in CONSTRUCTORS
    )


def used_by(body: Body) -> Iterator[Invocation]:
    """Yield the members of a body and everything beneath them."""
    for member in body.members:
        yield member
        yield from member.below()
