"""PC-DARTS: a part of the channels, and edges with weights of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from symnas.algorithms.relaxed.darts import DARTS


@dataclass(kw_only=True, eq=False, repr=False)
class PCDARTS(DARTS):
    """DARTS that mixes the first quarter of the channels and passes the others on, and weights edges.

    What passes takes no memory for candidates, so batches may be larger. Edges into one node are weighted
    by the softmax of logits of their own (edge normalisation), and ranked by these times those of their
    candidates. Logits stay as they are for the first epochs, in which weights settle.

    Y. Xu et al.: PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search, ICLR 2020;
    reference implementation github.com/yuhuixu1993/PC-DARTS.

    Args:
        partial: only the first of so many equal parts of the channels are mixed.
        warmup: epochs in which the logits stay as they are.
        batch_size: examples per batch.
        lr: largest learning rate of the weights.
        arch_lr: learning rate of the logits.
    """

    edge_logits: ClassVar[bool] = True

    batch_size: int = 256
    lr: float = 0.1
    arch_lr: float = 6e-4
    warmup: int = 15
    partial: int = 4
