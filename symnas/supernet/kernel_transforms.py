"""Learned transforms between kernels of different sizes.

The weights of a small kernel need not be the middle of those of a large one: a matrix for each layer and size
stands between them, the same for all channels, the identity at first. Sizes form chains: a kernel is the
middle of the smallest larger one, as that has been transformed itself, times the matrix:

    W_5 = reshape(M_(7>5) vec(crop(W_7, 5))),    W_3 = reshape(M_(5>3) vec(crop(W_5, 3)))

with W_k of shape (out, in, k, k), crop taking the middle k x k, vec making k^2 numbers of them, and M of
shape (k^2, k^2). A layer has 25^2 + 9^2 = 706 further weights for that, whatever its channels. With M the
identity the kernels are the cropped ones, so a supernet starts where one without transforms does.

Source: Cai et al. 2020, "Once-for-All: Train One Network and Specialize it for Efficient Deployment" (section
3.3), there for 7 -> 5 -> 3 and square kernels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from symnas.construction.alignment import SharedLayout, Tensors
from symnas.construction.child_layout import TensorLayout

Shape = tuple[int, ...]
Chain = tuple[tuple[Shape, str], ...]
"""Sizes from large to small, each with the name of the matrix that leads to it."""


class Holder(Protocol):
    """Where the matrices are kept, beside the weights: what `Kernels` needs of shared tensors."""

    @property
    def known(self) -> Mapping[str, TensorLayout]:
        """A part of each shared tensor, by key."""

    def tensor(self, name: str) -> torch.Tensor:
        """Return a shared tensor."""

    def has(self, name: str) -> bool:
        """Whether there is a parameter of that name."""

    def add(self, name: str, value: torch.Tensor, trained: bool = True) -> None:
        """Add a parameter."""


class Kernels:
    """Which kernel is made of which, by the key of the weight."""

    def __init__(self) -> None:
        self._above: dict[str, dict[Shape, Shape]] = {}

    def learn(self, tensors: Holder, shared: SharedLayout, children: Sequence[Tensors]) -> None:
        """Make the matrices between all kernels that children have, the large ones first.

        Args:
            tensors: where the matrices are kept.
            shared: the layout.
            children: their dimensions.
        """
        for key in shared.tensors:
            count = spatial(shared, key)
            if count:
                rows = [child[key][-count:] for child in children if key in child]
                shapes = {tuple(sum(segment.size for segment in row) for row in own) for own in rows}
                # From large to small, so that what each is made of is known when its turn comes.
                for shape in sorted(shapes, key=lambda shape: (-math.prod(shape), shape)):
                    self._matrix(tensors, key, shape, shared.shape(key)[-count:])

    def chain(self, tensors: Holder, part: TensorLayout, shared: SharedLayout) -> Chain:
        """Return how the kernel of a part is made of the largest; empty where it is that one, or no kernel.

        Args:
            tensors: where the matrices are kept.
            part: of a child.
            shared: the layout.
        """
        count = spatial(shared, part.key)
        if not count:
            return ()
        # From the child's kernel up to the largest, then turned round: a chain is read from the large end.
        shape, largest = part.shape[-count:], shared.shape(part.key)[-count:]
        found: list[tuple[Shape, str]] = []
        while shape != largest:
            above = self._matrix(tensors, part.key, shape, largest)
            found.append((shape, _name(part.key, above, shape)))
            shape = above
        return tuple(reversed(found))

    def restore(self, tensors: Holder, names: Mapping[str, object]) -> None:
        """Make the matrices that a state has."""
        for key in list(tensors.known):
            for name in names:
                start, _, sizes = name.rpartition(":")
                if start == tensors.known[key].name and ">" in sizes:
                    above, shape = (tuple(map(int, size.split("x"))) for size in sizes.split(">"))
                    self._make(tensors, key, shape, above)

    def _matrix(self, tensors: Holder, key: str, shape: Shape, largest: Shape) -> Shape:
        """Return the kernel that another one is made of, and make the matrix if there is none."""
        known = self._above.setdefault(key, {})
        if shape not in known and shape != largest:
            # The smallest that holds it, for the chain to have as many links as there are sizes in between.
            larger = [each for each in {*known, largest} if each != shape and _inside(shape, each)]
            self._make(tensors, key, shape, min(larger, key=lambda each: (math.prod(each), each)))
        return known.get(shape, largest)

    def _make(self, tensors: Holder, key: str, shape: Shape, above: Shape) -> None:
        name = _name(key, above, shape)
        if tensors.has(name):
            return
        self._above.setdefault(key, {})[shape] = above
        like = tensors.tensor(tensors.known[key].name)  # (k^2, k^2), on its device and of its type
        tensors.add(name, torch.eye(math.prod(shape), dtype=like.dtype, device=like.device))


def transformed(
    value: torch.Tensor, chain: Chain, matrices: Mapping[str, nn.Parameter | None]
) -> torch.Tensor:
    """Return a kernel made of the largest one.

    Args:
        value: (…, *largest size).
        chain: the way from there.
        matrices: by name.
    """
    for shape, name in chain:
        for dim, size in zip(range(-len(shape), 0), shape, strict=True):
            value = value.narrow(dim, (value.shape[dim] - size) // 2, size)
        matrix = matrices[name]
        assert matrix is not None
        # (out, in, k, k) -> (out, in, k^2), times M transposed, and back: one matrix for all channels.
        value = nn.functional.linear(value.flatten(-len(shape)), matrix).reshape(value.shape)
    return value


def spatial(shared: SharedLayout, key: str) -> int:
    """Return how many last dimensions of a shared tensor are those of a kernel."""
    rows = reversed(shared.tensors[key])  # (out, in, *kernel): from the last dimension on, while centred
    return sum(1 for _ in itertools.takewhile(lambda row: len(row.slots) == 1 and row.slots[0].centred, rows))


def _inside(small: Shape, large: Shape) -> bool:
    return all(one <= other for one, other in zip(small, large, strict=True))


def _name(key: str, above: Shape, shape: Shape) -> str:
    return f"{key.replace('.', '/')}:{'x'.join(map(str, above))}>{'x'.join(map(str, shape))}"
