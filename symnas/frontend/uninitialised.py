"""The `meta` device without initialisers: tensors there have no values, so filling them is left out.

PyTorch computes the shape of what a filling returns step by step, in Python. So most of the 160 µs that it
takes to make a convolution on `meta` are its initialisation, and the first `normal_` imports the compiler
(a second).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

# How many numbers a filling is given. Those with two are given an interval, or a mean and a deviation.
_FILLING = {"zero_": (0,), "fill_": (1,), "uniform_": (0, 2), "normal_": (0, 2), "erfinv_": (0,)}
_OF_ANY_TYPE = ("zero_", "fill_")
# Of `torch.nn.init` those that modes are asked about; inside of them none is asked.
_INITIALISERS = {"uniform_": 2, "normal_": 2, "constant_": 1}
_KAIMING = ("kaiming_uniform_", "kaiming_normal_")


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """Make tensors on `meta`, and do not fill them, for the length of a `with`."""
    import torch

    with torch.device("meta"), _mode()():
        yield


@functools.cache
def _mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    rules: dict[Any, Callable[..., bool]] = {}
    for name, counts in _FILLING.items():
        rules[getattr(torch.Tensor, name)] = functools.partial(_filled, counts, name in _OF_ANY_TYPE)
    for name, count in _INITIALISERS.items():
        rules[getattr(torch.nn.init, name)] = functools.partial(_initialised, count)
    for name in _KAIMING:
        rules[getattr(torch.nn.init, name)] = _scaled

    dropout = torch.nn.functional.dropout

    class Unfilled(TorchFunctionMode):
        """Leaves fillings of `meta` tensors out where they cannot fail."""

        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            del types
            rule = rules.get(func)
            if rule is not None:
                # `torch.nn.init` gives its tensor by name.
                named = dict(kwargs or {})
                tensor, *others = args or (named.pop("tensor", None),)
                if _is_plain(torch, tensor) and rule(torch, tensor, *others, **named):
                    return tensor
            elif func is dropout and _is_plain(torch, args[0]) and _dropped(args, kwargs or {}):
                return args[0].clone()
            return func(*args, **(kwargs or {}))

    return Unfilled


def _is_plain(torch: Any, tensor: Any) -> bool:
    return type(tensor) in (torch.Tensor, torch.nn.Parameter) and bool(tensor.is_meta)


def _filled(
    counts: tuple[int, ...], any_type: bool, torch: Any, tensor: Any, *numbers: Any, **named: Any
) -> bool:
    """Whether a tensor's method that fills it would succeed."""
    # A leaf that needs a gradient is changed without one.
    if tensor.requires_grad and torch.is_grad_enabled():
        return False
    if named.keys() - {"generator"} or len(numbers) not in counts:
        return False
    return (any_type or tensor.is_floating_point()) and _in_order(numbers)


def _initialised(
    count: int, torch: Any, tensor: Any, *numbers: Any, generator: Any = None, **named: Any
) -> bool:
    """Whether a function of `torch.nn.init` would succeed, which takes no gradient."""
    del torch, generator
    numbers = (*numbers, *named.values())
    return tensor.is_floating_point() and len(numbers) == count and _in_order(numbers)


def _scaled(
    torch: Any,
    tensor: Any,
    a: Any = 0,
    mode: Any = "fan_in",
    nonlinearity: Any = "leaky_relu",
    generator: Any = None,
) -> bool:
    """Whether an initialisation by what flows in or out would succeed, which wants two dimensions or more."""
    del torch, generator
    known = mode in ("fan_in", "fan_out") and nonlinearity in ("leaky_relu", "relu", "linear", "tanh")
    sized = tensor.dim() >= 2 and 0 not in tensor.shape and tensor.is_floating_point()
    return known and sized and type(a) in (int, float)


def _dropped(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a dropout makes a new tensor of the same shape; on `meta` it imports the compiler."""
    given = dict(zip(("input", "p", "training", "inplace"), args, strict=False)) | kwargs
    share = given.get("p", 0.5)
    return type(share) in (int, float) and 0 <= share <= 1 and given.get("inplace") is False


def _in_order(numbers: Sequence[Any]) -> bool:
    """Whether these can be an interval as well as a mean and a deviation: low <= high, 0 <= deviation."""
    plain = all(type(value) in (int, float) for value in numbers)
    return plain and (len(numbers) < 2 or (numbers[0] <= numbers[1] and numbers[1] >= 0))
