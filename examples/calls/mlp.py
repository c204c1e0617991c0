"""The other spelling: choices are calls. Used by itself, the class builds its default."""

import torch
from torch import Tensor, nn

from symnas import floatv, intv, manyof, oneof


class MLP(nn.Module):
    """A perceptron over chosen summaries of its input."""

    def __init__(self, features: int = 16, classes: int = 4):
        super().__init__()
        self.summaries = manyof((1, 3), ["mean", "amax", "std"], default=["mean", "std"])
        layers: list[nn.Module] = []
        width = features * len(self.summaries)
        for _layer in range(intv(1, 3, default=2)):
            hidden = oneof([16, 32, 64], default=32)
            layers += [nn.Linear(width, hidden), oneof([nn.ReLU, nn.GELU, nn.Tanh])()]
            width = hidden
        rate = floatv(0.0, 0.5, default=0.1)
        self.body = nn.Sequential(*layers, nn.Dropout(rate), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Classify sequences of shape (batch, time, features)."""
        parts = [getattr(x, name)(dim=1) for name in self.summaries]
        return self.body(torch.cat(parts, dim=-1))
