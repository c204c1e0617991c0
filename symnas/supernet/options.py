"""How a supernet is made: what `program.supernet` may be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    import torch


class SupernetOptions(TypedDict, total=False):
    """Keywords of `program.supernet` and of `symnas.supernet.Supernet`; all may be left out.

    Args:
        dtype: of all floating-point tensors; as the constructors make them for None.
        device: where the shared tensors and the children are; the CPU for None.
        seed: of the initial values, which are what the constructors produce; 0 by default.
        statistics: whether running statistics are shared like parameters ("shared", the default), or each
            child has its "own".
        kernels: whether a smaller kernel is the middle of the largest ("cropped", the default), or that times
            a learned matrix ("learned", as in Once-for-All).
        children: how many children that were built are kept; 256 by default.
    """

    dtype: torch.dtype | None
    device: torch.device | str | None
    seed: int
    statistics: Literal["shared", "own"]
    kernels: Literal["cropped", "learned"]
    children: int
