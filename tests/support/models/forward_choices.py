"""What is computed is chosen in forward: functions, skips, orders, the number of steps."""

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(-2, -1)
        scores = scores / x.shape[-1] ** 0.5
        weights = F.softmax(
            scores, dim=-1
        )  # search: {F.softmax(scores, dim=-1), torch.sigmoid(scores)} as weighting
        return weights @ self.v(x)


class Layer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, x):
        if True:  # search: {True, False} as pre_norm
            y = self.attention(self.norm(x))
        else:
            y = self.norm(self.attention(x))
        if True:  # search: {True, False} as skip
            y = x + y
        return F.gelu(self.mix(y))  # search: {F.gelu(self.mix(y)), F.relu(self.mix(y)), self.mix(y)} as act


class Refiner(nn.Module):
    def __init__(self, dim=8, classes=4):
        super().__init__()
        self.embed = nn.Linear(5, dim)
        self.layers = nn.ModuleList(Layer(dim) for _ in range(2))
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        for step in range(1):  # search: 0..2
            x = x + 0.5 * torch.tanh(x)
        x = x.mean(1)  # search: {x.mean(1), x.amax(1), x[:, -1]} as pool
        return self.head(x)
