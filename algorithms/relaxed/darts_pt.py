"""DARTS-PT: what a candidate is worth is what the network loses without it."""

from __future__ import annotations

from symnas.algorithms.relaxed.darts import DARTS
from symnas.contracts.hyperparameters import with_hyperparameters


@with_hyperparameters(source="Wang et al. 2021")
class DARTSPT(DARTS):
    """DARTS with perturbation-based selection: keep the candidate whose removal hurts most.

    After the search, points are decided one after the other, in random order: each candidate in turn is
    left out, without renormalising the others, and the one whose absence gives the worst score on the
    validation data stays. The network trains on for some epochs after each decision. Then, node by node,
    the edges are dropped that are missed least. `select="perturbation"` does the same for every other
    relaxed algorithm.

    R. Wang et al.: Rethinking Architecture Selection in Differentiable NAS, ICLR 2021 (arXiv:2108.04392);
    reference implementation github.com/ruocwang/darts-pt. `tune` is that of the paper's CIFAR-10 experiments;
    elsewhere it has up to 10.
    """

    select: str = "perturbation"
