"""Floating-point operations of single PyTorch operators, 2 per multiply-add.

PyTorch's own table covers matrix products, convolutions and the attention kernels of CUDA. The operators
added here are those that PyTorch picks on the CPU or leaves out, so that a count does not depend on the
device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

Formula = Callable[..., int]

_aten = torch.ops.aten


# Of each operator the shapes of its operands, and what is multiplied and added how often.


def _dot(a: Tensor, *_: Any) -> int:  # (n,) (n,)
    return 2 * a.numel()


def _matrix_vector(matrix: Tensor, *_: Any) -> int:  # (m, n) (n,)
    return 2 * matrix.numel()


def _added_matrix_vector(_: Tensor, matrix: Tensor, *__: Any) -> int:  # (m,) + (m, n) (n,)
    return 2 * matrix.numel()


def _linear(x: Tensor, weight: Tensor, *_: Any) -> int:  # (…, in) (out, in) transposed
    return 2 * x.numel() * weight.shape[0]


def _added_matrix_product(_: Tensor, a: Tensor, b: Tensor, *__: Any) -> int:  # (m, p) + (…, m, n) (…, n, p)
    return 2 * a.numel() * b.shape[-1]


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> int:
    """Count both products of attention: (… L E)(… E S) and (… L S)(… S V), with every head of `query`."""
    rows = math.prod(query.shape[:-1])  # batch, heads and L; each meets S keys, of E and of V numbers
    return 2 * rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _recurrent_layer(x: Tensor, from_input: Tensor, from_hidden: Tensor, *_: Any) -> int:
    """Count the gates' products of one layer and direction; `x` is (time, batch, features)."""
    return 2 * math.prod(x.shape[:-1]) * (from_input.numel() + from_hidden.numel())


def _bilinear(a: Tensor, b: Tensor, c: Tensor, *rest: Any) -> int:
    """Count `_trilinear`, which multiplies three expanded tensors and sums: two operations per element."""
    shapes: list[list[int]] = []
    for tensor, added in zip((a, b, c), rest[:3], strict=True):
        shape = list(tensor.shape)
        for axis in sorted(added):
            shape.insert(axis, 1)
        shapes.append(shape)
    sizes = [max(along) for along in zip(*shapes, strict=True)]
    return 2 * int(math.prod(sizes))


def _extra() -> dict[Any, Formula]:
    named: dict[str, Formula] = {
        "dot": _dot,
        "vdot": _dot,
        "mv": _matrix_vector,
        "addmv": _added_matrix_vector,
        "linear": _linear,
        "mkldnn_linear": _linear,
        "_addmm_activation": _added_matrix_product,
        "addbmm": _added_matrix_product,
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
        "_scaled_dot_product_fused_attention_overrideable": _attention,
        "mkldnn_rnn_layer": _recurrent_layer,
        "_trilinear": _bilinear,
    }
    return {getattr(_aten, name): formula for name, formula in named.items() if hasattr(_aten, name)}


_EXTRA = _extra()


def is_counted(operator: Any) -> bool:
    """Tell whether an operator (`torch._ops.OpOverload`) has a formula and must stay whole."""
    packet = operator.overloadpacket
    return packet in _EXTRA or packet in flop_registry


def operator_flops(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """Return the FLOPs of one operator call: 2 per multiply-add, 0 for operators that are not products.

    Args:
        operator: an `OpOverload` such as `aten.addmm.default`.
        args: its positional arguments.
        kwargs: its keyword arguments.
        result: what it returned, from which shapes are read.
    """
    packet = operator.overloadpacket
    if packet in _EXTRA:
        return int(_EXTRA[packet](*args))
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result))
    return 0
