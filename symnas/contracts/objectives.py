"""What a study optimises: metrics, each with a direction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from symnas.errors import EvaluatorError, StudyError, nearest

DIRECTIONS = ("max", "min")


@dataclass(frozen=True)
class Objectives:
    """Directions by metric; without any, the only metric of the evaluator, to be maximised.

    Args:
        directions: pairs of a metric's name and `max` or `min`, in order.
    """

    directions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, given: Mapping[str, str] | Iterable[str] | str | None) -> Objectives:
        """Read what a user writes: `{"accuracy": "max", "latency": "min"}`, `"accuracy"` or None.

        Raises:
            StudyError: a direction is neither `max` nor `min`.
        """
        if given is None:
            return cls()
        if isinstance(given, str):
            given = {given: "max"}
        elif not isinstance(given, Mapping):
            given = dict.fromkeys(given, "max")
        for name, direction in given.items():
            if direction not in DIRECTIONS:
                raise StudyError(
                    f"an objective's direction is 'max' or 'min'; {name!r} has {direction!r}"
                    f"{nearest(str(direction), DIRECTIONS)}: write objectives={{{name!r}: 'max'}}"
                )
        return cls(tuple((str(name), direction) for name, direction in given.items()))

    @property
    def count(self) -> int:
        """How many objectives there are."""
        return max(1, len(self.directions))

    def to_json(self) -> dict[str, str]:
        """Return the directions by name."""
        return dict(self.directions)

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """Return the objectives' values as reported, in order.

        Raises:
            EvaluatorError: a metric is missing, or several came and none was said to be the objective.
        """
        if not self.directions:
            if len(metrics) != 1:
                raise EvaluatorError(
                    f"with several metrics the search is told which to optimise; the evaluator returned "
                    f"{', '.join(metrics) or 'none'}: write "
                    f"objectives={{{next(iter(metrics), 'accuracy')!r}: 'max'}}"
                )
            return tuple(metrics.values())
        for name, _ in self.directions:
            if name not in metrics:
                raise EvaluatorError(
                    f"an evaluator returns every objective; {name!r} is not among "
                    f"{', '.join(metrics) or 'nothing'}{nearest(name, metrics)}: return it or change "
                    f"objectives="
                )
        return tuple(metrics[name] for name, _ in self.directions)

    def oriented(self, values: Sequence[float]) -> tuple[float, ...]:
        """Turn values round where needed, so that larger is better."""
        if not self.directions:
            return tuple(values)
        pairs = zip(values, self.directions, strict=True)
        return tuple(value if direction == "max" else -value for value, (_, direction) in pairs)


def undefined(values: Iterable[float]) -> bool:
    """Whether a value is NaN or infinite: neither can be compared or learnt from."""
    return not all(math.isfinite(value) for value in values)
