"""What halving algorithms share: an inner algorithm, rungs, and an order among results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symnas.contracts.algorithm import Algorithm, Capabilities, Prediction, depending
from symnas.contracts.fidelity import Proposal, ladder
from symnas.contracts.hyperparameters import anything, hyperparameter, optional, whole, with_hyperparameters
from symnas.contracts.pareto import ranks
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

Values = tuple[float, ...]
InnerOptions = tuple[tuple[str, Any], ...] | str


@with_hyperparameters(source="Li et al. 2018")
class Halver(Algorithm):
    """Base of the algorithms that stop most trials early and let an inner algorithm propose them."""

    capabilities: ClassVar[Capabilities] = depending(
        Capabilities(multi_objective=True, fidelity=True),
        lambda own: replace(own.parts[0].capabilities, fidelity=True),
    )

    inner: str = hyperparameter(
        "random",
        anything("the name of one that proposes whole decisions"),
        "name of the algorithm that proposes decisions",
    )
    inner_options: tuple[tuple[str, Any], ...] | str = hyperparameter(
        (),
        anything("pairs, a mapping or a text"),
        'options of the inner algorithm, as pairs or as `"population=20,tournament=5"`',
        source="",
    )
    factor: int = hyperparameter(
        3, whole(2), "ratio of the rungs' fidelities, and the inverse of the share that goes on"
    )
    low: int | None = hyperparameter(
        None, optional(whole(1)), "lowest fidelity; None takes the evaluator's, or 1", source=""
    )
    high: int | None = hyperparameter(
        None,
        optional(whole(1)),
        "highest fidelity (epochs, steps); None takes the evaluator's",
        source="",
    )

    def __post_init__(self) -> None:
        """Refuse an inner algorithm that cannot be made, or that needs more than outcomes."""
        super().__post_init__()
        self.inner_options = plain_options(self.inner_options)
        self._make()

    def _make(self) -> Algorithm:
        from symnas.contracts.registry import parse_options, resolve

        given = self.inner_options
        options = parse_options(given.split(",")) if isinstance(given, str) else dict(given)
        made = resolve(self.inner, options)
        able = made.capabilities
        if able.fidelity or able.shared_weights or able.relaxed or not able.parallel:
            raise AlgorithmError(
                f"{type(self).__name__} takes an inner algorithm that proposes whole decisions, several "
                f"before it sees a result; {self.inner!r} does not: use 'random' or 'evolution', say"
            )
        return made

    @property
    def parts(self) -> tuple[Algorithm, ...]:
        """The inner algorithm."""
        return (self._make(),)

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._inner = self._make()
        self._inner.setup(space)
        name = type(self).__name__
        if self.high is None:
            raise AlgorithmError(
                f"{name} needs to know how far a trial goes at most; neither the option `high` nor the "
                "evaluator says it: search with a Task, or set high=27, say (epochs, steps, whatever the "
                "evaluator counts)"
            )
        self._ladder = ladder(self.low or 1, self.high, self.factor)
        if len(self._ladder) < 2:
            raise AlgorithmError(
                f"{name} compares trials before they are over, so they must go at least {self.factor} times "
                f"as far as at first; got low={self.low or 1}, high={self.high}, factor={self.factor}: raise "
                "high (a task's epochs), or lower factor"
            )

    def predict(self, batch: Batch) -> Prediction:
        """Return what the inner algorithm expects of decisions."""
        return self._inner.predict(batch)

    def _proposal(self, rows: Sequence[Batch], fidelities: Sequence[int]) -> Proposal:
        if not rows:
            return Proposal(self._space.batch([]), ())
        joined = rows[0] if len(rows) == 1 else type(rows[0]).concat(rows)
        return Proposal(joined, fidelities)


def plain_options(given: object) -> InnerOptions:
    """Return options as they are written in a `repr`: a text, or pairs of name and value.

    Args:
        given: `"population=20,tournament=5"`, a mapping, or pairs, as lists too (JSON has no tuples).

    Raises:
        AlgorithmError: it is something else.
    """
    if isinstance(given, str):
        return given
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        return tuple((str(name), value) for name, value in pairs)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise AlgorithmError(
            "inner_options are pairs of name and value, or a text; got "
            f"{given!r}: write (('population', 20),) or 'population=20'"
        ) from None


def usable(values: Values | None) -> bool:
    """Whether there are values that can be compared."""
    return values is not None and not any(map(math.isnan, values))


def best_first(values: Sequence[Values | None]) -> list[int]:
    """Return the positions of what can be compared, best first; of equals, the earlier.

    With several objectives, by non-dominated fronts, and within a front by an epsilon net: first the best in
    the first objective, then always the one farthest from those before it, each objective measured in the
    range that it has among all. Schmucker, Donini, Zafar, Salinas, Archambeau: Multi-objective Asynchronous
    Successive Halving (arXiv:2106.12639), section 3; they do not scale the objectives.

    Args:
        values: per position one number per objective, larger being better, or None.
    """
    places = [place for place, value in enumerate(values) if usable(value)]
    table = np.array([values[place] for place in places], dtype=float)
    if not places:
        return []
    # Stable, so that of equals the earlier comes first.
    if table.shape[1] == 1:
        return [places[row] for row in np.argsort(-table[:, 0], kind="stable")]
    front = ranks(table)
    order: list[int] = []
    # Infinity is at no distance from anything; within a front it counts as 0.
    finite = np.where(np.isfinite(table), table, 0.0)
    span = np.ptp(finite, axis=0)
    scaled = finite / np.where(span > 0, span, 1.0)
    for rank in range(int(front.max()) + 1):
        members = np.flatnonzero(front == rank)
        order += [int(members[row]) for row in epsilon_net(scaled[members])]
    return [places[row] for row in order]


def epsilon_net(points: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Return the points in the order in which each is the farthest from those before it.

    Args:
        points: (points, objectives); the first is the one that is best in the first objective.
    """
    # Farthest-first (Gonzalez 1985): `nearest` holds min over chosen c of |p - c|, (points,), and takes one
    # more into account per round; -1 keeps what was chosen from being chosen again.
    order = [int(points[:, 0].argmax())]
    nearest = np.linalg.norm(points - points[order[0]], axis=1)
    nearest[order[0]] = -1.0
    while len(order) < len(points):
        order.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[order[-1]], axis=1))
        nearest[order] = -1.0
    return order
