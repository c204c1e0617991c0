"""Names in `require` clauses that nothing in a program's sources can provide.

A clause speaks of variables where it stands, of points by their addresses, whose parts are names of the
code, and of costs. So a name that stands nowhere in any source, and is no cost, has a value under no
decision: every decision would be found wanting, one after the other. Whether a name that does stand somewhere
has a value where the clause is judged, only the run tells.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from symnas.errors import AnnotationError, Location, nearest
from symnas.grammar.attachment.annotation import COSTS
from symnas.grammar.domains.model import Candidate, Domain, OneOfDomain, OrderDomain, SubsetDomain
from symnas.grammar.mistakes import catalogue
from symnas.grammar.module import ParsedModule
from symnas.grammar.text.parse_python import parse_expression


def unknown_names(modules: Sequence[ParsedModule]) -> dict[int, list[AnnotationError]]:
    """Return the mistakes of clauses that name what none of a program's sources has, by index of source."""
    known = {name for module in modules for name in _names(module)} | {*COSTS}
    return {
        index: [
            mistake
            for texts, place in _clauses(module)
            for text in texts
            for mistake in _unknown(text, place, known)
        ]
        for index, module in enumerate(modules)
    }


def _clauses(module: ParsedModule) -> Iterator[tuple[tuple[str, ...], Location]]:
    for annotation in module.annotations:
        yield annotation.requires, annotation.location
    for requirement in module.requirements:
        yield requirement.expressions, requirement.location


def _unknown(text: str, place: Location, known: set[str]) -> Iterator[AnnotationError]:
    try:
        tree = parse_expression(text.strip())
    except (SyntaxError, ValueError):
        return  # told when the clause is read
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in called and node.id not in known:
            start = place.text.find(node.id, max(place.text.find("require", place.column), 0))
            if start >= 0:
                place = Location(place.file, place.line, start, start + len(node.id), place.text)
            hint = nearest(node.id, known)
            yield catalogue.mistake("require-unknown", place, given=f"`{node.id}`", nearest=hint)


def _names(module: ParsedModule) -> Iterator[str]:
    """Yield every name that a source has, in its code and in its annotations."""
    yield from _in_code(module.tree)
    for annotation in module.annotations:
        for name in (annotation.name, annotation.target, annotation.parameter):
            if name is not None:
                yield name
        for candidate in _candidates(annotation.domain):
            yield from _in_code(candidate.expr)


def _in_code(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, (ast.arg, ast.keyword)):
            yield node.arg or ""
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value  # keys of tables are parts of addresses, and arguments of `oneof(…, name="k")`
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)):
            yield node.name or ""


def _candidates(domain: Domain) -> Iterator[Candidate]:
    if isinstance(domain, OneOfDomain | SubsetDomain | OrderDomain):
        for candidate in domain.candidates:
            yield candidate
            for nested in candidate.nested:
                yield from _candidates(nested.domain)
