"""Results as Markdown: numbers with their errors, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.quality.methods import METHODS
from benchmarks.quality.stats import Mean, Results

TEXTS = Path(__file__).resolve().parent / "texts"


def text(name: str) -> str:
    """Return a paragraph that people wrote, kept beside the code."""
    return (TEXTS / f"{name}.md").read_text(encoding="utf-8").strip()


def number(value: float) -> str:
    """Write a regret with as many digits as its size calls for."""
    if value == 0:
        return "0"
    return f"{value:.2f}" if value >= 0.095 else f"{value:.3f}"


def cell(mean: Mean | None, bold: bool = False) -> str:
    """Write a mean and its standard error."""
    if mean is None:
        return "–"
    written = f"{number(mean.mean)} ± {number(mean.error)}"
    return f"**{written}**" if bold else written


def milliseconds(value: float | None) -> str:
    """Write a proposal time."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table, the first column to the left and the others to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def means(
    results: Results, which: int, methods: Sequence[str], columns: Sequence[tuple[str, int]]
) -> dict[str, list[str]]:
    """Write the mean regret of every method that has any; the smallest of each column is bold.

    Args:
        results: what was found.
        which: regret in what was seen, or in what is reported.
        methods: one row each.
        columns: problem and budget of each.
    """
    found = {
        method: [results.mean(method, problem, budget, which) for problem, budget in columns]
        for method in methods
    }
    found = {method: row for method, row in found.items() if any(row)}
    lows = [
        min((row[at].mean for row in found.values() if row[at]), default=0.0) for at in range(len(columns))
    ]
    return {
        method: [
            cell(mean, mean is not None and mean.mean <= low) for mean, low in zip(row, lows, strict=True)
        ]
        for method, row in found.items()
    }


def regrets(
    results: Results, problem: str, which: int, methods: Sequence[str], budgets: Sequence[int]
) -> str:
    """Write time, mean regret at every budget, and seeds, a row per method."""
    rows = []
    for method, cells in means(results, which, methods, [(problem, budget) for budget in budgets]).items():
        counts = [len(results.regrets(method, problem, budget, which)) for budget in budgets]
        given = [count for count in counts if count > 1]
        seeds = f"{given[0]}" if len(set(given)) == 1 else f"{given[0]}, at last {given[-1]}"
        rows.append(
            [METHODS[method].title, milliseconds(results.proposal_time(method, problem)), *cells, seeds]
        )
    return table(["method", "ms", *map(str, budgets), "seeds"], rows)
