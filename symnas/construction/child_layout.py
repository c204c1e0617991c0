"""What the tensors of one child consist of, as a call of the child tells it.

The child is constructed on the device `meta`, so nothing is computed, and called once on the example inputs.
What its operations say of the axes of its tensors (`symnas.features.trace`) gives every parameter its *rows*,
one row of segments per dimension, by which tensors of different children are aligned
(`symnas.construction.alignment`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import nn

from symnas.construction.alignment import Row, Segment, Tensors
from symnas.construction.parameter_keys import KeyedModule, keyed_module
from symnas.errors import BuildError, SymnasError
from symnas.features.axes import Axis, ordered
from symnas.features.model_axes import ModelAxes, axes_of
from symnas.frontend import execution

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision

ATTEMPTS: tuple[tuple[str | None, bool], ...] = (("meta", True), ("meta", False), (None, True), (None, False))
"""Where a child is called, and whether in training: without computing first, then as its code makes it."""


@dataclass(eq=False)
class TensorLayout:
    """A tensor of a child: which weight it is, and what its dimensions consist of.

    Args:
        key: under which children share it.
        paths: under which it stands in the child; several where tied.
        rows: its dimensions.
        dtype: as the constructor makes it.
        trained: whether it asks for gradients.
        buffer: whether it is a statistic and no parameter.
    """

    key: str
    paths: list[str]
    rows: tuple[Row, ...]
    dtype: torch.dtype
    trained: bool
    buffer: bool

    @property
    def name(self) -> str:
        """What a module that holds the shared tensor calls it: names of parameters have no dots."""
        return self.key.replace(".", "/")

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes in the child."""
        return tuple(sum(segment.size for segment in row) for row in self.rows)


Part_co = TypeVar("Part_co", bound=TensorLayout, covariant=True)


@dataclass(eq=False)
class ChildLayout(Generic[Part_co]):
    """What the tensors of a child are.

    Args:
        decision: under which it is built.
        slices: by key, in the order of the child's parameters, then its statistics.
        notes: what the trace did not understand.
    """

    decision: Decision
    slices: Mapping[str, Part_co]
    notes: set[str]

    @property
    def rows(self) -> Tensors:
        """The dimensions of all tensors."""
        return {key: part.rows for key, part in self.slices.items()}

    def tensors(self, child: nn.Module) -> Iterator[tuple[torch.Tensor, Part_co]]:
        """Yield the tensors of a child built under the same decision, and which each is."""
        for part in self.slices.values():
            yield self.tensor_at(child, part.paths[0], part), part

    @staticmethod
    def tensor_at(child: nn.Module, path: str, part: TensorLayout) -> torch.Tensor:
        """Return a tensor of a child built under the same decision."""
        try:
            return child.get_buffer(path) if part.buffer else child.get_parameter(path)
        except AttributeError as error:
            raise BuildError(
                f"every build of a decision makes the same modules, and {path!r} is missing here ({error})"
            ) from error


def keyed_child(program: ProgramView, decision: Decision, device: str | None) -> KeyedModule:
    """Construct the child of a decision as it is called: of a generated class where `forward` holds choices.

    Args:
        program: whose target makes a module.
        decision: which child.
        device: where tensors are made; None is wherever the code makes them.

    Raises:
        BuildError: it cannot be built.
    """
    made = keyed_module(program, decision, device)
    if not execution.needs_source(program.internals.source_set):
        return made
    # The run that notes keys constructs the user's own class; the generated one has the same names.
    with program.internals.printed.run(), nullcontext() if device is None else torch.device(device):
        child = program.build(decision)
    names = {name for name, _ in child.named_parameters(remove_duplicate=False)}
    if names != set(made.parameters):
        raise BuildError(
            f"the text generated for {program.name} makes the parameters that the program makes; "
            f"{', '.join(sorted(names ^ set(made.parameters)))} are in one alone"
        )
    return KeyedModule(child, made.parameters, made.buffers)


def layout_alone(
    program: ProgramView, decision: Decision, seed: int
) -> tuple[nn.Module, ChildLayout[TensorLayout]]:
    """Construct a child on `meta`, and find the slices that its tensors are.

    Args:
        program: whose target makes a module. Without example inputs the classes of modules tell alone.
        decision: which child.
        seed: of what a call of the child draws.

    Raises:
        BuildError: it cannot be built, or one key belongs to two tensors.
    """
    made = keyed_child(program, decision, "meta")
    if program.inputs is None:
        return made.module, _layout(decision, made, axes_of(made.module, _labels(made), None))
    # Evaluation is second: batch statistics of one example do not exist, and dropout hides nothing there.
    failure: Exception | None = None
    for device, training in ATTEMPTS:
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                called = made if device == "meta" else keyed_child(program, decision, None)
                axes = _called(program, called, training)
        except SymnasError:
            raise
        except Exception as error:  # the model's own; what cannot be traced here may be traceable there
            failure = failure or error
            continue
        made.module.train()
        return made.module, _layout(decision, called, axes)
    made.module.train()
    found = _layout(decision, made, axes_of(made.module, _labels(made), None))
    found.notes.add(f"not traced: {type(failure).__name__}: {failure}")
    return made.module, found


def layout_of(program: ProgramView, decision: Decision, made: KeyedModule) -> ChildLayout[TensorLayout]:
    """Find the slices that the tensors of a model are which was made on `meta`; it is called in training.

    Args:
        program: whose it is.
        decision: under which it was made.
        made: the model.

    Raises:
        Exception: whatever the model's own code raises.
    """
    return _layout(decision, made, _called(program, made, training=True))


def _called(program: ProgramView, made: KeyedModule, training: bool) -> ModelAxes:
    """Call a model on the example inputs, if there are any, and return the axes of its tensors."""
    labels = _labels(made)
    if program.inputs is None:
        return axes_of(made.module, labels, None)
    device = next((str(tensor.device) for tensor in made.module.parameters()), None)
    return axes_of(made.module, labels, program.internals.example(device), training=training)


def _labels(made: KeyedModule) -> dict[str, str]:
    """Return the labels of a model's tensors, by qualified name: a weight has its key in all children.

    Raises:
        BuildError: a tensor has no size yet.
    """
    labels = {**made.parameters, **{path: f"{key}.buffer" for path, key in made.buffers.items()}}
    module = made.module
    tensors = (module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False))
    for path, tensor in itertools.chain(*tensors):
        if path in labels and nn.parameter.is_lazy(tensor):
            raise BuildError(
                f"{path} has no size before the model is called (a lazy layer), and shared weights are "
                "made before that: give the sizes, as nn.Linear and nn.Conv2d take them"
            )
    return labels


def _layout(decision: Decision, made: KeyedModule, axes: ModelAxes) -> ChildLayout[TensorLayout]:
    """Lay out every parameter, and every buffer that is a statistic or that the call wrote to."""
    module = made.module
    # By identity: a tied parameter stands under several paths, and is one slice with all of them.
    parameters = {path: id(tensor) for path, tensor in module.named_parameters(remove_duplicate=False)}
    buffers = {path: id(tensor) for path, tensor in module.named_buffers(remove_duplicate=False)}
    kept = _statistics(module) | {path for path, own in buffers.items() if own in axes.changed}
    slices: dict[str, TensorLayout] = {}
    owners: dict[str, int] = {}
    for tensors, keys, buffer in ((parameters, made.parameters, False), (buffers, made.buffers, True)):
        for path, key in keys.items():
            if buffer and path not in kept:
                continue
            if owners.setdefault(key, tensors[path]) != tensors[path]:
                raise BuildError(
                    f"a weight is shared by the place of its construction, and {slices[key].paths[0]!r} and "
                    f"{path!r} are two that were constructed at {key!r}: construct them at places "
                    "of their own"
                )
            if key in slices:
                slices[key].paths.append(path)
                continue
            tensor, own = axes.tensors[tensors[path]]
            rows = tuple(map(_row, own))
            slices[key] = TensorLayout(key, [path], rows, tensor.dtype, tensor.requires_grad, buffer)
    return ChildLayout(decision, slices, set(axes.notes))


def _row(axis: Axis) -> Row:
    """Return a dimension as segments; sizes keep the identity of their axes, to be found in other tensors."""
    # An axis is a sum of products, such as two branches of heads x width behind a concatenation: a segment
    # for each term, in order, with a size for each factor, the innermost last.
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
        # Those of a layer in evaluation are not written to by the call, and are statistics nevertheless.
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
    # Constructors may keep tensors anywhere, in a list of masks, say: what was made on `meta` has no values.
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
