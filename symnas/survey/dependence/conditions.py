"""Paths of execution and the conditions around it, as linked records."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

Path = int


class Paths:
    """Numbers for places in an execution: a parent path and a step, the same number in every run."""

    def __init__(self) -> None:
        self.root: Path = 0
        self._numbers: dict[tuple[Hashable, ...], Path] = {}

    def child(self, *step: Hashable) -> Path:
        """Return the number of a step from a path."""
        found = self._numbers.get(step)
        if found is None:
            found = self._numbers[step] = len(self._numbers) + 1
        return found


class Condition:
    """One condition around the code that runs: an immutable list, innermost first."""

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
        self.effects: dict[tuple[int, Any], Any] | None = None

    def __repr__(self) -> str:
        """Show what is needed to read a trace."""
        return f"Condition({self.key!r}, {self.labels:b}, {self.outcome!r})"
