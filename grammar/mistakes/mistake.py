"""What is known of one kind of mistake in an annotation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One kind of mistake.

    Args:
        code: short stable identifier.
        message: the rule and what was given; `{fields}` are filled in where the mistake is found.
        remedy: what to do.
        examples: malformed annotation texts, or sources.
        pattern: regular expression that recognises it in a text that Lark refused; its first group is what to
            point at.
    """

    code: str
    message: str
    remedy: str
    examples: tuple[str, ...]
    pattern: str | None = None
