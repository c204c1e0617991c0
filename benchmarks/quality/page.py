"""Write docs/quality.md, its figures, and what other pages show of the results that lie in `results/`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks.quality import figures, quoted, summary, turns
from benchmarks.quality.claims import CLAIMS, Claim
from benchmarks.quality.markdown import cell, milliseconds, regrets, table, text
from benchmarks.quality.methods import ABLATIONS, METHODS, SEARCHED, Method, label
from benchmarks.quality.problems import ABLATED, BUDGETS, PROBLEMS, REPORT, SYNTHETIC, TITLES, TUNING, get
from benchmarks.quality.run import read
from benchmarks.quality.stats import SEEN, TOLD, Ranking, Results, Verdict, judge, ranking

DOCS = Path(__file__).resolve().parents[2] / "docs"
PACKAGES = ("optuna", "hyperopt", "pyglove", "smac", "scikit-learn", "torch", "numpy", "scipy")
RANKED = (50, 100, 200)


def improvements(results: Results, problem: str, methods: Sequence[str], budgets: Sequence[int]) -> str:
    """Write the relative improvement of the reported accuracy over random search's mean, in percent."""
    where = get(problem)

    def accuracies(method: str, budget: int) -> np.ndarray:
        found = results.regrets(method, problem, budget, TOLD)
        return np.array([where.best_test(seed) - regret for seed, regret in found.items()])

    rows = []
    for method in methods:
        cells = []
        for budget in budgets:
            mine, chance = accuracies(method, budget), accuracies("random", budget)
            if len(mine) < 2 or len(chance) < 2:
                cells.append("–")
                continue
            gain = 100 * (mine / chance.mean() - 1)
            cells.append(f"{gain.mean():+.2f} ± {gain.std(ddof=1) / np.sqrt(len(gain)):.2f}")
        if any(text != "–" for text in cells):
            rows.append([METHODS[method].title, *cells])
    return table(["method", *map(str, budgets)], rows)


def claim_table(results: Results, problems: Sequence[str]) -> str:
    """Write how many comparisons of each claim hold."""
    rows = []
    for claim in CLAIMS:
        verdicts = judge(claim, results, problems, SEEN)
        held = sum(verdict.holds for verdict in verdicts)
        word = "–" if not verdicts else "holds" if held == len(verdicts) else "does not hold"
        rows.append([claim.statement, f"{held} of {len(verdicts)}", word])
    return table(["claim, fixed beforehand", "comparisons that agree", "verdict"], rows)


def exceptions(results: Results, problems: Sequence[str]) -> str:
    """Write every comparison that goes against its claim."""
    parts = []
    for claim in CLAIMS:
        against = [v for v in judge(claim, results, problems, SEEN) if not v.holds]
        if against:
            parts.append(f"{claim.statement}:\n\n" + table(*_against(claim, results, against)))
    return "\n\n".join(parts) or "None."


def _against(
    claim: Claim, results: Results, verdicts: Sequence[Verdict]
) -> tuple[list[str], list[list[str]]]:
    head = ["table", "evaluations", claim.method, "rival", "", "p (Holm)"]
    rows = []
    for verdict in verdicts:
        names = (claim.method, verdict.rival)
        mine, theirs = (milliseconds(results.proposal_time(name, verdict.problem)) for name in names)
        time = f" ({mine} and {theirs} ms)" if claim.proposal_time is not None else ""
        rows.append(
            [
                TITLES[verdict.problem],
                str(verdict.budget),
                cell(verdict.mine),
                METHODS[verdict.rival].title + time,
                cell(verdict.theirs),
                f"{verdict.p_value:.2g}",
            ]
        )
    return head, rows


def ranks(results: Results, problems: Sequence[str]) -> tuple[str, Mapping[int, Ranking]]:
    """Write average ranks per budget, and return what the figure draws."""
    found = {}
    for budget in RANKED:
        methods = [
            method
            for method in SEARCHED
            if all(len(results.regrets(method, problem, budget, SEEN)) >= 5 for problem in problems)
        ]
        ranked = ranking(results, methods, problems, budget, SEEN)
        if ranked is not None:
            found[budget] = ranked
    every = [method for method in SEARCHED if any(method in ranked.ranks for ranked in found.values())]
    rows = [
        [
            label(method),
            *(f"{r.ranks[method]:.2f}" if method in r.ranks else "–" for r in found.values()),
        ]
        for method in every
    ]
    rows.append(["critical difference", *(f"{ranked.critical:.2f}" for ranked in found.values())])
    rows.append(["problems × seeds", *(str(ranked.blocks) for ranked in found.values())])
    rows.append(["p, Friedman", *(f"{ranked.p_value:.1g}" for ranked in found.values())])
    return table(["average rank after", *map(str, found)], rows), found


def versions() -> str:
    """Return the versions of what was compared."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def ablation_table(budgets: Sequence[int] = (50, 100)) -> str:
    """Write what becomes of variants on the tables on which settings were chosen."""
    results = Results({name: read(name) for name in (*ABLATIONS, "smbo", "mcts")})
    rows = []
    for base in ("smbo", "mcts"):
        for name in (base, *(name for name in ABLATIONS if name.startswith(base))):
            means = [
                # Under noise the best that was seen says little.
                results.mean(name, where, budget, TOLD if where in SYNTHETIC else SEEN)
                for budget in budgets
                for where in ABLATED
            ]
            if any(means):
                title = ABLATIONS[name].title if name in ABLATIONS else f"**{name}**"
                rows.append([title, *map(cell, means)])
    short = [TITLES[where].rpartition(", ")[2] for where in ABLATED]
    head = ["variant", *(f"{where}, {budget}" for budget in budgets for where in short)]
    return table(head, rows) if len(rows) > 2 else ""


def results_of(methods: Mapping[str, Method]) -> Results:
    """Return what is in the files of methods, or of those that make the same proposals."""
    return Results({name: read(method.same or name) for name, method in methods.items()})


def main() -> int:
    """Write the page and the figures."""
    results = results_of(METHODS)
    report = [name for name in REPORT if name in PROBLEMS and results.regrets("random", name, 50, SEEN)]
    methods = list(METHODS)
    parts = [text("head").format(versions=versions())]
    parts += ["## What is claimed, and what came of it", text("claims"), claim_table(results, report)]
    parts += ["### Comparisons that go against a claim", text("exceptions"), exceptions(results, report)]
    parts += [turns.written()]
    parts += ["## Regret on the tables that are reported", text("regret")]
    figures.curves(results, report, SEARCHED, DOCS / "quality", "report")
    parts.append("![Mean regret over evaluations on the tables that are reported](quality/report.svg)")
    for name in report:
        parts += [f"### {TITLES[name]}", regrets(results, name, SEEN, methods, BUDGETS)]
    parts += ["## Improvement over random search", text("improvement")]
    for name in report:
        parts += [f"### On {TITLES[name]}", improvements(results, name, [*methods[1:]], BUDGETS)]
    parts += ["## Ranks", text("ranks")]
    written, found = ranks(results, report)
    if found:
        figures.critical_difference(found, DOCS / "quality", "ranks")
        parts += ["![Average ranks and critical differences](quality/ranks.svg)", written]
    parts += ["## Where settings were chosen", text("tuning")]
    figures.curves(results, TUNING, SEARCHED, DOCS / "quality", "tuning", columns=3)
    parts.append("![Mean regret over evaluations on NAS-Bench-Graph](quality/tuning.svg)")
    for name in TUNING:
        parts += [f"### {TITLES[name]}", regrets(results, name, SEEN, methods, BUDGETS)]
    figures.curves(results, SYNTHETIC, SEARCHED, DOCS / "quality", "synthetic", columns=3)
    parts += ["## Synthetic problems", text("synthetic")]
    parts.append("![Mean regret over evaluations on synthetic problems](quality/synthetic.svg)")
    for name in SYNTHETIC:
        parts += [f"### {TITLES[name].capitalize()}", regrets(results, name, TOLD, methods, BUDGETS)]
    parts += ["## Proposal time", text("proposal_time")]
    ablations = ablation_table()
    if ablations:
        parts += ["## What matters", text("ablations"), ablations]
    parts += ["## DeepArchitect, quoted", text("quoted"), quoted.quoted()]
    parts += [text("shares"), quoted.shares(results)]
    (DOCS / "quality.md").write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    summary.write(results, DOCS)
    searches = sum(len(traces) for traces in results.traces.values())
    print(f"docs/quality.md says what {searches} searches found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
