"""Turns the bodies of a run (`symnas.export.variants`) into edits on the user's text."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from symnas.errors import ProgramError
from symnas.export.dispatch import dispatched
from symnas.export.invocations import Chosen, Turns
from symnas.export.text_edits import Edit, SourceText, bracketed, free_name
from symnas.export.variants import CONSTRUCTORS, Body, Bound, ClassBody, Direct, Target
from symnas.export.visibility import Visibility
from symnas.frontend.sites import CallSite, Loop, Site
from symnas.tree.choices import FloatRange, IntRange, ManyOf, OneOf, Permutation

T = TypeVar("T")
_BRACKETS = {"list": "[]", "tuple": "()", "set": "{}"}
_FREE = (ast.Constant, ast.Tuple, ast.List, ast.Attribute, ast.UnaryOp, ast.unaryop, ast.expr_context)
_OPERATORS = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp, ast.Starred, ast.Await)


@dataclass(frozen=True)
class Names:
    """What bodies are called in the text that is being written."""

    functions: Mapping[Body, str]
    classes: Mapping[ClassBody, str]
    visibility: Visibility
    files: Mapping[ast.ClassDef, str]
    """The file that each class is defined in."""

    def of(self, target: Direct) -> str:
        """Return the name that reaches a call's target."""
        if isinstance(target, Body):
            return self.functions[target]
        if isinstance(target, ClassBody):
            return self.classes[target]
        function, index = target
        return function.name if index == 0 else f"{function.name}_{index + 1}"

    def file_of(self, target: Direct) -> str | None:
        """Return the file that a call's target is defined in."""
        if isinstance(target, ClassBody):
            return self.files.get(target.definition)
        return (target.function if isinstance(target, Body) else target[0]).file


class BodyWriter:
    """Writes the edits of one body: its choices, its calls, and counters for the loops that tell them apart.

    Args:
        source: the text that is edited.
        body: what was given in it.
        names: what the bodies that it calls are called.
        parents: the parent of every node of the module, by identity.
    """

    def __init__(self, source: SourceText, body: Body, names: Names, parents: Mapping[int, ast.AST]) -> None:
        self.source = source
        self.body = body
        self.names = names
        self.parents = parents
        self.counters: dict[Loop, str] = {}
        self._edits: list[Edit] = []
        self._taken = {n.id for n in ast.walk(body.function.node) if isinstance(n, ast.Name)}
        self._taken |= {a.arg for a in ast.walk(body.function.node) if isinstance(a, ast.arg)}

    def edits(self) -> list[Edit]:
        """Return the edits for everything that stands directly in the function."""
        function = self.body.function
        for site in function.sites:
            if site.parent is None:
                text = self.site_text(site, None)
                if text is not None:
                    self._replace(site.node, text)
        for call in function.calls:
            if call.parent is None:
                text = self.callee_text(call, None)
                if text is not None:
                    self._replace_callee(call.node.func, text)
        for loop, name in self.counters.items():
            self._edits += self._counting(loop, name)
        return self._edits

    # -- choices --------------------------------------------------------------------------------

    def site_text(self, site: Site, only: Sequence[Turns] | None) -> str | None:
        """Return what replaces a site, over all turns or over some; None leaves the code's own value."""
        picks = _restricted(self.body.chosen.get(site, {}), only)
        if not picks:
            return self._default_text(site)
        # The same at all turns is written once; else an expression over the counters chooses by turn.
        alike: dict[Chosen, list[Turns]] = {}
        for turns, chosen in picks.items():
            alike.setdefault(chosen, []).append(turns)
        if len(alike) == 1:
            ((chosen, turns_of),) = alike.items()
            return self._chosen_text(site, chosen, turns_of)
        texts: dict[Turns, str] = {}
        for chosen, turns_of in alike.items():
            whole = self._chosen_text(site, chosen, turns_of)
            texts |= dict.fromkeys(turns_of, whole)
        # Of a loop only the number is dispatched, so that the iterable stands once.
        if site.role == "turns":
            numbers = {turns: repr(chosen.number) for turns, chosen in picks.items()}
            return self._loop_text(site, self._dispatched(numbers, _dimensions(site)))
        return self._dispatched(texts, _dimensions(site))

    def _loop_text(self, site: Site, count: str) -> str:
        """Return an iterable of `count` items in the place of the one that the code loops over."""
        call = site.node
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"):
            return f"list({self._own_text(call)})[:{count}]"
        if len(call.args) == 1:
            return f"range({count})"
        # count turns from start by step:  range(start, start + count * step, step)
        start, step = (
            self._own_text(call.args[0]),
            self._own_text(call.args[2]) if len(call.args) > 2 else "1",
        )
        stop = f"{bracketed(start)} + {count if step == '1' else f'{bracketed(count)} * {bracketed(step)}'}"
        if all(text.lstrip("-").isdecimal() for text in (start, step, count)):
            stop = str(int(start) + int(count) * int(step))
        return f"range({start}, {stop}{'' if step == '1' else f', {step}'})"

    def _own_text(self, node: ast.expr) -> str:
        start, end = self.source.span(node)
        return self.source.render((start, end))

    def _dispatched(self, texts: Mapping[Turns, str], loops: Sequence[Loop | None]) -> str:
        def name(position: int) -> str:
            loop = loops[position]
            if loop is None:
                raise ProgramError(
                    f"line {self.body.function.line}: a candidate chosen twice is given different choices, "
                    "which no expression can tell apart; give its choices a line of their own"
                )
            return self.counter(loop)

        return dispatched(texts, name, self._is_free)

    def _chosen_text(self, site: Site, chosen: Chosen, only: Sequence[Turns]) -> str:
        if chosen.text is not None:
            return chosen.text
        if chosen.number is not None:
            text = repr(chosen.number)
            return self._loop_text(site, text) if site.role == "turns" else text
        if site.kind == "oneof":
            return self._candidate_text(site, chosen.branches[0], only)
        texts = []
        for position, branch in enumerate(chosen.branches):
            # The turns of what lies inside a repeated candidate go on with its occurrence
            # (`recording.turns_of`).
            occurrence = chosen.branches[:position].count(branch)
            texts.append(self._candidate_text(site, branch, [(*turns, occurrence) for turns in only]))
        brackets = _BRACKETS[site.container]
        left, right = brackets[0], brackets[1]
        if site.container == "set" and not texts:
            return "set()"
        return (
            f"{left}{', '.join(texts)}{',' if site.container == 'tuple' and len(texts) == 1 else ''}{right}"
        )

    def _candidate_text(self, site: Site, branch: int, only: Sequence[Turns]) -> str:
        candidate = site.candidates[branch]
        # A candidate is text of the annotation; choices and calls inside of it are replaced in its tree.
        inside: dict[int, str] = {}
        for nested in site.nested[branch]:
            text = self.site_text(nested, only)
            if text is not None:
                inside[id(nested.node)] = text
        for call in self.body.function.calls:
            if call.parent is site and call.branch == branch:
                text = self.callee_text(call, only)
                if text is not None:
                    inside[id(call.node.func)] = text
        if not inside:
            return candidate.text
        # Printed anew only where something inside is replaced.
        return ast.unparse(_substituted(candidate.expr, inside))

    def _default_text(self, site: Site) -> str | None:
        """Return what stands for a choice that the run never met; a comment's own code is its default."""
        if site.spelling == "comment" and site.parent is None:
            return None
        if site.dynamic is not None:
            first = site.dynamic.arguments[0][1]
            text = ast.unparse(first)
            return f"{bracketed(text)}[0]" if site.dynamic.kind == "oneof" else text
        prototype = site.prototype
        if isinstance(prototype, IntRange | FloatRange):
            return repr(prototype.default)
        if not isinstance(prototype, OneOf | ManyOf | Permutation):
            return None
        code = prototype.code(prototype.default)
        branches = code if isinstance(code, tuple) else (code,)
        return self._chosen_text(site, Chosen(branches), []) if branches else None

    def _is_free(self, text: str) -> bool:
        """Whether a text may be evaluated at turns that did not choose it: constants, parts of modules."""
        node = ast.parse(text, mode="eval").body
        # A local variable may be unbound, or another object, at turns that did not choose it.
        local = _bound(self.body.function.node)
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                if part.id in local:
                    return False
            elif not isinstance(part, _FREE):
                return False
        return True

    # -- calls ----------------------------------------------------------------------------------

    def callee_text(self, call: CallSite, only: Sequence[Turns] | None) -> str | None:
        """Return what a call must name instead, or None where the text already names it."""
        targets = _restricted(self.body.calls.get(call, {}), only)
        if not targets:
            return None
        function = call.node.func
        texts: dict[Turns, str] = {}
        for turns, target in targets.items():
            texts[turns] = self._callee(call, target)
        # The text that stands there already is right: no edit.
        own = ast.unparse(function)
        if all(text == own for text in texts.values()):
            return None
        if isinstance(function, ast.Name):
            # An alias (a parameter that holds a class) hides which names may sit in a tuple. What another
            # file defines may be called otherwise here.
            texts = {
                turns: texts[turns]
                if isinstance(target, Bound)
                or self.names.visibility.hides(call.function, target)
                or self.names.file_of(target) != call.function.file
                else self.names.of(target)
                for turns, target in targets.items()
            }
        text = self._dispatched(texts, _dimensions(call))
        return bracketed(text)

    def _callee(self, call: CallSite, target: Target) -> str:
        function = call.node.func
        if isinstance(target, Bound):
            return self._bound_text(call, target.target)
        name = self.names.of(target)
        own = own_name(target)
        if self.names.visibility.hides(call.function, target):
            return ast.unparse(function) if name == own else f"{ast.unparse(function)}.{name}"
        if isinstance(function, ast.Attribute):
            explicit = function.attr in CONSTRUCTORS and not isinstance(target, ClassBody)
            if explicit or name == own:
                return ast.unparse(function)
            return f"{ast.unparse(function.value)}.{name}" if function.attr == own else name
        if name == own or (isinstance(target, tuple) and not isinstance(function, ast.Name)):
            return ast.unparse(function)
        return name

    def _bound_text(self, call: CallSite, target: Direct) -> str:
        """Return a `functools.partial` like the one that is called, of what the call leads to."""
        text = ast.unparse(call.node.func)
        name = self.names.of(target)
        if name == own_name(target):
            return text
        if any(isinstance(part, ast.Call) for part in ast.walk(call.node.func)):
            raise ProgramError(
                f"line {call.node.lineno}: `{text}` binds arguments of something that is given different "
                "choices at different places; give the `partial` a name in a line of its own"
            )
        if isinstance(target, tuple):
            name = f"{text}.func.__self__.{name}"
        elif self.names.visibility.hides(call.function, target):
            name = f"{text}.func.{name}"
        return f"type({text})({name}, *{text}.args, **{text}.keywords)"

    # -- loops ----------------------------------------------------------------------------------

    def counter(self, loop: Loop) -> str:
        """Return the variable that counts a loop's turns from 0, its own where it has one."""
        if loop in self.counters:
            return self.counters[loop]
        node = loop.node
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and _counts(node):
            assert isinstance(node.target, ast.Name)
            return node.target.id
        self.counters[loop] = free_name("turn", self._taken)
        return self.counters[loop]

    def _counting(self, loop: Loop, name: str) -> Iterator[Edit]:
        node = loop.node
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            # for x in xs    for turn, x in enumerate(xs)
            start, end = self.source.span(node.target)
            before, after = self._brackets_around(node.target, start, end)
            yield Edit(start, start, f"{name}, {before}")
            yield Edit(end, end, after)
            start, end = self.source.span(node.iter)
            yield Edit(start, start, "enumerate(")
            yield Edit(end, end, ")")
            return
        assert isinstance(node, ast.While)
        if node.body[0].lineno == node.lineno:
            raise ProgramError(f"line {node.lineno}: put the body of `while` on lines of its own")
        # while c        turn = -1; while (turn := turn + 1) >= 0 and (c)
        start, _ = self.source.line_span(node)
        yield Edit(start, start, f"{self.source.indent(node)}{name} = -1\n")
        # Points in the test belong to the turn that it opens, so the test itself counts.
        start, end = self.source.span(node.test)
        yield Edit(start, start, f"({name} := {name} + 1) >= 0 and (")
        yield Edit(end, end, ")")

    def _brackets_around(self, target: ast.expr, start: int, end: int) -> tuple[str, str]:
        text = self.source.text[start:end]
        bare = isinstance(target, ast.Tuple) and not text.startswith("(")
        return ("(", ")") if bare else ("", "")

    def _replace_callee(self, function: ast.expr, text: str) -> None:
        new = ast.parse(text, mode="eval").body
        if (
            isinstance(function, ast.Attribute)
            and isinstance(new, ast.Attribute)
            and ast.dump(function.value) == ast.dump(new.value)
        ):
            # Only the method's name: what it belongs to may be renamed as well.
            _, start = self.source.span(function.value)
            _, end = self.source.span(function)
            self._edits.append(Edit(start, end, f".{new.attr}"))
        else:
            self._replace(function, text)

    def _replace(self, node: ast.expr, text: str) -> None:
        parent = self.parents.get(id(node))
        tight = isinstance(parent, _OPERATORS) or (
            isinstance(parent, (ast.Attribute, ast.Subscript, ast.Call))
            and getattr(parent, "value", getattr(parent, "func", None)) is node
        )
        start, end = self.source.span(node)
        if self.source.text[start:end] != text:
            self._edits.append(Edit(start, end, bracketed(text) if tight else text))


def _dimensions(place: Site | CallSite) -> list[Loop | None]:
    """Return what the numbers in a place's turns count: loops, or occurrences of a candidate (None)."""
    parent = place.parent
    if parent is None:
        return list(place.loops)
    # In the order of `recording.turns_of`: the loops around the parent, its occurrence, the loops inside of
    # it.
    repeated = parent.kind in ("manyof", "permutation")
    return [*_dimensions(parent), *([None] if repeated else []), *place.loops[len(parent.loops) :]]


def own_name(target: Direct) -> str:
    """Return what the function or class that a call leads to is called in the user's text."""
    if isinstance(target, Body):
        return target.function.name
    return target.definition.name if isinstance(target, ClassBody) else target[0].name


def _restricted(given: Mapping[Turns, T], only: Sequence[Turns] | None) -> dict[Turns, T]:
    """Keep the turns that begin like one of `only`."""
    if only is None:
        return dict(given)
    return {turns: what for turns, what in given.items() if any(turns[: len(o)] == o for o in only)}


def _counts(node: ast.For | ast.AsyncFor | ast.comprehension) -> bool:
    """Whether a loop's own variable is 0, 1, 2… at every place of its body."""
    call = node.iter
    plain = (
        isinstance(node.target, ast.Name)
        and isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "range"
        and len(call.args) == 1
    )
    if not plain or isinstance(node, ast.comprehension):
        return plain
    assert isinstance(node.target, ast.Name)
    stored = (
        part.id
        for statement in node.body
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    )
    return node.target.id not in stored


def _bound(function: ast.AST) -> set[str]:
    """Names that a function itself gives a value to, parameters included."""
    if isinstance(function, ast.Module):
        return set()
    names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}


def _substituted(expression: ast.expr, inside: Mapping[int, str]) -> ast.expr:
    """Return a copy of an expression with some of its nodes, told by identity, replaced."""

    # Copied on the way down, since nodes are told by identity and the original is rendered again elsewhere.
    class Substitute(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if id(node) in inside:
                return ast.parse(inside[id(node)], mode="eval").body
            return super().visit(_shallow(node))  # type: ignore[no-any-return]

    result = Substitute().visit(expression)
    assert isinstance(result, ast.expr)
    return result


def _shallow(node: ast.AST) -> ast.AST:
    fresh = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            setattr(fresh, name, list(value))
    return fresh


def parents_of(trees: Iterable[ast.AST]) -> dict[int, ast.AST]:
    """Return the parent of every node, by identity."""
    return {
        id(child): node for tree in trees for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
    }
