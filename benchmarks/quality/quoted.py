"""DeepArchitect's search quality, quoted, and what can be compared with it.

Its last release cannot be installed beside current libraries. The figures are from an earlier measurement of
its 2019 snapshot on NAS-Bench-201: mean regret in points of validation accuracy, 20 seeds unless said.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.quality.markdown import milliseconds, table
from benchmarks.quality.problems import TITLES
from benchmarks.quality.stats import SEEN, Results

BUDGETS = (50, 100, 200, 500)
TABLES = ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet")
Figures = tuple[tuple[float, ...], ...]
RANDOM: Figures = ((1.81, 1.19, 0.92, 0.59), (3.52, 2.31, 1.75, 1.12), (3.88, 2.77, 2.26, 1.48))
QUOTED: Mapping[str, tuple[float | None, Figures]] = {
    "SMBO over MCTS, 4 seeds": (
        20,
        ((0.62, 0.37, 0.18, 0.09), (1.47, 0.59, 0.37, 0.03), (1.30, 0.93, 0.74, 0.00)),
    ),
    "MCTS, exploration 0.1": (
        0.2,
        ((1.52, 1.21, 0.79, 0.32), (2.27, 1.33, 0.43, 0.23), (3.50, 2.32, 1.58, 0.23)),
    ),
    "MCTS, default": (0.2, ((1.37, 1.08, 0.80, 0.49), (3.05, 1.92, 1.47, 0.66), (2.92, 2.35, 2.18, 1.56))),
    "random, in that measurement": (None, RANDOM),
}
"""Milliseconds per evaluation on another machine, and regrets by table and budget."""


def quoted() -> str:
    """Write the figures as they were measured."""
    rows = [
        [title, milliseconds(ms), *(" / ".join(f"{value:.2f}" for value in row) for row in figures)]
        for title, (ms, figures) in QUOTED.items()
    ]
    return table(["DeepArchitect", "ms", *(TITLES[name].rpartition(", ")[2] for name in TABLES)], rows)


def shares(results: Results) -> str:
    """Write regrets in percent of random search's in the same measurement: theirs, and ours."""

    def row(title: str, figures: Figures, chance: Figures) -> list[str]:
        cells = []
        for mine, base in zip(figures, chance, strict=True):
            cells.append(" / ".join(f"{100 * a / b:.0f}" for a, b in zip(mine, base, strict=True)))
        return [title, *cells]

    def measured(method: str) -> Figures | None:
        means = [[results.mean(method, name, budget, SEEN) for budget in BUDGETS] for name in TABLES]
        if any(mean is None for line in means for mean in line):
            return None
        return tuple(tuple(mean.mean for mean in line if mean) for line in means)

    rows = [row(f"DeepArchitect {title}", figures, RANDOM) for title, (ms, figures) in QUOTED.items() if ms]
    chance = measured("random")
    for method in ("mcts", "smbo"):
        found = measured(method)
        if found and chance:
            rows.append(row(f"`{method}`", found, chance))
    head = ["% of random search's regret", *(TITLES[name].rpartition(", ")[2] for name in TABLES)]
    return table(head, rows)
