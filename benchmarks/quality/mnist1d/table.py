"""Our own table as a problem: every decision of `spaces/mnist1d.py`, trained with three seeds.

An algorithm sees the validation accuracy of one training; the mean test accuracy of all three is reported.

    python -m benchmarks.quality.mnist1d.table

prints what the README says of the table.
"""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import symnas
from benchmarks.quality.problem import Problem
from symnas._typing import Floats
from symnas.tree.space import Batch, Decision, Space

FOLDER = Path(__file__).resolve().parent
TABLE = FOLDER / "table.csv"
MEASURED = ("valid_0", "valid_1", "valid_2", "test_0", "test_1", "test_2", "params", "flops", "seconds")


class Rows(NamedTuple):
    """What a table says.

    Args:
        batch: the decisions, one a row.
        measured: the measured columns by name, each (rows,): accuracies as fractions, `params`, `flops` of
            one signal's forward pass, and `seconds`, the CPU time of one training.
    """

    batch: Batch
    measured: dict[str, Floats]


class Mnist1D(Problem):
    """The table as a problem; accuracies in percent.

    Args:
        rows: a table that has a row for every decision of its space.
        name: as in `Problem`.
    """

    def __init__(self, rows: Rows, name: str = "mnist1d") -> None:
        space = rows.batch.space
        super().__init__(name, space, seeds=3, unit="accuracy, %")
        self.rows = rows
        self.shown, self.reported = accuracies(rows)
        self._places = {decision.row: place for place, decision in enumerate(rows.batch)}
        if len(self._places) != space.size:
            raise ValueError(
                f"the table has {len(self._places)} of the {space.size} decisions of its space; go on with "
                "`python -m benchmarks.quality.mnist1d.make`"
            )

    def _valid(self, batch: Batch, seed: int) -> Floats:
        return self.shown[seed, self._find(batch)]

    def _test(self, batch: Batch, seed: int) -> Floats:
        return self.reported[self._find(batch)]

    def best_valid(self, seed: int = 0) -> float:
        """Return the largest value shown."""
        return float(self.shown[seed % self.seeds].max())

    def best_test(self, seed: int = 0) -> float:
        """Return the largest value reported."""
        return float(self.reported.max())

    def _find(self, batch: Batch) -> NDArray[np.intp]:
        return np.array([self._places[decision.row] for decision in batch], dtype=np.intp)


def accuracies(rows: Rows) -> tuple[Floats, Floats]:
    """Return validation accuracies (3 seeds, rows) and mean test accuracies (rows,), in percent."""
    shown, tests = (
        100 * np.stack([rows.measured[f"{split}_{seed}"] for seed in range(3)]) for split in ("valid", "test")
    )
    return shown, tests.mean(0)


@cache
def space() -> Space:
    """Return the surveyed space of the annotated model."""
    return symnas.program("symnas.spaces.mnist1d:Net").space


def read(path: Path = TABLE) -> Rows:
    """Read a table.

    Args:
        path: a file as `make.py` writes it: a column for every point, empty where it is not active, then what
            was measured.

    Raises:
        DecisionError: a row is no decision of the space.
    """
    decisions: list[Decision] = []
    numbers: list[list[float]] = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            numbers.append([float(row.pop(name)) for name in MEASURED])
            decisions.append(
                space().decision({address: value(cell) for address, cell in row.items() if cell})
            )
    columns = np.array(numbers, dtype=np.float64).reshape(-1, len(MEASURED)).T
    return Rows(space().batch(decisions), dict(zip(MEASURED, columns, strict=True)))


def value(cell: str) -> Any:
    """Return the value that a cell stands for: a number or a truth value as in JSON, otherwise a text."""
    try:
        return json.loads(cell)
    except ValueError:
        return cell


@cache
def table() -> Mnist1D:
    """Return the table that is shipped, read once."""
    return Mnist1D(read())


def summary(rows: Rows) -> str:
    """Return how the table spreads, how noisy it is, and what is best."""
    shown, reported = accuracies(rows)
    mean = shown.mean(0)
    noise = np.sqrt(shown.var(0, ddof=1).mean())
    best = int(reported.argmax())
    quartiles = ", ".join(f"{part:.1f}" for part in np.percentile(reported, (0, 25, 50, 75, 100)))
    lucky = [reported[int(one.argmax())] for one in shown]
    agreement = _rank_correlation(shown, reported)
    lines = [
        f"rows: {len(rows.batch)}",
        f"test accuracy, mean of three, %: quartiles {quartiles}",
        f"validation accuracy, standard deviation: {mean.std(ddof=1):.2f} points between networks, "
        f"{noise:.2f} between trainings of one",
        f"rank correlation of one validation accuracy with the mean test accuracy: {agreement:.3f}",
        f"best by test: {reported[best]:.2f} %, {dict(rows.batch[best])}",
        f"test accuracy of the best by validation, per seed, %: {', '.join(f'{one:.2f}' for one in lucky)}",
        f"parameters: {rows.measured['params'].min():,.0f} to {rows.measured['params'].max():,.0f}",
        f"FLOPs: {rows.measured['flops'].min():,.0f} to {rows.measured['flops'].max():,.0f}",
        f"CPU seconds per training: {rows.measured['seconds'].mean():.2f}, "
        f"{3 * rows.measured['seconds'].sum() / 60:.0f} minutes in all",
    ]
    return "\n".join(lines)


def _rank_correlation(shown: Floats, reported: Floats) -> float:
    ranks = [values.argsort().argsort() for values in (*shown, reported)]
    return float(np.mean([np.corrcoef(one, ranks[-1])[0, 1] for one in ranks[:-1]]))


if __name__ == "__main__":
    print(summary(read()))
