"""Work that candidates of one choice have in common, or that mixing can leave to them.

- Where a candidate ends in batch normalisation, its weight is a factor of that layer's scale: nothing is
  multiplied afterwards, and nothing kept for the weight's gradient, which is the scale's, summed.
- Candidates that begin with the same activation of the same tensor share it, and so do those of other choices
  that read that tensor.

Both are exact. The first is read off chains of layers (`nn.Sequential`) without hooks; the second asks at run
time whether it is the same tensor, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from symnas.parts import put

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Tanh)
"""Layers that compute a function of their input and of what `extra_repr` shows."""


def tail(candidate: nn.Module) -> nn.Module | None:
    """Return the batch normalisation that a candidate's output is the output of, or None."""
    while type(candidate).forward is nn.Sequential.forward and len(candidate._modules) and _free(candidate):
        candidate = list(candidate.children())[-1]
    plain = type(candidate).forward is nn.modules.batchnorm._BatchNorm.forward
    return candidate if plain and _free(candidate) else None


@contextmanager
def times(norm: nn.Module, weight: Tensor) -> Iterator[None]:
    """Let a batch normalisation multiply its output by a weight, for the length of a `with`."""
    scale, shift = norm._parameters["weight"], norm._parameters["bias"]
    if scale is None:
        like = norm._buffers["running_mean"]
        factor = weight if like is None else weight.to(like.dtype)
        put(norm, "weight", factor.expand(cast(nn.BatchNorm2d, norm).num_features))
    else:
        factor = weight.to(scale.dtype)
        put(norm, "weight", scale * factor)
    if shift is not None:
        put(norm, "bias", shift * factor)
    try:
        yield
    finally:
        norm._parameters["weight"], norm._parameters["bias"] = scale, shift


class Activations:
    """Activations of tensors that several candidates read, computed once in a call of the network."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        """What the choices that are being computed are called with, the innermost last."""
        self.known: dict[tuple[str, int], tuple[Tensor, int, Tensor, int]] = {}

    @contextmanager
    def reading(self, given: Any) -> Iterator[None]:
        """Share activations of what a choice is called with, for the length of a `with`."""
        self.inputs.append(given)
        try:
            yield
        finally:
            self.inputs.pop()

    def clear(self) -> None:
        """Forget them."""
        self.known.clear()

    def of(self, layer: nn.Module, kind: str, x: Tensor) -> Tensor:
        """Return a layer's output, computed now or before."""
        if not self.inputs or x is not self.inputs[-1] or not torch.is_grad_enabled():
            return type(layer).forward(layer, x)  # type: ignore[no-any-return]
        found = self.known.get((kind, id(x)))
        if found is not None:
            given, version, known, own = found
            if given is x and x._version == version and known._version == own:
                return known
        result: Tensor = type(layer).forward(layer, x)
        self.known[kind, id(x)] = x, x._version, result, result._version
        return result


class _Shared:
    """Stands for `forward` of an activation."""

    def __init__(self, layer: nn.Module, activations: Activations) -> None:
        self.layer, self.activations = layer, activations
        self.kind = f"{type(layer).__name__}({layer.extra_repr()})"

    def __call__(self, x: Tensor) -> Tensor:
        return self.activations.of(self.layer, self.kind, x)


def share(candidate: nn.Module, activations: Activations) -> None:
    """Let the first layer of a candidate share its result with others, if it is an activation."""
    while type(candidate).forward is nn.Sequential.forward and len(candidate._modules) and _free(candidate):
        candidate = next(candidate.children())
    if type(candidate) in ACTIVATIONS and not getattr(candidate, "inplace", False) and _free(candidate):
        candidate.forward = _Shared(candidate, activations)


def _free(module: nn.Module) -> bool:
    """Whether nobody listens to a module or has replaced what it does."""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))
