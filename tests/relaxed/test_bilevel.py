from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from relaxed_by_hand import ByHand
from torch import Tensor
from torch.func import functional_call

from symnas.contracts.relaxed_points import Mixture
from symnas.relaxed.bilevel import dominant_eigenvalue, first_order, second_order, unrolled

LR, MOMENTUM, DECAY = 0.1, 0.9, 3e-4


class Problem:
    """A network, its data and an optimiser that has made some steps, in double precision."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.net = ByHand(seed).double()
        with torch.no_grad():
            for own in self.net.logits.values():
                own.copy_(torch.randn(len(own), generator=generator))
        shape = (2, 32, 4)
        self.inputs = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.targets = torch.randn((2, 32, 2), generator=generator, dtype=torch.float64)
        self.weights = list(self.net.weights())
        self.logits = list(self.net.logits.values())
        self.optimizer = torch.optim.SGD(self.weights, lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
        for _ in range(3):
            self.optimizer.zero_grad()
            self.train().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        self.optimizer.zero_grad()
        for own in self.logits:
            own.grad = None

    def mixes(self, logits: Mapping[str, Tensor] | None = None) -> dict[str, Mixture]:
        logits = self.net.logits if logits is None else logits
        return {address: Mixture(own.softmax(-1)) for address, own in logits.items()}

    def loss(self, part: int, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        kwargs = {"mixes": self.mixes()}
        if weights is None:
            outputs = self.net(self.inputs[part], **kwargs)
        else:
            outputs = functional_call(self.net, dict(weights), (self.inputs[part],), kwargs)
        return torch.nn.functional.mse_loss(outputs, self.targets[part])

    def train(self) -> Tensor:
        return self.loss(0)

    def valid(self) -> Tensor:
        return self.loss(1)

    def ahead(self, create_graph: bool) -> dict[str, Tensor]:
        """Return the weights after one step, written out from the paper, by name."""
        gradients = torch.autograd.grad(
            self.train(), self.weights, create_graph=create_graph, allow_unused=True
        )
        by_weight = {id(weight): name for name, weight in self.net.named_parameters()}
        found = {}
        for weight, gradient in zip(self.weights, gradients, strict=True):
            assert gradient is not None
            buffer = self.optimizer.state[weight]["momentum_buffer"]
            found[by_weight[id(weight)]] = weight - LR * (MOMENTUM * buffer + gradient + DECAY * weight)
        return found


def test_the_second_order_gradient_is_that_through_the_unrolled_step() -> None:
    problem = Problem()
    exact = torch.autograd.grad(problem.loss(1, problem.ahead(create_graph=True)), problem.logits)
    found = second_order(problem.train, problem.valid, problem.logits, problem.weights, problem.optimizer)
    simple = first_order(problem.valid, problem.logits, problem.weights)
    for value, want, other in zip(found, exact, simple, strict=True):
        assert torch.allclose(value, want, rtol=1e-3, atol=1e-6)
        assert not torch.allclose(other, want, rtol=1e-2, atol=1e-6)


def test_the_second_order_gradient_is_the_slope_of_the_loss_one_step_ahead() -> None:
    problem = Problem(1)
    found = second_order(problem.train, problem.valid, problem.logits, problem.weights, problem.optimizer)
    for own, gradient in zip(problem.logits, found, strict=True):
        for place in range(len(own)):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    own[place] += sign * 1e-5
                ends.append(float(problem.loss(1, problem.ahead(create_graph=False)).detach()))
                with torch.no_grad():
                    own[place] -= sign * 1e-5
            assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=2e-3, abs=1e-6)


def test_gradients_leave_weights_and_their_flags_exactly_as_they_were() -> None:
    problem = Problem(2)
    before = [weight.detach().clone() for weight in problem.weights]
    second_order(problem.train, problem.valid, problem.logits, problem.weights, problem.optimizer)
    first_order(problem.valid, problem.logits, problem.weights)
    for weight, was in zip(problem.weights, before, strict=True):
        assert torch.equal(weight, was)
        assert weight.requires_grad
        assert weight.grad is None


def test_weights_are_put_back_when_a_loss_fails() -> None:
    problem = Problem(2)
    before = [weight.detach().clone() for weight in problem.weights]

    def fail() -> Tensor:
        raise ValueError("no loss today")

    with pytest.raises(ValueError, match="no loss today"):
        second_order(problem.train, fail, problem.logits, problem.weights, problem.optimizer)
    assert all(torch.equal(weight, was) for weight, was in zip(problem.weights, before, strict=True))


def test_the_unrolled_step_is_the_optimisers() -> None:
    problem = Problem(3)
    gradients = torch.autograd.grad(problem.train(), problem.weights, allow_unused=True)
    wanted = unrolled([g for g in gradients if g is not None], problem.weights, problem.optimizer)
    problem.optimizer.zero_grad()
    problem.train().backward()  # type: ignore[no-untyped-call]
    problem.optimizer.step()
    for weight, value in zip(problem.weights, wanted, strict=True):
        assert torch.allclose(weight, value, atol=1e-12)


def test_the_first_order_gradient_is_autograds() -> None:
    problem = Problem(4)
    wanted = torch.autograd.grad(problem.valid(), problem.logits)
    for value, want in zip(first_order(problem.valid, problem.logits, problem.weights), wanted, strict=True):
        assert torch.equal(value, want)


def test_a_validation_loss_that_does_not_see_the_weights_has_its_direct_gradient() -> None:
    problem = Problem(5)

    def direct() -> Tensor:
        return sum((own**2).sum() for own in problem.logits) + 0.0 * problem.weights[0].sum()

    found = second_order(problem.train, direct, problem.logits, problem.weights, problem.optimizer)
    for value, own in zip(found, problem.logits, strict=True):
        assert torch.allclose(value, 2 * own)


def test_the_dominant_eigenvalue_is_that_of_the_whole_hessian() -> None:
    problem = Problem(6)
    flat = torch.cat([own.detach() for own in problem.logits])

    def loss(values: Tensor) -> Tensor:
        parts = values.split([len(own) for own in problem.logits])
        mixes = problem.mixes(dict(zip(problem.net.logits, parts, strict=True)))
        outputs = problem.net(problem.inputs[1], mixes=mixes)
        return torch.nn.functional.mse_loss(outputs, problem.targets[1])

    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))  # type: ignore[no-untyped-call]
    largest = max(values.tolist(), key=abs)
    found = dominant_eigenvalue(problem.valid, problem.logits, rounds=200)
    assert found == pytest.approx(largest, rel=1e-6)


def test_a_loss_without_curvature_has_no_eigenvalue() -> None:
    leaf = torch.ones(3, requires_grad=True)
    assert dominant_eigenvalue(lambda: (leaf**2).sum() * 0.0 + leaf.sum(), [leaf]) == 0.0
