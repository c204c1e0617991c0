"""A task: how a child is trained and scored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from symnas._fingerprint import describe
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.estimator import EachAlone, Resources
from symnas.contracts.objectives import DIRECTIONS, less_is_better
from symnas.errors import EvaluatorError
from symnas.training.data import Batches
from symnas.training.loop import Training, forward
from symnas.training.random_state import RandomStream

Split = Literal["train", "valid", "test"]
Metrics = dict[str, float]
Function = Callable[[Tensor, Tensor], Any]
KEPT = 3
"""Of how many best trials a search keeps the trained weights, unless it is told otherwise."""


# Its text is in the fingerprint of every task that names no optimiser, so it stays as it is.
def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return Adam with a learning rate of 0.001, which is what a task uses unless told otherwise."""
    return torch.optim.Adam(parameters, lr=1e-3)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Task:
    """Training and scoring of a child, the same for every child and reproducible from the trial's seed.

    A task is an estimator (`symnas.contracts.Estimator`): `task(child, trial)` yields `(step, metrics)` after
    every pass over the training data, so that a pruner may stop it, and returns the final metrics on the
    validation data. The child is trained in place and ends on the CPU in evaluation mode. Global generators
    are left as they were.

    Args:
        train: data to train on: a pair (inputs, targets) of tensors or arrays, a `Dataset` or a `DataLoader`.
        valid: data that the metrics of a trial come from.
        loss: `(outputs, targets) -> scalar tensor`, a mean over the batch.
        metrics: further functions `(outputs, targets) -> number`, means over the batch, by name.
        optimizer: makes the optimiser of a child out of its trainable parameters.
        epochs: passes over the training data; 1 unless `steps` is given.
        steps: optimiser steps, instead of epochs.
        batch_size: examples per batch, where the data are not loaders.
        device: a name that `torch.device` takes; `"auto"` is CUDA where there is some, else the CPU.
        test: data that no search looks at, for `score(child, split="test")`.
        schedule: makes a learning-rate schedule out of the optimiser and the number of steps; stepped every
            step.
        clip: largest norm of the gradient, or None for no clipping.
        objectives: metric names with "max" or "min". Without, the first of `metrics` is maximised (unless its
            name says that less is better: then it is asked for), and where there is none the loss minimised.
        seed: seed of training outside a search; inside, every trial has its own.
    """

    train: Any
    valid: Any
    loss: Function
    metrics: Mapping[str, Function] = field(default_factory=dict)
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = adam
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 64
    device: str = "auto"
    test: Any = None
    schedule: Callable[[Optimizer, int], LRScheduler] | None = None
    clip: float | None = None
    objectives: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings, which costs nothing, before anything is trained."""
        if self.epochs is not None and self.steps is not None:
            raise EvaluatorError(
                "a task is as long as its epochs or its steps say; got both: give one of them"
            )
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", 1)
        for name in ("epochs", "steps", "batch_size"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise EvaluatorError(f"{name} is a whole number of at least 1; got {value!r}")
        for name, function in {"loss": self.loss, "optimizer": self.optimizer, **self.metrics}.items():
            if not callable(function):
                raise EvaluatorError(f"a task's {name} is a function; got {function!r}")
        if "loss" in self.metrics:
            raise EvaluatorError("the loss is reported as the metric 'loss'; give yours another name")
        self._check_objectives()

    def _check_objectives(self) -> None:
        first = next(iter(self.metrics), None)
        if not self.objectives and first is not None and less_is_better(first):
            raise EvaluatorError(
                f"a task maximises its first metric unless it is told otherwise, and the name {first!r} says "
                f"that less is better: write objectives={{{first!r}: 'min'}} (or 'max', if that is meant)"
            )
        given = self.objectives or ({"loss": "min"} if first is None else {first: "max"})
        for name, direction in given.items():
            if name not in (*self.metrics, "loss") or direction not in DIRECTIONS:
                raise EvaluatorError(
                    f"objectives map metrics ({', '.join([*self.metrics, 'loss'])}) to 'max' or 'min'; "
                    f"got {name!r}: {direction!r}"
                )
        object.__setattr__(self, "objectives", {name: DIRECTIONS[way] for name, way in given.items()})

    def __repr__(self) -> str:
        """Show what is short: the length, the metrics and the objectives, not the data."""
        length = f"steps={self.steps}" if self.steps is not None else f"epochs={self.epochs}"
        return f"Task({length}, metrics={[*self.metrics]}, objectives={dict(self.objectives)})"

    def __call__(self, child: nn.Module, trial: Any = None) -> Generator[tuple[int, Metrics], None, Metrics]:
        """Train a child in place and score it as it goes.

        A trial with a fidelity is trained for that many epochs (or steps, where the task's length is in
        steps), goes on from where an earlier one left off, and leaves what the next one needs.

        Args:
            child: a module whose outputs the loss and the metrics take.
            trial: anything with a `seed`, and with `fidelity` and `checkpoint` where there are some; None
                takes the task's own seed and length.

        Yields:
            The epoch (or, where the task's length is in steps, the step) and the metrics on the validation
            data.

        Returns:
            The last metrics. All are NaN, and training ends, once the training loss is not finite.
        """
        if trial is None:
            return self._train(child, self.seed)
        fidelity = getattr(trial, "fidelity", None)
        folder = None if fidelity is None else trial.checkpoint
        return self._train(child, int(trial.seed), fidelity, folder)

    @property
    def fidelities(self) -> tuple[int, int]:
        """The shortest and the longest training, in epochs, or in steps where its length is in steps."""
        return 1, self.steps or self.epochs or 1

    # ------------------------------------------------------------ what a search asks

    @property
    def usual_trials(self) -> None:
        """How many trials a search takes is left to the algorithm."""

    @property
    def resources(self) -> Resources:
        """Each trial trains a child of its own, in any process; the weights of the best are kept."""
        return Resources(keeps=KEPT)

    @property
    def identity(self) -> Task:
        """The task itself: its settings, its functions and its data, by `fingerprint`."""
        return self

    def check(self, target: Any, algorithm: Algorithm) -> None:
        """Refuse nothing: that a child can be trained is seen when it is."""

    def open(self, target: Any, algorithm: Algorithm, **_: Any) -> EachAlone:  # noqa: ARG002
        """Return what trains and scores the child of every trial by itself."""
        return EachAlone(self)

    # ------------------------------------------------------------ what users ask

    def fit(self, child: nn.Module, *, seed: int | None = None) -> Metrics:
        """Train a child in place and return its metrics on the validation data."""
        run = self._train(child, self.seed if seed is None else seed)
        while True:
            try:
                next(run)
            except StopIteration as stop:
                return dict(stop.value)

    def score(self, child: nn.Module, *, split: Split = "valid") -> Metrics:
        """Return loss and metrics of a child on a split, averaged over its examples."""
        batches, device = self._batches(split), self._place()
        training = child.training
        child.to(device)
        try:
            with RandomStream(self.seed, device):
                return self._score(child, batches, device)
        finally:
            child.to("cpu").train(training)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of settings, functions and sampled data; equal in every process that made the same task."""
        # The device is left out: a study goes on where another one is at hand.
        digest = hashlib.blake2b(digest_size=16)
        for item in fields(self):
            digest.update(f"{item.name}:".encode())
            if item.name in ("train", "valid", "test"):
                split = self._batches(item.name) if getattr(self, item.name) is not None else None
                contents: Iterable[Any] = () if split is None else split.sample()
                for part in contents:
                    digest.update(repr(part).encode())
            elif item.name != "device":
                digest.update(describe(getattr(self, item.name)).encode())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the arguments only."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the arguments back."""
        self.__dict__.update(state)

    def _batches(self, split: str) -> Batches:
        if split not in ("train", "valid", "test"):
            raise EvaluatorError(f"a split is 'train', 'valid' or 'test'; got {split!r}")
        data = getattr(self, split)
        if data is None:
            raise EvaluatorError(f"the task has no {split} data: pass {split}=… to symnas.Task")
        return Batches(split, data, self.batch_size)

    def _place(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    def _train(
        self, child: nn.Module, seed: int, fidelity: int | None = None, folder: Path | None = None
    ) -> Generator[tuple[int, Metrics], None, Metrics]:
        device = self._place()
        # Metrics come after every pass (or, in steps, at the goal and after every pass before it), and each
        # is where a pruner may end the generator: `finally` brings the child back to the CPU then as well.
        run = Training(self, child, seed, device)
        valid = self._batches("valid")
        goal = self.fidelities[1] if fidelity is None else min(fidelity, self.fidelities[1])
        metrics: Metrics = run.resume(folder, goal) if folder is not None else {}
        try:
            while run.reached < goal:
                with run.random:
                    mean = run.turn(goal)
                if not math.isfinite(mean):
                    metrics = {**self._nothing(), "train_loss": mean}
                    break
                # Scoring has generators of its own: how often it happens must not matter to the training.
                with RandomStream(seed, device):
                    metrics = {**self._score(child, valid, device), "train_loss": mean}
                if folder is not None and goal <= run.reached < self.fidelities[1]:
                    run.pause(folder, metrics)
                yield run.reached, dict(metrics)
        finally:
            child.to("cpu").eval()
        return metrics

    def _nothing(self) -> Metrics:
        return dict.fromkeys(("loss", *self.metrics), math.nan)

    def _score(self, child: nn.Module, batches: Batches, device: torch.device) -> Metrics:
        # A metric is a mean over examples: sum_b n_b f(outputs_b, targets_b) / sum_b n_b over batches b of
        # n_b.
        functions = {"loss": self.loss, **self.metrics}
        totals: dict[str, Any] = dict.fromkeys(functions, 0.0)
        count = 0
        child.eval()
        with torch.no_grad():
            for inputs, targets in batches.read(None, device):
                outputs = forward(child, inputs)
                for name, function in functions.items():
                    # Tensors are summed where they are: one transfer per split, not one per batch.
                    totals[name] = totals[name] + _scalar(name, function(outputs, targets)) * len(targets)
                count += len(targets)
        if not count:
            raise EvaluatorError(f"{batches.name} data gave no examples, so there is nothing to average")
        return {name: float(total) / count for name, total in totals.items()}


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.detach().reshape(()).double()
    with suppress(TypeError, ValueError):
        return float(value)
    raise EvaluatorError(
        f"metric {name!r} must return one number per batch; it returned {type(value).__name__} "
        f"{getattr(value, 'shape', '')}"
    )
