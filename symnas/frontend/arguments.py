"""What a target is called with: modules and tensors among it are copied for every call.

A child that held the module itself would train it, and every later child would begin where that one ended. So
each call has copies of its own; within one call, what was the same object in two arguments is one copy.
Everything else is handed over as it is. Where tensors are made on `meta`, copies are made there, too: they
have shapes and no values, and cost no memory.

To read in this order: `Arguments.fresh` (what one call is given), `parts` (what is looked for, and where).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from symnas.errors import BuildError

_ATOMS = (
    str,
    bytes,
    int,
    float,
    complex,
    bool,
    type(None),
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
)


class Arguments:
    """Positional and keyword arguments of every call of a target.

    Args:
        target: the class or function.
        args: positional ones.
        kwargs: by name.
    """

    def __init__(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.target = target
        self.args = args
        self.kwargs = dict(kwargs)

    @functools.cached_property
    def copied(self) -> frozenset[int | str]:
        """Positions and names of the arguments that hold a module or a tensor."""
        items: list[tuple[int | str, Any]] = [*enumerate(self.args), *self.kwargs.items()]
        return frozenset(key for key, value in items if next(parts(value, ""), None) is not None)

    @functools.cached_property
    def programs(self) -> dict[int | str, Any]:
        """The arguments that are programs, by position or name."""
        items: list[tuple[int | str, Any]] = [*enumerate(self.args), *self.kwargs.items()]
        return {key: value for key, value in items if is_program(value)}

    def name(self, key: int | str) -> str:
        """Return the name of the parameter that an argument fills; of one of many, with its number."""
        if isinstance(key, str):
            return key
        mark = object()
        for name, value in self.named((None,) * key + (mark,), {}).items():
            if value is mark:
                return name
            if isinstance(value, tuple) and mark in value:
                return f"{name}[{value.index(mark)}]"
        return f"[{key}]"

    def flat(self) -> list[Any]:
        """Return all arguments, of those that are programs their targets and arguments."""
        values = []
        for value in (*self.args, *self.kwargs.values()):
            values += [value.target, *value.internals.arguments.flat()] if is_program(value) else [value]
        return values

    def fresh(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments for one call.

        Raises:
            BuildError: one cannot be copied.
        """
        if not self.copied:
            return self.args, self.kwargs
        # One memo for all: what two arguments share, their copies share.
        memo: dict[int, Any] = {}
        if _on_meta():
            for key in self.copied:
                _begin_on_meta(self.args[key] if isinstance(key, int) else self.kwargs[key], memo)
        args = tuple(self._copy(place, value, memo) for place, value in enumerate(self.args))
        return args, {name: self._copy(name, value, memo) for name, value in self.kwargs.items()}

    def text(self, spell: Callable[[Any], str]) -> list[str]:
        """Return a text of each that changes when it does, and is the same in every process.

        Args:
            spell: writes what holds no module; the pickle of one is another one after unpickling.
        """
        texts = []
        for held in (self.args, sorted(self.kwargs.items())):
            memo: dict[int, Any] = {id(part): _content(part) for _, part in parts(held, "")}
            for inner in self.programs.values():
                told = (
                    f"{inner.target.__module__}.{inner.target.__qualname__}",
                    inner.internals.arguments.text(spell),
                )
                memo[id(inner)] = spell(told)
            texts.append(spell(copy.deepcopy(held, memo) if memo else held))
        return texts

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by the names of the parameters that they fill."""
        try:
            return dict(inspect.signature(self.target).bind_partial(*args, **kwargs).arguments)
        except (TypeError, ValueError):  # no signature; a call that does not fit tells so itself
            return {**{f"[{place}]": value for place, value in enumerate(args)}, **kwargs}

    def _copy(self, key: int | str, value: Any, memo: dict[int, Any]) -> Any:
        if key not in self.copied:
            return value
        try:
            return copy.deepcopy(value, memo)
        except Exception as error:
            raise BuildError(
                "modules and tensors among the arguments are copied for every child, and argument "
                f"{self.name(key)!r}, "
                f"a {type(value).__name__}, cannot be: {type(error).__name__}: {error}; give a function that "
                "makes it, and call that in the constructor"
            ) from error


def parts(value: Any, path: str, seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the modules, tensors and arrays in an argument, each with its path below the argument.

    They are looked for in containers, partial functions, bound methods and in attributes of instances. Sets
    of examples are no part of a model, and may be large: they are not looked into.
    """
    seen = set() if seen is None else seen
    if isinstance(value, _ATOMS) or id(value) in seen or is_program(value):
        return
    seen.add(id(value))
    if _is_part(value):
        yield path, value
        return
    held: Mapping[str, Any] = {}
    if isinstance(value, Mapping):
        held = {f"[{key}]": item for key, item in value.items()}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        held = {f".{name}": item for name, item in zip(value._fields, value, strict=True)}
    elif isinstance(value, (list, tuple, set, frozenset)):
        held = {f"[{place}]": item for place, item in enumerate(value)}
    elif isinstance(value, functools.partial):
        held = {**{f"[{n}]": item for n, item in enumerate(value.args)},
                **{f".{name}": item for name, item in value.keywords.items()}}  # fmt: skip
    elif isinstance(value, MethodType):
        held = {"": value.__self__}
    elif dataclasses.is_dataclass(value):
        held = {f".{f.name}": getattr(value, f.name, None) for f in dataclasses.fields(value)}
    elif type(getattr(value, "__dict__", None)) is dict and not _is_examples(value):
        held = {f".{name}": item for name, item in vars(value).items()}
    for step, item in held.items():
        yield from parts(item, f"{path}{step}", seen)


def is_program(value: object) -> bool:
    """Whether an argument is a program, whose child is built within the run and takes its place."""
    return hasattr(type(value), "space") and "internals" in getattr(value, "__dict__", ())


def _is_part(value: Any) -> bool:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, (torch.nn.Module, torch.Tensor)):
        return True
    return numpy is not None and isinstance(value, numpy.ndarray)


def _content(part: Any) -> str:
    """Return a text of a module's structure, settings and weights, or of a tensor's content."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    modules = part.named_modules() if isinstance(part, torch.nn.Module) else ()
    for path, module in modules:
        plain = {k: v for k, v in vars(module).items() if isinstance(v, (str, int, float, bool, tuple))}
        digest.update(f"{path} {type(module).__qualname__} {module!r} {sorted(plain.items())}".encode())
    tensors = (
        {"": torch.as_tensor(part)}
        if not isinstance(part, torch.nn.Module)
        else part.state_dict(keep_vars=True)
    )
    for path, tensor in tensors.items():
        digest.update(f"{path} {tuple(tensor.shape)} {tensor.dtype} {tensor.requires_grad}".encode())
        if not tensor.is_meta:
            # By bytes: not every dtype has a NumPy one.
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _is_examples(value: Any) -> bool:
    data = sys.modules.get("torch.utils.data")
    return data is not None and isinstance(value, (data.Dataset, data.DataLoader))


def _on_meta() -> bool:
    """Whether tensors are made on `meta` here."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.empty(0).device.type == "meta"


def _begin_on_meta(value: Any, memo: dict[int, Any]) -> None:
    """Put the copies of all tensors of an argument into the memo of a deep copy, on `meta`."""
    import torch

    for _, part in parts(value, ""):
        held = [part] if isinstance(part, torch.Tensor) else []
        if isinstance(part, torch.nn.Module):
            held = [*part.parameters(), *part.buffers()]
        for tensor in held:
            # A subclass of tensors copies itself; a lazy parameter has no shape yet.
            if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or not tensor.is_leaf:
                continue
            made = torch.empty_like(tensor, device="meta")
            memo[id(tensor)] = (
                torch.nn.Parameter(made, tensor.requires_grad)
                if isinstance(tensor, torch.nn.Parameter)
                else made.requires_grad_(tensor.requires_grad)
            )
