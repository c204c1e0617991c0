from __future__ import annotations

import math
import pickle
import random
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from symnas.errors import BuildError, EvaluatorError
from symnas.training.task import Task


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).float().mean()


def make_data(count: int = 203) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator)
    return inputs, (inputs[:, 0] > inputs[:, 1]).long()


def make_task(**changes: object) -> Task:
    data = make_data()
    settings = {
        "train": data,
        "valid": data,
        "loss": nn.functional.cross_entropy,
        "metrics": {"accuracy": accuracy},
        "optimizer": partial(torch.optim.SGD, lr=0.5),
        "epochs": 3,
        "device": "cpu",
    }
    return Task(**{**settings, **changes})  # type: ignore[arg-type]


def make_child(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2))


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_child_learns_and_reports_every_epoch() -> None:
    task, child = make_task(epochs=10), make_child()
    before = task.score(child)
    run = task(child, SimpleNamespace(seed=3))
    reports = []
    while True:
        try:
            reports.append(next(run))
        except StopIteration as stop:
            final = stop.value
            break
    assert [step for step, _ in reports] == list(range(1, 11))
    assert final == reports[-1][1]
    assert final["accuracy"] > 0.95 > before["accuracy"]
    assert final["loss"] < before["loss"]
    assert {"loss", "accuracy", "train_loss"} == set(final)
    assert task.score(child)["accuracy"] == final["accuracy"]
    assert not child.training


def test_training_is_the_loop_that_one_would_write_by_hand() -> None:
    inputs, targets = make_data()
    task = make_task(batch_size=1000, epochs=4)
    child, own = make_child(), make_child()
    task.fit(child, seed=5)
    optimizer = torch.optim.SGD(own.parameters(), lr=0.5)
    shuffle = torch.Generator().manual_seed(5)
    for _ in range(4):
        order = torch.randperm(len(targets), generator=shuffle)
        optimizer.zero_grad()
        nn.functional.cross_entropy(own(inputs[order]), targets[order]).backward()
        optimizer.step()
    assert same(child, own)


def test_metrics_are_averaged_by_examples_not_by_batches() -> None:
    inputs, targets = make_data(130)
    child = make_child()
    scores = make_task(valid=(inputs, targets), batch_size=64).score(child)
    with torch.no_grad():
        outputs = child.eval()(inputs)
    assert scores["accuracy"] == pytest.approx(float(accuracy(outputs, targets)), abs=1e-6)
    assert scores["loss"] == pytest.approx(float(nn.functional.cross_entropy(outputs, targets)), rel=1e-6)
    parts = [float(accuracy(outputs[rows], targets[rows])) for rows in torch.arange(130).split(64)]
    assert scores["accuracy"] != pytest.approx(sum(parts) / 3, abs=1e-4)


def test_the_seed_alone_decides() -> None:
    task = make_task()
    children = [make_child(0.5) for _ in range(3)]
    torch.manual_seed(100)
    first = task.fit(children[0], seed=7)
    torch.manual_seed(200)
    assert task.fit(children[1], seed=7) == first
    assert same(children[0], children[1])
    task.fit(children[2], seed=8)
    assert not same(children[0], children[2])


def states() -> tuple[object, ...]:
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()


def test_global_generators_are_left_alone_even_between_reports() -> None:
    before = states()
    child = make_child(0.5)
    run = make_task()(child, None)
    next(run)
    assert states() == before
    torch.rand(3)
    other = states()
    assert [step for step, _ in run] == [2, 3]
    assert states() == other
    undisturbed = make_child(0.5)
    make_task().fit(undisturbed)
    assert same(child, undisturbed)


def test_a_stopped_run_leaves_the_child_whole() -> None:
    child = make_child()
    run = make_task()(child)
    next(run)
    run.close()
    assert not child.training
    assert all(parameter.device.type == "cpu" for parameter in child.parameters())


@pytest.mark.parametrize("kind", ["arrays", "dataset", "loader", "seeded loader"])
def test_data_come_in_several_shapes(kind: str) -> None:
    inputs, targets = make_data()
    dataset = TensorDataset(inputs, targets)
    data = {
        "arrays": (inputs.double().numpy(), targets.numpy()),
        "dataset": dataset,
        "loader": DataLoader(dataset, batch_size=50, shuffle=True),
        "seeded loader": DataLoader(
            dataset, batch_size=50, shuffle=True, generator=torch.Generator().manual_seed(9)
        ),
    }[kind]
    task = make_task(train=data, valid=data)
    children = [make_child(), make_child()]
    results = [task.fit(child, seed=2) for child in children]
    assert results[0] == results[1]
    assert same(*children)
    assert results[0]["accuracy"] > 0.8


def test_several_inputs_are_passed_as_several_arguments() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.head(torch.cat([left, right], 1))

    inputs, targets = make_data()
    data = ((inputs[:, :2], inputs[:, 2:]), targets)
    assert make_task(train=data, valid=data).fit(Two())["accuracy"] > 0.8


def test_a_length_in_steps() -> None:
    child = make_child()
    reports = list(make_task(epochs=None, steps=9, batch_size=64)(child))
    assert [step for step, _ in reports] == [4, 8, 9]


def test_a_schedule_is_stepped_every_step_and_knows_the_total() -> None:
    seen: list[int] = []
    rates: list[float] = []

    def schedule(optimizer: torch.optim.Optimizer, total: int) -> torch.optim.lr_scheduler.LRScheduler:
        seen.append(total)

        def factor(step: int) -> float:
            rates.append(1 - step / total)
            return rates[-1]

        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    make_task(schedule=schedule, batch_size=64, epochs=2).fit(make_child())
    assert seen == [8]
    assert rates == [1 - step / 8 for step in range(9)]


def test_clipping_bounds_the_step() -> None:
    child, before = make_child(), make_child()
    make_task(optimizer=partial(torch.optim.SGD, lr=1.0), clip=0.01, epochs=1, batch_size=1000).fit(child)
    moved = [(a - b).detach() for a, b in zip(child.parameters(), before.parameters(), strict=True)]
    norm = math.sqrt(sum(float((part**2).sum()) for part in moved))
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_a_loss_that_is_not_finite_ends_training_with_nan() -> None:
    task = make_task(optimizer=partial(torch.optim.SGD, lr=1e30), epochs=50)
    child = make_child()
    reports = list(task(child))
    assert len(reports) < 5
    final = task.fit(make_child())
    assert math.isnan(final["loss"])
    assert math.isnan(final["accuracy"])


def test_a_last_batch_of_one_does_not_break_batch_normalisation() -> None:
    child = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    data = make_data(65)
    assert make_task(train=data, valid=data, batch_size=32).fit(child)["loss"] > 0


def test_test_data_are_only_seen_on_request() -> None:
    inputs, targets = make_data()
    task = make_task(test=(inputs, 1 - targets), epochs=10)
    child = make_child()
    accuracy = task.fit(child)["accuracy"]
    assert task.score(child, split="test")["accuracy"] == pytest.approx(1 - accuracy)
    with pytest.raises(EvaluatorError, match="no test data: pass test="):
        make_task().score(child, split="test")


def test_the_fingerprint_heeds_content_and_settings_and_nothing_else() -> None:
    inputs, targets = make_data()
    base = make_task().fingerprint
    assert make_task().fingerprint == base
    assert pickle.loads(pickle.dumps(make_task())).fingerprint == base
    assert make_task(device="auto").fingerprint == base
    changed = inputs.clone()
    changed[17, 2] += 1
    others = [
        make_task(train=(changed, targets)),
        make_task(optimizer=partial(torch.optim.SGD, lr=0.4)),
        make_task(epochs=4),
        make_task(seed=1),
        make_task(loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
        make_task(valid=TensorDataset(inputs, targets)),
    ]
    assert len({base, *(task.fingerprint for task in others)}) == len(others) + 1


def test_the_fingerprint_heeds_what_closures_hold() -> None:
    def weighted(weight: float) -> Task:
        return make_task(loss=lambda outputs, targets: weight * nn.functional.cross_entropy(outputs, targets))

    assert weighted(1.0).fingerprint == weighted(1.0).fingerprint
    assert weighted(1.0).fingerprint != weighted(2.0).fingerprint


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = (
        "import torch; from functools import partial; from symnas.training import Task; x = torch.ones(3, 2);"
        "print(Task(train=(x, x), valid=(x, x), loss=torch.nn.MSELoss(),"
        "optimizer=partial(torch.optim.SGD, lr=0.1)).fingerprint)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""


def test_objectives_default_to_the_first_metric_or_the_loss() -> None:
    assert make_task().objectives == {"accuracy": "max"}
    assert make_task(metrics={}).objectives == {"loss": "min"}
    assert make_task(objectives={"accuracy": "maximize"}).objectives == {"accuracy": "max"}
    error = make_task(metrics={"error": accuracy}, objectives={"error": "minimize"})
    assert error.objectives == {"error": "min"}
    assert repr(make_task()) == "Task(epochs=3, metrics=['accuracy'], objectives={'accuracy': 'max'})"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 5}, "got both: give one of them"),
        ({"epochs": 0}, "epochs is a whole number of at least 1; got 0"),
        ({"batch_size": 2.5}, "batch_size is a whole number of at least 1; got 2.5"),
        ({"loss": "mse"}, "a task's loss is a function; got 'mse'"),
        ({"metrics": {"loss": accuracy}}, "give yours another name"),
        ({"objectives": {"acuracy": "max"}}, r"objectives map metrics \(accuracy, loss\)"),
        ({"objectives": {"accuracy": "up"}}, "got 'accuracy': 'up'"),
        ({"metrics": {"error": accuracy}}, r"less is better: write objectives=\{'error': 'min'\}"),
    ],
)
def test_settings_are_checked_at_once(changes: dict[str, object], message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        make_task(**changes)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (make_data()[0], "train data is a pair"),
        ((make_data()[0], make_data()[1][:5]), "one target per input"),
        ((torch.empty(0, 4), torch.empty(0)), "at least one example"),
        (TensorDataset(make_data()[0]), "a batch of train data is a pair"),
    ],
)
def test_data_are_checked_when_read(train: object, message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        make_task(train=train).fit(make_child())


def test_children_must_be_trainable_modules() -> None:
    with pytest.raises(EvaluatorError, match=r"trains a torch.nn.Module; the program built dict"):
        make_task().fit({})  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="this ReLU has none that are trainable"):
        make_task().fit(nn.ReLU())


def test_a_metric_that_is_not_a_number_is_named() -> None:
    with pytest.raises(EvaluatorError, match="metric 'shape' must return one number per batch"):
        make_task(metrics={"shape": lambda outputs, targets: outputs}).fit(make_child())
