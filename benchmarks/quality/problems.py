"""The problems of the benchmark, and which of them settings may be chosen on."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.quality import synthetic, tables
from benchmarks.quality.mnist1d import table as mnist1d
from benchmarks.quality.problem import Problem

BUDGET = 500
BUDGETS = (25, 50, 100, 200, 500)

REPORT = ("nb201-cifar10", "nb201-cifar100", "nb201-imagenet", "mnist1d")
TUNING = ("graph-cora", "graph-arxiv", "graph-proteins")
SYNTHETIC = tuple(synthetic.names())
ABLATED = (*TUNING, "blocks-noisy")

TITLES: Mapping[str, str] = {
    "nb201-cifar10": "NAS-Bench-201, CIFAR-10",
    "nb201-cifar100": "NAS-Bench-201, CIFAR-100",
    "nb201-imagenet": "NAS-Bench-201, ImageNet16-120",
    "mnist1d": "MNIST-1D, conditional and noisy",
    "graph-cora": "NAS-Bench-Graph, Cora",
    "graph-arxiv": "NAS-Bench-Graph, Arxiv",
    "graph-proteins": "NAS-Bench-Graph, Proteins",
    "branin": "Branin",
    "hartmann6": "Hartmann-6",
    "ackley-log": "Ackley, logarithmic",
    "mixed": "mixed: rate, width, depth, choices",
    "blocks": "conditional blocks",
    "blocks-noisy": "conditional blocks, noisy",
    "order": "order of eight",
    "subset": "3 to 6 of 16",
}

PROBLEMS: tuple[str, ...] = tuple(
    name for name in (*REPORT, *TUNING, *SYNTHETIC) if name != "mnist1d" or mnist1d.TABLE.exists()
)
"""All names, the more telling ones first."""


SEEDS: Mapping[str, int] = {name: 10 if name in SYNTHETIC else 30 for name in PROBLEMS}
"""How many searches each method is given on a problem."""

VARIED = 5
"""How many searches each variant of ours is given."""


def get(name: str) -> Problem:
    """Return a problem by name."""
    if name == "mnist1d":
        return mnist1d.table()
    return synthetic.synthetic(name) if name in SYNTHETIC else tables.table(name)
