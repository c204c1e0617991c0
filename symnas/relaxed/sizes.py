"""Choices of widths and kernels, relaxed: one tensor at its largest, its features there by shares.

A number that only says how large tensors are is not mixed by running a candidate for each of its values. The
model is made once, at the largest values, and a position of a parameter that some value leaves out counts by
the weight of the values that have it. Which positions those are is what children of a supernet share weights
by (`symnas.construction.size_discovery`), so concatenations, heads and groups come out right.

A feature is weighted where it is read, that is where a parameter is summed over
(`symnas.features.contractions`), and there alone: once on every way, however many layers pass it on, and no
normalisation in front of the reader undoes the weight. A kernel is weighted around its middle (Stamoulis et
al. 2019, Single-Path NAS).

With widths {2, 4} of weights p and q a reader's columns are multiplied by (p + q, p + q, q, q), which is the
mask of tables (1, 1, 0, 0) and (1, 1, 1, 1) applied to (p, q): `tensordot` over candidates. Where two points
decide a dimension together, as heads and their width do, the table has an axis for each, (candidates of one,
candidates of the other, positions), and the weight of a position is sum_ij p_i q_j table[i, j].

Law: where every point has all its weight on one value, the model computes what the child computes. A model
that is read otherwise (statistics across features, an output of a chosen width) breaks it; who relies on the
law compares outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from symnas._typing import Value
from symnas.construction.sizes import Mask, Sizes, Weights
from symnas.contracts.relaxed_points import Mixture


def effective(sizes: Sizes, key: str, tensor: torch.Tensor, mixes: Mapping[str, Mixture]) -> torch.Tensor:
    """Return a parameter as it is used in a step.

    Args:
        sizes: of the program.
        key: of the parameter.
        tensor: the parameter at its largest.
        mixes: of all points.
    """
    weights = {address: mix.weights for address, mix in mixes.items()}
    # Masks of different groups are of different dimensions, and broadcast over the others.
    for mask in sizes.read.get(key, ()):
        tensor = tensor * mask.factor(weights).to(tensor.dtype)
    return tensor


def interpolated(sizes: Sizes, key: str, tensor: torch.Tensor, mixes: Mapping[str, Mixture]) -> torch.Tensor:
    """Return a parameter that reads several widths, each stretched to the widest of them.

    A narrower candidate's features are averaged over neighbours (adaptive average pooling) until they are
    as many as those of the widest candidate that is active (Dong and Yang 2019, TAS). Kernels, and
    sizes that several points decide together, are weighted as ever.

    Args:
        sizes: of the program.
        key: of the parameter.
        tensor: the parameter at its largest.
        mixes: of all points.
    """
    weights = {address: mix.weights for address, mix in mixes.items()}
    for mask in sizes.read.get(key, ()):
        # The table is (candidates of each point, *sizes): behind the points come the tensor's dimensions.
        dims = [dim for dim in range(tensor.ndim) if mask.table.shape[len(mask.points) + dim] > 1]
        if len(mask.points) == 1 and len(dims) == 1 and not _kernel(mask):
            tensor = _stretched(tensor, dims[0], mask, mixes[mask.points[0]])
        else:
            tensor = tensor * mask.factor(weights).to(tensor.dtype)
    return tensor


def _kernel(mask: Mask) -> bool:
    """Whether a mask is around the middle of a dimension."""
    flat = mask.table.flatten(1)  # some value lacks the first position, so it is no leading slice
    return bool((flat[:, 0] == 0).any())


def strengths(sizes: Sizes, address: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return (candidates,) the squared norm of what each value adds to the next smaller one.

    It is that of the kernel's ring, or of the weights that read the further features; that of the
    smallest value is of all that it has. Single-Path NAS compares these with thresholds.

    Args:
        sizes: of the program.
        address: of a point.
        tensors: the parameters by key.
    """
    order = _ascending(sizes.points[address].labels)
    squares = [torch.zeros(()) for _ in order]
    for key, masks in sizes.read.items():
        for mask in masks:
            if mask.points == (address,):
                tensor, table = tensors[key], mask.like(tensors[key])
                before = torch.zeros_like(table[0])
                for code in order:  # from the smallest on; what the last one had is taken away
                    ring, before = table[code] - before, table[code]
                    squares[code] = squares[code].to(tensor.device) + (tensor * ring).square().sum()
    return torch.stack(squares)


def part(sizes: Sizes, key: str, tensor: torch.Tensor, values: Mapping[str, Value]) -> torch.Tensor:
    """Return what a child has of a tensor.

    Args:
        sizes: of the program.
        key: of the parameter or buffer.
        tensor: at its largest.
        values: of a decision, by address; a size that it does not have is taken at its largest.
    """
    there = torch.ones([1] * tensor.ndim)
    for mask in sizes.held.get(key, ()):
        codes = []
        for address in mask.points:
            labels = sizes.points[address].labels
            codes.append(labels.index(values.get(address, sizes.largest[address])))
        there = there * mask.table[tuple(codes)]
    # What is left is a box: along each dimension, the positions that are there with any of the others.
    for dim, size in enumerate(there.shape):
        if size > 1:
            kept = there.movedim(dim, 0).reshape(size, -1).any(1).nonzero().flatten()
            tensor = tensor.index_select(dim, kept.to(tensor.device))
    return tensor


def positions(sizes: Sizes, key: str, shape: Sequence[int], weights: Weights) -> torch.Tensor | float:
    """Return how many numbers of a parameter a random child has in the mean, differentiably.

    Args:
        sizes: of the program.
        key: of the parameter.
        shape: its largest sizes.
        weights: (candidates,) of each point, as probabilities.
    """
    total: torch.Tensor | None = None
    for mask in sizes.held.get(key, ()):
        factor = mask.factor(weights)
        total = factor if total is None else total * factor
    if total is None:
        return float(math.prod(shape))
    # Dimensions that no mask is of have size one in `total`: each position stands for as many.
    return total.sum() * (math.prod(shape) / total.numel())


def _ascending(values: Sequence[Any]) -> list[int]:
    return sorted(range(len(values)), key=lambda code: values[code])


def _stretched(tensor: torch.Tensor, dim: int, mask: Mask, mix: Mixture) -> torch.Tensor:
    """Return a parameter that reads, along one dimension, widths stretched to the widest active one."""
    there = mask.table.flatten(1).bool()
    active = range(len(there)) if mix.active is None else mix.active
    widest = max(active, key=lambda code: int(there[code].sum()))
    target = there[widest].nonzero().flatten()
    # (features of the widest, features of a candidate): y = sum_c w_c P_c x_c, and W y = (W sum_c w_c P_c) x,
    # as the features of candidates are those of the widest one that they begin with.
    total = torch.zeros(there.shape[1], there.shape[1], dtype=tensor.dtype, device=tensor.device)
    for code in active:
        source = there[code].nonzero().flatten()
        pooling = _pooling(len(source), len(target)).to(total)
        matrix = torch.zeros_like(total)
        matrix[target[:, None], source[None, :]] = pooling
        total = total + mix.weights[code].to(total) * matrix
    return torch.movedim(torch.tensordot(tensor, total, ([dim], [0])), -1, dim)


def _pooling(narrow: int, wide: int) -> torch.Tensor:
    """Return the (wide, narrow) matrix of adaptive average pooling from `narrow` to `wide` features."""
    return torch.nn.functional.adaptive_avg_pool1d(torch.eye(narrow)[None], wide)[0].T
