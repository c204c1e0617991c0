"""Figures of the page: regret over evaluations, and average ranks with a critical difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.quality.methods import METHODS, label
from benchmarks.quality.problems import TITLES, get
from benchmarks.quality.stats import SEEN, TOLD, Ranking, Results

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

STYLES: Mapping[str, tuple[str, str]] = {
    "smbo": ("#0072b2", "-"),
    "mcts": ("#d55e00", "-"),
    "evolution": ("#009e73", "-"),
    "local-search": ("#cc79a7", "-"),
    "optuna-tpe": ("#56b4e9", "--"),
    "optuna-gp": ("#0b3c5d", "--"),
    "hyperopt-tpe": ("#e69f00", "--"),
    "pyglove-evolution": ("#6b8e23", "--"),
    "smac": ("#8b5a2b", "--"),
    "random": ("#8c8c8c", ":"),
}
SETTINGS = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "svg.hashsalt": "symnas",
    "svg.fonttype": "none",
}


def save(figure: Any, folder: Path, name: str) -> None:
    """Write a figure as SVG and PNG, the same bytes for the same figure."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None}, bbox_inches="tight")
    plt.close(figure)


def _number(value: float, _: object = None) -> str:
    return f"{value:g}"


def curves(
    results: Results,
    problems: Sequence[str],
    methods: Sequence[str],
    folder: Path,
    name: str,
    columns: int = 2,
) -> None:
    """Draw mean regret over evaluations, a panel per problem, bands of one standard error.

    Args:
        results: what was found.
        problems: one panel each.
        methods: one line each, where there are results.
        folder: where to write.
        name: of the files.
        columns: panels side by side.
    """
    lines = -(-len(problems) // columns)
    with plt.rc_context(SETTINGS):
        figure, axes = plt.subplots(
            lines, columns, figsize=(4.3 * columns, 2.9 * lines), squeeze=False, layout="constrained"
        )
        drawn: dict[str, Any] = {}
        for axis in axes.flat[len(problems) :]:
            axis.set_visible(False)
        for axis, problem in zip(axes.flat, problems, strict=False):
            _panel(axis, results, problem, methods, drawn)
        handles = [drawn[method] for method in methods if method in drawn]
        titles = [label(method) for method in methods if method in drawn]
        figure.legend(handles, titles, loc="outside lower center", ncols=6, handlelength=2.6)
        save(figure, folder, name)


def _panel(axis: Any, results: Results, problem: str, methods: Sequence[str], drawn: dict[str, Any]) -> None:
    # Under noise the best that was seen may be better than the best there is; the reported regret is not.
    which = TOLD if get(problem).unit == "value" else SEEN
    floor = np.inf
    for method in methods:
        longest = max(
            (trace.evaluations for trace in results.traces.get(method, ()) if trace.problem == problem),
            default=0,
        )
        numbers = np.unique(np.geomspace(5, max(longest, 5), 40).astype(int))
        means = [results.mean(method, problem, int(number), which) for number in numbers]
        if longest < 5 or any(mean is None for mean in means):
            continue
        middle = np.array([mean.mean for mean in means if mean])
        error = np.array([mean.error for mean in means if mean])
        color, dash = STYLES[method]
        positive = middle > 0
        if not positive.any():
            continue
        floor = min(floor, middle[positive].min())
        shown = np.where(positive, middle, np.nan)
        width = 1.6 if dash == "-" else 1.2
        (drawn[method],) = axis.plot(numbers, shown, dash, color=color, lw=width)
        low = np.maximum(middle - error, middle * 0.3)
        axis.fill_between(
            numbers, np.where(positive, low, np.nan), middle + error, color=color, alpha=0.12, lw=0
        )
    axis.set(xscale="log", yscale="log", title=TITLES[problem], xlabel="evaluations", ylabel="mean regret")
    axis.set_xticks([5, 10, 25, 50, 100, 200, 500])
    # Below a ten-thousandth nothing is told apart any more.
    axis.set_ylim(bottom=max(axis.get_ylim()[0], 1e-4))
    low, high = np.log10(axis.get_ylim())
    subs = (1.0, 2.0, 5.0) if high - low < 3.2 else (1.0,)
    axis.yaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
    for ruler in (axis.xaxis, axis.yaxis):
        ruler.set_major_formatter(FuncFormatter(_number))
        ruler.set_minor_formatter(NullFormatter())
    axis.tick_params(which="minor", length=2)
    axis.grid(alpha=0.25, lw=0.5)


def _groups(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """Return first and last place of each longest run of methods that are not told apart."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(at for at in range(first, len(ranks)) if ranks[at] - ranks[first] <= critical)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def critical_difference(rankings: Mapping[int, Ranking], folder: Path, name: str) -> None:
    """Draw average ranks on a line per budget; bars join methods that Nemenyi's test does not tell apart."""
    with plt.rc_context(SETTINGS):
        heights = [0.9 + 0.2 * ((len(ranking.ranks) + 1) // 2) for ranking in rankings.values()]
        figure, axes = plt.subplots(
            len(rankings),
            1,
            figsize=(7.6, sum(heights) + 0.35 * len(heights)),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
        for axis, (budget, ranking) in zip(axes.flat, rankings.items(), strict=True):
            _ladder(axis, budget, ranking)
        save(figure, folder, name)


def _ladder(axis: Any, budget: int, ranking: Ranking) -> None:
    ordered = sorted(ranking.ranks.items(), key=lambda item: item[1])
    ranks = [rank for _, rank in ordered]
    count, half = len(ordered), (len(ordered) + 1) // 2
    bars = _groups(ranks, ranking.critical)
    top = 0.35 * len(bars) + 0.4
    axis.plot([1, count], [0, 0], color="black", lw=1)
    for tick in range(1, count + 1):
        axis.plot([tick, tick], [0, 0.18], color="black", lw=0.8)
        axis.text(tick, 0.3, str(tick), ha="center", va="bottom", fontsize=8)
    for place, (method, rank) in enumerate(ordered):
        left = place < half
        depth = top + 0.55 * (place if left else count - 1 - place)
        edge = 0.75 if left else count + 0.25
        color = STYLES[method][0]
        axis.plot([rank, rank, edge], [0, -depth, -depth], color=color, lw=1)
        bold = "bold" if METHODS[method].group == "ours" else "normal"
        text = f"{label(method)}  {rank:.2f}" if left else f"{rank:.2f}  {label(method)}"
        side = "right" if left else "left"
        axis.text(
            edge + (-0.08 if left else 0.08), -depth, text, ha=side, va="center", color=color, weight=bold
        )
    for number, (first, last) in enumerate(bars):
        height = -0.25 - 0.35 * number
        axis.plot([ranks[first] - 0.05, ranks[last] + 0.05], [height, height], color="black", lw=2.5)
    width = ranking.critical
    axis.plot([1, 1 + width], [1.25, 1.25], color="black", lw=1.2)
    for end in (1, 1 + width):
        axis.plot([end, end], [1.15, 1.35], color="black", lw=1.2)
    axis.text(1 + width + 0.1, 1.25, f"critical difference {width:.2f}", va="center", fontsize=8)
    axis.set_title(f"after {budget} evaluations", loc="right", pad=2)
    axis.set(xlim=(-1.4, count + 2.4), ylim=(-(top + 0.55 * half), 1.7))
    axis.axis("off")
