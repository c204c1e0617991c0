"""What a relaxed network and an algorithm that trains one know of each other: points, logits and mixes.

A relaxed network runs all candidates of a point and adds them up, each times a weight. The weights are a
function of *logits*, one number per candidate, that gradient descent moves; which function, and which
candidates are run at all, is what algorithms differ in. So a network offers its points and their logits, an
algorithm makes one `Mixture` of each out of them, and in the end it names the decision that the logits
stand for.

A point that stands below a candidate of another one counts with that candidate's share: a decision exists
only where everything above it was chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from symnas._typing import Label, Value
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    from torch import Tensor

Costs = Mapping[str, Sequence[float]]


class RelaxedKind(StrEnum):
    """What is mixed at a point."""

    ONE = "one"
    """Modules or tensors, of which a decision has one: their outputs are added up."""
    EDGES = "edges"
    """Modules of which a decision has `keep`: each output counts by the weight of its edge."""
    SIZE = "size"
    """A width or a kernel: positions of parameters count by the weights of the values that have them."""
    DEPTH = "depth"
    """How many of several blocks in a row there are: each has a gate, the weight of all that have it."""


@dataclass(frozen=True, slots=True)
class RelaxedPoint:
    """A decision point as a relaxed network has it.

    Args:
        address: the point's address in the space.
        labels: its candidates, in order.
        kind: what is mixed.
        keep: how many of the candidates a decision has; 1 unless these are edges.
        zero: indices of candidates that pass nothing on (DARTS calls them `none`); deriving leaves them out.
        skips: indices of candidates that pass on what they get (skip connections).
        under: address of the nearest relaxed point above, and the index of its candidate that this point
            belongs to; None at the root.
    """

    address: str
    labels: tuple[Label, ...]
    kind: RelaxedKind = RelaxedKind.ONE
    keep: int = 1
    zero: tuple[int, ...] = ()
    skips: tuple[int, ...] = ()
    under: tuple[str, int] | None = None

    @property
    def idle(self) -> tuple[int, ...]:
        """What `zero` was called; to be taken away with the next release."""
        warnings.warn("RelaxedPoint.idle is called zero now", DeprecationWarning, stacklevel=2)
        return self.zero


@dataclass(frozen=True, slots=True)
class Mixture:
    """How one point's candidates are added up in one step, wherever and however often the point is used.

    Args:
        weights: (candidates,) what each candidate's output is multiplied by.
        active: indices of the only candidates that are run; None runs all.
        ghosts: whether weights of candidates that are not run are added as scalars of value zero that carry
            gradient.
    """

    weights: Tensor
    active: tuple[int, ...] | None = None
    ghosts: bool = False


def owners(points: Sequence[RelaxedPoint]) -> frozenset[str]:
    """Return the addresses of the points that have other points under every candidate."""
    below: dict[str, set[int]] = {}
    for point in points:
        if point.under is not None:
            below.setdefault(point.under[0], set()).add(point.under[1])
    return frozenset(p.address for p in points if len(below.get(p.address, ())) == len(p.labels))


def derive(
    points: Sequence[RelaxedPoint], scores: Mapping[str, Sequence[float]], *, zero: bool = False
) -> dict[str, Value]:
    """Return the values of the decision with the best candidate at every point that it has.

    An edge scores its own number times the best that each point right under it offers: with w_e the score of
    edge e, and p_{e,o} those of the candidates o on it, DARTS keeps the edges with the largest max_o p_{e,o}
    (Liu et al. 2019, section 2.4; w_e = 1 there), PC-DARTS those with the largest w_e max_o p_{e,o} (Xu et
    al. 2020, section 3.3). In both o is not a candidate that passes nothing on.

    Args:
        points: every point above its candidates' points.
        scores: of every candidate, at least 0 and larger is better; of equal ones the first is taken.
        zero: whether a candidate that passes nothing on may be chosen.
    """
    below: dict[tuple[str, int], list[RelaxedPoint]] = {}
    for point in points:
        if point.under is not None:
            below.setdefault(point.under, []).append(point)
    allowed = {point.address: _allowed(point, zero) for point in points}
    values: dict[str, Value] = {}

    def take(point: RelaxedPoint) -> None:
        own = scores[point.address]
        # Of a point that chooses one, the score; of edges, times the best under each of them.
        strengths = {index: float(own[index]) for index in allowed[point.address]}
        if point.kind == RelaxedKind.EDGES:
            for index in strengths:
                for inner in below.get((point.address, index), ()):
                    strengths[index] *= max(float(scores[inner.address][i]) for i in allowed[inner.address])
        # The `keep` best, ties to the first; the decision lists them in the order of the candidates.
        ranked = sorted(strengths, key=lambda index: (-strengths[index], index))
        chosen = sorted(ranked[: point.keep])
        labels = tuple(point.labels[index] for index in chosen)
        values[point.address] = labels if point.kind == RelaxedKind.EDGES else labels[0]
        # A decision has values only for points under what was chosen.
        for index in chosen:
            for inner in below.get((point.address, index), ()):
                take(inner)

    for point in points:
        if point.under is None:
            take(point)
    return values


def _allowed(point: RelaxedPoint, zero: bool) -> list[int]:
    everything = range(len(point.labels))
    kept = [index for index in everything if zero or index not in point.zero]
    if len(kept) < point.keep:
        raise AlgorithmError(
            f"a decision keeps {point.keep} candidates that pass something on; {point.address!r} has "
            f"{len(kept)} of {len(point.labels)}: give it more that do"
        )
    return kept


def shares(points: Sequence[RelaxedPoint], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return (candidates,) for each point: how much of each candidate a random decision has.

    With p the probability of a candidate at its point and u(i) the candidate that point i stands under,

        share(i, c) = p(i, c) share(u(i)),

    where share = 1 above the root. At edges, of which k are kept, p(i, c) = k w_c / sum w: that is how often
    c comes, in the mean, in k draws in proportion to w.

    Args:
        points: every point above its candidates' points.
        weights: (candidates,) of each point; at points of which one is chosen they are probabilities, at
            edges they are in proportion to them.
    """
    found: dict[str, Tensor] = {}
    # Points come from the root downwards, so what is above has its share already.
    for point in points:
        own = weights[point.address]
        own = own * (point.keep / own.sum()) if point.kind == RelaxedKind.EDGES else own
        found[point.address] = own if point.under is None else own * found[point.under[0]][point.under[1]]
    return found


def expected_cost(
    points: Sequence[RelaxedPoint], weights: Mapping[str, Tensor], costs: Costs, base: float = 0.0
) -> Tensor | float:
    """Return the mean cost of a random decision, differentiable in the weights.

    base + sum_i sum_c share(i, c) cost(i, c): by the linearity of the expectation it is exact where a
    decision's cost is `base` and the sum of what its candidates cost, however the choices depend on each
    other (Cai et al. 2019, ProxylessNAS, whose latency it is).

    Args:
        points: every point above its candidates' points.
        weights: as in `shares`.
        costs: of every candidate; points that are not there cost nothing.
        base: what every decision costs.
    """
    total: Tensor | float = base
    for address, share in shares(points, weights).items():
        if address in costs:
            total = total + (share * share.new_tensor(list(costs[address]))).sum()
    return total


def skip_share(points: Sequence[RelaxedPoint], values: Mapping[str, Value]) -> float:
    """Return how many of a decision's choices are skip connections, among those that could be.

    A share near 1 is how DARTS is known to fail: skip connections learn fastest, and crowd the others out.

    Args:
        points: of the relaxed network.
        values: of a decision.
    """
    # DARTS+ (Liang et al. 2019) stops a search by this number.
    able = [
        point for point in points if point.skips and point.kind == RelaxedKind.ONE and point.address in values
    ]
    skipping = [values[point.address] in [point.labels[index] for index in point.skips] for point in able]
    return sum(skipping) / len(able) if able else 0.0
