"""The project's spaces and the models of its examples, at sizes that a test can afford."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

import symnas
from symnas import Program

EXAMPLES = Path(__file__).parents[2] / "examples"


def images(side: int, colours: int = 3) -> tuple[torch.Tensor, ...]:
    return (torch.rand(2, colours, side, side, generator=torch.Generator().manual_seed(0)),)


def signals(*shape: int) -> tuple[torch.Tensor, ...]:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(0)),)


def words(high: int, *shape: int) -> tuple[torch.Tensor, ...]:
    return (torch.randint(high, shape, generator=torch.Generator().manual_seed(0)),)


def a_ring() -> tuple[torch.Tensor, ...]:
    ring = torch.arange(9)
    return *signals(9, 6), torch.stack([ring, (2 * ring + 1) % 9])


SPACES: dict[str, tuple[str, dict[str, Any], tuple[torch.Tensor, ...]]] = {
    "mnist1d": ("mnist1d:Net", {}, signals(3, 1, 40)),
    "nas_bench_201": ("nas_bench_201:NasBench201", {"channels": 4, "cells": 1}, images(8)),
    "nas_bench_graph": ("nas_bench_graph:NasBenchGraph", {"features": 6, "classes": 3, "width": 8}, a_ring()),
    "darts": ("darts:Net", {"channels": 4, "cells": 3, "none": True}, images(8)),
    "nasnet": ("nasnet:Net", {"channels": 4, "cells": 1}, images(8)),
    "enas_macro": ("enas_macro:Net", {"channels": 4, "layers": 6}, images(8)),
    "enas_micro": ("enas_micro:Net", {"channels": 4, "cells": 1}, images(8)),
    "recurrent": ("recurrent:Net", {"words": 11, "width": 6}, words(11, 3, 5)),
    "enas_recurrent": ("recurrent:EnasNet", {"words": 11, "width": 6, "nodes": 4}, words(11, 3, 5)),
    "once_for_all": ("once_for_all:OnceForAll", {"classes": 4, "scale": 0.25}, images(32)),
    "proxyless": ("proxyless:ProxylessNAS", {"classes": 4, "scale": 0.25, "layers": 2}, images(64)),
    "fbnet": ("fbnet:FBNet", {"classes": 4, "scale": 0.25, "layers": 2}, images(64)),
    "slimmable_resnet": ("slimmable_resnet:resnet20", {"classes": 4}, images(16)),
    "vision_transformer": ("vision_transformer:tiny", {"classes": 4, "image": 32}, images(32)),
    "vit_resnas": ("vit_resnas:ViTResNAS", {"classes": 4, "image": 56, "unit": 2}, images(56)),
    "language_model": (
        "language_model:LanguageModel", {"vocabulary": 11, "context": 6, "width": 2}, words(11, 2, 5)
    ),
    "graph_network": ("graph_network:GraphNetwork", {"features": 6, "classes": 3}, a_ring()),
    "mnist": (f"{EXAMPLES / 'mnist' / 'convnet.py'}:ConvNet", {}, images(28, 1)),
    "swap": (f"{EXAMPLES / 'swap' / 'net.py'}:Net", {}, images(8, 1)),
    "sharing": (f"{EXAMPLES / 'sharing' / 'net.py'}:Net", {"dims": 2, "width": 4}, images(14, 1)),
    "nested": (f"{EXAMPLES / 'nested' / 'net.py'}:Net", {}, images(8, 1)),
    "calls": (f"{EXAMPLES / 'calls' / 'mlp.py'}:MLP", {}, signals(3, 5, 16)),
}  # fmt: skip


@cache
def small(name: str) -> Program:
    """Return a program, which is surveyed once for all tests."""
    target, arguments, feed = SPACES[name]
    path = target if "/" in target else f"symnas.spaces.{target}"
    return symnas.program(path, inputs=feed, **arguments)


def feed_of(name: str) -> tuple[torch.Tensor, ...]:
    return SPACES[name][2]
