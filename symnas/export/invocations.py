"""What happened while a program ran under a decision: which function was entered, and what was chosen where.

A run fills these records when it is asked to (`program.source` needs them; building a child does not).
Places are those of `symnas.frontend.sites`; loop turns count from 0, outermost loop first, and belong to the
loops around the place in its function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import NoneType

from symnas.frontend.sites import CallSite, Function, Site

Turns = tuple[int, ...]


@dataclass(frozen=True)
class Chosen:
    """What a site was given: candidates by position, a number, or a text.

    Args:
        branches: positions among the site's candidates; one for a one-of, several for subsets and
            permutations.
        number: the value of a range.
        text: Python source of the value, for a tie or for candidates known only when the program ran.
    """

    branches: tuple[int, ...] = ()
    number: int | float | None = None
    text: str | None = None


@dataclass(eq=False)
class Invocation:
    """One run of a function's body.

    Args:
        function: which; the module itself counts as one.
        instance: the object whose method it is, or None; kept so that its identity stays unique.
        kind: the class of that object.
    """

    function: Function
    instance: object | None = None
    kind: type = NoneType
    chosen: dict[Site, dict[Turns, Chosen]] = field(default_factory=dict)
    calls: dict[CallSite, dict[Turns, list[Invocation]]] = field(default_factory=dict)
    unplaced: list[Invocation] = field(default_factory=list)
    """Invocations that began while this one ran, from places that the text does not show."""
    bound: bool = False
    """Whether the text called a `functools.partial` of the function or class."""

    def below(self) -> Iterator[Invocation]:
        """Yield every invocation under this one, in the order of their beginning within each call site."""
        for inner in self.inner():
            yield inner
            yield from inner.below()

    def inner(self) -> Iterator[Invocation]:
        """Yield the invocations directly under this one."""
        for turns in self.calls.values():
            for group in turns.values():
                yield from group
        yield from self.unplaced
