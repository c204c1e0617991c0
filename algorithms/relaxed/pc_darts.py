"""PC-DARTS: a part of the channels, and edges with weights of their own."""

from __future__ import annotations

from typing import ClassVar

from symnas.algorithms.relaxed.darts import DARTS
from symnas.contracts.hyperparameters import with_hyperparameters


@with_hyperparameters(source="Xu et al. 2020")
class PCDARTS(DARTS):
    """DARTS that mixes the first quarter of the channels and passes the others on, and weights edges.

    With `partial=k` a point's output is sum_i softmax(a)_i o_i(x_S) beside x outside of S, where S are the
    first 1/k of the channels. What passes takes no memory for candidates, so batches may be larger. Edges
    into one node are weighted by the softmax of logits of their own (edge normalisation), and ranked by these
    times those of their candidates. Logits stay as they are for the first epochs, in which weights settle.

    Y. Xu et al.: PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search, ICLR 2020
    (arXiv:1907.05737); reference implementation github.com/yuhuixu1993/PC-DARTS.
    """

    # Xu and others, section 3.3: y = sum over edges e of softmax(b)_e f_e(x), and edges are ranked by
    # softmax(b)_e times the best softmax(a) on e (`relaxed_points.derive`).
    edge_logits: ClassVar[bool] = True

    batch_size: int = 256
    lr: float = 0.1
    arch_lr: float = 6e-4
    warmup: int = 15
    partial: int = 4
