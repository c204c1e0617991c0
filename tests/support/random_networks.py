"""Random annotated networks: sizes, kernels, groups, heads, gates, concatenations, candidates, loops.

Every network maps (batch, 2, 6) to (batch, 3), whatever was drawn and whatever is decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

HEADER = """\
import torch
from torch import nn


def wide(c, k):
    return nn.Sequential(nn.Conv1d(c, 2 * c, k, padding=k // 2), nn.ReLU(), nn.Conv1d(2 * c, c, 1))


class Across(nn.Module):
    def __init__(self, c, heads, width):
        super().__init__()
        self.heads, self.width = heads, width
        self.qkv = nn.Linear(c, 3 * heads * width)
        self.out = nn.Linear(heads * width, c)

    def forward(self, x):
        b, c, t = x.shape
        rows = self.qkv(x.transpose(1, 2)).chunk(3, -1)
        q, k, v = (y.view(b, t, self.heads, self.width).transpose(1, 2) for y in rows)
        mixed = torch.tanh(q @ k.transpose(-2, -1)) @ v
        return self.out(mixed.transpose(1, 2).reshape(b, t, -1)).transpose(1, 2)


class Gate(nn.Module):
    def __init__(self, c, width):
        super().__init__()
        self.make = nn.Conv1d(c, 2 * width, 1)

    def forward(self, x):
        value, gate = self.make(x).chunk(2, 1)
        return value * torch.sigmoid(gate)


"""
SIZES = ["{2, 4}", "{2, 4, 6}", "{4, 6, 8}", "2..6 step 2"]
KERNELS = ["{1, 3}", "{1, 3, 5}"]
OPS = ["nn.Conv1d({c}, {c}, 3, padding=1)", "wide({c}, 3)", "nn.Identity()", "nn.AvgPool1d(3, 1, 1)",
       "nn.Sequential(nn.Conv1d({c}, {c}, 1), nn.BatchNorm1d({c}), nn.Tanh())"]  # fmt: skip


@dataclass
class Network:
    """A network being written.

    Args:
        draw: makes every choice about it.
        c: what holds the number of features so far.
    """

    draw: Any
    c: str = "2"
    count: int = 0
    build: list[str] = field(default_factory=list)
    call: list[str] = field(default_factory=list)

    def pick(self, options: list[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def size(self, options: list[str] = SIZES) -> str:
        """Write a size, chosen, tied to another or fixed; return its name."""
        self.count += 1
        name, choices = f"n{self.count}", self.pick([*options, *options, ""])
        first = choices.strip("{").split(",")[0].split("..")[0] or options[0][1]
        self.build.append(f"{name} = {first}" + (f"  # search: {choices}" if choices else ""))
        return name

    def layer(self, text: str, call: str = "x = {f}(x)") -> None:
        self.count += 1
        self.build.append(f"self.f{self.count} = {text}")
        self.call.append(call.format(f=f"self.f{self.count}"))

    def conv(self) -> None:
        width, kernel = self.size(), self.size(KERNELS) if self.draw(st.booleans()) else "3"
        # Groups that cut through what is concatenated are other groups in a narrower child.
        groups = f", groups={self.pick([1, 2])}" if self.c[0] not in "st" else ""
        self.layer(f"nn.Conv1d({self.c}, {width}, {kernel}, padding={kernel} // 2{groups})")
        self.c = width
        self.call.append(self.pick(["x = torch.relu(x)", "x = torch.tanh(x)"]))

    def norm(self) -> None:
        self.layer(f"nn.BatchNorm1d({self.c})")

    def depthwise(self) -> None:
        self.layer(f"nn.Conv1d({self.c}, {self.c}, 3, padding=1, groups={self.c})")

    def branches(self) -> None:
        left, right = self.size(), self.size()
        self.layer(f"nn.Conv1d({self.c}, {left}, 1)", "y = {f}(x)")
        self.layer(f"nn.Conv1d({self.c}, {right}, 3, padding=1)", "x = torch.cat([y, {f}(x)], 1)")
        self.count += 1
        self.build.append(f"s{self.count} = {left} + {right}")
        self.c = f"s{self.count}"

    def op(self) -> None:
        chosen = self.draw(st.lists(st.sampled_from(OPS), min_size=2, max_size=4, unique=True))
        self.count += 1
        name = f"self.f{self.count}"
        self.build += [
            f"# search: {{{', '.join(text.format(c=self.c) for text in chosen)}}}",
            f"{name} = {chosen[0].format(c=self.c)}",
        ]
        self.call.append(f"x = x + {name}(x)")

    def loop(self) -> None:
        self.count += 1
        name = f"self.f{self.count}"
        body = self.pick(["nn.Conv1d({c}, {c}, 3, padding=1)", "wide({c}, k)", "Across({c}, 2, k)"])
        self.build += [f"{name} = nn.ModuleList()", "for turn in range(2):  # search: 1..3"]
        self.build.append("    k = 3  # search: {1, 3}" if "k)" in body else "    k = 1")
        self.build += [f"    {name}.append({body.format(c=self.c)})"]
        self.call += [f"for layer in {name}:", "    x = x + torch.tanh(layer(x))"]

    def option(self) -> None:
        width = self.size()
        self.count += 1
        flag, name, total = f"o{self.count}", f"self.f{self.count}", f"t{self.count}"
        self.build += [
            f"{flag} = True  # search: {{True, False}}",
            f"{name} = nn.Conv1d({self.c}, {width}, 1) if {flag} else None",
            f"{total} = {self.c} + {width} * {flag}",
        ]
        self.call.append(f"x = x if {name} is None else torch.cat([{name}(x), x], 1)")
        self.c = total

    def across(self) -> None:
        heads, width = self.size(["{2, 4}"]), self.size(["{2, 3}", "{2, 4}"])
        self.layer(f"Across({self.c}, {heads}, {width})", "x = x + {f}(x)")

    def gate(self) -> None:
        width = self.size()
        self.layer(f"Gate({self.c}, {width})")
        self.c = width

    def text(self, blocks: list[str]) -> str:
        for block in blocks:
            getattr(self, block)()
        self.layer(f"nn.Linear({self.c}, 3)", "return {f}(x.mean(-1))")
        indent = "        "
        return (
            f"{HEADER}class Net(nn.Module):\n    def __init__(self):\n{indent}super().__init__()\n"
            + "".join(f"{indent}{line}\n" for line in self.build)
            + "\n    def forward(self, x):\n"
            + "".join(f"{indent}{line}\n" for line in self.call)
        )


BLOCKS = ["conv", "conv", "norm", "depthwise", "branches", "op", "loop", "option", "across", "gate"]


@st.composite
def network_texts(draw: Any, most: int = 5) -> str:
    """Draw a network."""
    return Network(draw).text(draw(st.lists(st.sampled_from(BLOCKS), min_size=2, max_size=most)))
