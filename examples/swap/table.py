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
HEADINGS = ("algorithm", "best, valid", "lowest to highest", "best, test", "first 10", "last 10")


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    options.store.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for word in options.words or words():
        found = [outcome(word, seed, options) for seed in range(options.seeds)]
        if None not in found:
            rows.append((word, found))
    rows.sort(key=lambda row: -mean(valid for valid, *_ in row[1]))
    print()
    for line in markdown(rows):
        print(line)
    if not rows:
        Console(stderr=True).print("nothing ran")
        sys.exit(1)


def words() -> list[str]:
    """Return the names of algorithms that train every child by itself, as this task does."""
    known = [(info.name, info.capabilities) for info in symnas.algorithms.available()]
    return [name for name, can in known if can and not (can.shared_weights or can.relaxed)]


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="names of algorithms; all that there are by default")
    parser.add_argument("--trials", type=int, default=20, help="how many children each trains")
    parser.add_argument("--seeds", type=int, default=3, help="how many searches of each")
    parser.add_argument("--store", type=Path, default=Path("runs/swap.db"), help="where studies are kept")
    options = parser.parse_args()
    options.store = options.store.resolve()
    return options


def outcome(word: str, seed: int, options: argparse.Namespace) -> tuple[float, ...] | None:
    """Search, or go on to, and return how it went; None where the search failed."""
    command = search_command(word, seed, options)
    print(" ".join(command), flush=True)
    run = [sys.executable, "-c", "from symnas.cli import main; main()", *command[1:]]
    if subprocess.run(run, cwd=HERE, check=False).returncode:
        return None
    return figures(symnas.load_study(options.store, f"{word}-{seed}"))


def search_command(word: str, seed: int, options: argparse.Namespace) -> list[str]:
    line = f"symnas search net.py:Net --task task.py:task --algorithm {word} --trials {options.trials}"
    rest = f"--seed {seed} --name {word}-{seed} --progress silent --store"
    return [*line.split(), *rest.split(), str(options.store)]


def figures(study: symnas.Study) -> tuple[float, ...]:
    """Return the best accuracy on validation images, its own on test images, and how trials went."""
    best = study.best
    test = task.score(best.load(), split="test")["accuracy"]
    values = [trial.metrics["accuracy"] for trial in study.trials if "accuracy" in trial.metrics]
    return best.metrics["accuracy"], test, mean(values[:10]), mean(values[-10:])


def markdown(rows: list[tuple]) -> list[str]:
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|" + "---:|" * (len(HEADINGS) - 1)]
    for word, found in rows:
        valid, test, first, last = ([*column] for column in zip(*found, strict=True))
        spread = f"{min(valid):.3f} to {max(valid):.3f}"
        cells = [f"`{word}`", f"{mean(valid):.3f}", spread, *(f"{mean(c):.3f}" for c in (test, first, last))]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
