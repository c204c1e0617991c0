"""The tree of decision points as one frozen object, and everything that can be done with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from symnas import decision as decisions
from symnas import mutation, sampling, serial
from symnas.activity import Activity
from symnas.batch import Batch
from symnas.decision import Decision
from symnas.errors import SpaceError, nearest
from symnas.layout import Entry, Layout
from symnas.nodes import Point, Value


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """A search space: decision points in a tree.

    Args:
        points: the points at the root, in order.
        requires: conditions that decisions must meet, as texts; size and sampling do not regard them.
    """

    points: tuple[Point, ...]
    requires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the tree as a whole: unique addresses, ties and guards that look back."""
        object.__setattr__(self, "points", tuple(self.points))
        object.__setattr__(self, "requires", tuple(self.requires))
        self.layout  # noqa: B018  compiling is what checks

    # ------------------------------------------------------------ compiled parts

    @cached_property
    def layout(self) -> Layout:
        """The tree compiled to columns."""
        return Layout(self.points)

    @cached_property
    def activity(self) -> Activity:
        """The compiled conditions under which points exist."""
        return Activity(self.layout)

    @cached_property
    def sampler(self) -> sampling.Sampler:
        """The compiled draws, uniform per point or by prior weights."""
        return sampling.Sampler(self.layout)

    @cached_property
    def mutator(self) -> mutation.Mutator:
        """The compiled mutation."""
        return mutation.Mutator(self)

    @cached_property
    def owners(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The number of the point that each column of codes, and of floats, belongs to."""
        owners = np.zeros(self.layout.columns, np.intp)
        real_owners = np.zeros(self.layout.reals, np.intp)
        for entry in self.layout.entries:
            store = real_owners if entry.shape == 2 else owners
            store[entry.column : entry.column + entry.width] = entry.number
        return owners, real_owners

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the structure (64 hex digits), the same in every process."""
        return serial.fingerprint(self.points, self.requires)

    @cached_property
    def key_seed(self) -> bytes:
        """What keeps the hashes of decisions of different spaces apart."""
        return bytes.fromhex(self.fingerprint)[:32]

    # ------------------------------------------------------------ points

    def walk(self) -> Iterator[Point]:
        """Yield every point in pre-order."""
        return (entry.point for entry in self.layout.entries)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses in pre-order."""
        return tuple(self.layout.index)

    def entry(self, address: str) -> Entry:
        """Return a point's compiled place; a `SpaceError` suggests the nearest address."""
        number = self.layout.index.get(address)
        if number is None:
            raise SpaceError(f"the space has no point {address!r}{nearest(str(address), self.layout.index)}")
        return self.layout.entries[number]

    def __getitem__(self, address: str) -> Point:
        """Return the point at an address."""
        return self.entry(address).point

    def __contains__(self, address: object) -> bool:
        """Tell whether there is a point at an address."""
        return address in self.layout.index

    def __len__(self) -> int:
        """Return the number of points, ties included."""
        return len(self.layout.entries)

    def __bool__(self) -> bool:
        """A space is a thing, even without points."""
        return True

    def __eq__(self, other: object) -> bool:
        """Compare by structure."""
        if not isinstance(other, Space):
            return NotImplemented
        return self is other or self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        """Hash by structure."""
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        """Show how many points there are."""
        return f"<Space of {len(self)} points>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as points and requirements; compiled parts are made again."""
        return Space, (self.points, self.requires)

    # ------------------------------------------------------------ decisions

    @cached_property
    def default(self) -> Decision:
        """The decision in which every point has its default."""
        return decisions.build(self, {}, {})

    def decision(self, data: Mapping[str, Any]) -> Decision:
        """Return the decision that a mapping, flat or nested, stands for.

        Raises:
            DecisionError: an address is unknown, missing or absent under the others, or a value not allowed.
        """
        return decisions.build(self, serial.flatten(data))

    def validate(self, data: Mapping[str, Any]) -> None:
        """Raise a `DecisionError` unless a mapping is a complete decision of this space."""
        self.decision(data)

    def batch(self, given: Sequence[Decision]) -> Batch:
        """Collect decisions into a batch."""
        return Batch.of(self, given)

    def sample(
        self, n: int, rng: np.random.Generator, uniform: Literal["points", "space"] = "points"
    ) -> Batch:
        """Draw decisions.

        Args:
            n: how many.
            rng: the source of randomness.
            uniform: "points" draws every point uniformly over its own values, or by its prior weights;
                "space" makes all decisions equally likely, counting a real range as one value.
        """
        codes = np.empty((self.layout.columns, n), self.layout.dtype)
        reals = np.empty((self.layout.reals, n))
        for rows in sampling.chunks(self.layout, n):
            self.sampler.fill(codes[:, rows], reals[:, rows], rng)
            self.activity.mask(codes[:, rows], reals[:, rows])
        return Batch(self, codes.T, reals.T)

    def mutate(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Redraw one existing point of every decision to another value.

        What comes into being is drawn, what stays keeps its value; a decision without alternatives stays.
        """
        return mutation.mutate(self, batch, rng)

    def crossover(self, first: Batch, second: Batch, rng: np.random.Generator) -> Batch:
        """Recombine the rows of two batches by address: a fair coin per point that both parents have."""
        return mutation.crossover(self, first, second, rng)

    # ------------------------------------------------------------ plain data

    def to_json(self) -> dict[str, Any]:
        """Return the space as plain data."""
        return {
            "points": [serial.point_to_json(point) for point in self.points],
            "requires": list(self.requires),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Return the space that `to_json` wrote."""
        points = tuple(serial.point_from_json(point) for point in data["points"])
        return cls(points, tuple(data.get("requires", ())))
