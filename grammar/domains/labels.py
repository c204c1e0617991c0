"""Labels of candidates, and the defaults of choices nested in them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from symnas.errors import AnnotationError
from symnas.grammar.domains.model import (
    Candidate,
    Default,
    Domain,
    OneOfDomain,
    OrderDomain,
    RangeDomain,
    SubsetDomain,
)

if TYPE_CHECKING:
    from symnas._typing import Label


def labelled(
    found: Sequence[Candidate], fail: Callable[[int, str, str], AnnotationError]
) -> tuple[Candidate, ...]:
    """Give every candidate its label: as written, else a literal's value, else its shortest distinct text.

    Args:
        found: candidates whose label is the written one, or None.
        fail: makes the error for candidate `index`, mistake `code`, and what was given.
    """
    # Every candidate begins with its shortest form (`Conv2d`), and those that clash go on to the next longer
    # one (`Conv2d(c, c, 3)`, then `nn.Conv2d(c, c, 3)`) until all differ or a form is missing. A label
    # depends on what it must be told apart from, and on nothing else.
    forms = [_forms(candidate) for candidate in found]
    level = [0] * len(found)
    while True:
        labels = [forms[i][level[i]] for i in range(len(found))]
        # `True`, `1` and `1.0` are equal in Python, and three labels here.
        keys = [(type(label), label) for label in labels]
        clashing = [i for i, key in enumerate(keys) if keys.count(key) > 1]
        movable = [i for i in clashing if level[i] + 1 < len(forms[i])]
        if not movable:
            break
        for i in movable:
            level[i] += 1
    if clashing:
        _refuse(found, keys, clashing, fail)
    return tuple(replace(candidate, label=label) for candidate, label in zip(found, labels, strict=True))


def _refuse(
    found: Sequence[Candidate],
    keys: Sequence[tuple[type, Label]],
    clashing: Sequence[int],
    fail: Callable[[int, str, str], AnnotationError],
) -> None:
    second = next(i for i in clashing if keys[i] in keys[:i])
    first = keys.index(keys[second])
    same_value = ast.dump(found[first].expr) == ast.dump(found[second].expr) and not found[first].nested
    code = "duplicate-candidate" if same_value and not found[second].named else "duplicate-label"
    given = f"`{found[second].text}`" if code == "duplicate-candidate" else repr(keys[second][1])
    raise fail(second, code, given)


def _forms(candidate: Candidate) -> list[Label]:
    """Return the labels a candidate may have, shortest first."""
    if candidate.named:
        return [candidate.label]
    literal, value = literal_of(candidate.expr)
    if literal and not candidate.nested:
        return [value]
    text = " ".join(candidate.text.split())
    expr = candidate.expr
    forms = [text]
    head = expr.func if isinstance(expr, ast.Call) else expr
    if isinstance(head, ast.Attribute):
        dotted = ast.unparse(head)
        if text.startswith(dotted):
            forms.insert(0, head.attr + text[len(dotted) :])
    if isinstance(expr, ast.Call) and isinstance(head, ast.Attribute | ast.Name):
        forms.insert(0, head.attr if isinstance(head, ast.Attribute) else head.id)
    return list(dict.fromkeys(forms))


def literal_of(node: ast.expr) -> tuple[bool, Label]:
    """Return whether a node is a literal that can be a label, and its value."""
    sign = 1
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    ):
        node, sign = node.operand, -1
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            return False, None
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str | int | float)):
        value = node.value
        return True, -value if sign < 0 and isinstance(value, int | float) else value
    return False, None


def first_default(domain: Domain) -> Default:
    """Return the default of a choice that no code decides: its first or lowest."""
    match domain:
        case OneOfDomain():
            return 0
        case SubsetDomain():
            return (0,) * domain.low if domain.repeats else tuple(range(domain.low))
        case OrderDomain():
            return tuple(range(len(domain.candidates)))
        case RangeDomain():
            return domain.low
        case _:
            return None
