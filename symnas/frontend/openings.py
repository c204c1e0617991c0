"""Runs in which choices stay open: what one is asked, what it has met, and when another would do the same.

A run that leaves choices open evaluates all candidates of each (`evaluate_all`), and gives the other points a
value, as every run does.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from symnas._typing import Value
from symnas.frontend.sites import Site
from symnas.tree.point import identity


@dataclass(frozen=True, eq=False)
class Opening:
    """Which choices of a program stay open while it is constructed, and what the others are.

    Args:
        values: of points that are closed, by address; what is not named takes its default.
        opened: addresses of choices to open. Of one of several modules (`2 of {…}`) all candidates are then
            there.
    """

    values: Mapping[str, Value]
    opened: Set[str]

    def under(self, changes: Mapping[str, Value]) -> Opening:
        """Return the same with some points closed at other values."""
        return Opening({**self.values, **changes}, self.opened)


@dataclass(frozen=True, eq=False)
class PointsMet:
    """The points that a run has met, with its choices open.

    Args:
        opening: what it was to open, and what it was given.
        closed: the values that the other points took, by address.
        sites: what is known about every point met, by address.
        under: of every point below an open choice, the nearest such choice and the code of its candidate.
    """

    opening: Opening
    closed: Mapping[str, Value]
    sites: Mapping[str, Site]
    under: Mapping[str, tuple[str, int]]

    def serves(self, decision: Mapping[str, Value]) -> bool:
        """Whether the child of a decision is in it: all that the child has was met, under the same values."""
        # Open choices hold every candidate, so only what is closed has to agree.
        return all(
            address in self.sites
            and (address not in self.closed or identity(self.closed[address]) == identity(value))
            for address, value in decision.items()
        )

    def answers(self, opening: Opening) -> bool:
        """Whether a run under other values, with other choices to open, would have made the same.

        A constructor that is run twice alike does the same (builds of a decision rely on that, too). So two
        runs part ways at a point that both meet and that is open in one alone, or closed at another value.
        """
        if any((address in opening.opened) != (address in self.opening.opened) for address in self.sites):
            return False
        # What neither gives a value took its default in both. A value that is the default counts as given.
        values, own = opening.values, self.opening.values
        return all(
            identity(values[address]) == identity(value) if address in values else address not in own
            for address, value in self.closed.items()
        )
