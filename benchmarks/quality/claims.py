"""What is claimed of which algorithm, written down before the searches that it is judged on.

Each claim names one algorithm of ours with the options in `methods.py`. Settings were chosen on
NAS-Bench-Graph and the synthetic problems alone; the claims are judged on NAS-Bench-201 and MNIST-1D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ahead", "not behind", "close"]


@dataclass(frozen=True)
class Claim:
    """One sentence that can turn out wrong.

    Args:
        statement: the sentence.
        method: the algorithm of ours.
        rivals: whom it is compared with, each on every table and at every budget by itself.
        budgets: after how many evaluations.
        kind: "ahead": smaller mean regret, standard errors that do not overlap, and a Wilcoxon test over the
            seeds that holds after Holm's correction over the whole claim; "not behind": the rival is not
            ahead in this sense; "close": regret at most a tenth above that of the best rival, or standard
            errors that overlap.
        proposal_time: largest share of the rival's proposal time that is allowed, or None.
    """

    statement: str
    method: str
    rivals: tuple[str, ...]
    budgets: tuple[int, ...]
    kind: Kind
    proposal_time: float | None = None


ALL = (25, 50, 100, 200, 500)

CLAIMS = (
    Claim(
        "`smbo` is not behind any peer at any budget",
        "smbo",
        ("optuna-tpe", "optuna-gp", "hyperopt-tpe", "pyglove-evolution", "smac"),
        ALL,
        "not behind",
    ),
    Claim(
        "`smbo` is ahead at 50 evaluations of everything that proposes in less than 10 ms",
        "smbo",
        ("optuna-tpe", "hyperopt-tpe", "pyglove-evolution", "evolution", "local-search", "random"),
        (50,),
        "ahead",
    ),
    Claim(
        "`smbo` is as good as Optuna's Gaussian process at a tenth of its proposal time",
        "smbo",
        ("optuna-gp",),
        (25, 50, 100),
        "not behind",
        proposal_time=0.1,
    ),
    Claim(
        "`smbo` is ahead of regularised evolution, ours and PyGlove's, at 100 and 200 evaluations",
        "smbo",
        ("evolution", "pyglove-evolution"),
        (100, 200),
        "ahead",
    ),
    Claim(
        "`auto` is within a tenth of the best of ours at every budget",
        "auto",
        ("smbo", "mcts", "evolution", "local-search"),
        ALL,
        "close",
    ),
    Claim("`mcts` is ahead of random search at every budget", "mcts", ("random",), ALL, "ahead"),
    Claim(
        "`evolution` is not behind PyGlove's regularised evolution",
        "evolution",
        ("pyglove-evolution",),
        ALL,
        "not behind",
    ),
    Claim(
        "`local-search` is ahead of random search from 50 evaluations on",
        "local-search",
        ("random",),
        (50, 100, 200, 500),
        "ahead",
    ),
)
