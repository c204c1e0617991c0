from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from symnas.cost.profiling import count_parameters, profile
from symnas.errors import BuildError

torch.set_num_threads(1)


class OnCpu(nn.Module):
    """Reads a value in forward, so only the CPU can run it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args):
        assert float(args[0].sum()) == float(args[0].sum())
        return self.inner(*args)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class Basic(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.down = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.down(x))


def resnet18() -> nn.Module:
    """The network of He et al. (2015) as torchvision has it."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            layers.append(Basic(channels, width, 2 if stage and not block else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def alexnet() -> nn.Module:
    """The one-tower AlexNet of torchvision."""
    c, r, p = nn.Conv2d, nn.ReLU, nn.MaxPool2d
    return nn.Sequential(
        *(c(3, 64, 11, 4, 2), r(), p(3, 2), c(64, 192, 5, padding=2), r(), p(3, 2)),
        *(c(192, 384, 3, padding=1), r(), c(384, 256, 3, padding=1), r()),
        *(c(256, 256, 3, padding=1), r(), p(3, 2), nn.Flatten(), nn.Dropout()),
        *(nn.Linear(9216, 4096), r(), nn.Dropout(), nn.Linear(4096, 4096), r(), nn.Linear(4096, 1000)),
    )


def vgg16() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers += [nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(25088, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("build", "params", "gigamacs"),
    [(resnet18, 11_689_512, 1.814), (alexnet, 61_100_840, 0.714), (vgg16, 138_357_544, 15.47)],
)
def test_published_figures(build, params, gigamacs):
    counted = profile(build, [torch.zeros(1, 3, 224, 224)])
    assert counted.params == params
    assert round(counted.macs / 1e9, 3 if gigamacs < 10 else 2) == gigamacs
    assert counted.device == "meta"


B, T, F, H = 3, 5, 8, 16
SEQUENCE = (B, T, F)
HAND = {
    "linear": (lambda: nn.Linear(F, H), [SEQUENCE], 2 * B * T * F * H, F * H + H),
    "conv": (
        lambda: nn.Conv2d(4, 6, (3, 5), stride=2),
        [(B, 4, 11, 13)],
        2 * B * (5 * 5) * 6 * 4 * 15,
        6 * 4 * 15 + 6,
    ),
    "grouped": (
        lambda: nn.Conv2d(8, 12, 3, groups=4, padding=1),
        [(B, 8, 7, 7)],
        2 * B * 49 * 12 * 2 * 9,
        228,
    ),
    "depthwise": (lambda: nn.Conv2d(8, 8, 5, groups=8, padding=2), [(B, 8, 7, 7)], 2 * B * 49 * 8 * 25, 208),
    "dilated": (lambda: nn.Conv1d(4, 4, 3, dilation=2), [(B, 4, 10)], 2 * B * 6 * 4 * 4 * 3, 52),
    # A transposed convolution multiplies once per input element, output channel and tap.
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2),
        [(B, 4, 5, 5)],
        2 * B * 25 * 4 * 6 * 9,
        222,
    ),
    "lstm": (
        lambda: nn.LSTM(F, H, batch_first=True),
        [SEQUENCE],
        2 * B * T * 4 * H * (F + H),
        4 * H * (F + H + 2),
    ),
    "gru": (
        lambda: nn.GRU(F, H, batch_first=True),
        [SEQUENCE],
        2 * B * T * 3 * H * (F + H),
        3 * H * (F + H + 2),
    ),
    "deep lstm": (
        lambda: nn.LSTM(F, H, num_layers=2, bidirectional=True, batch_first=True),
        [SEQUENCE],
        2 * B * T * 2 * 4 * H * ((F + H) + (2 * H + H)),
        2 * 4 * H * ((F + H + 2) + (2 * H + H + 2)),
    ),
    "attention": (
        lambda: Attention(F, 2),
        [SEQUENCE],
        2 * B * T * F * 4 * F + 2 * 2 * B * T * T * F,
        4 * F * F,
    ),
    "multihead": (
        lambda: nn.MultiheadAttention(F, 2, batch_first=True),
        [SEQUENCE] * 3,
        2 * B * T * F * 4 * F + 2 * 2 * B * T * T * F,
        4 * F * F + 4 * F,
    ),
    "encoder": (
        lambda: nn.TransformerEncoderLayer(F, 2, H, batch_first=True),
        [SEQUENCE],
        2 * B * T * F * 4 * F + 2 * 2 * B * T * T * F + 2 * 2 * B * T * F * H,
        4 * F * F + 4 * F + 2 * F * H + H + F + 4 * F,
    ),
    "bilinear": (lambda: nn.Bilinear(F, 6, 3), [(B, F), (B, 6)], 2 * B * F * 6 * 3, F * 6 * 3 + 3),
    "embedding": (lambda: nn.Sequential(nn.LayerNorm(F), nn.GELU(), nn.Dropout()), [SEQUENCE], 0, 2 * F),
}


@pytest.mark.parametrize("name", HAND)
def test_hand_formulas_on_meta_and_on_the_cpu(name):
    build, shapes, flops, params = HAND[name]
    inputs = [torch.zeros(shape) for shape in shapes]
    on_meta, on_cpu = profile(build, inputs), profile(lambda: OnCpu(build()), inputs)
    assert (on_meta.device, on_cpu.device) == ("meta", "cpu")
    assert (on_meta.flops, on_cpu.flops) == (flops, flops)
    assert (on_meta.params, on_cpu.params) == (params, params)
    assert count_parameters(build) == params


def test_the_block_of_the_comparison_of_counters():
    # 8.39 MFLOP: width 128, 4 heads, 64 tokens; PyTorch's own counter says 4.19 M less than that on the CPU.
    x = torch.zeros(1, 64, 128)
    expected = 2 * 64 * 128 * 4 * 128 + 2 * 2 * 64 * 64 * 128
    assert profile(lambda: Attention(128, 4), [x]).flops == expected
    assert profile(lambda: OnCpu(Attention(128, 4)), [x]).flops == expected


def test_inference_mode_and_functional_products_count():
    class Net(nn.Module):
        def forward(self, x):
            with torch.inference_mode():
                y = functional.linear(x, torch.ones(H, F, device=x.device))
                return (
                    torch.einsum("bth,bsh->bts", y, y),
                    torch.mv(x[0], x[0, 0]),
                    torch.dot(x[0, 0], x[0, 0]),
                )

    expected = 2 * B * T * F * H + 2 * B * T * T * H + 2 * T * F + 2 * F
    assert profile(Net, [torch.zeros(SEQUENCE)]).flops == expected


def test_a_constructor_that_reads_values_falls_back():
    class DropPath(nn.Module):
        def __init__(self):
            super().__init__()
            rates = [float(rate) for rate in torch.linspace(0, 0.1, 3)]
            self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Dropout(r)) for r in rates))

        def forward(self, x):
            return self.layers(x)

    counted = profile(DropPath, [torch.zeros(2, 4)])
    assert (counted.params, counted.flops, counted.device) == (60, 2 * 2 * 16 * 3, "meta")
    assert count_parameters(DropPath) == 60


def test_shared_parameters_count_once_and_calls_count_every_time():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(11, 4)
            self.mix = nn.Linear(4, 4, bias=False)
            self.head = nn.Linear(4, 11, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids):
            return self.head(self.mix(self.mix(self.embed(ids))))

    counted = profile(Tied, [torch.zeros(2, 3, dtype=torch.long)])
    assert counted.params == 11 * 4 + 16
    assert counted.flops == 2 * 6 * (2 * 16 + 44)
    assert counted.modules["mix"].calls == 2
    assert counted.modules["mix"].flops == 2 * 6 * 2 * 16
    assert counted.modules["head"].params == 44


def test_modules_add_up_to_the_whole():
    counted = profile(resnet18, [torch.zeros(2, 3, 64, 64)])
    children = [path for path in counted.modules if path and "." not in path]
    assert sum(counted.modules[path].flops for path in children) == counted.flops
    assert sum(counted.modules[path].params for path in children) == counted.params
    assert max(counted.modules[path].memory for path in children) <= counted.memory
    assert counted.modules["4"].kind == "Basic"
    assert "Basic" in str(counted)
    assert f"{counted.params:,}" in str(counted).splitlines()[1]


def test_memory_is_the_peak_of_living_activations():
    net = nn.Sequential(nn.Linear(10, 100), nn.ReLU(), nn.Linear(100, 20))
    # The 100 values before and after ReLU and the 10 inputs live together; every other moment has fewer.
    assert profile(lambda: net, [torch.zeros(7, 10)]).memory == 7 * (10 + 100 + 100) * 4


def test_memory_of_views_in_place_results_and_parameters_is_nothing():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1000))

        def forward(self, x):
            return self.scale.view(10, 100)[:, 0], x.view(-1).relu_()

    assert profile(Net, [torch.zeros(6, 5)]).memory == 30 * 4


def test_memory_counts_what_the_model_keeps():
    class Skip(nn.Module):
        def forward(self, x):
            kept = [x * 2, x * 3, x * 4]
            return kept[0] + kept[1] + kept[2]

    class Lean(nn.Module):
        def forward(self, x):
            return x * 2 + 1

    x = torch.zeros(25, dtype=torch.float64)
    assert profile(Skip, [x]).memory == (1 + 3 + 2) * 200
    assert profile(Lean, [x]).memory == 3 * 200


def test_the_generator_and_the_mode_flags_are_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    profile(lambda: OnCpu(nn.Linear(4, 4)), [torch.zeros(2, 4)])
    assert torch.equal(before, torch.get_rng_state())
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()


def test_batch_normalisation_of_a_single_value_is_no_obstacle():
    assert profile(lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), [torch.zeros(1, 4)]).flops == 32


def test_keyword_and_nested_inputs():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, batch, *, scale):
            return {"y": self.linear(batch["x"]) * scale}

    counted = profile(Net, [{"x": torch.zeros(2, 4)}], {"scale": 2.0})
    assert counted.flops == 64


def test_lazy_modules():
    assert profile(lambda: nn.LazyLinear(3), [torch.zeros(2, 4)]).params == 15
    with pytest.raises(BuildError, match="lazy parameters"):
        count_parameters(lambda: nn.LazyLinear(3))


def test_wrong_inputs_and_wrong_objects():
    with pytest.raises(BuildError, match=r"Linear raised RuntimeError on \(torch.float32 \(2, 5\)\)"):
        profile(lambda: nn.Linear(4, 4), [torch.zeros(2, 5)])
    with pytest.raises(
        BuildError, match=r"only a torch\.nn\.Module can be profiled, and the program built dict"
    ):
        profile(dict, [])
