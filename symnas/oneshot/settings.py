"""How weights are shared: what the estimator is told, and what one training of a supernet asks of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from symnas.errors import EvaluatorError, nearest
from symnas.oneshot.policies import Policy, Proposed, whole

if TYPE_CHECKING:
    from symnas.supernet.supernet import Supernet
    from symnas.training.task import Task

Score = Literal["split", "batch"]
SCORES = ("split", "batch")
FINAL_TRIALS = 100
"""Trials after the last turn of training, where the number of trials is not given."""


def is_task(given: object) -> bool:
    """Whether something trains a module and says for how long, as a `symnas.Task` does."""
    # Asked of its looks, so that importing this imports no torch.
    return callable(getattr(given, "fit", None)) and getattr(given, "fidelities", None) is not None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OneShotSettings:
    """Settings of `SharedWeights`, whose docstring says what each of them means, checked against each other.

    Raises:
        EvaluatorError: one is out of range, or two contradict each other.
    """

    task: Task
    policy: Policy
    alternate: int | None = None
    turn: int = 1
    score: Score = "split"
    recalibrate: int = 20
    distill: Callable[[Any, Any], Any] | None = None
    checkpoint: int = 1
    supernet: Supernet | None = None

    def __post_init__(self) -> None:
        """Check them."""
        if not is_task(self.task):
            raise EvaluatorError(
                "shared weights are trained by a symnas.Task, which has the data, the loss and the "
                f"optimiser; got {self.task!r}"
            )
        if self.alternate is not None:
            whole("alternate", self.alternate, 1)
        whole("turn", self.turn, 1)
        whole("recalibrate", self.recalibrate, 0)
        whole("checkpoint", self.checkpoint, 1)
        if self.score not in SCORES:
            raise EvaluatorError(
                f"a child is scored on the 'split' or on a 'batch'; got {self.score!r}"
                f"{nearest(str(self.score), SCORES)}"
            )
        if self.alternate is None and isinstance(self.policy, Proposed):
            raise EvaluatorError(
                "policy 'proposed' trains what the algorithm proposes, which it learns from trials: let "
                "training and trials alternate, as alternate=300"
            )
        if self.alternate is None and self.score == "batch":
            raise EvaluatorError(
                "score='batch' is for turns of training with cheap trials between them (alternate=…); "
                "weights that are trained first are scored on the split"
            )
        if self.supernet is not None and self.alternate is not None:
            raise EvaluatorError(
                "weights that are given are scored as they are, so there is nothing to alternate with: leave "
                "supernet or alternate out"
            )

    @property
    def length(self) -> int:
        """How long the weights are trained, in epochs or steps."""
        return 0 if self.supernet is not None else self.task.fidelities[1]

    @property
    def usual_trials(self) -> int | None:
        """How many trials a search takes by itself: those between the turns, and some at the end."""
        if self.alternate is None:
            return None
        return (-(-self.length // self.turn) - 1) * self.alternate + FINAL_TRIALS

    def goal(self, number: int) -> int:
        """Return how long the weights have been trained when trial `number` is scored.

        With `alternate` = a and `turn` = t, one turn of training precedes trials 0 to a - 1, a second one
        trials a to 2a - 1, and so on: min(length, (number // a + 1) t). It depends on the number alone, so
        that a study which goes on trains exactly what it would have trained in one go.
        """
        if self.alternate is None:
            return self.length
        return min(self.length, (number // self.alternate + 1) * self.turn)
