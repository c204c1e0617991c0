"""The tree of decision points, a decision of it, and many decisions as columns: what users hold.

`Space`, `Decision` and `Batch` name one another, so they stand together. They only hand on: `compiled` has
the parts that do the work, on plain rows and arrays.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Codes, Mask, Reals, Value
from symnas.errors import DecisionError, SpaceError, nearest
from symnas.tree import restriction, sampling, serialization
from symnas.tree.compiled import Compiled
from symnas.tree.counting import Counter
from symnas.tree.encoding import Encoded, View
from symnas.tree.enumeration import enumerate_rows
from symnas.tree.layout import REAL, SINGLE, Layout, walk
from symnas.tree.outline import headline
from symnas.tree.point import Point, identity, show
from symnas.tree.requirements.requirement import Requirement, grounded
from symnas.tree.rows import build_row, decode_row, exists, unpack_row
from symnas.tree.subsets import INACTIVE

KEY_BYTES = 16

# Below this many points times rows, plain Python draws faster than arrays do.
SMALL = 256

# Draws until a clause that is not counted is met by mending; decisions that are listed to count those left.
LOOSE_TRIES = 200
LOOSE_LISTED = 20_000

_MOVED = {
    **{name: f"compiled.{name}" for name in ("layout", "activity", "sampler", "mutator", "counter")},
    **{name: f"compiled.{name}" for name in ("uniform_sampler", "neighbourhood", "encoder")},
    **{"drawer": "compiled.scalar_sampler", "owners": "compiled.layout.owners"},
    "entry": "compiled.layout.entry",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """What separates two decisions.

    Args:
        changed: addresses in both, with the value in the one and in the other.
        removed: addresses only in the one, with their values.
        added: addresses only in the other, with their values.
    """

    changed: dict[str, tuple[Value, Value]]
    removed: dict[str, Value]
    added: dict[str, Value]

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return bool(self.changed or self.removed or self.added)

    def __str__(self) -> str:
        """Render one line per address."""
        lines = [f"{a}: {show(old)} -> {show(new)}" for a, (old, new) in self.changed.items()]
        lines += [f"{a}: {show(value)} -> (absent)" for a, value in self.removed.items()]
        lines += [f"{a}: (absent) -> {show(value)}" for a, value in self.added.items()]
        return "\n".join(lines) or "no difference"


class Decision(Mapping[str, Value]):
    """A value for every point that exists under it; hashable, and equal by space and values.

    Made by a space (`space.default`, `space.decision(...)`, batches), never by hand. Iteration yields the
    addresses that have a value of their own, in tree order; a tie's address is looked up as well.
    """

    __slots__ = ("_key", "_row", "_space", "_values")

    def __init__(self, space: Space, row: bytes, values: dict[str, Value] | None = None) -> None:
        self._space = space
        self._row = row
        self._values = values
        self._key: str | None = None

    @property
    def space(self) -> Space:
        """The space the decision belongs to."""
        return self._space

    @property
    def row(self) -> bytes:
        """The canonical form that is hashed: codes, then floats."""
        return self._row

    @property
    def _mapping(self) -> dict[str, Value]:
        if self._values is None:
            self._values = decode_row(self._space.compiled.layout, self._row)
        return self._values

    def __getitem__(self, address: str) -> Value:
        """Return the value at an address; a tie's is its target's."""
        values = self._mapping
        if address in values:
            return values[address]
        layout = self._space.compiled.layout
        number = layout.index.get(address)
        if number is not None and layout.entries[number].tied and self.is_active(address):
            return values[layout.entries[number].domain.address]
        raise KeyError(address)

    def __iter__(self) -> Iterator[str]:
        """Yield the addresses with a value, in tree order."""
        return iter(self._mapping)

    def __len__(self) -> int:
        """Return how many points have a value."""
        return len(self._mapping)

    def is_active(self, address: str) -> bool:
        """Tell whether the point at an address exists under this decision."""
        layout = self._space.compiled.layout
        entry = layout.entry(address)
        if not entry.tied:
            return address in self._mapping
        return exists(entry, *unpack_row(layout, self._row))

    def __eq__(self, other: object) -> bool:
        """Compare with another decision: equal spaces and equal values."""
        if not isinstance(other, Decision):
            return NotImplemented
        return self.row == other.row and (self.space is other.space or self.space == other.space)

    def __hash__(self) -> int:
        """Hash by the values."""
        return hash(self.row)

    @property
    def key(self) -> str:
        """Canonical hash (32 hex digits), the same in every process for equal decisions of equal spaces."""
        if self._key is None:
            self._key = blake2b(self._row, digest_size=KEY_BYTES, key=self._space._key_seed).hexdigest()
        return self._key

    def flat(self) -> dict[str, Value]:
        """Return a plain dictionary from address to value."""
        return dict(self._mapping)

    def to_json(self) -> dict[str, Any]:
        """Return nested plain data, a level per segment of the addresses; `space.decision` reads it back."""
        return serialization.nest(self._mapping)

    def replace(self, changes: Mapping[str, Value], *, admitted: bool = True) -> Decision:
        """Return a copy with some values changed; what that brings into being takes its default.

        Args:
            changes: values by address.
            admitted: whether to refuse what breaks a clause over chosen values.

        Raises:
            DecisionError: an address is unknown or absent after the change, a value is not allowed, or a
                clause over chosen values does not hold any more.
        """
        changed = self._space._built(changes, self._mapping)
        if admitted:
            self._space._demand(changed)
        return changed

    def diff(self, other: Mapping[str, Value]) -> Difference:
        """Return what separates another decision from this one, by address."""
        changed = {
            a: (self[a], other[a]) for a in self if a in other and identity(self[a]) != identity(other[a])
        }
        removed = {a: self[a] for a in self if a not in other}
        return Difference(changed, removed, {a: other[a] for a in other if a not in self})

    def part(self, prefix: str, space: Space) -> Decision:
        """Return one factor's decision out of a product's, `space` being that factor.

        Args:
            prefix: the name the factor was given in `product`.
            space: the factor's own space.
        """
        cut = len(prefix) + 1
        mine = {a[cut:]: value for a, value in self._mapping.items() if a.startswith(prefix + ".")}
        return space._built(mine, None)

    def __repr__(self) -> str:
        """Show the values, shortened past a dozen."""
        items = [f"{address}: {show(value)}" for address, value in self._mapping.items()]
        rest = f", … {len(items) - 12} more" if len(items) > 12 else ""
        return "Decision({" + ", ".join(items[:12]) + rest + "})"

    def _repr_html_(self) -> str:
        from symnas.tree.outline import values_html

        return values_html(self._mapping, self._space.default)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as space and row."""
        return Decision, (self.space, self.row)


class Batch(Sequence[Decision]):
    """Decisions of one space, held as arrays.

    Args:
        space: the space they belong to.
        codes: (rows, columns) codes of finite points, in the smallest of int8 to int64 that holds all (see
            `Layout.dtype`); -1 where a point does not exist, -2 in an unused slot.
        reals: (rows, real points) values of real ranges, float64; NaN where a point does not exist.
    """

    __slots__ = ("_rows", "codes", "reals", "space")

    def __init__(self, space: Space, codes: Codes, reals: Reals) -> None:
        self.space = space
        self.codes = codes
        self.reals = reals
        self._rows: bytes | None = None

    @classmethod
    def of(cls, space: Space, decisions: Sequence[Decision]) -> Batch:
        """Collect decisions, as `space.batch(decisions)` does."""
        return space.batch(decisions)

    @classmethod
    def empty(cls, space: Space) -> Batch:
        """Return a batch without rows; deprecated, `space.batch([])` says the same."""
        warnings.warn("Batch.empty(space) is space.batch([]) now", DeprecationWarning, stacklevel=2)
        return space.batch(())

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Batch:
        """Join batches of equal spaces, in order; at least one is needed."""
        if not batches:
            raise DecisionError("concat needs at least one batch, got none")
        space = batches[0].space
        if any(batch.space != space for batch in batches):
            raise DecisionError("only batches of equal spaces can be joined")
        codes = np.concatenate([batch.codes for batch in batches])
        return cls(space, codes, np.concatenate([batch.reals for batch in batches]))

    @property
    def rows(self) -> bytes:
        """All rows as bytes, each equally long: the canonical form that is hashed."""
        if self._rows is None:
            self._rows = self.space.compiled.layout.join(self.codes, self.reals)
        return self._rows

    def __len__(self) -> int:
        """Return the number of decisions."""
        return len(self.codes)

    def __iter__(self) -> Iterator[Decision]:
        """Yield the decisions in order."""
        size = self.space.compiled.layout.row_bytes
        rows = self.rows
        for position in range(len(self)):
            yield Decision(self.space, rows[position * size : (position + 1) * size])

    @overload
    def __getitem__(self, index: int) -> Decision: ...
    @overload
    def __getitem__(self, index: slice | NDArray[np.bool_ | np.integer] | Sequence[int]) -> Batch: ...
    def __getitem__(self, index: object) -> Decision | Batch:
        """Return one decision, or the batch of the rows chosen by a slice, a mask or positions."""
        if isinstance(index, int | np.integer):
            position = int(index)
            if not -len(self) <= position < len(self):
                raise IndexError(f"a batch of {len(self)} decisions has no position {position}")
            row = slice(position, position + 1 or None)
            if self._rows is not None:
                size, start = self.space.compiled.layout.row_bytes, position % len(self)
                return Decision(self.space, self._rows[start * size : (start + 1) * size])
            return Decision(self.space, self.space.compiled.layout.join(self.codes[row], self.reals[row]))
        if not isinstance(index, slice):
            index = np.asarray(index)
            index = index.astype(np.intp) if not index.size else index
        return Batch(self.space, self.codes[index], self.reals[index])

    def __eq__(self, other: object) -> bool:
        """Compare spaces and rows, in order."""
        if not isinstance(other, Batch):
            return NotImplemented
        return self.space == other.space and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show how many decisions of how many points."""
        return f"<Batch of {len(self)} decisions of {self.space!r}>"

    def keys(self) -> NDArray[np.str_]:
        """Return every row's canonical hash, equal to `Decision.key`: (rows,) texts of 32 hex digits."""
        size = self.space.compiled.layout.row_bytes
        rows, seed = self.rows, self.space._key_seed
        digests = [
            blake2b(rows[start : start + size], digest_size=KEY_BYTES, key=seed).hexdigest()
            for start in range(0, size * len(self), size or 1)
        ]
        if not size:
            digests = [blake2b(b"", digest_size=KEY_BYTES, key=seed).hexdigest()] * len(self)
        return np.array(digests, dtype=f"U{2 * KEY_BYTES}")

    def unique(self) -> Batch:
        """Return the batch without repetitions, each decision where it first stands."""
        size = self.space.compiled.layout.row_bytes
        if not size:
            return self[:1]
        table = np.frombuffer(self.rows, np.dtype((np.void, size)))
        _, first = np.unique(table, return_index=True)
        return self[np.sort(first)]

    def active(self, address: str) -> Mask:
        """Return in which rows the point at an address exists, (rows,)."""
        entry = self.space.compiled.layout.entry(address)
        if entry.shape == REAL:
            return ~np.isnan(self.reals[:, entry.column])
        held: Mask = self.codes[:, entry.column] != INACTIVE
        return held

    def column(self, address: str) -> Codes | Reals:
        """Return codes (rows,), of a selection slots (rows, slots), of a real range values (rows,)."""
        entry = self.space.compiled.layout.entry(address)
        if entry.shape == REAL:
            return self.reals[:, entry.column]
        if entry.shape == SINGLE:
            return self.codes[:, entry.column]
        return self.codes[:, entry.column : entry.column + entry.width]

    def values(self, address: str, absent: Value = None) -> list[Value]:
        """Return a point's value in every row, `absent` where it does not exist."""
        return [decision.get(address, absent) for decision in self]


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """A search space: decision points in a tree.

    Args:
        points: the points at the root, in order.
        requires: conditions that decisions must meet, as texts.
        requirements: those of them that decisions alone can be asked about, over addresses. Size, sampling
            and moves keep to them. None for those of the texts whose names are all addresses, or the last
            part of one.
    """

    points: tuple[Point, ...]
    requires: tuple[str, ...] = ()
    requirements: tuple[Requirement, ...] | None = None

    def __post_init__(self) -> None:
        """Check the tree as a whole: unique addresses, ties and guards that look back."""
        object.__setattr__(self, "points", tuple(self.points))
        object.__setattr__(self, "requires", tuple(self.requires))
        stated = self.requirements
        if stated is not None:
            # What the texts say anyhow is not said twice: neither in JSON nor in the fingerprint.
            plain = grounded(self.requires, Layout(self.points).index) if self.requires else ()
            object.__setattr__(self, "requirements", None if tuple(stated) == plain else tuple(stated))
        self.compiled  # noqa: B018  compiling is what checks

    @cached_property
    def compiled(self) -> Compiled:
        """The space compiled to columns, for algorithms; it may change from one release to the next."""
        layout = Layout(self.points)
        stated = self.requirements
        if stated is None:
            stated = grounded(self.requires, layout.index) if self.requires else ()
        for requirement in stated:
            for address in requirement.addresses:
                if address not in layout.index:
                    raise SpaceError(
                        f"a requirement speaks of points of its space; {requirement} of {address!r}, and "
                        f"there is no such point{nearest(address, layout.index)}"
                    )
        return Compiled(layout, stated)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Answer to what was an attribute of spaces, and is reached through `compiled` now."""
            if name not in _MOVED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)
            warnings.warn(f"space.{name} is space.{_MOVED[name]} now", DeprecationWarning, stacklevel=2)
            return attrgetter(_MOVED[name])(self)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the structure (64 hex digits), the same in every process."""
        return serialization.fingerprint(self.points, self.requires, self.requirements)

    @cached_property
    def _key_seed(self) -> bytes:
        """What keeps the hashes of decisions of different spaces apart."""
        return bytes.fromhex(self.fingerprint)[:32]

    # ------------------------------------------------------------ points

    def walk(self) -> Iterator[Point]:
        """Yield every point in pre-order."""
        return (entry.point for entry in self.compiled.layout.entries)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses in pre-order."""
        return tuple(self.compiled.layout.index)

    def __getitem__(self, address: str) -> Point:
        """Return the point at an address."""
        return self.compiled.layout.entry(address).point

    def __contains__(self, address: object) -> bool:
        """Tell whether there is a point at an address."""
        return address in self.compiled.layout.index

    def __len__(self) -> int:
        """Return the number of points, ties included."""
        return len(self.compiled.layout.entries)

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
        from symnas.tree.outline import rich_tree

        return rich_tree(self._headline, self.points)

    def _repr_html_(self) -> str:
        from symnas.tree.outline import points_html

        return points_html(self._headline, self.points)

    @property
    def _headline(self) -> str:
        reals = sum(entry.shape == REAL for entry in self.compiled.layout.own)
        return headline(len(self), reals, self.leaves)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as points and requirements; compiled parts are made again."""
        # Studies hold hashes of pickles, so a space that says no more than before is written as before.
        said = () if self.requirements is None else (self.requirements,)
        return Space, (self.points, self.requires, *said)

    # ------------------------------------------------------------ decisions

    @cached_property
    def default(self) -> Decision:
        """The decision in which every point has its default."""
        return self._built({}, {})

    def decision(self, values: Mapping[str, Any] | None = None, *, complete: bool = False) -> Decision:
        """Return the decision that a mapping stands for; points that it does not name take their defaults.

        Args:
            values: values by address, flat or nested by segments; a decision of this space is returned as it
                is, and None stands for the default.
            complete: refuse a mapping that does not name every point that exists under it.

        Raises:
            DecisionError: an address is unknown, or does not exist under the others; a value is not allowed
                or, if all must be there, missing.
        """
        if values is None:
            return self.default
        if isinstance(values, Decision) and (values.space is self or values.space == self):
            return values
        return self._built(serialization.flatten(values), None if complete else {})

    def _built(self, given: Mapping[str, Any], base: Mapping[str, Value] | None) -> Decision:
        return Decision(self, build_row(self.compiled.layout, given, base))

    def validate(self, values: Mapping[str, Any]) -> None:
        """Raise a `DecisionError` unless a mapping is a complete decision that this space admits."""
        self._demand(self.decision(values, complete=True))

    def admits(self, given: Decision | Batch) -> Mask:
        """Tell which decisions meet the clauses over chosen values, (decisions,); of one, an array of one."""
        batch = given if isinstance(given, Batch) else self.batch([given])
        admission = self.compiled.admission
        if admission is None:
            return np.ones(len(batch), bool)
        return admission.admits(batch.codes.T, batch.reals.T)

    def mend(self, batch: Batch, rng: int | np.random.Generator | None = None) -> Batch:
        """Return decisions that meet the clauses over chosen values, each as close to its own as can be.

        Args:
            batch: decisions; those that meet the clauses stay as they are.
            rng: if given, it decides between decisions that are as close, and draws what comes into being.

        Raises:
            RequirementError: no decision meets the clauses, or none was found that does.
        """
        admission = self.compiled.admission
        if admission is None or not len(batch):
            return batch
        codes, reals = np.array(batch.codes.T, order="C"), np.array(batch.reals.T, order="C")
        admission.mend(codes, reals, None if rng is None else sampling.generator(rng))
        return Batch(self, codes.T, reals.T)

    def _demand(self, decision: Decision) -> None:
        admission = self.compiled.admission
        broken = (
            [] if admission is None else admission.broken(*unpack_row(self.compiled.layout, decision.row))
        )
        if broken:
            told = "; ".join(f"{clause}: {detail}" for clause, detail in broken)
            raise DecisionError(f"the decision breaks {told}")

    def batch(self, decisions: Sequence[Decision]) -> Batch:
        """Collect decisions of this space, or of an equal one, into a batch, in their order.

        Raises:
            DecisionError: one of them is of another space.
        """
        for decision in decisions:
            if decision.space is not self and decision.space != self:
                raise DecisionError(
                    "a batch holds decisions of one space; one of another space was given "
                    f"({decision.space!r} instead of {self!r}). Use space.decision(mapping) to carry it over"
                )
        layout = self.compiled.layout
        if not layout.row_bytes:
            count = len(decisions)
            return Batch(self, np.empty((count, 0), layout.dtype), np.empty((count, 0)))
        rows = b"".join(decision.row for decision in decisions)
        batch = Batch(self, *layout.split(rows))
        batch._rows = rows
        return batch

    def sample(
        self,
        n: int,
        rng: int | np.random.Generator | None = None,
        uniform: Literal["points", "space"] = "points",
    ) -> Batch:
        """Draw decisions; the first ones of a larger sample from the same seed are the smaller sample.

        Args:
            n: how many.
            rng: a seed, a generator, or None for other decisions each time.
            uniform: "points" draws every point uniformly over its own values, or by its prior weights;
                "space" makes all decisions equally likely, counting a real range as one value.

        Raises:
            TypeError: `rng` is something else.
        """
        rng = sampling.generator(rng)
        if uniform not in ("points", "space"):
            raise SpaceError(f"sampling is uniform over 'points' or over the 'space', got {uniform!r}")
        parts = self.compiled
        if parts.admission is not None:
            return self._sample_admitted(n, rng, uniform)
        if uniform == "points" and n * len(self) <= SMALL:
            return self.batch([self.draw(rng) for _ in range(n)])
        sampler = parts.sampler if uniform == "points" else parts.uniform_sampler
        return self.drawn_by(n, rng, sampler, sampling.DRAWN if uniform == "points" else sampling.CHUNK)

    def drawn_by(
        self, n: int, rng: np.random.Generator, sampler: Any, numbers: int = sampling.CHUNK
    ) -> Batch:
        """Draw with a compiled sampler; the first of a larger sample are the smaller one."""
        parts = self.compiled
        codes = np.empty((parts.layout.columns, n), parts.layout.dtype)
        reals = np.empty((parts.layout.reals, n))
        pieces = sampling.chunks(sampler.width, n, numbers)
        u = np.empty((pieces[0].stop if pieces else 0, sampler.width))
        for rows in pieces:
            some, some_reals = codes[:, rows], reals[:, rows]
            sampler.fill(some, some_reals, rng.random(out=u[: some.shape[1]]))
            parts.activity.mask(some, some_reals)
        return Batch(self, codes.T, reals.T)

    def _sample_admitted(self, n: int, rng: np.random.Generator, uniform: str) -> Batch:
        """Draw given that all clauses hold: by the counts of those that are folds, again for the others."""
        parts, admission = self.compiled, self.compiled.admission
        assert admission is not None
        if n and not admission.possible:
            raise admission.impossible()
        sampler = parts.admitted_sampler if uniform == "points" else parts.uniform_sampler
        if not admission.loose:
            return self.drawn_by(n, rng, sampler, sampling.CHUNK)
        # One after the other, so that the first of a larger sample are the smaller one.
        found = []
        for _ in range(n):
            for _ in range(LOOSE_TRIES):
                one = self.drawn_by(1, rng, sampler, sampling.CHUNK)
                if self.admits(one)[0]:
                    break
            else:
                one = self.mend(one, rng)
            found.append(one)
        return Batch.concat(found) if found else self.batch([])

    def draw(self, rng: int | np.random.Generator | None = None) -> Decision:
        """Draw one decision, the first one that `sample` draws."""
        if self.compiled.admission is not None:
            return self.sample(1, rng)[0]
        return Decision(self, *self.compiled.scalar_sampler.draw(sampling.generator(rng)))

    def enumerate(self) -> Iterator[Decision]:
        """Yield every admitted decision once, in tree order, the last point changing fastest.

        Raises:
            SpaceError: a point is a real range without a step.
        """
        admission = self.compiled.admission
        rows = (Decision(self, row) for row in enumerate_rows(self.compiled.layout, admission))
        if admission is None or not admission.loose:
            return rows
        return (decision for decision in rows if self.admits(decision)[0])

    def mutate(self, batch: Batch, rng: int | np.random.Generator | None = None) -> Batch:
        """Redraw one existing point of every decision to another value.

        What comes into being is drawn, what stays keeps its value; a decision without alternatives stays.
        """
        rng = sampling.generator(rng)
        codes, reals = self.compiled.mutator.mutate(batch.codes.T, batch.reals.T, rng)
        if self.compiled.admission is not None:
            # Where hardly a value can be built around, any neighbour is as good.
            old = np.array(batch.codes.T), np.array(batch.reals.T)
            for row in sampling.alike((codes, reals), old).tolist():
                near = self.neighbours(batch[row], rng)
                if len(near):
                    place = int(rng.integers(len(near)))
                    codes[:, row], reals[:, row] = near.codes[place], near.reals[place]
        return Batch(self, codes.T, reals.T)

    def crossover(self, first: Batch, second: Batch, rng: int | np.random.Generator | None = None) -> Batch:
        """Recombine the rows of two batches by address: a fair coin per point that both parents have."""
        if len(first) != len(second):
            raise DecisionError(
                "crossover pairs rows, so both batches have the same length; "
                f"got {len(first)} and {len(second)}"
            )
        codes, reals = self.compiled.mutator.crossover(
            (first.codes.T, first.reals.T), (second.codes.T, second.reals.T), sampling.generator(rng)
        )
        return Batch(self, codes.T, reals.T)

    def neighbours(
        self, given: Decision | Batch, rng: int | np.random.Generator | None = None, reals: int = 4
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
        drawn = None if rng is None else sampling.generator(rng)
        codes, floats, _ = self.compiled.neighbourhood.of(batch.codes, batch.reals, drawn, reals)
        return Batch(self, codes, floats)

    # ------------------------------------------------------------ size

    @cached_property
    def leaves(self) -> int:
        """How many decisions there are when every real range counts as one value."""
        admission = self.compiled.admission
        total = self.compiled.counter.total
        if admission is not None and admission.loose and total <= LOOSE_LISTED:
            layout = self.compiled.layout
            if not layout.reals:
                return sum(1 for _ in self.enumerate())
        return total

    @cached_property
    def size(self) -> int | float:
        """How many decisions there are: exact, or `math.inf` where a real range without a step can exist.

        Of clauses over so many ways that they cannot be counted, it is the number without these.
        """
        layout = self.compiled.layout
        if layout.reals and Counter(layout, real=2, rules=self.compiled.rules).total != self.leaves:
            return math.inf
        return self.leaves

    # ------------------------------------------------------------ arrays

    def encode(self, batch: Batch, view: View = "onehot") -> Encoded:
        """Return decisions as numbers, one row each; `encoding_names` says what the columns are.

        Args:
            batch: the decisions.
            view: "onehot" has a column per value (per candidate of a subset: how often it is chosen; per slot
                and candidate where the order counts), one column scaled to [0, 1] for real ranges and for
                ranges of more than 256 values, and after each point that may be absent a column that is 1
                where it exists. "ordinal" has the positions of values, real values as they are, one column
                per slot of a selection (-1 unused) and NaN where a point does not exist.

        Returns:
            (decisions, columns of the view): "onehot" in float32, or float64 if it has a scaled column, and
            "ordinal" in float64.
        """
        return self.compiled.encoder.encode(batch.codes, batch.reals, view)

    def decode(self, array: Encoded, view: View = "onehot", strict: bool = True) -> Batch:
        """Return the decisions that `encode` wrote.

        Args:
            array: (decisions, columns of the view), of any type of numbers.
            view: as in `encode`.
            strict: refuse rows that encode no decision; otherwise take the nearest decisions.

        Raises:
            DecisionError: the shape is wrong, or a row encodes no decision.
        """
        return Batch(self, *self.compiled.encoder.decode(array, view, strict))

    def encoding_names(self, view: View = "onehot") -> tuple[str, ...]:
        """Return what each column of a view stands for."""
        return self.compiled.encoder.names(view)

    # ------------------------------------------------------------ other spaces

    def select(self, pattern: str) -> tuple[str, ...]:
        """Return the addresses that a pattern matches: `*` within a segment, `**` over any number of them."""
        return serialization.matching(pattern, self.compiled.layout.index)

    def restrict(self, changes: Mapping[str, object]) -> Space:
        """Return the space in which points have only some of their values; what cannot exist then is dropped.

        Args:
            changes: per address a collection of values; of a subset also of candidates; of a real range
                a pair (low, high) or a set of values.
        """
        points = restriction.restrict(self.compiled.layout, self.points, changes)
        rules = self.compiled.rules
        if rules is None:
            return Space(points, self.requires)
        # A clause over a point that is gone never applies.
        left = {point.address for point, _, _ in walk(points)}
        kept = (each for each in rules.requirements if left.issuperset(each.addresses))
        return Space(points, self.requires, tuple(kept))

    def freeze(self, values: Mapping[str, Value]) -> Space:
        """Return the space in which points have one value each; decisions still name it."""
        return self.restrict(restriction.frozen(self.compiled.layout, values))

    @classmethod
    def product(cls, /, **spaces: Space) -> Space:
        """Return the space of all combinations, each factor's addresses after its name and a dot."""
        return product(**spaces)

    # ------------------------------------------------------------ plain data

    @serialization.deep
    def to_json(self) -> dict[str, Any]:
        """Return the space as plain data."""
        data: dict[str, Any] = {
            "points": [serialization.point_to_json(point) for point in self.points],
            "requires": list(self.requires),
        }
        if self.requirements is not None:
            data["requirements"] = [requirement.to_json() for requirement in self.requirements]
        return data

    @classmethod
    @serialization.deep
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Return the space that `to_json` wrote."""
        points = tuple(serialization.point_from_json(point) for point in data["points"])
        stated = data.get("requirements")
        requirements = None if stated is None else tuple(map(Requirement.from_json, stated))
        return cls(points, tuple(data.get("requires", ())), requirements)


def product(**spaces: Space) -> Space:
    """Return the space of all combinations, each factor's addresses after its name and a dot."""
    spaces = {name: getattr(given, "space", given) for name, given in spaces.items()}
    for name, given in spaces.items():
        if not isinstance(given, Space):
            raise SpaceError(
                f"the factors of a product are spaces, or programs with one; {name} is {given!r}"
            )
    points = tuple(
        restriction.prefixed(point, name) for name, space in spaces.items() for point in space.points
    )
    requires = tuple(text for space in spaces.values() for text in space.requires)
    if not requires:
        return Space(points)
    rules = [(name, space.compiled.rules) for name, space in spaces.items()]
    stated = (each.prefixed(name) for name, rule in rules if rule is not None for each in rule.requirements)
    return Space(points, requires, tuple(stated))
