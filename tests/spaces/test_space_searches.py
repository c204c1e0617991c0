"""One small search of each kind under shared weights or relaxed, on the space that it was published with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_spaces import SPACES, a_ring, small
from torch.nn import functional
from torch.utils.data import DataLoader

import symnas
from symnas.algorithms import ENAS, TAS, Proxyless

pytestmark = pytest.mark.slow


def task(side: int, classes: int, examples: int = 8, **changes: Any) -> symnas.Task:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(examples, 3, side, side, generator=generator)
    data = images, torch.arange(examples) % classes
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 4, "device": "cpu"} | changes
    if "steps" in settings:
        del settings["epochs"]
    return symnas.Task(train=data, valid=data, loss=functional.cross_entropy, **settings)


def program(name: str, side: int, **changes: Any) -> symnas.Program:
    target, arguments, _ = SPACES[name]
    made: symnas.Program = symnas.program(
        f"symnas.spaces.{target}", inputs=torch.rand(2, 3, side, side), **{**arguments, **changes}
    )
    return made


def test_tas_relaxes_the_widths_of_a_resnet_with_projected_shortcuts() -> None:
    made = program("slimmable_resnet", 8, channels=10, projected=True)
    shares = made.space.select("net.**")
    made.space = made.space.restrict({address: [0.3, 0.6, 1.0] for address in shares})
    depths = dict.fromkeys(made.space.select("stage[*].depth"), 1)
    assert len(depths) == 3
    network = made.relaxed(freeze=depths, interpolate=True)  # which checks that one-hot mixes are children
    # The stem and two convolutions in each of three blocks.
    assert {point.kind for point in network.points} == {"size"}
    assert len(network.points) == 7
    network(torch.rand(2, 3, 8, 8)).square().mean().backward()
    slopes = [logits.grad for logits in network.logits.values()]
    assert all(slope is not None and slope.abs().sum() > 0 for slope in slopes)
    made.space = made.space.restrict({address: [1] for address in depths})
    study = symnas.search(made, task(8, 4), algorithm=TAS(epochs=1, batch_size=4), seed=0, progress=False)
    chosen = study.best.decision
    assert {address: chosen[address] for address in depths} == depths
    assert all(chosen[address] in (0.3, 0.6, 1.0) for address in network.logits)


def test_proxyless_searches_its_space() -> None:
    made = program("proxyless", 32, scale=0.125, layers=2)
    algorithm = Proxyless(epochs=1, batch_size=4, held_out=0.5)
    study = symnas.search(made, task(32, 4), algorithm=algorithm, seed=0, progress=False)
    assert len(study.trials) == 1
    assert made.space.decision(dict(study.best.decision.items())) == study.best.decision


def narrowed(made: symnas.Program, free: dict[str, list[Any]]) -> symnas.Program:
    """Leave some choices among few values, and the defaults of all others."""
    fixed = {address: [made.space[address].default] for address in made.space.addresses}
    made.space = made.space.restrict({**fixed, **free})
    return made


def test_once_for_all_shrinks_progressively() -> None:
    at = "stage[0].block"
    free = {"resolution": [128], at: [2, 3], f"{at}[0].kernel": [3, 5, 7], f"{at}[1].expand": [3, 6]}
    made = narrowed(program("once_for_all", 32, scale=0.125), free)
    shared = symnas.SharedWeights(task(32, 4, steps=4), policy="progressive", recalibrate=1)
    study = symnas.search(made, shared, algorithm="random", trials=2, seed=0, progress=False)
    assert all(torch.tensor(trial.metrics["loss"]).isfinite() for trial in study.trials)


def test_a_vision_transformer_trains_by_sandwich() -> None:
    free = {"layer": [12, 13], "embed": [192, 216], "layer[0].heads": [3, 4], "layer[1].ratio": [3.0, 4.0]}
    made = narrowed(program("vision_transformer", 32), free)
    shared = symnas.SharedWeights(task(32, 4, steps=1), policy="sandwich", recalibrate=0)
    study = symnas.search(made, shared, algorithm="random", trials=2, seed=0, progress=False)
    assert all(torch.tensor(trial.metrics["loss"]).isfinite() for trial in study.trials)


def test_enas_searches_graph_networks() -> None:
    labels = torch.arange(9) % 3
    graph = DataLoader([(a_ring(), labels)], batch_size=None)  # type: ignore[arg-type]
    whole = symnas.Task(train=graph, valid=graph, loss=functional.cross_entropy, epochs=2, device="cpu")
    shared = symnas.SharedWeights(whole, alternate=4)
    study = symnas.search(
        small("graph_network"), shared, algorithm=ENAS(steps=2, batch=2), trials=6, seed=0, progress=False
    )
    assert len(study.trials) == 6
    assert study.best.metrics["loss"] == min(
        trial.metrics["loss"] for trial in study.trials if trial.fidelity == study.best.fidelity
    )
