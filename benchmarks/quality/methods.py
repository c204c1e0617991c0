"""Every method that the benchmark compares, with its options, in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality import native, peers
from benchmarks.quality.problems import SYNTHETIC, TUNING
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.contracts.registry import resolve
from symnas.tree.space import Decision, Space

Evaluate = Callable[[Decision], float]
Search = Callable[[Space, Evaluate, int, int], None]


def everything(_: Space) -> bool:
    """Tell that a method takes any space."""
    return True


@dataclass(frozen=True)
class Method:
    """One row of the tables.

    Args:
        title: as the page writes it.
        group: "ours", "peer" or "baseline".
        search: what runs it: space, evaluation function, budget, seed.
        cap: most evaluations it is given, since proposals of some take too long for more.
        seeds: most seeds it is given, for the same reason.
        full: how many seeds are given more than 200 evaluations on published tables, for the same reason.
        takes: whether it has what a space asks for.
        not_on: problems on which it is not run, for a reason that the page states.
        same: the method that makes the same proposals at all budgets here, which a test shows; its searches
            count for this one, too.
    """

    title: str
    group: str
    search: Search
    cap: int = 10**9
    seeds: int = 10**9
    full: int = 10**9
    takes: Callable[[Space], bool] = everything
    not_on: frozenset[str] = frozenset()
    same: str = ""

    def evaluations(self, problem: str, seed: int) -> int:
        """Return how many evaluations this method is given at most."""
        if problem in SYNTHETIC and self.group == "peer":
            return min(self.cap, SHORT)
        long = seed < self.full or problem in (*SYNTHETIC, "mnist1d")
        return self.cap if long else min(self.cap, SHORT)


def contract(name: str, options: Mapping[str, Any] | None = None) -> Search:
    """Return the search of one of our algorithms: propose, observe, as a study does it, one at a time."""

    def search(space: Space, evaluate: Evaluate, budget: int, seed: int) -> None:
        algorithm = resolve(name, options)
        algorithm.setup(space)
        for call in range(budget):
            batch = algorithm.propose(1, np.random.default_rng([seed, call]))
            if not len(batch):
                break
            algorithm.observe(batch, [RUNNING])
            value = evaluate(batch[0])
            status = Status.DONE if math.isfinite(value) else Status.NAN
            values = (value,) if math.isfinite(value) else None
            algorithm.observe(batch, [Outcome(status, values, {"value": value})])

    return search


# The published population is random search for the first 100 trials; these were chosen on NAS-Bench-Graph.
_SMALL = {"population": 20, "tournament": 5, "repeats": False}
SHORT = 200
# Where proposals would take hours.
_LONG = frozenset((*TUNING, *SYNTHETIC))

METHODS: Mapping[str, Method] = {
    "random": Method("random", "baseline", peers.random_search),
    "auto": Method("auto", "ours", contract("auto"), same="smbo"),
    "smbo": Method("smbo", "ours", contract("smbo")),
    "mcts": Method("mcts", "ours", contract("mcts")),
    "evolution": Method("evolution", "ours", contract("evolution", _SMALL)),
    "local-search": Method("local-search", "ours", contract("local-search")),
    "optuna-tpe": Method("Optuna TPE", "peer", peers.optuna_tpe, takes=native.plain),
    "hyperopt-tpe": Method(
        "hyperopt TPE", "peer", peers.hyperopt_tpe, full=10, takes=native.plain, not_on=_LONG
    ),
    "pyglove-evolution": Method("PyGlove evolution", "peer", peers.pyglove_evolution, full=10, not_on=_LONG),
    "optuna-gp": Method("Optuna GP", "peer", peers.optuna_gp, cap=100, takes=native.plain, not_on=_LONG),
    "smac": Method(
        "SMAC forest", "peer", peers.smac_forest, cap=100, seeds=10, takes=native.plain, not_on=_LONG
    ),
}
SEARCHED = tuple(name for name, method in METHODS.items() if not method.same)
"""Those that have searches of their own."""


def label(name: str) -> str:
    """Return a method's title, and those of the methods for which its searches count, too."""
    return " = ".join(
        [METHODS[name].title, *(other.title for other in METHODS.values() if other.same == name)]
    )


def _variant(of: str, title: str, **options: Any) -> Method:
    return Method(f"{of}, {title}", "ablation", contract(of, options), cap=100)


ABLATIONS: Mapping[str, Method] = {
    "smbo-forest": _variant("smbo", "random forest", surrogate="forest"),
    "smbo-ridge": _variant("smbo", "ridge on pairs", surrogate="ridge"),
    "smbo-ngrams": _variant("smbo", "ridge on n-grams", surrogate="ngrams"),
    "smbo-ucb": _variant("smbo", "upper confidence bound", acquisition="ucb"),
    "smbo-thompson": _variant("smbo", "Thompson sampling", acquisition="thompson"),
    "smbo-plain": _variant("smbo", "values as they are", targets="plain"),
    "smbo-rank": _variant("smbo", "ranks", targets="rank"),
    "smbo-drawn": _variant("smbo", "random candidates only", drawn=1.0, starts=0),
    "mcts-random": _variant("mcts", "random roll-outs", rollouts="random"),
    # Once there is a surrogate, its promises count in place of means, so there is nothing to share.
    "mcts-transpositions": _variant(
        "mcts", "random roll-outs, transpositions", rollouts="random", transpositions=True
    ),
    "mcts-tree": _variant("mcts", "points in tree order", order="tree"),
    "mcts-explore": _variant("mcts", "exploration 1", exploration=1.0),
}
"""Variants of ours with one thing changed, for the section on what matters."""
