"""The whole way: the tree, a search, what it found against the default and chance, a model to keep.

Run it again and it continues where it was stopped; delete runs/mnist to start over.
"""

import argparse
import json
import time
from html import escape
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from task import make_task

import symnas

HERE = Path(__file__).parent
SEEDS = (1, 2, 3)
EXAMPLE = torch.zeros(1, 1, 28, 28)


def main() -> None:
    options = read_options()
    console = Console()
    started = time.perf_counter()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)

    program = symnas.program(f"{HERE / 'convnet.py'}:ConvNet")
    console.rule("The tree of decisions")
    console.print(program.space)

    console.rule("The search")
    task = make_task(options.epochs, options.limit)
    study = symnas.search(
        program,
        task,
        algorithm=symnas.algorithms.RegularizedEvolution(population=8, tournament=3),
        trials=options.trials,
        store=options.out / "demo.db",
        workers=options.workers,
        seed=0,
    )
    console.print(trial_table(study))

    console.rule(f"On test images, mean of {len(SEEDS)} trainings")
    rows = compare(program, study.best.decision, task, options.random)
    console.print(comparison_table(rows))

    model = study.best.load()
    torch.save(model.state_dict(), options.out / "weights.pt")
    (options.out / "model.py").write_text(program.source(study.best.decision), encoding="utf-8")
    decision = json.dumps(study.best.decision.flat(), indent=2)
    (options.out / "decision.json").write_text(decision, encoding="utf-8")
    write_report(options.out / "report.html", program, study, rows)
    accuracy = task.score(model, split="test")["accuracy"]
    console.print(
        f"Saved {options.out / 'model.py'} and weights.pt: a plain ConvNet that needs no SymNAS and reads "
        f"{accuracy:.1%} of the test images right."
    )
    console.print(f"Report: {options.out / 'report.html'}. All in {time.perf_counter() - started:.0f} s.")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24, help="how many children to train in all")
    parser.add_argument("--workers", type=int, default=2, help="processes that train at the same time")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training images")
    parser.add_argument("--limit", type=int, help="take only that many images, for a quick look")
    parser.add_argument("--random", type=int, default=2, help="random children to compare with, per seed")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist"), help="folder for what is kept")
    return parser.parse_args()


def compare(program, best, task, randoms: int) -> list[tuple[str, list[float], int, int]]:
    """Train the contestants with each seed; return name, test accuracies, parameters and FLOPs of each."""
    drawn = program.space.sample(randoms * len(SEEDS), np.random.default_rng(2024))
    chance = [drawn[i] for i in range(len(drawn))]
    contestants = {
        "best found": [best] * len(SEEDS),
        "default, as written": [program.space.default] * len(SEEDS),
        "random, mean": chance,
    }
    rows = []
    for name, decisions in contestants.items():
        scores, costs = [], []
        for number, decision in enumerate(decisions):
            torch.manual_seed(SEEDS[number % len(SEEDS)])
            model = program.build(decision)
            task.fit(model, seed=SEEDS[number % len(SEEDS)])
            scores.append(task.score(model, split="test")["accuracy"])
            costs.append(program.profile(decision, EXAMPLE))
        params = round(mean(cost.params for cost in costs))
        flops = round(mean(cost.flops for cost in costs))
        rows.append((name, scores, params, flops))
    return rows


def trial_table(study, top: int = 5) -> Table:
    finished = [trial for trial in study.trials if trial.metrics and "accuracy" in trial.metrics]
    finished.sort(key=lambda trial: -trial.metrics["accuracy"])
    table = Table(title=f"the best {top} of {len(study.trials)} trials")
    for heading in ("trial", "accuracy, valid", "stages", "width", "first block"):
        table.add_column(heading, justify="left" if heading == "first block" else "right")
    for trial in finished[:top]:
        chosen = trial.decision
        block = f"k={chosen['stage[0].block[0].layers.k']}, {chosen['stage[0].block[0].layers.act']}"
        cells = (trial.number, f"{trial.metrics['accuracy']:.3f}", chosen["stage"], chosen["width"], block)
        table.add_row(*map(str, cells))
    return table


def comparison_table(rows) -> Table:
    table = Table()
    for heading in ("child", "accuracy, test", "parameters", "FLOPs per image"):
        table.add_column(heading, justify="left" if heading == "child" else "right")
    for name, scores, params, flops in rows:
        spread = f" ± {stdev(scores):.3f}" if len(scores) > 1 else ""
        table.add_row(name, f"{mean(scores):.3f}{spread}", f"{params:,}", f"{flops:,}")
    return table


def write_report(path: Path, program, study, rows) -> None:
    """Write one HTML page that needs nothing else: the tree, the comparison, the trials."""
    compared = "".join(
        f"<tr><td>{escape(name)}<td>{mean(scores):.3f}<td>{params:,}<td>{flops:,}"
        for name, scores, params, flops in rows
    )
    trials = "".join(
        f"<tr><td>{trial.number}<td>{trial.status}"
        f"<td>{(trial.metrics or {}).get('accuracy', float('nan')):.3f}"
        f"<td>{escape(str(dict(trial.decision)))}"
        for trial in study.trials
    )
    path.write_text(
        "<!doctype html><meta charset=utf-8><title>SymNAS on MNIST</title>"
        "<style>body{font:15px sans-serif;max-width:60em;margin:2em auto}"
        "td,th{padding:.2em .8em;text-align:left}"
        "</style><h1>A search on 5,000 MNIST images</h1>"
        f"<h2>The tree</h2>{program.space._repr_html_()}"
        "<h2>On test images</h2><table><tr><th>child<th>accuracy<th>parameters<th>FLOPs per image"
        f"{compared}</table><h2>Trials</h2><table><tr><th>trial<th>status<th>accuracy, valid<th>decision"
        f"{trials}</table>",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
