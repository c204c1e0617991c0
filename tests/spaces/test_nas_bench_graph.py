"""The annotated graph networks of NAS-Bench-Graph against the published tables."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import symnas
from benchmarks.quality.pickles import load, packaged
from benchmarks.quality.tables import DATA_GRAPH, LINKS, OPS_PROTEINS, canonical_key, table
from symnas.spaces.nas_bench_graph import OPS, NasBenchGraph, passing

MODEL = "symnas.spaces.nas_bench_graph:NasBenchGraph"
# features, classes, width, a layer before, a layer after: what the published training used for each graph.
SHAPES = {
    "cora": (1433, 7, 256, False, True),
    "citeseer": (3703, 6, 256, False, True),
    "pubmed": (500, 3, 128, False, False),
    "cs": (6805, 15, 128, True, False),
    "photo": (745, 8, 128, False, False),
    "computers": (767, 10, 64, True, True),
    "arxiv": (128, 40, 128, False, True),
}


@pytest.fixture(scope="module")
def program() -> Any:
    return symnas.program(MODEL)


def entries(data: str) -> dict[int, dict[str, float]]:
    return load(packaged("nas_bench_graph", "nas-bench-graph", "light", f"{data}.bench"))


def parts(decision: symnas.Decision) -> tuple[list[int], list[str]]:
    link, *ops = (str(decision[address]) for address in decision.space.addresses)
    return [int(digit) for digit in link], ops


def test_every_decision_has_an_entry_and_every_entry_is_reached(program: Any) -> None:
    keys = {decision: canonical_key(*parts(decision)) for decision in program.space.enumerate()}
    without = [decision for decision, key in keys.items() if key is None]
    assert len(keys) == 9 * 9**4
    assert [set(parts(decision)[1]) for decision in without] == [{"skip"}] * 9
    assert len({*keys.values()} - {None}) == 26_206
    for data in DATA_GRAPH[:-1]:
        assert {*keys.values()} - {None} == set(entries(data))


def test_every_entry_of_proteins_is_reached_by_its_five_operations(program: Any) -> None:
    ops = dict.fromkeys(program.space.select("node[*].op"), OPS_PROTEINS)
    space = program.space.restrict(ops)
    assert table("graph-proteins").space == space
    keys = {canonical_key(*parts(decision)) for decision in space.enumerate()} - {None}
    assert keys == set(entries("proteins"))


@pytest.mark.parametrize("data", ["cora", "arxiv"])
def test_the_table_gives_each_decision_its_entry(program: Any, data: str) -> None:
    problem, published = table(f"graph-{data}"), entries(data)
    assert problem.space == program.space
    batch = problem.space.sample(2000, np.random.default_rng(1))
    for decision, shown, reported in zip(batch, problem.valid(batch), problem.test(batch), strict=True):
        key = canonical_key(*parts(decision))
        if key is not None:
            assert shown == pytest.approx(100 * published[key]["valid_perf"])
            assert reported == pytest.approx(100 * published[key]["perf"])


def test_the_network_without_operations_is_refused_and_counts_as_the_worst(program: Any) -> None:
    problem = table("graph-cora")
    empty = program.space.decision({**dict.fromkeys(program.space.addresses, "skip"), "link": "0012"})
    assert program.space.requires == ('any(op != "skip" for op in chosen)',)
    every = problem.space.batch(list(problem.space.enumerate()))
    assert problem.valid(empty) == problem.valid(every).min()


@pytest.mark.parametrize(
    "data", [data if data == "computers" else pytest.param(data, marks=pytest.mark.slow) for data in SHAPES]
)
def test_parameters_are_those_of_the_table(data: str) -> None:
    features, classes, width, before, after = SHAPES[data]
    program = symnas.program(
        MODEL, features=features, classes=classes, width=width, before=before, after=after
    )
    published = entries(data)
    for decision in program.space.sample(60, np.random.default_rng(2)):
        link, ops = parts(decision)
        key = canonical_key(link, ops)
        if key is None:
            continue
        with torch.device("meta"):
            network = program.build(decision)
        count = sum(parameter.numel() for parameter in network.parameters())
        # The ARMA layer that was used holds a matrix for further layers, of which there are none.
        assert count + ops.count("arma") * width**2 == round(1e6 * float(published[key]["para"]))


@cache
def small() -> Any:
    return symnas.program(MODEL, features=12, classes=3, width=8, after=False, dropout=0.0)


def network(link: str, ops: tuple[str, ...]) -> NasBenchGraph:
    program = small()
    addresses = program.space.addresses
    return program.build(program.space.decision(dict(zip(addresses, (link, *ops), strict=True))))


@pytest.mark.parametrize(
    ("link", "ops", "same_link", "same_ops", "nodes"),
    [
        ("0123", ("gcn", "skip", "fc", "gat"), "0123", ("skip", "gcn", "fc", "gat"), (1, 0, 2, 3)),
        ("0012", ("skip", "sage", "gin", "arma"), "0123", ("skip", "skip", "gin", "fc"), None),
        ("0001", ("fc", "skip", "skip", "cheb"), "0123", ("skip", "skip", "fc", "cheb"), (2, 0, 1, 3)),
        ("0112", ("gin", "skip", "fc", "gat"), "0122", ("skip", "gin", "gat", "fc"), (1, 0, 3, 2)),
    ],
)
def test_architectures_that_share_an_entry_compute_the_same(
    link: str,
    ops: tuple[str, ...],
    same_link: str,
    same_ops: tuple[str, ...],
    nodes: tuple[int, ...] | None,
) -> None:
    first, second = network(link, ops), network(same_link, same_ops)
    keys = [
        canonical_key([int(digit) for digit in links], chosen)
        for links, chosen in ((link, ops), (same_link, same_ops))
    ]
    if nodes is None:
        assert keys[0] != keys[1]
        return
    assert keys[0] == keys[1]
    for at, other in enumerate(nodes):
        second.ops[other].load_state_dict(first.ops[at].state_dict())
    order = [nodes[at - 1] + 1 for at in first.leaves]
    blocks = dict(zip(order, first.head.weight.detach().split(8, dim=1), strict=True))
    with torch.no_grad():
        second.head.weight.copy_(torch.cat([blocks[at] for at in second.leaves], dim=1))
        second.head.bias.copy_(first.head.bias)
    x, edges = graph()
    torch.testing.assert_close(first.train()(x, edges), second.train()(x, edges))


def graph(nodes: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    adjacency = (torch.rand(nodes, nodes, generator=generator) < 0.2).triu(1)
    edges = (adjacency | adjacency.T).nonzero().T
    return torch.randn(nodes, 12, generator=generator), edges


def dense(op: str, layer: Any, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
    """Return what an operation computes, written with dense matrices."""
    loops = adjacency + torch.eye(len(x))

    def scaled(matrix: torch.Tensor) -> torch.Tensor:
        root = matrix.sum(1).clamp(min=1).rsqrt()
        return root[:, None] * matrix * root[None, :]

    if op == "gcn":
        return scaled(loops) @ x @ layer.linear.weight.T + layer.bias
    if op == "gin":
        return layer.linear(x + adjacency @ x)
    if op == "cheb":
        return layer.constant(x) + layer.first(-scaled(adjacency) @ x)
    if op == "sage":
        mean = adjacency / adjacency.sum(1, keepdim=True).clamp(min=1)
        return layer.neighbours(mean @ x) + layer.root(x)
    if op == "graph":
        return layer.neighbours(adjacency @ x) + layer.root(x)
    if op == "arma":
        return (scaled(adjacency) @ layer.initial(x) + layer.root(x) + layer.bias).relu()
    if op == "gat":
        values = layer.linear(x).view(len(x), 4, -1).permute(1, 0, 2)
        into = (values * layer.target[:, None]).sum(-1)[:, :, None]
        out_of = (values * layer.source[:, None]).sum(-1)[:, None, :]
        scores = torch.nn.functional.leaky_relu(into + out_of, 0.2).masked_fill(loops == 0, -torch.inf)
        return (scores.softmax(-1) @ values).permute(1, 0, 2).flatten(1) + layer.bias
    return layer.linear(x) if op == "fc" else x


@pytest.mark.parametrize("op", OPS)
def test_operations_are_what_dense_matrices_give(op: str) -> None:
    torch.manual_seed(0)
    x, edges = graph()
    adjacency = torch.zeros(len(x), len(x)).index_put((edges[1], edges[0]), torch.ones(edges.shape[1]))
    layer = OPS[op](12, 8)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    torch.testing.assert_close(layer(x, edges), dense(op, layer, x, adjacency))


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    "ops", [("gat", "skip", "fc", "gcn"), ("skip", "sage", "gin", "skip"), ("skip",) * 4]
)
def test_every_way_to_link_runs_and_has_gradients(link: str, ops: tuple[str, ...]) -> None:
    x, edges = graph()
    model = network(link, ops)
    torch.nn.functional.cross_entropy(model(x, edges), torch.arange(20) % 3).backward()
    assert all(parameter.grad is not None for parameter in model.head.parameters())


def test_a_skip_without_effect_is_told_from_one_with() -> None:
    assert passing([0, 1, 1, 2], ["gcn", "skip", "fc", "gat"])[0] == [False, True, False, False]
    assert passing([0, 1, 1, 1], ["gcn", "skip", "fc", "gat"])[0] == [False, False, False, False]
    assert passing([0, 0, 0, 0], ["skip", "fc", "fc", "gat"]) == (
        [True, False, False, False],
        [True, True, False, False, False],
    )
