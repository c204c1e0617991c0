"""What `symnas check` says of a source: its annotations, its mistakes, and advice on names."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from symnas.errors import AnnotationError, Location
from symnas.grammar.attachment.annotation import Annotation
from symnas.grammar.attachment.roots import Root, list_roots
from symnas.grammar.domains.model import (
    Default,
    Domain,
    DynamicDomain,
    OneOfDomain,
    OrderDomain,
    SubsetDomain,
    format_domain,
)
from symnas.grammar.module import parse_module
from symnas.grammar.requirements import unknown_names


@dataclass(frozen=True)
class Finding:
    """One annotation, for display.

    Args:
        line: 1-based line of the annotation.
        column: 1-based column of the annotation's text.
        domain: its domain, printed.
        describes: the code it describes.
        described_line: 1-based line of that code.
        role: see `Annotation.role`.
        default: the default as text; None where only the run will tell.
        name: `as NAME`, or None.
        shared: whether all turns of the loops around share one decision.
        requires: its `require` clauses.
        spelling: `comment` or `call`.
        scope: dotted names of the enclosing definitions.
    """

    line: int
    column: int
    domain: str
    describes: str
    described_line: int
    role: str
    default: str | None
    name: str | None
    shared: bool
    requires: tuple[str, ...]
    spelling: str
    scope: str


@dataclass(frozen=True)
class Notice:
    """A mistake, a warning or a piece of advice: its code, its message, and the place."""

    code: str
    message: str
    location: Location

    def __str__(self) -> str:
        """Render as an error does: the place, the line, a caret, the message."""
        return f"{self.location}\n{self.message}"


@dataclass(frozen=True)
class CheckReport:
    """The result of checking one source.

    Args:
        file: its name.
        findings: every annotation, in the order of the code.
        errors: every mistake.
        warnings: comments that look like misspelt annotations.
        advice: where a name would keep addresses stable.
        requirements: conditions of comments that hold `require` alone, each with its line.
    """

    file: str
    findings: tuple[Finding, ...]
    errors: tuple[Notice, ...]
    warnings: tuple[Notice, ...]
    advice: tuple[Notice, ...]
    requirements: tuple[tuple[int, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is no mistake; warnings and advice do not count."""
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "file": self.file,
            "ok": self.ok,
            "annotations": [asdict(found) | {"requires": list(found.requires)} for found in self.findings],
            "requirements": [{"line": line, "condition": text} for line, text in self.requirements],
            **{kind: [_plain(n) for n in getattr(self, kind)] for kind in ("errors", "warnings", "advice")},
        }


def check_source(source: str, filename: str) -> CheckReport:
    """Read a source and report every annotation and every mistake in it."""
    parsed = parse_module(source, filename)
    errors = sorted(
        [*parsed.errors, *unknown_names([parsed])[0]], key=lambda e: (e.location.line, e.location.column)
    )
    requirements = tuple((r.location.line, text) for r in parsed.requirements for text in r.expressions)
    return CheckReport(
        filename,
        tuple(_finding(annotation) for annotation in parsed.annotations),
        tuple(_notice(error) for error in errors),
        tuple(_notice(warning) for warning in parsed.warnings),
        tuple(_advice(parsed.tree, parsed.annotations)),
        requirements,
    )


def _plain(notice: Notice) -> dict[str, Any]:
    place = notice.location
    return {"code": notice.code, "message": notice.message, "line": place.line, "column": place.column + 1}


def _notice(error: AnnotationError) -> Notice:
    return Notice(error.code, error.message, error.location)


def _finding(found: Annotation) -> Finding:
    return Finding(
        line=found.location.line,
        column=found.location.column + 1,
        domain=format_domain(found.domain),
        describes=ast.unparse(found.node),
        described_line=found.node.lineno,
        role=found.role,
        default=_default(found.domain, found.default),
        name=found.name,
        shared=found.shared,
        requires=found.requires,
        spelling=found.spelling,
        scope=".".join(found.scope),
    )


def _default(domain: Domain, default: Default) -> str | None:
    if default is None or isinstance(domain, DynamicDomain):
        return None
    match domain:
        case OneOfDomain(candidates=candidates) if isinstance(default, int):
            return str(candidates[default].label)
        case SubsetDomain(candidates=candidates) | OrderDomain(candidates=candidates):
            assert isinstance(default, tuple)
            return ", ".join(str(candidates[index].label) for index in default)
    return str(default)


def _advice(tree: ast.Module, annotations: Sequence[Annotation]) -> Iterator[Notice]:
    """Recommend a name where two points of one scope would be told apart only by their order in the text."""
    roots = {id(root.expr): root for root in list_roots(tree)}
    loops = _loops(tree)
    first: dict[tuple[object, ...], Annotation] = {}
    for found in annotations:
        root, path = _path_to(found.node, roots)
        if root is None or found.role == "parameter":
            continue
        own = (found.name,) if found.name else (*_names(root), *path)
        key = (found.scope, loops.get(id(found.statement), ()), own)
        if key not in first:
            first[key] = found
            continue
        other = first[key]
        name = found.name or (root.names[0] if root.names else "point")
        message = (
            f"this point and the one described in line {other.node.lineno} have the same name, so they are "
            "numbered by their order in the text; write `as NAME`, as in "
            f"`{format_domain(found.domain)} as {name}_2`, and the address survives edits"
        )
        yield Notice("numbered-name", message, found.location)


def _names(root: Root) -> tuple[str, ...]:
    return root.names[:1] or (type(root.statement).__name__.lower(),)


def _path_to(node: ast.expr, roots: dict[int, Root]) -> tuple[Root | None, tuple[object, ...]]:
    """Return the root that holds a node, and the arguments on the way to it."""
    for root in roots.values():
        path = _descend(root.expr, node)
        if path is not None:
            return root, path
    return None, ()


def _descend(at: ast.AST, node: ast.expr) -> tuple[object, ...] | None:
    if at is node:
        return ()
    steps: list[tuple[tuple[object, ...], ast.AST]]
    if isinstance(at, ast.Call):
        steps = [((), at.func), *(((i,), value) for i, value in enumerate(at.args))]
        steps += [((word.arg,), word.value) for word in at.keywords]
    else:
        steps = [((), child) for child in ast.iter_child_nodes(at)]
    for step, child in steps:
        path = _descend(child, node)
        if path is not None:
            return (*step, *path)
    return None


def _loops(tree: ast.Module) -> dict[int, tuple[str, ...]]:
    """Return, for every statement, the targets of the loops around it, outermost first."""
    around: dict[int, tuple[str, ...]] = {}

    def visit(node: ast.AST, loops: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = loops
            if isinstance(child, ast.stmt):
                around[id(child)] = loops
                if isinstance(child, ast.For | ast.AsyncFor):
                    inner = (*loops, ast.unparse(child.target))
                elif isinstance(child, ast.While):
                    inner = (*loops, "while")
                elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    inner = ()
            visit(child, inner)

    visit(tree, ())
    return around
