"""What a model costs, counted without computing: parameters, FLOPs and activation memory.

The model is built and run on PyTorch's `meta` device, where tensors have shapes and no contents. A model that
needs real values is built on the CPU and moved to `meta`, and where even its forward pass needs them, it is
run on the CPU; the same formulas count in all three cases, so the figures agree.

* **Parameters**: elements of `model.parameters()`; a tensor used twice counts once, buffers do not count.
* **FLOPs**: 2 per multiply-add, of one forward pass over the inputs as given (batch included). Matrix
  products, convolutions, recurrent layers and attention count; element-wise operations, normalisation,
  pooling and look-ups do not, as in PyTorch's own counter and in published tables. Published "MACs" are
  half of these figures.
* **Memory**: the most bytes of activations alive at one moment of an inference pass: inputs, intermediate
  results and outputs. Views and in-place results take nothing of their own; parameters and buffers do not
  count. On `meta` attention counts in its plain form, score matrix included, so fused kernels stay below
  the figure.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

from symnas.cost.flops import is_counted, operator_flops
from symnas.errors import BuildError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModuleProfile:
    """Costs of one module and everything beneath it.

    Args:
        kind: the module's class name.
        params: parameter elements.
        flops: FLOPs of all its calls.
        memory: most bytes of activations alive while it ran, those of its surroundings included.
        calls: how often it was called.
    """

    kind: str
    params: int
    flops: int | None
    memory: int | None
    calls: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Costs of a model on given inputs.

    Args:
        params: parameter elements, shared ones once.
        flops: FLOPs of one forward pass, 2 per multiply-add.
        memory: peak activation memory of one inference pass, in bytes.
        modules: the same per module path, as in `named_modules()`; the root is `""`.
        device: where it was counted: `meta`, or `cpu` where the model needs real values.
    """

    params: int
    flops: int | None
    memory: int | None
    modules: Mapping[str, ModuleProfile]
    device: Literal["meta", "cpu"]

    @property
    def macs(self) -> int | None:
        """Multiply-adds, half of the FLOPs; None where FLOPs were not counted."""
        return None if self.flops is None else self.flops // 2

    def __str__(self) -> str:
        """Render a table of all modules, largest figures on the first line."""
        rows = [("module", "kind", "params", "FLOPs", "memory, bytes")]
        rows += [
            (path or "(whole)", m.kind, f"{m.params:,}", _shown(m.flops), _shown(m.memory))
            for path, m in self.modules.items()
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
                + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            )
            for row in rows
        )


def _shown(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


@dataclass
class _Tally:
    flops: int = 0
    memory: int = 0
    calls: int = 0


@dataclass
class _Meter:
    """Running totals: bytes alive now, the peak, and one tally per module on the call stack."""

    alive: int = 0
    tallies: dict[str, _Tally] = field(default_factory=dict)
    stack: list[_Tally] = field(default_factory=list)
    known: dict[int, Any] = field(default_factory=dict)

    def hold(self, tensor: Tensor, *, activation: bool) -> None:
        """Note a tensor's storage; an activation's bytes count until the storage dies."""
        try:
            storage = tensor.untyped_storage()
            size = storage.nbytes()
        except (RuntimeError, NotImplementedError):  # sparse and opaque tensors have no storage
            return
        # By storage, not by tensor: a view takes nothing of its own.
        key = storage._cdata
        if key in self.known:
            return
        counted = size if activation else 0

        def release(_: object) -> None:
            self.alive -= counted
            self.known.pop(key, None)

        # The reference calls back when the last tensor of the storage has died.
        self.known[key] = weakref.ref(storage, release)
        if counted:
            self.alive += counted
            for tally in self.stack:
                tally.memory = max(tally.memory, self.alive)

    def add_flops(self, flops: int) -> None:
        # Once per module, also where a module has called itself.
        for tally in {id(tally): tally for tally in self.stack}.values():
            tally.flops += flops


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator below autograd and books it with the meter."""

    def __init__(self, meter: _Meter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.meter = meter

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not is_counted(func) and func is not torch.ops.prim.device.default:
            # Under inference mode composite operators arrive whole; their parts are what has formulas.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        for leaf in tree_iter((args, kwargs)):
            if isinstance(leaf, Tensor):
                self.meter.hold(leaf, activation=False)
        result = func(*args, **kwargs)
        flops = operator_flops(func, args, kwargs, result)
        if flops:
            self.meter.add_flops(flops)
        for leaf in tree_iter(result):
            if isinstance(leaf, Tensor):
                self.meter.hold(leaf, activation=True)
        return result


def _attach(model: nn.Module, meter: _Meter) -> None:
    """Make every module announce its calls to the meter; the model is thrown away, so the hooks may stay."""
    for path, module in model.named_modules():
        tally = meter.tallies.setdefault(path, _Tally())

        def enter(_: nn.Module, __: Any, tally: _Tally = tally) -> None:
            tally.calls += 1
            tally.memory = max(tally.memory, meter.alive)
            meter.stack.append(tally)

        def leave(_: nn.Module, __: Any, ___: Any) -> None:
            meter.stack.pop()

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep PyTorch's generator as it was, and see attention as its parts, not as one fused operator."""
    fused = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)


def _on(device: str, inputs: Any) -> Any:
    """Move the tensors among the inputs; contents for `meta` inputs that must become real are zeros."""

    def move(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if leaf.is_meta and device != "meta":
            return torch.zeros(leaf.shape, dtype=leaf.dtype, device=device)
        return leaf.to(device)

    return tree_map(move, inputs)


def _module(built: object) -> nn.Module:
    if not isinstance(built, nn.Module):
        raise BuildError(
            f"only a torch.nn.Module can be profiled, and the program built {type(built).__name__} "
            f"({built!r:.80}); measure such a child inside the evaluator"
        )
    return built


def _run(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], device: Literal["meta", "cpu"]
) -> Profile:
    meter = _Meter()
    args, kwargs = _on(device, args), _on(device, dict(kwargs))
    model.eval()
    _attach(model, meter)
    for leaf in tree_iter((args, kwargs)):
        if isinstance(leaf, Tensor):
            meter.hold(leaf, activation=True)
    with _Counter(meter):
        model(*args, **kwargs)
    modules = {
        path: ModuleProfile(
            type(module).__name__,
            sum(p.numel() for p in module.parameters()),
            meter.tallies[path].flops,
            meter.tallies[path].memory,
            meter.tallies[path].calls,
        )
        for path, module in model.named_modules()
        if path in meter.tallies
    }
    whole = modules[""]
    return Profile(whole.params, whole.flops, whole.memory, modules, device)


def profile(
    build: Callable[[], object],
    inputs: Sequence[Any] | None = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Profile:
    """Count parameters, FLOPs (2 per multiply-add) and peak activation memory of one inference pass.

    Args:
        build: constructs the model; called with `meta` as the default device, again on the CPU if that fails.
        inputs: positional arguments of the model; only tensors' shapes and types matter, except on the CPU.
            None counts parameters alone: FLOPs and memory are then None.
        kwargs: keyword arguments of the model.

    Raises:
        BuildError: what was built is not a module, or does not run on the inputs even on the CPU.
    """
    if inputs is None:
        return _parameters_alone(build)
    args, named = tuple(inputs), dict(kwargs or {})
    with _undisturbed():
        try:
            with torch.device("meta"):
                return _run(_module(build()), args, named, "meta")
        except Exception:  # reads values, has no meta kernel, mixes devices: many errors mean "not on meta"
            pass
        try:
            # A copy, since the model may hold what others hold too: a module in a parameter's default, say.
            return _run(copy.deepcopy(_module(build())).to("meta"), args, named, "meta")
        except Exception:
            model = _module(build())
        try:
            return _run(model.cpu(), args, named, "cpu")
        except Exception as error:
            shapes = ", ".join(_described(leaf) for leaf in tree_iter((args, named)))
            raise BuildError(
                f"the model must run on the example inputs to be profiled, and {type(model).__name__} raised "
                f"{type(error).__name__} on ({shapes}): {error}; check the inputs' shapes and types"
            ) from error


def _parameters_alone(build: Callable[[], object]) -> Profile:
    model = _module(on_meta(build))
    modules = {
        path: ModuleProfile(type(module).__name__, sum(p.numel() for p in module.parameters()), None, None, 0)
        for path, module in model.named_modules()
    }
    return Profile(modules[""].params, None, None, modules, "meta")


def _described(leaf: Any) -> str:
    return f"{leaf.dtype} {tuple(leaf.shape)}" if isinstance(leaf, Tensor) else repr(leaf)


def count_parameters(build: Callable[[], object]) -> int:
    """Return the number of parameter elements, built on `meta` where the constructor allows it.

    Args:
        build: constructs the model.

    Raises:
        BuildError: what was built is not a module, or its parameters get shapes only from a first input.
    """
    model = _module(on_meta(build))
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise BuildError(
            "the model has lazy parameters, whose number depends on the input; give example inputs"
        )
    return sum(p.numel() for p in model.parameters())


def on_meta(build: Callable[[], T]) -> T:
    """Return what a constructor builds on `meta`, or on the CPU where it needs real values.

    Args:
        build: the constructor; PyTorch's generator is left as it was.
    """
    with _undisturbed():
        try:
            with torch.device("meta"):
                return build()
        except Exception:  # as in `profile`: whatever it is, the CPU decides whether it is an error
            return build()
