"""Read one annotation text: Lark for its form, `ast` for the Python in it.

The grammar (`annotation.lark`) knows the language's own words and the brackets; all Python between them is
"soup" to it, a sequence of tokens. `_Reader.expression` gives the soup of a candidate to Python's own parser,
the domains nested in it masked by a name of the same place. A text that Lark refuses is explained by the
table of mistakes: by a pattern over the text, or by an example that brings Lark to the same state.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from symnas.errors import AnnotationError, nearest
from symnas.grammar.domains import labels
from symnas.grammar.domains.model import (
    Candidate,
    Domain,
    Nested,
    OneOfDomain,
    OrderDomain,
    RangeDomain,
    SubsetDomain,
    TieDomain,
    format_domain,
)
from symnas.grammar.domains.ranges import read_count, read_range
from symnas.grammar.mistakes import catalogue
from symnas.grammar.text.parse_python import parse_expression
from symnas.grammar.text.passage import Passage, relocate

_CLAUSES = ("as", "require", "shared", "with repeats", "ordered")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class AnnotationText:
    """One annotation text, read but not attached to any code.

    Args:
        domain: None where the text is only `require` clauses.
        target: NAME of `NAME in DOMAIN`; of items by position `NAME[2]`, `[2]`, or with `each` in
            the place of a number.
        name: NAME of `as NAME`.
        shared: whether the word `shared` was there.
        requires: expressions of the `require` clauses, as written.
    """

    domain: Domain | None
    target: str | None = None
    name: str | None = None
    shared: bool = False
    requires: tuple[str, ...] = ()


@cache
def _lark() -> Lark:
    grammar = files("symnas.grammar").joinpath("annotation.lark").read_text(encoding="utf-8")
    # Once per process: building the tables takes as long as reading a hundred annotations.
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def parse_annotation(
    text: str, *, file: str = "<annotation>", line: int = 1, column: int = 0
) -> AnnotationText:
    """Read one annotation text, without the words `# search:`.

    Args:
        text: for example `{16, 32, 64} as width`; may span lines.
        file: name used in errors.
        line: 1-based line on which the text begins.
        column: 0-based column at which the text begins.

    Raises:
        AnnotationError: the text is malformed; says how, where, and what to write.
    """
    passage = Passage.of(text, file).shifted(line, column)
    return read(passage)


def format_annotation(annotation: AnnotationText) -> str:
    """Return an annotation's text, without the words `# search:`."""
    parts = [] if annotation.target is None else [annotation.target, "in"]
    if annotation.domain is not None:
        parts.append(format_domain(annotation.domain))
    if annotation.name is not None:
        parts += ["as", annotation.name]
    if annotation.shared:
        parts.append("shared")
    for condition in annotation.requires:
        parts += ["require", condition]
    return " ".join(parts)


def read(passage: Passage) -> AnnotationText:
    """Read the annotation that a passage of a file holds."""
    _check_brackets(passage)
    try:
        tree = _lark().parse(passage.text)
    except UnexpectedInput as error:
        raise _diagnose(error, passage) from None
    return _Reader(passage).annotation(tree)


def _check_brackets(passage: Passage) -> None:
    """Refuse unbalanced brackets and strings before anything else, for they spoil every other message."""
    open_at: list[int] = []
    # Strings first, so that brackets in them do not count; a string that is not closed ends with its line.
    for found in re.finditer(r"\"(?:\\.|[^\"\\\n])*(\"?)|'(?:\\.|[^'\\\n])*('?)|[()\[\]{}]", passage.text):
        sign, at = found.group(), found.start()
        if sign[0] in "'\"":
            if not (found.group(1) or found.group(2)):
                raise catalogue.mistake("unclosed-string", passage.location(at, at + 1), given=sign[0])
        elif sign in _CLOSING:
            open_at.append(at)
        elif not open_at:
            raise catalogue.mistake("stray-bracket", passage.location(at, at + 1), given=sign)
        elif _CLOSING[passage.text[open_at[-1]]] != sign:
            at = open_at[-1]
            raise catalogue.mistake("unclosed-bracket", passage.location(at, at + 1), given=passage.text[at])
        else:
            open_at.pop()
    if open_at:
        at = open_at[-1]
        raise catalogue.mistake("unclosed-bracket", passage.location(at, at + 1), given=passage.text[at])


def _diagnose(error: UnexpectedInput, passage: Passage) -> AnnotationError:
    """Choose the message for a text that Lark refused, by a mistake's pattern or by its examples."""
    text = passage.text
    at = min(max(error.pos_in_stream or 0, 0), max(len(text.rstrip()) - 1, 0))
    span = (at, at + 1)
    # The particular wins: an example tells more than the patterns that fit almost anything.
    code = error.match_examples(_lark().parse, catalogue.by_example(), use_accepts=True)
    found = catalogue.recognise(text)
    assert found is not None, "the last pattern fits everything"
    entry = found[0]
    if code is not None and entry.code in ("prose", "unknown-clause", "without-braces"):
        entry = catalogue.find(code)
    else:
        span = found[1:]
    given = text[slice(*span)].strip()
    fields = {
        "given": f"`{given}`" if "{given}" in entry.message and "`{given}`" not in entry.message else given,
        "braced": "{" + _inside(given or text.strip()) + "}",
        "nearest": nearest(given.split()[0] if given else "", _CLAUSES),
    }
    return catalogue.mistake(entry.code, passage.location(*span), **fields)


def _inside(text: str) -> str:
    return text[1:-1].strip() if text[:1] in ("[", "(") and text[-1:] in ("]", ")") else text


class _Reader:
    """Turns Lark's tree of one passage into domains."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage

    def fail(
        self, code: str, where: Tree[Token] | Token | tuple[int, int], **fields: object
    ) -> AnnotationError:
        start, end = where if isinstance(where, tuple) else span(where)
        return catalogue.mistake(code, self.passage.location(start, end), **fields)

    def slice(self, where: Tree[Token] | Token) -> str:
        start, end = span(where)
        return self.passage.text[start:end]

    def annotation(self, tree: Tree[Token]) -> AnnotationText:
        domain, target = None, None
        said: dict[str, Any] = {"name": None, "shared": False, "requires": []}
        for part in _trees(tree.children):
            match part.data:
                case "target":
                    named = part.children[0]
                    assert isinstance(named, Token)
                    target = str(named) if named.type == "ITEM" else self.identifier(named)
                case "name" | "shared" | "require":
                    self.clause(part, said, domain)
                case _:
                    domain = self.domain(part)
        return AnnotationText(domain, target, said["name"], said["shared"], tuple(said["requires"]))

    def clause(self, part: Tree[Token], said: dict[str, Any], domain: Domain | None) -> None:
        kind = str(part.data)
        word = "as" if kind == "name" else kind
        if kind == "require":
            said["requires"].append(self.requirement(_trees(part.children)[0]))
            return
        if domain is None:
            raise self.fail("clause-without-domain", part, given=word)
        if said[kind]:
            raise self.fail("twice", part, given=word)
        said[kind] = self.identifier(part.children[0]) if kind == "name" else True
        # `as shared`: the next clause was taken for the name.
        if said[kind] in ("shared", "require"):
            raise self.fail("name-missing", part)

    def identifier(self, token: Tree[Token] | Token) -> str:
        name = str(token)
        if keyword.iskeyword(name):
            raise self.fail("reserved-name", token, given=name)
        return name

    def requirement(self, part: Tree[Token]) -> str:
        text = one_line(self.slice(part))
        try:
            parse_expression(f"({text})")
        except (SyntaxError, ValueError) as error:
            raise self.fail(
                "bad-requirement", part, given=f"`{text}`", reason=getattr(error, "msg", error)
            ) from None
        return text

    def domain(self, part: Tree[Token]) -> Domain:
        match part.data:
            case "range":
                return self.range(_token(part.children[0]))
            case "tie":
                return TieDomain("".join(str(part.children[0]).split()[2:]))
            case "order" | "nested_order":
                return self.order(part)
            case "subset" | "nested_subset":
                return self.subset(part)
            case "one_of":
                for modifier in _trees(part.children[1:]):
                    raise self.fail("repeats-of-one", modifier, given=one_line(self.slice(modifier)))
                return OneOfDomain(self.choice(_trees(part.children)[0]))
            case _:
                return OneOfDomain(self.choice(part))

    def range(self, token: Token) -> RangeDomain:
        return read_range(str(token), lambda code, **fields: self.fail(code, token, **fields))

    def order(self, part: Tree[Token]) -> OrderDomain:
        found = self.choice(_trees(part.children)[0])
        if len(found) == 1:
            raise self.fail("single-candidate-order", part)
        if found[0].weight is not None:
            raise self.fail("priors-in-an-order", part)
        return OrderDomain(found)

    def subset(self, part: Tree[Token]) -> SubsetDomain:
        count = _token(part.children[0])
        low, high = read_count(str(count), lambda code, **fields: self.fail(code, count, **fields))
        choice, *modifiers = _trees(part.children)
        found = self.choice(choice)
        said = [one_line(self.slice(modifier)) for modifier in modifiers]
        for index, word in enumerate(said):
            if word in said[:index]:
                raise self.fail("twice", modifiers[index], given=word)
        repeats, ordered = "with repeats" in said, "ordered" in said
        if high > len(found) and not repeats:
            raise self.fail("subset-too-large", count, given=high, count=len(found))
        return SubsetDomain(found, low, high, ordered, repeats)

    def choice(self, part: Tree[Token]) -> tuple[Candidate, ...]:
        entries = [entry for entry in _trees(part.children) if entry.data == "entry"]
        if not entries:
            raise self.fail("empty-choice", part)
        found = [self.candidate(entry) for entry in entries]
        # Priors are relative to one another, so all have one or none has.
        with_prior = [candidate.weight is not None for candidate in found]
        if any(with_prior) and not all(with_prior):
            missing = entries[with_prior.index(False)]
            raise self.fail("some-priors", missing, given=f"`{one_line(self.slice(missing))}`")
        if all(with_prior) and not sum(candidate.weight or 0 for candidate in found):
            raise self.fail("zero-priors", part)
        return labels.labelled(found, lambda index, code, given: self.fail(code, entries[index], given=given))

    def candidate(self, entry: Tree[Token]) -> Candidate:
        soups = [child for child in _trees(entry.children) if child.data == "soup"]
        prior = next((child for child in entry.children if isinstance(child, Token)), None)
        # entry: [label ":"] expression [@ prior]
        label = self.label(soups[0], soups[-1]) if len(soups) == 2 else None
        soup = soups[-1]
        if _words(soup)[:1] == ["lambda"]:
            raise self.fail("bare-lambda", soup)
        if (sign := str(soup.children[0])) in ("*", "**") and isinstance(soup.children[0], Token):
            raise self.fail("starred-candidate", soup, given=f"`{sign}`")
        expr, nested = self.expression(soup)
        weight = None if prior is None else float(str(prior)[1:])
        text = one_line(self.slice(soup))
        return Candidate(text, expr, label, weight, nested, label is not None)

    def label(self, soup: Tree[Token], body: Tree[Token]) -> str:
        text = self.slice(soup)
        if _words(soup)[:1] == ["lambda"]:
            raise self.fail("bare-lambda", (span(soup)[0], span(body)[1]))
        if not text.isidentifier() or keyword.iskeyword(text):
            raise self.fail("bad-label", soup, given=f"`{one_line(text)}`")
        return text

    def expression(self, soup: Tree[Token]) -> tuple[ast.expr, tuple[Nested, ...]]:
        start, end = span(soup)
        parts = list(_nested_parts(soup))
        # A nested domain becomes `_` and spaces, so that every other node keeps its line and column.
        masked = list(self.passage.text[start:end])
        for part in parts:
            low, high = (offset - start for offset in span(part))
            masked[low:high] = "_" + "".join("\n" if sign == "\n" else " " for sign in masked[low + 1 : high])
        text = "".join(masked)
        expr = self.python(text, soup)
        places = {
            _offset(text, node): node
            for node in ast.walk(expr)
            if isinstance(node, ast.Name) and node.id == "_"
        }
        relocate(expr, self.passage, start, text)
        nested = []
        for part in parts:
            node = places.get(span(part)[0] - start)
            if node is None:  # `x{1, 2}`: what masks it has become a part of another name
                given, reason = f"`{one_line(self.slice(soup))}`", "a choice stands behind a value"
                raise self.fail("bad-candidate", soup, given=given, reason=reason)
            domain = self.range(part) if isinstance(part, Token) else self.domain(part)
            nested.append(Nested(node, domain, labels.first_default(domain)))
        return expr, tuple(nested)

    def python(self, text: str, soup: Tree[Token]) -> ast.expr:
        try:
            expr = parse_expression(f"({text}\n)")
        except (SyntaxError, ValueError) as error:
            given = f"`{one_line(self.slice(soup))}`"
            if prior := re.search(r"@\s*\d[\d.]*(?=\s+[\w(])", text):
                raise self.fail("prior-not-last", soup, given=f"`{prior.group()}`") from None
            raise self.fail("bad-candidate", soup, given=given, reason=getattr(error, "msg", error)) from None
        # The brackets that were put around made it a generator.
        if isinstance(expr, ast.GeneratorExp) and (expr.lineno, expr.col_offset) == (1, 0):
            raise self.fail("comprehension", soup)
        return expr


def span(where: Tree[Token] | Token) -> tuple[int, int]:
    """Return the offsets at which a token or tree of Lark begins and ends."""
    if isinstance(where, Token):
        return where.start_pos or 0, where.end_pos or 0
    return where.meta.start_pos, where.meta.end_pos


def one_line(text: str) -> str:
    """Join a text that goes over lines by single spaces."""
    return re.sub(r"\s*\n\s*", " ", text).strip()


def _trees(children: Iterable[Tree[Token] | Token]) -> list[Tree[Token]]:
    return [child for child in children if isinstance(child, Tree)]


def _token(child: Tree[Token] | Token) -> Token:
    assert isinstance(child, Token)
    return child


def _words(soup: Tree[Token]) -> list[str]:
    return [str(child) for child in soup.children if isinstance(child, Token)]


def _offset(text: str, node: ast.expr) -> int:
    """Offset in `text` of a node parsed out of `(text)`."""
    lines = text.split("\n")
    # On the first line columns count the bracket that was put in front.
    row = lines[node.lineno - 1].encode()[: node.col_offset - (node.lineno == 1)]
    return sum(len(line) + 1 for line in lines[: node.lineno - 1]) + len(row.decode())


def _nested_parts(part: Tree[Token]) -> Iterable[Tree[Token] | Token]:
    """Yield the outermost nested domains of a soup, in order, passing by what parentheses protect."""
    before: Tree[Token] | Token | None = None
    for child in part.children:
        if isinstance(child, Token):
            if child.type == "RANGE":
                yield child
        elif child.data == "group":
            if not _protects(child, before):
                yield from _nested_parts(child)
        elif child.data in ("nested_subset", "nested_order") or _is_choice(child):
            yield child
        # Braces of Python (a dictionary, a comprehension) are no choice, but may hold some.
        elif child.data == "choice":
            for entry in _trees(child.children):
                for soup in _trees(entry.children):
                    yield from _nested_parts(soup)
        before = child


def _protects(group: Tree[Token], before: Tree[Token] | Token | None) -> bool:
    """Whether a group is plain parentheses: not a call's, not a list or subscript, not a tuple's."""
    opening = group.children[0]
    if str(opening) == "[":
        return False
    if isinstance(before, Tree) and before.data != "word":
        return False
    name = str(before) if isinstance(before, Token) and before.type in ("NAME", "STRING") else ""
    if isinstance(before, Tree) or (name and not keyword.iskeyword(name)):
        return False
    # `(a, {1, 2})` is a tuple, whose braces are a choice; `({1, 2})` and `(lambda: {1, 2})` protect a set.
    words = _words(group)
    comma = next((i for i, word in enumerate(words) if word == ","), None)
    return comma is None or "lambda" in words[:comma]


def _is_choice(part: Tree[Token]) -> bool:
    """Whether braces inside a candidate are a choice, not a dictionary or a comprehension of Python."""
    if part.data != "choice":
        return False
    entries = _trees(part.children)
    soups = [[soup for soup in _trees(entry.children) if soup.data == "soup"] for entry in entries]
    if not entries or any(_words(group[0])[:1] in (["**"], ["*"]) for group in soups):
        return False
    if any("for" in _words(soup) for group in soups for soup in group):
        return False
    # A dictionary's keys are strings, numbers, calls; a bare name before a colon is a label.
    return not all(len(group) == 2 and not _is_name(group[0]) for group in soups)


def _is_name(soup: Tree[Token]) -> bool:
    (first, *rest) = soup.children
    return not rest and isinstance(first, Token) and first.type == "NAME"
