# ruff: noqa: E501
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from symnas.grammar import format_domain, parse_module

SOURCES = {
    "short": """
from torch import nn
DEPTH = 3      # search: {1, 2,
               #          3}
def f(a, k = 3):  # search: {1, 3}
    return a
class A:
    width = 32   #search: {16, 32}
    # search: {'a', "b"}
    mode = 'a'
    def f(self, x):
        # search: {nn.ReLU(), nn.GELU()}
        act = nn.ReLU()
        for i in range( 3 ):    # search: 1..6
            x = act(x) ; k = 5   # search: {3, 5}
        if True:      # search: {True, False} as pool
            x = x[1 : 2]
        elif False :  # search: {True, False} as unpool
            pass
        return x
""",
    "too long for one line": """
from torch import nn
class Net(nn.Module):
    def __init__(self, width = 32, classes = 10, dropout_probability = 0.1):  # search: dropout_probability in 0.0..0.5
        super().__init__()
        self.head_of_the_network = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, classes), nn.Softmax(dim = -1))  # search: 0.0..0.5 as rate
        self.convolution = nn.Conv2d(width, width * 2, kernel_size = 3, padding = 1, stride = 2)  # search: kernel_size in {3, 5, 7}
        self.layers = [nn.Conv2d(width, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3)]  # search: {nn.ReLU(), nn.GELU(),
                                                                                   #          nn.SiLU()}
        self.blocks = nn.ModuleList([nn.Linear(width_of_this_block, width_of_this_block) for _ in range(4)])  # search: 1..8
""",
    "over several lines": """
from torch import nn
net = nn.Sequential(
    nn.Conv2d(c, 16, kernel_size=3),   # search: {3, 5}
    nn.ReLU(),    # search: {nn.ReLU(),
                  #          nn.GELU()}
    # search: {nn.ReLU(), nn.SiLU()}
    nn.ReLU(),
    nn.Dropout(0.1)   # search: 0.0..0.5
    )
sizes = [
    1, 2,
    3]   # search: {[1, 2, 3], [4, 5]}
value = (
    16
    )   # search: {16, 32}
call = f(
    a, (3,
    ), b
    )   # search: {(3,), (5,)}
""",
    "collapsible": """
def f(
    a, b=3
):  # search: {1, 3}
    x = g(
        a, 5 + b
    )  # search: {g(a, 5 + b), a}
    return [
        x
    ]  # search: {x, a}
""",
}


def facts(source: str) -> list[tuple[object, ...]]:
    parsed = parse_module(source, "m.py")
    assert [str(error) for error in parsed.errors] == []
    return [
        (ast.unparse(a.node), format_domain(a.domain), a.role, a.default, a.name, a.target, a.scope)
        for a in parsed.annotations
    ]


def formatted(tool: str, source: str, path: Path, width: int) -> str:
    path.write_text(source, encoding="utf-8")
    commands = {
        "ruff": ["ruff", "format", "--isolated", "--no-cache", "--line-length", str(width), str(path)],
        "black": [
            "black",
            "--quiet",
            "--config",
            str(path.with_name("none.toml")),
            "--line-length",
            str(width),
            str(path),
        ],
    }
    path.with_name("none.toml").write_text("")
    subprocess.run([sys.executable, "-m", *commands[tool]], check=True, capture_output=True, timeout=120)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 88, 140])
@pytest.mark.parametrize("tool", ["ruff", "black"])
@pytest.mark.parametrize("name", SOURCES)
def test_annotations_survive_formatting(name: str, tool: str, width: int, tmp_path: Path) -> None:
    source = SOURCES[name]
    after = formatted(tool, source, tmp_path / "model.py", width)
    if tool == "black":
        # Labels are texts: quotes inside comments are never touched, so nothing else may change either.
        assert after != source
    assert facts(after) == facts(source)
