"""TAS: widths drawn two at a time, the narrower one stretched to the wider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm, Step
from symnas.contracts.relaxed_points import Kind, Mix, RelaxedPoint
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class TAS(RelaxedAlgorithm):
    """Transformable architecture search: each step weighs two widths of each layer against each other.

    Two candidates are drawn by their probabilities. Their weights are the softmax, over the two, of
    (log softmax + Gumbel noise) / tau, and the features of the narrower one are stretched to the number of
    the wider one by averaging neighbours. Depths are weighed in the same way, without stretching.

    X. Dong, Y. Yang: Network Pruning via Transformable Architecture Search, NeurIPS 2019; reference
    implementation github.com/D-X-Y/AutoDL-Projects. The paper keeps the cost within 5% of a target; here the
    cost is a term of the loss (`cost_form`).

    Args:
        epochs: passes over the data that the weights are trained on.
        batch_size: examples per batch.
        lr: learning rate of the weights.
        lr_min: learning rate at the end.
        weight_decay: of the weights.
        arch_lr: learning rate of the logits.
        tau_max: temperature in the first epoch.
        tau_min: temperature in the last; between them it falls linearly.
        drawn: how many candidates are drawn at each point in a step.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("size", "depth")

    epochs: int = 600
    batch_size: int = 256
    lr: float = 0.1
    lr_min: float = 0.0
    weight_decay: float = 5e-4
    arch_lr: float = 1e-3
    tau_max: float = 10.0
    tau_min: float = 0.1
    drawn: int = 2

    def __post_init__(self) -> None:
        """Refuse temperatures that do not fall, and drawing nothing."""
        super().__post_init__()
        if not 0 < self.tau_min <= self.tau_max:
            raise AlgorithmError(
                f"the temperature falls from tau_max to tau_min, above 0; got {self.tau_max!r} and "
                f"{self.tau_min!r}"
            )
        self._check_number("drawn", self.drawn, 1, whole=True)

    @property
    def network_options(self) -> dict[str, Any]:
        """What the relaxed network is made with: features of narrower widths are stretched."""
        return {**super().network_options, "interpolate": True}

    def mix(
        self,
        point: RelaxedPoint,  # noqa: ARG002 - all are mixed alike
        logits: Tensor,
        progress: float,
        generator: torch.Generator,
        step: Step,  # noqa: ARG002
    ) -> Mix:
        """Draw candidates, and weigh them against each other."""
        tau = self.tau_max - (self.tau_max - self.tau_min) * progress
        chances = logits.detach().softmax(-1).cpu()
        count = min(self.drawn, int((chances > 0).sum()))
        drawn = chances.multinomial(count, generator=generator).to(logits.device)
        noise = chances.new_empty(len(chances)).exponential_(generator=generator).log().to(logits)
        weights = ((logits.log_softmax(-1) - noise)[drawn] / tau).softmax(-1)
        return Mix(weights.new_zeros(len(logits)).index_add(0, drawn, weights), tuple(drawn.tolist()))
