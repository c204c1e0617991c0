"""Graph convolutions in plain torch: aggregation, normalisation and readout chosen; some of it in forward."""

import torch
import torch.nn.functional as F
from torch import nn


def normalised(adjacency, how):
    adjacency = adjacency + torch.eye(adjacency.shape[-1])
    degree = adjacency.sum(-1)
    if how == "sym":
        inverse = degree.pow(-0.5)
        return inverse[:, None] * adjacency * inverse[None, :]
    return adjacency / degree[:, None]


class GraphConv(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.root = nn.Linear(
            in_features, out_features
        )  # search: {nn.Linear(in_features, out_features), None} as root

    def forward(self, x, adjacency):
        out = adjacency @ self.linear(x)
        if self.root is not None:
            out = out + self.root(x)
        return out


class GCN(nn.Module):
    def __init__(self, in_features=6, num_classes=3):
        super().__init__()
        self.norm = "sym"  # search: {"sym", "row"}
        hidden = 8  # search: 4..16 x 2
        self.convs = nn.ModuleList()
        width = in_features
        for layer in range(2):  # search: 1..3
            self.convs.append(GraphConv(width, hidden))
            width = hidden
        readout = "mean"  # search: {"mean", "max", "both"}
        self.readout = readout
        self.head = nn.Linear(2 * width if readout == "both" else width, num_classes)

    def forward(self, x, adjacency):
        a = normalised(adjacency, self.norm)
        for conv in self.convs:
            y = F.relu(conv(x, a))  # search: {F.relu(conv(x, a)), torch.tanh(conv(x, a))} as act
            if x.shape == y.shape:
                y = x + y  # search: {x + y, y} as skip
            x = y
        if self.readout == "both":
            pooled = torch.cat([x.mean(0), x.amax(0)])
        else:
            pooled = x.mean(0) if self.readout == "mean" else x.amax(0)
        return self.head(pooled)
