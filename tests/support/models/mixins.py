"""Mixins with cooperative `super().__init__()`; the same class built in several places."""

import torch
from torch import nn


class NormMixin:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.norm = nn.LayerNorm(self.dim)  # search: {nn.LayerNorm(self.dim), nn.Identity()}


class DropMixin:
    drop_rate = 0.1

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        use = True  # search: {True, False} as use_drop
        self.drop = nn.Dropout(self.drop_rate) if use else None


class Base(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.build()

    @classmethod
    def sized(cls, dim):
        return cls(dim)

    def build(self):
        raise NotImplementedError

    def post(self, x):
        return x


class Gated(NormMixin, DropMixin, Base):
    def build(self):
        hidden = 8  # search: {8, 16}
        self.a = nn.Linear(self.dim, hidden)
        self.b = nn.Linear(self.dim, hidden)
        self.out = nn.Linear(hidden, self.dim)

    def forward(self, x):
        y = self.out(torch.sigmoid(self.a(x)) * self.b(x))
        if self.drop is not None:
            y = self.drop(y)
        return self.norm(x + y)


class Plain(NormMixin, Base):
    def build(self):
        self.fc = nn.Linear(self.dim, self.dim)

    def forward(self, x):
        return self.norm(torch.relu(self.fc(x)))


class Net(nn.Module):
    def __init__(self, features=4, classes=2):
        super().__init__()
        dim = 8
        self.embed = nn.Linear(features, dim)
        self.first = Gated.sized(dim)
        self.second = Gated(dim)  # search: {Gated(dim), Plain(dim), nn.Identity()}
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        return self.head(self.second(self.first(self.embed(x))))
