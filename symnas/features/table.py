"""What is known of the axes of tensors so far: what rules read, and what they write."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from symnas.features.axes import Axes, Axis, unify


class AxisTable:
    """The axes of tensors, by the tensors' identity.

    Tensors are held, not only their addresses in memory: one that is freed could be followed by another at
    the same place, and would hand its axes on to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notes: set[str] = set()
        """What was not understood; it is told to the user, and changes nothing."""
        self._axes: dict[int, tuple[torch.Tensor, Axes]] = {}

    def put(self, tensor: torch.Tensor, axes: Sequence[Axis]) -> None:
        """Say what a tensor's axes are."""
        self._axes[id(tensor)] = tensor, tuple(axes)

    def of(self, tensor: torch.Tensor) -> Axes:
        """Return a tensor's axes, one for each dimension; plain ones where nothing was said of it."""
        found = self._axes.get(id(tensor))
        if found is None or len(found[1]) != tensor.ndim:
            self.put(tensor, [Axis(size) for size in tensor.shape])
            found = self._axes[id(tensor)]
        return found[1]

    def noted(self, tensor: torch.Tensor) -> Axes:
        """Return what was said of a tensor, whatever its shape is now."""
        return self._axes[id(tensor)][1]

    def same(self, first: Axis, second: Axis, where: str) -> None:
        """Learn that two axes are one; what does not fit is noted, and stays as it was.

        Axes of different sizes are not compared: broadcasting puts one position beside many.
        """
        if first.find().size == second.find().size and not unify(first, second):
            self.notes.add(f"{where}: {first!r} is not {second!r}")
