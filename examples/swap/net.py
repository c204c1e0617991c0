"""A small convolutional network; the comments that start with `# search:` are what SymNAS reads."""

from torch import Tensor, nn


class Net(nn.Module):
    """Stages of convolution, normalisation, activation and pooling, then a classifier."""

    def __init__(self, classes: int = 10):
        super().__init__()
        layers, channels = [], 1
        width = 8  # search: {4, 8, 12, 16}
        for stage in range(2):  # search: 1..3
            k = 3  # search: {1, 3, 5}
            layers += [nn.Conv2d(channels, width, k, padding=k // 2)]
            layers += [
                nn.BatchNorm2d(width)
            ]  # search: {nn.BatchNorm2d(width), nn.GroupNorm(2, width), nn.Identity()}
            layers += [nn.ReLU()]  # search: {nn.ReLU(), nn.GELU(), nn.Tanh()}
            layers += [nn.MaxPool2d(2)]  # search: {nn.MaxPool2d(2), nn.AvgPool2d(2)}
            channels = width
        bins = 1  # search: {1, 2, 3}
        layers += [nn.AdaptiveAvgPool2d(bins), nn.Flatten(), nn.Dropout(0.1)]
        features = channels * bins**2
        if False:  # search: {True, False}
            hidden = 32  # search: 16..64 x 2
            layers += [nn.Linear(features, hidden), nn.ReLU()]
            features = hidden
        self.body = nn.Sequential(*layers, nn.Linear(features, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)
