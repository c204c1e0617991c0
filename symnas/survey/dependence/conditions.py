"""Where a run is: places in the text, paths of execution, and the conditions around the code that runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

Path = int


@dataclass(frozen=True)
class Place:
    """A place in the text where something is decided, and whether points may depend on it."""

    number: int
    line: int
    text: str
    may: bool
    """Whether the code that depends on it may hold a point."""
    effects: bool = True
    """Whether the code that depends on it may change objects."""


class Paths:
    """Numbers for places in an execution: a parent path and a step, the same number in every run.

    A place in the text is not enough to name a condition: a function is called from several places, a loop
    has turns. The path of calls and turns is, and interning it (hash-consing) makes it one integer to
    compare.
    """

    def __init__(self) -> None:
        self.root: Path = 0
        self._numbers: dict[tuple[Hashable, ...], Path] = {}

    def child(self, *step: Hashable) -> Path:
        """Return the number of a step from a path."""
        # A step begins with its parent's number, so that equal numbers mean equal paths back to the root,
        # which is 0 and itself no step.
        found = self._numbers.get(step)
        if found is None:
            found = self._numbers[step] = len(self._numbers) + 1
        return found


class Changed(Protocol):
    """Something with labels by field, which code under a condition has changed."""

    @property
    def key(self) -> Hashable:
        """What it is called in every run; None where it is not known again."""

    def add(self, field: Any, labels: int, /) -> None:
        """Let a field depend on more labels."""


class Condition:
    """One condition around the code that runs, linked to the one outside of it.

    The list, innermost first, is what information-flow analysis calls the label of the program counter
    (Denning and Denning, "Certification of programs for secure information flow", 1977), kept apart by
    condition instead of joined into one set, since a point's place in the tree needs to know which.

    Args:
        parent: the next condition outside. key: which condition it is, the same in every run. labels: what
        its outcome depends on. outcome: how it came out. kinds: which early exits (`scopes.RETURN | BREAK |
        CONTINUE`) code under it may take. While one of them
            may have been taken, it stays in force behind its own end.
        effect_key: under which name its effects are remembered; turns of a loop share one.
    """

    __slots__ = ("effect_key", "effects", "key", "kinds", "labels", "outcome", "parent")

    def __init__(
        self,
        parent: Condition | None,
        key: Hashable,
        labels: int,
        outcome: Hashable,
        kinds: int,
        effect_key: Hashable,
    ) -> None:
        self.parent = parent
        self.key = key
        self.labels = labels
        self.outcome = outcome
        self.kinds = kinds
        self.effect_key = effect_key
        self.effects: dict[tuple[int, Any], Changed] | None = None

    def __repr__(self) -> str:
        """Show what is needed to read a trace."""
        return f"Condition({self.key!r}, {self.labels:b}, {self.outcome!r})"

    def under(self, parent: Condition | None) -> Condition:
        """Return the same condition inside other ones; what was changed under it stays one account."""
        moved = Condition(parent, self.key, self.labels, self.outcome, self.kinds, self.effect_key)
        # Shared, not copied: what the new one gathers from here on is settled with what the old one gathered.
        moved.effects = self.effects
        return moved


def outwards(condition: Condition | None, until: Condition | None = None) -> Iterator[Condition]:
    """Yield a condition and those around it, innermost first, up to one that is left out."""
    while condition is not None and condition is not until:
        yield condition
        condition = condition.parent
