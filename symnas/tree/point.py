"""What all decision points share, and the branches and guards that say when a point exists."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from symnas._typing import Code, Value
from symnas.errors import DecisionError, SpaceError

UNSET: Any = object()


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python number, text or truth value that it is, and all else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def label_key(label: object) -> object:
    """Return a key under which `True`, `1` and `1.0` are three different labels."""
    return label if type(label) is str else (type(label).__name__, label)


def show(value: object) -> str:
    """Write a label or a tuple of labels as people read it: texts without quotes where that is clear."""
    if isinstance(value, tuple):
        return "(" + ", ".join(show(item) for item in value) + ")"
    if isinstance(value, str) and value.isidentifier() and value not in {"True", "False", "None"}:
        return value
    return repr(value)


def identity(value: object) -> object:
    """Return a hashable stand-in that keeps apart what `==` on Python scalars would merge."""
    if isinstance(value, tuple):
        return tuple(identity(item) for item in value)
    if isinstance(value, bool | int | float):
        return type(value).__name__, value
    return value


@dataclass(frozen=True, slots=True)
class Guard:
    """A joint condition over earlier finite points.

    Args:
        addresses: the earlier points, in any order.
        allowed: rows of their codes under which the guarded point exists; a code of -1 means "that point is
            inactive", a subset's or permutation's code is its rank in `values()`.
    """

    addresses: tuple[str, ...]
    allowed: frozenset[tuple[int, ...]]

    def __post_init__(self) -> None:
        """Normalise the arguments and refuse an empty or ragged table."""
        object.__setattr__(self, "addresses", tuple(self.addresses))
        object.__setattr__(self, "allowed", frozenset(tuple(map(int, row)) for row in self.allowed))
        if not self.addresses or len(set(self.addresses)) != len(self.addresses):
            raise SpaceError(f"a guard names at least one point, each once; got {list(self.addresses)}")
        if not self.allowed or any(len(row) != len(self.addresses) for row in self.allowed):
            raise SpaceError(
                f"a guard over {list(self.addresses)} needs rows of {len(self.addresses)} codes, at least "
                f"one; got {sorted(self.allowed)[:3]}"
            )


@dataclass(frozen=True, slots=True)
class Branch:
    """Points that exist while their parent's code is in `when`.

    Args:
        when: codes of the parent (of a subset: candidate codes, any of which must be chosen).
        points: the points that exist then.
        occurrence: under a subset with repeats, how many choices of the same candidate come before.
    """

    when: range | tuple[int, ...]
    points: tuple[Point, ...]
    occurrence: int = 0

    def __post_init__(self) -> None:
        """Store a contiguous run of codes as a range, anything else as a sorted tuple."""
        if not (isinstance(self.when, range) and self.when.step == 1 and len(self.when)):
            codes = sorted({int(code) for code in self.when})
            if not codes:
                raise SpaceError("a branch needs at least one code of its parent in `when`")
            run = codes[-1] - codes[0] + 1 == len(codes)
            when = range(codes[0], codes[-1] + 1) if run else tuple(codes)
            object.__setattr__(self, "when", when)
        object.__setattr__(self, "points", tuple(self.points))

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return self.when[0], self.when[-1]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A place in the tree where something is decided.

    Args:
        address: where the point stands, unique in its space.
        weights: prior weight of every candidate or value, or None for equal ones.
        branches: points that depend on this one.
        guards: further conditions over earlier points, all of which must hold.
        origin: `file:line` of the source; neither compared nor fingerprinted.
    """

    address: str
    weights: tuple[float, ...] | None = field(default=None, kw_only=True)
    branches: tuple[Branch, ...] = field(default=(), kw_only=True)
    guards: tuple[Guard, ...] = field(default=(), kw_only=True)
    origin: str | None = field(default=None, kw_only=True)

    kind: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        """Normalise sequences to tuples and check the point by itself."""
        if not isinstance(self.address, str) or not self.address:
            raise SpaceError(f"an address is a non-empty text, got {self.address!r}")
        self._set(branches=tuple(self.branches), guards=tuple(self.guards))
        self._check()
        if self.weights is not None:
            self._set(weights=tuple(float(weight) for weight in self.weights))
            self._check_weights()
        for branch in self.branches:
            self._check_branch(branch)

    def _set(self, **changes: object) -> None:
        for name, value in changes.items():
            object.__setattr__(self, name, value)

    def _check(self) -> None:
        raise NotImplementedError

    def _check_weights(self) -> None:
        weights = self.weights or ()
        if len(weights) != self.codes or any(not 0 <= w < math.inf for w in weights) or not sum(weights) > 0:
            raise SpaceError(
                f"{self.address}: weights are {self.codes} non-negative numbers with a positive sum, "
                f"got {weights}"
            )

    def _check_branch(self, branch: Branch) -> None:
        first, last = branch.bounds
        if first < 0 or last >= self.codes:
            raise SpaceError(
                f"{self.address}: a branch hangs under codes 0..{self.codes - 1}, got {first}..{last}"
            )

    @property
    def codes(self) -> int:
        """How many codes a branch may name: values, or candidates of a subset."""
        raise NotImplementedError

    @property
    def cardinality(self) -> int | float:
        """How many values the point has by itself; `math.inf` for a real range."""
        raise NotImplementedError

    @property
    def domain(self) -> str:
        """The allowed values, as a person would annotate them."""
        raise NotImplementedError

    def values(self) -> Iterable[Value]:
        """Return every value in order; a real range has none to list."""
        raise NotImplementedError

    def code(self, value: object) -> Code:
        """Return the code of a value; a `DecisionError` names the address and what was allowed."""
        raise NotImplementedError

    def value(self, code: Any) -> Value:
        """Return the value with this code (an int, or a tuple of ints for subsets and permutations)."""
        raise NotImplementedError

    def rank(self, code: Any) -> int:
        """Return the position of a code in `values()`, which is what guards refer to."""
        return int(code)

    def refuse(self, value: object) -> DecisionError:
        """Return the error for a value outside the domain."""
        return DecisionError(f"{self.address}: the value must be one of {self.domain}, got {value!r}")

    def replace(self, **changes: object) -> Point:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def _compared(self) -> tuple[object, ...]:
        names = [f.name for f in dataclasses.fields(self) if f.name != "origin"]
        return tuple(identity(getattr(self, name)) for name in names)

    def __eq__(self, other: object) -> bool:
        """Compare by structure; labels of different types differ, origins do not count."""
        if type(self) is not type(other) or not isinstance(other, Point):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        """Hash by structure."""
        return hash((type(self).__name__, self._compared()))
