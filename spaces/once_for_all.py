"""MobileNetV3 with elastic resolution, depth, expansion and kernel (Once-for-all, Cai et al. 2020).

The default is MobileNetV3-Large (Howard et al. 2019). Once-for-all chooses among its stages' depths 2 to 4,
kernels 3, 5 and 7, expansions 3, 4 and 6, and resolutions 128 to 224. MobileNetV3-Large also has expansions
2.3 and 2.5, which therefore stand here as well; without them this is the paper's space of 7,371^5 networks.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def rounded(width: float) -> int:
    """Return the multiple of 8 that is nearest, and no less than nine tenths."""
    found = max(8, int(width + 4) // 8 * 8)
    return found + 8 if found < 0.9 * width else found


class SqueezeExcite(nn.Module):
    """Scales each channel by what the means of all channels make of it (Hu, Shen & Sun 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = rounded(channels // 4)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.fc2 = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape."""
        scale = self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1))))
        return x * F.hardsigmoid(scale)


class Block(nn.Module):
    """An inverted residual: widen, filter each channel by itself, narrow.

    Args:
        channels: of the input.
        width: channels of the output.
        kernel: odd size of the middle convolution.
        expand: how many times as wide as the input the middle is; 1 leaves the widening out.
        stride: of the middle convolution.
        act: class of the activations.
        excite: whether the middle ends with squeeze and excitation.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int,
        expand: float,
        stride: int = 1,
        act: type[nn.Module] = nn.ReLU,
        excite: bool = False,
    ) -> None:
        super().__init__()
        inner = rounded(channels * expand)
        layers: list[nn.Module] = []
        if expand != 1:
            layers += [nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), act()]
        layers += [
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            act(),
        ]
        if excite:
            layers.append(SqueezeExcite(inner))
        layers += [nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.body = nn.Sequential(*layers)
        self.shortcut = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, width, height / stride, width / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


# Of each stage the width, the stride of its first block, the activation, whether channels are scaled, and the
# kernel and the expansion of each block of MobileNetV3-Large; blocks beyond those are like the last.
STAGES = (
    (24, 2, nn.ReLU, False, ((3, 4), (3, 3))),
    (40, 2, nn.ReLU, True, ((5, 3), (5, 3), (5, 3))),
    (80, 2, nn.Hardswish, False, ((3, 6), (3, 2.5), (3, 2.3), (3, 2.3))),
    (112, 1, nn.Hardswish, True, ((3, 6), (3, 6))),
    (160, 2, nn.Hardswish, True, ((5, 6), (5, 6), (5, 6))),
)


class OnceForAll(nn.Module):
    """The whole network.

    Args:
        classes: 1,000 for ImageNet.
        scale: multiplies all widths, which stay multiples of 8; the paper also has 1.2.
        dropout: probability, before the classifier.
    """

    def __init__(self, classes: int = 1000, scale: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        self.resolution = 224  # search: 128..224 step 4
        c = rounded(16 * scale)
        self.stem = nn.Sequential(
            nn.Conv2d(3, c, 3, 2, 1, bias=False), nn.BatchNorm2d(c), nn.Hardswish(), Block(c, c, 3, 1)
        )
        body: list[nn.Module] = []
        for stage, (width, stride, act, excite, published) in enumerate(STAGES):
            w = rounded(width * scale)
            for block in range(len(published)):  # search: 2..4
                own = published[min(block, len(published) - 1)]
                kernel = own[0]  # search: {3, 5, 7}
                expand = own[1]  # search: {2.3, 2.5, 3, 4, 6}
                body.append(Block(c, w, kernel, expand, stride if block == 0 else 1, act, excite))
                c = w
        self.body = nn.Sequential(*body)
        self.last = nn.Sequential(nn.Conv2d(c, 6 * c, 1, bias=False), nn.BatchNorm2d(6 * c), nn.Hardswish())
        features = rounded(1280 * scale)
        self.head = nn.Sequential(
            nn.Linear(6 * c, features), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(features, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width), which are resized first, to logits (batch, classes)."""
        size = (self.resolution, self.resolution)
        if x.shape[2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        x = self.last(self.body(self.stem(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
