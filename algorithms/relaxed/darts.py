"""DARTS: all candidates at once, weighted by a softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symnas.contracts.hyperparameters import with_hyperparameters
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm, Updated
from symnas.contracts.relaxed_points import Mixture, RelaxedPoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@with_hyperparameters(source="Liu et al. 2019")
class DARTS(RelaxedAlgorithm):
    """Differentiable architecture search: candidates are weighted by the softmax of their logits.

    A point's output is sum_i softmax(a)_i o_i(x), with a its logits and o_i its candidates. Steps take turns:
    the weights w go down the training loss, the logits down the loss on held-out data. With `order=2` the
    latter is that at w - lr · dL_train/dw, the weights that one more training step would give (the
    published second-order form, with a finite difference for the mixed second derivative).

    H. Liu, K. Simonyan, Y. Yang: DARTS: Differentiable Architecture Search, ICLR 2019 (arXiv:1806.09055);
    reference implementation github.com/quark0/darts. There one half of the training data is the held-out
    one, as here by `held_out`.
    """

    def mix(
        self,
        point: RelaxedPoint,  # noqa: ARG002 - all are mixed alike
        logits: Tensor,
        progress: float,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
        step: Updated,  # noqa: ARG002
    ) -> Mixture:
        """Weight every candidate."""
        return Mixture(self.coefficients(logits))
