"""Trainings that are left and gone on with end where uninterrupted ones do, bit for bit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import symnas
from symnas.contracts.objectives import Objectives
from symnas.errors import AlgorithmError
from symnas.study.trials.trial_context import RunningTrial
from symnas.study.workers.evaluation import Evaluation
from symnas.training.task import Task
from symnas.tree.choices import IntRange, OneOf
from symnas.tree.space import Decision, Space

INPUTS = torch.randn(37, 4, generator=torch.Generator().manual_seed(0))
TARGETS = (INPUTS[:, 0] > 0).long()


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Examples with random augmentation from the global generator."""

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return INPUTS[place] + 0.1 * torch.randn(4), TARGETS[place]


def child(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2))


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).float().mean()


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, steps)


def warm(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 5))


def make(train: Any, **changes: Any) -> Task:
    settings: dict[str, Any] = {"batch_size": 8, "device": "cpu", "metrics": {"accuracy": accuracy}}
    valid = DataLoader(TensorDataset(INPUTS, TARGETS), 16)  # reading it draws from the global generator
    return Task(
        train=train, valid=valid, loss=nn.functional.cross_entropy, **{**settings, "epochs": 6, **changes}
    )


def reach(task: Task, model: nn.Module, fidelity: int, folder: Path) -> dict[str, float]:
    run = task(model, SimpleNamespace(seed=3, fidelity=fidelity, checkpoint=folder))
    while True:
        try:
            next(run)
        except StopIteration as stop:
            return dict(stop.value)


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


PAIR = (INPUTS, TARGETS)
CASES = {
    "adam": (lambda: make(PAIR), (1, 3)),
    "momentum and cosine": (lambda: make(PAIR, optimizer=sgd, schedule=cosine, clip=0.5), (2, 4)),
    "one cycle": (lambda: make(PAIR, optimizer=sgd, schedule=one_cycle), (1, 2, 5)),
    "lambda": (lambda: make(PAIR, optimizer=sgd, schedule=warm), (1, 5)),
    "augmentation": (lambda: make(Noisy()), (1, 3)),
    "loader": (lambda: make(DataLoader(Noisy(), 8, shuffle=True)), (1, 3)),
    "steps": (lambda: make(PAIR, epochs=None, steps=23, optimizer=sgd, schedule=cosine), (1, 3, 5, 9, 10)),
    "steps, augmentation": (lambda: make(Noisy(), epochs=None, steps=23), (2, 5, 11)),
    "steps, loader": (lambda: make(DataLoader(Noisy(), 8, shuffle=True), epochs=None, steps=17), (3, 5, 10)),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_training_in_parts_is_the_training_in_one_go(case: str, tmp_path: Path) -> None:
    task, stops = CASES[case][0](), CASES[case][1]
    whole = child()
    expected = task.fit(whole, seed=3)
    for stop in stops:
        torch.manual_seed(stop)  # whatever happens in between
        model = child()
        reach(task, model, stop, tmp_path)
    model = child()
    found = reach(task, model, task.fidelities[1], tmp_path)
    assert same(model, whole)
    assert found == expected


def test_a_training_that_was_left_is_gone_on_with_and_not_begun_anew(tmp_path: Path) -> None:
    task = make(PAIR)
    steps = []
    for fidelity in (2, 6):
        run = task(child(), SimpleNamespace(seed=3, fidelity=fidelity, checkpoint=tmp_path))
        steps.append([step for step, _ in run])
    assert steps == [[1, 2], [3, 4, 5, 6]]


def test_without_its_checkpoint_a_training_comes_out_the_same(tmp_path: Path) -> None:
    task = make(PAIR)
    models = [child(), child()]
    reach(task, child(), 2, tmp_path)
    first = reach(task, models[0], 4, tmp_path)
    (tmp_path / "training.pt").unlink()
    assert reach(task, models[1], 4, tmp_path) == first
    assert same(*models)


def test_asked_again_for_what_it_has_it_says_so(tmp_path: Path) -> None:
    task = make(PAIR)
    first, second = child(), child()
    metrics = reach(task, first, 2, tmp_path)
    assert reach(task, second, 2, tmp_path) == metrics
    assert same(first, second)
    earlier = child()
    reach(task, earlier, 1, tmp_path)  # what is past the goal is of no use
    assert not same(earlier, first)


def test_a_damaged_checkpoint_is_told_and_does_no_harm(tmp_path: Path) -> None:
    task = make(PAIR)
    whole, model = child(), child()
    expected = reach(task, whole, 4, tmp_path)
    (tmp_path / "training.pt").write_bytes(b"torn")
    with pytest.warns(UserWarning, match="cannot be read .*: it starts from the beginning"):
        assert reach(task, model, 4, tmp_path) == expected
    assert same(model, whole)


def test_the_last_rung_leaves_nothing(tmp_path: Path) -> None:
    reach(make(PAIR), child(), 6, tmp_path)
    assert not list(tmp_path.iterdir())


class Nets:
    """A program over small perceptrons."""

    name = fingerprint = "nets"
    space = Space((OneOf("width", (2, 4, 8)), OneOf("act", ("ReLU", "Tanh")), IntRange("depth", 1, 3)))

    def build(self, decision: Decision) -> nn.Module:
        parts: list[nn.Module] = []
        size = 4
        for _ in range(int(decision["depth"])):  # type: ignore[call-overload]
            parts += [nn.Linear(size, int(decision["width"])), getattr(nn, str(decision["act"]))()]  # type: ignore[call-overload]
            size = int(decision["width"])  # type: ignore[call-overload]
        return nn.Sequential(*parts, nn.Dropout(0.1), nn.Linear(size, 2))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_promoted_trials_equal_trials_that_ran_in_one_go(workers: int, tmp_path: Path) -> None:
    task = make(PAIR, epochs=4, optimizer=sgd, schedule=cosine)
    study = symnas.search(
        Nets(), task, algorithm="successive-halving", options={"factor": 2}, workers=workers,
        trials=7 * workers,  # two at once start more at the lowest fidelity before the first one goes on
        store=tmp_path / "runs.db", seed=2, progress=False,
    )  # fmt: skip
    if workers == 1:
        assert [trial.fidelity for trial in study.trials] == [1, 1, 1, 1, 2, 2, 4]
    assert study.algorithm.endswith("low=1, high=4, size=None)")  # from the task
    best = study.best
    assert [step for step, _ in best.steps] == [3, 4]
    whole = Evaluation(Nets(), task, Objectives.parse(task.objectives), keep_weights=True).run(
        RunningTrial("whole", 0, best.seed, best.decision, lambda step, metrics: False)
    )
    assert dict(best.metrics) == whole.metrics
    loaded = best.load().state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in whole.weights.items())
    assert not list(tmp_path.rglob("training.pt*"))


def test_a_task_ends_where_it_ends() -> None:
    task = make(PAIR, epochs=4)
    with pytest.raises(AlgorithmError, match="this evaluator goes from 1 to 4; got high=9"):
        symnas.search(Nets(), task, algorithm="hyperband", options={"high": 9}, progress=False)
    with pytest.raises(AlgorithmError, match=r"raise high .a task's epochs."):
        symnas.search(Nets(), make(PAIR, epochs=2), algorithm="hyperband", progress=False)


def test_what_a_killed_search_has_paused_is_gone_on_with(tmp_path: Path) -> None:
    task = make(PAIR, epochs=4)
    settings: dict[str, Any] = {
        "algorithm": "successive-halving",
        "options": {"factor": 2},
        "progress": False,
    }

    def stop(trial: Any) -> None:
        if trial.number == 5:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        symnas.search(Nets(), task, trials=7, store=tmp_path / "runs.db", on_trial=stop, **settings)
    paused = {file.parent.name for file in tmp_path.rglob("training.pt")}
    calm = symnas.search(Nets(), task, trials=7, **settings)
    study = symnas.search(Nets(), task, trials=7, store=tmp_path / "runs.db", **settings)
    assert f"trial-{study.trials[6].origin}" in paused
    assert [step for step, _ in study.trials[6].steps] == [3, 4]  # and not from 1
    assert [dict(trial.metrics) for trial in study.trials] == [dict(trial.metrics) for trial in calm.trials]
