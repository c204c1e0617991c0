"""The kinds of decision points, and the branches and guards that say when a point exists."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar

from symnas.errors import DecisionError, SpaceError
from symnas.subsets import Subsets

Label = str | int | float | bool | None
Value = Label | tuple[Label, ...]
Code = int | tuple[int, ...]

_UNSET: Any = object()


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


def _check_labels(address: str, labels: Sequence[Label]) -> tuple[Label, ...]:
    given = tuple(labels)
    if not given:
        raise SpaceError(f"{address}: a choice needs at least one candidate, got none")
    seen: set[object] = set()
    for label in given:
        if not isinstance(label, str | int | float | bool | None):
            raise SpaceError(f"{address}: labels are text, numbers, True, False or None, got {label!r}")
        if isinstance(label, float) and not math.isfinite(label):
            raise SpaceError(f"{address}: a number among the candidates must be finite, got {label!r}")
        if label_key(label) in seen:
            raise SpaceError(f"{address}: candidates must differ, {label!r} is given twice")
        seen.add(label_key(label))
    return given


@lru_cache(maxsize=4096)
def _positions(labels: tuple[object, ...]) -> dict[object, int]:
    return {key: position for position, key in enumerate(labels)}


def _find(candidates: tuple[Label, ...], label: object) -> int | None:
    try:
        return _positions(tuple(map(label_key, candidates))).get(label_key(label))
    except TypeError:
        return None


def _listed(labels: Sequence[Value], limit: int = 12) -> str:
    texts = [show(label) for label in labels[:limit]]
    return "{" + ", ".join(texts + (["…"] if len(labels) > limit else [])) + "}"


@dataclass(frozen=True, slots=True, eq=False)
class OneOf(Point):
    """One of several candidates; the first is the default unless another is named."""

    candidates: tuple[Label, ...]
    default: Label = _UNSET

    kind: ClassVar[str] = "oneof"

    def _check(self) -> None:
        self._set(candidates=_check_labels(self.address, self.candidates))
        if self.default is _UNSET:
            self._set(default=self.candidates[0])
        if _find(self.candidates, self.default) is None:
            raise SpaceError(
                f"{self.address}: the default must be a candidate, {self.default!r} is not in {self.domain}"
            )

    @property
    def codes(self) -> int:
        """How many candidates there are."""
        return len(self.candidates)

    @property
    def cardinality(self) -> int:
        """How many candidates there are."""
        return len(self.candidates)

    @property
    def domain(self) -> str:
        """The candidates in braces."""
        return _listed(self.candidates)

    def values(self) -> tuple[Label, ...]:
        """Return the candidates."""
        return self.candidates

    def code(self, value: object) -> int:
        """Return the position of a candidate."""
        code = _find(self.candidates, value)
        if code is None:
            raise self.refuse(value)
        return code

    def value(self, code: Any) -> Label:
        """Return the candidate at a position."""
        label: Label = self.candidates[code]
        return label


@dataclass(frozen=True, slots=True, eq=False)
class _Selection(Point):
    """What subsets and permutations share: a value is a tuple of candidates, a code a tuple of positions."""

    candidates: tuple[Label, ...]

    @property
    def subsets(self) -> Subsets:
        """The selections by code."""
        raise NotImplementedError

    def _check_default(self, default: object) -> tuple[Label, ...]:
        try:
            return self.value(self.code(default))
        except DecisionError as error:
            raise SpaceError(f"{self.address}: the default must be a value of the point ({error})") from None

    @property
    def codes(self) -> int:
        """How many candidates there are."""
        return len(self.candidates)

    @property
    def cardinality(self) -> int:
        """How many selections there are."""
        return self.subsets.count

    def values(self) -> Iterator[tuple[Label, ...]]:
        """Yield every selection, smaller ones first."""
        return (self.value(codes) for codes in self.subsets)

    def code(self, value: object) -> tuple[int, ...]:
        """Return the positions of the candidates chosen; unordered ones are sorted."""
        if not isinstance(value, tuple | list):
            raise self.refuse(value)
        found = [_find(self.candidates, label) for label in value]
        codes = tuple(code for code in found if code is not None)
        if not self.subsets.ordered:
            codes = tuple(sorted(codes))
        if len(codes) != len(found) or codes not in self.subsets:
            raise self.refuse(value)
        return codes

    def value(self, code: Any) -> tuple[Label, ...]:
        """Return the candidates at the positions."""
        return tuple(self.candidates[position] for position in code)

    def rank(self, code: Any) -> int:
        """Return the position of a selection in `values()`; there must be few enough to tabulate."""
        if not self.subsets.tabulated:
            raise SpaceError(
                f"{self.address}: a condition needs its selections listed, and there are {self.cardinality}"
            )
        return self.subsets.ranks[tuple(code)]

    def _code_only(self, only: Iterable[Sequence[Label]], plain: Subsets) -> tuple[tuple[int, ...], ...]:
        rows = []
        for value in only:
            found = [_find(self.candidates, label) for label in value]
            row = tuple(code for code in found if code is not None)
            row = row if plain.ordered else tuple(sorted(row))
            if len(row) != len(found) or row not in plain or row in rows:
                raise SpaceError(f"{self.address}: `only` lists distinct values of the point, got {value!r}")
            rows.append(row)
        return tuple(rows)


@lru_cache(maxsize=4096)
def _subsets(
    n: int, low: int, high: int, ordered: bool, repeats: bool, only: tuple[tuple[int, ...], ...]
) -> Subsets:
    return Subsets(n, low, high, ordered, repeats, only)


@dataclass(frozen=True, slots=True, eq=False)
class ManyOf(_Selection):
    """Several candidates: `low` to `high` of them, in order or not, with repeats or not.

    Args:
        candidates: what is chosen from.
        low: smallest number chosen.
        high: largest number chosen.
        ordered: whether the order counts; otherwise values are kept in the candidates' order.
        repeats: whether a candidate may be chosen more than once.
        default: a value; the first one if absent.
        only: the values allowed, if not all (what `restrict` leaves).
    """

    low: int
    high: int
    ordered: bool = False
    repeats: bool = False
    default: tuple[Label, ...] = _UNSET
    only: tuple[tuple[Label, ...], ...] = ()

    kind: ClassVar[str] = "manyof"

    def _check(self) -> None:
        self._set(candidates=_check_labels(self.address, self.candidates))
        most = math.inf if self.repeats else len(self.candidates)
        if not 0 <= self.low <= self.high <= most or self.high < 1:
            limit = "" if self.repeats else f" of {len(self.candidates)} candidates"
            raise SpaceError(
                f"{self.address}: sizes satisfy 0 <= low <= high{limit} and high >= 1, "
                f"got {self.low}..{self.high}"
            )
        plain = _subsets(self.codes, self.low, self.high, self.ordered, self.repeats, ())
        rows = self._code_only(self.only, plain)
        self._set(only=tuple(self.value(row) for row in rows))
        if self.default is _UNSET:
            self._set(default=self.value(next(iter(self.subsets))))
        self._set(default=self._check_default(self.default))

    def _check_branch(self, branch: Branch) -> None:
        _Selection._check_branch(self, branch)
        if not 0 <= branch.occurrence < (self.high if self.repeats else 1):
            raise SpaceError(
                f"{self.address}: no candidate can be chosen more than {branch.occurrence} times"
            )

    @property
    def subsets(self) -> Subsets:
        """The selections by code."""
        rows = tuple(tuple(_find(self.candidates, x) or 0 for x in value) for value in self.only)
        return _subsets(self.codes, self.low, self.high, self.ordered, self.repeats, rows)

    @property
    def domain(self) -> str:
        """The rule and the candidates, as annotated."""
        if self.only:
            return _listed(self.only, 6)
        size = str(self.low) if self.low == self.high else f"{self.low}..{self.high}"
        words = " with repeats" * self.repeats + " ordered" * self.ordered
        return f"{size} of {_listed(self.candidates)}{words}"


@dataclass(frozen=True, slots=True, eq=False)
class Permutation(_Selection):
    """All candidates in some order; the given order is the default unless another is named."""

    default: tuple[Label, ...] = _UNSET
    only: tuple[tuple[Label, ...], ...] = ()

    kind: ClassVar[str] = "permutation"

    def _check(self) -> None:
        self._set(candidates=_check_labels(self.address, self.candidates))
        plain = _subsets(self.codes, self.codes, self.codes, True, False, ())
        rows = self._code_only(self.only, plain)
        self._set(only=tuple(self.value(row) for row in rows))
        if self.default is _UNSET:
            self._set(default=self.only[0] if self.only else self.candidates)
        self._set(default=self._check_default(self.default))

    @property
    def subsets(self) -> Subsets:
        """The orders by code."""
        rows = tuple(tuple(_find(self.candidates, x) or 0 for x in value) for value in self.only)
        return _subsets(self.codes, self.codes, self.codes, True, False, rows)

    @property
    def domain(self) -> str:
        """The candidates, as annotated."""
        return _listed(self.only, 6) if self.only else f"order of {_listed(self.candidates)}"


def _numbers(address: str, *numbers: object, whole: bool) -> None:
    for number in numbers:
        fits = isinstance(number, int) if whole else isinstance(number, int | float)
        if isinstance(number, bool) or not fits or not math.isfinite(number):  # type: ignore[arg-type]
            wanted = "whole numbers" if whole else "finite numbers"
            raise SpaceError(f"{address}: a range is given in {wanted}, got {number!r}")


@dataclass(frozen=True, slots=True, eq=False)
class IntRange(Point):
    """Whole numbers from `low` to `high`, both included.

    Args:
        low: smallest value.
        high: largest value.
        step: distance of neighbouring values.
        factor: ratio of neighbouring values, instead of a step.
        log: draw log-uniformly and scale logarithmically when encoding.
        default: a value; `low` if absent.
    """

    low: int
    high: int
    step: int = 1
    factor: int | None = None
    log: bool = False
    default: int = _UNSET

    kind: ClassVar[str] = "int"

    def _check(self) -> None:
        _numbers(self.address, self.low, self.high, self.step, whole=True)
        if self.factor is not None:
            _numbers(self.address, self.factor, whole=True)
            if self.factor < 2 or self.low < 1 or self.step != 1:
                raise SpaceError(
                    f"{self.address}: a factor is at least 2, from a low of at least 1 and without a step; "
                    f"got {self.domain}"
                )
        if self.low > self.high or self.step < 1 or (self.log and self.low < 1):
            raise SpaceError(
                f"{self.address}: a range needs low <= high, a step of at least 1, and low >= 1 when log; "
                f"got {self.domain}"
            )
        if self.default is _UNSET:
            self._set(default=self.low)
        try:
            self.code(self.default)
        except DecisionError as error:
            raise SpaceError(f"{self.address}: the default must be a value of the point ({error})") from None

    @property
    def codes(self) -> int:
        """How many values there are."""
        return len(self.values())

    @property
    def cardinality(self) -> int:
        """How many values there are."""
        return len(self.values())

    @property
    def domain(self) -> str:
        """The range, as annotated."""
        tail = f" step {self.step}" if self.step != 1 else ""
        tail += f" x {self.factor}" if self.factor is not None else ""
        return f"{'log ' * self.log}{self.low}..{self.high}{tail}"

    def values(self) -> Sequence[int]:
        """Return the values in order."""
        if self.factor is None:
            return range(self.low, self.high + 1, self.step)
        return _powers(self.low, self.high, self.factor)

    def code(self, value: object) -> int:
        """Return the position of a value."""
        if type(value) is int:
            try:
                return self.values().index(value)
            except ValueError:
                pass
        raise self.refuse(value)

    def value(self, code: Any) -> int:
        """Return the value at a position."""
        value: int = self.values()[code]
        return value


@lru_cache(maxsize=4096)
def _powers(low: int, high: int, factor: int) -> tuple[int, ...]:
    values = [low]
    while values[-1] * factor <= high:
        values.append(values[-1] * factor)
    return tuple(values)


@dataclass(frozen=True, slots=True, eq=False)
class FloatRange(Point):
    """Real numbers from `low` to `high`, both included; with a step, finitely many.

    Args:
        low: smallest value.
        high: largest value.
        step: distance of neighbouring values, counted exactly in decimal.
        log: draw log-uniformly and scale logarithmically when encoding.
        default: a value; `low` if absent.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    default: float = _UNSET

    kind: ClassVar[str] = "float"

    def _check(self) -> None:
        _numbers(self.address, self.low, self.high, whole=False)
        self._set(low=float(self.low) + 0.0, high=float(self.high) + 0.0)
        if self.step is not None:
            _numbers(self.address, self.step, whole=False)
            self._set(step=float(self.step))
        if self.low > self.high or (self.step is not None and self.step <= 0) or (self.log and self.low <= 0):
            raise SpaceError(
                f"{self.address}: a range needs low <= high, a step above 0, and low > 0 when log; "
                f"got {self.domain}"
            )
        if self.default is _UNSET:
            self._set(default=self.low)
        try:
            self._set(default=self.value(self.code(self.default)) if self.finite else self.real(self.default))
        except DecisionError as error:
            raise SpaceError(f"{self.address}: the default must be a value of the point ({error})") from None

    def _check_weights(self) -> None:
        if not self.finite:
            raise SpaceError(f"{self.address}: a real range without a step takes no weights")
        Point._check_weights(self)

    def _check_branch(self, branch: Branch) -> None:
        if not self.finite:
            raise SpaceError(f"{self.address}: nothing can hang under a real range; give it a step")
        Point._check_branch(self, branch)

    @property
    def finite(self) -> bool:
        """Whether there are finitely many values: a step, or a single value."""
        return self.step is not None or self.low == self.high

    @property
    def codes(self) -> int:
        """How many values there are, 0 when they cannot be listed."""
        return len(self.values()) if self.finite else 0

    @property
    def cardinality(self) -> int | float:
        """How many values there are."""
        return self.codes if self.finite else math.inf

    @property
    def domain(self) -> str:
        """The range, as annotated."""
        tail = f" step {self.step!r}" if self.step is not None else ""
        return f"{'log ' * self.log}{self.low!r}..{self.high!r}{tail}"

    def values(self) -> Sequence[float]:
        """Return the values in order; a range without a step has none to list."""
        if not self.finite:
            raise SpaceError(f"{self.address}: a real range without a step cannot be listed; give it a step")
        return _stepped(self.low, self.high, self.step)

    def real(self, value: object) -> float:
        """Return a value of a range without a step as a float."""
        if isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high:
            return float(value) + 0.0
        raise self.refuse(value)

    def code(self, value: object) -> int:
        """Return the position of a value among those of a stepped range."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            values = self.values()
            size = self.step if self.step is not None else 1.0
            near = round((value - self.low) / size) if math.isfinite(value) else -1
            if 0 <= near < len(values) and values[near] == value:
                return near
        raise self.refuse(value)

    def value(self, code: Any) -> float:
        """Return the value at a position."""
        value: float = self.values()[code]
        return value


@lru_cache(maxsize=4096)
def _stepped(low: float, high: float, step: float | None) -> tuple[float, ...]:
    if step is None or low == high:
        return (low,)
    first, size = Decimal(repr(low)), Decimal(repr(step))
    count = int((Decimal(repr(high)) - first) / size) + 1
    return tuple(float(first + size * position) for position in range(count))


@dataclass(frozen=True, slots=True, eq=False)
class Tied(Point):
    """The same value as another, earlier point: it has none of its own and counts once.

    Args:
        target: address of the point whose value this one takes; it must exist wherever this one does.
    """

    target: str

    kind: ClassVar[str] = "tied"

    def _check(self) -> None:
        if not isinstance(self.target, str) or not self.target:
            raise SpaceError(f"{self.address}: a tie names the address of another point, got {self.target!r}")

    def _check_weights(self) -> None:
        raise SpaceError(f"{self.address}: a tie takes no weights; give them to {self.target}")

    def _check_branch(self, branch: Branch) -> None:
        """Branches of a tie are checked against its target by the space."""

    @property
    def cardinality(self) -> int:
        """A tie adds nothing to decide."""
        return 1

    @property
    def domain(self) -> str:
        """The tie, as annotated."""
        return f"same as {self.target}"
