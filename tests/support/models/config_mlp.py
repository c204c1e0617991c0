"""A perceptron driven by a dictionary; widths shrink in a `while`."""

from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "prelu": nn.PReLU}
NORMS = {"none": None, "layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


def default_config():
    return {
        "width": 64,  # search: {32, 64}
        "floor": 16,  # search: {8, 16}
        "activation": "relu",  # search: {"relu", "gelu", "tanh", "prelu"}
        "norm": "none",  # search: {"none", "layer", "batch"}
        "residual": False,  # search: {True, False}
        "dropout": {"use": False, "rate": 0.1},  # search: use in {True, False}
    }


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class MLP(nn.Module):
    def __init__(self, in_features=10, num_classes=3, config=None):
        super().__init__()
        cfg = {**default_config(), **(config or {})}
        act = ACTIVATIONS[cfg["activation"]]
        norm = NORMS.get(cfg["norm"])
        layers = []
        size, width = in_features, cfg["width"]
        while width >= cfg["floor"]:
            layers.append(nn.Linear(size, width))
            if norm is not None:
                layers.append(norm(width))
            layers.append(act())
            if cfg["residual"]:
                factor = 2  # search: 1..3
                layers.append(
                    Residual(
                        nn.Sequential(
                            nn.Linear(width, factor * width), act(), nn.Linear(factor * width, width)
                        )
                    )
                )
            if cfg["dropout"]["use"]:
                layers.append(nn.Dropout(cfg["dropout"]["rate"]))
            size = width
            width //= 2
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(size, num_classes)

    def forward(self, x):
        return self.head(self.body(x))
