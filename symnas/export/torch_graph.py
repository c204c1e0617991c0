"""A child as a PyTorch computation graph: `torch.export`, with `torch.fx` where export cannot."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from symnas.errors import BuildError

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule


def graph(
    child: object,
    inputs: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    strict: bool = False,
) -> ExportedProgram | GraphModule:
    """Return the computation graph of a child, in the mode (training or evaluation) that the child is in.

    Args:
        child: a module; it is left as it was.
        inputs: example positional arguments of its forward pass.
        kwargs: example keyword arguments.
        dynamic_shapes: sizes that may vary later, as `torch.export.export` takes them.
        strict: ask `torch.export` to read the bytecode instead of tracing.

    Returns:
        A `torch.export.ExportedProgram`, or, where export refuses the model, a `torch.fx.GraphModule` that
        was checked to compute what the child computes on the inputs.

    Raises:
        BuildError: the child is not a module, or neither way can express it; the message has both reasons.
    """
    if not isinstance(child, nn.Module):
        raise BuildError(f"only a torch.nn.Module has a graph, and the program built {type(child).__name__}")
    args, named = tuple(inputs), dict(kwargs or {})
    try:
        return torch.export.export(child, args, named, dynamic_shapes=dynamic_shapes, strict=strict)
    except Exception as error:  # export has no root class of its own for "cannot"
        refused = error
    try:
        traced = torch.fx.symbolic_trace(child)
        _require_equal(child, traced, args, named)
    except Exception as error:
        raise BuildError(
            f"{type(child).__name__} has no graph on these inputs: neither torch.export nor torch.fx can "
            "express it (a forward pass must not decide on the values of its tensors)\n"
            f"  torch.export: {_first_line(refused)}\n  torch.fx: {_first_line(error)}"
        ) from refused
    return traced


def _require_equal(child: nn.Module, traced: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Run both on copies, since a training pass changes statistics, and compare."""
    outputs = []
    for module in (child, traced):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            outputs.append(tree_flatten(copy.deepcopy(module)(*args, **named)))
    (ours, shape), (theirs, other_shape) = outputs
    same = shape == other_shape and all(
        torch.allclose(a, b, equal_nan=True) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
        for a, b in zip(ours, theirs, strict=True)
    )
    if not same:
        raise ValueError("the traced graph computes something else, so the forward pass decides on values")


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else '(no message)'}"
