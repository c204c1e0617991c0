"""Stacked cells of a differentiable search's kind: each node sums two chosen edges with chosen operations."""

import torch
from torch import nn

OPS = {
    "none": lambda c, stride: Zero(stride),
    "skip_connect": lambda c, stride: nn.Identity() if stride == 1 else nn.AvgPool2d(2),
    "avg_pool_3x3": lambda c, stride: nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False),
    "max_pool_3x3": lambda c, stride: nn.MaxPool2d(3, stride=stride, padding=1),
    "sep_conv_3x3": lambda c, stride: SepConv(c, 3, stride),
    "sep_conv_5x5": lambda c, stride: SepConv(c, 5, stride),
}


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class SepConv(nn.Module):
    def __init__(self, c, kernel, stride):
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(inplace=False),
            nn.Conv2d(c, c, kernel, stride=stride, padding=kernel // 2, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False),
            nn.BatchNorm2d(c),
        )

    def forward(self, x):
        return self.op(x)


class Cell(nn.Module):
    def __init__(self, cpp, cp, c, reduction):
        super().__init__()
        self.preprocess0 = nn.Conv2d(cpp, c, 1, bias=False)
        self.preprocess1 = nn.Conv2d(cp, c, 1, bias=False)
        self.edges = nn.ModuleList()
        self.sources = []
        inputs = [0, 1]
        for node in range(2):
            if node == 0:
                chosen = [0, 1]
            else:
                chosen = [0, 1]  # search: 2 of {0, 1, 2}
            ops = nn.ModuleDict()
            for source in chosen:
                op = "sep_conv_3x3"  # search: {"none", "skip_connect", "avg_pool_3x3", "max_pool_3x3", "sep_conv_3x3", "sep_conv_5x5"}
                stride = 2 if reduction and source < 2 else 1
                ops[str(source)] = OPS[op](c, stride)
            self.edges.append(ops)
            self.sources.append(list(chosen))
            inputs.append(node + 2)
        self.multiplier = 2

    def forward(self, s0, s1):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for ops, sources in zip(self.edges, self.sources):
            states.append(sum(ops[str(j)](states[j]) for j in sources))
        return torch.cat(states[-self.multiplier :], dim=1)


class Network(nn.Module):
    def __init__(self, c=4, num_classes=10):
        super().__init__()
        layers = 2
        self.stem = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        cpp, cp = c, c
        self.cells = nn.ModuleList()
        for i in range(layers):
            reduction = i == layers - 1
            if reduction:
                c *= 2
            cell = Cell(cpp, cp, c, reduction)
            self.cells.append(cell)
            cpp, cp = cp, cell.multiplier * c
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(cp, num_classes)

    def forward(self, x):
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.classifier(self.global_pooling(s1).flatten(1))
