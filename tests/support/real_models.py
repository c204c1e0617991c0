"""Models as users keep them in files, what they are fed, and what their spaces must be like."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import symnas

MODELS = Path(__file__).with_name("models")


def images(side: int = 16) -> tuple[torch.Tensor, ...]:
    return (torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)),)


def numbers(*shape: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(1)),)


def tokens(high: int, *shape: int) -> tuple[torch.Tensor, ...]:
    return (torch.randint(high, shape, generator=torch.Generator().manual_seed(1)),)


def a_graph() -> tuple[torch.Tensor, ...]:
    links = torch.rand(5, 5, generator=torch.Generator().manual_seed(1)) > 0.5
    return (*numbers(5, 6), (links | links.T).float())


@dataclass(frozen=True)
class Case:
    """One model file: what is built, what it is fed, and what its space must be like.

    Args:
        size: the number of decisions, counted by hand, a real range as one value.
        points: how many points there are.
        inputs: whether the program itself is given the inputs, since its forward pass holds choices.
    """

    target: str
    feed: Callable[[], tuple[torch.Tensor, ...]]
    size: int
    points: int
    inputs: bool = False


CASES = {
    "resnet": Case("resnet.py:ResNet", images, 4 * (14**3 + 39**3), 24),
    "mobilenet": Case("mobilenet.py:MobileNet", images, 6 * (27 + 2 * 27**2) * (27 + 27**2 + 27**3) ** 2, 38),
    "densenet": Case("densenet.py:DenseNet", images, 3 * 4 * 4**2 * 3 * 2, 7),
    "unet": Case("unet.py:UNet", images, 4 * (3**3 + 3**5 + 3**7), 13),
    "vit": Case("vit.py:ViT", images, 4 * ((9 + 9**2 + 9**3 + 9**4) + 9), 15),
    "gpt": Case("gpt.py:make_model", lambda: tokens(32, 2, 8), 12 * (6 + 6**2 + 6**3 + 6**4), 12),
    "tagger": Case("tagger.py:LSTMTagger", lambda: tokens(50, 2, 7), 3 * 4 * 2 * 2 * (1 + 1 + 2 + 2), 8),
    "cells": Case("cells.py:Network", images, (6**2 * 3 * 6**2) ** 2, 12),
    "graph_net": Case(
        "graph_net.py:GCN", a_graph, 18 * (2 * 2 + 2**2 * 2**2 * 2 + 2**3 * 2**3 * 2**2), 12, inputs=True
    ),
    "gan": Case("gan.py:GAN", lambda: numbers(3, 8), (3 * 3 * 2 * 3) ** 2, 10),
    "config_mlp": Case("config_mlp.py:MLP", lambda: numbers(3, 10), 24 * (4 + 3**3 + 3**2 + 3**4 + 3**3), 10),
    "forward_choices": Case(
        "forward_choices.py:Refiner", lambda: numbers(2, 3, 5), (2 * 2 * 2 * 3) ** 2 * 3 * 3, 10, inputs=True
    ),
    "constants": Case("constants.py:Classifier", lambda: numbers(2, 2, 9), 3 * 8 * (1 + 2 + 4 + 8), 9),
    "tree": Case("tree.py:SoftTree", lambda: numbers(3, 6), 1 + 3 + 3**3 + 3**7, 8),
    "factories": Case("factories.py:build_backbone", images, 4 * 3 * 2 * 3**5, 9),
    "mixins": Case("mixins.py:Net", lambda: numbers(3, 4), 8 * (8 + 2 + 1), 8),
}

# These take seconds each to survey.
BIG = {"densenet", "gpt", "graph_net", "mobilenet"}
each_case = [pytest.param(name, marks=pytest.mark.slow if name in BIG else ()) for name in CASES]


@functools.cache
def program_of(name: str) -> Any:
    case = CASES[name]
    return symnas.program(f"{MODELS / case.target}", inputs=case.feed if case.inputs else None)
