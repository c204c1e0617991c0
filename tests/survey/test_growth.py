"""Runs of a survey grow with what decides about points, not with the code between two choices.

The blocks differ in how they take a tensor apart, which says nothing about points: whatever a block's input
depends on, as many runs are needed for six of them as for two.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from symnas.programs.program import Program, program
from symnas.survey.runner import ProgramRunner
from symnas.survey.survey import Survey

BLOCK = """
import torch
from torch import nn
from torch.nn import functional as F

class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.act = nn.GELU()  # search: {nn.GELU(), nn.ReLU(), nn.SiLU()}
        self.fc = nn.Linear(d, 2 * d)
        self.scale = nn.Parameter(torch.ones(d))
    def forward(self, x):
        y = self.fc(x)
BODY
        h = self.act(a) * b
        return x + h  # search: {x + h, h}

class Net(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.blocks = nn.ModuleList([Block(8) for _ in range(depth)])
    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x
"""
BODIES = {
    "chunk": "a, b = y.chunk(2, dim=-1)",
    "split": "a, b = y.split(y.size(-1) // 2, dim=-1)",
    "unbind": "a, b = y.view(*y.shape[:-1], 2, -1).unbind(-2)",
    "sizes unpacked": "n, c = x.size()\n        a, b = y[:, :c], y[:, c:]",
    "shape asserted": "n, c = x.shape\n        assert c <= 8\n        a, b = y.view(n, 2, c).unbind(1)",
    "iterated": "a, b = y.view(-1, 2, x.size(1)).permute(1, 0, 2).contiguous()",
    "masked": "a = y[:, :8].masked_fill(y[:, :8] < 0, 0.0)\n        b = y[:, 8:].clamp(min=0).softmax(-1)",
    "new tensors": "a = y[:, :8] + x.new_zeros(x.shape)\n        b = torch.zeros_like(x).add_(y[:, 8:])",
    "parameters": "a, b = (y.view(len(x), 2, -1) * self.scale.view(1, 1, -1).expand(1, 2, -1)).unbind(1)",
    "types and devices": "a, b = y.to(x.device).type_as(x).float().chunk(2, -1)",
    "a helper": "a, b = (lambda z: z.flatten(1).tensor_split(2, 1))(y)",
}


def surveyed(folder: Path, body: str, depth: int) -> tuple[int, Survey, Program]:
    file = folder / "net.py"
    file.write_text(BLOCK.replace("BODY", f"        {body}"))
    found = program(f"{file}:Net", depth, inputs=torch.zeros(2, 8))
    survey = Survey(ProgramRunner(found))
    return survey.space().size, survey, found


@pytest.mark.parametrize("name", BODIES)
def test_blocks_of_tensor_methods_take_as_many_runs_at_any_depth(name: str, tmp_path: Path) -> None:
    few, short, _ = surveyed(tmp_path, BODIES[name], 2)
    many, long, _ = surveyed(tmp_path, BODIES[name], 6)
    assert (few, many) == (6**2, 6**6)
    assert short.runs == long.runs < 20


CALLING = """
import torch
from torch import nn

class Other:
    def chunk(self):
        return 1  # search: {1, 2, 3}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.zeros(1)  # search: {torch.zeros(1), Other()}
        self.second = 1              # search: {1, 2}
    def forward(self, x):
        holder = self.first if self.second == 2 else x
        if isinstance(holder, Other):
            holder.chunk()
        return x
"""


def test_an_object_with_a_method_of_that_name_is_still_looked_into(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(CALLING)
    assert program(f"{file}:Net", inputs=torch.zeros(1)).space.size == 3 + 3


BOUND = """
import types
import torch
from torch import nn

def plain(self):
    return 0

def own(self):
    return 1  # search: {1, 2, 3} as inside

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.function = plain  # search: {plain, own}
        self.other = 0         # search: {0, 1}
    def forward(self, x):
        y = x + self.other
        y.own = types.MethodType(self.function, y)
        y.own()
        return x
"""


def test_a_function_that_is_bound_to_a_tensor_is_looked_into(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(BOUND)
    assert program(f"{file}:Net", inputs=torch.zeros(1)).space.size == 2 * (1 + 3)


HOOK = """
import torch
from torch import nn

def seen(gradient):
    return gradient * 1  # search: {gradient * 1, gradient * 2} as scale

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.on = True  # search: {True, False}
        self.weight = nn.Parameter(torch.ones(2))
    def forward(self, x):
        values = torch.ones(2)
        if self.on:
            values.apply_(one)
        return x * values
def one(value):
    return 1.0  # search: {1.0, 2.0}
"""


def test_methods_of_tensors_that_call_functions_are_looked_into(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(HOOK)
    assert "values" not in program(f"{file}:Net", inputs=torch.zeros(2)).space.addresses


GPT = """
import math
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.heads = 2  # search: {1, 2, 4}
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.qkv(x).split(C, dim=2)
        q, k, v = (z.view(B, T, self.heads, C // self.heads).transpose(1, 2) for z in (q, k, v))
        y = (q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).contiguous().view(B, T, C))

class Layer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(d), Attention(d), nn.LayerNorm(d)
        self.mlp = nn.ModuleDict(dict(c_fc=nn.Linear(d, 4 * d), c_proj=nn.Linear(4 * d, d)))
        self.act = nn.GELU()  # search: {nn.GELU(), nn.ReLU(), nn.SiLU()}
    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        h = self.mlp.c_proj(self.act(self.mlp.c_fc(self.ln_2(x))))
        return x + h  # search: {x + h, h}

class GPT(nn.Module):
    def __init__(self, d=16, vocabulary=32, length=8):
        super().__init__()
        layers = 2  # search: 1..3
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(vocabulary, d),
            wpe=nn.Embedding(length, d),
            h=nn.ModuleList([Layer(d) for _ in range(layers)]),
            ln_f=nn.LayerNorm(d),
        ))
        self.head = nn.Linear(d, vocabulary, bias=False)
        self.apply(self._start)
        for name, parameter in self.named_parameters():
            if name.endswith("proj.weight"):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers))
    def _start(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    def forward(self, tokens):
        _, length = tokens.size()
        x = self.transformer.wte(tokens) + self.transformer.wpe(torch.arange(length))
        for block in self.transformer.h:
            x = block(x)
        return self.head(self.transformer.ln_f(x))
"""


def test_a_language_model_as_published_is_surveyed_in_few_runs(tmp_path: Path) -> None:
    """Sizes unpacked, views, a module dictionary made of `dict(…)`, `apply` and a loop over parameters."""
    file = tmp_path / "gpt.py"
    file.write_text(GPT)
    survey = Survey(ProgramRunner(program(f"{file}:GPT", inputs=torch.zeros(1, 8, dtype=torch.long))))
    assert survey.space().size == 18 + 18**2 + 18**3
    assert survey.runs < 100
