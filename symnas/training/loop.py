"""One child in training: it can be left at any step, written down, and gone on with.

The law: a training in parts is the training in one go, bit for bit. So a part must begin where the last one
ended in every respect that a step reads: weights, buffers, optimiser, schedule, generators, and the place in
the pass over the data. The order of a pass is drawn when it begins; it is not written down but drawn again,
from the states of the generators at that moment (`_began`), and read past what was seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from symnas.errors import BuildError, EvaluatorError
from symnas.training.data import Batches, Inputs
from symnas.training.random_state import RandomStream

FILE = "training.pt"


class Recipe(Protocol):
    """What a training asks of a task: how a child learns, from what, and for how long."""

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Any]:
        """`(outputs, targets) -> scalar tensor`, a mean over the batch."""

    @property
    def optimizer(self) -> Callable[[Iterable[nn.Parameter]], Optimizer]:
        """Makes the optimiser out of trainable parameters."""

    @property
    def schedule(self) -> Callable[[Optimizer, int], LRScheduler] | None:
        """Makes a learning-rate schedule out of the optimiser and the number of steps."""

    @property
    def clip(self) -> float | None:
        """The largest norm of the gradient."""

    @property
    def epochs(self) -> int | None:
        """The length in passes over the training data, unless it is in steps."""

    @property
    def steps(self) -> int | None:
        """The length in optimiser steps."""

    def _batches(self, split: str) -> Batches:
        """Return one split of the data."""


class Training:
    """One child in training: its optimiser, its place in the schedule and its own random numbers.

    Args:
        task: how.
        child: what.
        seed: seed of everything random.
        device: where.
    """

    def __init__(self, task: Recipe, child: nn.Module, seed: int, device: torch.device) -> None:
        if not isinstance(child, nn.Module):
            raise EvaluatorError(f"a task trains a torch.nn.Module; the program built {type(child).__name__}")
        self.task, self.child, self.device = task, child, device
        # Dropout and augmentation draw from the global generators, the order of examples from one of its own,
        # so that a model that draws more does not see other batches.
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
        self.optimizer = self._optimizer(parameters)
        self.schedule = None if task.schedule is None else task.schedule(self.optimizer, self.steps)
        # The pass that is under way: batches done, sum and number of losses, generators at its start.
        self._done = self._count = 0
        self._total: Any = 0.0
        self._began: dict[str, Any] = {}

    @property
    def reached(self) -> int:
        """How far it is: in steps where the task's length is in steps, else in epochs."""
        return self.step if self.task.steps is not None else self.epoch

    def turn(self, goal: int) -> float:
        """Finish a pass over the training data, or stop at step `goal`; return the pass's mean loss so far.

        The run's own generators must be in place.
        """
        self.child.train()
        before = self.step
        for inputs, targets in self._rest():
            # Losses are means over batches; weighted by their sizes they add up to the mean over examples.
            # The sum stays on the device: reading it every step would wait for the device every step.
            self._total = self._total + self._update(inputs, targets).double() * len(targets)
            self._count += len(targets)
            self._done += 1
            self.step += 1
            if self.task.steps is not None and self.step >= goal:
                return float(self._total) / self._count
        if not self._count:
            raise EvaluatorError("train data gave no examples, so there is nothing to learn from")
        mean = float(self._total) / self._count
        self.epoch += 1
        self._done = 0
        # It was left after a pass's last step: that pass was reported then.
        return self.turn(goal) if self.step == before else mean

    def pause(self, folder: Path, metrics: dict[str, float]) -> None:
        """Write down what is needed to go on; the file is whole or not there."""
        state = {"metrics": metrics, **self._state()}
        # Renaming is atomic: a process killed while it writes leaves the older file, or none.
        part = folder / f"{FILE}.part"
        try:
            torch.save(state, part)
            part.replace(folder / FILE)
        except (OSError, RuntimeError) as error:
            warnings.warn(
                f"a paused training cannot be written to {folder} ({error}); if it goes on, it starts from "
                "the beginning",
                stacklevel=2,
            )

    def resume(self, folder: Path, goal: int) -> dict[str, float]:
        """Go on from what is in a folder, unless it is past the goal; return the metrics it had there."""
        path = folder / FILE
        if not path.is_file():
            return {}
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a torn file makes the reader raise almost anything
            warnings.warn(
                f"the paused training in {path} cannot be read ({type(error).__name__}): it starts from the "
                "beginning",
                stacklevel=2,
            )
            return {}
        # Weights that were trained further cannot be trained less; the training begins anew and ends the
        # same.
        if state["reached"] > goal:
            return {}
        self._take(state)
        return dict(state["metrics"])

    def _optimizer(self, parameters: list[nn.Parameter]) -> Optimizer:
        return self.task.optimizer(parameters)

    def _state(self) -> dict[str, Any]:
        """Return all that a run like this one needs to go on from here."""
        with self.random:
            here = self.random.now()
        return {
            "reached": self.reached,
            "child": self.child.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "random": here,
            "order": self.order.get_state(),
            "place": [self.step, self.epoch, self._done, self._count, float(self._total)],
            "began": self._began if self._done else {},
        }

    def _take(self, state: dict[str, Any]) -> None:
        """Go on from what `_state` returned."""
        self.child.load_state_dict(state["child"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        with self.random:
            self.random.put(state["random"])
        self.order.set_state(state["order"])
        self.step, self.epoch, self._done, self._count, self._total = state["place"]
        self._began = state["began"]

    def _rest(self) -> Iterator[tuple[Inputs, Tensor]]:
        """Yield the batches of a new pass, or those that are left of the one that is under way."""
        if not self._done:
            self._began = {"random": self.random.now(), "order": self.order.get_state()}
            self._total, self._count = 0.0, 0
            yield from self._examples()
            return
        # Datasets may draw as they are read: reading past what was seen happens under the generators with
        # which the pass began, and training then goes on under those with which it was left.
        here = self.random.now()
        self.random.put(self._began["random"])
        self.order.set_state(self._began["order"])
        examples = self._examples()
        for _ in range(self._done):
            next(examples)
        self.random.put(here)
        yield from examples

    def _examples(self) -> Iterator[tuple[Inputs, Tensor]]:
        several = len(self._batches) > 1
        for inputs, targets in self._batches.read(self.order, self.device):
            # Batch normalisation has nothing to normalise in a last batch of a single example.
            if not (several and len(targets) == 1):
                yield inputs, targets

    def _update(self, inputs: Inputs, targets: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss: Tensor = self.task.loss(forward(self.child, inputs), targets)
        torch.autograd.backward(loss)
        if self.task.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.task.clip)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        return loss.detach()


def forward(child: nn.Module, inputs: Inputs) -> Any:
    """Return a child's outputs for one batch."""
    return child(inputs) if isinstance(inputs, Tensor) else child(*inputs)
