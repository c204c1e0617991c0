"""The mobile networks of ProxylessNAS (Cai, Zhu & Han 2019): an inverted residual or a skip per layer.

Kernels of 3, 5 or 7 and expansions of 3 or 6 make six blocks for each of 21 layers; a layer that changes
nothing in size may also be skipped, and so the depth is chosen. The defaults are the networks that the paper
found for a phone, a GPU and a CPU.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class MBConv(nn.Module):
    """An inverted residual (Sandler et al. 2018): widen, filter each channel by itself, narrow.

    Args:
        channels: of the input.
        width: channels of the output.
        kernel: odd size of the middle convolution.
        expand: how many times as wide as the input the middle is; 1 leaves the widening out.
        stride: of the middle convolution.
    """

    def __init__(self, channels: int, width: int, kernel: int, expand: int, stride: int = 1) -> None:
        super().__init__()
        inner = channels * expand
        layers: list[nn.Module] = []
        if expand > 1:
            layers += [nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6()]
        layers += [
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        ]
        self.body = nn.Sequential(*layers)
        self.shortcut = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, width, height / stride, width / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


# Channels of the stem, the first block, the six stages and the last layer; and the kernel and the expansion
# of every layer, "--" where it is skipped.
NETWORKS = {
    "mobile": (
        (32, 16, 32, 40, 80, 96, 192, 320, 1280),
        ("53 33 -- --", "73 33 53 53", "76 53 53 53", "56 53 53 53", "76 76 73 73", "76"),
    ),
    "gpu": (
        (40, 24, 32, 56, 112, 128, 256, 432, 1728),
        ("53 -- -- --", "73 -- -- 33", "76 -- -- 53", "56 -- 33 53", "76 76 76 56", "76"),
    ),
    "cpu": (
        (40, 24, 32, 48, 88, 104, 216, 360, 1432),
        ("36 33 33 33", "36 33 33 53", "36 -- -- 33", "56 33 33 33", "56 53 53 33", "56"),
    ),
}
STRIDES = (2, 2, 2, 1, 2, 1)


def block(code: str, channels: int, width: int, stride: int = 1) -> nn.Module:
    """Return the block that two digits of `NETWORKS` describe, or what passes its input on."""
    return nn.Identity() if code == "--" else MBConv(channels, width, int(code[0]), int(code[1]), stride)


class ProxylessNAS(nn.Module):
    """The whole network.

    Args:
        classes: 1,000 for ImageNet.
        network: the one by default, "mobile", "gpu" or "cpu", which also gives the widths.
        scale: multiplies all widths, which stay multiples of 8.
        layers: of each stage but the last, at most 4.
    """

    def __init__(
        self, classes: int = 1000, network: str = "mobile", scale: float = 1.0, layers: int = 4
    ) -> None:
        super().__init__()
        widths, codes = NETWORKS[network]
        stem, c, *stages, last = (max(8, round(scale * width / 8) * 8) for width in widths)
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU6(), MBConv(stem, c, 3, 1)
        )
        body: list[nn.Module] = []
        for stage, w in enumerate(stages):
            s = STRIDES[stage]
            reduce, *keep = codes[stage].split()[:layers]
            # search: {k3e3: MBConv(c, w, 3, 3, s), k3e6: MBConv(c, w, 3, 6, s), k5e3: MBConv(c, w, 5, 3, s),
            #          k5e6: MBConv(c, w, 5, 6, s), k7e3: MBConv(c, w, 7, 3, s), k7e6: MBConv(c, w, 7, 6, s)}
            first = block(reduce, c, w, s)
            body.append(first)
            for layer, code in enumerate(keep):
                # search: {skip: nn.Identity(),
                #          k3e3: MBConv(w, w, 3, 3), k3e6: MBConv(w, w, 3, 6), k5e3: MBConv(w, w, 5, 3),
                #          k5e6: MBConv(w, w, 5, 6), k7e3: MBConv(w, w, 7, 3), k7e6: MBConv(w, w, 7, 6)}
                op = block(code, w, w)
                body.append(op)
            c = w
        self.body = nn.Sequential(*body)
        self.last = nn.Sequential(nn.Conv2d(c, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU6())
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) to logits (batch, classes)."""
        x = self.last(self.body(self.stem(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
