"""Gradients of a relaxed search: of the logits, through the weights where that is wanted.

The logits a are to minimise the validation loss of weights that minimise the training loss:

    min_a L_val(w*(a), a)    with    w*(a) = argmin_w L_train(w, a)

DARTS (Liu et al. 2019, section 2.3) replaces the inner minimum by the present weights (first order, xi = 0),
or by one training step from them (second order), where xi is the learning rate, mu momentum and lambda decay:

    w'(a) = w - xi (mu m + grad_w L_train(w, a) + lambda w)
    d L_val(w'(a), a) / da = grad_a L_val(w', a) - xi grad^2_{a,w} L_train(w, a) v,   v = grad_w' L_val(w', a)

The mixed second derivative is a matrix of logits by weights, and only its product with v is wanted. That is
the change of grad_a L_train along v, by a central difference:

    grad^2_{a,w} L_train(w, a) v  =  (grad_a L_train(w + R v, a) - grad_a L_train(w - R v, a)) / 2R  +  O(R^2)

with R = 0.01 / |v|, so that the weights are moved by 0.01 whatever v is: less would be lost in rounding, more
is no derivative. So a step takes one more backward pass in the weights and two in the logits, and no second
derivatives. The weights are changed in place for that and put back exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

Loss = Callable[[], Tensor]
"""A loss as a function of the parameters as they are, computed anew by every call with the same draws."""
RADIUS = 0.01
"""Length of the step of the central difference (DARTS, section 2.3)."""


def first_order(loss: Loss, logits: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of a loss in the logits, the weights taken as they are.

    Args:
        loss: on validation data.
        logits: leaves.
        weights: leaves; nothing is kept for their gradients, which halves what a backward pass computes.
    """
    with still(weights):
        return _gradient(loss(), logits)


def second_order(
    train: Loss, valid: Loss, logits: Sequence[Tensor], weights: Sequence[Tensor], optimizer: Optimizer
) -> list[Tensor]:
    """Return the gradient of the validation loss after one training step, in the logits.

    Args:
        train: loss on training data.
        valid: loss on validation data.
        logits: leaves.
        weights: leaves that the optimiser moves.
        optimizer: SGD, whose learning rate, momentum and weight decay the step has; it is not changed.
    """
    rate = float(optimizer.param_groups[0]["lr"])  # xi
    here = [weight.detach().clone() for weight in weights]
    try:
        ahead = unrolled(_gradient(train(), weights), weights, optimizer)
        _put(weights, ahead)  # w', where both gradients of the validation loss are taken
        both = _gradient(valid(), [*logits, *weights])
        direct, towards = both[: len(logits)], both[len(logits) :]  # grad_a L_val(w', a), and v
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in towards]))
        if float(length) == 0.0:
            return direct  # no weight matters to the validation loss, so neither does how logits move them
        radius = RADIUS / float(length)
        sides = []
        for sign in (radius, -radius):
            # From w and not from w': the training loss is that of the weights before the step.
            _put(weights, [w + sign * v for w, v in zip(here, towards, strict=True)])
            with still(weights):
                sides.append(_gradient(train(), logits))
    finally:
        _put(weights, here)
    scale = rate / (2 * radius)  # xi, and the two radii of the central difference
    return [d - scale * (up - down) for d, up, down in zip(direct, *sides, strict=True)]


def unrolled(gradients: Sequence[Tensor], weights: Sequence[Tensor], optimizer: Optimizer) -> list[Tensor]:
    """Return what SGD without Nesterov's momentum would make of the weights, without changing anything.

    Args:
        gradients: of the training loss.
        weights: as the optimiser has them.
        optimizer: SGD.
    """
    group = optimizer.param_groups[0]
    rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
    stepped = []
    for gradient, weight in zip(gradients, weights, strict=True):
        here = weight.detach()
        change = gradient + decay * here
        buffer = optimizer.state[weight].get("momentum_buffer") if weight in optimizer.state else None
        if buffer is not None:
            change = change + momentum * buffer
        stepped.append(here - rate * change)
    return stepped


def dominant_eigenvalue(
    loss: Loss, parameters: Sequence[Tensor], *, rounds: int = 20, seed: int = 0
) -> float:
    """Return the eigenvalue of largest magnitude of a loss's Hessian, by power iteration.

    A validation loss whose dominant eigenvalue in the logits grows has found a sharp minimum, in which
    deriving a decision costs much (Zela et al.: Understanding and Robustifying Differentiable Architecture
    Search, ICLR 2020).

    Args:
        loss: twice differentiable in the parameters.
        parameters: leaves.
        rounds: products with the Hessian.
        seed: of the first direction.
    """
    gradient = torch.autograd.grad(loss(), parameters, create_graph=True, allow_unused=True)
    flat = torch.cat([_or_zero(g, p).reshape(-1) for g, p in zip(gradient, parameters, strict=True)])
    start = torch.randn(len(flat), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    vector = (start / start.norm()).to(flat)
    value = 0.0
    for _ in range(rounds):
        # H v is the gradient of grad . v, without H ever being made.
        product = torch.autograd.grad(flat, parameters, vector, retain_graph=True, allow_unused=True)
        image = torch.cat([_or_zero(g, p).reshape(-1) for g, p in zip(product, parameters, strict=True)])
        value, length = float(image @ vector), float(image.norm())
        if length == 0.0:
            return 0.0
        vector = image / length
    return value


@contextmanager
def still(weights: Sequence[Tensor]) -> Iterator[None]:
    """Take weights for constants inside, so that nothing is kept for their gradients."""
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def _gradient(loss: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    if not loss.requires_grad:  # nothing is left to decide
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [_or_zero(gradient, leaf) for gradient, leaf in zip(found, leaves, strict=True)]


def _or_zero(gradient: Tensor | None, leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if gradient is None else gradient


@torch.no_grad()
def _put(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
