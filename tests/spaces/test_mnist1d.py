"""The model for MNIST-1D: its space counted by hand, its children against plain PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symnas
import symnas.spaces
from symnas import Decision, Program

FILE = Path(symnas.spaces.__path__[0]) / "mnist1d.py"
SIGNALS = torch.linspace(-2, 2, 2 * 40).reshape(2, 1, 40)
Block = tuple[int, bool] | None  # kernel and shortcut, or a pooling


@cache
def program() -> Program:
    return symnas.program(f"{FILE}:Net")


def stacks(depth: int, same: bool = True) -> Iterator[tuple[Block, ...]]:
    """List the blocks by hand: a shortcut needs as many channels as it adds to, so none follows a pooling."""
    if not depth:
        yield ()
        return
    shortcuts = (False, True) if same else (False,)
    for kernel, shortcut in itertools.product((3, 7), shortcuts):
        for rest in stacks(depth - 1, True):
            yield ((kernel, shortcut), *rest)
    for rest in stacks(depth - 1, False):
        yield (None, *rest)


def blocks(decision: Decision) -> tuple[Block, ...]:
    """Return a decision's blocks in the form of `stacks`."""
    found: list[Block] = []
    for turn in range(int(str(decision["block"]))):
        at = f"block[{turn}]"
        if decision[f"{at}.kind"] == "pool":
            found.append(None)
        else:
            found.append((int(str(decision[f"{at}.kernel"])), decision.get(f"{at}.shortcut", False) is True))
    return tuple(found)


def by_hand(stack: tuple[Block, ...], rate: float | None) -> nn.Module:
    """Build the network without SymNAS, out of layers alone."""

    class Around(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    def conv(channels: int, width: int, kernel: int) -> nn.Sequential:
        layer = nn.Conv1d(channels, width, kernel, padding="same")
        return nn.Sequential(layer, nn.BatchNorm1d(width), nn.ReLU())

    channels = width = 8
    length = 20
    layers = [nn.Conv1d(1, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU()]
    for block in stack:
        if block is None:
            layers.append(nn.MaxPool1d(2))
            width, length = width * 2, length // 2
        else:
            body = conv(channels, width, block[0])
            layers.append(Around(body) if block[1] else body)
            channels = width
    dropout = [] if rate is None else [nn.Dropout(rate)]
    return nn.Sequential(*layers, nn.Flatten(), *dropout, nn.Linear(channels * length, 10))


def test_the_space_is_the_one_counted_by_hand() -> None:
    listed = {
        (stack, rate, speed)
        for depth in (1, 2, 3)
        for stack in stacks(depth)
        for rate in (None, 0.1, 0.3, 0.5)
        for speed in (0.01, 0.05)
    }
    space = program().space
    found = [
        (blocks(decision), decision.get("drop:Dropout.p"), decision["learning_rate"])
        for decision in space.enumerate()
    ]
    assert len(found) == len(set(found)) == space.size == 1064
    assert {(stack, rate and round(float(str(rate)), 9), speed) for stack, rate, speed in found} == listed


def test_a_shortcut_exists_only_where_shapes_allow_it() -> None:
    space = program().space
    after_pooling = space.decision(
        {"block": 2, "block[0].kind": "pool", "block[1].kind": "conv", "block[1].kernel": 3}
        | {"drop": "Identity", "learning_rate": 0.01}
    )
    assert not after_pooling.is_active("block[1].shortcut")
    assert after_pooling.replace({"block[0].kind": "conv"}).is_active("block[1].shortcut")


def test_every_structure_computes_what_plain_layers_compute() -> None:
    for depth in (1, 2, 3):
        for stack in stacks(depth):
            child = built(stack, 0.3 if len(stack) == 2 else None)
            plain = by_hand(stack, 0.3 if len(stack) == 2 else None)
            mine, theirs = list(child.parameters()), list(plain.parameters())
            assert [p.shape for p in mine] == [p.shape for p in theirs]
            with torch.no_grad():
                for one, other in zip(theirs, mine, strict=True):
                    one.copy_(other)
                torch.testing.assert_close(child.eval()(SIGNALS), plain.eval()(SIGNALS))


def built(stack: tuple[Block, ...], rate: float | None) -> nn.Module:
    values: dict[str, Any] = {"block": len(stack), "learning_rate": 0.05}
    for turn, block in enumerate(stack):
        values[f"block[{turn}].kind"] = "pool" if block is None else "conv"
        if block is not None:
            values[f"block[{turn}].kernel"] = block[0]
            # Right behind a pooling, and only there, the channels change.
            if turn == 0 or stack[turn - 1] is not None:
                values[f"block[{turn}].shortcut"] = block[1]
    values |= {"drop": "Identity"} if rate is None else {"drop": "Dropout", "drop:Dropout.p": rate}
    child = program().build(program().space.decision(values))
    assert isinstance(child, nn.Module)
    assert child.learning_rate == 0.05
    assert rate is None or [module.p for module in child.modules() if isinstance(module, nn.Dropout)] == [
        rate
    ]
    return child


@pytest.mark.parametrize("seed", range(6))
def test_source_and_build_are_the_same_model(seed: int) -> None:
    decision = program().space.draw(np.random.default_rng(seed))
    names: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(program().source(decision), "emitted.py", "exec"), names)
    torch.manual_seed(seed)
    emitted = names["Net"]().eval()
    torch.manual_seed(seed)
    child = program().build(decision).eval()
    assert list(emitted.state_dict()) == list(child.state_dict())
    torch.testing.assert_close(emitted(SIGNALS), child(SIGNALS), rtol=0, atol=0)
    assert emitted.learning_rate == child.learning_rate == decision["learning_rate"]


def test_without_symnas_the_file_is_an_ordinary_model() -> None:
    names: dict[str, Any] = {"__name__": "plain"}
    exec(compile(FILE.read_text(encoding="utf-8"), str(FILE), "exec"), names)
    assert names["Net"]()(SIGNALS).shape == (2, 10)
    assert "symnas" not in {name.split(".")[0] for name in names}
