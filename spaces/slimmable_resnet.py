"""ResNets for CIFAR with a width per convolution and a depth per stage (TAS, Dong & Yang 2019).

Each convolution has 30 to 100 per cent of its channels, and each stage its first few blocks. The defaults
are the networks that are pruned, ResNet-20, 32 and 56 (He et al. 2016), with convolutions where shortcuts
change the size, as in the paper's code.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def conv(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution of kernel 3 and its normalisation."""
    return nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))


def shortcut(channels: int, width: int, stride: int, projected: bool) -> nn.Module:
    """Return what brings a block's input to the size of its output."""
    if stride == 2:
        return nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, width, 1, bias=False))
    if channels == width and not projected:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


class Block(nn.Module):
    """Two convolutions and a shortcut around them.

    Args:
        channels: of the input.
        inner: channels between the convolutions.
        width: channels of the output.
        stride: of the first convolution, 1 or 2.
        projected: whether the shortcut has a convolution even where the size stays.
    """

    def __init__(self, channels: int, inner: int, width: int, stride: int, projected: bool = False) -> None:
        super().__init__()
        self.first, self.second = conv(channels, inner, stride), conv(inner, width)
        self.shortcut = shortcut(channels, width, stride, projected)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, width, height / stride, width / stride)."""
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class SlimResNet(nn.Module):
    """The whole network.

    Args:
        depths: blocks of each stage.
        classes: 10 for CIFAR-10, 100 for CIFAR-100.
        channels: of the stem and the first stage; each later stage has twice those of the one before.
        projected: whether all shortcuts have convolutions, so that the layers do not depend on the widths.
    """

    def __init__(
        self, depths: list[int], classes: int = 10, channels: int = 16, projected: bool = False
    ) -> None:
        super().__init__()
        share = 1.0  # search: {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}
        c = int(share * channels)
        self.stem = conv(3, c)
        blocks: list[nn.Module] = []
        for stage, depth in enumerate(depths):
            full = channels * 2**stage
            for block in range(depth):
                inner = 1.0  # search: {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}
                outer = 1.0  # search: {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(c, int(inner * full), int(outer * full), stride, projected))
                c = int(outer * full)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(c, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) to logits (batch, classes)."""
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


def resnet20(classes: int = 10, channels: int = 16, projected: bool = False) -> SlimResNet:
    """Return a network of three stages of up to 3 blocks; by default ResNet-20."""
    depths = []
    for stage in range(3):
        depth = 3  # search: 1..3
        depths.append(depth)
    net = SlimResNet(depths, classes, channels, projected)
    return net


def resnet32(classes: int = 10, channels: int = 16, projected: bool = False) -> SlimResNet:
    """Return a network of three stages of up to 5 blocks; by default ResNet-32."""
    depths = []
    for stage in range(3):
        depth = 5  # search: {1, 3, 5}
        depths.append(depth)
    net = SlimResNet(depths, classes, channels, projected)
    return net


def resnet56(classes: int = 10, channels: int = 16, projected: bool = False) -> SlimResNet:
    """Return a network of three stages of up to 9 blocks; by default ResNet-56."""
    depths = []
    for stage in range(3):
        depth = 9  # search: {1, 3, 5, 7, 9}
        depths.append(depth)
    net = SlimResNet(depths, classes, channels, projected)
    return net
