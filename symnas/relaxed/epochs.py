"""What a relaxed search writes down of its epochs, and when that says to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm
from symnas.contracts.relaxed_points import RelaxedKind, RelaxedPoint

if TYPE_CHECKING:
    from torch import Tensor

WINDOW = 5
"""How many epochs' eigenvalues are averaged, and how far the two averages are apart (R-DARTS)."""
GROWTH = 0.75
"""R-DARTS stops when the earlier average is less than this share of the later one."""


@dataclass(frozen=True)
class Epoch:
    """What happened in one epoch.

    Args:
        epoch: number, from 0.
        train_loss: mean loss of the steps of the weights.
        valid_loss: mean loss of the steps of the logits, without costs; NaN where there were none.
        lr: learning rate of the weights.
        skips: share of skip connections in the decision that the logits stand for.
        entropy: mean entropy of the candidates' probabilities, as a share of the largest possible.
        eigenvalue: dominant eigenvalue of the validation loss's Hessian in the logits, where asked for.
    """

    epoch: int
    train_loss: float
    valid_loss: float
    lr: float
    skips: float
    entropy: float
    eigenvalue: float | None = None

    def __str__(self) -> str:
        """Say how far the search is, on one line."""
        logits = "" if math.isnan(self.valid_loss) else f", of the logits {self.valid_loss:.3g}"
        return f"epoch {self.epoch + 1}, loss {self.train_loss:.3g}{logits}"


def epochs_back(algorithm: RelaxedAlgorithm, history: Sequence[Epoch]) -> int:
    """Return by how many epochs a search is to go back to end there, or 0 to go on.

    Skip connections: H. Liang et al.: DARTS+, 2019 (there by number, in one cell; here by share).
    Eigenvalues: A. Zela et al.: Understanding and Robustifying Differentiable Architecture Search, ICLR 2020.

    Args:
        algorithm: says by which rule.
        history: all epochs so far.
    """
    if algorithm.stop == "skips" and history[-1].skips > algorithm.skip_limit:
        return 1
    if algorithm.stop == "eigenvalue" and len(history) >= 2 * WINDOW:
        # mean(values[t - 9 … t - 5]) / mean(values[t - 4 … t]) < 3 / 4: the loss has become sharp in the
        # logits, so rounding them to a decision would change it much; it would less before the rise.
        values = [abs(done.eigenvalue or 0.0) for done in history]
        if sum(values[-2 * WINDOW : -WINDOW]) < GROWTH * sum(values[-WINDOW:]):
            return WINDOW
    return 0


def entropy(points: Sequence[RelaxedPoint], logits: Mapping[str, Tensor]) -> float:
    """Return the mean entropy of points of which one is chosen, as a share of that of equal chances."""
    shares = []
    for point in points:
        own = logits[point.address].detach()
        if point.kind != RelaxedKind.EDGES and len(own) > 1:
            likely = own.log_softmax(-1)  # (candidates,); -sum_c p_c log p_c, of at most log(candidates)
            shares.append(float(-(likely.exp() * likely).sum()) / math.log(len(own)))
    return sum(shares) / len(shares) if shares else 0.0
