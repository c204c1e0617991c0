"""Relaxed widths and kernels: the law against a supernet, counts against enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

import symnas
from symnas.construction.open_choices import open_run
from symnas.construction.size_discovery import find_sizes
from symnas.construction.sizes import Sizes
from symnas.construction.superposition import superpose
from symnas.contracts.relaxed_points import Mixture
from symnas.features.contractions import Contractions
from symnas.frontend.openings import Opening
from symnas.relaxed.sizes import effective, interpolated, positions, strengths

HEAD = "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n"
IMAGE = (3, 3, 6, 6)
NETS = {
    "concatenation": (
        """
        super().__init__()
        a = 6  # search: {2, 4, 6}
        b = 5  # search: {3, 5}
        self.a, self.b = nn.Conv2d(3, a, 1), nn.Conv2d(3, b, 1)
        self.norm = nn.BatchNorm2d(a + b)
        self.head = nn.Linear(a + b, 4)

    def forward(self, x):
        return self.head(torch.relu(self.norm(torch.cat([self.a(x), self.b(x)], 1))).mean((2, 3)))
""",
        IMAGE,
    ),
    "kernels and a depthwise layer": (
        """
        super().__init__()
        k = 5  # search: {1, 3, 5}
        c = 4  # search: {2, 3, 4}
        self.stem = nn.Sequential(nn.Conv2d(3, c, (k, 3), padding=(k // 2, 1)), nn.BatchNorm2d(c), nn.ReLU())
        self.wise = nn.Conv2d(c, c, k, padding=k // 2, groups=c)
        self.head = nn.ConvTranspose2d(c, 3, 2)

    def forward(self, x):
        return self.head(self.wise(self.stem(x)))
""",
        IMAGE,
    ),
    "two that make a size together": (
        """
        super().__init__()
        c = 4  # search: {2, 3, 4}
        m = 3  # search: {1, 2, 3}
        # search: {nn.Linear(3, c * m), nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, c * m))}
        self.wide = nn.Linear(3, c * m)
        self.down = nn.Linear(c * m, c)
        self.head = nn.Linear(c, 2)

    def forward(self, x):
        return self.head(torch.relu(self.down(torch.relu(self.wide(x)))))
""",
        (5, 3),
    ),
    "a recurrent layer and a custom one": (
        """
        super().__init__()
        h = 5  # search: {2, 4, 5}
        e = 6  # search: {3, 6}
        self.rnn = nn.LSTM(3, h, batch_first=True)
        self.weight = nn.Parameter(torch.randn(h, e))
        self.head = nn.Linear(e * 4, 2)

    def forward(self, x):
        return self.head((self.rnn(x)[0] @ self.weight).flatten(1))
""",
        (5, 4, 3),
    ),
}


def program(folder: Path, body: str, shape: tuple[int, ...]) -> Any:
    file = folder / "net.py"
    file.write_text(HEAD + body.lstrip("\n"))
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return symnas.program(f"{file}:Net", inputs=(inputs,))


def found(target: Any) -> tuple[Sizes, frozenset[str]]:
    run = open_run(target)
    sizes, largest = find_sizes(target, run, run.closed)
    assert {address: largest.closed[address] for address in sizes.largest} == sizes.largest
    return sizes, run.opening.opened


def one_hot(sizes: Sizes, decision: Mapping[str, Any]) -> dict[str, Mixture]:
    mixes = {}
    for address, point in sizes.points.items():
        weights = torch.zeros(len(point.labels))
        weights[point.labels.index(decision[address])] = 1
        mixes[address] = Mixture(weights)
    return mixes


@pytest.mark.parametrize("name", NETS)
def test_all_weight_on_one_value_is_the_child(name: str, tmp_path: Path) -> None:
    target = program(tmp_path, *NETS[name])
    sizes, opened = found(target)
    assert not sizes.refused
    assert {*sizes.points} | opened == {point.address for point in target.space.walk()}
    model = superpose(target, Opening(sizes.largest, opened))
    child, inputs = model.module.double(), target.inputs[0].double()
    parameters = dict(child.named_parameters())
    shared = target.supernet(dtype=torch.float64)
    with torch.no_grad():
        for path, tensor in parameters.items():
            shared.get_parameter(model.parameters[path].replace(".", "/")).copy_(tensor)
    for decision in target.space.sample(12, np.random.default_rng(0)):
        model.switch(decision)
        mixes = one_hot(sizes, decision)
        used = {path: effective(sizes, model.parameters[path], t, mixes) for path, t in parameters.items()}
        expected = shared(inputs, decision=decision)
        outputs = functional_call(child, _with_flat_weights(child, used), (inputs,))
        assert torch.allclose(outputs, expected, atol=1e-9, rtol=0)
        theirs = torch.autograd.grad(expected.square().sum(), list(shared.parameters()), allow_unused=True)
        mine = torch.autograd.grad(outputs.square().sum(), list(parameters.values()), allow_unused=True)
        by_name = dict(zip(dict(shared.named_parameters()), theirs, strict=True))
        for path, gradient in zip(parameters, mine, strict=True):
            other = by_name[model.parameters[path].replace(".", "/")]
            # Units that nobody reads have no gradient here, and are not in the child at all.
            assert (gradient is None or not gradient.any()) if other is None else _equal(gradient, other)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-9, rtol=0)


def _with_flat_weights(child: nn.Module, used: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for path, module in child.named_modules():
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [used[f"{path}.{name}"] for name in module._flat_weights_names]  # type: ignore[assignment]
    return used


@pytest.mark.parametrize("name", NETS)
def test_mean_number_of_parameters_is_that_of_all_children(name: str, tmp_path: Path) -> None:
    target = program(tmp_path, *NETS[name])
    sizes, opened = found(target)
    made = superpose(target, Opening(sizes.largest, opened), device="meta")
    generator = torch.Generator().manual_seed(1)
    weights = {
        address: torch.softmax(torch.randn(len(point.labels), generator=generator).double(), 0)
        for address, point in sizes.points.items()
    }
    mean = sum(
        float(positions(sizes, made.parameters[path], tensor.shape, weights))
        for path, tensor in made.module.named_parameters()
    )
    assert mean == pytest.approx(_mean_by_enumeration(target, sizes, opened, weights), rel=1e-12)


def _mean_by_enumeration(
    target: Any, sizes: Sizes, opened: frozenset[str], weights: Mapping[str, torch.Tensor]
) -> float:
    total = 0.0
    for codes in itertools.product(*(range(len(point.labels)) for point in sizes.points.values())):
        share, values = 1.0, {}
        for (address, point), code in zip(sizes.points.items(), codes, strict=True):
            share *= float(weights[address][code])
            values[address] = point.labels[code]
        made = superpose(target, Opening(values, opened), device="meta")
        total += share * sum(tensor.numel() for tensor in made.module.parameters())
    return total


def test_gradient_of_the_weights_is_that_of_finite_differences(tmp_path: Path) -> None:
    target = program(tmp_path, *NETS["kernels and a depthwise layer"])
    sizes, opened = found(target)
    model = superpose(target, Opening(sizes.largest, opened))
    child, inputs = model.module.double(), target.inputs[0].double()
    parameters = {path: tensor.detach() for path, tensor in child.named_parameters()}

    def loss(*logits: torch.Tensor) -> torch.Tensor:
        mixes = {a: Mixture(torch.softmax(own, 0)) for a, own in zip(sizes.points, logits, strict=True)}
        used = {path: effective(sizes, model.parameters[path], t, mixes) for path, t in parameters.items()}
        return functional_call(child, used, (inputs,)).square().mean()

    logits = [torch.randn(len(point.labels)).double().requires_grad_() for point in sizes.points.values()]
    assert torch.autograd.gradcheck(loss, logits)
    assert all(each.abs().max() > 1e-6 for each in torch.autograd.grad(loss(*logits), logits))


def test_stretched_widths_are_those_of_pooled_features(tmp_path: Path) -> None:
    body = """
        super().__init__()
        c = 8  # search: {2, 3, 5, 8}
        self.up = nn.Linear(3, c)
        self.down = nn.Linear(c, 4)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))
"""
    target = program(tmp_path, body, (5, 3))
    sizes, opened = found(target)
    child, x = superpose(target, Opening(sizes.largest, opened)).module, target.inputs[0]
    weights = torch.tensor([0.0, 0.3, 0.7, 0.0])
    mixes = {"c": Mixture(weights, active=(1, 2))}
    features = torch.relu(child.up(x))
    pooled = nn.functional.adaptive_avg_pool1d(features[:, None, :3], 5)[:, 0]
    by_hand = (0.3 * pooled + 0.7 * features[:, :5]) @ child.down.weight[:, :5].T + child.down.bias
    used = {"down.weight": interpolated(sizes, "down.weight", child.down.weight, mixes)}
    assert torch.allclose(functional_call(child, used, (x,)), by_hand, atol=1e-6)


def test_strengths_are_squared_norms_of_what_a_value_adds(tmp_path: Path) -> None:
    body = """
        super().__init__()
        k = 3  # search: {1, 3, 5}
        self.conv = nn.Conv2d(3, 2, k, padding=k // 2)

    def forward(self, x):
        return self.conv(x)
"""
    target = program(tmp_path, body, IMAGE)
    sizes, opened = found(target)
    weight = superpose(target, Opening(sizes.largest, opened)).module.conv.weight
    rings = [weight[..., 2:3, 2:3], weight[..., 1:4, 1:4], weight]
    squares = [float(ring.detach().square().sum()) for ring in rings]
    expected = [squares[0], squares[1] - squares[0], squares[2] - squares[1]]
    told = strengths(sizes, "k", {"conv.weight": weight})
    assert torch.allclose(told, torch.tensor(expected), rtol=1e-5)


REFUSED = {
    "which weights there are": ("nn.ModuleList([nn.Linear(3, 3) for _ in range(n)])", "x"),
    "changes no weight's size": ("nn.AvgPool1d(n, 1)", "x"),
    "the model fails under {'n': 1}": ("nn.Linear(3, n)", "self.layer(x)[:, :3]"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_points_that_are_no_sizes_say_why(reason: str, tmp_path: Path) -> None:
    layer, read = REFUSED[reason]
    body = f"""
        super().__init__()
        n = 4  # search: {{1, 4, 5}}
        self.layer = {layer}
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head({read})
"""
    sizes, _ = found(program(tmp_path, body, (5, 3)))
    assert not sizes.points
    assert reason in sizes.refused["n"]


def test_a_program_without_example_inputs_is_refused(tmp_path: Path) -> None:
    program(tmp_path, *NETS["concatenation"])
    target = symnas.program(f"{tmp_path / 'net.py'}:Net")
    with pytest.raises(symnas.errors.BuildError, match="give example inputs"):
        find_sizes(target, (), ["a", "b"])


LAYERS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[tuple[str, int]]]] = {
    "linear": (lambda: nn.Linear(3, 4), (2, 3), {("weight", 1)}),
    "convolution": (lambda: nn.Conv2d(3, 4, 2), (2, 3, 5, 5), {("weight", 1)}),
    "in groups": (lambda: nn.Conv1d(4, 6, 3, groups=2), (2, 4, 5), {("weight", 1)}),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4), (2, 4, 5, 5), set()),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 2), (2, 3, 5, 5), {("weight", 0)}),
    "bilinear": (lambda: nn.Bilinear(3, 3, 4), (2, 3), {("weight", 1), ("weight", 2)}),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        (2, 3, 4),
        {("in_proj_weight", 1), ("out_proj.weight", 1)},
    ),
    "recurrent": (lambda: nn.GRU(3, 4), (2, 5, 3), {("weight_ih_l0", 1), ("weight_hh_l0", 1)}),
    "normalisation": (lambda: nn.BatchNorm2d(3), (2, 3, 5, 5), set()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_dimensions_that_are_summed_over(name: str) -> None:
    make, shape, expected = LAYERS[name]
    with torch.device("meta"):
        layer, x = make(), torch.randn(shape)
    tracer = Contractions(dict(layer.named_parameters()))
    count = {"bilinear": 2, "attention": 3}.get(name, 1)
    with tracer:
        layer(*[x] * count)
    assert tracer.found == expected
    with FlopCounterMode(display=False) as counter:
        layer(*[x] * count)
    # PyTorch's own counter leaves bilinear layers out.
    flops = 2 * (2 * 4) * 3 * 3 if name == "bilinear" else counter.get_total_flops()
    assert 2 * sum(tracer.macs.values()) == flops
