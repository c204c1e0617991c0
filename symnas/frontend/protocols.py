"""What a search needs of a program, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from symnas.tree.choices import Value
from symnas.tree.decision import Decision
from symnas.tree.space import Space


@runtime_checkable
class ProgramLike(Protocol):
    """Something with a space, from whose decisions children are built."""

    @property
    def name(self) -> str:
        """What it is called in studies and tables."""

    @property
    def space(self) -> Space:
        """The tree of its decision points."""

    @property
    def fingerprint(self) -> str:
        """A hash that changes when its space, its code or its arguments do, the same in every process."""

    @property
    def reference(self) -> Any:
        """Something picklable from which `symnas.program` makes the same program in another process."""

    def build(self, decision: Decision | Mapping[str, Value] | None = None) -> Any:
        """Return the child that a decision describes, the default one for None."""
