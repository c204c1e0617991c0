"""Decision points over numbers.

However many values a range has, a value and its position are worked out from each other; those of a range of
more than `LONG` values are never listed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar

from symnas.errors import DecisionError, SpaceError
from symnas.tree.point import UNSET, Branch, Point, plain

# Values that may stand in a list; of more, one at a time is worked out.
LONG = 1 << 16
# Positions, and sums of two of them, are numbers of 64 bits.
MOST = (1 << 62) + 1


def _numbers(address: str, *numbers: object, whole: bool) -> None:
    for number in numbers:
        fits = isinstance(number, int) if whole else isinstance(number, int | float)
        if isinstance(number, bool) or not fits or not math.isfinite(number):  # type: ignore[arg-type]
            wanted = "whole numbers" if whole else "finite numbers"
            raise SpaceError(f"{address}: a range is given in {wanted}, got {number!r}")


def _check_length(point: IntRange | FloatRange, length: int) -> None:
    if length > MOST:
        raise SpaceError(
            f"{point.address}: a range has at most 2**62 steps, and {point.domain} has more; give it a "
            "larger step, or nearer ends"
        )


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
    default: int = UNSET

    kind: ClassVar[str] = "int"

    def _check(self) -> None:
        self._set(low=plain(self.low), high=plain(self.high), step=plain(self.step))
        _numbers(self.address, self.low, self.high, self.step, whole=True)
        if self.low < -(2**63) or self.high >= 2**63:
            raise SpaceError(
                f"{self.address}: the numbers of a range have 64 bits, from -2**63 to 2**63 - 1; got "
                f"{self.low}..{self.high}"
            )
        if self.factor is not None:
            self._set(factor=plain(self.factor))
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
        if self.factor is None:
            _check_length(self, (self.high - self.low) // self.step + 1)
        self._set(default=self.low if self.default is UNSET else plain(self.default))
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
        # code k stands for low + k * step, or low * factor^k
        if self.factor is None:
            return range(self.low, self.high + 1, self.step)
        return _powers(self.low, self.high, self.factor)

    def code(self, value: object) -> int:
        """Return the position of a value."""
        found = value if type(value) is int else plain(value)
        if type(found) is int:
            try:
                return self.values().index(found)
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
    # low, low * factor, low * factor^2, … up to high
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
    default: float = UNSET

    kind: ClassVar[str] = "float"

    def _check(self) -> None:
        self._set(low=plain(self.low), high=plain(self.high), step=plain(self.step))
        _numbers(self.address, self.low, self.high, whole=False)
        # x + 0.0 makes -0.0 a 0.0: the two are equal, and their rows of bytes would not be.
        self._set(low=float(self.low) + 0.0, high=float(self.high) + 0.0)
        if self.step is not None:
            _numbers(self.address, self.step, whole=False)
            self._set(step=float(self.step))
        if self.low > self.high or (self.step is not None and self.step <= 0) or (self.log and self.low <= 0):
            raise SpaceError(
                f"{self.address}: a range needs low <= high, a step above 0, and low > 0 when log; "
                f"got {self.domain}"
            )
        self._check_size()
        if self.default is UNSET:
            self._set(default=self.low)
        try:
            self._set(default=self.value(self.code(self.default)) if self.finite else self.real(self.default))
        except DecisionError as error:
            raise SpaceError(f"{self.address}: the default must be a value of the point ({error})") from None

    def _check_size(self) -> None:
        if not math.isfinite(self.high - self.low):
            raise SpaceError(
                f"{self.address}: the width of a range, high - low, is a finite number, and that of "
                f"{self.domain} is beyond 1.8e308; give it nearer ends"
            )
        if self.step is None or self.low == self.high:
            return
        _check_length(self, self.codes)
        # Values that are as far apart as floats there, and do not lie on floats, may be rounded together.
        unit = math.ulp(max(abs(self.low), abs(self.high)))
        apart = self.step > unit or (self.step == unit and self.low % unit == 0.0)
        if self.codes > 1 and not apart:
            raise SpaceError(
                f"{self.address}: a step tells neighbouring values apart, and floats as large as those of "
                f"{self.domain} are {unit:.3g} apart; give it a larger step, or none"
            )

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
        if not self.finite:
            return 0
        return 1 if self.step is None else _length(self.low, self.high, self.step)

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
        if self.codes > LONG and self.step is not None:
            return Steps(self.low, self.step, self.codes)
        return _stepped(self.low, self.high, self.step)

    def real(self, value: object) -> float:
        """Return a value of a range without a step as a float."""
        number = plain(value)
        if (
            isinstance(number, int | float)
            and not isinstance(number, bool)
            and self.low <= number <= self.high
        ):
            return float(number) + 0.0
        raise self.refuse(value)

    def code(self, value: object) -> int:
        """Return the position of a value among those of a stepped range."""
        value = plain(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            values = self.values()
            if isinstance(values, Steps):
                near = values.nearest(value) if math.isfinite(value) else -1
                if 0 <= near < len(values) and values[near] == value:
                    return near
                raise self.refuse(value)
            size = self.step if self.step is not None else 1.0
            # The only position that can have the value; equality then decides, to the last bit.
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
    return tuple(Steps(low, step, _length(low, high, step)))


@lru_cache(maxsize=4096)
def _length(low: float, high: float, step: float) -> int:
    return int((Decimal(repr(high)) - Decimal(repr(low))) / Decimal(repr(step))) + 1


class Steps(Sequence[float]):
    """The values of a stepped range, each worked out when it is asked for.

    In binary 0.1 + 2 * 0.1 is not 0.3: the numbers are counted as they are written.

    Args:
        low: the first value.
        step: their distance.
        count: how many there are.
    """

    __slots__ = ("_count", "_first", "_size")

    def __init__(self, low: float, step: float, count: int) -> None:
        self._first, self._size, self._count = Decimal(repr(low)), Decimal(repr(step)), count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        """Return the value at a position, or those of a slice as a list."""
        if isinstance(place, slice):
            return [self[position] for position in range(self._count)[place]]
        return float(self._first + self._size * range(self._count)[place])

    def nearest(self, value: float) -> int:
        """Return the position, inside or outside, whose value would be the nearest to a finite number."""
        # repr is less than half a float away from the exact value, and steps are at least a float apart.
        return int(((Decimal(repr(float(value))) - self._first) / self._size).to_integral_value())

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Return the position of a value."""
        near = self.nearest(value)
        if near in range(self._count)[start:stop] and self[near] == value:
            return near
        raise ValueError(f"{value!r} is not among the values")
