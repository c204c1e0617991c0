"""What operations return on the device `meta`, worked out once for each signature of arguments.

A tensor there is its sizes, strides and type, and so is what an operation makes of it. Many operators have
kernels for that which are written in Python: one for batch normalisation takes milliseconds, a network calls
it hundreds of times, and nearly always with the same sizes. So the sizes of results are kept by those of the
arguments. Only operators are asked here that return new tensors and change none (`Operator.fresh`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

Signature = Any
"""Of an argument: hashable, and equal for arguments that no operation on `meta` tells apart."""
_PLAIN = (torch.Tensor, torch.nn.Parameter)
"""Classes of tensors that are nothing but their metadata."""
_SCALARS = (bool, int, float, str, type(None), torch.dtype, torch.layout, torch.memory_format, torch.device)


class _OtherError(Exception):
    """An argument has no signature."""


def computed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what an operator makes of its arguments.

    Args:
        func: an overload that returns new tensors and changes none.
        args: positional arguments.
        kwargs: named arguments.
    """
    try:
        signature = tuple(map(_signed, args)), tuple((name, _signed(value)) for name, value in kwargs.items())
    except _OtherError:
        return func(*args, **kwargs)
    kind, results = _results(func, *signature)
    if kind is None:
        return func(*args, **kwargs)
    made = [None if each is None else _made(each) for each in results]
    return made[0] if kind is torch.Tensor else kind(made)


def _signed(value: Any) -> Signature:
    kind = type(value)
    if kind in _PLAIN:
        if not value.is_meta or value.layout is not torch.strided or value.is_complex():
            raise _OtherError
        return torch.Tensor, tuple(value.shape), value.stride(), value.dtype
    if kind is list or kind is tuple:
        return list, tuple(map(_signed, value))
    if kind not in _SCALARS:
        raise _OtherError
    return kind, value  # with its type, as 1 == 1.0 == True and an operation tells them apart


@functools.lru_cache(maxsize=1 << 14)
def _results(
    func: Any, args: tuple[Signature, ...], kwargs: tuple[tuple[str, Signature], ...]
) -> tuple[type | None, tuple[Signature, ...]]:
    """Return the class of what an operator returns, and the signatures of its tensors; None if it is else."""
    result = func(*map(_restored, args), **{name: _restored(value) for name, value in kwargs})
    outputs = [result] if type(result) is torch.Tensor else result
    if type(outputs) not in (list, tuple):
        return None, ()
    try:
        signatures = tuple(None if each is None else _signed(each) for each in outputs)
    except _OtherError:
        return None, ()
    if not all(each is None or each[0] is torch.Tensor for each in signatures):
        return None, ()
    return type(result), signatures


def _restored(signature: Signature) -> Any:
    if signature[0] is torch.Tensor:
        return _made(signature)
    return list(map(_restored, signature[1])) if signature[0] is list else signature[1]


def _made(signature: Signature) -> torch.Tensor:
    _, shape, stride, dtype = signature
    return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
