"""The sizes of a program: which positions of its tensors the values of widths and kernels have.

A tensor is made once, at its largest. For every group of points that decide dimensions of it together, as
heads and their width do, a mask says which positions each combination of their values has: a table of zeros
and ones with an axis for each point, (candidates of one, candidates of the other, positions). With widths
{2, 4} it is (1, 1, 0, 0) and (1, 1, 1, 1). Weighted by p_i and q_j of the two points' values, the weight of a
position is sum_ij p_i q_j table[i, j].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from symnas._typing import Value
from symnas.contracts.relaxed_points import RelaxedPoint

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Mask:
    """Which positions of a parameter the values of a few points have.

    Args:
        points: addresses.
        table: (candidates of the first, …, of the last, sizes of the parameter or 1 …) of zeros and ones.
    """

    points: tuple[str, ...]
    table: torch.Tensor
    _elsewhere: dict[tuple[torch.device, torch.dtype], torch.Tensor] = field(default_factory=dict)

    def like(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the table on the device and in the type of a tensor."""
        place = tensor.device, tensor.dtype
        if place not in self._elsewhere:
            self._elsewhere[place] = self.table.to(*place)
        return self._elsewhere[place]

    def factor(self, weights: Weights) -> torch.Tensor:
        """Return what each position is multiplied by: the weight of the values that have it.

        Args:
            weights: (candidates,) of each point.
        """
        # (candidates of this point, of later ones, *positions) times (candidates of this point,), point by
        # point, until (*positions) are left.
        found = self.like(weights[self.points[0]])
        for address in self.points:
            found = torch.tensordot(weights[address], found, 1)
        return found


@dataclass(frozen=True, eq=False)
class Sizes:
    """The points of a program that only say how large its tensors are, and what each value leaves of them.

    Args:
        points: by address, in the order of the tree.
        largest: the value that the model is made with.
        refused: why other points that are closed are none, by address.
        read: by key, what a parameter is multiplied by when it is called.
        held: by key, the same for all positions that a child has, read or not: what it costs.
    """

    points: Mapping[str, RelaxedPoint]
    largest: Mapping[str, Value]
    refused: Mapping[str, str]
    read: Mapping[str, tuple[Mask, ...]]
    held: Mapping[str, tuple[Mask, ...]]
