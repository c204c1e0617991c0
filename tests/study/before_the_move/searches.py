"""Searches that were begun by the last version before the packages were moved, and go on with any later one.

Their code is part of the studies: nothing here may be changed, or every study says what has changed.
"""

from __future__ import annotations

import enum
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import symnas
from symnas import Branch, FloatRange, IntRange, ManyOf, OneOf, Permutation, Space, Tied

# ---------------------------------------------------------------- a space, and functions of decisions

SPACE = Space(
    (
        OneOf(
            "op",
            ("conv", "pool", "skip"),
            "conv",
            weights=(2.0, 1.0, 1.0),
            branches=(Branch((0,), (OneOf("op:conv.kernel", (1, 3, 5), 3),)),),
        ),
        IntRange("depth", 1, 6, default=2),
        FloatRange("rate", 1e-4, 1e-1, log=True, default=1e-2),
        ManyOf("inputs", ("a", "b", "c", "d"), 1, 3, default=("a",)),
        Permutation("order", ("x", "y", "z"), default=("x", "y", "z")),
        Tied("again", "depth"),
    )
)
FLAT = Space(tuple(OneOf(f"p{place}", (0, 1, 2, 3), 0) for place in range(4)))


class Mood(enum.Enum):
    """Something that an evaluator mentions."""

    GOOD = 1.0
    BAD = -1.0


class Settings:
    """Something else that an evaluator mentions."""

    def __init__(self, scale: float, table: tuple[float, ...]) -> None:
        """Hold numbers."""
        self.scale = scale
        self.table = table


SETTINGS = Settings(1.5, (0.0, 0.5, 0.25))


def worth(decision: symnas.Decision) -> float:
    """Return an exact number."""
    total = float(decision["depth"]) + len(decision["inputs"]) / 4 + (decision["order"][0] == "y") / 8
    return total + {"conv": 0.5, "pool": 0.25, "skip": 0.0}[decision["op"]]


def evaluate(decision: symnas.Decision) -> float:
    """Mention what evaluators mention: functions, classes, objects, enumerations."""
    return worth(decision) * SETTINGS.scale * Mood.GOOD.value


def scaled(decision: symnas.Decision, factor: float) -> dict[str, float]:
    """Return two metrics."""
    first = sum(decision.values())
    return {"good": factor * first, "cost": float(decision["p0"] ** 2 + abs(decision["p1"] - 1))}


def mentioning(decision: symnas.Decision) -> float:
    """Mention what SymNAS has."""
    for kind in (OneOf, IntRange, symnas.SymnasError, symnas.Status):
        assert kind.__name__
    first = next(iter(symnas.Batch.of(decision.space, [decision])))
    return float(isinstance(first, symnas.Decision)) + first["p2"]


def unlucky(decision: symnas.Decision) -> float:
    """End the process in its fifth call, where a file counts them."""
    calls = os.environ.get("SYMNAS_TEST_CALLS")
    if calls:
        with Path(calls).open("a") as file:
            file.write(".")
        if Path(calls).stat().st_size == 5:
            os._exit(9)
    return float(sum(decision.values()))


# ---------------------------------------------------------------- programs, and a task

ROWS = torch.arange(160).remainder(7).reshape(40, 4) / 3 - 1
LABELS = (ROWS[:, 0] > ROWS[:, 1]).long()


class Net(nn.Module):
    """Choices of modules and of a width."""

    def __init__(self, classes: int = 2) -> None:
        """Make layers."""
        super().__init__()
        width = 4  # search: {4, 6, 8}
        self.stem = nn.Linear(4, width)
        self.act: nn.Module = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh(), nn.Identity()}
        self.mid: nn.Module = nn.Identity()  # search: {linear: nn.Linear(width, width), skip: nn.Identity()}
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Call the layers."""
        outputs: Tensor = self.head(self.mid(self.act(self.stem(x))))
        return outputs


class Gated(nn.Module):
    """A choice when it is called, so that children are of generated classes."""

    def __init__(self) -> None:
        """Make layers."""
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Choose."""
        x = torch.relu(x)  # search: {torch.relu(x), torch.tanh(x)}
        outputs: Tensor = self.head(x)
        return outputs


def arranged(decision: Any, settings: Any, parts: Any) -> nn.Module:
    """Take all sorts of arguments."""
    assert parts
    width = 4  # search: {4, 8}
    return nn.Linear(int(settings.scale) + decision["p0"], width)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy; the text of torch's own would tie fingerprints to a version of torch."""
    return nn.functional.cross_entropy(outputs, targets)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share that is right."""
    return (outputs.argmax(1) == targets).float().mean()


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """Return an optimiser."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


program = symnas.program(Net, classes=2, inputs=torch.zeros(2, 4))
gated = symnas.program(Gated, inputs=torch.zeros(2, 4))
arguments = symnas.program(
    arranged,
    FLAT.default,
    settings=SETTINGS,
    parts={"a": [1, (2.0, "x")], "b": {Mood.GOOD}, "kind": Mood, "space": FLAT, "op": OneOf, "f": worth},
)
task = symnas.Task(
    train=(ROWS, LABELS), valid=(ROWS[:20], LABELS[:20]), test=(ROWS[20:], LABELS[20:]), batch_size=10,
    epochs=2, loss=loss, metrics={"accuracy": accuracy},
)  # fmt: skip
trained = symnas.Task(
    train=(ROWS, LABELS), valid=(ROWS, LABELS), loss=loss, optimizer=sgd, steps=6, clip=1.0,
)  # fmt: skip

# ---------------------------------------------------------------- the searches


def searches(store: Path | str) -> dict[str, dict[str, Any]]:
    """Return the arguments of `symnas.search` by name, all trials told.

    Args:
        store: where the studies are, or are to be.
    """
    small = {"population": 4, "tournament": 2}
    return {
        "random": {"target": SPACE, "evaluate": evaluate, "algorithm": "random", "trials": 10},
        "evolution": {
            "target": SPACE, "evaluate": evaluate, "algorithm": "evolution", "options": small, "trials": 14,
        },
        "mcts": {"target": SPACE, "evaluate": evaluate, "algorithm": "mcts", "trials": 10},
        "smbo": {"target": FLAT, "evaluate": unlucky, "algorithm": "smbo", "trials": 12},
        "auto": {"target": FLAT, "evaluate": unlucky, "trials": 8, "seed": 7},
        "killed": {"target": FLAT, "evaluate": unlucky, "algorithm": "random", "trials": 8, "seed": 3},
        "mentions": {"target": FLAT, "evaluate": mentioning, "algorithm": "local-search", "trials": 8},
        "several": {
            "target": FLAT, "evaluate": functools.partial(scaled, factor=0.5), "algorithm": "nsga2",
            "options": {"population": 4}, "trials": 12, "objectives": {"good": "max", "cost": "min"},
        },
        "warm": {
            "target": SPACE, "evaluate": evaluate, "algorithm": "evolution", "options": small, "trials": 8,
            "warm_start": f"{store}:random", "initial": [{"depth": 5}],
        },
        "net": {"target": program, "evaluate": task, "algorithm": "random", "trials": 4, "keep": 2},
        "gated": {"target": gated, "evaluate": task, "algorithm": "grid", "trials": 2, "keep": 1},
        "halving": {
            "target": program, "evaluate": trained, "algorithm": "successive-halving",
            "options": {"factor": 2}, "trials": 6,
        },
        "shared": {
            "target": program, "evaluate": task, "algorithm": "enas", "options": {"hidden": 4}, "trials": 8,
        },
        "paths": {
            "target": program, "evaluate": symnas.SharedWeights(task, policy="sandwich"),
            "algorithm": "evolution", "options": small, "trials": 6,
        },
        "relaxed": {
            "target": program, "evaluate": task, "algorithm": "darts", "trials": 2,
            "options": {"epochs": 3, "batch_size": 10},
        },
    }  # fmt: skip


def search(name: str, store: Path | str, **more: Any) -> symnas.Study:
    """Run one of the searches in a store, or go on with it."""
    return symnas.search(**{**searches(store)[name], "store": store, "name": name, "progress": False, **more})


def interrupting(after: int) -> Callable[[Any], None]:
    """Return what interrupts a search as Ctrl-C does, once so many trials are over."""

    def on_trial(trial: Any) -> None:
        if trial.number + 1 >= after:
            raise KeyboardInterrupt

    return on_trial
