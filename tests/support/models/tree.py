"""A recursive model: every inner node has its own gate and two subtrees, down to a chosen depth."""

import torch
from torch import nn


class Leaf(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)


class Node(nn.Module):
    def __init__(self, dim, out, depth):
        super().__init__()
        gate = "soft"  # search: {"soft", "hard", "linear"}
        self.kind = gate
        self.gate = nn.Linear(dim, 1)
        self.left = grow(dim, out, depth - 1)
        self.right = grow(dim, out, depth - 1)

    def forward(self, x):
        p = self.gate(x)
        if self.kind == "soft":
            p = torch.sigmoid(p)
        elif self.kind == "hard":
            p = (p > 0).float()
        return p * self.left(x) + (1 - p) * self.right(x)


def grow(dim, out, depth):
    if depth == 0:
        return Leaf(dim, out)
    return Node(dim, out, depth)


class SoftTree(nn.Module):
    def __init__(self, dim=6, classes=3):
        super().__init__()
        depth = 2  # search: 0..3
        self.root = grow(dim, classes, depth)

    def forward(self, x):
        return self.root(x)
