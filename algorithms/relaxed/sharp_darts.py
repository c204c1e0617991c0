"""sharpDARTS: cosine power annealing, and weights whose largest is one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from symnas.algorithms.relaxed.darts import DARTS
from symnas.contracts.hyperparameters import FLAG, hyperparameter, number, whole, with_hyperparameters
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    from torch import Tensor


@with_hyperparameters(source="Hundt et al. 2019")
class SharpDARTS(DARTS):
    """DARTS with Max-W regularisation and cosine power annealing.

    A candidate's coefficient is 1 - max(w) + w, so that the likeliest one, at 1, has nothing to gain from
    growing further. The learning rate falls as a power of a cosine: with c = (1 + cos(pi t / T)) / 2 it is
    `power` ** (c + 1), rescaled to [lr_min, lr], and c itself at power 1.

    A. Hundt, V. Jain, G. D. Hager: sharpDARTS: Faster and More Accurate Differentiable Architecture Search,
    2019 (arXiv:1903.09900); reference implementation github.com/ahundt/sharpDARTS.
    """

    lr_min: float = 1e-4
    # Below a power of 1 the rescaled curve would be another one.
    power: float = hyperparameter(
        10.0,
        number(at_least=1),
        "exponent order of the annealing; the larger, the faster it falls at first",
    )
    lr_warmup: int = hyperparameter(5, whole(0), "epochs in which the learning rate rises linearly")
    max_w: bool = hyperparameter(
        True, FLAG, "whether coefficients are Max-W's rather than the softmax itself"
    )
    detach_max: bool = hyperparameter(
        False,
        FLAG,
        "whether no gradient flows through max(w): so the paper writes it, and not so the code",
    )

    def coefficients(self, logits: Tensor) -> Tensor:
        """Weight candidates so that the likeliest has weight 1."""
        weights = logits.softmax(-1)
        if not self.max_w:
            return weights
        # With the gradient of the maximum, the largest coefficient is constant: its logit moves through the
        # others.
        largest = weights.detach().max() if self.detach_max else weights.max()
        return (1 - largest + weights).masked_fill(logits.isneginf(), 0.0)

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of the weights: a linear rise, then cosine power annealing."""
        # As in their `cosine_power_annealing.py`, epochs are numbered from 1, and in W epochs of warm-up the
        # rate rises over W + 1 of them, to `lr` in the last; the annealing, which counts from W, goes on
        # behind that.
        number = epoch + 1
        if number <= self.lr_warmup + 1:
            part = number / (self.lr_warmup + 1)
        else:
            part = annealed((number - self.lr_warmup) / (self.epochs - self.lr_warmup), self.power)
        return self.lr_min + (self.lr - self.lr_min) * part


def annealed(progress: float, power: float) -> float:
    """Return cosine power annealing from 1 at progress 0 to 0 at progress 1.

    Args:
        progress: share of the schedule that is over.
        power: exponent order, at least 1; 1 is cosine annealing.

    Raises:
        AlgorithmError: the power is below 1.
    """
    if power < 1:
        raise AlgorithmError(f"the power of an annealing is at least 1; got {power!r}")
    # p^(c + 1) lies between p, at c = 0, and p², at c = 1, whence the scaling to [0, 1].
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return cosine if power == 1 else (power ** (cosine + 1) - power) / (power**2 - power)
