"""Decision points over numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar

from symnas.errors import DecisionError, SpaceError
from symnas.tree.point import UNSET, Branch, Point


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
    default: int = UNSET

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
        if self.default is UNSET:
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
        # code k stands for low + k * step, or low * factor^k
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
        if self.default is UNSET:
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
    # In binary 0.1 + 2 * 0.1 is not 0.3: the numbers are counted as they are written.
    first, size = Decimal(repr(low)), Decimal(repr(step))
    count = int((Decimal(repr(high)) - first) / size) + 1
    return tuple(float(first + size * position) for position in range(count))
