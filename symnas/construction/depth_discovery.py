"""Finds the numbers of a program that only say how many blocks there are, and which blocks each value adds.

A number of turns, or whether a layer is there, is a depth where each value adds modules to those of the one
before. Which modules those are is told by the places of their construction
(`symnas.construction.parameter_keys`), so it does not matter how the code is written: a loop, a recursion, an
`if`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from symnas._typing import Value
from symnas.construction.open_choices import open_run
from symnas.construction.superposition import ConstructorRun, kept_run
from symnas.errors import SymnasError
from symnas.tree.choices import FloatRange, IntRange
from symnas.tree.point import Point
from symnas.tree.ranges import LONG

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

MOST_VALUES = 64


@dataclass(frozen=True)
class Depth:
    """A point that says how many blocks there are.

    Args:
        address: of the point.
        values: from the shallowest to the deepest.
        added: for each value after the first, the places of the modules that it adds.
    """

    address: str
    values: tuple[Value, ...]
    added: tuple[frozenset[str], ...]


def find_depths(
    program: ProgramView, points: Mapping[str, Point], frozen: Mapping[str, Value]
) -> tuple[dict[str, Depth], ConstructorRun]:
    """Return the points of which each value adds modules to those of another one, by address.

    Also returns what the constructor makes with all blocks, its choices among modules open.

    Args:
        program: whose target makes a module.
        points: by address, those above others first.
        frozen: values of points that are not relaxed.
    """
    found: dict[str, Depth] = {}
    values = dict(frozen)
    base = open_run(program, values, closed=values, subsets=True)
    for address, point in points.items():
        few = 1 < point.cardinality <= MOST_VALUES and point.kind in ("oneof", "int")
        if address in values or not few or address not in base.closed:
            continue
        depth = _depth(program, point, base)
        if depth is not None:
            # There may be further points in the blocks that have come: they are looked at with all blocks.
            found[address] = depth
            values[address] = depth.values[-1]
            base = open_run(program, values, closed=values, subsets=True)
    return found, base


def _depth(program: ProgramView, point: Point, base: ConstructorRun) -> Depth | None:
    """Return what the values of a point add to each other, or None where one adds nothing or takes away.

    The most telling value comes first: most points that are no depth are found out by a single run.
    """
    # No model has that many blocks.
    if isinstance(point, IntRange | FloatRange) and point.codes > LONG:
        return None
    made = {base.closed[point.address]: base}
    options = list(point.values())
    for value in (options[-1], *options):
        if value in made:
            continue
        try:
            made[value] = kept_run(program, base.opening.under({point.address: value}))
        except SymnasError:
            return None
        if made[value].places.keys() == base.places.keys():
            return None
    # By how many modules there are: the values need be in no order, nor be numbers.
    order = sorted(options, key=lambda value: len(made[value].places))
    added = []
    for fewer, more in pairwise(order):
        small, large = _shapes(made[fewer]), _shapes(made[more])
        # Each has all modules of the one before, at the same places, with weights of the same shapes.
        if not made[fewer].places.keys() < made[more].places.keys():
            return None
        if any(large.get(key) != shape for key, shape in small.items()):
            return None
        added.append(frozenset(made[more].places.keys() - made[fewer].places.keys()))
    return Depth(point.address, tuple(order), tuple(added))


def _shapes(made: ConstructorRun) -> dict[str, torch.Size]:
    return {key: made.module.get_parameter(name).shape for name, key in made.parameters.items()}
