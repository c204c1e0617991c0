"""Work left to candidates, or shared by them, beside the weighted sum written out: it changes nothing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from relaxed_law import law
from torch import Tensor, nn
from torch.nn.modules.module import register_module_full_backward_hook
from torch.nn.utils import parametrize

import symnas
from symnas.contracts.relaxed_points import Mixture
from symnas.relaxed import step
from symnas.relaxed.folding import Activations, tail, tails
from symnas.relaxed.network import Relaxed

IMAGES = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0)).double()
TEXT = """
import torch
from torch import nn


class Zero(nn.Module):
    def forward(self, x):
        return x * 0.0


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.GELU()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.act(x).mul_(2.0)) + 1.0


def chain(*layers, **options):
    return nn.Sequential(nn.GELU(), *layers, nn.BatchNorm2d(4, **options))


def conv(kernel=1):
    return nn.Conv2d(4, 4, kernel, padding=kernel // 2, bias=False)


def first():
    norm = nn.BatchNorm2d(4)
    return [
        chain(conv()),
        chain(conv(3), affine=False),
        nn.Sequential(nn.Sequential(nn.GELU(), nn.Dropout(0.0, inplace=True)), nn.Sequential(conv(), norm)),
        nn.Sequential(nn.GELU(), nn.Hardtanh(-0.1, 0.1, inplace=True), nn.BatchNorm2d(4)),
        nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.BatchNorm2d(4, affine=False, track_running_stats=False)),
        nn.BatchNorm2d(4, momentum=None),
        nn.Identity(),
        Zero(),
    ]


def second():
    norm = nn.BatchNorm2d(4)
    return [
        nn.Sequential(norm, conv(), norm),
        nn.Sequential(nn.GELU(), Odd()),
        nn.GELU(),
        nn.Sequential(nn.Sequential(nn.GELU(), conv()), nn.Tanh()),
        chain(nn.MaxPool2d(3, 1, 1)),
    ]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(4, 4, 1)
        # search: {a: first()[0], b: first()[1], c: first()[2], d: first()[3],
        #     e: first()[4], f: first()[5], g: first()[6], none: first()[7]}
        self.first = first()[0]
        # search: {second()[0], second()[1], second()[2], second()[3], second()[4]}
        self.second = second()[0]
        # search: {first()[0], first()[6]}
        self.third = first()[0]

    def forward(self, x):
        x = self.stem(x)
        return self.third(torch.relu_(self.first(x) + self.second(x)))
"""
POINTS = ("first", "second", "third")


def network(folder: Path, text: str) -> Relaxed:
    file = folder / "net.py"
    file.write_text(text)
    net: Relaxed = symnas.program(f"{file}:Net", inputs=IMAGES.float()).relaxed(dtype=torch.float64)
    with torch.no_grad():
        for parameter in net.weights():  # scales and shifts that are no ones and zeros
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) / 4)
    return net


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Relaxed:
    """Return the network, which nothing changes."""
    return network(tmp_path_factory.mktemp("net"), TEXT)


@pytest.fixture
def net(made: Relaxed) -> Relaxed:
    """Return a copy of it."""
    return copy.deepcopy(made)


class ByHand(nn.Module):
    """The same candidates, their outputs multiplied and added up as one would write it.

    Args:
        net: whose layers are copied.
    """

    def __init__(self, net: Relaxed) -> None:
        super().__init__()
        self.model: Any = pickle.loads(pickle.dumps(net)).model
        for module in self.modules():
            module.__dict__.pop("forward", None)

    def forward(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        def mixed(name: str, x: Tensor) -> Tensor:
            candidates = getattr(self.model, name).candidates
            total: Any = sum(w * f(x) for w, f in zip(weights[name], candidates, strict=True))
            return total  # type: ignore[no-any-return]

        x = self.model.stem(x)
        return mixed("third", torch.relu(mixed("first", x) + mixed("second", x)))


def leaves(weights: Mapping[str, Tensor], net: nn.Module) -> list[Tensor]:
    return [*weights.values(), *(p for name, p in net.named_parameters() if "logits" not in name)]


def compared(net: Relaxed, train: bool = True, x: Tensor = IMAGES) -> None:
    """Compare outputs, first and second gradients in everything, and statistics."""
    hand = ByHand(net)
    numbers = torch.Generator().manual_seed(2)
    weights = {
        name: torch.rand(len(logits), generator=numbers, dtype=torch.float64).requires_grad_()
        for name, logits in net.logits.items()
    }
    results: list[list[Any]] = []
    for model in (net, hand):
        model.train(train)
        given = x.clone().requires_grad_()
        mixes = {name: Mixture(own) for name, own in weights.items()}
        output = model(given, mixes=mixes) if model is net else model(given, weights)
        wanted = [given, *leaves(weights, model)]
        once = torch.autograd.grad(output.pow(3).sum(), wanted, create_graph=True, allow_unused=True)
        squares = torch.stack([g.pow(2).sum() for g in once if g is not None]).sum()
        twice = torch.autograd.grad(squares, wanted, allow_unused=True)
        buffers = [b for _, b in (net.model if model is net else hand.model).named_buffers()]
        results.append([output, *_zeros(once, wanted), *_zeros(twice, wanted), *buffers])
    assert len(results[0]) == len(results[1])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def _zeros(found: Any, like: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, like, strict=True)]


def test_the_plan_is_what_the_candidates_allow(net: Relaxed) -> None:
    first, second, third = (getattr(net.model, name) for name in POINTS)
    assert [norm is not None for norm in first.tails] == [True, True, True, True, False, True, False, False]
    assert [norm is not None for norm in second.tails] == [False, False, False, False, True]
    sharing = [
        [any("forward" in vars(layer) for layer in candidate.modules()) for candidate in choice.candidates]
        for choice in (first, second, third)
    ]
    assert sharing[0] == [True, True, False, False, False, False, False, False]
    assert sharing[1] == [False, False, True, True, True]
    assert sharing[2] == [True, False]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_outputs_and_gradients_are_those_of_the_sum(net: Relaxed, train: bool, checkpoint: bool) -> None:
    net._step.again = checkpoint
    compared(net, train)


plain_times = step.times  # type: ignore[attr-defined]


def _squared(norm: nn.Module, weight: Tensor) -> Any:
    return plain_times(norm, weight * weight)


def _constant(norm: nn.Module, weight: Tensor) -> Any:
    return plain_times(norm, weight.detach())


@contextmanager
def _scale_alone(norm: nn.Module, weight: Tensor) -> Iterator[None]:
    shift = norm._parameters["bias"]
    with plain_times(norm, weight):
        norm._parameters["bias"] = shift
        yield


@pytest.mark.parametrize("fault", [_squared, _constant, _scale_alone])
def test_a_planted_fault_is_seen(net: Relaxed, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    monkeypatch.setattr(step, "times", fault)
    with pytest.raises(AssertionError, match="not close"):
        compared(net)


def test_an_activation_of_something_else_is_seen(net: Relaxed, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: Activations, layer: nn.Module, kind: str, x: Tensor) -> Tensor:
        found = self.known.setdefault((kind, 0), (x, 0, type(layer).forward(layer, x), 0))
        return found[2]

    monkeypatch.setattr(Activations, "of", forgetful)
    with pytest.raises(AssertionError, match="not close"):
        compared(net)


def test_an_activation_is_computed_once_for_all_that_read_a_tensor(
    net: Relaxed, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Tensor] = []
    plain = nn.GELU.forward

    def counted(layer: nn.GELU, x: Tensor) -> Tensor:
        calls.append(x)
        return plain(layer, x)

    monkeypatch.setattr(nn.GELU, "forward", counted)
    net(IMAGES)
    shared = 1 + 1  # of the stem's output by two choices, and of what the third reads
    assert len(calls) == shared + 4  # two that are changed in place, and the two of the odd one
    assert not net._step.activations.known
    with torch.no_grad():
        net(IMAGES)
    assert not net._step.activations.known


def test_who_listens_hears_what_the_layer_gives(net: Relaxed) -> None:
    hand = ByHand(net)
    heard: list[list[Tensor]] = [[], []]
    for model, own in zip((net.model, hand.model), heard, strict=True):
        norm = model.first.candidates[0][-1]
        norm.register_forward_hook(lambda _m, _a, output, own=own: own.append(output.detach().clone()))
        model.first.candidates[1].register_full_backward_hook(
            lambda _m, _i, outputs, own=own: own.append(outputs[0])
        )
    weights = {name: logits.detach().softmax(0) for name, logits in net.logits.items()}
    net(IMAGES).pow(2).sum().backward()
    hand(IMAGES, weights).pow(2).sum().backward()
    for ours, theirs in zip(*heard, strict=True):
        torch.testing.assert_close(ours, theirs)
    seen: list[Tensor] = []
    handle = register_module_full_backward_hook(lambda _m, _i, outputs: seen.extend(outputs))
    try:
        with net._step.of(net.softmax()):
            net.model.third(IMAGES.clone().requires_grad_()).sum().backward()
    finally:
        handle.remove()
    assert len(seen) > 3


def test_a_layer_that_cannot_multiply_is_left_alone() -> None:
    class Halved(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight / 2

    class Own(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu()

    class Named(nn.BatchNorm2d):
        pass

    norm = nn.BatchNorm2d(4)
    halved = parametrize.register_parametrization(nn.BatchNorm2d(4), "weight", Halved())
    chains = [nn.Sequential(nn.GELU(), each) for each in (halved, Own(4), Named(4))]
    assert tails([*chains, nn.Sequential(norm, norm), nn.Sequential()]) == [
        None,
        None,
        chains[2][1],
        None,
        None,
    ]
    norm.register_forward_pre_hook(lambda *_: None)
    assert tail(norm) is None


def test_copies_share_nothing_with_the_original(net: Relaxed) -> None:
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other._step.activations is not net._step.activations
        with torch.no_grad():
            for parameter in other.weights():
                parameter.mul_(1.5)
        assert other.model.first.tails[0] is other.model.first.candidates[0][-1]
        compared(other)
    compared(net)


@pytest.mark.parametrize("sparse", [False, True])
def test_nothing_may_be_chosen(net: Relaxed, sparse: bool) -> None:
    assert net._step.zero["first"] == (7,)
    for value in ("none", "a", "g"):
        law(net, {"first": value}, (IMAGES,), sparse)
    calls: list[Tensor] = []
    net.model.first.candidates[7].register_forward_hook(lambda _m, _a, output: calls.append(output))
    weights = {name: logits.softmax(0) for name, logits in net.logits.items()}
    net(IMAGES, mixes={name: Mixture(own) for name, own in weights.items()}).pow(2).sum().backward()
    gradient = net.logits["first"].grad
    assert not calls
    assert gradient is not None
    assert gradient.all()  # through the softmax: less of nothing is more of the rest


def test_what_says_that_it_is_nothing_has_to_be(tmp_path: Path) -> None:
    net = network(tmp_path, TEXT.replace("x * 0.0", "x * 0.5"))
    assert net._step.zero["first"] == ()
    compared(net)


def test_it_can_be_called_as_a_function(net: Relaxed) -> None:
    net.eval()
    own = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(net, parameters, (IMAGES,)).pow(2).sum()  # type: ignore[no-any-return]

    moved = {name: 1.1 * parameter for name, parameter in own.items()}
    other = copy.deepcopy(net)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter.copy_(moved[name])
    other(IMAGES).pow(2).sum().backward()
    gradients = torch.func.grad(loss)(moved)
    for name, parameter in other.named_parameters():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(gradients[name], expected)


def test_half_precision_is_no_less_precise_than_by_hand(net: Relaxed) -> None:
    exact = copy.deepcopy(net)
    net.float()
    hand = ByHand(net)
    x = IMAGES.float()
    weights = {name: logits.detach().softmax(0) for name, logits in net.logits.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, theirs = net(x), hand(x, weights)
    assert found.dtype == theirs.dtype
    right = exact(IMAGES).detach()
    errors = [float((y.detach().double() - right).norm() / right.norm()) for y in (found, theirs)]
    assert errors[0] < max(1.2 * errors[1], 1e-2)
    found.float().pow(2).sum().backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in net.parameters())
