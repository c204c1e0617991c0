"""What pages say of search quality is what the results say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import page, quoted, summary, turns
from benchmarks.quality.claims import CLAIMS
from benchmarks.quality.markdown import cell, means, milliseconds, number, regrets, text
from benchmarks.quality.methods import METHODS
from benchmarks.quality.mnist1d import table as mnist1d
from benchmarks.quality.problems import BUDGETS, REPORT, SYNTHETIC, TUNING
from benchmarks.quality.run import Trace
from benchmarks.quality.stats import SEEN, TOLD, Mean, Results, judge

DOCS = Path(__file__).resolve().parents[2] / "docs"


@cache
def results() -> Results:
    return page.results_of(METHODS)


@pytest.mark.parametrize("name", ["benchmarks.md", "choosing.md"])
def test_sections_of_other_pages_are_current(name: str) -> None:
    marker, section = summary.sections(results())[name]
    written = (DOCS / name).read_text(encoding="utf-8")
    assert f"<!-- {marker} -->" in written
    assert summary.inserted(written, marker, section) == written, "run `make bench-quality`"


def test_the_page_on_quality_is_current() -> None:
    written = (DOCS / "quality.md").read_text(encoding="utf-8")
    tables = [page.claim_table(results(), REPORT), page.exceptions(results(), REPORT)]
    tables += [
        page.ranks(results(), REPORT)[0],
        page.ablation_table(),
        quoted.shares(results()),
        turns.written(),
    ]
    for names, which in ((REPORT, SEEN), (TUNING, SEEN), (SYNTHETIC, TOLD)):
        tables += [regrets(results(), name, which, list(METHODS), BUDGETS) for name in names]
    assert [table.partition("\n")[0] for table in tables if table not in written] == []


def test_numbers_in_what_people_wrote_are_those_of_the_results() -> None:
    written = " ".join(text("exceptions").split())
    regret = results().regrets("smbo", "nb201-imagenet", 200, SEEN)
    missed = sum(value > 0 for value in regret.values())
    assert f"{missed} of the {len(regret)} of `smbo` have not" in written
    assert not any(results().regrets("mcts", "nb201-imagenet", 200, SEEN).values())
    table = mnist1d.table()
    noise = float(np.sqrt(table.shown.var(0, ddof=1).mean()))
    assert f"a standard deviation of {noise:.1f} points" in written
    assert "knows a fifth of that space" in written
    assert round(table.space.size / 200) == 5
    assert "`smbo` has the smaller mean in all comparisons below but the last" in written
    against = [
        verdict for claim in CLAIMS for verdict in judge(claim, results(), REPORT, SEEN) if not verdict.holds
    ]
    assert [verdict.mine.mean < verdict.theirs.mean for verdict in against] == [
        *[True] * (len(against) - 1),
        False,
    ]


def test_a_method_without_searches_of_its_own_is_ranked_once() -> None:
    rows, found = page.ranks(results(), REPORT)
    assert "| smbo = auto |" in rows
    assert all("auto" not in ranking.ranks for ranking in found.values())
    assert [ranking.blocks for ranking in found.values()] == [40, 40, 120]


def test_a_section_replaces_what_stands_between_its_markers_alone() -> None:
    first = summary.inserted("# Page\n\nText.\n", "quality", "old")
    assert first == "# Page\n\nText.\n\n<!-- quality -->\n\nold\n\n<!-- /quality -->\n"
    assert summary.inserted(f"{first}\nRest.\n", "quality", r"new \1") == (
        "# Page\n\nText.\n\n<!-- quality -->\n\nnew \\1\n\n<!-- /quality -->\n\nRest.\n"
    )


def test_numbers_have_the_digits_that_their_size_calls_for() -> None:
    assert [number(value) for value in (0, 0.0004, 0.0949, 0.095, 1.234)] == [
        "0",
        "0.000",
        "0.095",
        "0.10",
        "1.23",
    ]
    assert [milliseconds(value) for value in (None, 0.004, 1.26, 12.6)] == ["–", "0.00", "1.3", "13"]
    assert cell(Mean(0.5, 0.01, 3), bold=True) == "**0.50 ± 0.010**"


def test_the_smallest_mean_of_a_column_is_bold_and_short_searches_are_left_out() -> None:
    def traces(value: float, evaluations: int) -> list[Trace]:
        return [Trace("branin", seed, evaluations, 1.0, [(1, value + seed, 0.0)]) for seed in (0, 2)]

    found = Results({"smbo": traces(1.0, 100), "random": traces(2.0, 50), "mcts": []})
    columns = [("branin", 50), ("branin", 100)]
    assert means(found, SEEN, ["smbo", "random", "mcts"], columns) == {
        "smbo": ["**2.00 ± 1.00**", "**2.00 ± 1.00**"],
        "random": ["3.00 ± 1.00", "–"],
    }


def test_shares_are_of_random_search_in_the_same_measurement() -> None:
    lines = quoted.shares(results()).splitlines()
    default = next(line for line in lines if "MCTS, default" in line)
    assert default.split("|")[2].strip() == "76 / 91 / 87 / 83"
    mine = next(line for line in lines if line.startswith("| `mcts`")).split("|")[2].split("/")
    ratio = [results().mean(method, "nb201-cifar10", 50, SEEN).mean for method in ("mcts", "random")]
    assert float(mine[0]) == pytest.approx(100 * ratio[0] / ratio[1], abs=0.5)


def test_times_in_turn_are_medians_over_rounds(tmp_path: Path) -> None:
    assert turns.written(tmp_path) == ""
    (tmp_path / turns.FILE).write_text(
        "problem,round,smbo,optuna-gp\nmnist1d,0,1.0,10.0\nmnist1d,1,3.0,20.0\nmnist1d,2,5.0,30.0\n"
    )
    assert turns.written(tmp_path).splitlines()[-1] == (
        "| MNIST-1D, conditional and noisy | 3.0 | 20 | 0.150 |"
    )
