"""What the adapters cost: Optuna's samplers and PyGlove's evolution, driven by us and by themselves.

    python benchmarks/adapters.py [trials …]

Milliseconds of processor time per trial (propose and observe) on 20 choices among 5, one after the other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import optuna
import pyglove as pg

from symnas.algorithms.adapters.optuna.sampler import Optuna
from symnas.algorithms.adapters.pyglove.generator import PyGlove
from symnas.contracts.algorithm import Algorithm
from symnas.interop.pyglove import dna_spec, from_dna
from symnas.testing.contract import planted, simulate

SPACE, EVALUATE = planted(0, points=20)
SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "nsgaii": optuna.samplers.NSGAIISampler,
    "random": optuna.samplers.RandomSampler,
}


def timed(work: Callable[..., object], trials: int, *given: object) -> float:
    """Return milliseconds of processor time per trial, which mean the same on a busy machine."""
    work(*given, 5)
    started = time.process_time()
    work(*given, trials)
    return (time.process_time() - started) / trials * 1e3


def ours(algorithm: Algorithm, trials: int) -> None:
    simulate(algorithm, SPACE, EVALUATE, trials=trials)


def plain_optuna(name: str, trials: int) -> None:
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[name](seed=0))

    def objective(trial: optuna.Trial) -> float:
        values = {address: trial.suggest_categorical(address, range(5)) for address in SPACE.addresses}
        return EVALUATE(SPACE.decision(values)).values[0]

    study.optimize(objective, n_trials=trials)


def plain_pyglove(trials: int) -> None:
    generator = pg.evolution.regularized_evolution(population_size=50)
    generator.setup(dna_spec(SPACE))
    for _ in range(trials):
        dna = generator.propose()
        generator.feedback(dna, EVALUATE(from_dna(SPACE, dna)).values[0])


def row(title: str, trials: int, driven: float, alone: float) -> str:
    return f"| {title} | {trials:,} | {driven:.2f} | {alone:.2f} | {driven / alone:.2f} |"


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("Milliseconds of processor time per trial, a sampler driven by us and by its own library:\n")
    print("| sampler | trials | driven by us | by itself | ratio |")
    print("|---|---:|---:|---:|---:|")
    for trials in map(int, sys.argv[1:] or ("200", "1000")):
        for name in SAMPLERS:
            driven, alone = timed(ours, trials, Optuna(sampler=name)), timed(plain_optuna, trials, name)
            print(row(f"Optuna, `{name}`", trials, driven, alone), flush=True)
        evolution = PyGlove(generator_options={"population_size": 50})
        driven, alone = timed(ours, trials, evolution), timed(plain_pyglove, trials)
        print(row("PyGlove, evolution", trials, driven, alone), flush=True)


if __name__ == "__main__":
    main()
