"""What a supernet's `state_dict` says besides its tensors, as plain data: where children stand in them.

Two supernets of one program differ in what they have grown to. Each state says which children its tensors
were made for, so another supernet grows until it holds those too, and every weight goes to where it stands
there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from symnas.construction.alignment import Row, Segment, SharedLayout, Tensors
from symnas.construction.child_layout import TensorLayout
from symnas.errors import BuildError
from symnas.supernet.tensors import Move, extend


def described(children: Sequence[Tensors], slices: Mapping[str, TensorLayout]) -> dict[str, Any]:
    """Return the dimensions of children's tensors, and what is known of each tensor, in lists and numbers.

    Args:
        children: their rows.
        slices: one of each shared tensor, by key.
    """
    # Children have most rows in common: each is written once, and a child says by number which are its own.
    numbers: dict[Any, int] = {}
    found = []
    for child in children:
        # An axis is an identity in memory, which says no more than that two sizes of one child are the same
        # axis. Numbered as they come, axes say that in every process.
        axes: dict[int, int] = {}
        rows = {key: [_plain(row, axes) for row in child[key]] for key in sorted(child)}
        found.append(
            {key: [numbers.setdefault(row, len(numbers)) for row in own] for key, own in rows.items()}
        )
    kinds = {key: [str(part.dtype), part.trained, part.buffer] for key, part in slices.items()}
    return {"rows": [*numbers], "children": found, "tensors": kinds}


def _plain(row: Row, axes: dict[int, int]) -> tuple[Any, ...]:
    return tuple(
        (
            segment.shape,
            tuple(sorted(segment.labels)),
            segment.centred,
            tuple(axes.setdefault(axis, len(axes)) for axis in segment.axes),
        )
        for segment in row
    )


@dataclass(frozen=True)
class Saved:
    """What `described` has written.

    Args:
        children: rows of the children.
        slices: what is known of each tensor, by key.
    """

    children: list[Tensors]
    slices: dict[str, TensorLayout]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Saved:
        """Read it."""
        rows = [tuple(_segment(*segment) for segment in row) for row in data["rows"]]
        children: list[Tensors] = [
            {key: tuple(rows[number] for number in own) for key, own in child.items()}
            for child in data["children"]
        ]
        # What is asked of a tensor is how many dimensions it has: the rows of any child tell.
        first: dict[str, Sequence[Row]] = {}
        for child in children:
            for key, own in child.items():
                first.setdefault(key, own)
        slices = {
            key: TensorLayout(
                key, [], tuple(first[key]), getattr(torch, dtype.removeprefix("torch.")), trained, buffer
            )
            for key, (dtype, trained, buffer) in data["tensors"].items()
        }
        return cls(children, slices)

    @functools.cached_property
    def layout(self) -> SharedLayout:
        """The layout of the tensors saved."""
        made = SharedLayout()
        made.make_room(self.children)
        return made

    def joined(self, own: Sequence[Tensors]) -> list[Tensors]:
        """Return the children of this state and others: in its own order where it holds all of them."""
        # The layout depends on the order of children (of rows as long, the first takes the slots), so in the
        # saved order tensors are loaded as they stand.
        if all(child in self.children for child in own):
            return list(self.children)
        return [*own, *(child for child in self.children if child not in own)]

    def carried(
        self, key: str, tensor: torch.Tensor, onto: torch.Tensor, shared: SharedLayout
    ) -> torch.Tensor:
        """Carry a tensor of this state to where its positions stand in other shared tensors.

        Args:
            key: of the tensor.
            tensor: as saved.
            onto: what the positions hold that it lacks.
            shared: the other layout, which holds the children of this state.
        """
        moves = moved(key, self.children, self.layout, shared)
        same = self.layout.shape(key) == shared.shape(key) and all(was == now for was, now in moves)
        return tensor if same else extend(tensor, onto.detach().clone(), moves)


def moved(key: str, children: Iterable[Tensors], before: SharedLayout, after: SharedLayout) -> list[Move]:
    """Return where the parts of a shared tensor stood in one layout, and where they stand in another."""
    return [
        (before.index(key, before.refined(child)[key]), after.index(key, after.refined(child)[key]))
        for child in children
        if key in child
    ]


def _segment(shape: Sequence[int], labels: Iterable[str], centred: bool, axes: Sequence[int]) -> Segment:
    return Segment(tuple(shape), frozenset(labels), centred, tuple(axes))


def same_program(mine: str, name: str, theirs: str, known: Mapping[str, TensorLayout], saved: Saved) -> None:
    """Check that a state is of the same program, or could be.

    Args:
        mine: fingerprint of the program.
        name: what it is called.
        theirs: fingerprint in the state.
        known: what is known of the supernet's tensors.
        saved: the state.

    Raises:
        BuildError: it is another's.
    """
    if mine != theirs:
        raise BuildError(
            f"a supernet loads the weights of its own program, and these were saved from another than {name} "
            "(or before its code or arguments were changed): if the weights still mean the same, load them "
            "with strict=False"
        )
    for key, part in saved.slices.items():
        own = known.get(key)
        if own is not None and (len(own.rows), own.buffer) != (len(part.rows), part.buffer):
            raise BuildError(
                f"a supernet loads the weights of its own program, and {key!r} has {len(own.rows)} dimensions"
                f" in {name} and {len(part.rows)} in what was saved: load them into that program"
            )
