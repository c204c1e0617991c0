"""The tree of decision points as one frozen object, and everything that can be done with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Value
from symnas.errors import SpaceError, nearest
from symnas.tree import address_patterns, mutation, restriction, sampling, serialization
from symnas.tree import decision as decisions
from symnas.tree.activity import Activity
from symnas.tree.batch import Batch
from symnas.tree.choices import Point
from symnas.tree.counting import Counter
from symnas.tree.decision import Decision
from symnas.tree.encoding import Array, Encoder, View
from symnas.tree.enumeration import enumerate_decisions
from symnas.tree.layout import REAL, Entry, Layout
from symnas.tree.neighbours import Neighbourhood
from symnas.tree.scalar_sampling import Drawer
from symnas.tree.uniform_sampling import UniformSampler

# Below this many points times rows, plain Python draws faster than arrays do.
SMALL = 256


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
    def counter(self) -> Counter:
        """The counts of every subtree, a real range counting as one value."""
        return Counter(self.layout)

    @cached_property
    def uniform_sampler(self) -> UniformSampler:
        """The compiled draws that make all decisions equally likely."""
        return UniformSampler(self.layout, self.counter)

    @cached_property
    def drawer(self) -> Drawer:
        """The compiled draw of a single decision."""
        return Drawer(self)

    @cached_property
    def neighbourhood(self) -> Neighbourhood:
        """The compiled listing of neighbours."""
        return Neighbourhood(self)

    @cached_property
    def encoder(self) -> Encoder:
        """The compiled numeric views."""
        return Encoder(self)

    @cached_property
    def owners(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The number of the point that each column of codes, and of floats, belongs to."""
        owners = np.zeros(self.layout.columns, np.intp)
        real_owners = np.zeros(self.layout.reals, np.intp)
        for entry in self.layout.entries:
            store = real_owners if entry.shape == REAL else owners
            store[entry.column : entry.column + entry.width] = entry.number
        return owners, real_owners

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the structure (64 hex digits), the same in every process."""
        return serialization.fingerprint(self.points, self.requires)

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

    def __rich__(self) -> Any:
        """Return the tree for rich to print."""
        from symnas.tree.rendering import rich_tree

        return rich_tree(self)

    def _repr_html_(self) -> str:
        from symnas.tree.rendering import space_html

        return space_html(self)

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
        return decisions.build(self, serialization.flatten(data))

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
        if uniform not in ("points", "space"):
            raise SpaceError(f"sampling is uniform over 'points' or over the 'space', got {uniform!r}")
        if uniform == "points" and n * len(self) <= SMALL:
            return Batch.of(self, [self.drawer.draw(rng) for _ in range(n)])
        codes = np.empty((self.layout.columns, n), self.layout.dtype)
        reals = np.empty((self.layout.reals, n))
        sampler = self.sampler if uniform == "points" else self.uniform_sampler
        for rows in sampling.chunks(self.layout.columns + self.layout.reals, n):
            sampler.fill(codes[:, rows], reals[:, rows], rng)
            self.activity.mask(codes[:, rows], reals[:, rows])
        return Batch(self, codes.T, reals.T)

    def draw(self, rng: np.random.Generator) -> Decision:
        """Draw one decision, every point uniform over its own values or by its prior weights."""
        return self.drawer.draw(rng)

    def enumerate(self) -> Iterator[Decision]:
        """Yield every decision once, in tree order, the last point changing fastest.

        Raises:
            SpaceError: a point is a real range without a step.
        """
        return enumerate_decisions(self)

    def mutate(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Redraw one existing point of every decision to another value.

        What comes into being is drawn, what stays keeps its value; a decision without alternatives stays.
        """
        return mutation.mutate(self, batch, rng)

    def crossover(self, first: Batch, second: Batch, rng: np.random.Generator) -> Batch:
        """Recombine the rows of two batches by address: a fair coin per point that both parents have."""
        return mutation.crossover(self, first, second, rng)

    def neighbours(
        self, given: Decision | Batch, rng: np.random.Generator | None = None, reals: int = 4
    ) -> Batch:
        """Return all decisions one step away from the given ones, those of each decision together.

        One point takes another value; a selection makes one move: a candidate added, dropped or replaced, or
        two exchanged where the order counts. A real range contributes evenly spaced values.

        Args:
            given: a decision, or a batch of them.
            rng: if given, what comes into being is drawn instead of taking its default, and real values are
                perturbed (normal, a fifth of the range) instead of spaced.
            reals: how many values a real range contributes.
        """
        batch = given if isinstance(given, Batch) else self.batch([given])
        return self.neighbourhood.of(batch, rng, reals)[0]

    # ------------------------------------------------------------ size

    @cached_property
    def leaves(self) -> int:
        """How many decisions there are when every real range counts as one value."""
        return self.counter.total

    @cached_property
    def size(self) -> int | float:
        """How many decisions there are: exact, or `math.inf` where a real range without a step can exist."""
        if self.layout.reals and Counter(self.layout, real=2).total != self.leaves:
            return math.inf
        return self.leaves

    # ------------------------------------------------------------ arrays

    def encode(self, batch: Batch, view: View = "onehot") -> Array:
        """Return decisions as numbers, one row each; `encoding_names` says what the columns are.

        Args:
            batch: the decisions.
            view: "onehot" has a column per value (per candidate of a subset: how often it is chosen; per slot
                and candidate where the order counts), one column scaled to [0, 1] for real ranges and for
                ranges of more than 256 values, and after each point that may be absent a column that is 1
                where it exists. "ordinal" has the positions of values, real values as they are, one column
                per slot of a selection (-1 unused) and NaN where a point does not exist.
        """
        return self.encoder.encode(batch, view)

    def decode(self, array: Array, view: View = "onehot", strict: bool = True) -> Batch:
        """Return the decisions that `encode` wrote.

        Args:
            array: (decisions, columns of the view).
            view: as in `encode`.
            strict: refuse rows that encode no decision; otherwise take the nearest decisions.

        Raises:
            DecisionError: the shape is wrong, or a row encodes no decision.
        """
        return self.encoder.decode(array, view, strict)

    def encoding_names(self, view: View = "onehot") -> tuple[str, ...]:
        """Return what each column of a view stands for."""
        return self.encoder.names(view)

    # ------------------------------------------------------------ other spaces

    def select(self, pattern: str) -> tuple[str, ...]:
        """Return the addresses that a pattern matches: `*` within a segment, `**` over any number of them."""
        return address_patterns.matching(pattern, self.layout.index)

    def restrict(self, changes: Mapping[str, object]) -> Space:
        """Return the space in which points have only some of their values; what cannot exist then is dropped.

        Args:
            changes: per address a collection of values; of a subset also of candidates; of a real range
                a pair (low, high) or a set of values.
        """
        for address in changes:
            self.entry(address)
        return Space(restriction.restrict(self.layout, self.points, changes), self.requires)

    def freeze(self, values: Mapping[str, Value]) -> Space:
        """Return the space in which points have one value each; decisions still name it."""
        for address in values:
            self.entry(address)
        return self.restrict(restriction.frozen(self.layout, values))

    @classmethod
    def product(cls, /, **spaces: Space) -> Space:
        """Return the space of all combinations, each factor's addresses after its name and a dot."""
        return product(**spaces)

    # ------------------------------------------------------------ plain data

    def to_json(self) -> dict[str, Any]:
        """Return the space as plain data."""
        return {
            "points": [serialization.point_to_json(point) for point in self.points],
            "requires": list(self.requires),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Return the space that `to_json` wrote."""
        points = tuple(serialization.point_from_json(point) for point in data["points"])
        return cls(points, tuple(data.get("requires", ())))


def product(**spaces: Space) -> Space:
    """Return the space of all combinations, each factor's addresses after its name and a dot."""
    points = tuple(
        restriction.prefixed(point, name) for name, space in spaces.items() for point in space.points
    )
    requires = tuple(text for space in spaces.values() for text in space.requires)
    return Space(points, requires)
