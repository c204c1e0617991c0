"""A small network with a choice of operation per block; what may vary stands in comments `# search:`."""

from torch import Tensor, nn

KINDS = {
    1: (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AdaptiveAvgPool1d),
    2: (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d),
}


class Conv(nn.Sequential):
    """Convolution, normalisation, activation; a shortcut around them."""

    def __init__(self, dims: int, width: int, kernel: int):
        conv, norm, _, _ = KINDS[dims]
        super().__init__(conv(width, width, kernel, padding=kernel // 2, bias=False), norm(width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Net(nn.Module):
    """A stem, stages of blocks at half the length of the stage before, a linear classifier.

    Args:
        dims: 1 for signals (examples, 1, length), 2 for images (examples, 1, height, width).
        stages: how many stages.
        blocks: how many blocks each has.
        width: channels.
        classes: how many classes.
    """

    def __init__(self, dims: int = 1, stages: int = 2, blocks: int = 3, width: int = 16, classes: int = 10):
        super().__init__()
        conv, norm, pool, average = KINDS[dims]
        self.stem = nn.Sequential(conv(1, width, 2, stride=2, bias=False), norm(width), nn.ReLU())
        self.stages = nn.ModuleList()
        for stage in range(stages):
            self.stages.append(nn.ModuleList())
            for block in range(blocks):
                # search: {conv3: Conv(dims, width, 3), conv7: Conv(dims, width, 7),
                #        pool: pool(3, 1, 1), none: nn.Identity()} as op
                op = Conv(dims, width, 3)
                self.stages[stage].append(op)
        self.pool = pool(2)
        self.head = nn.Sequential(norm(width), average(2), nn.Flatten(), nn.Linear(width * 2**dims, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for number, stage in enumerate(self.stages):
            if number:
                x = self.pool(x)
            for op in stage:
                x = op(x)
        return self.head(x)
