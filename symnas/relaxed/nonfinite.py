"""Saying which candidate of a relaxed network computes what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from symnas.contracts.relaxed_points import Mixture, RelaxedPoint

if TYPE_CHECKING:
    from symnas.relaxed.network import Relaxed

TRIES = 32
"""How many random decisions are tried for one with a finite loss, from which single candidates are judged."""

DIVERGED = (
    f"and so it is along each of {TRIES} single paths: the weights have diverged. Lower lr, clip gradients "
    "(clip=5), or look for what is not finite in the data or the loss"
)
GROWN = (
    "though along single paths it is finite: what the candidates add up to has grown too large. Lower lr, or "
    "normalise what they give"
)

SinglePath = Mapping[str, tuple[int, ...]]
"""Indices of the candidates that are taken, by address: one, or as many as edges keep."""


def explain_nonfinite(
    network: Relaxed,
    inputs: tuple[Any, ...],
    targets: Tensor,
    loss: Callable[[Any, Tensor], Any],
    number: float,
    epoch: int,
) -> str:
    """Return a message that names the candidates without which a loss would be finite, and the first's line.

    A sum with one term that is not finite is not finite itself, so candidates are judged one by one: along a
    single path on which the loss is finite, each is put in the place of the one that stands there.

    Args:
        network: as it was when the loss was computed.
        inputs: of the batch.
        targets: of the batch.
        loss: of outputs and targets.
        number: the loss.
        epoch: when that was.
    """
    points = network.points

    def finite(path: SinglePath) -> bool:
        with torch.no_grad():
            found = loss(network(*inputs, mixes=_only(network, path)), targets)
        return bool(torch.isfinite(torch.as_tensor(found)))

    rule = f"a relaxed search goes on while its loss is a finite number; in epoch {epoch} it is {number}"
    base = next((path for path in _decisions(points) if finite(path)), None)
    if base is None:
        return f"{rule}, {DIVERGED}"
    # A call for every candidate of every point. All else on the path is as where the loss was finite, save
    # for what has to be chosen above for the point to be there.
    reasons = [
        (point, label)
        for point in points
        for index, label in enumerate(point.labels)
        if not finite({**base, **_reaching(points, point), point.address: _chosen(point, index)})
    ]
    if not reasons:
        return f"{rule}, {GROWN}"
    return f"{network.places[reasons[0][0].address].location}\n{rule}, {_because(reasons)}"


def _because(reasons: Sequence[tuple[RelaxedPoint, object]]) -> str:
    shown = ", ".join(f"{label!r} of {point.address!r}" for point, label in reasons[:6])
    shown += f" and {len(reasons) - 6} more" if len(reasons) > 6 else ""
    return f"because of candidate {shown}: mend or leave out what is not finite there, or lower lr"


def _chosen(point: RelaxedPoint, index: int) -> tuple[int, ...]:
    # Of edges as many are kept as ever: this one, and the first of the others.
    others = [other for other in range(len(point.labels)) if other != index]
    return tuple(sorted([index, *others[: point.keep - 1]]))


def _reaching(points: Sequence[RelaxedPoint], point: RelaxedPoint) -> dict[str, tuple[int, ...]]:
    """Return what is to be chosen above a point for it to be there."""
    by_address, found = {other.address: other for other in points}, {}
    while point.under is not None:
        address, index = point.under
        point = by_address[address]
        found[address] = _chosen(point, index)
    return found


def _decisions(points: Sequence[RelaxedPoint]) -> list[SinglePath]:
    """Draw single paths, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    drawn: list[SinglePath] = []
    for _ in range(TRIES):
        picks = {p.address: int(torch.randint(len(p.labels), (), generator=generator)) for p in points}
        drawn.append({point.address: _chosen(point, picks[point.address]) for point in points})
    return drawn


def _only(network: Relaxed, choice: SinglePath) -> dict[str, Mixture]:
    mixes = {}
    for point in network.points:
        weights = torch.zeros_like(network.logits[point.address].detach())
        weights[list(choice[point.address])] = 1.0
        mixes[point.address] = Mixture(weights, choice[point.address])
    return mixes
