"""Which runs were made without knowing what a later one showed of what code changes under conditions.

Effects are remembered by the key of a condition, and the key and field of an object
(`TrackerState.known_effects`). A run without a new one differs from what it would be now only if it left that
condition, with labels, and made that object. So of each key it is kept which runs it came up in, as a set of
bits, and

    outdated by (condition, object) = runs that left the condition & runs that made the object

A name of a module is an object that every run has. The run that shows an effect knows it from then on, so it
is itself outdated only if it has left the condition before (in an earlier turn of the loop).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from symnas.survey.dependence.state import GlobalName, TrackerState


class RunsByEffect:
    """What came up in which run."""

    def __init__(self) -> None:
        self._left: dict[Hashable, int] = {}
        self._made: dict[Hashable, int] = {}
        self._noted: list[tuple[Iterable[Hashable], Iterable[Hashable]]] = []

    def note(self, state: TrackerState) -> None:
        """Take in an execution; a run may take several (on `meta`, then on the CPU)."""
        self._noted.append((state.left, tuple(state.heap.by_key)))

    def outdated(self, state: TrackerState, number: int) -> int:
        """Close run `number`; return the set of runs that did not know what it showed, as bits."""
        own, found = 1 << number, 0
        for condition, changed, before in state.grown:
            runs = self._left.get(condition, 0)
            if not isinstance(changed, GlobalName):
                runs &= self._made.get(changed, 0)
            # What an earlier execution of the same number left counts no more: this one is in its place.
            found |= runs & ~own
            if before or len(self._noted) > 1:
                found |= own
        state.grown.clear()
        for left, made in self._noted:
            for kept, keys in ((self._left, left), (self._made, made)):
                for key in keys:
                    kept[key] = kept.get(key, 0) | own
        self._noted.clear()
        return found
