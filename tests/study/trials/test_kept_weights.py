"""Trained weights of the best trials, in files beside the store or in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import symnas
from symnas import OneOf, Space, Task
from symnas.errors import StudyError
from symnas.study.trials.kept_weights import KeptWeights, folder_name

SPACE = Space((OneOf("hidden", (1, 2, 3, 4, 5, 6), 2),))


class Net(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Nets:
    name = "nets"
    fingerprint = "nets-1"
    space = SPACE

    def build(self, decision: Any) -> Net:
        torch.manual_seed(0)
        return Net(decision["hidden"])


def task() -> Task:
    x = torch.linspace(-1, 1, 64).reshape(32, 2)
    y = x.prod(1, keepdim=True)
    return Task(train=(x, y), valid=(x, y), loss=nn.functional.mse_loss, epochs=2, batch_size=8)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("durable", [True, False])
def test_the_best_few_can_be_loaded(workers: int, durable: bool, tmp_path: Path) -> None:
    store = tmp_path / "s.db" if durable else None
    study = symnas.search(
        Nets(), task(), algorithm="grid", trials=6, store=store, workers=workers, progress=False
    )
    ranked = sorted(study.trials, key=lambda trial: (trial.metrics["loss"], trial.number))
    assert study.best is ranked[0]
    for trial in ranked[:3]:
        child = trial.load()
        assert task().score(child)["loss"] == pytest.approx(trial.metrics["loss"])
        assert task().score(trial.build())["loss"] != pytest.approx(trial.metrics["loss"])
    with pytest.raises(StudyError, match=f"none are kept for trial {ranked[3].number}"):
        ranked[3].load()
    if durable:
        files = {file.name for file in (tmp_path / "s.db.weights").rglob("*") if file.is_file()}
        assert files == {f"trial-{trial.number}.pt" for trial in ranked[:3]}
        loaded = symnas.load_study(tmp_path / "s.db", program=Nets()).best.load()
        assert task().score(loaded)["loss"] == pytest.approx(study.best.metrics["loss"])


def test_functions_keep_none_unless_asked(tmp_path: Path) -> None:
    def evaluate(net: Net) -> float:
        with torch.no_grad():
            net.layers[0].bias.fill_(3.0)
        return float(len(net.layers[0].bias))

    study = symnas.search(Nets(), evaluate, trials=3, progress=False)
    with pytest.raises(StudyError, match="none are kept for trial"):
        study.best.load()
    study = symnas.search(Nets(), evaluate, trials=3, keep=1, progress=False)
    assert study.best.load().layers[0].bias.unique().item() == 3.0


def test_leftovers_are_dropped(tmp_path: Path) -> None:
    keeper = KeptWeights(tmp_path, "a/b")
    for number in range(3):
        keeper.save(number, {"w": torch.full((1,), float(number))})
    path = keeper.path(7)
    assert path is not None
    path.with_suffix(".part").write_bytes(b"half")
    keeper.keep_only([2])
    assert [file.name for file in path.parent.iterdir()] == ["trial-2.pt"]
    assert keeper.load(2)["w"].item() == 2.0
    with pytest.raises(StudyError, match="none are kept for trial 0"):
        keeper.load(0)


def test_folders_tell_studies_apart() -> None:
    names = ["a/b", "a_b", "a b", "", "é", "x" * 300]
    assert len({folder_name(name) for name in names}) == len(names)
    assert all(len(folder_name(name)) < 80 and "/" not in folder_name(name) for name in names)
