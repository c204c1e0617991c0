"""DARTS: all candidates at once, weighted by a softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm, Step
from symnas.contracts.relaxed_points import Mix, RelaxedPoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class DARTS(RelaxedAlgorithm):
    """Differentiable architecture search: candidates are weighted by the softmax of their logits.

    `order=2` takes for the logits the weights that one more training step would give (the published
    second-order form, with a finite difference for the mixed second derivative).

    H. Liu, K. Simonyan, Y. Yang: DARTS: Differentiable Architecture Search, ICLR 2019; reference
    implementation github.com/quark0/darts.
    """

    def mix(
        self,
        point: RelaxedPoint,  # noqa: ARG002 - all are mixed alike
        logits: Tensor,
        progress: float,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
        step: Step,  # noqa: ARG002
    ) -> Mix:
        """Weight every candidate."""
        return Mix(self.coefficients(logits))
