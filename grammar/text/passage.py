"""A stretch of annotation text that remembers where each of its characters stands in the file."""

from __future__ import annotations

import ast
import bisect
import re
from dataclasses import dataclass

from symnas.errors import Location


@dataclass(frozen=True)
class PassageLine:
    """One physical line's share of a passage.

    Args:
        offset: where the share begins in the passage's text.
        line: 1-based line of the file.
        column: 0-based column of the share's first character.
        source: the whole physical line.
    """

    offset: int
    line: int
    column: int
    source: str


@dataclass(frozen=True)
class Passage:
    """Annotation text joined over its comment lines by newlines, with the way back to the file."""

    text: str
    file: str
    lines: tuple[PassageLine, ...]

    @classmethod
    def of(cls, text: str, file: str = "<annotation>") -> Passage:
        """Wrap a text that stands alone."""
        pieces, offset = [], 0
        for number, line in enumerate(text.split("\n"), start=1):
            pieces.append(PassageLine(offset, number, 0, line))
            offset += len(line) + 1
        return cls(text, file, tuple(pieces))

    def shifted(self, line: int, column: int) -> Passage:
        """Return the passage as it stands when its first line begins at a place of a larger text."""
        moved = []
        for index, piece in enumerate(self.lines):
            indent = " " * column if index == 0 else ""
            at = piece.column + len(indent)
            moved.append(PassageLine(piece.offset, piece.line + line - 1, at, indent + piece.source))
        return Passage(self.text, self.file, tuple(moved))

    def at(self, offset: int) -> tuple[PassageLine, int]:
        """Return the line that holds `offset`, and the column there."""
        index = bisect.bisect_right([piece.offset for piece in self.lines], offset) - 1
        piece = self.lines[max(index, 0)]
        return piece, piece.column + offset - piece.offset

    def location(self, start: int, end: int) -> Location:
        """Locate the span `start:end`; of a span over several lines, its part on the first."""
        piece, column = self.at(start)
        last, final = self.at(max(start, end - 1))
        stop = final + 1 if last is piece else len(piece.source.rstrip())
        return Location(self.file, piece.line, column, max(stop, column + 1), piece.source)

    @property
    def whole(self) -> Location:
        """Locate the whole text."""
        start = len(self.text) - len(self.text.lstrip())
        return self.location(min(start, max(len(self.text) - 1, 0)), max(len(self.text.rstrip()), 1))


def lines_of(source: str) -> list[str]:
    """Split a source into lines as Python's tokenizer does (`str.splitlines` splits at form feeds too)."""
    return re.split(r"\r\n|\r|\n", source)


def relocate(tree: ast.AST, passage: Passage, start: int, text: str) -> None:
    """Give the nodes of an expression parsed out of a passage their lines and columns in the file.

    Args:
        tree: parsed from `"(" + text + ")"`, so the first line's columns are one too large.
        passage: where the text comes from.
        start: offset of the text in the passage.
        text: what was parsed.
    """
    offsets = [0]
    for line in text.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    lines = text.split("\n")

    # From bytes of the parsed text to characters, to the passage, to the file's line, and to bytes again.
    def place(line: int, column: int) -> tuple[int, int]:
        row = lines[line - 1] if line <= len(lines) else ""
        characters = len(row.encode()[: column - (line == 1)].decode(errors="ignore"))
        piece, at = passage.at(start + offsets[line - 1] + characters)
        return piece.line, len(piece.source[:at].encode())

    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.keyword | ast.arg):
            node.lineno, node.col_offset = place(node.lineno, node.col_offset)
            if node.end_lineno is not None and node.end_col_offset is not None:
                node.end_lineno, node.end_col_offset = place(node.end_lineno, node.end_col_offset)
