"""How well scores under shared weights order children, compared with children that are trained alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from symnas.constraints.checking import sample
from symnas.contracts.objectives import Objectives
from symnas.errors import EvaluatorError
from symnas.oneshot.estimator import SharedWeights
from symnas.tree.space import Decision

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.supernet.supernet import Supernet
    from symnas.training.task import Task


@dataclass(frozen=True)
class RankCorrelation:
    """Scores of the same children, under shared weights and alone.

    Args:
        tau: Kendall's tau-b of the two, between -1 and 1; NaN where one of them is the same for all.
        decisions: the children.
        shared: their scores under shared weights, larger is better.
        alone: their mean scores when trained alone, larger is better.
    """

    tau: float
    decisions: tuple[Decision, ...]
    shared: tuple[float, ...]
    alone: tuple[float, ...]

    def __str__(self) -> str:
        """Say the correlation in words."""
        return f"Kendall's tau {self.tau:.3f} over {len(self.decisions)} children"


def rank_correlation(
    program: ProgramView,
    shared: SharedWeights | Supernet,
    task: Task | None = None,
    *,
    n: int = 20,
    seeds: int = 1,
    seed: int = 0,
) -> RankCorrelation:
    """Score children under shared weights, train them alone, and compare the orders.

    Args:
        program: whose children.
        shared: settings with which shared weights are trained first, or a supernet that is trained already.
        task: with which children are trained alone; that of the settings by default.
        n: how many children are drawn, all different.
        seeds: how many trainings of each child are averaged.
        seed: of the draws and the trainings.

    Raises:
        EvaluatorError: a supernet is given and no task, or there are fewer children than that.
    """
    from symnas.training.random_state import RandomStream

    if not isinstance(shared, SharedWeights):
        if task is None:
            raise EvaluatorError(
                "children are trained alone by a task, and a supernet has none: pass one as task="
            )
        shared = SharedWeights(task, supernet=shared)
    alone_task = shared.task if task is None else task
    goals = Objectives.parse(shared.objectives)
    decisions = _different(program, n, np.random.default_rng([seed, n]))
    run = shared.open(program, seed=seed)
    run.train(shared.length)
    scores = [goals.oriented(goals.values(run.score(decision)))[0] for decision in decisions]
    alone = []
    for decision in decisions:
        results = []
        for number in range(seeds):
            # As in a search, initial weights depend on the training's seed and on nothing before it.
            with RandomStream(seed + number, run.device):
                child = program.build(decision)
            metrics = alone_task.fit(child, seed=seed + number)
            results.append(goals.oriented(goals.values(metrics))[0])
        alone.append(fmean(results))
    return RankCorrelation(kendall_tau(scores, alone), tuple(decisions), tuple(scores), tuple(alone))


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Kendall's tau-b: concordant less discordant pairs, corrected for ties.

    With s_ij = sign(x_i - x_j) and t_ij = sign(y_i - y_j), each of them 0 for a tie,

        tau_b = sum_{i<j} s_ij t_ij / sqrt(sum_{i<j} s_ij^2  sum_{i<j} t_ij^2),

    that is (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)); without ties it is
    Kendall's tau. It is NaN where all numbers of one side are equal, since they order nothing.

    Kendall 1945, The treatment of ties in ranking problems, Biometrika 33.

    Args:
        first: numbers.
        second: as many, in the same order.
    """
    x, y = np.asarray(first, float), np.asarray(second, float)
    # (n, n) tables of signs, of which each pair is looked at once; n is some tens, for each child is trained.
    above = np.triu_indices(len(x), 1)
    by_x = np.sign(x[:, None] - x[None, :])[above]
    by_y = np.sign(y[:, None] - y[None, :])[above]
    scale = np.sqrt((by_x**2).sum()) * np.sqrt((by_y**2).sum())
    return float((by_x * by_y).sum() / scale) if scale else float("nan")


def _different(program: ProgramView, n: int, rng: np.random.Generator) -> list[Decision]:
    """Draw decisions that meet the requirements, none twice."""
    found: dict[str, Decision] = {}
    for _ in range(100):
        for decision in sample(program, n, rng):
            if len(found) < n:
                found.setdefault(decision.key, decision)
        if len(found) == n:
            return list(found.values())
    raise EvaluatorError(
        f"the orders of {n} children are compared, and 100 times as many draws found {len(found)} different "
        f"ones: ask for n={len(found)} at most"
    )
