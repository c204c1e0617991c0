"""The axes of a whole model's tensors: what the classes of its modules tell, and what a call of it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from symnas.features.axes import Axes, Axis
from symnas.features.module_rules import dimensions
from symnas.features.trace import Trace


@dataclass(frozen=True, eq=False)
class ModelAxes:
    """What is known of the axes of a model's tensors.

    Args:
        tensors: parameters and buffers with their axes, by the tensors' identity.
        changed: tensors that the call has written to, by identity.
        notes: what was not understood.
    """

    tensors: Mapping[int, tuple[torch.Tensor, Axes]]
    changed: set[int] = field(default_factory=set)
    notes: set[str] = field(default_factory=set)


Inputs = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Of a call: positional and named."""


def axes_of(
    model: nn.Module, labels: Mapping[str, str], inputs: Inputs | None, *, training: bool = True
) -> ModelAxes:
    """Return the axes of a model's parameters and buffers, after a call that tells which of them are one.

    Args:
        model: is set to training or evaluation.
        labels: of the tensors, by qualified name. An axis is labelled `label:dimension`, and recognised by
            that in other models.
        inputs: of the call, where the parameters are; without, the classes of modules tell alone.
        training: the mode of the call.

    Raises:
        Exception: whatever the model's own code raises.
    """
    axes = _told_by_classes(model, labels)
    if inputs is None:
        return ModelAxes(axes)
    args, kwargs = inputs
    trace = Trace(axes.values())
    # Inputs are labelled by their places, which are the same for all children: so are features from them.
    for number, given in enumerate([*args, *kwargs.values()]):
        if isinstance(given, torch.Tensor):
            trace.put(given, [Axis(size, {f"input {number}:{dim}"}) for dim, size in enumerate(given.shape)])
    model.train(training)
    with torch.no_grad(), trace:
        model(*args, **kwargs)
    return ModelAxes(axes, trace.changed, set(trace.notes))


def _told_by_classes(model: nn.Module, labels: Mapping[str, str]) -> dict[int, tuple[torch.Tensor, Axes]]:
    """Return the axes of tensors as the classes of their modules tell them."""
    found: dict[int, tuple[torch.Tensor, Axes]] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for path, label in labels.items():
        place, _, name = path.rpartition(".")
        owner = modules[place]
        tensor = (owner._parameters if name in owner._parameters else owner._buffers)[name]
        # By identity: a tied tensor stands under several names, and is what it is under the first.
        if tensor is not None and id(tensor) not in found:
            found[id(tensor)] = tensor, dimensions(owner, name, tensor.shape, label)
    return found
