"""GDAS: one candidate per step, drawn by the Gumbel trick, and a gradient straight through the draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm, Step
from symnas.contracts.relaxed_points import Mix, RelaxedPoint
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class GDAS(RelaxedAlgorithm):
    """Gradient-based search with a differentiable sampler: each step runs one candidate per point.

    The candidate is the largest of (log softmax + Gumbel noise) / tau. Forward its weight is 1; backward the
    gradient is that of the softmax of the same numbers, to which the candidates that were not run add as
    scalars of value zero. The noise is drawn once per point and step.

    X. Dong, Y. Yang: Searching for a Robust Neural Architecture in Four GPU Hours, CVPR 2019; reference
    implementation github.com/D-X-Y/AutoDL-Projects, which, unlike the paper's algorithm, updates the weights
    first, as here.

    Args:
        epochs: passes over the data that the weights are trained on.
        tau_max: temperature in the first epoch.
        tau_min: temperature in the last; between them it falls linearly.
        weights_first: whether the weights' step comes before the logits'.
    """

    epochs: int = 240
    tau_max: float = 10.0
    tau_min: float = 0.1
    weights_first: bool = True

    def __post_init__(self) -> None:
        """Refuse temperatures that do not fall."""
        super().__post_init__()
        if not 0 < self.tau_min <= self.tau_max:
            raise AlgorithmError(
                f"the temperature falls from tau_max to tau_min, above 0; got {self.tau_max!r} and "
                f"{self.tau_min!r}"
            )

    def mix(
        self,
        point: RelaxedPoint,  # noqa: ARG002 - all are mixed alike
        logits: Tensor,
        progress: float,
        generator: torch.Generator,
        step: Step,  # noqa: ARG002
    ) -> Mix:
        """Draw one candidate, with the gradient of the softmax."""
        tau = self.tau_max - (self.tau_max - self.tau_min) * progress
        noise = logits.detach().new_empty(len(logits), device="cpu").exponential_(generator=generator)
        soft = ((logits.log_softmax(-1) - noise.log().to(logits.device)) / tau).softmax(-1)
        drawn = int(soft.argmax())
        hard = soft.detach().new_zeros(len(soft))
        hard[drawn] = 1.0
        # Grouped so that the value is one-hot to the last bit.
        return Mix(hard + (soft - soft.detach()), (drawn,), ghosts=logits.requires_grad)
