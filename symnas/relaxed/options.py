"""How a relaxed network is made: what `program.relaxed` may be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    import torch

    from symnas._typing import Value


class RelaxedOptions(TypedDict, total=False):
    """Keywords of `program.relaxed` and of `symnas.relaxed.Relaxed`; all may be left out.

    Args:
        freeze: values of points that are not relaxed, by address; or "rest", for all that cannot be to have
            their defaults.
        inputs: example inputs, as those of a program, on which the network is checked; the program's own for
            None.
        partial: k, where candidates see the first 1/k of the channels and the rest passes by (PC-DARTS);
            the weights of such a network are no child's. 1 by default, which is all channels.
        checkpoint: whether what a point computes is computed again for the backward pass, instead of kept;
            False by default.
        interpolate: whether features of narrower widths are stretched to the widest one that is active, as
            in TAS, instead of weighted by how many widths have them; False by default.
        dtype: of all floating-point tensors; as the constructors make them for None.
        device: where the network is; where the constructors make it for None.
        seed: of the initial weights and logits; 0 by default.
    """

    freeze: Mapping[str, Value] | Literal["rest"] | None
    inputs: Any
    partial: int
    checkpoint: bool
    interpolate: bool
    dtype: torch.dtype | None
    device: torch.device | str | None
    seed: int
