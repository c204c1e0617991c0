"""Searching by training all candidates at once, as an algorithm like any other.

A relaxed search of a program ends in one decision. To a study it is a proposal: `RelaxedSearch` trains the
relaxed network when it is asked for one, and what it derives becomes a trial, whose child is trained by
itself. So k trials are k searches, each with a seed of its own, and the log, Ctrl-C, look-ups and workers
are what they are for every algorithm. Asked again after a kill it goes on from its last epoch: the seed is
that of the proposal, and names the file. `RelaxedEstimator` is the task that gives a study both, what
proposes and what evaluates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.estimator import EachAlone, Resources
from symnas.contracts.outcome import Outcome
from symnas.contracts.registry import BUILT_IN, find, resolve
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm
from symnas.contracts.relaxed_points import RelaxedKind
from symnas.errors import AlgorithmError
from symnas.frontend.protocols import ProgramView
from symnas.tree.space import Batch, Decision, Space

WORDS: Mapping[RelaxedKind, str] = {
    RelaxedKind.ONE: "modules or tensors",
    RelaxedKind.EDGES: "several of several modules",
    RelaxedKind.SIZE: "widths and kernels",
    RelaxedKind.DEPTH: "depths",
}

if TYPE_CHECKING:
    from symnas.relaxed.epochs import Epoch
    from symnas.relaxed.network import Relaxed
    from symnas.training.task import Task


class Relaxable(ProgramView, Protocol):
    """A program that makes a relaxed network of itself."""

    def relaxed(self, *args: Any, **options: Any) -> Relaxed:
        """Return a module with all candidates of all choices, which adds up what they return."""


@dataclass(frozen=True)
class Derived:
    """What a relaxed search has found.

    Args:
        decision: the one that the logits stand for.
        network: the relaxed network as it was trained; `network.extract(decision)` is the child with its
            weights.
        history: all epochs.
        probabilities: of every point's candidates in the end, by address.
    """

    decision: Decision
    network: Relaxed
    history: tuple[Epoch, ...]
    probabilities: Mapping[str, tuple[float, ...]]


def relax(
    program: Relaxable,
    task: Task,
    algorithm: str | RelaxedAlgorithm | type[RelaxedAlgorithm] = "darts",
    *,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    file: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Derived:
    """Train all candidates of a program at once and derive a decision.

    `symnas.search` does that too, keeps it in a study, and trains the derived child by itself.

    Args:
        program: with example inputs (`symnas.program(…, inputs=…)`).
        task: the data and the loss; its optimiser, length and batch size are those of children trained alone.
        algorithm: name, class or instance.
        options: hyperparameters by name.
        seed: of everything random.
        file: where to write the state after every epoch, and to go on from.
        on_epoch: called after every epoch.

    Raises:
        ProgramError: a choice cannot be relaxed.
        AlgorithmError: the algorithm is not one that trains all candidates at once.
        EvaluatorError: the loss is not finite, or the data cannot be parted.
    """
    made = resolve(algorithm, options)
    if not isinstance(made, RelaxedAlgorithm):
        raise AlgorithmError(
            f"relax takes an algorithm that trains all candidates at once, as 'darts'; got {made!r}: "
            "search with symnas.search"
        )
    return _Run(program, task, made, seed, file, on_epoch).derived()


@dataclass
class _Run:
    program: Relaxable
    task: Task
    algorithm: RelaxedAlgorithm
    seed: int
    file: Path | None
    on_epoch: Callable[[Epoch], None] | None

    def derived(self) -> Derived:
        from symnas.relaxed.perturbation import select
        from symnas.relaxed.training import RelaxedTraining

        network = network_of(self.program, self.task, self.algorithm, self.seed)
        training = RelaxedTraining(self.task, network, self.algorithm, self.seed)
        if self.file is not None:
            training.load(self.file)

        def save() -> None:
            if self.file is not None:
                training.save(self.file)
            if self.on_epoch is not None and training.history:
                self.on_epoch(training.history[-1])

        while not training.over:
            training.run_epoch()
            save()
        if self.algorithm.select == "perturbation":
            select(training, self.seed, save)
        shares = training.probabilities()
        network.to("cpu")
        return Derived(
            network.decision(training.values()),
            network,
            tuple(training.history),
            {address: tuple(own.tolist()) for address, own in shares.items()},
        )


def network_of(program: Relaxable, task: Task, algorithm: RelaxedAlgorithm, seed: int) -> Relaxed:
    """Return the relaxed network that an algorithm trains.

    Args:
        program: what is relaxed; one without example inputs is given the first two examples of the task.
        task: the data.
        algorithm: says with which options.
        seed: of the initial weights and logits.

    Raises:
        ProgramError: a choice cannot be relaxed.
        AlgorithmError: the algorithm does not choose at points of such a kind.
    """
    inputs = None
    if getattr(program, "inputs", ()) is None:
        import torch

        from symnas.training.data import few

        inputs, _ = few(next(task._batches("train").read(None, torch.device("cpu"))), 2)
    network = program.relaxed(inputs=inputs, seed=seed, **algorithm.network_options)
    for point in network.points:
        if point.kind not in algorithm.kinds:
            name, default = type(algorithm).__name__, getattr(program.space[point.address], "default", None)
            raise AlgorithmError(
                f"{network.places[point.address].location}\n{name} chooses {_listed(algorithm.kinds)}; "
                f"{point.address!r} is a choice of {WORDS[point.kind]}: freeze it "
                f"(freeze=(({point.address!r}, {default!r}),)), or take an algorithm that chooses such "
                f"({', '.join(map(repr, _choosing(point.kind)))})"
            )
    return network


def _choosing(kind: RelaxedKind) -> list[str]:
    """Return the names of the algorithms that choose at points of a kind."""
    classes = {name: find(name) for name in sorted(BUILT_IN)}
    return [name for name, cls in classes.items() if kind in getattr(cls, "kinds", ())]


def _listed(kinds: Sequence[RelaxedKind]) -> str:
    return " and ".join(WORDS[kind] for kind in kinds)


class RelaxedSearch(Algorithm):
    """A relaxed algorithm with the program and the task that it trains on, as a search asks algorithms.

    Args:
        algorithm: the relaxed one, which the study is named after.
        program: what is searched.
        task: the data and the loss.
        folder: where searches that are under way are kept; None keeps none.
        on_epoch: called after every epoch.
    """

    capabilities = Capabilities(multi_objective=True)

    def __init__(
        self,
        algorithm: RelaxedAlgorithm,
        program: Relaxable,
        task: Task,
        folder: Path | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> None:
        self.algorithm, self.program, self.task = algorithm, program, task
        self.folder, self.on_epoch = folder, on_epoch

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Those of the relaxed algorithm."""
        return self.algorithm.hyperparameters

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space

    def propose(self, n: int, rng: np.random.Generator) -> Batch:  # noqa: ARG002 - one search, one decision
        """Train a relaxed network, or go on with it, and return the one decision it stands for."""
        # The generator is that of the proposal's number, so after a kill the same proposal has the same seed,
        # and finds the file of what it had trained.
        seed = int(rng.integers(2**31))
        file = None if self.folder is None else self.folder / f"search-{seed}.pt"
        run = _Run(self.program, self.task, self.algorithm, seed, file, self.on_epoch)
        found = run.derived()
        if file is not None:
            self._keep(file.with_suffix(".json"), found)
        return self._space.batch([found.decision])

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:  # noqa: ARG002
        """Drop the states of searches that have ended: the trials of what they found have."""
        # A search whose story is written down (`_keep`) has ended. Its state stays until a trial ends, as a
        # kill before the proposal is in the log has it made again.
        if self.folder is not None and any(outcome.status.final for outcome in outcomes):
            for file in self.folder.glob("search-*.pt"):
                if file.with_suffix(".json").is_file():
                    file.unlink(missing_ok=True)

    def _keep(self, file: Path, found: Derived) -> None:
        """Write down how a search went, for people to look at."""
        text = {
            "decision": found.decision.to_json(),
            "probabilities": found.probabilities,
            "history": [asdict(done) for done in found.history],
        }
        part = file.with_suffix(".part")  # renamed when it is whole, so that no half is ever read
        part.write_text(json.dumps(text, indent=1))
        part.replace(file)


class RelaxedEstimator:
    """A task for an algorithm that asks for all candidates at once: they are trained, then derived children.

    What proposes is a `RelaxedSearch`; its trials are those of the task.

    Args:
        task: the data and the loss.
        algorithm: the one that it trains them for.
    """

    def __init__(self, task: Task, algorithm: RelaxedAlgorithm) -> None:
        self.task, self.algorithm = task, algorithm

    @classmethod
    def serving(cls, given: Any, algorithm: Algorithm) -> RelaxedEstimator:
        """Return the estimator for an algorithm that asks for all candidates at once and was given a task.

        Args:
            given: as the search was given it.
            algorithm: what searches.

        Raises:
            AlgorithmError: it is no task, or the algorithm only says that it is of this kind.
        """
        name = type(algorithm).__name__
        if not isinstance(algorithm, RelaxedAlgorithm):
            raise AlgorithmError(
                "an algorithm that asks for all candidates at once is a RelaxedAlgorithm of "
                f"symnas.contracts; {name} says that it does and is not: derive it from that class"
            )
        from symnas.training.task import Task

        if not isinstance(given, Task):
            raise AlgorithmError(
                f"{name} trains all candidates at once, which takes a symnas.Task (data, loss, metrics); got "
                f"{given!r}: make one of it, or use an algorithm that learns from outcomes"
            )
        return cls(given, algorithm)

    @property
    def objectives(self) -> Mapping[str, str]:
        """Those of the task."""
        return self.task.objectives

    @property
    def fidelities(self) -> tuple[int, int]:
        """How far the training of a derived child goes."""
        return self.task.fidelities

    @property
    def usual_trials(self) -> None:
        """How many searches there are is left to the algorithm."""

    @property
    def resources(self) -> Resources:
        """What the task's are, and all candidates at once."""
        return replace(self.task.resources, offers=frozenset({"relaxed"}), folder="relaxed")

    @property
    def identity(self) -> Task:
        """The task: how it is searched with is the algorithm's identity."""
        return self.task

    def check(self, target: Any, algorithm: Algorithm) -> None:  # noqa: ARG002 - it is known
        """Make the relaxed network, for nothing but to see whether it can be made.

        Raises:
            AlgorithmError: there is no program, or the algorithm does not choose at points of some kind.
            ProgramError: a choice cannot be relaxed.
        """
        if not callable(getattr(target, "relaxed", None)):
            raise AlgorithmError(
                f"{type(self.algorithm).__name__} trains all candidates of a program at once; got "
                f"{target!r}, which has none: wrap the class that builds the model in symnas.program(…)"
            )
        network_of(target, self.task, self.algorithm, 0)

    def open(
        self,
        target: Relaxable,
        algorithm: Algorithm,  # noqa: ARG002 - it is known
        *,
        folder: Path | None,
        tell: Callable[[str], None],
        **_: Any,
    ) -> EachAlone:
        """Return what trains derived children, and what derives them.

        Args:
            target: what is searched.
            algorithm: the one that it was made for.
            folder: where searches that are under way are kept; None keeps none.
            tell: shows every epoch.
        """

        def told(done: Epoch) -> None:
            tell(str(done))

        proposer = RelaxedSearch(self.algorithm, target, self.task, folder, told)
        proposer.setup(target.space)
        return EachAlone(self.task, proposer)
