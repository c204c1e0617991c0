"""Every class of `torch.nn` that has parameters, under chosen sizes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import symnas
from symnas.errors import BuildError

SKIPPED = {
    "Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Container",
    "RNNBase", "RNNCellBase", "Unflatten",
}  # fmt: skip
# A layer of a width `w`, and what it is fed: numbers of a shape, or indices below a bound.
LAYERS: dict[str, tuple[str, str]] = {
    "Linear": ("nn.Linear(3, w)", "f(2, 3)"),
    "Bilinear": ("nn.Bilinear(3, 4, w)", "f(2, 3), f(2, 4)"),
    "Embedding": ("nn.Embedding(7, w, max_norm=1.0)", "i(7, 2, 3)"),
    "EmbeddingBag": ("nn.EmbeddingBag(7, w)", "i(7, 2, 3)"),
    "PReLU": ("nn.Sequential(nn.Linear(3, w), nn.PReLU(w))", "f(2, 3)"),
    "LayerNorm": ("nn.Sequential(nn.Linear(3, w), nn.LayerNorm(w))", "f(2, 3)"),
    "RMSNorm": ("nn.Sequential(nn.Linear(3, w), nn.RMSNorm(w))", "f(2, 3)"),
    "GroupNorm": ("nn.Sequential(nn.Conv1d(3, w, 1), nn.GroupNorm(2, w))", "f(2, 3, 4)"),
    "MultiheadAttention": ("Attention(w, 2, kdim=3, vdim=5, add_bias_kv=True)", "f(4, 2, 3), f(4, 2, 5)"),
    "TransformerEncoderLayer": ("Encoder(nn.TransformerEncoderLayer, w)", "f(5, 2, 3)"),
    "TransformerDecoderLayer": ("Decoder(w)", "f(5, 2, 3)"),
    "TransformerEncoder": (
        "Encoder(lambda *a: nn.TransformerEncoder("
        "nn.TransformerEncoderLayer(*a), 2, enable_nested_tensor=False), w)",
        "f(5, 2, 3)",
    ),
    "TransformerDecoder": ("Decoder(w, 2)", "f(5, 2, 3)"),
    "Transformer": ("Full(w)", "f(5, 2, 3)"),
    "AdaptiveLogSoftmaxWithLoss": (
        "Adaptive(nn.AdaptiveLogSoftmaxWithLoss, w, [5, 10], 2.0, True)", "f(9, 3), i(20, 9)",
    ),
    "LinearCrossEntropyLoss": ("Adaptive(nn.LinearCrossEntropyLoss, w)", "f(9, 3), i(20, 9)"),
    "LSTM": ("First(nn.LSTM(3, 2 * w, 2, bidirectional=True, proj_size=w))", "f(4, 2, 3)"),
    "GRU": ("First(nn.GRU(3, w, 2, bidirectional=True))", "f(4, 2, 3)"),
    "RNN": ("First(nn.RNN(3, w, 2, nonlinearity='relu'))", "f(4, 2, 3)"),
    "LSTMCell": ("First(nn.LSTMCell(3, w))", "f(2, 3)"),
    "GRUCell": ("nn.GRUCell(3, w)", "f(2, 3)"),
    "RNNCell": ("nn.RNNCell(3, w)", "f(2, 3)"),
}  # fmt: skip
for dim in (1, 2, 3):
    square = ", 6" * dim
    LAYERS[f"Conv{dim}d"] = (f"nn.Conv{dim}d(4, w, {(3, 5, 1)[:dim]}, groups=2)", f"f(2, 4{square})")
    LAYERS[f"ConvTranspose{dim}d"] = (
        f"nn.Sequential(nn.Conv{dim}d(3, w, 1), nn.ConvTranspose{dim}d(w, 2 * w, w // 2, groups=2))",
        f"f(2, 3{square})",
    )
    LAYERS[f"BatchNorm{dim}d"] = (
        f"nn.Sequential(nn.Conv{dim}d(3, w, 1), nn.BatchNorm{dim}d(w))", f"f(2, 3{square})",
    )  # fmt: skip
    LAYERS[f"InstanceNorm{dim}d"] = (
        f"nn.Sequential(nn.Conv{dim}d(3, w, 1), "
        f"nn.InstanceNorm{dim}d(w, affine=True, track_running_stats=True))",
        f"f(2, 3{square})",
    )
LAZY = {
    f"Lazy{kind}{dim}d"
    for kind in ("Conv", "ConvTranspose", "BatchNorm", "InstanceNorm")
    for dim in (1, 2, 3)
}
# A layer of this kind computes only where several processes train together; it is a BatchNorm in all else.
DISTRIBUTED = {"SyncBatchNorm"}

HEAD = """
import torch
from torch import nn


class First(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, *x):
        return self.layer(*x)[0]


class Attention(nn.Module):
    def __init__(self, w, heads, **options):
        super().__init__()
        self.q = nn.Linear(3, w)
        self.layer = nn.MultiheadAttention(w, heads, **options)

    def forward(self, x, y):
        return self.layer(self.q(x), x, y)[0]


class Encoder(nn.Module):
    def __init__(self, make, w):
        super().__init__()
        self.stem = nn.Linear(3, w)
        self.layer = make(w, 2, 2 * w, 0.0)

    def forward(self, x):
        return self.layer(self.stem(x))


class Decoder(nn.Module):
    def __init__(self, w, layers=0):
        super().__init__()
        self.stem = nn.Linear(3, w)
        self.layer = nn.TransformerDecoderLayer(w, 2, 2 * w, 0.0)
        if layers:
            self.layer = nn.TransformerDecoder(self.layer, layers)

    def forward(self, x):
        y = self.stem(x)
        return self.layer(y, y)


class Full(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.stem = nn.Linear(3, w)
        self.layer = nn.Transformer(w, 2, 1, 1, 2 * w, 0.0, batch_first=True)

    def forward(self, x):
        y = self.stem(x)
        return self.layer(y, y)


class Adaptive(nn.Module):
    def __init__(self, kind, w, *options):
        super().__init__()
        self.stem = nn.Linear(3, w)
        self.layer = kind(w, 20, *options)

    def forward(self, x, y):
        result = self.layer(self.stem(x), y)
        return result if isinstance(result, torch.Tensor) else result[1]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        w = 4  # search: {4, 8}
        self.layer = LAYER

    def forward(self, *x):
        return self.layer(*x)
"""


def f(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def i(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(1))


def test_the_table_is_complete() -> None:
    """Every class that `torch.nn` exports, and that can hold parameters, is in the table."""
    found = set()
    for name, kind in vars(nn).items():
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and name not in SKIPPED:
            text = "".join(
                inspect.getsource(above) for above in kind.__mro__ if above not in (nn.Module, object)
            )
            if "Parameter(" in text or "Linear(" in text or "MultiheadAttention(" in text:
                found.add(name)
    assert found - set(LAYERS) == LAZY | {"LazyLinear"} | DISTRIBUTED


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_computes_what_it_computes_alone(name: str, traced: bool, tmp_path: Path) -> None:
    text, inputs = LAYERS[name]
    (tmp_path / "net.py").write_text(HEAD.replace("LAYER", text))
    feed: Any = eval(f"({inputs},)", {"f": f, "i": i})
    program = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=feed if traced else None)
    net = program.supernet(dtype=torch.float64)
    assert not net.notes or name == "AdaptiveLogSoftmaxWithLoss", net.notes  # gathers by what the data are
    feed = tuple(x.double() if x.is_floating_point() else x for x in feed)
    for width in (4, 8):
        for training in (True, False):
            net.train(training).zero_grad()
            child = net.extract({"w": width})
            results = [child(*feed), net(*feed, decision={"w": width})]
            assert torch.allclose(*results, rtol=1e-6, atol=1e-6)
            for result in results:
                (result**2).sum().backward()
            mine = sum(float(p.grad.detach().abs().sum()) for p in child.parameters() if p.grad is not None)
            ours = sum(float(p.grad.detach().abs().sum()) for p in net.parameters() if p.grad is not None)
            assert ours == pytest.approx(mine, rel=1e-6)
            state = net.extract({"w": width}).state_dict()
            assert all(torch.allclose(value, state[key]) for key, value in child.state_dict().items())


def test_lazy_layers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(HEAD.replace("LAYER", "nn.LazyLinear(w)"))
    with pytest.raises(
        BuildError, match=r"layer\.weight has no size before the model is called .* nn\.Linear"
    ):
        symnas.program(f"{tmp_path / 'net.py'}:Net").supernet()
