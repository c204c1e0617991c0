"""Items of a list written out, annotated by position: `[2] in 1..4`, `depths[0] in 1..4`, `each in 1..4`.

`split` cuts a comment that says several such things, `each_of` says what `each` stands for, and `item` finds
the expression of one. Their places are part of the points' names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from symnas.errors import AnnotationError
from symnas.grammar.attachment.naming import Named
from symnas.grammar.attachment.roots import Root
from symnas.grammar.text.annotation import AnnotationText
from symnas.grammar.text.passage import Passage

EACH = "each"
_TARGET = r"(?:[^\W\d]\w*)?(?:\[(?:\d+|each)\])+\s+in\b"
_FIRST, _NEXT = re.compile(rf"\s*{_TARGET}"), re.compile(rf",\s*{_TARGET}")
_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")

Fail = Callable[..., AnnotationError]


def split(passage: Passage) -> list[Passage]:
    """Cut `[0] in 1..4, [2] in {4, 6}` into its parts, each in a passage with the others blanked out."""
    text = passage.text
    if not _FIRST.match(text):
        return [passage]
    cuts, depth, at = [], 0, 0
    while at < len(text):
        if (string := _STRING.match(text, at)) is not None:
            at = string.end()
            continue
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth == 0 and text[at] == "," and _NEXT.match(text, at):
            cuts.append(at)
        at += 1
    parts = []
    for start, end in zip([-1, *cuts], [*cuts, len(text)], strict=True):
        blank = re.sub(r"[^\n]", " ", text)
        parts.append(replace(passage, text=blank[: start + 1] + text[start + 1 : end] + blank[end:]))
    return parts


def each_of(
    text: AnnotationText, named: Iterable[Named], roots: Sequence[Root], fail: Fail
) -> list[AnnotationText]:
    """Return an annotation for every item that its target stands for: itself, unless it says `each`."""
    target = text.target
    named = list(named)
    if target == EACH and not any(place.name == EACH for place in named):
        target = f"[{EACH}]"
    if target is None or f"[{EACH}]" not in target:
        return [text]
    before, after = target.split(f"[{EACH}]", 1)
    node, _ = _written_out(before, named, roots, fail)
    found = []
    for place in range(len(node.elts)):
        name = None if text.name is None else f"{text.name}[{place}]"
        # A clause is one, however many items there are.
        requires = text.requires if not place else ()
        one = replace(text, target=f"{before}[{place}]{after}", name=name, requires=requires)
        found += each_of(one, named, roots, fail)
    return found


def item(target: str, named: Sequence[Named], roots: Sequence[Root], fail: Fail) -> Named:
    """Return the expression that `NAME[2]` or `[2]` means."""
    node, root = _written_out(target[: target.rindex("[")], named, roots, fail)
    place = int(target[target.rindex("[") + 1 : -1])
    if place >= len(node.elts) or any(isinstance(one, ast.Starred) for one in node.elts[: place + 1]):
        count = sum(not isinstance(one, ast.Starred) for one in node.elts)
        raise fail("no-such-item", given=f"`{target}`", count=count, last=max(count - 1, 0))
    return Named(target, node.elts[place], root)


def _written_out(
    target: str, named: Sequence[Named], roots: Sequence[Root], fail: Fail
) -> tuple[ast.List | ast.Tuple, Root]:
    """Return the list or tuple that a name, an item, or nothing but the line means."""
    if target.endswith("]"):
        place = item(target, named, roots, fail)
        found = [(place.node, place.root)]
    elif target:
        found = [(place.node, place.root) for place in named if place.name == target]
    else:
        found = [(root.expr, root) for root in roots if isinstance(root.expr, ast.List | ast.Tuple)]
        found = found or [pair for root in roots for pair in _outermost(root.expr, root)]
    lists = {id(node): (node, root) for node, root in found if isinstance(node, ast.List | ast.Tuple)}
    if len(lists) != 1:
        raise fail(
            "no-list-for-items", given=f"`{target}` names" if target else "the line has", count=len(lists)
        )
    return next(iter(lists.values()))


def _outermost(node: ast.expr, root: Root) -> Iterator[tuple[ast.expr, Root]]:
    if isinstance(node, ast.List | ast.Tuple):
        yield node, root
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            child = child.value
        if isinstance(child, ast.expr):
            yield from _outermost(child, root)
