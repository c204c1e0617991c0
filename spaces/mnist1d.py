"""A small convolutional network for MNIST-1D together with its learning rate: a conditional space.

Each of its 1,064 decisions was trained; the table is in `benchmarks/quality/mnist1d`.
"""

from torch import Tensor, nn


class Conv(nn.Module):
    """Convolution, normalisation and activation, with a shortcut around them if asked for.

    Args:
        channels: of the input.
        width: channels of the output; with a shortcut the same number.
        kernel: odd length of the kernel.
        shortcut: whether the input is added to the output.
    """

    def __init__(self, channels: int, width: int, kernel: int, shortcut: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, width, kernel, padding=kernel // 2), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (examples, channels, length) to (examples, width, length)."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


class Net(nn.Module):
    """A stem that halves the length, one to three blocks that convolve or pool, and a linear classifier.

    Args:
        classes: number of classes.
        width: channels after the stem. Pooling halves the length and doubles the channels of what follows.
        length: length of the signals, of one channel.
    """

    def __init__(self, classes: int = 10, width: int = 8, length: int = 40) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv1d(1, width, 5, stride=2, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
        ]
        channels, length = width, length // 2
        for block in range(2):  # search: 1..3
            kind = "conv"  # search: {"conv", "pool"}
            if kind == "pool":
                layers.append(nn.MaxPool1d(2))
                width, length = 2 * width, length // 2
            else:
                kernel = 3  # search: {3, 7}
                shortcut = False
                if channels == width:
                    shortcut = False  # search: {False, True}
                layers.append(Conv(channels, width, kernel, shortcut))
                channels = width
        self.features = nn.Sequential(*layers)
        drop = nn.Identity()  # search: {nn.Identity(), nn.Dropout(0.1..0.5 step 0.2)}
        self.head = nn.Sequential(drop, nn.Linear(channels * length, classes))
        self.learning_rate = 0.01  # search: {0.01, 0.05}

    def forward(self, x: Tensor) -> Tensor:
        """Map signals (examples, 1, length) to logits (examples, classes)."""
        logits: Tensor = self.head(self.features(x).flatten(1))
        return logits
