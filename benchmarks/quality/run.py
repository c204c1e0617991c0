"""Run searches on problems, one after the other, and append what each found to `results/`.

Every search is one line of `results/METHOD.csv`, written when it ends. Lines that are there are not run
again, so the command continues where it was stopped; only a search that was given fewer evaluations than are
asked for now is run once more, and then the longer one counts. To run a method anew, delete its file.

    python -m benchmarks.quality.run --methods smbo optuna-tpe --problems graph-cora --seeds 30
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.quality.methods import ABLATIONS, METHODS, Method
from benchmarks.quality.problem import Problem
from benchmarks.quality.problems import ABLATED, BUDGET, PROBLEMS, SEEDS, VARIED, get
from symnas.tree.space import Decision

RESULTS = Path(__file__).resolve().parent / "results"
# The heads of the columns of published results; `think_ms` is the proposal time.
FIELDS = ("problem", "seed", "evaluations", "think_ms", "trace")


@dataclass
class Trace:
    """What a search found, as steps of its incumbent.

    Args:
        problem: the problem's name.
        seed: of the search; it also says which evaluation of each decision the method sees.
        evaluations: how many were made.
        proposal_ms: milliseconds of processor time per evaluation, without the evaluation itself.
        steps: (number of the evaluation, regret in what was seen, regret in what is reported) whenever a
            better value was seen.
    """

    problem: str
    seed: int
    evaluations: int = 0
    proposal_ms: float = 0.0
    steps: list[tuple[int, float, float]] = field(default_factory=list)

    def at(self, budget: int) -> tuple[float, float]:
        """Return both regrets of the incumbent after a number of evaluations, at least 1."""
        found = self.steps[0]
        for step in self.steps:
            if step[0] > budget:
                break
            found = step
        return found[1], found[2]

    def row(self) -> dict[str, object]:
        """Return the line of the file."""
        trace = ";".join(f"{number}:{_short(seen)}:{_short(told)}" for number, seen, told in self.steps)
        spent = f"{self.proposal_ms:.3g}"
        return dict(zip(FIELDS, (self.problem, self.seed, self.evaluations, spent, trace), strict=True))

    @classmethod
    def of(cls, row: dict[str, str]) -> Trace:
        """Read a line of the file."""
        steps = []
        for step in row["trace"].split(";"):
            number, seen, told = step.split(":")
            steps.append((int(number), float(seen), float(told)))
        return cls(row["problem"], int(row["seed"]), int(row["evaluations"]), float(row["think_ms"]), steps)


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) >= 1e-6 else "0"


class Recorder:
    """The evaluation function that a method calls; it keeps the time between calls and the incumbent.

    Args:
        problem: what is evaluated.
        seed: which evaluation of each decision is seen.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.trace = Trace(problem.name, seed)
        self._best = -float("inf")
        self._proposing = 0.0
        self._left = time.process_time()

    def __call__(self, decision: Decision) -> float:
        """Return what the method sees of a decision."""
        self._proposing += time.process_time() - self._left
        trace, problem = self.trace, self.problem
        value = problem.valid(decision, trace.seed)
        trace.evaluations += 1
        if value > self._best:
            self._best = value
            told = problem.best_test(trace.seed) - problem.test(decision, trace.seed)
            trace.steps.append((trace.evaluations, problem.best_valid(trace.seed) - value, told))
        trace.proposal_ms = 1000 * self._proposing / trace.evaluations
        self._left = time.process_time()
        return value


def search(method: Method, problem: Problem, seed: int, budget: int) -> Trace:
    """Return what a method finds on a problem.

    Args:
        method: whose search it is.
        problem: where.
        seed: of the method's generator, and of the evaluations.
        budget: how many evaluations it may make.
    """
    recorder = Recorder(problem, seed)
    method.search(problem.space, recorder, budget, seed)
    return recorder.trace


def read(method: str, folder: Path = RESULTS) -> list[Trace]:
    """Return the traces of a method, the longest of each problem and seed; none where it was not run yet."""
    path = folder / f"{method}.csv"
    if not path.exists():
        return []
    longest: dict[tuple[str, int], Trace] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for trace in map(Trace.of, csv.DictReader(file)):
            known = longest.setdefault((trace.problem, trace.seed), trace)
            if trace.evaluations > known.evaluations:
                longest[trace.problem, trace.seed] = trace
    return list(longest.values())


def append(method: str, trace: Trace, folder: Path = RESULTS) -> None:
    """Write a trace behind the others, in one piece."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{method}.csv"
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if not file.tell():
            writer.writeheader()
        writer.writerow(trace.row())
        file.flush()
        os.fsync(file.fileno())


def tasks(
    methods: Sequence[str], problems: Sequence[str], seeds: int | None = None, first: int = 10
) -> Iterator[tuple[str, str, int]]:
    """Yield method, problem and seed of every declared search: a few seeds of all before the rest of any."""
    known = {**METHODS, **ABLATIONS}
    for rest in (False, True):
        for name in methods:
            method = known[name]
            for problem in problems:
                if method.same or problem in method.not_on or not method.takes(get(problem).space):
                    continue
                every = range(min(SEEDS[problem] if seeds is None else seeds, method.seeds))
                for seed in every[first:] if rest else every[:first]:
                    yield name, problem, seed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing."""
    known = {**METHODS, **ABLATIONS}
    parser = argparse.ArgumentParser(description="Run the searches that are missing in results/.")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(known), metavar="NAME")
    parser.add_argument(
        "--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS), metavar="NAME"
    )
    parser.add_argument("--seeds", type=int, help="of every problem; otherwise as many as the page shows")
    parser.add_argument("--first", type=int, default=10, help="seeds of everything before more of anything")
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument(
        "--ablations", action="store_true", help="variants of ours, 5 seeds, where settings were chosen"
    )
    options = parser.parse_args(arguments)
    if options.ablations:
        options.methods, options.problems, options.seeds = list(ABLATIONS), list(ABLATED), VARIED
    done = {
        (method, trace.problem, trace.seed)
        for method in options.methods
        for trace in read(method, options.folder)
        if trace.evaluations >= min(options.budget, known[method].evaluations(trace.problem, trace.seed))
    }
    failures = 0
    for name, where, seed in tasks(options.methods, options.problems, options.seeds, options.first):
        if (name, where, seed) in done:
            continue
        method, problem = known[name], get(where)
        started = time.process_time()
        try:
            trace = search(method, problem, seed, min(options.budget, method.evaluations(where, seed)))
        except Exception as error:  # one method's failure must not end the others' runs
            failures += 1
            print(f"{name} {where} {seed}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        append(name, trace, options.folder)
        seen, told = trace.at(options.budget)
        print(
            f"{name:16} {where:16} {seed:3} regret {seen:8.3f} seen, {told:8.3f} reported; "
            f"{trace.proposal_ms:7.2f} ms, {time.process_time() - started:6.1f} s",
            flush=True,
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
