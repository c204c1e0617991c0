"""Adds up the outputs of candidates, each times its weight, in one pass over memory each.

Law: the result and all its gradients, of any order, are those of `sum(w * y for w, y in zip(weights, ys))`.
With g the gradient of the loss in the sum, they are

    d loss / d w_i = <g, y_i>,    d loss / d y_i = w_i g

so outputs are needed again for the weights' gradient alone, and products w_i y_i for none. What is saved is
time and memory: no product is kept, nothing of weight zero is added, and candidates of weight zero are told
of no gradient at all where theirs would be zero.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from symnas._typing import Label
from symnas.contracts.relaxed_points import Mixture
from symnas.errors import BuildError


@dataclass(frozen=True, slots=True)
class Place:
    """What errors say of a point: its address, its candidates, and where it is written."""

    address: str
    labels: tuple[Label, ...]
    location: str


class Mixes(Protocol):
    """What a call of a relaxed network is computed with, as the points in it see it."""

    @property
    def places(self) -> Mapping[str, Place]:
        """Of all points, by address."""

    @property
    def mixes(self) -> Mapping[str, Mixture] | None:
        """Of this call, by address; None outside of one, where nothing is mixed."""

    @property
    def factors(self) -> Mapping[str, Sequence[float]]:
        """The weights of the mixes as numbers, by address."""


class _WeightedSum(torch.autograd.Function):
    """The sum, with the weights known as numbers too, so that no pass over memory is for nothing."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weights: Tensor, factors: tuple[float, ...], *outputs: Tensor) -> Tensor:  # noqa: ARG004
        used = [(factor, y) for factor, y in zip(factors, outputs, strict=True) if factor != 0.0]
        if not used:
            return torch.zeros_like(outputs[0])
        total = used[0][1] * used[0][0]  # a tensor of its own, to be added to in place
        for factor, output in used[1:]:
            total.add_(output, alpha=factor)
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        weights, factors, *outputs = inputs
        # Outputs are needed for the gradient of the weights alone; a step of the candidates' own has none.
        ctx.save_for_backward(weights, *(outputs if ctx.needs_input_grad[0] else ()))
        ctx.factors = factors
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        grad: Tensor | None = grads[0]
        if grad is None:  # a mix around this one has weight zero here
            return (None,) * len(ctx.needs_input_grad)
        weights, *outputs = ctx.saved_tensors
        needed = ctx.needs_input_grad
        if torch.is_grad_enabled():  # asked to be differentiated again, in the weights too
            each = weights.to(grad.dtype)
            parts = [grad * each[i] if need else None for i, need in enumerate(needed[2:])]
            dots = [(grad * y).sum().to(weights.dtype) for y in outputs] if needed[0] else []
        else:
            parts = [
                grad * factor if need and factor != 0.0 else None
                for factor, need in zip(ctx.factors, needed[2:], strict=True)
            ]
            dots = [_inner(grad, y).to(weights.dtype) for y in outputs] if needed[0] else []
        return (torch.stack(dots) if dots else None, None, *parts)


def _inner(grad: Tensor, output: Tensor) -> Tensor:
    if grad.dtype in (torch.float32, torch.float64):
        return torch.dot(grad.reshape(-1), output.reshape(-1))
    return (grad * output).sum(dtype=torch.float32)  # half precision would overflow


def weighted_sum(weights: Tensor, factors: Sequence[float], outputs: Sequence[Tensor]) -> Tensor:
    """Return the weighted sum of tensors of one shape.

    Args:
        weights: (candidates,) as tensors that may ask for gradients.
        factors: the same as numbers.
        outputs: one tensor per candidate.
    """
    if len({output.dtype for output in outputs}) > 1:  # autocast: some candidates compute at half precision
        widest = functools.reduce(torch.promote_types, [output.dtype for output in outputs])
        outputs = [output.to(widest) for output in outputs]
    if torch.compiler.is_compiling():  # the numbers are not known; what is fused here, the compiler fuses
        terms = [weights[index].to(output.dtype) * output for index, output in enumerate(outputs)]
        return functools.reduce(torch.add, terms)
    total: Tensor = _WeightedSum.apply(weights, tuple(factors), *outputs)  # type: ignore[no-untyped-call]
    return total


def mixed(
    place: Place,
    mix: Mixture,
    factors: Sequence[float],
    outputs: Mapping[int, Any],
    total: tuple[int, Tensor] | None = None,
) -> Any:
    """Return what a relaxed point computes.

    Args:
        place: which point, for errors.
        mix: the weights of this step.
        factors: the weights as numbers.
        outputs: of candidates, by index: tensors, or tuples, lists and mappings of tensors.
        total: the sum of others, weighted already, and the index of one of them; it is added to in place.

    Raises:
        BuildError: the candidates' outputs differ in shape or kind.
    """
    if total is not None:
        if outputs:
            check_alike(place, {total[0]: total[1], **outputs})
            total = plus(place, total, next(iter(outputs)), _tensors(place, mix, factors, outputs))
        return _with_ghosts(mix, total[1])
    first = next(iter(outputs.values()))
    if isinstance(first, Tensor):
        return _with_ghosts(mix, _tensors(place, mix, factors, outputs))
    check_alike(place, outputs)
    if isinstance(first, Mapping):
        return {key: mixed(place, mix, factors, {i: y[key] for i, y in outputs.items()}) for key in first}
    if isinstance(first, (tuple, list)):
        columns = zip(*outputs.values(), strict=True)
        items = [mixed(place, mix, factors, dict(zip(outputs, each, strict=True))) for each in columns]
        return type(first)(*items) if hasattr(first, "_fields") else type(first)(items)
    if all(value is None for value in outputs.values()):
        return None
    raise _unaddable(place, place.labels[next(iter(outputs))], first)


def _unaddable(place: Place, label: Label, value: object) -> BuildError:
    return BuildError(
        f"{place.location}\nrelaxed candidates are added up, so they return tensors (or tuples, lists and "
        f"mappings of them); candidate {label!r} of {place.address!r} returns a {type(value).__name__!r}"
    )


def _tensors(place: Place, mix: Mixture, factors: Sequence[float], outputs: Mapping[int, Tensor]) -> Tensor:
    check_alike(place, outputs)
    indices = list(outputs)
    if len(indices) == len(factors):
        return weighted_sum(mix.weights, factors, list(outputs.values()))
    chosen = torch.stack([mix.weights[index] for index in indices])
    return weighted_sum(chosen, [factors[index] for index in indices], list(outputs.values()))


def _with_ghosts(mix: Mixture, total: Tensor) -> Tensor:
    """Add the weights of candidates that are not run, as zeros that carry gradient."""
    if not mix.ghosts or mix.active is None or len(mix.active) == len(mix.weights):
        return total
    # Their outputs are not computed, and are ones as far as the gradient goes: d loss / d w_i = sum(g).
    absent = [index for index in range(len(mix.weights)) if index not in mix.active]
    ghost = torch.stack([mix.weights[index] for index in absent]).sum()
    return total + (ghost - ghost.detach()).to(total.dtype)


def plus(place: Place, total: tuple[int, Tensor], index: int, more: Tensor) -> tuple[int, Tensor]:
    """Add to a sum that nothing else refers to: in place, where that keeps the precision.

    Args:
        place: which point, for errors.
        total: the sum, and the index of a candidate in it.
        index: of a candidate in what is added.
        more: what is added.

    Raises:
        BuildError: they differ in shape.
    """
    first, known = total
    check_alike(place, {first: known, index: more})
    wider = torch.promote_types(known.dtype, more.dtype) != known.dtype  # under autocast, some are
    return first, known + more if wider else known.add_(more)


def check_alike(place: Place, outputs: Mapping[int, Any]) -> None:
    """Refuse outputs of candidates, by index, that cannot be added up.

    Raises:
        BuildError: they differ in shape or kind.
    """
    kinds = {index: _kind(value) for index, value in outputs.items()}
    if len(set(kinds.values())) > 1:
        listed = ", ".join(f"{place.labels[index]!r} returns {kind}" for index, kind in kinds.items())
        raise BuildError(
            f"{place.location}\nrelaxed candidates are added up, so their outputs have one shape; of "
            f"{place.address!r} {listed}: make them alike (a stride, a padding, a 1x1 convolution), or "
            "sample the choice"
        )


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, Mapping):
        return f"a mapping of {', '.join(map(str, value))}"
    if isinstance(value, (tuple, list)):
        return f"{len(value)} values"
    return f"a {type(value).__name__!r}"


def scaled(place: Place, weight: Tensor, factor: float, output: Any) -> Any:
    """Return the output of one of several candidates, times its weight."""
    if factor == 1.0 and not weight.requires_grad:
        return output
    if isinstance(output, Tensor):
        return output * weight.to(output.dtype)
    raise BuildError(
        f"{place.location}\nrelaxed candidates are added up, so each returns a tensor; one of "
        f"{place.address!r} returns a {type(output).__name__!r}"
    )
