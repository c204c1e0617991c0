"""Milliseconds that algorithms think per trial, beside Optuna's samplers.

`propose` and `observe` on 20 one-of x 5 with one worker, every registered algorithm with its defaults; of
Optuna's samplers ask, suggest and tell, in memory. The evaluator sums twenty values and is not counted.

    python benchmarks/thinking.py                  # some minutes
    python benchmarks/thinking.py --budget 5       # seconds of processor time per algorithm
    python benchmarks/thinking.py random mcts      # some of them, beside the peers

The figure at N trials is the mean over the last tenth of N. An algorithm that has used up its time stops
there.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from spaces import one_of_grid
from symnas.algorithms import available, resolve
from symnas.errors import SymnasError
from symnas.outcome import Outcome, Status

MARKS = (100, 1_000, 3_000, 10_000)
OPTIONS: Mapping[str, Mapping[str, object]] = {
    name: {"low": 1, "high": 27} for name in ("asha", "hyperband", "successive-halving")
}
# Milliseconds at 1,000 trials that the project asks for: DeepArchitect's, and a quarter of its model search.
REQUIRED = {"random": 0.17, "evolution": 0.26, "mcts": 0.29, "smbo": 7.0}


def ours(name: str) -> Iterator[float]:
    """Yield the seconds of processor time that each trial costs an algorithm."""
    algorithm = resolve(name, OPTIONS.get(name))
    algorithm.setup(one_of_grid())
    for call in range(MARKS[-1]):
        rng = np.random.default_rng([0, call])
        began = time.process_time()
        batch = algorithm.propose(1, rng)
        # Algorithms with fidelities propose one per decision, and see it again in the outcome.
        level = {"fidelity": batch.fidelities[0]} if hasattr(batch, "fidelities") else {}
        algorithm.observe(batch, [Outcome(Status.RUNNING, **level)])
        spent = time.process_time() - began
        value = float(sum(batch[0].values()))
        outcome = Outcome(Status.DONE, (value,), {"value": value}, **level)
        began = time.process_time()
        algorithm.observe(batch, [outcome])
        yield spent + time.process_time() - began


def optuna_sampler(name: str) -> Callable[[], Iterator[float]]:
    def steps() -> Iterator[float]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = getattr(optuna.samplers, name)(seed=0)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for _ in range(MARKS[-1]):
            began = time.process_time()
            trial = study.ask()
            values = [trial.suggest_categorical(f"x{place}", (0, 1, 2, 3, 4)) for place in range(20)]
            study.tell(trial, float(sum(values)))
            yield time.process_time() - began

    return steps


PEERS = {
    "Optuna RandomSampler": optuna_sampler("RandomSampler"),
    "Optuna NSGAIISampler": optuna_sampler("NSGAIISampler"),
    "Optuna TPESampler": optuna_sampler("TPESampler"),
    "Optuna GPSampler": optuna_sampler("GPSampler"),
}


def measure(steps: Iterator[float], budget: float) -> dict[int, float]:
    """Return milliseconds per trial by number of trials, as far as the budget of seconds goes."""
    found, spent, total = {}, [], 0.0
    for seconds in steps:
        spent.append(seconds)
        total += seconds
        if len(spent) in MARKS:
            found[len(spent)] = 1e3 * float(np.mean(spent[-len(spent) // 10 :]))
        if total > budget:
            break
    return found


def row(name: str, found: Mapping[int, float], yardstick: Mapping[int, float]) -> str:
    cells = [f"{found[mark]:,.3g}" if mark in found else "–" for mark in MARKS]
    last = max(found, default=0)
    grows = f"{found[last] / found[1_000]:.1f} to {last:,}" if last > 1_000 else "–"
    common = max((mark for mark in found if mark in yardstick), default=0)
    share = f"{found[common] / yardstick[common]:.2g} at {common:,}" if common else "–"
    required = f"{REQUIRED[name]:g}" if name in REQUIRED else ""
    return f"| {name} | {' | '.join(cells)} | {required} | {grows} | {share} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="algorithms to measure; all without")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of processor time for each")
    asked = parser.parse_args()
    print(f"\nMilliseconds of processor time per trial, Python {platform.python_version()}, one thread\n")
    marks = " | ".join(f"at {mark:,}" for mark in MARKS)
    print(f"| algorithm | {marks} | required at 1,000 | times that at 1,000 | times Optuna's TPE |")
    print("|---|" + "---:|" * (len(MARKS) + 3), flush=True)
    yardstick = measure(PEERS["Optuna TPESampler"](), asked.budget)
    for info in available():
        if info.capabilities is None or (asked.names and info.name not in asked.names):
            continue
        if info.capabilities.shared_weights or info.capabilities.relaxed:
            continue
        try:
            found = measure(ours(info.name), asked.budget)
        except SymnasError as error:
            print(f"| {info.name} | not measured: {str(error).split(':')[0]} |" + " |" * (len(MARKS) + 2))
            continue
        print(row(info.name, found, yardstick), flush=True)
    for name, steps in PEERS.items():
        found = yardstick if name == "Optuna TPESampler" else measure(steps(), asked.budget)
        print(row(name, found, yardstick), flush=True)


if __name__ == "__main__":
    main()
