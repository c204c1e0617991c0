"""TAS: widths drawn two at a time, the narrower one stretched to the wider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from symnas.algorithms.relaxed.temperature import check_falling, falling
from symnas.contracts.hyperparameters import POSITIVE, hyperparameter, whole, with_hyperparameters
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm, Updated
from symnas.contracts.relaxed_points import Mixture, RelaxedKind, RelaxedPoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@with_hyperparameters(source="Dong and Yang 2019")
class TAS(RelaxedAlgorithm):
    """Transformable architecture search: each step weighs two widths of each layer against each other.

    Two candidates are drawn by their probabilities. Their weights are the softmax, over the two, of
    (log softmax + Gumbel noise) / tau, and the features of the narrower one are stretched to the number of
    the wider one by averaging neighbours. Depths are weighed in the same way, without stretching.

    X. Dong, Y. Yang: Network Pruning via Transformable Architecture Search, NeurIPS 2019 (arXiv:1905.09717);
    reference implementation github.com/D-X-Y/AutoDL-Projects. The paper keeps the cost within 5% of a target;
    here the cost is a term of the loss (`cost_form`).
    """

    kinds: ClassVar[tuple[RelaxedKind, ...]] = (RelaxedKind.SIZE, RelaxedKind.DEPTH)

    epochs: int = 600
    batch_size: int = 256
    lr: float = 0.1
    lr_min: float = 0.0
    weight_decay: float = 5e-4
    arch_lr: float = 1e-3
    tau_max: float = hyperparameter(10.0, POSITIVE, "temperature in the first epoch")
    tau_min: float = hyperparameter(0.1, POSITIVE, "temperature in the last; between them it falls linearly")
    drawn: int = hyperparameter(2, whole(1), "how many candidates are drawn at each point in a step")

    def __post_init__(self) -> None:
        """Refuse temperatures that do not fall."""
        super().__post_init__()
        check_falling(self.tau_max, self.tau_min)

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
        step: Updated,  # noqa: ARG002
    ) -> Mixture:
        """Draw candidates, and weigh them against each other."""
        tau = falling(self.tau_max, self.tau_min, progress)
        # Which candidates is drawn by softmax(a) without the noise, and the noise weighs those drawn. Their
        # code draws by the softmax of what is noisy and divided by tau, which at tau = 10 is nearly even.
        chances = logits.detach().softmax(-1).cpu()
        count = min(self.drawn, int((chances > 0).sum()))
        drawn = chances.multinomial(count, generator=generator).to(logits.device)
        # Minus this is Gumbel noise: -log E of a standard exponential E.
        noise = chances.new_empty(len(chances)).exponential_(generator=generator).log().to(logits)
        weights = ((logits.log_softmax(-1) - noise)[drawn] / tau).softmax(-1)
        return Mixture(weights.new_zeros(len(logits)).index_add(0, drawn, weights), tuple(drawn.tolist()))
