"""Traces which features run along which dimension while a child is called, down to its parameters.

The trace stands below PyTorch's own decompositions, where a hundred layers are a few dozen operations:
attention is products and views, an LSTM is products and splits. So layers need no rules here, and neither do
users'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from symnas.features.axes import Axes, Axis
from symnas.features.meta_results import computed
from symnas.features.operators import Operator, operator
from symnas.features.rules import attention, pointwise
from symnas.features.table import AxisTable


class Trace(AxisTable, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Infers the axes of all tensors of a run.

    Args:
        known: axes of the parameters and buffers, as far as their classes tell them.
    """

    def __init__(self, known: Iterable[tuple[torch.Tensor, Axes]]) -> None:
        super().__init__()
        self.changed: set[int] = set()
        """Tensors that operations have written to, by identity."""
        for tensor, axes in known:
            self.put(tensor, axes)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and infer the axes of what it returns."""
        kwargs = kwargs or {}
        known = operator(func)
        result = computed(func, args, kwargs) if known.fresh else func(*args, **kwargs)
        self._note_changes(known, args, kwargs)
        outputs = [result] if isinstance(result, torch.Tensor) else result
        if not isinstance(outputs, (tuple, list)):
            return result
        try:
            if known.rule is not None:
                axes = known.rule(self, known.bound(args, kwargs), outputs)
            elif known.pointwise:
                axes = [pointwise(self, known.name, _tensors((args, kwargs)), outputs[0])]
            elif known.name.startswith("_scaled_dot_product"):
                axes = [attention(self, *args[:3])]
            else:
                axes = self._unknown(known.name, args, outputs)
        except (IndexError, TypeError, ValueError, KeyError) as error:
            self.notes.add(f"{known.name}: {type(error).__name__}: {error}")
            axes = []
        for output, found in zip(outputs, axes, strict=False):
            if isinstance(output, torch.Tensor) and found is not None:
                self._check(known.name, output, found)
        return result

    def _check(self, packet: str, output: torch.Tensor, axes: Sequence[Axis]) -> None:
        if [axis.find().size for axis in axes] == list(output.shape):
            self.put(output, axes)
        else:
            self.notes.add(f"{packet}: axes {list(axes)} for {tuple(output.shape)}")

    def _note_changes(self, known: Operator, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Note the tensors that an operation writes to: statistics are what a forward pass changes."""
        for place, name in known.writes:
            value = args[place] if place < len(args) else kwargs.get(name)
            if isinstance(value, torch.Tensor):
                self.changed.add(id(value))

    def _unknown(self, packet: str, args: Sequence[Any], outputs: Sequence[Any]) -> list[Axes | None]:
        sources = _tensors(args)
        if sources:
            self.notes.add(f"{packet}: unknown")
        return [None for _ in outputs]


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [tensor for item in value for tensor in _tensors(item)]
