"""An ordinary convolutional network; the comments that start with `# search:` are what SymNAS reads."""

from torch import Tensor, nn


class Block(nn.Module):
    """Convolution, normalisation, activation; with a shortcut where the shapes allow it."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        k = 3  # search: {1, 3, 5}
        act = nn.ReLU()  # search: {nn.ReLU(), nn.GELU(), nn.PReLU(width), nn.Identity()}
        self.body = nn.Sequential(nn.Conv2d(channels, width, k, padding=k // 2), nn.BatchNorm2d(width), act)
        shortcut = False  # search: {True, False}
        self.shortcut = shortcut and channels == width

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return x + y if self.shortcut else y


class ConvNet(nn.Module):
    """Stages of blocks, each at half the resolution of the one before, and a linear classifier."""

    def __init__(self, classes: int = 10):
        super().__init__()
        layers, channels = [], 1
        width = 8  # search: {8, 12, 16}
        for stage in range(2):  # search: 1..3
            for block in range(1):  # search: 1..2
                layers += [Block(channels, width)]
                channels = width
            layers += [nn.MaxPool2d(2)]  # search: {nn.MaxPool2d(2), nn.AvgPool2d(2)}
            grow = 2  # search: {1, 2}
            width = width * grow
        self.features = nn.Sequential(*layers)
        bins = 2  # search: {1, 2, 3}
        self.pool = nn.AdaptiveAvgPool2d(bins)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(channels * bins**2, classes))  # search: 0.0..0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))
