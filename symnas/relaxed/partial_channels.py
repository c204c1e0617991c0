"""Partial channel connections: candidates see the first 1/k of the channels, the rest passes by them.

Xu et al. (2020), https://arxiv.org/abs/1907.05737, mix only a part of the channels, so that a search takes
about 1/k of the memory (equation 1, with S a mask of 1/k of the channels):

    f(x) = sum_o a_o o(S * x) + (1 - S) * x

The rest is passed on as it is (max-pooled where the candidates halve the resolution), and the channels are
shuffled, so that another part comes first at the next choice.

Candidates are narrowed after they were constructed: every layer's channels are divided by k, and its weights
are initialised anew by its class, which is what its constructor had done with k times fewer channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from symnas.construction.mixed_module import MixedModule
from symnas.errors import ProgramError
from symnas.relaxed.mixing import Place


def outermost(model: nn.Module) -> list[MixedModule]:
    """Return the choices that are inside no candidate of another one."""
    found: list[MixedModule] = []
    pending = [model]
    seen: set[int] = set()
    while pending:
        module = pending.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        if isinstance(module, MixedModule):
            found.append(module)
        else:
            pending.extend(reversed(list(module.children())))
    return found


def narrow(choices: Iterable[MixedModule], k: int, place: Callable[[MixedModule], Place]) -> None:
    """Divide the channels of all candidates, in place, and give them fresh weights.

    Args:
        choices: whose candidates keep the number of channels.
        k: by which number.
        place: of a choice, for errors.

    Raises:
        ProgramError: a candidate has a layer of which it is not known what its channels are, or a number of
            channels that k does not divide.
    """
    done: set[int] = set()
    for choice in choices:
        for label, candidate in zip(choice.labels, choice.candidates, strict=True):
            for module in candidate.modules():
                if id(module) in done:
                    continue
                done.add(id(module))
                wrong = _narrow(module, k)
                if wrong:
                    raise ProgramError(
                        f"{place(choice).location}\npartial={k} narrows every candidate to 1/{k} of its "
                        f"channels, and candidate {label!r} of {choice.address!r} {wrong}; search with "
                        "partial=1, or leave that candidate out"
                    )


def through(x: Any, k: int, mix: Callable[[Tensor], Any], place: Place) -> Tensor:
    """Return what a choice computes of the first channels, together with the others, shuffled.

    Args:
        x: (batch, channels, …) the input.
        k: the first channels are 1/k of all.
        mix: what the choice computes.
        place: of the choice, for errors.

    Raises:
        ProgramError: the input cannot be divided, or the candidates change the number of channels.
    """
    if not isinstance(x, Tensor) or x.ndim < 2 or x.shape[1] % k:
        given = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ProgramError(
            f"{place.location}\npartial={k} needs inputs (batch, channels, …) with channels that {k} "
            f"divides, and {place.address!r} is called with {given}; search with partial=1, or freeze this "
            "choice"
        )
    part = x.shape[1] // k  # (batch, channels / k, …) is mixed, (batch, channels - channels / k, …) passes
    mixed, rest = mix(x[:, :part]), x[:, part:]
    if not isinstance(mixed, Tensor) or mixed.ndim != x.ndim or mixed.shape[1] != part:
        raise ProgramError(
            f"{place.location}\npartial={k} needs candidates that keep the number of channels, and those "
            f"of {place.address!r} make {_channels(mixed, k)} of {part * k}; search with partial=1, or "
            "freeze this choice"
        )
    if mixed.shape[2:] != rest.shape[2:] and rest.ndim == 4:
        rest = F.max_pool2d(rest, 2)
    if mixed.shape[2:] != rest.shape[2:]:
        raise ProgramError(
            f"{place.location}\npartial={k} needs candidates that keep the resolution or halve it, and those "
            f"of {place.address!r} make {tuple(mixed.shape[2:])} of {tuple(x.shape[2:])}"
        )
    joined = torch.cat([mixed, rest], dim=1)
    # Channel g * part + i becomes i * k + g: each run of k channels has one of every part (ShuffleNet).
    groups = joined.reshape(len(joined), k, part, *joined.shape[2:])
    return groups.transpose(1, 2).reshape(joined.shape)


def _channels(mixed: Any, k: int) -> object:
    return k * mixed.shape[1] if isinstance(mixed, Tensor) and mixed.ndim > 1 else type(mixed).__name__


# -- layers -------------------------------------------------------------------------------------


def _narrow(module: nn.Module, k: int) -> str:
    """Divide a layer's channels; say what stands against it, or return an empty text."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    if not own and not isinstance(module, tuple(_NUMBERS)):
        return ""
    # What has parameters and is none of these could mean anything by its sizes.
    names = next((names for kind, names in _NUMBERS.items() if isinstance(module, kind)), ())
    if not names:
        return f"holds a {type(module).__name__}, whose channels are not known"
    before = {name: getattr(module, name) for name in names}
    wrong = [f"{name}={number}" for name, number in before.items() if number % k]
    if wrong:
        return f"has {type(module).__name__}({', '.join(wrong)}), which {k} does not divide"
    for name, number in before.items():
        setattr(module, name, number // k)
    if isinstance(module, nn.modules.conv._ConvNd):
        # A depthwise layer stays one; groups of several channels stay as many, of fewer channels.
        if module.groups == before["in_channels"]:
            module.groups //= k
        if module.in_channels % module.groups or module.out_channels % module.groups:
            return f"has a convolution of {module.groups} groups, which is too many for 1/{k} of the channels"
    if isinstance(module, nn.GroupNorm) and module.num_channels % module.num_groups:
        return f"normalises {module.num_groups} groups, which is too many for 1/{k} of the channels"
    _renew(module)
    return ""


_NUMBERS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.modules.conv._ConvNd: ("in_channels", "out_channels"),
    nn.modules.batchnorm._NormBase: ("num_features",),
    nn.GroupNorm: ("num_channels",),
    nn.Linear: ("in_features", "out_features"),
}


def _renew(module: Any) -> None:
    """Give a layer tensors of its new sizes, with the values that its class gives to new ones."""
    if isinstance(module, nn.modules.conv._ConvNd):
        outer, inner = module.out_channels, module.in_channels // module.groups
        if module.transposed:
            outer, inner = module.in_channels, module.out_channels // module.groups
        shapes = {"weight": (outer, inner, *module.kernel_size), "bias": (module.out_channels,)}
    elif isinstance(module, nn.Linear):
        shapes = {"weight": (module.out_features, module.in_features), "bias": (module.out_features,)}
    else:
        size = module.num_channels if isinstance(module, nn.GroupNorm) else module.num_features
        shapes = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (size,))
    for name, shape in shapes.items():
        for held in (module._parameters, module._buffers):
            tensor = held.get(name)
            if tensor is not None:
                fresh = tensor.new_empty(shape)  # filled by the layer's own `reset_parameters` below
                held[name] = (
                    nn.Parameter(fresh, tensor.requires_grad) if held is module._parameters else fresh
                )
    module.reset_parameters()
