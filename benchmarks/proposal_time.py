"""Milliseconds that proposals take per trial, beside other libraries.

20 one-of x 5, one worker, one trial at a time: every registered algorithm with its defaults (`propose` and
`observe`), and other libraries on their own interfaces, in memory. The evaluator sums twenty values and is
not counted.

    python benchmarks/proposal_time.py                  # some minutes
    python benchmarks/proposal_time.py --budget 5       # seconds of processor time per algorithm
    python benchmarks/proposal_time.py random mcts      # some of them, beside the others

The figure at N trials is the mean over the last tenth of N. An algorithm that has used up its time stops
there.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from spaces import one_of_grid
from symnas.algorithms import available, resolve
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import SymnasError

POINTS, CODES = 20, (0, 1, 2, 3, 4)
MARKS = (100, 1_000, 3_000, 10_000)
OPTIONS: Mapping[str, Mapping[str, object]] = {
    name: {"low": 1, "high": 27} for name in ("asha", "hyperband", "successive-halving")
}
# Milliseconds at 1,000 trials that the project asks for: DeepArchitect's, and a quarter of its model search.
REQUIRED = {"random": 0.17, "evolution": 0.26, "mcts": 0.29, "smbo": 7.0}
# Measured earlier on the same task, on another machine: these releases do not install beside current ones.
QUOTED = {
    "DeepArchitect random": {1_000: 0.19},
    "DeepArchitect evolution": {1_000: 0.26},
    "DeepArchitect MCTS": {1_000: 0.29},
    "DeepArchitect SMBO": {1_000: 28.0},
    "Optuna TPESampler": {1_000: 7.4, 3_000: 45.0},
}
HEAD = """\
Propose and observe on 20 choices of 5, one after the other; the evaluation costs nothing. Processor time of
one thread over the last tenth of the trials before each mark, every algorithm with its defaults; a dash
where {budget:g} seconds were used up before ({long:g} for `smbo` and Optuna's TPE). "Required" are
DeepArchitect's times, and a quarter of its time for `smbo`. Rows that are marked as quoted were measured
earlier on the same task on another machine; read the ratio to them as an order of magnitude.

`mcts` asks a model of what was observed in its roll-outs, which is where its quality comes from
([what matters](quality.md#what-matters)); they serve for many proposals. With `rollouts="random"` it is the
published method.
"""
LONG = 8
"""How many times as long as the others `smbo` and Optuna's TPE are measured, to tell how they grow."""
Run = Callable[["Clock"], None]


class EnoughError(Exception):
    """The time is used up, or the last mark is reached."""


class Clock:
    """An evaluation function that notes the processor time since it last returned.

    Args:
        budget: seconds after which it stops the search.
    """

    def __init__(self, budget: float) -> None:
        self.spent: list[float] = []
        self._budget = budget
        self._left = time.process_time()

    def __call__(self, values: Iterable[int]) -> float:
        self.spent.append(time.process_time() - self._left)
        self._budget -= self.spent[-1]
        if self._budget < 0 or len(self.spent) == MARKS[-1]:
            raise EnoughError
        value = float(sum(values))
        self._left = time.process_time()
        return value


def ours(name: str, options: Mapping[str, object] | None = None) -> Run:
    def run(clock: Clock) -> None:
        algorithm = resolve(name, options or OPTIONS.get(name))
        algorithm.setup(one_of_grid())
        for call in range(MARKS[-1]):
            batch = algorithm.propose(1, np.random.default_rng([0, call]))
            # Algorithms with fidelities propose one per decision, and see it again in the outcome.
            level = {"fidelity": batch.fidelities[0]} if hasattr(batch, "fidelities") else {}
            algorithm.observe(batch, [Outcome(Status.RUNNING, **level)])
            value = clock(batch[0].values())
            algorithm.observe(batch, [Outcome(Status.DONE, (value,), {"value": value}, **level)])

    return run


def optuna_sampler(name: str) -> Run:
    def run(clock: Clock) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=getattr(optuna.samplers, name)(seed=0), direction="maximize")
        while True:
            trial = study.ask()
            values = [trial.suggest_categorical(f"x{place}", CODES) for place in range(POINTS)]
            study.tell(trial, clock(values))

    return run


def hyperopt_tpe(clock: Clock) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hyperopt import fmin, hp, tpe

        # The end of the search is an exception, which hyperopt reports as a failure.
        logging.getLogger("hyperopt").setLevel(logging.CRITICAL)
        fmin(
            lambda values: -clock(values),
            [hp.choice(f"x{place}", CODES) for place in range(POINTS)],
            algo=tpe.suggest,
            max_evals=MARKS[-1],
            rstate=np.random.default_rng(0),
            show_progressbar=False,
            verbose=False,
        )


def pyglove_evolution(clock: Clock) -> None:
    import pyglove as pg

    space = pg.Dict({f"x{place}": pg.oneof(list(CODES)) for place in range(POINTS)})
    algorithm = pg.evolution.regularized_evolution(seed=0)
    for sampled, feedback in pg.sample(space, algorithm, num_examples=MARKS[-1]):
        feedback(clock(sampled.values()))


TPE = "Optuna TPESampler"
PEERS: Mapping[str, Run] = {
    **{f"Optuna {name}": optuna_sampler(name) for name in ("RandomSampler", "NSGAIISampler")},
    TPE: optuna_sampler("TPESampler"),
    "Optuna GPSampler": optuna_sampler("GPSampler"),
    "hyperopt TPE": hyperopt_tpe,
    "PyGlove evolution": pyglove_evolution,
}


def measure(run: Run, budget: float) -> dict[int, float]:
    """Return milliseconds per trial by number of trials, as far as the budget of seconds goes."""
    clock = Clock(budget)
    with contextlib.suppress(EnoughError):
        run(clock)
    return {
        mark: 1e3 * float(np.mean(clock.spent[mark - mark // 10 : mark]))
        for mark in MARKS
        if mark <= len(clock.spent)
    }


def row(name: str, found: Mapping[int, float], yardstick: Mapping[int, float], required: str = "") -> str:
    cells = [f"{found[mark]:,.3g}" if mark in found else "–" for mark in MARKS]
    last = max(found, default=0)
    grows = f"{found[last] / found[1_000]:.1f} to {last:,}" if last > 1_000 else "–"
    common = max((mark for mark in found if mark in yardstick), default=0)
    share = f"{found[common] / yardstick[common]:.2g} at {common:,}" if common else "–"
    return f"| {name} | {' | '.join(cells)} | {required} | {grows} | {share} |"


def programs(names: Iterable[str]) -> dict[str, Run]:
    """Return what is measured of ours by its title."""
    wanted = set(names)
    found = {}
    for info in available():
        if info.capabilities is None or (wanted and info.name not in wanted):
            continue
        if not (info.capabilities.shared_weights or info.capabilities.relaxed):
            found[f"`{info.name}`"] = ours(info.name)
        if info.name == "mcts":
            found['`mcts`, `rollouts="random"`'] = ours("mcts", {"rollouts": "random"})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="algorithms to measure; all without")
    parser.add_argument("--budget", type=float, default=12.0, help="seconds of processor time for each")
    asked = parser.parse_args()
    print(HEAD.format(budget=asked.budget, long=LONG * asked.budget))
    print(f"Milliseconds per trial, Python {platform.python_version()}:\n")
    marks = " | ".join(f"at {mark:,}" for mark in MARKS)
    print(f"| algorithm | {marks} | required at 1,000 | times that at 1,000 | times Optuna's TPE |")
    print("|---|" + "---:|" * (len(MARKS) + 3), flush=True)
    yardstick = measure(PEERS[TPE], LONG * asked.budget)
    for title, run in programs(asked.names).items():
        try:
            found = measure(run, asked.budget * (LONG if title == "`smbo`" else 1))
        except SymnasError as error:
            print(f"| {title} | not measured: {str(error).split(':')[0]} |" + " |" * (len(MARKS) + 2))
            continue
        required = REQUIRED.get(title.strip("`"))
        print(row(title, found, yardstick, "" if required is None else f"{required:g}"), flush=True)
    for name, run in PEERS.items():
        print(row(name, yardstick if name == TPE else measure(run, asked.budget), yardstick), flush=True)
    for name, found in QUOTED.items():
        print(row(f"{name}, quoted", found, {}))


if __name__ == "__main__":
    main()
