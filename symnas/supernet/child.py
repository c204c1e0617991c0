"""One child of a supernet: how its tensors are parts of the shared ones, and how they get into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from symnas.errors import BuildError, SymnasError
from symnas.features.alignment import Index, Row, Segment, Tensors
from symnas.features.axes import Axes, Axis, ordered
from symnas.features.module_rules import dimensions
from symnas.features.trace import Trace
from symnas.frontend import execution
from symnas.supernet.parameter_keys import KeyedModule, keyed_module

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision


@dataclass(eq=False)
class SharedSlice:
    """A tensor of a child as a part of a shared one.

    Args:
        key: of the shared tensor.
        paths: under which it stands in the child; several where tied.
        rows: its dimensions.
        dtype: as the constructor makes it.
        trained: whether it asks for gradients.
        buffer: whether it is a statistic and no parameter.
        index: where it stands in the shared tensor.
        own: whether the child has one of its own instead.
        leaf: what takes the child's gradient, where it is kept apart (`symnas.supernet.optimizer`).
        chain: how it is made of the part at the index, where kernels are learned
            (`symnas.supernet.kernel_transforms`).
    """

    key: str
    paths: list[str]
    rows: tuple[Row, ...]
    dtype: torch.dtype
    trained: bool
    buffer: bool
    index: tuple[Index, ...] = ()
    own: bool = False
    leaf: nn.Parameter | None = None
    chain: tuple[tuple[tuple[int, ...], str], ...] = ()

    @property
    def name(self) -> str:
        """What the shared tensor is called in the supernet."""
        return self.key.replace(".", "/")

    @property
    def sliced(self) -> bool:
        """Whether a view reaches it."""
        return all(isinstance(where, slice) for where in self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes in the child."""
        return tuple(sum(segment.size for segment in row) for row in self.rows)


@dataclass(eq=False)
class BoundChild:
    """A child and its parts.

    Args:
        moving: parts that are put into the child anew for every call.
        copied: statistics that no view can reach, and which are copied back after every call.
        sliced: parts whose gradients are kept apart.
        owned: statistics that the child does not share.
        entered: how often it is in use now.
    """

    decision: Decision
    child: nn.Module
    parts: dict[str, SharedSlice]
    notes: set[str]
    real: bool = False
    bound: bool = False
    moving: list[SharedSlice] = field(default_factory=list)
    copied: list[SharedSlice] = field(default_factory=list)
    sliced: list[SharedSlice] = field(default_factory=list)
    owned: list[SharedSlice] = field(default_factory=list)
    entered: int = 0
    _places: dict[str, list[tuple[nn.Module, str]]] = field(default_factory=dict)

    @property
    def rows(self) -> Tensors:
        """The dimensions of all parts."""
        return {key: part.rows for key, part in self.parts.items()}

    def used(self, parts: Iterable[SharedSlice] | None = None) -> Iterable[SharedSlice]:
        """Return the parts that the child uses, of some or of all."""
        return self.parts.values() if parts is None else parts

    def train(self, mode: bool) -> None:
        """Set the child to training or evaluation."""
        if self.child.training != mode:
            self.child.train(mode)

    def tensors(self, child: nn.Module) -> Iterator[tuple[torch.Tensor, SharedSlice]]:
        """Yield the tensors of a child built under the same decision, and which part each is."""
        for part in self.parts.values():
            yield self.tensor_at(child, part.paths[0], part), part

    @staticmethod
    def tensor_at(child: nn.Module, path: str, part: SharedSlice) -> torch.Tensor:
        """Return a tensor of a child built under the same decision."""
        try:
            return child.get_buffer(path) if part.buffer else child.get_parameter(path)
        except AttributeError as error:
            raise BuildError(
                f"every build of a decision makes the same modules, and {path!r} is missing here ({error})"
            ) from error

    def places(self, part: SharedSlice) -> list[tuple[nn.Module, str]]:
        """Return the modules that hold a part, and its names there."""
        found = self._places.get(part.key)
        if found is None:
            found = self._places[part.key] = []
            for path in part.paths:
                owner, _, name = path.rpartition(".")
                found.append((self.child.get_submodule(owner), name))
        return found

    def buffer(self, part: SharedSlice) -> torch.Tensor:
        """Return the child's own tensor of a statistic."""
        module, name = self.places(part)[0]
        found: torch.Tensor = module._buffers[name]  # type: ignore[assignment]
        return found

    def realise(
        self, program: ProgramView, seed: int, dtype: torch.dtype | None, device: torch.device
    ) -> None:
        """Make the child callable: what it does not share is computed by its constructor."""
        if self.real:
            return
        shared = {path for part in self.parts.values() for path in part.paths}
        if unreal(self.child, shared):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.child = _build(program, self.decision, None).child
        self.empty(dtype, device)

    def empty(self, dtype: torch.dtype | None, device: torch.device) -> None:
        """Take the shared tensors out of the child, and move the rest to where it will run."""
        for part in self.parts.values():
            for module, name in self.places(part):
                (module._buffers if part.buffer else module._parameters)[name] = None
        self.child.to(device=device, dtype=dtype)
        self.real = True


def place(made: BoundChild, part: SharedSlice, tensor: torch.Tensor) -> None:
    """Put a tensor where a child looks for a part."""
    for module, name in made.places(part):
        if part.buffer:
            module._buffers[name] = tensor
        else:
            put(module, name, tensor)


def put(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Let a module compute with a tensor in the place of a parameter."""
    module._parameters[name] = tensor  # type: ignore[assignment]
    if isinstance(module, nn.RNNBase):
        # Recurrent modules keep a second list of their weights.
        weights = list(module._flat_weights)
        weights[module._flat_weights_names.index(name)] = tensor
        module.__dict__["_flat_weights"] = weights


# -- making -------------------------------------------------------------------------------------


def plan(program: ProgramView, decision: Decision, seed: int) -> BoundChild:
    """Build a child without computing, and find the parts that its tensors are.

    Raises:
        BuildError: it cannot be built, or one key belongs to two tensors.
    """
    made = _build(program, decision, "meta")
    if program.inputs is None:
        return _plan(decision, made, Trace(()), _axes(made))
    failure: Exception | None = None
    for device, training in (("meta", True), ("meta", False), (None, True), (None, False)):
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                traced = made if device == "meta" else _build(program, decision, None)
                axes = _axes(traced)
                trace = _traced(program, traced, axes, training)
        except SymnasError:
            raise
        except Exception as error:  # the model's own; what cannot be traced here may be traceable there
            failure = failure or error
            continue
        made.child.train()
        return _plan(decision, made, trace, axes, traced)
    made.child.train()
    found = _plan(decision, made, Trace(()), _axes(made))
    found.notes.add(f"not traced: {type(failure).__name__}: {failure}")
    return found


def layout_of(program: ProgramView, decision: Decision, made: KeyedModule) -> BoundChild:
    """Return a model that was made without computing, and its parts as a call of it tells them.

    Args:
        program: with example inputs.
        decision: under which the model was made.
        made: on the device `meta`.
    """
    axes = _axes(made)
    return _plan(decision, made, _traced(program, made, axes, training=True), axes)


def _build(program: ProgramView, decision: Decision, device: str | None) -> KeyedModule:
    made = keyed_module(program, decision, device)
    if not execution.needs_source(program.internals.source_set):
        return made
    with nullcontext() if device is None else torch.device(device):
        child = program.build(decision)
    names = {name for name, _ in child.named_parameters(remove_duplicate=False)}
    if names != set(made.parameters):
        raise BuildError(
            f"the text generated for {program.name} makes the parameters that the program makes; "
            f"{', '.join(sorted(names ^ set(made.parameters)))} are in one alone"
        )
    return KeyedModule(child, made.parameters, made.buffers)


def _axes(made: KeyedModule) -> dict[int, tuple[torch.Tensor, Axes, str, bool]]:
    """Return the axes of parameters and buffers as their modules' classes tell them, and their keys."""
    found: dict[int, tuple[torch.Tensor, Axes, str, bool]] = {}
    modules = dict(made.child.named_modules(remove_duplicate=False))
    for keys, buffer in ((made.parameters, False), (made.buffers, True)):
        for path, key in keys.items():
            owner, _, name = path.rpartition(".")
            tensor = (modules[owner]._buffers if buffer else modules[owner]._parameters)[name]
            if tensor is not None and nn.parameter.is_lazy(tensor):
                raise BuildError(
                    f"{path} has no size before the model is called (a lazy layer), and shared weights are "
                    "made before that: give the sizes, as nn.Linear and nn.Conv2d take them"
                )
            if tensor is not None and id(tensor) not in found:
                label = f"{key}.buffer" if buffer else key
                axes = dimensions(modules[owner], name, tensor.shape, label)
                found[id(tensor)] = tensor, axes, key, buffer
    return found


def _traced(
    program: ProgramView,
    made: KeyedModule,
    axes: Mapping[int, tuple[torch.Tensor, Axes, str, bool]],
    training: bool,
) -> Trace:
    tensors = made.child.parameters()
    args, kwargs = program.internals.example(next((str(tensor.device) for tensor in tensors), None))
    trace = Trace((tensor, own) for tensor, own, _, _ in axes.values())
    for number, given in enumerate([*args, *kwargs.values()]):
        if isinstance(given, torch.Tensor):
            trace.put(given, [Axis(size, {f"input {number}:{dim}"}) for dim, size in enumerate(given.shape)])
    made.child.train(training)
    with torch.no_grad(), trace:
        made.child(*args, **kwargs)
    return trace


def _plan(
    decision: Decision,
    made: KeyedModule,
    trace: Trace,
    axes: Mapping[int, tuple[torch.Tensor, Axes, str, bool]],
    traced: KeyedModule | None = None,
) -> BoundChild:
    source = traced or made
    ids = {path: id(tensor) for path, tensor in source.child.named_parameters(remove_duplicate=False)}
    buffers = {path: id(tensor) for path, tensor in source.child.named_buffers(remove_duplicate=False)}
    kept = _statistics(source.child) | {path for path, own in buffers.items() if own in trace.changed}
    parts: dict[str, SharedSlice] = {}
    owners: dict[str, int] = {}
    for paths, keys, buffer in ((ids, source.parameters, False), (buffers, source.buffers, True)):
        for path, key in keys.items():
            if buffer and path not in kept:
                continue
            name = key
            if owners.setdefault(name, paths[path]) != paths[path]:
                raise BuildError(
                    f"a weight is shared by the place of its construction, and {parts[name].paths[0]!r} and "
                    f"{path!r} are two that were constructed at {key!r}: construct them at places "
                    "of their own"
                )
            if name in parts:
                parts[name].paths.append(path)
                continue
            tensor, own, _, _ = axes[paths[path]]
            rows = tuple(map(_row, own))
            parts[name] = SharedSlice(name, [path], rows, tensor.dtype, tensor.requires_grad, buffer)
    return BoundChild(decision, made.child, parts, set(trace.notes))


def _row(axis: Axis) -> Row:
    return tuple(
        Segment(
            tuple(part.size for part in axes),
            labels,
            any(part.centred for part in axes),
            tuple(id(part) for part in axes),
        )
        for labels, axes in ordered(axis)
    )


def _statistics(child: nn.Module) -> set[str]:
    """Return the running statistics of normalisation layers: buffers that a forward pass updates."""
    found = set()
    for path, module in child.named_modules(remove_duplicate=False):
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                if module._buffers.get(name) is not None:
                    found.add(f"{path}.{name}".removeprefix("."))
    return found


def unreal(child: nn.Module, shared: set[str]) -> bool:
    """Whether a child built without computing holds tensors, besides the shared ones, that have no values."""
    for path, tensor in child.named_buffers(remove_duplicate=False):
        if path not in shared and tensor.is_meta:
            return True
    skip = {"_parameters", "_buffers", "_modules", "_flat_weights"}
    return any(
        _meta_inside(value, 3)
        for module in child.modules()
        for name, value in vars(module).items()
        if name not in skip
    )


def _meta_inside(value: Any, depth: int) -> bool:
    if isinstance(value, torch.Tensor):
        return value.is_meta
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple, set)):
        return False
    return depth > 0 and any(_meta_inside(item, depth - 1) for item in value)


# -- tensors ------------------------------------------------------------------------------------


def narrow(tensor: torch.Tensor, index: Sequence[Index]) -> torch.Tensor:
    """Return the part of a tensor at an index: a view of it where every dimension is a slice."""
    for dim, where in enumerate(index):
        if isinstance(where, slice):
            if where.stop - where.start != tensor.shape[dim]:
                tensor = tensor.narrow(dim, where.start, where.stop - where.start)
        else:
            tensor = tensor.index_select(dim, torch.tensor(where, device=tensor.device))
    return tensor


def write(tensor: torch.Tensor, index: Sequence[Index], value: torch.Tensor) -> None:
    """Put values into the part of a tensor at an index."""
    grid = [
        torch.arange(where.start, where.stop) if isinstance(where, slice) else torch.tensor(where)
        for where in index
    ]
    with torch.no_grad():
        if not grid:
            tensor.copy_(value)
            return
        mesh = torch.meshgrid(*grid, indexing="ij")
        tensor[tuple(each.to(tensor.device) for each in mesh)] = value.to(tensor.device, tensor.dtype)


Move = tuple[Sequence[Index], Sequence[Index]]
"""Where positions stood, and where they stand now."""


def extend(old: torch.Tensor, grown: torch.Tensor, moves: Sequence[Move]) -> torch.Tensor:
    """Carry the parts of an old tensor to where they stand in a new one."""
    for before, after in moves:
        write(grown, after, narrow(old, before))
    return grown


def spread(whole: torch.Tensor, done: torch.Tensor, seed: int) -> None:
    """Give positions that no constructor has filled values drawn from those that one has."""
    missing = int((~done).sum())
    if missing:
        generator = torch.Generator().manual_seed(seed)
        known = whole[done]
        whole[~done] = known[torch.randint(len(known), (missing,), generator=generator)]
