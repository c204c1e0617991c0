"""Layers of torch that are made of numbers alone: constructed once, and copied from then on.

`nn.Conv2d(16, 32, 3)` takes 150 µs on `meta`, which was most of the time of surveys of networks of
convolutions, and comes out the same each time. So while a survey runs, the constructors of these classes fill
a new layer with a copy of what the first of its kind held:

    numbers, texts, functions, tuples of such     the same objects
    dict, OrderedDict, list, set                  new ones, of copied contents
    Parameter, Tensor                             new ones of the same shape, tied where they were
    a layer of torch                              a copy in turn

A class in which anything else is found is constructed as ever.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import types
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

_NUMBERS = (int, float, bool, str, type(None))
_SHARED = frozenset((*_NUMBERS, complex, bytes, type, types.FunctionType, types.BuiltinFunctionType))
_CONTAINERS = (dict, OrderedDict, list, set)
# Layers with parameters; those without are constructed as fast as copied.
_LAYERS = (
    "Bilinear", "Embedding", "EmbeddingBag", "GroupNorm", "LayerNorm", "Linear", "MultiheadAttention",
    "PReLU", "RMSNorm", "TransformerEncoderLayer", "TransformerDecoderLayer",
    "_BatchNorm", "_InstanceNorm", "_NormBase",
    *(f"Conv{transposed}{n}d" for transposed in ("", "Transpose") for n in (1, 2, 3)),
)  # fmt: skip
# Who is told of every module or parameter that is made would miss the copies.
_REGISTRIES = tuple(f"_global_{what}_registration_hooks" for what in ("parameter", "module", "buffer"))

_Copy = Callable[[dict[int, Any]], Any]
"""Makes a copy; given by identity what it has made of the original's parts."""


class NotCopiedError(Exception):
    """Something inside a layer is not known to be copied safely."""


class Prototypes:
    """What has been constructed, by class and numbers; kept for all runs of a survey."""

    def __init__(self) -> None:
        # How to fill a layer's dictionary, or None where it is constructed as ever.
        self._known: dict[Hashable, Callable[[dict[str, Any], dict[int, Any]], None] | None] = {}
        self._constructing = False
        # How many listen to torch's functions, those who place tensors among them.
        self._depth = 0

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Copy what this thread constructs on `meta`, for the length of a `with`."""
        torch, thread = sys.modules["torch"], threading.get_ident()
        places = [sys.modules[f"torch.nn.modules.{name}"] for name in ("batchnorm", "instancenorm")]
        found = [getattr(place, name, None) for place in (torch.nn, *places) for name in _LAYERS]
        kinds = {
            kind: vars(kind)["__init__"] for kind in found if kind is not None and "__init__" in vars(kind)
        }
        self._depth = torch._C._len_torch_function_stack()
        try:
            for kind, plain in kinds.items():
                if _is_of_torch(plain):
                    kind.__init__ = self._copying(torch, plain, thread)
            yield
        finally:
            for kind, plain in kinds.items():
                kind.__init__ = plain

    def _copying(self, torch: Any, plain: Callable[..., None], thread: int) -> Callable[..., None]:
        @functools.wraps(plain)
        def construct(layer: Any, *args: Any, **kwargs: Any) -> None:
            # A subclass of the user's may do anything on the way; and layers make layers, which are a part of
            # them then.
            if self._constructing or threading.get_ident() != thread or not _is_of_torch(type(layer)):
                return plain(layer, *args, **kwargs)
            # In a context of the user's, such as another device, a layer may be another one.
            elsewhere = torch._C._len_torch_function_stack() != self._depth
            key = None if elsewhere else _key(torch, type(layer), args, kwargs)
            if key is None:
                return plain(layer, *args, **kwargs)
            if key not in self._known:
                self._constructing = True
                try:
                    self._known[key] = _prototype(layer, plain, args, kwargs)
                finally:
                    self._constructing = False
            fill = self._known[key]
            if fill is None:
                return plain(layer, *args, **kwargs)
            # Nobody listens to the functions of torch by which tensors are copied.
            with torch._C.DisableTorchFunction():
                fill(layer.__dict__, {})
            return None

        return construct


def _is_of_torch(thing: Any) -> bool:
    return str(thing.__module__).startswith("torch.nn.modules.")


def _key(torch: Any, kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable | None:
    """Return what a construction is known by, or None if something other than numbers is given."""
    found: list[Hashable] = [kind]
    for value in (*args, *kwargs.values()):
        # 1, 1.0 and True are equal, and are not the same argument.
        if type(value) is tuple:
            if any(type(item) not in _NUMBERS for item in value):
                return None
            found.append(tuple(map(type, value)))
        elif type(value) not in _NUMBERS:
            return None
        found.append((type(value), value))
    if any(getattr(torch.nn.modules.module, name, None) for name in _REGISTRIES):
        return None
    return (
        *found,
        *kwargs,
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    )


def _prototype(
    layer: Any, plain: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[dict[str, Any], dict[int, Any]], None] | None:
    first = object.__new__(type(layer))
    plain(first, *args, **kwargs)
    try:
        return _filling(first, frozenset({id(first)}))
    except NotCopiedError:
        return None


def _filling(value: Any, seen: frozenset[int]) -> Callable[[dict[str, Any], dict[int, Any]], None]:
    """Return how to fill the dictionary of a copy of a layer."""
    inside = dict(value.__dict__)
    plans = [(name, plan) for name, item in inside.items() if (plan := _planned(item, seen)) is not None]

    def fill(held: dict[str, Any], made: dict[int, Any]) -> None:
        # In the order of the original.
        held.update(inside)
        for name, plan in plans:
            held[name] = plan(made)

    return fill


def _planned(value: Any, seen: frozenset[int]) -> _Copy | None:
    """Return how to copy what is inside a module; None where the object itself will do."""
    kind = type(value)
    torch = sys.modules["torch"]
    if kind in _SHARED or kind in (torch.dtype, torch.device, torch.Size):
        return None
    if kind is tuple and all(_planned(item, seen) is None for item in value):
        return None
    if kind in _CONTAINERS:
        return _container(kind, value, seen)
    if kind is torch.nn.Parameter or kind is torch.Tensor:
        return _tensor(torch, kind, value)
    if issubclass(kind, torch.nn.Module) and _is_of_torch(kind) and id(value) not in seen:
        return _module(kind, value, seen)
    raise NotCopiedError


def _container(kind: type, value: Any, seen: frozenset[int]) -> _Copy:
    if not value:
        return lambda _: kind()
    items = value.values() if isinstance(value, dict) else value
    plans = [_planned(item, seen) or functools.partial(_same, item) for item in items]
    if not isinstance(value, dict):
        return lambda made: kind(plan(made) for plan in plans)
    named = list(zip(value, plans, strict=True))
    return lambda made: kind([(name, plan(made)) for name, plan in named])


def _same(value: Any, _: dict[int, Any]) -> Any:
    return value


def _tensor(torch: Any, kind: type, value: Any) -> _Copy:
    if not value.is_meta or not value.is_leaf or value.__dict__ or value._backward_hooks:
        raise NotCopiedError
    # All refer to the same storage, which is empty.
    token, held, needs = id(value), value.detach(), value.requires_grad
    make = torch.Tensor._make_subclass

    def copy(made: dict[int, Any]) -> Any:
        found = made.get(token)
        if found is None:
            found = made[token] = make(kind, held, needs)
        return found

    return copy


def _module(kind: type, value: Any, seen: frozenset[int]) -> _Copy:
    token, fill = id(value), _filling(value, seen | {id(value)})

    def copy(made: dict[int, Any]) -> Any:
        found = made.get(token)
        if found is None:
            found = made[token] = object.__new__(kind)
            fill(found.__dict__, made)
        return found

    return copy
