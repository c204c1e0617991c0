"""ProxylessNAS: binary gates, of which two are compared at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from symnas.contracts.hyperparameters import with_hyperparameters
from symnas.contracts.relaxed_algorithm import Logits, RelaxedAlgorithm, Updated
from symnas.contracts.relaxed_points import Mixture, RelaxedKind, RelaxedPoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@with_hyperparameters(source="Cai et al. 2019")
class Proxyless(RelaxedAlgorithm):
    """ProxylessNAS: the weights are trained along one sampled path, the logits by comparing two candidates.

    A step of the logits samples two candidates of each point, lets one of them through (gate 1), and takes as
    gradient of the two gates how the loss would change with each. Afterwards the two logits are shifted
    together, so that the probabilities of all other candidates are what they were. An expected cost, where
    one is given, moves the two sampled candidates only.

    The learning rate of the weights is `lr` after the warm-up, and twice as large at its beginning. The cost
    enters as published for mobile latency, `cost_form="log"`; the other form is the paper's for a GPU.

    H. Cai, L. Zhu, S. Han: ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware,
    ICLR 2019 (arXiv:1812.00332); reference implementation github.com/mit-han-lab/proxylessnas (defaults of
    `imagenet_arch_search.py`; its 40 epochs of warm-up, which have a schedule of their own, are counted in
    `epochs` here).
    """

    keeps_zero: ClassVar[bool] = True

    epochs: int = 160
    batch_size: int = 256
    held_out: float = 0.04
    lr_min: float = 0.0
    nesterov: bool = True
    weight_decay: float = 4e-5
    clip: float = 0.0
    arch_lr: float = 1e-3
    arch_betas: tuple[float, float] = (0.0, 0.999)
    arch_decay: float = 0.0
    warmup: int = 40
    every: int = 5
    weights_first: bool = True
    cost_form: str = "log"
    cost_weight: float = 0.2

    def mix(
        self,
        point: RelaxedPoint,  # noqa: ARG002 - all are mixed alike
        logits: Tensor,
        progress: float,  # noqa: ARG002
        generator: torch.Generator,
        step: Updated,
    ) -> Mixture:
        """Sample one path for the weights; two, of which one is open, for the logits."""
        # Drawn on the CPU, so that a seed means the same on every device.
        chances = logits.detach().softmax(-1).cpu()
        several = step == "logits" and int((chances > 0).sum()) > 1
        drawn = chances.multinomial(2 if several else 1, generator=generator)
        # Section 3.2.1: the probabilities p of the two, given that it is one of them, and a gate g that is 1
        # with these.
        pair = logits[drawn.to(logits.device)].softmax(-1)
        opened = int(pair.detach().cpu().multinomial(1, generator=generator)) if several else 0
        gates = pair.detach().new_zeros(len(drawn))
        gates[opened] = 1.0
        weights = pair.detach().new_zeros(len(logits))
        # Forward the gates, backward as if they were p: dL/da_i = sum_j dL/dg_j p_j (δ_ij - p_i), equation 4
        # over the two, with dL/dg_j = <dL/dy, o_j>, which is why both are run. Their code skips the update of
        # a point whose open gate is a candidate that passes nothing on; the equation knows no such case, nor
        # does this.
        through = gates + (pair - pair.detach()) if several else gates
        weights = weights.index_add(0, drawn.to(logits.device), through)
        return Mixture(weights, tuple(drawn.tolist()))

    def probabilities(
        self, points: Sequence[RelaxedPoint], logits: Logits, mixes: Mapping[str, Mixture] | None = None
    ) -> dict[str, Tensor]:
        """Return how probable candidates are; only those that were run in the step carry gradient."""
        if mixes is not None:
            # E[cost] over all candidates, of which two move. Their code takes it over the two, by p as in
            # `mix`.
            logits = {address: _held(own, mixes[address].active) for address, own in logits.items()}
        return super().probabilities(points, logits)

    def settle(
        self, points: Sequence[RelaxedPoint], logits: Logits, before: Logits, mixes: Mapping[str, Mixture]
    ) -> None:
        """Shift the logits of the two candidates so that they have the probability together that they had."""
        for point in points:
            pair = mixes[point.address].active
            if pair is None or len(pair) < 2 or point.kind == RelaxedKind.EDGES:
                continue
            chosen, own = list(pair), logits[point.address].detach()
            # exp(a_1) + exp(a_2) is then what it was, and so is the denominator of every other candidate's
            # softmax.
            own[chosen] += before[point.address][chosen].logsumexp(0) - own[chosen].logsumexp(0)

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of the weights: one cosine for the warm-up and one for the rest."""
        if epoch < self.warmup:
            # Half a cosine from 2 lr, their 0.05, to 0.
            return self.lr * (1 + math.cos(math.pi * epoch / self.warmup))
        part = (epoch - self.warmup) / max(1, self.epochs - self.warmup)
        return self.lr_min + (self.lr - self.lr_min) * (1 + math.cos(math.pi * part)) / 2


def _held(logits: Tensor, moving: tuple[int, ...] | None) -> Tensor:
    if moving is None:
        return logits
    held = logits.detach().clone()
    held[list(moving)] = logits[list(moving)]
    return held
