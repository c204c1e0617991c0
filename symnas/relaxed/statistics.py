"""Normalisation across features of which some are there by shares.

Layer normalisation divides by the statistics of all features, so those that a value leaves out would count in
what the others become. With m_i the share of feature i (`symnas.construction.sizes.Mask.factor`), statistics
are means under m:

    mean = sum_i m_i x_i / sum_i m_i        var = sum_i m_i (x_i - mean)^2 / sum_i m_i

With all weight on one value m is one where that value has features and zero elsewhere, and these are the
statistics that its child takes. Root mean square normalisation (Zhang and Sennrich 2019) has no mean, and a
group normalisation of one group (Wu and He 2018) takes both over all channels and positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from symnas.construction.sizes import Mask
from symnas.relaxed.step import Step

ACROSS_FEATURES = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def weighs(module: nn.Module) -> bool:
    """Whether the statistics of a module can be weighted: it is one of PyTorch's own, over all features."""
    return type(module) in ACROSS_FEATURES and getattr(module, "num_groups", 1) == 1


class WeightedStatistics:
    """A forward hook of a normalisation layer: its output with statistics under the shares of a step.

    Args:
        step: of the network.
        masks: of the layer's weight, in which there is a position for every feature.
    """

    def __init__(self, step: Step, masks: Sequence[Mask]) -> None:
        self.step, self.masks = step, tuple(masks)

    def __call__(self, module: Any, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        """Return the normalised input; `output`, of all features evenly, where no step is made."""
        if self.step.mixes is None or not args:
            return output
        weights = {address: mix.weights for address, mix in self.step.mixes.items()}
        (x, *_), weight, bias = args, module.weight, getattr(module, "bias", None)
        share = torch.ones_like(weight)
        for mask in self.masks:
            share = share * mask.factor(weights).to(weight.dtype)
        if isinstance(module, nn.GroupNorm):
            # (batch, channels, …): all but the batch are normalised, with one share for each channel.
            dims = tuple(range(1, x.ndim))
            spread = (-1, *[1] * (x.ndim - 2))
            share, weight = share.view(spread), weight.view(spread)
            bias = None if bias is None else bias.view(spread)
            count = share.sum() * (x[0].numel() // x.shape[1])
        else:
            dims = tuple(range(-weight.ndim, 0))
            count = share.sum()
        if isinstance(module, nn.RMSNorm):
            epsilon = torch.finfo(x.dtype).eps if module.eps is None else module.eps
            centred = x
        else:
            epsilon = module.eps
            centred = x - (x * share).sum(dims, keepdim=True) / count
        variance = (centred.square() * share).sum(dims, keepdim=True) / count
        normalised: torch.Tensor = centred * torch.rsqrt(variance + epsilon) * weight
        return normalised if bias is None else normalised + bias
