"""The third law of shared weights, as a check."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from symnas.construction.parameter_keys import keyed_module
from symnas.relaxed.network import Relaxed
from symnas.relaxed.sizes import part


def law(net: Relaxed, decision: Any, feed: tuple[Tensor, ...], sparse: bool = False) -> None:
    """Compare outputs, gradients and statistics with those of the extracted child, trained by itself."""
    net.train()
    child = net.extract(decision)
    net.zero_grad()
    mixes = net.one_hot(decision, sparse=sparse)
    results = []
    for call in (child, lambda *args: net(*args, mixes=mixes)):
        torch.manual_seed(0)
        results.append(call(*feed))
        (results[-1] ** 2).sum().backward()
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-6)
    whole = net.decision(decision)
    keyed = keyed_module(net.program, whole)
    held = net.tensors()
    used = set()
    for name, parameter in child.named_parameters():
        key = keyed.parameters[name]
        gradient = held[key].grad
        if gradient is None:
            assert parameter.grad is None or not parameter.grad.any()
            continue
        own = part(net.sizes, key, gradient, whole)
        torch.testing.assert_close(own, parameter.grad, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(own.abs().sum(), gradient.abs().sum())
        used.add(held[key].data_ptr())
    idle = [weight for weight in net.weights() if weight.data_ptr() not in used]
    assert all(weight.grad is None or not weight.grad.any() for weight in idle)
    for name, buffer in child.named_buffers():
        key = keyed.buffers[name]
        torch.testing.assert_close(part(net.sizes, key, held[key], whole), buffer)
