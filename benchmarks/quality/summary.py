"""What other pages show of the results, between markers: docs/benchmarks.md and docs/choosing.md."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

from benchmarks.quality.markdown import means, milliseconds, regrets, table, text
from benchmarks.quality.methods import METHODS
from benchmarks.quality.problems import BUDGETS, REPORT, SYNTHETIC, TITLES, TUNING
from benchmarks.quality.stats import SEEN, TOLD, Results

CHOSEN = ("random", "evolution", "local-search", "mcts", "smbo", "optuna-tpe")
TITLED = {"evolution": "`evolution`, `population=20`, `tournament=5`, `repeats=false`"}
SHOWN = ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet", "mnist1d")


def benchmarks(results: Results) -> str:
    """Return the section of docs/benchmarks.md: all tables, and synthetic problems after 100 evaluations."""
    methods = list(METHODS)
    parts = ["## Search quality", text("summary")]
    for name in (*REPORT, *TUNING):
        parts += [f"### {TITLES[name]}", regrets(results, name, SEEN, methods, BUDGETS)]
    columns = [(name, 100) for name in SYNTHETIC]
    rows = [
        [METHODS[method].title, *cells] for method, cells in means(results, TOLD, methods, columns).items()
    ]
    parts += ["### Synthetic problems, after 100 evaluations", text("summary-synthetic")]
    parts.append(table(["method", *(TITLES[name] for name in SYNTHETIC)], rows))
    return "\n\n".join(parts)


def choosing(results: Results) -> str:
    """Return the table of docs/choosing.md."""
    columns = [(name, budget) for name in SHOWN for budget in (50, 200)]
    rows = []
    for method, cells in means(results, SEEN, CHOSEN, columns).items():
        times = [time for name in SHOWN if (time := results.proposal_time(method, name)) is not None]
        title = TITLED.get(method, METHODS[method].title)
        title = f"`{title}`" if METHODS[method].title == method == title else title
        rows.append([title, milliseconds(median(times)), *cells])
    short = {name: TITLES[name].removeprefix("NAS-Bench-201, ").partition(",")[0] for name in SHOWN}
    heads = [f"{short[name]}, {budget}" for name, budget in columns]
    return table(["", "proposal time, ms per trial", *heads], rows)


def inserted(page: str, marker: str, section: str) -> str:
    """Return a page with a section between its markers, at the end where it has none yet."""
    framed = f"<!-- {marker} -->\n\n{section}\n\n<!-- /{marker} -->\n"
    pattern = re.compile(rf"<!-- {marker} -->.*<!-- /{marker} -->\n", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: framed, page)
    return f"{page.rstrip()}\n\n{framed}"


def sections(results: Results) -> dict[str, tuple[str, str]]:
    """Return marker and section by the page that it belongs to."""
    return {
        "benchmarks.md": ("quality", benchmarks(results)),
        "choosing.md": ("figures", choosing(results)),
    }


def write(results: Results, docs: Path) -> None:
    """Bring both pages up to date."""
    for name, (marker, section) in sections(results).items():
        page = (docs / name).read_text(encoding="utf-8")
        (docs / name).write_text(inserted(page, marker, section), encoding="utf-8")
