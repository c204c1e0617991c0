"""What a study optimises: metrics, each with a direction."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from symnas.errors import EvaluatorError, StudyError, nearest

DIRECTIONS: Mapping[str, str] = {
    "max": "max", "min": "min", "maximize": "max", "minimize": "min", "maximise": "max", "minimise": "min",
}  # fmt: skip
"""What users write, and what it means."""
# Words of metrics of which less is better, as papers and libraries use them, without those that are doubtful.
LESS_IS_BETTER = frozenset({
    "loss", "error", "err", "perplexity", "ppl", "nll", "mse", "rmse", "mae", "mape", "bpc", "wer", "cer",
    "fid", "regret", "latency", "cost", "flops",
})  # fmt: skip
TURNED_ROUND = frozenset({"neg", "negative", "minus", "inverse"})
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


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
            StudyError: a direction is none, or a name without one says that less is better.
        """
        if given is None:
            return cls()
        if isinstance(given, str):
            given = [given]
        if not isinstance(given, Mapping):
            given = {name: assumed(name) for name in given}
        for name, direction in given.items():
            if direction not in DIRECTIONS:
                raise StudyError(
                    f"an objective's direction is 'max' or 'min'; {name!r} has {direction!r}"
                    f"{nearest(str(direction), DIRECTIONS)}: write objectives={{{name!r}: {likely(name)!r}}}"
                )
        return cls(tuple((str(name), DIRECTIONS[direction]) for name, direction in given.items()))

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
                first = next(iter(metrics), "accuracy")
                raise EvaluatorError(
                    "with several metrics the search is told which to optimise; the evaluator returned "
                    f"{', '.join(metrics) or 'none'}: write objectives={{{first!r}: {likely(first)!r}}}"
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


def less_is_better(name: str) -> bool:
    """Whether a metric's name says that less is better: one of its words does (`val_loss`, `testError`)."""
    # `val_loss`, `valLoss`, `RMSE`, `top1-error`: capitals begin a word unless they go on, as in an acronym.
    words = {word.lower() for word in WORDS.findall(name)}
    return bool(words & LESS_IS_BETTER) and not words & TURNED_ROUND


def likely(name: str) -> str:
    """Return the direction that a metric's name suggests, for messages."""
    return "min" if less_is_better(name) else "max"


def assumed(name: str) -> str:
    """Return the direction of an objective that is given without one: `max`.

    Raises:
        StudyError: the name says that less is better, so that nothing is assumed.
    """
    if less_is_better(name):
        raise StudyError(
            f"a metric whose name says that less of it is better is given its direction; {name!r} has none: "
            f"write objectives={{{name!r}: 'min'}} (or 'max', if that is meant)"
        )
    return "max"


def undefined(values: Iterable[float]) -> bool:
    """Whether a value is NaN or infinite: neither can be compared or learnt from."""
    return not all(math.isfinite(value) for value in values)
