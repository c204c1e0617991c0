"""Edits on source text, so that everything nobody asked to change stays as its author wrote it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from symnas.grammar.text.comments import find_comments

_ATOMS = (
    ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Subscript, ast.List, ast.Dict, ast.Set, ast.ListComp,
    ast.DictComp, ast.SetComp, ast.JoinedStr,
)  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """Replace the characters from `start` to `end` (offsets into the text) by `text`."""

    start: int
    end: int
    text: str


class SourceText:
    """A source with the way from line and column to offsets, and edits that apply wherever it is used.

    Args:
        text: the whole source.
        first_line: line number of its first line in the positions that nodes carry.
    """

    def __init__(self, text: str, first_line: int = 1) -> None:
        self.text = text
        self.first_line = first_line
        # Lines as Python's tokenizer has them, with their ends; `str.splitlines` splits at form feeds too.
        self.lines = [line for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text) if line]
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))
        self.common: list[Edit] = list(self._comments())

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a node's position: line as nodes count, column in UTF-8 bytes."""
        # Columns of syntax trees are bytes of UTF-8, offsets are characters.
        index = line - self.first_line
        return self._starts[index] + len(self.lines[index].encode()[:column].decode(errors="ignore"))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return start and end offsets of a node, decorators included."""
        first: ast.AST = min([node, *getattr(node, "decorator_list", ())], key=lambda item: item.lineno)
        start = self.offset(first.lineno, first.col_offset)  # type: ignore[attr-defined]
        # A decorator's node begins behind its `@`.
        if first is not node:
            start = self.text.rindex("@", 0, start)
        return start, self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def line_span(self, node: ast.AST) -> tuple[int, int]:
        """Return the offsets of all lines of a node, the last line's end included, indentation too."""
        start, end = self.span(node)
        begin = self.text.rfind("\n", 0, start) + 1
        stop = self.text.find("\n", end)
        return begin, len(self.text) if stop < 0 else stop + 1

    def indent(self, node: ast.AST) -> str:
        """Return the white space in front of the line that a node begins on."""
        begin, _ = self.line_span(node)
        found = re.match(r"[ \t]*", self.text[begin:])
        return found.group() if found else ""

    def render(self, span: tuple[int, int], edits: Iterable[Edit] = ()) -> str:
        """Return the text of a span with the edits (outermost first) and the common ones applied."""
        start, end = span
        inside = [e for e in (*edits, *self.common) if start <= e.start and e.end <= end]
        pieces, at = [], start
        # By place; insertions before a replacement that begins there; of replacements the longer first, which
        # then covers those inside of it.
        for edit in sorted(inside, key=lambda e: (e.start, e.start != e.end, -e.end)):
            if edit.start < at:
                continue  # lies in a part that another edit has replaced
            pieces += [self.text[at : edit.start], edit.text]
            at = edit.end
        return "".join([*pieces, self.text[at:end]])

    def _comments(self) -> Iterable[Edit]:
        """Yield the removal of every annotation comment, of its line too where nothing else is on it."""
        comments = find_comments(self.text, "<source>", self.first_line).comments
        for comment in comments:
            passage = comment.passage
            ends = [row.offset for row in passage.lines[1:]] + [len(passage.text) + 1]
            for row, end in zip(passage.lines, ends, strict=True):
                index = row.line - self.first_line
                line = self.lines[index]
                hash_at = line.rindex("#", 0, row.column)
                stop = row.column + (end - 1 - row.offset)
                begin = self._starts[index]
                if line[:hash_at].strip() or line[stop:].strip():
                    rest = line[stop:].lstrip(" \t")
                    gap = hash_at if rest.startswith("#") else len(line[:hash_at].rstrip())
                    yield Edit(begin + gap, begin + len(line) - len(rest), "")
                else:
                    yield Edit(begin, begin + len(line), "")


def is_atom(text: str) -> bool:
    """Whether an expression may stand anywhere without brackets of its own."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return False
    if isinstance(node, ast.Tuple):
        return text.strip().startswith("(")
    return node.col_offset > 0 or isinstance(node, _ATOMS)  # the first: it stands in brackets


def bracketed(text: str) -> str:
    """Put brackets around an expression unless it needs none anywhere."""
    return text if is_atom(text) else f"({text})"


def free_name(wanted: str, taken: set[str]) -> str:
    """Return `wanted`, or `wanted_2`, `wanted_3`… if it is taken, and take it."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name
