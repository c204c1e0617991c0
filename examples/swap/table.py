"""Run every algorithm on the same network and task by changing one word, and print how they did.

Run it again and it goes on where it was stopped; delete the store to start over.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import mean

import torch
from rich.console import Console
from task import task

import symnas

HERE = Path(__file__).parent
HEADINGS = ("algorithm", "best, valid", "best, test", "first 10", "last 10", "training")


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    options.store.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for word in options.words or symnas.algorithms.names():
        command = search_command(word, options.trials, options.store)
        print(" ".join(command), flush=True)
        run = [sys.executable, "-c", "from symnas.cli import main; main()", *command[1:]]
        done = subprocess.run(run, cwd=HERE, check=False)
        if done.returncode == 0:
            rows.append(row_of(symnas.load_study(options.store, word), word))
    rows.sort(key=lambda row: -row[1])
    print()
    for line in markdown(rows):
        print(line)
    if not rows:
        Console(stderr=True).print("nothing ran")
        sys.exit(1)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="names of algorithms; all that there are by default")
    parser.add_argument("--trials", type=int, default=20, help="how many children each trains")
    parser.add_argument("--store", type=Path, default=Path("runs/swap.db"), help="where studies are kept")
    options = parser.parse_args()
    options.store = options.store.resolve()
    return options


def search_command(word: str, trials: int, store: Path) -> list[str]:
    line = f"symnas search net.py:Net --task task.py:task --algorithm {word} --name {word} --trials {trials}"
    return [*line.split(), "--progress", "silent", "--store", str(store)]


def row_of(study: symnas.Study, word: str) -> tuple:
    """Return the best accuracy on validation images, its own on test images, and how trials went."""
    best = study.best
    test = task.score(best.load(), split="test")["accuracy"]
    values = [trial.metrics["accuracy"] for trial in study.trials if "accuracy" in trial.metrics]
    seconds = sum(trial.cost or 0.0 for trial in study.trials)
    return word, best.metrics["accuracy"], test, mean(values[:10]), mean(values[-10:]), seconds


def markdown(rows: list[tuple]) -> list[str]:
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    for word, *accuracies, seconds in rows:
        cells = [f"`{word}`", *(f"{accuracy:.3f}" for accuracy in accuracies), f"{seconds:.0f} s"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
