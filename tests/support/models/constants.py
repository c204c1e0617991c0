"""Hyperparameters at the top of the file and in class attributes, as scripts have them."""

from torch import nn

WIDTH = 16  # search: {8, 16, 32}
DEPTH = 2  # search: 1..4
DROPOUT = 0.1  # search: 0.0..0.5


class Encoder(nn.Module):
    kernel_size = 3  # search: {3, 5}
    activation = nn.ReLU  # search: {nn.ReLU, nn.ELU}

    def __init__(self, channels):
        super().__init__()
        layers = []
        for i in range(DEPTH):
            layers += [
                nn.Conv1d(
                    channels if i == 0 else WIDTH, WIDTH, self.kernel_size, padding=self.kernel_size // 2
                ),
                self.activation(),
            ]
            if i > 0:
                layers.append(nn.BatchNorm1d(WIDTH))  # search: {nn.BatchNorm1d(WIDTH), nn.Identity()}
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x)


class Classifier(nn.Module):
    pooling = "avg"  # search: {"avg", "max"}

    def __init__(self, channels=2, classes=3):
        super().__init__()
        self.encoder = Encoder(channels)
        self.pool = nn.AdaptiveAvgPool1d(1) if self.pooling == "avg" else nn.AdaptiveMaxPool1d(1)
        self.drop = nn.Dropout(DROPOUT)
        self.fc = nn.Linear(WIDTH, classes)

    def forward(self, x):
        return self.fc(self.drop(self.pool(self.encoder(x)).flatten(1)))
