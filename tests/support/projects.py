"""Projects of many files: what stands in each, its target, and what its source comes to."""

# ruff: noqa: E501  (texts of files in a table)

NN = "import torch\nfrom torch import nn\n"
BLOCK = (
    NN
    + """
class Block(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.fc = nn.Linear(w, w)
        self.act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}

    def forward(self, x):
        return x + self.act(self.fc(x))  # search: {x + self.act(self.fc(x)), self.fc(x)}
"""
)
PROJECTS = {}
PROJECTS["siblings"] = (
    "net.py:Net",
    {
        "parts.py": BLOCK,
        "net.py": NN
        + """from parts import Block

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Block(4)
        self.b = Block(4)

    def forward(self, x):
        return self.b(self.a(x))
""",
    },
)
PROJECTS["module_use"] = (
    "net.py:Net",
    {
        "lib/__init__.py": "",
        "lib/parts.py": BLOCK,
        "net.py": NN
        + """import lib.parts as p

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = p.Block(4)
        self.b = p.Block(4)

    def forward(self, x):
        return self.b(self.a(x))
""",
    },
)
PROJECTS["dotted"] = (
    "net.py:Net",
    {
        "lib/__init__.py": "",
        "lib/parts.py": BLOCK,
        "lib/heads.py": NN
        + "WIDTH = 8  # search: {4, 8}\nclass Head(nn.Sequential):\n    def __init__(self):\n        super().__init__(nn.Linear(4, WIDTH), nn.Linear(WIDTH, 2))\n",
        "net.py": NN
        + """import lib.parts
import lib.heads

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = lib.parts.Block(4)
        self.h = lib.heads.Head()

    def forward(self, x):
        return self.h(self.a(x))
""",
    },
)
PROJECTS["star"] = (
    "net.py:Net",
    {
        "parts.py": BLOCK + "\nDEPTH = 2  # search: 1..3\n",
        "net.py": NN
        + """from parts import *

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*[Block(4) for i in range(DEPTH)])

    def forward(self, x):
        return self.layers(x)
""",
    },
)
PROJECTS["cycle"] = (
    "app/net.py:Net",
    {
        "app/__init__.py": "from .net import Net\n",
        "app/net.py": NN
        + """from . import parts

SIZE = 4

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = parts.Block(SIZE)
        self.b = parts.make()

    def forward(self, x):
        return self.b(self.a(x))
""",
        "app/parts.py": BLOCK.replace("from torch import nn\n", "from torch import nn\nfrom . import net\n")
        + """

def make():
    k = 1  # search: {1, 2}
    return nn.Sequential(*[Block(net.SIZE) for i in range(k)])
""",
    },
)
PROJECTS["same_names"] = (
    "net.py:Net",
    {
        "a.py": BLOCK,
        "b.py": BLOCK.replace(
            "x + self.act(self.fc(x)), self.fc(x)", "x + self.act(self.fc(x)), 2 * self.fc(x)"
        ),
        "net.py": NN
        + """from a import Block
from b import Block as Other

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Block(4)
        self.b = Other(4)
        self.c = Block(4)
        self.d = Other(4)

    def forward(self, x):
        return self.d(self.c(self.b(self.a(x))))
""",
    },
)
PROJECTS["factory"] = (
    "pkg/models/net.py:Net",
    {
        "pkg/__init__.py": "",
        "pkg/models/__init__.py": "",
        "pkg/ops/__init__.py": "from .conv import Conv\nfrom .mlp import Mlp\n",
        "pkg/ops/conv.py": NN
        + """
class Conv(nn.Module):
    def __init__(self, w):
        super().__init__()
        k = 3  # search: {1, 3}
        self.c = nn.Conv1d(1, 1, k, padding=k // 2)
    def forward(self, x):
        return self.c(x[:, None])[:, 0]
""",
        "pkg/ops/mlp.py": NN
        + """
class Mlp(nn.Module):
    expand = 2  # search: {1, 2}
    def __init__(self, w):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(w, self.expand * w), nn.Linear(self.expand * w, w))
    def forward(self, x):
        return self.f(x)
""",
        "pkg/factory.py": """from . import ops
from .ops import Conv, Mlp

def make(w):
    kind = Conv  # search: {Conv, Mlp}
    return kind(w)

def other(w, cls=ops.Mlp):
    return cls(w)
""",
        "pkg/models/net.py": NN
        + """from ..factory import make, other

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([make(4) for i in range(2)])
        self.last = other(4)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.last(x)
""",
    },
)
PROJECTS["config"] = (
    "pkg/net.py:Net",
    {
        "pkg/__init__.py": "from .net import Net\nfrom .config import *\n",
        "pkg/config.py": """from dataclasses import dataclass, field

@dataclass
class Config:
    width: int = 8  # search: {4, 8}
    depth: int = 2  # search: 1..2
    drop: float = 0.0
""",
        "pkg/layers.py": NN
        + """from .config import Config
from .util import residual

class Layer(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.fc = nn.Linear(config.width, config.width)
    def forward(self, x):
        h = self.fc(x)  # search: {self.fc(x), torch.tanh(self.fc(x))}
        return residual(x, h)
""",
        "pkg/util.py": "def residual(x, h):\n    return x + h\n",
        "pkg/net.py": NN
        + """from .config import Config
from .layers import Layer

class Net(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        config = config or Config()
        self.inp = nn.Linear(4, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
    def forward(self, x):
        x = self.inp(x)
        for layer in self.layers:
            x = layer(x)
        return x
""",
    },
)
PROJECTS["inherit"] = (
    "net.py:Net",
    {
        "base.py": NN
        + """
class Base(nn.Module):
    def __init__(self, w):
        super().__init__()
        h = self.hidden(w)
        self.fc = nn.Linear(w, h)
        self.out = nn.Linear(h, w)
    def hidden(self, w):
        return w
    def forward(self, x):
        return self.mix(x, self.out(self.act(self.fc(x))))
    def act(self, x):
        return torch.relu(x)  # search: {torch.relu(x), torch.tanh(x)}
    def mix(self, x, y):
        return x + y
""",
        "net.py": NN
        + """import base as b
from base import Base as B

class Wide(B):
    def hidden(self, w):
        factor = 2  # search: {2, 3}
        return w * factor

class Other(b.Base):
    def mix(self, x, y):
        return x * y  # search: {x * y, x - y}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = Wide(4), Wide(4), Other(4)
        self.d = Other(4)
    def forward(self, x):
        return self.d(self.c(self.b(self.a(x))))
""",
    },
)
PROJECTS["lazy"] = (
    "net.py:Net",
    {
        "parts.py": BLOCK,
        "net.py": NN
        + """
class Net(nn.Module):
    def __init__(self):
        from parts import Block as B
        import parts
        super().__init__()
        self.a = B(4)
        self.b = parts.Block(4)
    def forward(self, x):
        return self.b(self.a(x))
""",
    },
)
PROJECTS["registry"] = (
    "pkg/net.py:Net",
    {
        "pkg/__init__.py": "",
        "pkg/registry.py": """TABLE = {}

def register(name):
    def add(cls):
        TABLE[name] = cls
        return cls
    return add
""",
        "pkg/ops.py": NN
        + """from .registry import register

@register("wide")
class WideOp(nn.Module):
    def __init__(self, w):
        super().__init__()
        k = 2  # search: {1, 2}
        self.f = nn.Sequential(nn.Linear(w, k * w), nn.Linear(k * w, w))
    def forward(self, x):
        return self.f(x)  # search: {self.f(x), x + self.f(x)}
""",
        "pkg/plain.py": NN
        + """from .registry import register

@register("plain")
class PlainOp(nn.Linear):
    def __init__(self, w):
        super().__init__(w, w)
""",
        "pkg/net.py": NN
        + """from .registry import TABLE
from . import ops, plain

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        name = "wide"  # search: {"wide", "plain"}
        self.a = TABLE[name](4)
        self.b = TABLE["plain"](4)
    def forward(self, x):
        return self.b(self.a(x))
""",
    },
)
