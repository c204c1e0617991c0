"""The first two laws of shared weights on random networks, and on the project's own models and spaces."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from random_networks import network_texts
from supernets import difference, law

import symnas
from symnas.supernet.supernet import Supernet
from symnas.tree.choices import IntRange, OneOf

NUMBERS = itertools.count()
X = torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DECISIONS = 4


def made(folder: Path, text: str) -> Supernet:
    path = folder / f"random{next(NUMBERS)}.py"
    path.write_text(text)
    net: Supernet = symnas.program(f"{path}:Net", inputs=(X.float(),)).supernet(dtype=torch.float64)
    return net


def widest(net: Supernet, decision: Any) -> Any:
    """Return the decision with all sizes at their largest; turns of loops and candidates stay."""
    sizes = {}
    for address in decision:
        point = net.program.space[address]
        numeric = isinstance(point, IntRange) or (
            isinstance(point, OneOf) and all(type(value) is int for value in point.values())
        )
        if numeric and not address.startswith("turn"):
            sizes[address] = max(point.values())
    return decision.replace(sizes)


def both_laws(net: Supernet, seed: int) -> None:
    assert not {note for note in net.notes if "one by one" not in note}, net.notes
    for turn, decision in enumerate(net.program.space.sample(DECISIONS, np.random.default_rng(seed))):
        law(net, decision, (X,), training=bool(turn % 2))
    for decision in net.program.space.sample(DECISIONS, np.random.default_rng(seed)):
        wide = widest(net, decision)
        assert {*wide} == {*decision}
        assert difference(net, decision, wide, (X,)) < 1e-6, dict(decision)


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=network_texts(4))
def test_random_networks_obey_both_laws(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    both_laws(made(tmp_path_factory.getbasetemp(), text), 0)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=network_texts(7))
def test_larger_random_networks_obey_both_laws(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    both_laws(made(tmp_path_factory.getbasetemp(), text), 1)
