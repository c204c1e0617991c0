"""Running statistics of a child, computed anew.

The statistics of shared normalisation layers mix those of all children that were trained; a child is
scored with its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from symnas._typing import Value
from symnas.supernet.supernet import Supernet
from symnas.tree.space import Decision


def recalibrate(
    network: nn.Module, batches: Iterable[Any], decision: Decision | Mapping[str, Value] | None = None
) -> None:
    """Compute the running statistics of normalisation layers anew, as averages over batches.

    Everything else stays as it is, and is called as in evaluation. Of a supernet they are the statistics of
    the child that is called, be they shared or its own.

    Args:
        network: a child, or a supernet.
        batches: inputs, each a tensor, a tuple of positional arguments or a dict of named ones.
        decision: which child of a supernet; the active one for None.

    Source: Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling".
    """
    if isinstance(network, Supernet):
        with network.child(decision) as child:
            _recalibrate(child, batches)
    else:
        _recalibrate(network, batches)


def _recalibrate(child: nn.Module, batches: Iterable[Any]) -> None:
    kind = nn.modules.batchnorm._NormBase
    layers = [m for m in child.modules() if isinstance(m, kind) and m.track_running_stats]
    modes = [(module, module.training) for module in child.modules()]
    momenta = [layer.momentum for layer in layers]
    try:
        child.eval()
        for layer in layers:
            layer.reset_running_stats()
            # Without a momentum every batch counts the same, m_n = m_(n-1) + (x_n - m_(n-1)) / n. With one,
            # what they were reset to (mean 0, variance 1) would still be part of them.
            layer.momentum, layer.training = None, True
        with torch.no_grad():
            for batch in batches:
                if isinstance(batch, Mapping):
                    child(**batch)
                else:
                    child(*(batch if isinstance(batch, tuple) else (batch,)))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode
