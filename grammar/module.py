"""Read a whole source: every annotation in it, attached, and every mistake."""

from __future__ import annotations

import ast
import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from symnas.errors import AnnotationError, Location
from symnas.grammar.attachment import items
from symnas.grammar.attachment.annotation import Annotation, Requirement
from symnas.grammar.attachment.attach import Line, attach
from symnas.grammar.attachment.naming import Parameters
from symnas.grammar.attachment.roots import Root, list_roots
from symnas.grammar.attachment.signatures import signatures_of
from symnas.grammar.calls import find_calls
from symnas.grammar.mistakes import catalogue
from symnas.grammar.text.annotation import AnnotationText, read
from symnas.grammar.text.comments import Comment, LogicalLine, find_comments
from symnas.grammar.text.parse_python import parse_module_text
from symnas.grammar.text.passage import lines_of


@dataclass(frozen=True, eq=False)
class ParsedModule:
    """Everything that was read in one source.

    Args:
        tree: the module's syntax tree, line numbers shifted by `first_line`; empty where Python itself cannot
            read it.
        annotations: in the order of the nodes they describe.
        requirements: comments of `require` clauses alone.
        errors: every mistake, in the order of the text.
        warnings: comments that look like a misspelt `# search:`.
    """

    tree: ast.Module
    annotations: tuple[Annotation, ...]
    errors: tuple[AnnotationError, ...]
    requirements: tuple[Requirement, ...] = ()
    warnings: tuple[AnnotationError, ...] = ()


def parse_module(
    source: str,
    filename: str,
    *,
    first_line: int = 1,
    imports: Mapping[str, str] | None = None,
    parameters: Parameters | None = None,
) -> ParsedModule:
    """Read all annotations of a source, comments and calls.

    Nothing is executed or imported. Mistakes are collected, not raised: the result has all of them.

    Args:
        source: a module's text, or a dedented piece of one (a class, a function, a notebook cell).
        filename: name used in errors.
        first_line: the line of the file on which `source` begins; all positions, the tree's included, count
            from it.
        imports: what names outside a piece mean there (`{"oneof": "symnas.oneof", "nn": "torch.nn"}`);
            imports in the source itself are found without it.
        parameters: for `NAME in DOMAIN` over positional arguments: from a callee as spelled to its positional
            parameters' names, None where unknown. By default the sources of imported packages are read for
            it.
    """
    try:
        source = source.removeprefix("\ufeff")
        tree = parse_module_text(source)
    except (SyntaxError, ValueError) as error:
        return _unreadable(source, filename, first_line, error)
    reader = _Module(source, filename, first_line, tree)
    reader.parameters = parameters or signatures_of(tree, imports or {})
    return reader.parsed(imports or {})


def _unreadable(source: str, filename: str, first_line: int, error: Exception) -> ParsedModule:
    line = getattr(error, "lineno", None) or 1
    column = max((getattr(error, "offset", None) or 1) - 1, 0)
    lines = lines_of(source)
    text = lines[min(line, len(lines)) - 1]
    place = Location(filename, line + first_line - 1, column, column + 1, text)
    reason = getattr(error, "msg", None) or str(error)
    found = catalogue.mistake("python-syntax", place, given=reason)
    return ParsedModule(ast.Module([], []), (), (found,))


@dataclass(frozen=True)
class _Definition:
    """A definition's header: from its first decorator to the line before its body."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    start: int
    end: int


class _Module:
    """Reads one source; collects annotations and errors."""

    parameters: Parameters

    def __init__(self, source: str, file: str, first_line: int, tree: ast.Module) -> None:
        self.tree = tree
        self.lines = lines_of(source)
        self.file = file
        self.first_line = first_line
        # Positions stay those of `source` until all is attached; candidates carry the file's from the start.
        self.roots = list_roots(tree)
        self.positions = [root.position for root in self.roots]
        found = find_comments(source, file, first_line)
        self.comments, self.warnings = found.comments, found.warnings
        self.annotations: list[Annotation] = []
        self.requirements: list[Requirement] = []
        self.errors = [*found.errors]

    def parsed(self, imports: Mapping[str, str]) -> ParsedModule:
        for comment in self.comments:
            try:
                self.add(comment)
            except AnnotationError as error:
                self.errors.append(error)
        # Calls are found after comments, and overlaps refused when both are known: each may describe what
        # lies inside the other.
        called, errors = find_calls(self.tree, self.roots, self.lines, self.file, self.first_line, imports)
        self.annotations += called
        self.errors += errors
        self.refuse_overlaps()
        ast.increment_lineno(self.tree, self.first_line - 1)
        self.annotations.sort(key=lambda found: (found.node.lineno, found.node.col_offset))
        self.errors.sort(key=lambda error: (error.location.line, error.location.column))
        return ParsedModule(
            self.tree,
            tuple(self.annotations),
            tuple(self.errors),
            tuple(self.requirements),
            tuple(self.warnings),
        )

    def add(self, comment: Comment) -> None:
        for passage in items.split(comment.passage):
            self.add_one(comment, read(passage))

    def add_one(self, comment: Comment, text: AnnotationText) -> None:
        if comment.logical is None:
            raise catalogue.mistake("nothing-follows", comment.passage.whole)
        if text.domain is None:
            statement, scope = self.statement_at(comment.logical)
            place = comment.passage.whole
            self.requirements.append(Requirement(text.requires, statement, place, scope))
            return
        line = Line(self.roots_of(comment), self.parameters, comment.preferred)
        self.annotations += attach(text, comment, line)

    def roots_of(self, comment: Comment) -> Sequence[Root]:
        """Return the roots that a comment may describe; above a decorator, those of the whole header."""
        assert comment.logical is not None
        start, end = comment.logical.start, comment.logical.end
        if comment.above and self.lines[start[0] - 1][start[1] :].startswith("@"):
            header = self.header_at(start[0])
            if header is not None:
                end = (header.end, 1 << 30)
        first = bisect.bisect_left(self.positions, self.bytes_at(start))
        last = bisect.bisect_left(self.positions, self.bytes_at(end))
        return self.roots[first:last]

    def bytes_at(self, position: tuple[int, int]) -> tuple[int, int]:
        """Turn a column of characters, as tokens have it, into one of bytes, as syntax trees have it."""
        line, column = position
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return line, len(text[:column].encode()) + max(0, column - len(text))

    def header_at(self, line: int) -> _Definition | None:
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and node.decorator_list
            ):
                start = node.decorator_list[0].lineno
                if start <= line <= node.lineno:
                    body = node.body[0]
                    ends = max(node.lineno, body.lineno - 1)
                    return _Definition(node, start, ends)
        return None

    def statement_at(self, logical: LogicalLine) -> tuple[ast.stmt, tuple[str, ...]]:
        """Return the statement that begins on a logical line (or holds it), and its scope."""
        best: tuple[ast.stmt, tuple[str, ...]] | None = None

        def visit(body: Sequence[ast.stmt], scope: tuple[str, ...]) -> None:
            nonlocal best
            for node in body:
                decorators = getattr(node, "decorator_list", [])
                start = min([node.lineno, *(d.lineno for d in decorators)])
                if start <= logical.start[0] <= (node.end_lineno or node.lineno):
                    best = (node, scope)
                    named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                    visit(_bodies(node), (*scope, node.name) if named else scope)  # type: ignore[attr-defined]

        visit(self.tree.body, ())
        assert best is not None
        return best

    def refuse_overlaps(self) -> None:
        """Refuse two annotations of one value, and one inside an expression that another describes."""
        owners: dict[int, Annotation] = {id(found.node): found for found in self.annotations}
        kept: list[Annotation] = []
        for found in self.annotations:
            error = None
            if owners[id(found.node)] is not found and found.spelling == "comment":
                error = self.overlap("described-twice", owners[id(found.node)], found)
            for node in ast.walk(found.node):
                inner = owners.get(id(node))
                # A loop's number of turns is not made of the numbers in its range, and calls may nest.
                if (
                    inner is not None
                    and node is not found.node
                    and "comment" in (found.spelling, inner.spelling)
                ):
                    error = error or self.overlap("described-inside", found, inner)
            if error is None:
                kept.append(found)
            else:
                self.errors.append(error)
        self.annotations = kept

    def overlap(self, code: str, first: Annotation, second: Annotation) -> AnnotationError:
        if code == "described-twice" and first.location.line > second.location.line:
            first, second = second, first
        given = f"`{ast.unparse(second.node)}`"
        return catalogue.mistake(code, second.location, given=given, line=first.location.line)


def _bodies(node: ast.stmt) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            found.append(child)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            found += child.body
    return found
