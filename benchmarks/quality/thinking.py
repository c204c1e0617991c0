"""Measure what it costs to think: propose and observe, per trial, after many trials.

The space is 20 choices of 5 with one hidden best decision; the evaluation costs nothing. Times are the
process's own processor time over the last trials before each mark, methods one after the other, one thread.

    python -m benchmarks.quality.thinking
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.quality.methods import METHODS, contract
from benchmarks.quality.run import RESULTS
from symnas.decision import Decision
from symnas.testing import planted

MARKS = (100, 1_000, 3_000, 10_000)
# Until which mark each is run: long enough for what is asked of it.
UNTIL: Mapping[str, int] = {
    "random": 10_000,
    "evolution": 10_000,
    "local-search": 10_000,
    "mcts": 10_000,
    "smbo": 3_000,
    "optuna-tpe": 1_000,
    "hyperopt-tpe": 1_000,
    "pyglove-evolution": 1_000,
}
FILE = "thinking.csv"
FIELDS = ("method", "trials", "ms")


class Clock:
    """An evaluation function that notes how long the method thinks before marked trials."""

    def __init__(self) -> None:
        _, self._evaluate = planted(0, points=20)
        self._spent: list[float] = []
        self._left = time.process_time()

    def __call__(self, decision: Decision) -> float:
        """Return the decision's value."""
        self._spent.append(time.process_time() - self._left)
        outcome = self._evaluate(decision)
        assert outcome.values is not None
        self._left = time.process_time()
        return outcome.values[0]

    def at(self, mark: int) -> float:
        """Return milliseconds per trial over the last tenth before a mark, at least 50 trials."""
        window = self._spent[max(0, mark - max(mark // 10, 50)) : mark]
        return 1000 * sum(window) / len(window)


def measure(method: str) -> list[tuple[int, float]]:
    """Return milliseconds per trial at every mark up to the method's own."""
    space, _ = planted(0, points=20)
    clock = Clock()
    # The baseline draws all at once; ours is asked one by one, like the others.
    search = contract("random") if method == "random" else METHODS[method].search
    search(space, clock, UNTIL[method], 0)
    return [(mark, clock.at(mark)) for mark in MARKS if mark <= UNTIL[method]]


def read(folder: Path = RESULTS) -> dict[str, dict[int, float]]:
    """Return milliseconds by method and mark; the last measurement counts."""
    found: dict[str, dict[int, float]] = {}
    if (folder / FILE).exists():
        with (folder / FILE).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["method"], {})[int(row["trials"])] = float(row["ms"])
    return found


def main(arguments: Sequence[str]) -> int:
    """Measure what is missing, or the methods that are named."""
    os.environ["OMP_NUM_THREADS"] = "1"
    known = read()
    for method in arguments or [method for method in UNTIL if method not in known]:
        measured = measure(method)
        known[method] = dict(measured)
        print(method, *(f"{mark}: {ms:.3g} ms" for mark, ms in measured), flush=True)
        with (RESULTS / FILE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(FIELDS)
            writer.writerows(
                (name, mark, f"{ms:.3g}") for name in UNTIL for mark, ms in known.get(name, {}).items()
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
