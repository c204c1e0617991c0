"""What operations do to features: a rule each, from the axes of what goes in to those of what comes out.

Rules stand for PyTorch's own operators, below its decompositions, by the name of the operator. A rule does
two things: it tells the table which axes of the operands are the same (`table.same`), or what order they have
(`split`, `cut`), and it returns the axes of the results, of which None leaves them unknown. Where an order
does not allow what the operation does, the rule notes it and goes on with plain axes.
"""

# ruff: noqa: ARG001  (rules are called alike, and few need all that they are given)
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from symnas.features.axes import Axes, Axis, concatenation, cut, product, split
from symnas.features.table import AxisTable

Bound = Mapping[str, Any]
"""The arguments of an operation, by the names of its schema."""
Rule = Callable[[AxisTable, Bound, Sequence[torch.Tensor]], Sequence[Sequence[Axis] | None]]
"""From the axes known so far, the arguments and the results to the axes of the results."""


def _first(given: Bound) -> torch.Tensor:
    """Return the tensor that an operation is about: its first argument."""
    found: torch.Tensor = next(iter(given.values()))
    return found


def _keep(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[Axes]:
    return [table.of(_first(given))]


def _resized(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    """Pooling, padding, upsampling: what changes its size is another axis from the same origin."""
    axes = table.of(_first(given))
    # (batch, channels, h, w) -> (batch, channels, h', w'): what keeps its size is taken to be what it was.
    return [
        [
            axis if axis.find().size == size else Axis(size, axis.known)
            for axis, size in zip(axes, output.shape, strict=True)
        ]
        for output in outputs
        if output is not None and output.ndim == len(axes)
    ]


def _view(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    source, target = _first(given), outputs[0]
    axes, found = table.of(source), list[Axis]()
    # Dimensions of both shapes are matched group by group, each the fewest with as many positions: of
    # (batch, 12, h, w) viewed as (batch, 3, 4, h * w) they are batch | 12 = 3 x 4 | h x w = h * w.
    before, after = list(range(source.ndim)), list(range(target.ndim))
    while before or after:
        mine, theirs = _matching(source.shape, before, target.shape, after)
        made = split(product(axes[dim] for dim in mine), [target.shape[dim] for dim in theirs])
        if made is None:
            table.notes.add(f"view: {[axes[dim] for dim in mine]} as {[target.shape[dim] for dim in theirs]}")
            made = [Axis(target.shape[dim]) for dim in theirs]
        found += made
    return [found]


def _matching(
    have: Sequence[int], before: list[int], want: Sequence[int], after: list[int]
) -> tuple[list[int], list[int]]:
    """Take the fewest leading dimensions of both sides that have as many positions."""
    mine, theirs = before[:1], after[:1]
    del before[:1], after[:1]
    while (a := math.prod(have[d] for d in mine)) != (b := math.prod(want[d] for d in theirs)) or not (
        mine and theirs
    ):
        side, rest = (mine, before) if (a < b and before) or not after else (theirs, after)
        if not rest:
            break
        side.append(rest.pop(0))
    return mine, theirs


def _permute(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    axes = table.of(given["self"])
    return [[axes[dim] for dim in given["dims"]]]


def _transpose(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    source = given["self"]
    # In place (`transpose_`) the tensor has its new shape by now, and its axes are those of before.
    axes = list(table.of(source) if source is not outputs[0] else table.noted(source))
    a, b = given.get("dim0", 0), given.get("dim1", len(axes) - 1)
    if axes:
        axes[a], axes[b] = axes[b], axes[a]
    return [axes]


def _squeezed(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    """Match sizes in order: what was squeezed away or put in has size one, and runs along nothing."""
    rest = [axis for axis in table.of(given["self"]) if axis.find().size != 1]
    return [[Axis(1) if size == 1 else rest.pop(0) for size in outputs[0].shape]]


def _expand(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    # (c, 1) expanded to (batch, c, n): new dimensions come in front, and those of size one are repeated.
    source, target = given["self"], outputs[0]
    axes = table.of(source)
    extra = target.ndim - source.ndim
    return [
        [
            axes[dim - extra] if dim >= extra and source.shape[dim - extra] == size else Axis(size)
            for dim, size in enumerate(target.shape)
        ]
    ]


def _without(axes: Sequence[Axis], dim: int) -> list[Axis]:
    dim %= len(axes)
    return [axis for place, axis in enumerate(axes) if place != dim]


def _with(axes: Sequence[Axis], dim: int, axis: Axis) -> list[Axis]:
    dim %= len(axes)
    return [axis if place == dim else old for place, old in enumerate(axes)]


def _select(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    return [_without(table.of(given["self"]), given["dim"])] * len(outputs)


def _pieces(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    axes, dim = table.of(_first(given)), given.get("dim", 0)
    sizes = [output.shape[dim] for output in outputs]
    made = cut(axes[dim], sizes)
    if made is None:
        table.notes.add(f"split: {axes[dim]!r} at {sizes}")
        made = [Axis(size) for size in sizes]
    return [_with(axes, dim, piece) for piece in made]


def _slice(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    source, output, dim = given["self"], outputs[0], given.get("dim", 0)
    axes = table.of(source)
    # x[start:start + size] cuts its axis in up to three, and is the middle piece; with steps no piece is it.
    whole, size = source.shape[dim], output.shape[dim]
    start = given.get("start") or 0
    start = max(0, start + whole) if start < 0 else min(start, whole)
    if whole == size:
        return [list(axes)]
    made = cut(axes[dim], [start, size, whole - start - size]) if given.get("step", 1) == 1 else None
    return [_with(axes, dim, made[1] if made else Axis(size, axes[dim].known))]


def _cat(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    tensors = [tensor for tensor in given["tensors"] if tensor.ndim == outputs[0].ndim]
    dim = given.get("dim", 0) % outputs[0].ndim
    rows = [table.of(tensor) for tensor in tensors]
    # Along all dimensions but one they are alike; along that one they follow each other.
    for row in rows[1:]:
        for place in range(outputs[0].ndim):
            if place != dim:
                table.same(rows[0][place], row[place], "cat")
    return [_with(rows[0], dim, concatenation(row[dim] for row in rows))]


def _stack(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    rows = [table.of(tensor) for tensor in given["tensors"]]
    for row in rows[1:]:
        for one, other in zip(rows[0], row, strict=True):
            table.same(one, other, "stack")
    dim = given.get("dim", 0) % outputs[0].ndim
    return [[*rows[0][:dim], Axis(len(rows)), *rows[0][dim:]]]


def _matmul(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    a = given.get("mat1", given.get("batch1", given.get("self")))
    b = given.get("mat2", given.get("batch2", given.get("vec2", given.get("vec", given.get("tensor")))))
    one, other = table.of(a), table.of(b)
    # (…, n, k) times (…, k, m), or (k,): k is contracted, and what stands in front are batches of both.
    inner = len(other) - 2 if len(other) > 1 else 0
    table.same(one[-1], other[inner], "matmul")
    for left, right in zip(one[:-2], other[:-2], strict=False):
        table.same(left, right, "matmul")
    found = [*one[:-1], *(other[-1:] if len(other) > 1 else ())]
    bias = given.get("self")
    if bias is not None and bias is not a:
        for dim, axis in enumerate(reversed(table.of(bias)), 1):
            if axis.find().size > 1:
                table.same(axis, found[-dim], "matmul")
    return [found]


def _linear(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    # (…, in) times (out, in) transposed, plus (out,).
    axes, weight = table.of(given["input"]), table.of(given["weight"])
    table.same(axes[-1], weight[1], "linear")
    if given.get("bias") is not None:
        table.same(table.of(given["bias"])[0], weight[0], "linear")
    return [[*axes[:-1], weight[0]]]


def _convolution(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    # A kernel is (out, in / groups, *spatial), that of a transposed convolution (in, out / groups, *spatial).
    # Group g makes the g-th of `groups` runs of outputs from the g-th run of inputs.
    source, kernel, groups = given["input"], given["weight"], given["groups"]
    axes, weight = table.of(source), table.of(kernel)
    channels = 1 if outputs[0].ndim == kernel.ndim else 0
    made, read = (weight[1], weight[0]) if given["transposed"] else (weight[0], weight[1])
    for axis in weight[2:]:
        axis.find().centred = True  # a smaller kernel is the middle of a larger one
    if given["transposed"]:
        table.same(axes[channels], read, "convolution")
        inner = split(read, [groups, source.shape[channels] // groups])
        grouped = inner is not None or groups == 1
        outer = inner[0] if inner is not None else Axis(groups)
        out = product([outer, made]) if grouped else Axis(outputs[0].shape[channels])
    else:
        _read_in_groups(table, axes[channels], read, made, groups)
        out = made
    if given.get("bias") is not None:
        table.same(table.of(given["bias"])[0], out, "convolution")
    shape = outputs[0].shape
    spatial = [
        axis if axis.find().size == size else Axis(size, axis.known)
        for axis, size in zip(axes[channels + 1 :], shape[channels + 1 :], strict=True)
    ]
    return [[*axes[:channels], out, *spatial]]


def _read_in_groups(table: AxisTable, inputs: Axis, read: Axis, made: Axis, groups: int) -> None:
    """Learn what a convolution in groups tells of its channels.

    Args:
        table: the axes known so far.
        inputs: the channels of what it reads.
        read: those of its kernel, one group's inputs.
        made: those of what it makes, all groups' outputs.
        groups: how many.
    """
    size = inputs.find().size
    pieces = cut(inputs, [size // groups] * groups)
    if pieces is None:
        table.notes.add(f"convolution: {inputs!r} in {groups} groups")
    elif size == groups:
        # One feature a group: what is made of it runs along with it.
        multiplied = split(made, [groups, made.find().size // groups])
        if multiplied is not None:
            table.same(inputs, multiplied[0], "convolution")
    else:
        # All groups read by one axis of the kernel, so the runs of inputs are alike in their order.
        for piece in set(pieces):
            table.same(piece, read, "convolution")
        parts = split(made, [groups, made.find().size // groups])
        whole = inputs.find()
        if groups > 1 and parts is not None and whole.kind == "product":
            outer = split(whole, [groups, whole.size // groups])
            if outer is not None:
                table.same(outer[0], parts[0], "convolution")


def _per_channel(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[Axes]:
    # Input (batch, channels, …), everything else (channels,).
    axes = table.of(given["input"])
    for name in ("weight", "bias", "running_mean", "running_var"):
        if given.get(name) is not None:
            table.same(table.of(given[name])[0], axes[1], "batch_norm")
    return [axes]


def _layer_norm(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[Axes]:
    axes = table.of(given["input"])  # (…, *normalised), with scale and shift of the normalised dimensions
    for name in ("weight", "bias"):
        if given.get(name) is not None:
            own = table.of(given[name])
            for one, other in zip(own, axes[len(axes) - len(own) :], strict=True):
                table.same(one, other, "layer_norm")
    return [axes]


def _prelu(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[Axes]:
    return [pointwise(table, "prelu", [given["self"], given["weight"]], outputs[0])]


def _embedding(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    return [[*table.of(given["indices"]), table.of(given["weight"])[1]]]


def _embedding_bag(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    return [[Axis(outputs[0].shape[0]), table.of(given["weight"])[1]]]


def _trilinear(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    rows: list[list[Axis | None]] = []
    for name, places in (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")):
        row: list[Axis | None] = list(table.of(given[name]))
        for place in sorted(given[places]):
            row.insert(place, None)
        rows.append(row)
    found = []
    for column in zip(*rows, strict=True):
        present = [axis for axis in column if axis is not None]
        for axis in present[1:]:
            table.same(present[0], axis, "bilinear")
        found.append(present[0])
    return [[axis for dim, axis in enumerate(found) if dim not in given["sumdim"]]]


def _reduce(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    source = _first(given)
    axes = table.of(source)
    dims = given.get("dim")
    dims = [dims] if isinstance(dims, int) else dims or range(source.ndim)
    gone = {dim % source.ndim for dim in dims}
    if outputs[0].ndim == source.ndim:
        found = [Axis(1) if dim in gone else axis for dim, axis in enumerate(axes)]
    else:
        found = [axis for dim, axis in enumerate(axes) if dim not in gone]
    return [found] * len(outputs)


def pointwise(table: AxisTable, name: str, tensors: Sequence[torch.Tensor], output: torch.Tensor) -> Axes:
    """Return the axes of what an operation computes position by position.

    Args:
        table: the axes known so far.
        name: of the operation, for notes.
        tensors: its operands; shapes are aligned at their last dimensions, as broadcasting does, and a
            dimension that is broadcast (of size one, or not there) says nothing.
        output: what it returned.
    """
    found = []
    for place in range(output.ndim):
        size = output.shape[place]
        mine: Axis | None = None
        for tensor in tensors:
            dim = place - output.ndim + tensor.ndim
            if dim < 0 or tensor.shape[dim] != size:
                continue
            axis = table.of(tensor)[dim]
            if mine is None:
                mine = axis
            elif size > 1:
                table.same(mine, axis, name)
        found.append(mine or Axis(size))
    return tuple(found)


def attention(table: AxisTable, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> list[Axis]:
    """Return the axes of what fused attention makes."""
    # (…, L, E), (…, S, E) and (…, S, F) -> (…, L, F): E and S are summed over.
    q, k, v = table.of(query), table.of(key), table.of(value)
    for one, other in zip((*q[:-2], q[-1]), (*k[:-2], k[-1]), strict=True):
        table.same(one, other, "attention")
    for one, other in zip(k[:-1], v[:-1], strict=True):
        table.same(one, other, "attention")
    return [*q[:-1], v[-1]]


def _repeat(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    # Repeated n times, an axis is n turns of itself.
    repeats, axes = given["repeats"], table.of(given["self"])
    padded = [Axis(1)] * (len(repeats) - len(axes)) + list(axes)
    return [[product([Axis(times), axis]) for times, axis in zip(repeats, padded, strict=True)]]


def _pixel_shuffle(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    # (…, c r^2, h, w) -> (…, c, h r, w r): channels are c x r x r, and the r go into the image.
    axes, shape = table.of(given["self"]), outputs[0].shape
    inner = split(axes[-3], [shape[-3], given["upscale_factor"] ** 2])
    channels = inner[0] if inner is not None else Axis(shape[-3])
    return [[*axes[:-3], channels, Axis(shape[-2], axes[-2].known), Axis(shape[-1], axes[-1].known)]]


def _glu(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    # a * sigmoid(b) of the halves (a, b): two pieces of one size are two turns of one axis.
    axes, dim = table.of(given["self"]), given.get("dim", -1)
    half = outputs[0].shape[dim]
    made = cut(axes[dim], [half, half])
    return [_with(axes, dim, made[0] if made else Axis(half))]


def _moved(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[list[Axis]]:
    """Positions change their order: nothing is known of them but where they come from."""
    axes = table.of(_first(given))
    dims = given.get("dims", given.get("dim", ()))
    dims = {dim % len(axes) for dim in ([dims] if isinstance(dims, int) else dims)}
    return [
        [Axis(output.shape[dim], axis.known) if dim in dims else axis for dim, axis in enumerate(axes)]
        for output in outputs
    ]


def _fresh(table: AxisTable, given: Bound, outputs: Sequence[torch.Tensor]) -> list[None]:
    return [None for _ in outputs]


_NAMES: tuple[tuple[Rule, str], ...] = (
    (_keep, """
        clone detach alias _to_copy contiguous _softmax _log_softmax _safe_softmax native_dropout cumsum
        cumprod lift_fresh tril triu zeros_like ones_like empty_like rand_like randn_like full_like
        bernoulli fill zero uniform normal logcumsumexp copy _weight_norm_interface rrelu_with_noise
        celu hardswish embedding_renorm _conj _reshape_copy masked_fill random
    """),
    (_resized, """
        max_pool1d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d
        _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_max_pool2d
        adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d constant_pad_nd reflection_pad1d
        reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d
        upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
        _upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d
        upsample_trilinear3d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa
    """),
    (_view, "view _unsafe_view reshape _reshape_alias view_copy"),
    (_permute, "permute"),
    (_transpose, "transpose t"),
    (_squeezed, "squeeze unsqueeze"),
    (_expand, "expand"),
    (_select, "select unbind"),
    (_pieces, """
        split split_with_sizes unsafe_split unsafe_split_with_sizes chunk unsafe_chunk
    """),
    (_slice, "slice"),
    (_cat, "cat"),
    (_stack, "stack"),
    (_matmul, "mm bmm addmm baddbmm mv addmv dot vdot"),
    (_linear, "linear"),
    (_convolution, "convolution _convolution"),
    (_per_channel, """
        native_batch_norm _native_batch_norm_legit cudnn_batch_norm _native_batch_norm_legit_functional
        _native_batch_norm_legit_no_training native_group_norm
    """),
    (_layer_norm, "native_layer_norm _fused_rms_norm"),
    (_prelu, "_prelu_kernel"),
    (_embedding, "embedding"),
    (_embedding_bag, "_embedding_bag _embedding_bag_forward_only"),
    (_trilinear, "_trilinear"),
    (_reduce, """
        mean sum amax amin max min var std prod argmax argmin any all logsumexp linalg_vector_norm norm
        nansum median var_mean
    """),
    (_repeat, "repeat"),
    (_pixel_shuffle, "pixel_shuffle"),
    (_glu, "glu"),
    (_moved, "flip roll sort index_select topk"),
    (_fresh, """
        zeros ones empty full arange rand randn randint randperm new_zeros new_ones new_empty new_full
        eye linspace scalar_tensor _local_scalar_dense nonzero item one_hot nll_loss_forward
        nll_loss2d_forward mse_loss smooth_l1_loss binary_cross_entropy
    """),
)  # fmt: skip
"""Rules, and the operators that they stand for."""
RULES: Mapping[str, Rule] = {name: rule for rule, names in _NAMES for name in names.split()}
"""By operator; element-wise ones are known by their tag, and follow `pointwise`."""
