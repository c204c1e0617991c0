"""One network, one task, with and without sharing: the words run, and the README shows what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHARING = Path(__file__).resolve().parents[2] / "examples" / "sharing"

TINY = """
import json, torch, search, task, words
torch.set_num_threads(1)
task.SIZES = {"train": 100, "valid": 100, "test": 100}
all_of_them = task.examples
task.examples = lambda data: [part[:300] for part in all_of_them(data)]
words.ALONE["mnist1d"] = 1
words.WORDS["random"]["trials"] = 3
words.WORDS["enas"].update(trials=6, epochs=2, options={"steps": 2, "batch": 2})
words.WORDS["gdas"]["options"].update(epochs=2, warmup=1)
print(json.dumps([search.run(word, "mnist1d", 0) for word in ("random", "enas", "gdas")]))
"""

TABLE = """
import json, sys, table
print("\\n".join(table.table(json.load(sys.stdin), "MNIST")))
"""


def printed(code: str, given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SHARING, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_words_of_three_kinds_search_and_what_they_find_is_trained_by_itself() -> None:
    assert "symnas" not in (SHARING / "net.py").read_text()
    chance, *others = json.loads(printed(TINY))
    for found in (chance, *others):
        assert found["seconds"] > 0
        assert len(found["decision"]) == 6
        assert set(found["decision"].values()) <= {"conv3", "conv7", "pool", "none"}
        assert all(0 <= accuracy <= 1 for accuracy in found["test"])
    assert len(chance["children"]) == 3
    ends = [end for end, _ in chance["path"]]
    assert ends == sorted(ends)
    assert chance["path"][-1][1] == chance["test"]  # the best by validation is what the search answers
    assert all("path" not in found for found in others)


def test_a_row_compares_with_random_search_by_then() -> None:
    def run(word: str, seed: int, seconds: float, test: list[float]) -> dict:
        return {"data": "mnist", "word": word, "seed": seed, "seconds": seconds, "megabytes": 8, "test": test}

    runs = [
        run("random", 0, 30.0, [0.8, 0.9]) | {"path": [[2, [0.5]], [9, [0.8, 0.9]]], "children": [0.4]},
        run("random", 1, 30.0, [0.9, 0.9]) | {"path": [[2, [0.6]], [20, [0.9, 0.9]]], "children": [0.6]},
        run("darts", 0, 10.0, [0.9, 0.9]),
        run("darts", 1, 8.0, [0.8, 0.8]),
    ]
    _, _, first, second, last = printed(TABLE, json.dumps(runs)).splitlines()
    # (0.85 + 0.9) / 2, the means 0.05 apart, so a standard error of 0.025
    assert first == "| `random` (2 of 3 seeds) | 0.875 ± 0.025 | +0.000 | 30.0 | 1.00 | 0.875 | 8 |"
    # random search had 0.85 after 10 s with seed 0, and 0.6 after 8 s with seed 1
    assert second == "| `darts` (2 of 3 seeds) | 0.850 ± 0.050 | -0.025 | 9.0 | 0.30 | 0.725 | 8 |"
    assert last.startswith("| a random child | 0.500 ± 0.100 |")


def test_the_readme_shows_the_results_that_are_shipped() -> None:
    done = subprocess.run(
        [sys.executable, "table.py", "--check"], cwd=SHARING, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in (SHARING / "results.jsonl").read_text().splitlines()]
    assert {run["word"] for run in runs} >= {
        "random", "enas", "single-path", "darts", "gdas", "proxyless"
    }  # fmt: skip
