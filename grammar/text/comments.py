"""Find the annotation comments of a source, and the logical line that each stands at or above.

Only real comments count: the text of strings never does. Positions come from `tokenize`.
"""

from __future__ import annotations

import difflib
import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from symnas.errors import AnnotationError, Location
from symnas.grammar.mistakes import catalogue
from symnas.grammar.text.passage import Passage, PassageLine, lines_of

_MARK = re.compile(r"#\s?search:")
# Directives of other tools may share the line; any other text in front means commented-out code.
_DIRECTIVE = re.compile(
    r"#\s*(?:type:\s*ignore|noqa|pylint:|pyright:|mypy:|ruff:|fmt:|isort:|nosec|pragma:)[^#]*$"
)
_CONTINUES = re.compile(r"#[ \t]{2,}(?=\S)|#\t(?=\S)")
_LIKE_A_DOMAIN = re.compile(
    r"\{.*|-?[\d.]+(e-?\d+)?\s*\.\..*|log\s+\d.*|(\d+|order|\d+\.\.\d+)\s+of\s*\{.*|same\s+as\s.*|\w+\s+in\s+[\d{].*"
)
_SKIPPED = {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}


@dataclass(frozen=True)
class LogicalLine:
    """Where a logical line begins and ends: pairs of 1-based line (of this source) and 0-based column."""

    start: tuple[int, int]
    end: tuple[int, int]


@dataclass(frozen=True)
class Comment:
    """One annotation comment, its continuation lines included.

    Args:
        passage: its text.
        logical: the logical line that it stands in, or else the one that follows in its block; None when none
            does.
        above: whether it stands alone above the statement.
        preferred: the physical line (of this source) whose expressions it means where several fit, or None.
        mark: location of the words `# search:`.
    """

    passage: Passage
    logical: LogicalLine | None
    above: bool
    preferred: int | None
    mark: Location


@dataclass(frozen=True)
class _Token:
    text: str
    line: int
    column: int
    alone: bool
    inside: bool
    follows: int


def find_comments(source: str, file: str, first_line: int = 1) -> tuple[list[Comment], list[AnnotationError]]:
    """Return the annotation comments of a source that Python can read, and warnings for near misses."""
    lines = lines_of(source)
    tokens, logical = _scan(lines)
    alone = {token.line: token for token in tokens if token.alone}
    taken: set[int] = set()
    comments, warnings = [], []
    for token in tokens:
        if token.line in taken:
            continue
        begin = _begin(token.text)
        if begin is None:
            if warning := _near_miss(token, lines, file, first_line):
                warnings.append(warning)
            continue
        passage = _passage(token, begin, alone, taken, lines, file, first_line)
        line = lines[token.line - 1]
        mark = Location(file, token.line + first_line - 1, token.column, len(line), line)
        following = _target(token, logical)
        preferred = None
        if token.inside:
            preferred = _next_code_line(token.line, lines) if token.alone else token.line
        comments.append(Comment(passage, following, not token.inside, preferred, mark))
    return comments, warnings


def _scan(lines: Sequence[str]) -> tuple[list[_Token], list[LogicalLine]]:
    # Python's own tokenizer: a # in a string is no comment, and brackets join physical lines to a logical
    # one.
    tokens: list[_Token] = []
    logical: list[LogicalLine] = []
    start: tuple[int, int] | None = None
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            alone = not lines[line - 1][:column].strip()
            tokens.append(_Token(token.string, line, column, alone, start is not None, len(logical)))
        elif token.type == tokenize.NEWLINE:
            if start is not None:
                logical.append(LogicalLine(start, token.start))
            start = None
        elif token.type not in _SKIPPED and start is None:
            start = token.start
    return tokens, logical


def _begin(text: str) -> int | None:
    """Return where the annotation's own text begins in a comment, or None if it is no annotation."""
    found = _MARK.match(text)
    if found:
        return found.end()
    for found in _MARK.finditer(text):
        if _DIRECTIVE.match(text[: found.start()]):
            return found.end()
    return None


def _target(token: _Token, logical: Sequence[LogicalLine]) -> LogicalLine | None:
    if token.follows >= len(logical):
        return None
    found = logical[token.follows]
    # A comment indented deeper than what follows ends a block, so nothing in its block follows.
    return found if token.inside or found.start[1] >= token.column else None


def _passage(
    token: _Token,
    begin: int,
    alone: dict[int, _Token],
    taken: set[int],
    lines: Sequence[str],
    file: str,
    first_line: int,
) -> Passage:
    # (line from 1, column from 0, text) of every share.
    pieces = [(token.line, token.column + begin, _before_hash(token.text[begin:]))]
    line = token.line
    while True:
        line += 1
        # Formatters may put blank lines between a statement and the comments behind it.
        while _open(pieces) and line <= len(lines) and not lines[line - 1].strip():
            line += 1
        more = alone.get(line)
        found = _CONTINUES.match(more.text) if more else None
        if more is None or found is None or _begin(more.text) is not None:
            break
        taken.add(line)
        pieces.append((line, more.column + found.end(), _before_hash(more.text[found.end() :])))
    # Joined by newlines, and each share keeps its place, so every mistake is shown at its own line.
    text = ""
    rows: list[PassageLine] = []
    for number, column, part in pieces:
        text += "\n" if rows else ""
        rows.append(PassageLine(len(text), number + first_line - 1, column, lines[number - 1]))
        text += part
    return Passage(text, file, tuple(rows))


def _open(pieces: Sequence[tuple[int, int, str]]) -> bool:
    text = "".join(part for _, _, part in pieces)
    return sum(map(text.count, "([{")) > sum(map(text.count, ")]}"))


def _before_hash(text: str) -> str:
    """Cut a second comment (`# noqa`) off an annotation's text."""
    # Not the # of a text among the candidates (`{'#fff', '#000'}`).
    quote = ""
    for index, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and text[index - 1] != "\\" else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "#":
            return text[:index].rstrip()
    return text.rstrip()


def _next_code_line(line: int, lines: Sequence[str]) -> int:
    line += 1
    while line <= len(lines) and (not lines[line - 1].strip() or lines[line - 1].lstrip().startswith("#")):
        line += 1
    return line


def _near_miss(token: _Token, lines: Sequence[str], file: str, first_line: int) -> AnnotationError | None:
    # A comment like `# serach: {1, 2}`: a word that is nearly ours before what is nearly a domain.
    found = re.match(r"#[:!\s]*([^\W\d_]{4,9})\s*[:=]?\s*(.*)$", token.text)
    if not found or not _LIKE_A_DOMAIN.fullmatch(found.group(2).strip()):
        return None
    word = found.group(1).lower()
    if difflib.SequenceMatcher(None, word, "search").ratio() < 0.7:
        return None
    place = Location(
        file, token.line + first_line - 1, token.column, token.column + len(token.text), lines[token.line - 1]
    )
    given = token.text[: found.start(2)].strip()
    return catalogue.mistake("near-miss", place, given=f"`{given}`", rest=found.group(2).strip())
