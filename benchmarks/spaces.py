"""The four spaces on which trees are compared, in SymNAS and in its peers."""

from __future__ import annotations

from symnas.tree.choices import Branch, FloatRange, IntRange, ManyOf, OneOf, Point
from symnas.tree.space import Space

OPS_201 = ("none", "skip", "conv1x1", "conv3x3", "pool")
OPS_DARTS = ("none", "max3", "avg3", "skip", "sep3", "sep5", "dil3", "dil5")
DEPTH = 8
FILTERS, KERNELS, ACTIVATIONS = (16, 32, 64, 128), (1, 3, 5), ("relu", "gelu", "silu")


def one_of_grid() -> Space:
    """S1: 20 one-of points with 5 candidates each."""
    return Space(tuple(OneOf(f"x{i}", (0, 1, 2, 3, 4)) for i in range(20)))


def _block(turn: int) -> tuple[Point, ...]:
    at = f"block[{turn}]"
    rate = FloatRange(f"{at}.dropout.rate", 0.0, 0.5)
    return (
        OneOf(f"{at}.filters", FILTERS),
        OneOf(f"{at}.kernel", KERNELS),
        OneOf(f"{at}.norm", (True, False)),
        OneOf(f"{at}.act", ACTIVATIONS),
        OneOf(f"{at}.dropout", (False, True), branches=(Branch((1,), (rate,)),)),
    )


def conditional_blocks() -> Space:
    """S2: 1 to 8 blocks of filters, kernel, norm, activation, and a dropout rate where there is dropout."""
    turns = tuple(Branch(range(turn, DEPTH), _block(turn)) for turn in range(DEPTH))
    return Space((IntRange("block", 1, DEPTH, branches=turns),))


def nas_bench_201() -> Space:
    """S3: 6 edges with 5 operations each."""
    return Space(tuple(OneOf(f"edge[{i}].op", OPS_201) for i in range(6)))


def darts() -> Space:
    """S4: 2 cells of 4 nodes that take 2 of 2 to 5 inputs, an operation on each."""
    points = []
    for cell in ("normal", "reduce"):
        for node in range(4):
            at = f"{cell}.node[{node}].inputs"
            labels = tuple(range(node + 2))
            below = tuple(Branch((i,), (OneOf(f"{at}[{i}].op", OPS_DARTS),)) for i in labels)
            points.append(ManyOf(at, labels, 2, 2, branches=below))
    return Space(tuple(points))


SPACES = {"S1": one_of_grid, "S2": conditional_blocks, "S3": nas_bench_201, "S4": darts}
