"""The last few runs of a program's constructor, kept so that what was made once is not made again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar("Made")

MOST_RUNS = 8
"""How many are kept. A stage looks at one run at a time, and asks again for those of the stages before."""


class KeptRuns:
    """What runs of the constructor have made, for stages that only look at it.

    They belong to a program, as its space does, and live as long. What kind of thing a run makes is the
    affair of who keeps it: nothing here looks inside.
    """

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._runs: deque[Any] = deque(maxlen=most)

    def made_once(self, make: Callable[[], Made], fits: Callable[[Made], bool]) -> Made:
        """Return the kept one that fits, which is then the last to be dropped; or make one, and keep it."""
        found: Made | None = next((run for run in reversed(self._runs) if fits(run)), None)
        if found is None:
            return self.keep(make())
        self._runs.remove(found)
        return self.keep(found)

    def keep(self, run: Made) -> Made:
        """Keep a run, in the place of the one that nobody has asked for longest, and return it."""
        self._runs.append(run)
        return run
