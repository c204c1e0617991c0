"""Deciding by what is missed: DARTS-PT's selection, for any relaxed network.

A large weight need not mean a good candidate (a skip connection's often is not). So candidates are compared
by what the trained network loses without each, one point after the other, and the network trains on after
every decision (Wang et al. 2021, algorithm 1):

    for every point in random order, those of which one candidate is kept before edges:
        score(i) = that of the network with candidate i left out, the weights of the others as they were
        keep argmin_i score(i), which is missed most; of edges drop argmax_i score(i) until `keep` are left
        train the network for some epochs

Nothing is retrained to be scored, so a point of n candidates costs n passes over the logits' data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from symnas.contracts.relaxed_points import Mixture, RelaxedKind, RelaxedPoint

if TYPE_CHECKING:
    from symnas.relaxed.training import RelaxedTraining

FRACTION = 0.1
"""Learning rate of the tuning as a share of the search's (reference implementation)."""


def select(training: RelaxedTraining, seed: int, saved: Callable[[], None]) -> None:
    """Rule out all candidates but those that the trained network misses most; goes on where it was left.

    R. Wang et al.: Rethinking Architecture Selection in Differentiable NAS, ICLR 2021.

    Args:
        training: whose search is over.
        seed: of the order in which points are decided.
        saved: called whenever there is something to keep.
    """
    how, order = training.algorithm, _order(training, seed)
    if not training.decided and not training.tuned and not training.ruled_out:
        # The first time: a search that is gone on with has its optimiser from the file.
        training.reset_weights()
        training.tuning_from = training.epoch
    begin, total = training.tuning_from, max(1, how.tune * len(order))

    def rate(epoch: int) -> float:
        cosine = (1 + math.cos(math.pi * min(1.0, (epoch - begin) / total))) / 2
        return how.lr_min + max(0.0, how.lr * FRACTION - how.lr_min) * cosine

    training.rate = rate
    while training.decided < len(order):
        point = order[training.decided]
        if _reachable(training, point):  # points below what was ruled out are in no decision any more
            if point.address not in training.ruled_out:
                training.ruled_out[point.address] = _worst(training, point)
                saved()
            while training.tuned < how.tune:
                training.run_epoch()
                training.tuned += 1
                saved()
        training.decided += 1
        training.tuned = 0
    saved()


def _order(training: RelaxedTraining, seed: int) -> list[RelaxedPoint]:
    """Return the points to decide: those of which one is chosen, then edges, each in random order."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for edges in (False, True):
        kind = [
            point
            for point in training.points
            if (point.kind == RelaxedKind.EDGES) is edges and len(point.labels) > point.keep
        ]
        found += [kind[index] for index in torch.randperm(len(kind), generator=generator).tolist()]
    return found


def _reachable(training: RelaxedTraining, point: RelaxedPoint) -> bool:
    """Whether the point still is in a decision."""
    by_address = {other.address: other for other in training.points}
    while point.under is not None:
        address, index = point.under
        if index in training.ruled_out.get(address, ()):
            return False
        point = by_address[address]
    return True


def _worst(training: RelaxedTraining, point: RelaxedPoint) -> tuple[int, ...]:
    """Return what is to be ruled out at a point.

    Where one is chosen, all but the candidate without which the score is lowest; of edges, one after the
    other the one without which it is highest.
    """
    zero = () if training.algorithm.keeps_zero else point.zero
    everything = range(len(point.labels))
    if point.kind != RelaxedKind.EDGES:
        scores = {index: _without(training, point, (index,)) for index in everything if index not in zero}
        kept = min(scores, key=lambda index: (scores[index], index))
        return tuple(index for index in everything if index != kept)
    # One after the other, as what is missed depends on what is left.
    gone: tuple[int, ...] = ()
    while len(point.labels) - len(gone) > point.keep:
        scores = {i: _without(training, point, (*gone, i)) for i in everything if i not in gone}
        gone = (*gone, max(scores, key=lambda index: (scores[index], index)))
    return tuple(sorted(gone))


def _without(training: RelaxedTraining, point: RelaxedPoint, gone: tuple[int, ...]) -> float:
    """Return the network's score with candidates left out, the weights of the others as they were."""
    mixes = training.mean_mixes()
    whole = mixes[point.address]
    weights = whole.weights.clone()
    weights[list(gone)] = 0.0  # not scaled up again: what is missed is missed
    before = range(len(weights)) if whole.active is None else whole.active
    mixes[point.address] = Mixture(weights, tuple(index for index in before if index not in gone))
    score = training.score(mixes)  # a network that is not finite is worth less than any
    return score if math.isfinite(score) else -math.inf
