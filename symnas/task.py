"""A task: how a child is trained and scored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from symnas.batches import Batches, Inputs
from symnas.content import describe
from symnas.errors import BuildError, EvaluatorError
from symnas.isolation import RandomStream

Split = Literal["train", "valid", "test"]
Metrics = dict[str, float]
Function = Callable[[Tensor, Tensor], Any]


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return Adam with a learning rate of 0.001, which is what a task uses unless told otherwise."""
    return torch.optim.Adam(parameters, lr=1e-3)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Task:
    """Training and scoring of a child, the same for every child and reproducible from the trial's seed.

    A task is an evaluator: `task(child, trial)` yields `(step, metrics)` after every pass over the training
    data, so that a pruner may stop it, and returns the final metrics on the validation data. The child is
    trained in place and ends on the CPU in evaluation mode. Global generators are left as they were.

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
        objectives: metric names with "max" or "min". Without, the first of `metrics` is maximised, and where
            there is none the loss minimised.
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
        if not self.objectives:
            first = next(iter(self.metrics), None)
            object.__setattr__(self, "objectives", {"loss": "min"} if first is None else {first: "max"})
        for name, direction in self.objectives.items():
            if name not in (*self.metrics, "loss") or direction not in ("max", "min"):
                raise EvaluatorError(
                    f"objectives map metrics ({', '.join([*self.metrics, 'loss'])}) to 'max' or 'min'; "
                    f"got {name!r}: {direction!r}"
                )

    def __repr__(self) -> str:
        """Show what is short: the length, the metrics and the objectives, not the data."""
        length = f"steps={self.steps}" if self.steps is not None else f"epochs={self.epochs}"
        return f"Task({length}, metrics={[*self.metrics]}, objectives={dict(self.objectives)})"

    def __call__(self, child: nn.Module, trial: Any = None) -> Generator[tuple[int, Metrics], None, Metrics]:
        """Train a child in place and score it as it goes.

        Args:
            child: a module whose outputs the loss and the metrics take.
            trial: anything with a `seed`; None takes the task's own.

        Yields:
            The epoch (or, where the task's length is in steps, the step) and the metrics on the validation
            data.

        Returns:
            The last metrics. All are NaN, and training ends, once the training loss is not finite.
        """
        seed = self.seed if trial is None else int(trial.seed)
        return self._train(child, seed)

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

    def _train(self, child: nn.Module, seed: int) -> Generator[tuple[int, Metrics], None, Metrics]:
        device = self._place()
        run = _Run(self, child, seed, device)
        valid = self._batches("valid")
        metrics: Metrics = {}
        try:
            while not run.over:
                with run.random:
                    mean = run.turn()
                    metrics = (
                        self._nothing() if not math.isfinite(mean) else self._score(child, valid, device)
                    )
                metrics = {**metrics, "train_loss": mean}
                if not math.isfinite(mean):
                    break
                yield run.step if self.steps is not None else run.epoch, dict(metrics)
        finally:
            child.to("cpu").eval()
        return metrics

    def _nothing(self) -> Metrics:
        return dict.fromkeys(("loss", *self.metrics), math.nan)

    def _score(self, child: nn.Module, batches: Batches, device: torch.device) -> Metrics:
        functions = {"loss": self.loss, **self.metrics}
        totals: dict[str, Any] = dict.fromkeys(functions, 0.0)
        count = 0
        child.eval()
        with torch.no_grad():
            for inputs, targets in batches.read(None, device):
                outputs = _forward(child, inputs)
                for name, function in functions.items():
                    # Tensors are summed where they are: one transfer per split, not one per batch.
                    totals[name] = totals[name] + _scalar(name, function(outputs, targets)) * len(targets)
                count += len(targets)
        if not count:
            raise EvaluatorError(f"{batches.name} data gave no examples, so there is nothing to average")
        return {name: float(total) / count for name, total in totals.items()}


class _Run:
    """One child in training: its optimiser, its place in the schedule and its own random numbers."""

    def __init__(self, task: Task, child: nn.Module, seed: int, device: torch.device) -> None:
        if not isinstance(child, nn.Module):
            raise EvaluatorError(f"a task trains a torch.nn.Module; the program built {type(child).__name__}")
        self.task, self.child, self.device = task, child, device
        self.random = RandomStream(seed, device)
        self.order = torch.Generator().manual_seed(seed)
        self.step = self.epoch = 0
        self._batches = task._batches("train")
        per_epoch = max(1, len(self._batches))
        self.steps = task.steps if task.steps is not None else per_epoch * (task.epochs or 1)
        child.to(device)
        parameters = [parameter for parameter in child.parameters() if parameter.requires_grad]
        if not parameters:
            raise BuildError(
                f"a task trains parameters; this {type(child).__name__} has none that are trainable"
            )
        self.parameters = parameters
        self.optimizer = task.optimizer(parameters)
        self.schedule = None if task.schedule is None else task.schedule(self.optimizer, self.steps)

    @property
    def over(self) -> bool:
        """Whether the task's length is reached."""
        if self.task.steps is not None:
            return self.step >= self.steps
        return self.epoch >= (self.task.epochs or 1)

    def turn(self) -> float:
        """Pass once over the training data, or up to the last step, and return the mean loss."""
        self.child.train()
        total: Any = 0.0
        count = 0
        for inputs, targets in self._examples():
            total = total + self._update(inputs, targets).double() * len(targets)
            count += len(targets)
            self.step += 1
            if self.task.steps is not None and self.step >= self.steps:
                break
        self.epoch += 1
        if not count:
            raise EvaluatorError("train data gave no examples, so there is nothing to learn from")
        return float(total) / count

    def _examples(self) -> Iterator[tuple[Inputs, Tensor]]:
        several = len(self._batches) > 1
        for inputs, targets in self._batches.read(self.order, self.device):
            # Batch normalisation has nothing to normalise in a last batch of a single example.
            if not (several and len(targets) == 1):
                yield inputs, targets

    def _update(self, inputs: Inputs, targets: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss: Tensor = self.task.loss(_forward(self.child, inputs), targets)
        torch.autograd.backward(loss)
        if self.task.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.task.clip)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        return loss.detach()


def _forward(child: nn.Module, inputs: Inputs) -> Any:
    return child(inputs) if isinstance(inputs, Tensor) else child(*inputs)


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.detach().reshape(()).double()
    with suppress(TypeError, ValueError):
        return float(value)
    raise EvaluatorError(
        f"metric {name!r} must return one number per batch; it returned {type(value).__name__} "
        f"{getattr(value, 'shape', '')}"
    )
