"""Scoring children under weights that all of them share: the estimator of one-shot search, as a description.

    symnas.search(program, symnas.SharedWeights(task), algorithm="evolution", trials=500)

One network holds the weights of all children (`symnas.supernet`). Either it is trained first, for as long as
the task says, and then every trial scores a child under it; or training and trials alternate. The laws:

- The weights that trial n is scored under depend on the study's seed, on the trials before it and on nothing
  else. Scoring changes no weight and no statistic.
- So a study continues exactly. What is saved beside the store spares work and carries no results: weights
  that are missing, older than the log or ahead of it are trained again, as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symnas._fingerprint import describe
from symnas.contracts.estimator import Argument, Resources
from symnas.errors import AlgorithmError, EvaluatorError, StudyError
from symnas.oneshot.policies import Policy
from symnas.oneshot.policy_registry import policy_of
from symnas.oneshot.settings import OneShotSettings, Score, is_task

if TYPE_CHECKING:
    from symnas.contracts.algorithm import Algorithm
    from symnas.frontend.protocols import ProgramView
    from symnas.oneshot.run import SharedRun
    from symnas.supernet.supernet import Supernet
    from symnas.training.task import Task


REFUSES: Mapping[Argument, str] = {
    "workers": "give workers=1; batches are what runs in parallel, on the task's device",
    "timeout": "leave it out, or let require clauses keep slow children out",
    "keep": "the weights of a trial are those of all: leave it out, and extract children from the network "
    "that SharedWeights.fit returns, or train the best one alone with the task's fit",
    "pruner": "a trial is one look at weights that are there; leave the pruner out",
}


class SharedWeights(OneShotSettings):
    """An estimator that scores a decision under shared weights, for any algorithm that asks for outcomes.

    Without `alternate`, the weights are trained for the whole length of the task by a policy (single-path
    one-shot, FairNAS, BigNAS, once-for-all, …), and look-ups of known decisions stay on. With it, a turn of
    training comes before every `alternate` trials until the task's length is used up (ENAS: Pham et al. 2018,
    arXiv:1802.03268); what is better depends on when it was asked, so that nothing is looked up, and the best
    trial is sought among those under the weights that were trained longest.

    Normalisation layers with running statistics are scored with statistics of the child's own.

    Args:
        task: how children are trained and scored.
        policy: which children a training step takes: `"uniform"`, `"fair"`, `"sandwich"`, `"progressive"`,
            `"delayed"`, `"sorted"`, `"mcts"`, `"proposed"` (those that the algorithm would propose), or a
            `symnas.oneshot.Policy`. By default uniform, and proposed where training alternates.
        options: of a policy given by name.
        alternate: how many trials are scored between two turns of training; None trains first.
        turn: length of a turn, in epochs, or in steps where the task's length is in steps.
        score: on the whole validation "split", or on one "batch" of it, drawn anew for every trial, as long
            as training goes on; afterwards it is the whole split in any case.
        recalibrate: batches of training data from which a child's running statistics are computed before it
            is scored on the split; for a batch they are that batch's own. 0 leaves the shared ones.
        distill: loss of outputs against a teacher's, for policies that teach; the cross-entropy of the two
            softmax distributions along dimension 1 for None.
        checkpoint: how many epochs (100 times as many steps) come between two checkpoints.
        supernet: weights to score under as they are; nothing is trained then.

    Raises:
        EvaluatorError: an argument is unknown, or two contradict each other.
    """

    def __init__(
        self,
        task: Task,
        *,
        policy: str | Policy | None = None,
        options: Mapping[str, Any] | None = None,
        alternate: int | None = None,
        turn: int = 1,
        score: Score = "split",
        recalibrate: int = 20,
        distill: Callable[[Any, Any], Any] | None = None,
        checkpoint: int = 1,
        supernet: Supernet | None = None,
    ) -> None:
        super().__init__(
            task=task,
            policy=policy_of(policy or ("uniform" if alternate is None else "proposed"), options),
            alternate=alternate,
            turn=turn,
            score=score,
            recalibrate=recalibrate,
            distill=distill,
            checkpoint=checkpoint,
            supernet=supernet,
        )

    @property
    def objectives(self) -> Mapping[str, str]:
        """What is optimised: the task's."""
        return self.task.objectives

    @property
    def fidelities(self) -> None:
        """No trial is trained by itself, so an algorithm has nothing to say about how far it goes."""

    @property
    def resources(self) -> Resources:
        """One network in one process, which trials score in turn."""
        return Resources(
            offers=frozenset({"shared_weights"}),
            repeatable=self.alternate is None,
            refuses=REFUSES,
            because="shared weights are one network in this process",
            folder="shared",
        )

    @property
    def identity(self) -> SharedWeights:
        """The settings and the task, by `fingerprint`."""
        return self

    def check(self, target: Any, algorithm: Algorithm) -> None:
        """Refuse an algorithm that trains trials differently far, and what is searched without code.

        Raises:
            AlgorithmError: the algorithm has fidelities.
            StudyError: what is searched constructs no weights.
        """
        if algorithm.capabilities.fidelity:
            raise AlgorithmError(
                f"{type(algorithm).__name__} lets trials be trained differently far, and under shared "
                "weights no trial is trained by itself: take an algorithm that learns from outcomes, or give "
                "it the task"
            )
        if not callable(getattr(target, "supernet", None)):
            raise StudyError(
                f"weights are shared by where the code of a program constructs them, and {target!r} has no "
                "code: search symnas.program(…) of a class or a function"
            )

    def open(
        self,
        program: ProgramView,
        algorithm: Algorithm | None = None,
        *,
        seed: int = 0,
        folder: Path | None = None,
        trials: int = 0,
        tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    ) -> SharedRun:
        """Return what scores the decisions of a program, with weights that are not trained yet.

        Args:
            program: whose children.
            algorithm: what searches, for the policy "proposed".
            seed: of initial values, data order and draws.
            folder: where checkpoints are; what is found there is gone on from. None for none.
            trials: how many trials there are already; checkpoints of weights that are ahead are not used.
            tell: shows a line about how the training goes.

        Raises:
            EvaluatorError: children fail on the task's data, or their outputs differ in shape.
        """
        from symnas.oneshot.run import SharedRun

        if not callable(getattr(program, "supernet", None)):
            raise EvaluatorError(
                f"weights are shared by where the code of a program constructs them, and {program!r} has no "
                "code: give symnas.program(…) of a class or a function"
            )
        return SharedRun(self, program, algorithm, seed, folder, trials, tell)

    def fit(self, program: ProgramView, *, seed: int = 0) -> Supernet:
        """Train the shared weights of a program for the whole length of the task and return them.

        Args:
            program: whose children.
            seed: of initial values, data order and draws.
        """
        run = self.open(program, seed=seed)
        run.train(self.length)
        return run.supernet

    @classmethod
    def serving(cls, given: Any, algorithm: Algorithm) -> SharedWeights:
        """Return shared weights for an algorithm that asks for them and was given a task.

        Args:
            given: as the search was given it.
            algorithm: says how weights are shared (`Algorithm.sharing`).

        Raises:
            AlgorithmError: it is no task.
        """
        if not is_task(given):
            raise AlgorithmError(
                f"{type(algorithm).__name__} trains one network that all children share, for which it needs "
                f"a symnas.Task (data, loss, optimiser) or symnas.SharedWeights(task); got {given!r}, which "
                "can only be asked for outcomes: give a task, or take an algorithm that learns from outcomes"
            )
        return cls(given, **algorithm.sharing)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the task and the settings, the same in every process."""
        digest = hashlib.blake2b(digest_size=16)
        settings = (repr(self.policy), self.alternate, self.turn, self.score, self.recalibrate)
        digest.update(f"{self.task.fingerprint}|{settings!r}|{describe(self.distill)}".encode())
        if self.supernet is not None:
            digest.update(describe(dict(self.supernet.state_dict())).encode())
        return digest.hexdigest()

    def __call__(self, decision: Any, trial: Any) -> Mapping[str, float]:
        """Refuse to be called by itself: a search opens it first."""
        raise EvaluatorError(
            f"shared weights belong to a search, which trains them; this was called for trial "
            f"{getattr(trial, 'number', trial)} ({decision}) by something else: use symnas.search(program, "
            "symnas.SharedWeights(task)), or SharedWeights(task).open(program)"
        )

    def __repr__(self) -> str:
        """Show the settings."""
        how = "" if self.alternate is None else f", alternate={self.alternate}, turn={self.turn}"
        return f"SharedWeights({self.task!r}, policy={self.policy!r}{how}, score={self.score!r})"
