"""Compare an expression of the code with a domain: is it one of its values, and which?

Code and candidate are compared as syntax trees, `1`, `1.0` and `True` being three literals. A choice nested
in the candidate is a hole in its tree: `Conv2d(c, c, 3)` fits the candidate `Conv2d(c, c, {1, 3})`, since 3
fits what stands in the hole, and 3 becomes the default of the nested choice.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from symnas.grammar.domains.labels import literal_of
from symnas.grammar.domains.model import (
    Candidate,
    Default,
    Domain,
    Nested,
    OneOfDomain,
    OrderDomain,
    RangeDomain,
    SubsetDomain,
)

# What says nothing of the code: load or store, the `u` of a text, comments on types.
_IGNORED = {"ctx", "kind", "type_comment"}


class Fit(NamedTuple):
    """A domain that an expression belongs to (defaults of nested choices filled in), and which value."""

    domain: Domain
    default: Default


def fit(node: ast.expr, domain: Domain) -> Fit | None:
    """Return how `node` belongs to a domain, or None; of a range only the ends count, not the grid."""
    match domain:
        case OneOfDomain():
            return _fit_choice(node, domain)
        case RangeDomain():
            literal, value = literal_of(node)
            if not literal or not domain.lies_within(value):
                return None
            assert isinstance(value, int | float)
            return Fit(domain, value if domain.integer else float(value))
        case SubsetDomain() | OrderDomain():
            return _fit_items(node, domain)
        case _:
            return None


def _fit_choice(node: ast.expr, domain: OneOfDomain) -> Fit | None:
    for index, candidate in enumerate(domain.candidates):
        found = _fit_candidate(node, candidate)
        if found is not None:
            return Fit(OneOfDomain(_with(domain.candidates, index, found)), index)
    return None


def _fit_items(node: ast.expr, domain: SubsetDomain | OrderDomain) -> Fit | None:
    items = items_of(node)
    if items is None:
        return None
    chosen: list[int] = []
    # Each item may fill in defaults of nested choices, so the next is compared with the candidates as they
    # are by then.
    candidates = domain.candidates
    for item in items:
        found = _fit_choice(item, OneOfDomain(candidates))
        if found is None:
            return None
        assert isinstance(found.default, int)
        assert isinstance(found.domain, OneOfDomain)
        candidates = found.domain.candidates
        chosen.append(found.default)
    if not admissible(chosen, domain):
        return None
    return Fit(replace(domain, candidates=candidates), tuple(chosen))


def admissible(chosen: Sequence[int], domain: SubsetDomain | OrderDomain) -> bool:
    """Whether these candidate indices are a value of a subset or an order."""
    distinct = len(set(chosen)) == len(chosen)
    if isinstance(domain, OrderDomain):
        return distinct and len(chosen) == len(domain.candidates)
    return domain.low <= len(chosen) <= domain.high and (distinct or domain.repeats)


def items_of(node: ast.expr) -> list[ast.expr] | None:
    """Return the items of a list, tuple or set written out, else None."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set) and not any(
        isinstance(e, ast.Starred) for e in node.elts
    ):
        return node.elts
    return None


def _fit_candidate(node: ast.expr, candidate: Candidate) -> Candidate | None:
    # Holes are told by the identity of their node in the candidate's tree.
    holes = {id(nested.node): nested for nested in candidate.nested}
    found: dict[int, Nested] = {}
    if not _same(node, candidate.expr, holes, found):
        return None
    return (
        replace(candidate, nested=tuple(found.get(id(n.node), n) for n in candidate.nested))
        if found
        else candidate
    )


def same_code(left: ast.AST, right: ast.AST) -> bool:
    """Whether two syntax trees are the same code, types of literals included."""
    return _same(left, right, {}, {})


def _same(code: object, pattern: object, holes: Mapping[int, Nested], found: dict[int, Nested]) -> bool:
    # In a comment a placeholder name stands in the hole, in the call spelling the inner call itself.
    hole = holes.get(id(pattern))
    if hole is not None:
        filled = fit(code, hole.domain) if isinstance(code, ast.expr) else None
        if filled is not None:
            found[id(pattern)] = replace(hole, domain=filled.domain, default=filled.default)
        return filled is not None
    if type(code) is not type(pattern):
        return False
    if isinstance(code, ast.AST):
        fields = [name for name in code._fields if name not in _IGNORED]
        return all(_same(getattr(code, f, None), getattr(pattern, f, None), holes, found) for f in fields)
    if isinstance(code, list) and isinstance(pattern, list):
        pairs = zip(code, pattern, strict=False)
        return len(code) == len(pattern) and all(_same(a, b, holes, found) for a, b in pairs)
    return bool(code == pattern)


def _with(candidates: tuple[Candidate, ...], index: int, found: Candidate) -> tuple[Candidate, ...]:
    return (*candidates[:index], found, *candidates[index + 1 :])
