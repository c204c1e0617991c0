"""Parts of tensors, at an index of slices and positions: read, written, carried to where they stand now."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from symnas.construction.alignment import Index

Move = tuple[Sequence[Index], Sequence[Index]]
"""Where positions stood, and where they stand now."""


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
    if all(isinstance(where, slice) for where in index):
        with torch.no_grad():
            tensor[tuple(index)].copy_(value)
        return
    grid = [
        torch.arange(where.start, where.stop) if isinstance(where, slice) else torch.tensor(where)
        for where in index
    ]
    with torch.no_grad():
        mesh = torch.meshgrid(*grid, indexing="ij")
        tensor[tuple(each.to(tensor.device) for each in mesh)] = value.to(tensor.device, tensor.dtype)


def extend(old: torch.Tensor, grown: torch.Tensor, moves: Sequence[Move]) -> torch.Tensor:
    """Carry the parts of an old tensor to where they stand in a new one."""
    # The same move twice, of two children, is one: the later counts, as it may come after another's.
    for before, after in reversed({_spelled(move): move for move in reversed(moves)}.values()):
        write(grown, after, narrow(old, before))
    return grown


def _spelled(move: Move) -> tuple[object, ...]:
    """Return a move as something that can be looked up; slices cannot."""
    return tuple(
        (where.start, where.stop) if isinstance(where, slice) else where for side in move for where in side
    )


def spread(whole: torch.Tensor, done: torch.Tensor, seed: int) -> None:
    """Give positions that no constructor has filled values drawn from those that one has."""
    missing = int((~done).sum())
    if missing:
        generator = torch.Generator().manual_seed(seed)
        known = whole[done]
        whole[~done] = known[torch.randint(len(known), (missing,), generator=generator)]
