"""Train every decision of `spaces/mnist1d.py` on MNIST-1D, three seeds each, and write `table.csv`.

    python -m benchmarks.quality.mnist1d.make [--store FILE] [--trials N] [--table FILE]

It is a search like any other, by our own `symnas.search`: random, uniform over the space, without repeats.
Kill it and run it again, and it goes on where it was. After N trials, or all 1,064, the table is written: one
row a decision, one column a point (empty where it is not active), then accuracies by seed and costs.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import symnas
from benchmarks.quality.mnist1d import training
from symnas import Decision, Status, Study

FOLDER = Path(__file__).resolve().parent
NAME = "mnist1d"


def evaluate(decision: Decision) -> dict[str, float]:
    """Train a child with every seed; return accuracies by seed, their mean, and what the child costs."""
    # Neither of the two changes what is computed, so that one count serves all that differ only in them.
    params, flops = training.costs(decision.replace({"drop": "Identity", "learning_rate": 0.01}))
    results = [training.train(decision, seed) for seed in range(training.SEEDS)]
    metrics = {"valid": sum(result.valid for result in results) / len(results)}
    for seed, result in enumerate(results):
        metrics |= {f"valid_{seed}": result.valid, f"test_{seed}": result.test}
    seconds = sum(result.seconds for result in results) / len(results)
    return {**metrics, "params": params, "flops": flops, "seconds": seconds}


def run(store: Path, trials: int | None) -> Study:
    """Search, or continue to."""
    program = training.program()
    recipe = f"epochs {training.EPOCHS}, batch {training.BATCH}, seeds {training.SEEDS}"
    return symnas.search(
        program,
        evaluate,
        algorithm="random",
        options={"uniform": "space"},
        trials=trials or int(program.space.size),
        objectives={"valid": "max"},
        store=store,
        name=NAME,
        context=recipe,
        progress="plain",
    )


def write(study: Study, path: Path) -> int:
    """Write the finished trials in the order of the tree; return how many there are."""
    done = {trial.decision: trial.metrics for trial in study.trials if trial.status is Status.DONE}
    space = training.program().space
    points = [point.address for point in space.walk()]
    seeds = range(training.SEEDS)
    measured = [f"{split}_{seed}" for split in ("valid", "test") for seed in seeds]
    rows = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*points, *measured, "params", "flops", "seconds"])
        for decision in space.enumerate():
            if decision not in done:
                continue
            metrics = done[decision]
            values = decision.flat()
            costs = [int(metrics["params"]), int(metrics["flops"]), f"{metrics['seconds']:.3f}"]
            table.writerow(
                [_cell(values[address]) if address in values else "" for address in points]
                + [f"{metrics[name]:.3f}" for name in measured]
                + costs
            )
            rows += 1
    return rows


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, default=Path("runs/mnist1d.db"), help="default: %(default)s")
    parser.add_argument("--trials", type=int, help="stop after so many; default: the whole space")
    parser.add_argument("--table", type=Path, default=FOLDER / "table.csv", help="default: beside this file")
    given = parser.parse_args()
    given.store.parent.mkdir(parents=True, exist_ok=True)
    study = run(given.store, given.trials)
    print(f"{write(study, given.table)} rows in {given.table}")


if __name__ == "__main__":
    main()
