"""Find the annotation comments of a source, and the logical line that each stands at or above.

Only real comments count: the text of strings never does. Positions come from `tokenize`.
"""

from __future__ import annotations

import ast
import difflib
import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from symnas.errors import AnnotationError, Location
from symnas.grammar.mistakes import catalogue
from symnas.grammar.text.parse_python import parse_module_text
from symnas.grammar.text.passage import Passage, PassageLine, lines_of

_MARK = re.compile(r"#\s?search:")
# Directives of other tools may share the line.
_DIRECTIVE = re.compile(
    r"\s*(?:type:|noqa|pylint:|pyright:|mypy:|ruff:|fmt:|isort:|nosec|pragma:|todo|fixme|xxx)(?!\w).*",
    re.IGNORECASE,
)
# A line of code of which the rest stands elsewhere.
_BEGUN = re.compile(
    r"[\w.\[\]'\"]+\s*(?:[-+*/@]?=(?!=)|:\s*\w+\s*=|\().*"
    r"|(?:return|for|async|if|elif|else|while|with|def|class|try|except|finally|match|case)\b.*[:(\[{,]"
)
# The word with a domain behind it, wherever it stands in a comment.
_WORD = re.compile(r"(?:#[#:!\s]*)?\bsearch\s*[:=]\s*", re.IGNORECASE)
_FIRST_WORD = re.compile(r"^#[#:!\s]*search\s*[:=]?\s*", re.IGNORECASE)
_CONTINUES = re.compile(r"#[ \t]{2,}(?=\S)|#\t(?=\S)")
_LIKE_A_DOMAIN = re.compile(
    r"\{.*|-?[\d.]+(e-?\d+)?\s*\.\..*|log\s+\d.*|(\d+|order|\d+\.\.\d+)\s+of\s*\{.*|same\s+as\s.*|[\w\[\]]+\s+in\s+[\d{].*"
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


@dataclass(frozen=True)
class Found:
    """What was found in a source.

    Args:
        comments: the annotation comments.
        errors: comments with the word `search` and a domain behind it that are no annotations.
        warnings: comments in which a word like it stands before what may be a domain.
    """

    comments: list[Comment]
    errors: list[AnnotationError]
    warnings: list[AnnotationError]


def find_comments(source: str, file: str, first_line: int = 1) -> Found:
    """Find the annotation comments of a source that Python can read, and near misses."""
    lines = lines_of(source)
    tokens, logical = _scan(lines)
    alone = {token.line: token for token in tokens if token.alone}
    taken: set[int] = set()
    found = Found([], [], [])
    for token in tokens:
        if token.line in taken:
            continue
        begin = _begin(token.text, token.alone)
        if begin is None:
            line = lines[token.line - 1]
            start = token.column
            place = Location(file, token.line + first_line - 1, start, start + len(token.text), line)
            if error := _miss(token, place):
                found.errors.append(error)
            elif warning := _misspelt(token, place):
                found.warnings.append(warning)
            continue
        passage = _passage(token, begin, alone, taken, lines, file, first_line)
        line = lines[token.line - 1]
        mark = Location(file, token.line + first_line - 1, token.column, len(line), line)
        following = _target(token, logical)
        preferred = None
        if token.inside:
            preferred = _next_code_line(token.line, lines) if token.alone else token.line
        found.comments.append(Comment(passage, following, not token.inside, preferred, mark))
    return found


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


def _begin(text: str, alone: bool) -> int | None:
    """Return where the annotation's own text begins in a comment, or None if it is no annotation.

    Behind code, whatever stands before `# search:` is a remark. On a line of its own it may be code that was
    commented out, its annotation with it.
    """
    found = _MARK.match(text)
    if found:
        return found.end()
    for found in _MARK.finditer(text):
        # A second `#` directly before it is a mistake (`_miss`).
        if text[found.start() - 1] != "#" and not (alone and _is_code(text[: found.start()])):
            return found.end()
    return None


def _is_code(text: str) -> bool:
    """Whether the text of a comment, its `#` included, is code that was commented out, rather than words."""
    parts = [part for part in text.split("#") if part.strip()]
    if not parts:
        return True  # `# # search: …`: an annotation that was commented out
    code = "#".join(part for part in parts if not _DIRECTIVE.fullmatch(part)).strip()
    if not code:
        return False
    for rest in ("", " pass"):  # the body of `for x in y:` stands below
        try:
            statements = parse_module_text(code + rest).body
        except (SyntaxError, ValueError):
            continue
        return not all(map(_may_be_words, statements))
    return _BEGUN.fullmatch(code) is not None


def _may_be_words(node: ast.stmt) -> bool:
    """Whether a statement does nothing, as `width`, `in, out` and `note: here` do."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and not any(isinstance(n, ast.Call | ast.Await) for n in ast.walk(node))


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
        if more is None or found is None or _begin(more.text, True) is not None:
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


def _miss(token: _Token, place: Location) -> AnnotationError | None:
    """Return the mistake of a comment that has our word and a domain behind it, spelled in another way."""
    for found in [
        *re.finditer(r"^#[#:!\s]*search\s*[:=]?\s*", token.text, re.I),
        *_WORD.finditer(token.text),
    ]:
        rest = _before_hash(token.text[found.end() :])
        # What is written in code that was commented out is meant to be without effect.
        hashes = re.match(r"#\s+(?=#)", found.group())
        before = token.text[: found.start() or (hashes.end() if hashes else 0)]
        if _LIKE_A_DOMAIN.fullmatch(rest) and not (token.alone and before and _is_code(before)):
            return catalogue.mistake("near-miss", place, given=f"`{found.group().strip()}`", rest=rest)
    return None


def _misspelt(token: _Token, place: Location) -> AnnotationError | None:
    """Return the warning for a comment like `# serach: {1, 2}`: a word nearly ours before nearly a domain."""
    found = re.match(r"#[:!\s]*([^\W\d_]{4,9})\s*[:=]?\s*(.*)$", token.text)
    if not found or not _LIKE_A_DOMAIN.fullmatch(found.group(2).strip()):
        return None
    if difflib.SequenceMatcher(None, found.group(1).lower(), "search").ratio() < 0.7:
        return None
    given = token.text[: found.start(2)].strip()
    return catalogue.mistake("misspelt", place, given=f"`{given}`", rest=found.group(2).strip())
