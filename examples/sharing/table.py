"""Run what is missing, one process per search, and write the tables into the README.

Every run is a line of results.jsonl; run this again and it goes on where it was stopped. With --check it only
says whether the README shows what results.jsonl has.
"""

import argparse
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

from words import DATA, WORDS

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
README = HERE / "README.md"
SEEDS = (0, 1, 2)
HEADINGS = (
    "word", "test accuracy", "minus random's", "CPU seconds", "of random's", "random by then", "memory, MB",
)  # fmt: skip
NAMES = {"mnist": "MNIST", "mnist1d": "MNIST-1D"}


def main() -> None:
    options = read_options()
    if not options.check:
        run_missing()
    text = README.read_text(encoding="utf-8")
    fresh = filled(text, read())
    if options.check:
        sys.exit(None if text == fresh else "the README is not current: run table.py")
    README.write_text(fresh, encoding="utf-8")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="run nothing; fail if the README is not current")
    return parser.parse_args()


def run_missing() -> None:
    """Append the runs that results.jsonl does not have, one seed after the other."""
    known = read()
    for seed, data, word in itertools.product(SEEDS, DATA, WORDS):
        if (data, word, seed) in known:
            continue
        print(f"python search.py {word} --data {data} --seed {seed}", flush=True)
        command = [sys.executable, "search.py", word, "--data", data, "--seed", str(seed), "--json"]
        line = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line)


def read() -> dict[tuple[str, str, int], dict]:
    """Return the runs by data, word and seed."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    runs = [json.loads(line) for line in lines]
    return {(run["data"], run["word"], run["seed"]): run for run in runs}


def filled(text: str, runs: dict[tuple[str, str, int], dict]) -> str:
    """Return the README with the tables between its marks."""
    for data in DATA:
        found = [run for (name, _, _), run in runs.items() if name == data]
        lines = "\n".join(table(found, NAMES[data]))
        marks = f"<!-- {data} -->", f"<!-- /{data} -->"
        text = re.sub(f"({marks[0]}\n).*?({marks[1]})", rf"\g<1>\n{lines}\n\n\g<2>", text, flags=re.DOTALL)
    return text


def table(runs: list[dict], name: str) -> list[str]:
    """Return the lines of one data set's table: a row per word, of the seeds that random search has."""
    chance = {run["seed"]: run for run in runs if run["word"] == "random"}
    lines = [f"| {name}: {' | '.join(HEADINGS)} |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    for word in WORDS:
        found = [run for run in runs if run["word"] == word and run["seed"] in chance]
        if found:
            lines.append(f"| {' | '.join(row(word, found, chance))} |")
    children = [[child] for run in chance.values() for child in run["children"]]
    if children:
        lines.append(f"| a random child | {spread(children)} |" + " |" * (len(HEADINGS) - 2))
    return lines


def row(word: str, found: list[dict], chance: dict[int, dict]) -> list[str]:
    beside = [chance[run["seed"]] for run in found]
    less = mean(mean(run["test"]) - mean(other["test"]) for run, other in zip(found, beside, strict=True))
    seconds, all_seconds = (mean(run["seconds"] for run in those) for those in (found, beside))
    then = [by_then(other, run["seconds"]) for run, other in zip(found, beside, strict=True)]
    return [
        f"`{word}`" + ("" if len(found) == len(SEEDS) else f" ({len(found)} of {len(SEEDS)} seeds)"),
        spread([run["test"] for run in found]),
        f"{less:+.3f}",
        f"{seconds:.1f}",
        f"{seconds / all_seconds:.2f}",
        f"{mean(then):.3f}",
        f"{mean(run['megabytes'] for run in found):.0f}",
    ]


def by_then(chance: dict, seconds: float) -> float:
    """Return the test accuracy of what random search would have answered after so many seconds."""
    ended = [scores for end, scores in chance["path"] if end <= seconds]
    return mean(ended[-1]) if ended else float("nan")


def spread(groups: list[list[float]]) -> str:
    """Return the mean of means and its standard error."""
    means = [mean(group) for group in groups]
    error = f" ± {stdev(means) / len(means) ** 0.5:.3f}" if len(means) > 1 else ""
    return f"{mean(means):.3f}{error}"


if __name__ == "__main__":
    main()
