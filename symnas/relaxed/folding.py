"""Work that candidates of one choice have in common, or that mixing can leave to them.

- Where a candidate ends in batch normalisation, its weight is a factor of that layer's scale and shift:
  a (gamma (x - mean) / sd + beta) = (a gamma) (x - mean) / sd + a beta. Nothing is multiplied afterwards, and
  nothing kept for the weight's gradient, <d / d(a gamma), gamma> + <d / d(a beta), beta>, sums over channels.
- Candidates that begin with the same activation of the same tensor share it, and so do those of other choices
  that read that tensor.

Both are exact. The first is read off chains of layers (`nn.Sequential`) without hooks, whenever it is used;
the second asks at run time whether it is the same tensor, unchanged, and is left out where the next layer
might change it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from symnas.construction.plugging import put

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Tanh)
"""Layers that compute a function of their input and of what `extra_repr` shows."""
READERS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
)  # fmt: skip
"""Layers that leave what they are given as it is, so that others may be given it too."""


def tails(candidates: Sequence[nn.Module]) -> list[nn.Module | None]:
    """Return the layer of each candidate that can multiply by its weight, or None.

    Args:
        candidates: of a choice. A layer that one of them calls twice would multiply twice.
    """
    found = [tail(candidate) for candidate in candidates]  # one batch normalisation each, or None
    return [
        norm if norm is not None and _paths(candidate)[id(norm)] == 1 else None
        for candidate, norm in zip(candidates, found, strict=True)
    ]


def tail(candidate: nn.Module) -> nn.Module | None:
    """Return the batch normalisation that a candidate ends in, as it stands now, or None."""
    if _has_any_global_hook():  # type: ignore[no-untyped-call]
        return None
    while _plain(candidate):  # the last layer of the last layer …, as it stands at this call
        candidate = next(reversed(candidate._modules.values()))  # type: ignore[assignment]
    own = candidate._parameters
    batch_norm = type(candidate).forward is nn.modules.batchnorm._BatchNorm.forward
    if not batch_norm or not _free(candidate) or "weight" not in own:  # a parametrised one has none
        return None
    return None if own["weight"] is None and candidate._buffers["running_mean"] is None else candidate


@contextmanager
def times(norm: nn.Module, weight: Tensor) -> Iterator[None]:
    """Let a batch normalisation multiply its output by a weight, for the length of a `with`."""
    scale, shift = norm._parameters["weight"], norm._parameters["bias"]
    if scale is None:  # affine=False: the scale is one, and the shift zero
        like = cast(Tensor, norm._buffers["running_mean"])
        put(norm, "weight", weight.to(like.dtype).expand(like.shape))
    else:
        put(norm, "weight", scale * weight.to(scale.dtype))
    if shift is not None:
        put(norm, "bias", shift * weight.to(shift.dtype))
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
        # Only of the very tensor that the innermost choice was called with: others read that one, too.
        # A compiler finds what is computed twice by itself.
        if torch.compiler.is_compiling() or not self.inputs or x is not self.inputs[-1]:
            return type(layer).forward(layer, x)  # type: ignore[no-any-return]
        if not torch.is_grad_enabled():
            return type(layer).forward(layer, x)  # type: ignore[no-any-return]
        found = self.known.get((kind, id(x)))
        if found is not None:
            given, version, known, own = found  # versions tell whether either was changed since
            if given is x and x._version == version and known._version == own:
                return known
        result: Tensor = type(layer).forward(layer, x)
        self.known[kind, id(x)] = x, x._version, result, result._version
        return result


class _SharedActivation:
    """Stands for `forward` of an activation."""

    def __init__(self, layer: nn.Module, activations: Activations) -> None:
        self.layer, self.activations = layer, activations
        self.kind = f"{type(layer).__name__}({layer.extra_repr()})"

    def __call__(self, x: Tensor) -> Tensor:
        return self.activations.of(self.layer, self.kind, x)


def share(candidates: Sequence[nn.Module], activations: Activations) -> None:
    """Let first layers of candidates share their results, where they are activations and only read.

    Args:
        candidates: of a choice.
        activations: of the network.
    """
    # A layer that stands at several places has several inputs, and is left alone.
    paths = sum(map(_paths, candidates), Counter[int]())
    for candidate in candidates:
        first, *after = _layers(candidate)
        read = not after or type(after[0]) in READERS
        if type(first) not in ACTIVATIONS or getattr(first, "inplace", False) or not read:
            continue
        if _free(first) and paths[id(first)] == 1:
            first.forward = _SharedActivation(first, activations)


def _layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers of chains of layers, one after the other."""
    if not _plain(module):
        return [module]
    return [layer for inner in module._modules.values() if inner for layer in _layers(inner)]


def _plain(module: nn.Module) -> bool:
    """Whether a module is a chain of layers and nothing else."""
    return type(module).forward is nn.Sequential.forward and len(module._modules) > 0 and _free(module)


def _paths(module: nn.Module) -> Counter[int]:
    """Count under how many names a module holds each of its layers, by identity."""
    return Counter(id(layer) for _, layer in module.named_modules(remove_duplicate=False))


def _free(module: nn.Module) -> bool:
    """Whether nobody listens to a module or has replaced what it does."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return not (hooks or module._backward_hooks or module._backward_pre_hooks or "forward" in vars(module))
