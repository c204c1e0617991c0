"""GDAS: one candidate per step, drawn by the Gumbel trick, and a gradient straight through the draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas.algorithms.relaxed.temperature import check_falling, falling
from symnas.contracts.hyperparameters import POSITIVE, hyperparameter, with_hyperparameters
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm, Updated
from symnas.contracts.relaxed_points import Mixture, RelaxedPoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@with_hyperparameters(source="Dong and Yang 2019")
class GDAS(RelaxedAlgorithm):
    """Gradient-based search with a differentiable sampler: each step runs one candidate per point.

    The candidate is the largest of h = softmax((log softmax(a) + g) / tau), with a the logits and g Gumbel
    noise. Forward its weight is 1; backward the gradient is that of h, to which the candidates that were not
    run add as scalars of value zero. The noise is drawn once per point and step.

    X. Dong, Y. Yang: Searching for a Robust Neural Architecture in Four GPU Hours, CVPR 2019
    (arXiv:1910.04465); reference implementation github.com/D-X-Y/AutoDL-Projects, which, unlike the paper's
    algorithm, updates the weights first, as here.
    """

    epochs: int = 240
    weights_first: bool = True
    tau_max: float = hyperparameter(10.0, POSITIVE, "temperature in the first epoch")
    tau_min: float = hyperparameter(0.1, POSITIVE, "temperature in the last; between them it falls linearly")

    def __post_init__(self) -> None:
        """Refuse temperatures that do not fall."""
        super().__post_init__()
        check_falling(self.tau_max, self.tau_min)

    def mix(
        self,
        point: RelaxedPoint,  # noqa: ARG002 - all are mixed alike
        logits: Tensor,
        progress: float,
        generator: torch.Generator,
        step: Updated,  # noqa: ARG002
    ) -> Mixture:
        """Draw one candidate, with the gradient of the softmax."""
        tau = falling(self.tau_max, self.tau_min, progress)
        # -log E is Gumbel noise where E is standard exponential (torch draws no zero). The argmax of log
        # softmax(a) + g is a draw from softmax(a) at any tau (Gumbel-max): the temperature shapes the
        # gradient only.
        noise = logits.detach().new_empty(len(logits), device="cpu").exponential_(generator=generator)
        soft = ((logits.log_softmax(-1) - noise.log().to(logits.device)) / tau).softmax(-1)
        drawn = int(soft.argmax())
        hard = soft.detach().new_zeros(len(soft))
        hard[drawn] = 1.0
        # Grouped so that the value is one-hot to the last bit.
        # dL/da goes through h of all candidates: <dL/dy, o_i> for the one that runs, and for the others what
        # stands in their place, a scalar added to the output, the sum of dL/dy.
        return Mixture(hard + (soft - soft.detach()), (drawn,), ghosts=logits.requires_grad)
