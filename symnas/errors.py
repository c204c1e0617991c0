"""Every error SymNAS raises on purpose, and the excerpt with a caret that points at the user's line.

A message says the rule, what was given and what to do. All errors share the root `SymnasError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class SymnasError(Exception):
    """Root of all errors raised on purpose by SymNAS."""


class SpaceError(SymnasError, ValueError):
    """A search space is malformed: duplicate addresses, empty candidates, a default outside its domain."""


class DecisionError(SymnasError, ValueError):
    """A decision does not fit its space; the message names the address and what was allowed."""


class ProgramError(SymnasError):
    """A target cannot be found, read, instrumented or surveyed."""


class BuildError(SymnasError, RuntimeError):
    """Running a program under a decision failed; the original exception is the cause."""


class RequirementError(SymnasError, ValueError):
    """No decision that satisfies a program's requirements was found within the stated number of tries."""


class AlgorithmError(SymnasError, ValueError):
    """An algorithm or one of its options is unknown, or does not fit the space."""


class EvaluatorError(SymnasError, TypeError):
    """An evaluator cannot be used, or returned something that is not a metric."""


class KeywordError(SymnasError, TypeError):
    """A function was called with a keyword that it does not have; the message names the one that it has."""


class StudyError(SymnasError):
    """A study cannot start, continue or go on; everything finished so far is kept."""


class StoreError(StudyError):
    """A store cannot be opened, read or written; nothing in it was destroyed."""


class MissingExtraError(SymnasError, ImportError):
    """An optional dependency is absent; the message names the extra that installs it."""


@dataclass(frozen=True)
class Location:
    """A place in a source text: file, 1-based line, 0-based columns (`end` exclusive) and the line's text."""

    file: str
    line: int
    column: int
    end: int
    text: str

    def __str__(self) -> str:
        """Render as `file:line:column` (column 1-based) over the line with carets beneath the span."""
        width = max(1, min(self.end, len(self.text)) - self.column)
        head = f"{self.file}:{self.line}:{self.column + 1}  "
        carets = " " * (len(head) + self.column) + "^" * width
        return f"{head}{self.text}\n{carets}"


class AnnotationError(SymnasError, ValueError):
    """An annotation cannot be read or attached; carries the place and the rule that was broken.

    Args:
        message: the rule, what was given and what to do.
        location: where in the user's text.
        code: short stable identifier of the kind of mistake.
        hint: the part of the message that says what to do, by itself.
    """

    def __init__(self, message: str, location: Location, code: str = "annotation", hint: str = "") -> None:
        super().__init__(f"{location}\n{message}")
        self.message = message
        self.location = location
        self.code = code
        self.hint = hint

    def __reduce__(self) -> tuple[type[AnnotationError], tuple[str, Location, str, str]]:
        """Pickle by the constructor's own arguments."""
        return type(self), (self.message, self.location, self.code, self.hint)


def unreadable(path: object, error: Exception) -> str:
    """Return the message for a file of Python code whose text is not in the encoding that it says."""
    return (
        f"{path}: Python code is UTF-8 unless its first line names another encoding, and this file cannot be "
        f"read so ({error}); save it as UTF-8, or begin it with its own, such as `# -*- coding: latin-1 -*-`"
    )


def nearest(given: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuse keywords as Python does, for functions whose keywords are declared in one place for several.

    Args:
        given: the keywords of a call.
        known: those that there are.
        what: is made by the call.

    Raises:
        TypeError: one is unknown.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise TypeError(
                f"{what} is made with {', '.join(names)}; {name!r} is none of them{nearest(name, names)}"
            )
