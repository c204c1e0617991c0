"""A small convolutional network for images of 8 x 8 pixels, with its choices in comments."""

from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self, classes: int = 10):
        super().__init__()
        width = 16  # search: {8, 16, 32}
        layers, channels = [], 1
        for block in range(2):  # search: 1..3
            kernel = 3  # search: {1, 3, 5}
            layers += [nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width)]
            layers += [nn.ReLU()]
            channels = width
        if True:  # search: {True, False} as pool
            layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))
