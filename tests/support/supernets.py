"""Supernets of the models that look as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from real_models import CASES, program_of

import symnas
from symnas.supernet.supernet import Supernet


def supernet_of(name: str, traced: bool = True, **options: Any) -> Supernet:
    case, known = CASES[name], program_of(name)
    program = symnas.program(known.target, inputs=case.feed if traced or case.inputs else None)
    program.space = known.space  # surveyed once; inputs change nothing about it
    made: Supernet = program.supernet(**options)
    return made


LARGE = ("densenet", "gpt", "graph_net", "mobilenet", "resnet")
"""Models that take seconds; the others stand for them where time is short."""


def cases(names: Iterable[str]) -> list[Any]:
    """Return names as parameters of a test, the large ones marked as slow."""
    return [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in sorted(names)]


def outputs(result: Any) -> tuple[torch.Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def law(net: Supernet, decision: Any, feed: tuple[torch.Tensor, ...], training: bool) -> None:
    """Compare outputs, gradients and statistics with those of the extracted child, trained by itself."""
    net.train(training)
    child = net.extract(decision)
    net.zero_grad()
    results = []
    for call in (lambda: child(*feed), lambda: net(*feed, decision=decision)):
        torch.manual_seed(0)
        results.append(outputs(call()))
        sum((value**2).sum() for value in results[-1]).backward()
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    used = {id(parameter) for parameter in net.active_parameters(decision)}
    assert all(parameter.grad is None for parameter in net.parameters() if id(parameter) not in used)
    # The gradients stand where the weights do: put in their place, they come out with the next child.
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]
    swapped(net, grads)
    gradients = dict(net.extract(decision).named_parameters())
    swapped(net, grads)
    expected = {
        name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in child.named_parameters()
    }
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name].detach(), gradient, rtol=1e-6, atol=1e-6)
    total = sum(float(grad.abs().sum()) for grad in expected.values())
    assert sum(float(grad.abs().sum()) for grad in grads) == pytest.approx(total, abs=1e-6, rel=1e-6)
    for name, buffer in net.extract(decision).named_buffers():
        torch.testing.assert_close(buffer, child.get_buffer(name))


def swapped(net: Supernet, others: list[torch.Tensor]) -> None:
    """Exchange the values of the parameters with those of other tensors."""
    with torch.no_grad():
        for parameter, other in zip(net.parameters(), others, strict=True):
            value = parameter.clone()
            parameter.copy_(other)
            other.copy_(value)


def difference(net: Supernet, narrow: Any, wide: Any, feed: tuple[torch.Tensor, ...]) -> float:
    """Return how far the narrow child is from the wide one in which all that the narrow lacks is silent."""
    net.eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
        child = net.extract(narrow)
        for parameter in net.parameters():
            parameter.zero_()
        net.inherit(child, narrow)
        ours, theirs = (
            torch.cat([value.flatten() for value in (result if isinstance(result, tuple) else (result,))])
            for result in (net(*feed, decision=wide), child(*feed))
        )
    assert float(ours.abs().max()) > 1e-3
    return float((ours - theirs).abs().max() / theirs.abs().max())
