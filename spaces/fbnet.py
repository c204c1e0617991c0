"""FBNet (Wu et al. 2019): one of nine blocks, or nothing, in each of 22 layers of fixed width and stride.

The blocks are inverted residuals of kernel 3 or 5 and expansion 1, 3 or 6, those of expansion 1 also with
two groups and a channel shuffle. The defaults are the networks that the paper calls A, B and C.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """An inverted residual: widen, filter each channel by itself, narrow.

    Args:
        channels: of the input.
        width: channels of the output.
        kernel: odd size of the middle convolution.
        expand: how many times as wide as the input the middle is.
        groups: of the two outer convolutions; with more than one the channels are shuffled in between.
        stride: of the middle convolution.
    """

    def __init__(
        self, channels: int, width: int, kernel: int, expand: int, groups: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        inner = channels * expand
        self.widen = nn.Sequential(
            nn.Conv2d(channels, inner, 1, groups=groups, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
        )
        self.shuffle = nn.ChannelShuffle(groups) if groups > 1 else nn.Identity()
        self.middle = nn.Sequential(
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
        )
        self.narrow = nn.Sequential(
            nn.Conv2d(inner, width, 1, groups=groups, bias=False), nn.BatchNorm2d(width)
        )
        self.shortcut = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, width, height / stride, width / stride)."""
        y: Tensor = self.narrow(self.middle(self.shuffle(self.widen(x))))
        return x + y if self.shortcut else y


def skip(channels: int, width: int, stride: int) -> nn.Module:
    """Return what passes its input on, through a convolution where the size changes."""
    if channels == width and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width), nn.ReLU())


# Kernel, expansion and, if there are two, groups of each layer, "-" where it is skipped; stage by stage.
NETWORKS = {
    "a": ("-", "33 31 - -", "56 33 51 33", "56 53 512 56", "36 512 53 312", "56 56 53 56", "56"),
    "b": ("31", "36 51 31 31", "56 53 36 56", "56 56 - 53", "56 31 51 53", "56 51 56 56", "36"),
    "c": ("31", "36 - 31 31", "56 53 56 36", "56 53 56 56", "56 56 56 53", "56 56 56 56", "36"),
}
WIDTHS = (16, 24, 32, 64, 112, 184, 352)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
LAST = {"a": 1504, "b": 1984, "c": 1984}


def block(code: str, channels: int, width: int, stride: int) -> nn.Module:
    """Return the block that an entry of `NETWORKS` describes."""
    if code == "-":
        return skip(channels, width, stride)
    return Block(channels, width, int(code[0]), int(code[1]), int(code[2:] or 1), stride)


class FBNet(nn.Module):
    """The whole network.

    Args:
        classes: 1,000 for ImageNet.
        network: the one by default, "a", "b" or "c", which also gives the width of the last layer.
        scale: multiplies all widths, which stay multiples of 8.
        layers: of each stage, at most 4.
    """

    def __init__(self, classes: int = 1000, network: str = "a", scale: float = 1.0, layers: int = 4) -> None:
        super().__init__()
        stem, *widths, last = (max(8, round(scale * w / 8) * 8) for w in (16, *WIDTHS, LAST[network]))
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        body: list[nn.Module] = []
        c = stem
        for stage, w in enumerate(widths):
            for layer, code in enumerate(NETWORKS[network][stage].split()[:layers]):
                s = STRIDES[stage] if layer == 0 else 1
                # search: {skip: skip(c, w, s),
                #          k3e1: Block(c, w, 3, 1, 1, s), k3e1g2: Block(c, w, 3, 1, 2, s),
                #          k3e3: Block(c, w, 3, 3, 1, s), k3e6: Block(c, w, 3, 6, 1, s),
                #          k5e1: Block(c, w, 5, 1, 1, s), k5e1g2: Block(c, w, 5, 1, 2, s),
                #          k5e3: Block(c, w, 5, 3, 1, s), k5e6: Block(c, w, 5, 6, 1, s)}
                op = block(code, c, w, s)
                body.append(op)
                c = w
        self.body = nn.Sequential(*body)
        self.last = nn.Sequential(nn.Conv2d(c, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU())
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) to logits (batch, classes)."""
        x = self.last(self.body(self.stem(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
