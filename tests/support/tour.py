"""The network that the README annotates, as text."""

TOUR = """
from torch import nn

class ConvNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        width = 32                                  # search: {16, 32, 64}
        layers, channels = [], 1
        for stage in range(2):                      # search: 1..3
            for block in range(1):                  # search: 1..3
                k = 3                               # search: {1, 3, 5, 7}
                layers += [nn.Conv2d(channels, width, k, padding=k // 2), nn.BatchNorm2d(width)]
                layers += [nn.ReLU()]               # search: {nn.ReLU(), nn.GELU(), nn.SiLU()}
                channels = width
            if True:                                # search: {True, False} as pool
                layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, classes))   # search: 0.0..0.5

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))
"""
