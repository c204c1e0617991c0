"""Single-Path NAS: widths and kernels decided by how large the weights are that they add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from symnas.contracts.algorithm import Capabilities
from symnas.contracts.hyperparameters import with_hyperparameters
from symnas.contracts.relaxed_algorithm import Logits, RelaxedAlgorithm, Strengths, Updated
from symnas.contracts.relaxed_points import Mixture, RelaxedKind, RelaxedPoint
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from symnas._typing import Value


@with_hyperparameters(source="Stamoulis et al. 2019")
class SinglePathNAS(RelaxedAlgorithm):
    """Single-Path NAS: a larger kernel or width is in use while the weights that it adds are strong.

    What a value adds to the next smaller one (the ring around a kernel, further features) is there where the
    squared norm of its weights is above a threshold, 1(||w||² > t), and every smaller one's is. The
    thresholds are trained; the indicator's gradient is taken to be that of a sigmoid, in the thresholds and
    in the weights. The logits of the candidates are the thresholds, which do not decay; that of the smallest
    value is not used.

    D. Stamoulis et al.: Single-Path NAS: Designing Hardware-Efficient ConvNets in less than 4 Hours, ECML
    PKDD 2019 (arXiv:1904.02877); reference implementation github.com/dstamoulis/single-path-nas. There
    thresholds and weights are trained in one step on the same batch; here in alternating steps, as by the
    rest of the family.
    """

    capabilities: ClassVar[Capabilities] = replace(RelaxedAlgorithm.capabilities, conditional=False)
    kinds: ClassVar[tuple[RelaxedKind, ...]] = (RelaxedKind.SIZE,)

    arch_decay: float = 0.0

    def mixes(
        self,
        points: Sequence[RelaxedPoint],
        logits: Logits,
        progress: float,  # noqa: ARG002 - nothing changes over the search
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
        step: Updated = "weights",  # noqa: ARG002
        strengths: Strengths | None = None,
    ) -> dict[str, Mixture]:
        """Return the sizes that the strengths of the weights and the thresholds stand for."""
        if strengths is None:
            raise AlgorithmError(
                "Single-Path NAS compares the weights of a relaxed network with thresholds; mix by the "
                "network's strengths"
            )
        return {p.address: Mixture(_weights(p, logits[p.address], strengths(p.address))) for p in points}

    def mix(
        self,
        point: RelaxedPoint,
        logits: Tensor,
        progress: float,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
        step: Updated,  # noqa: ARG002
    ) -> Mixture:
        """Mix as if all weights were as strong as one another: those above the thresholds are in use."""
        return Mixture(_weights(point, logits, logits.new_zeros(len(logits))))

    def probabilities(
        self, points: Sequence[RelaxedPoint], logits: Logits, mixes: Mapping[str, Mixture] | None = None
    ) -> dict[str, Tensor]:
        """Return what is in use; before there is a step, the largest sizes are."""
        if mixes is not None:
            return {address: mix.weights for address, mix in mixes.items()}
        found = {}
        for point in points:
            own = logits[point.address]
            # Thresholds say nothing without strengths; they begin near 0, where every size is in use.
            found[point.address] = own.new_zeros(len(own)).index_fill(0, _last(point, own), 1.0)
        return found

    def derive(
        self, points: Sequence[RelaxedPoint], logits: Logits, strengths: Strengths | None = None
    ) -> dict[str, Value]:
        """Return the values of the sizes in use."""
        found: dict[str, Value] = {}
        for point in points:
            own = logits[point.address].detach()
            power = own.new_zeros(len(own)) if strengths is None else strengths(point.address).detach()
            found[point.address] = point.labels[int(_weights(point, own, power).argmax())]
        return found


def _weights(point: RelaxedPoint, thresholds: Tensor, strengths: Tensor) -> Tensor:
    """Return (candidates,) one for the size in use, with the gradient of sigmoids."""
    order = sorted(range(len(point.labels)), key=lambda code: point.labels[code])  # type: ignore[arg-type,return-value]
    # (candidates,): squared norms less thresholds. The paper squares norms, their code does not.
    margin = strengths.to(thresholds) - thresholds
    soft = margin.sigmoid()
    gates = (margin > 0).to(soft) + (soft - soft.detach())
    # A ring is there where all inside it are: (1, g1, g1 g2, …), of which neighbours' differences are taken.
    # Written as weights of sizes, w_j = t_j - t_{j+1} with t the products of gates: they add up to 1, and
    # sum_j w_j y_j = y_0 + sum_j t_j (y_j - y_{j-1}), which adds what each ring adds while its t_j is 1.
    there = [gates.new_ones(())]
    for code in order[1:]:
        there.append(there[-1] * gates[code])
    there.append(gates.new_zeros(()))
    weights: list[Tensor] = [gates.new_zeros(())] * len(order)
    for place, code in enumerate(order):
        weights[code] = there[place] - there[place + 1]
    return _stacked(weights)


def _stacked(weights: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.stack(list(weights))


def _last(point: RelaxedPoint, like: Tensor) -> Tensor:
    largest = max(range(len(point.labels)), key=lambda code: point.labels[code])  # type: ignore[arg-type,return-value]
    return like.new_tensor([largest]).long()
