"""Which dimensions of a model's parameters are summed over: along them a parameter reads features.

A feature that is there with a weight can be weighted where it is read, and a normalisation behind the layer
that makes the feature does not undo the weight then: batch normalisation of a * y is that of y for any a > 0,
but `sum_i w[o, i] * (a[i] * y[i])`, the reader's product, keeps a[i], and `w[o, i] * a[i]` is its weight.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Summed = tuple[int, Sequence[tuple[torch.Tensor, Sequence[int]]]]
"""How many multiply-adds an operation takes, and its tensors with the dimensions that are summed over."""
Rule = Callable[[Any, torch.Tensor], Summed]
"""From the arguments and the result of an operation."""


class Contractions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which dimensions of parameters the operations of a run sum over, and how much work that is.

    Views of a parameter, such as a transposed one or a chunk, count as the parameter.

    Args:
        parameters: of the model, by name.
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[tuple[str, int]] = set()
        self.macs: Counter[str] = Counter()
        """Multiply-adds by parameter; those of operations that read none stand under the empty text."""
        self._names = {_storage(tensor): (name, tensor) for name, tensor in parameters.items()}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note what it sums over."""
        result = func(*args, **(kwargs or {}))
        rule = _RULES.get(func.overloadpacket.__name__)
        if rule is not None:
            work, operands = rule(args, result)
            read = {self._note(tensor, dims) for tensor, dims in operands} - {""}
            for name in read or {""}:
                self.macs[name] += work
        return result

    def _note(self, tensor: torch.Tensor, dims: Iterable[int]) -> str:
        name, whole = self._names.get(_storage(tensor), ("", tensor))
        # A view of a parameter (transposed, cut, reshaped) shares its storage, and a dimension of it has the
        # stride of the parameter's dimension that it runs along.
        steps = {tensor.stride()[dim] for dim in dims if tensor.shape[dim] > 1} if name else ()
        self.found |= {
            (name, place)
            for place, (size, stride) in enumerate(zip(whole.shape, whole.stride(), strict=True))
            if stride in steps and size > 1
        }
        return name


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _product(first: int) -> Rule:
    """Return the rule of a product of matrices, or of batches of them, from the place of its first factor."""

    def rule(args: Any, result: torch.Tensor) -> Summed:
        a, b = args[first], args[first + 1]
        return result.numel() * a.shape[-1], [(a, (a.ndim - 1,)), (b, (max(b.ndim - 2, 0),))]

    return rule


def _linear(args: Any, result: torch.Tensor) -> Summed:
    return result.numel() * args[1].shape[1], [(args[1], (1,))]


def _convolution(args: Any, result: torch.Tensor) -> Summed:
    source, weight, transposed, groups = args[0], args[1], args[6], args[8]
    work = (source if transposed else result).numel() * weight[0].numel()
    # With one feature in a group nothing is summed over but the kernel: the feature only passes on.
    alone = weight.shape[0] == groups if transposed else weight.shape[1] == 1
    return work, [(weight, () if alone else (0 if transposed else 1,))]


def _trilinear(args: Any, result: torch.Tensor) -> Summed:
    operands: list[tuple[torch.Tensor, tuple[int, ...]]] = []
    sizes: dict[int, int] = {}
    for tensor, put_in in zip(args[:3], args[3:6], strict=True):
        dims = [dim for dim in range(tensor.ndim + len(put_in)) if dim not in put_in]
        operands.append((tensor, tuple(dims.index(dim) for dim in args[6] if dim in dims)))
        sizes |= {dim: size for dim, size in zip(dims, tensor.shape, strict=True) if dim in args[6]}
    return result.numel() * math.prod(sizes.values()), operands


_RULES: Mapping[str, Rule] = {
    **{name: _product(0) for name in ("mm", "bmm", "mv", "dot", "vdot")},
    **{name: _product(1) for name in ("addmm", "baddbmm", "addmv")},
    "linear": _linear,
    "convolution": _convolution,
    "_trilinear": _trilinear,
}
