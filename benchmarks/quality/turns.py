"""Proposal times of `smbo` and of Optuna's Gaussian process, in turn, over the same number of evaluations.

The times of the other results are means over whole searches, of different lengths and measured on different
days. Here both search the same problem one after the other, 100 evaluations each, and that several times.

    python -m benchmarks.quality.turns
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from statistics import median

from benchmarks.quality.markdown import milliseconds, table
from benchmarks.quality.methods import METHODS
from benchmarks.quality.problems import REPORT, TITLES, get
from benchmarks.quality.run import RESULTS, search

PAIR = ("smbo", "optuna-gp")
ROUNDS = 5
EVALUATIONS = 100
FILE = "turns.csv"
FIELDS = ("problem", "round", *PAIR)


def read(folder: Path = RESULTS) -> dict[str, list[tuple[float, float]]]:
    """Return the milliseconds per evaluation of both, by problem, one pair a round."""
    found: dict[str, list[tuple[float, float]]] = {}
    if (folder / FILE).exists():
        with (folder / FILE).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["problem"], []).append((float(row[PAIR[0]]), float(row[PAIR[1]])))
    return found


def written(folder: Path = RESULTS) -> str:
    """Write medians over rounds, and the median of the ratios; nothing where nothing was measured."""
    rows = []
    for problem, times in read(folder).items():
        mine, theirs = (median(column) for column in zip(*times, strict=True))
        share = median(first / second for first, second in times)
        rows.append([TITLES[problem], milliseconds(mine), milliseconds(theirs), f"{share:.3f}"])
    names = [METHODS[name].title for name in PAIR]
    return table(["ms per evaluation, in turn", *names, "ratio"], rows) if rows else ""


def main(folder: Path = RESULTS, rounds: int = ROUNDS, evaluations: int = EVALUATIONS) -> int:
    """Measure the problems that are missing."""
    known = read(folder)
    for problem in REPORT:
        if problem in known:
            continue
        for turn in range(rounds):
            traces = [search(METHODS[name], get(problem), turn, evaluations) for name in PAIR]
            known.setdefault(problem, []).append((traces[0].proposal_ms, traces[1].proposal_ms))
        print(problem, *(f"{mine:.2f} and {theirs:.1f} ms" for mine, theirs in known[problem]), flush=True)
        with (folder / FILE).open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(FIELDS)
            for name, times in known.items():
                lines.writerows(
                    (name, turn, *(f"{value:.3g}" for value in pair)) for turn, pair in enumerate(times)
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
