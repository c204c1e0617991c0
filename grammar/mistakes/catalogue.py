"""Every kind of mistake in an annotation: how it is recognised, what is said, and examples that show it.

The parser takes its messages from here, so a test that walks the examples holds the messages true. A mistake
of form is recognised by its `pattern` over the annotation's text or, without one, by Lark coming to the same
state as in one of its examples; a mistake of meaning is raised by name where it is found. Examples that
contain a newline or `# search:` are sources, the others annotation texts.
"""

from __future__ import annotations

import re
from functools import cache

from symnas.errors import AnnotationError, Location
from symnas.grammar.mistakes.form import BALANCE, FORM
from symnas.grammar.mistakes.meaning import ATTACHMENT, MEANING, WARNINGS
from symnas.grammar.mistakes.mistake import Mistake

ALL = FORM + MEANING + ATTACHMENT + WARNINGS


@cache
def _by_code() -> dict[str, Mistake]:
    return {entry.code: entry for entry in ALL}


def mistake(code: str, location: Location, **fields: object) -> AnnotationError:
    """Make the error for the mistake `code` at a place; `fields` fill its message and remedy."""
    entry = _by_code()[code]
    text = (
        f"{entry.message}: {entry.remedy}"
        if code.startswith("default-")
        else f"{entry.message}; {entry.remedy}"
    )
    return AnnotationError(text.format(**fields), location, code, entry.remedy.format(**fields))


def by_example() -> dict[str, tuple[str, ...]]:
    """Return the examples of the mistakes of form that Lark's state at the error tells apart."""
    known = {entry.code: entry.examples for entry in FORM if entry.pattern is None}
    return {code: examples for code, examples in known.items() if code not in BALANCE}


def find(code: str) -> Mistake:
    """Return the mistake with a code."""
    return _by_code()[code]


def recognise(text: str) -> tuple[Mistake, int, int] | None:
    """Return the first mistake of form whose pattern fits a text, and the span to point at."""
    for entry in FORM:
        found = re.search(entry.pattern, text) if entry.pattern else None
        if found:
            group = next((g for g in range(1, found.re.groups + 1) if found.group(g) is not None), 0)
            return entry, *found.span(group)
    return None
