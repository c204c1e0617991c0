"""The kinds of decision points: choices among candidates here, numbers and the base in their own modules."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from symnas._typing import Code, Label, Value
from symnas.errors import DecisionError, SpaceError
from symnas.tree.point import UNSET, Branch, Guard, Point, identity, label_key, plain, show
from symnas.tree.ranges import FloatRange, IntRange
from symnas.tree.subsets import Subsets

__all__ = [
    "Branch",
    "Code",
    "FloatRange",
    "Guard",
    "IntRange",
    "Label",
    "ManyOf",
    "OneOf",
    "Permutation",
    "Point",
    "Tied",
    "Value",
    "identity",
    "label_key",
    "show",
]


def _check_labels(address: str, labels: Sequence[Label]) -> tuple[Label, ...]:
    given = tuple(labels)
    made = tuple(map(plain, given))
    # The same tuple where nothing changed: pickles, whose hashes studies hold, tell objects that are one.
    given = given if all(map(operator.is_, made, given)) else made
    if not given:
        raise SpaceError(f"{address}: a choice needs at least one candidate, got none")
    seen: set[object] = set()
    for label in given:
        if not isinstance(label, str | int | float | bool | None):
            raise SpaceError(f"{address}: labels are text, numbers, True, False or None, got {label!r}")
        if isinstance(label, float) and not math.isfinite(label):
            raise SpaceError(f"{address}: a number among the candidates must be finite, got {label!r}")
        # By key, since `True == 1 == 1.0` in Python and they are three labels here.
        if label_key(label) in seen:
            raise SpaceError(f"{address}: candidates must differ, {label!r} is given twice")
        seen.add(label_key(label))
    return given


@lru_cache(maxsize=4096)
def _positions(labels: tuple[object, ...]) -> dict[object, int]:
    return {key: position for position, key in enumerate(labels)}


def _find(candidates: tuple[Label, ...], label: object) -> int | None:
    # What cannot be hashed is no label.
    try:
        return _positions(tuple(map(label_key, candidates))).get(label_key(plain(label)))
    except TypeError:
        return None


def _listed(labels: Sequence[Value], limit: int = 12) -> str:
    texts = [show(label) for label in labels[:limit]]
    return "{" + ", ".join(texts + (["…"] if len(labels) > limit else [])) + "}"


@dataclass(frozen=True, slots=True, eq=False)
class OneOf(Point):
    """One of several candidates; the first is the default unless another is named."""

    candidates: tuple[Label, ...]
    default: Label = UNSET

    kind: ClassVar[str] = "oneof"

    def _check(self) -> None:
        self._set(candidates=_check_labels(self.address, self.candidates))
        self._set(default=self.candidates[0] if self.default is UNSET else plain(self.default))
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
        # An unknown label makes the codes fewer than the labels, which is refused below.
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
        # By position in the listing: that of `only`, or sizes ascending and then lexicographic (`subsets`).
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
    default: tuple[Label, ...] = UNSET
    only: tuple[tuple[Label, ...], ...] = ()

    kind: ClassVar[str] = "manyof"

    def _check(self) -> None:
        self._set(candidates=_check_labels(self.address, self.candidates))
        # sizes: 0 <= low <= high, high >= 1, and high <= n unless candidates repeat
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
        if self.default is UNSET:
            self._set(default=self.value(next(iter(self.subsets))))
        self._set(default=self._check_default(self.default))

    def _check_branch(self, branch: Branch) -> None:
        _Selection._check_branch(self, branch)
        # Under repeats the j-th choice of a candidate has points of its own, j = 0 .. high - 1.
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

    default: tuple[Label, ...] = UNSET
    only: tuple[tuple[Label, ...], ...] = ()

    kind: ClassVar[str] = "permutation"

    def _check(self) -> None:
        self._set(candidates=_check_labels(self.address, self.candidates))
        # An order of n is an ordered selection of n out of n.
        plain = _subsets(self.codes, self.codes, self.codes, True, False, ())
        rows = self._code_only(self.only, plain)
        self._set(only=tuple(self.value(row) for row in rows))
        if self.default is UNSET:
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
