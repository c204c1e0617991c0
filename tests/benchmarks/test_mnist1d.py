"""Our own table of trained networks: complete, consistent, and made by what made it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mnist1d", reason="the signals come from a package of the extra `bench`")

import symnas
from benchmarks.quality.mnist1d import make, training
from benchmarks.quality.mnist1d.table import TABLE, Mnist1D, read, space, table, value
from symnas import Decision


def counted(decision: Decision) -> tuple[int, int]:
    """Count parameters and FLOPs from the formulas of the layers; normalisation and pooling are free."""
    channels = width = 8
    length = 20
    params, flops = 1 * 8 * 5 + 8 + 2 * 8, 2 * 20 * 8 * 5
    for turn in range(int(str(decision["block"]))):
        if decision[f"block[{turn}].kind"] == "pool":
            width, length = 2 * width, length // 2
            continue
        weights = channels * width * int(str(decision[f"block[{turn}].kernel"]))
        params += weights + 3 * width
        flops += 2 * length * weights
        channels = width
    return params + (channels * length + 1) * 10, flops + 2 * channels * length * 10


def test_every_decision_of_the_space_has_a_row() -> None:
    rows = read()
    assert len(rows.batch) == len(rows.batch.unique()) == space().size
    assert set(rows.batch) == set(space().enumerate())


def test_parameters_and_flops_are_what_the_formulas_give() -> None:
    rows = read()
    expected = [counted(decision) for decision in rows.batch]
    assert [*zip(rows.measured["params"], rows.measured["flops"], strict=True)] == expected


@pytest.mark.parametrize("seed", range(4))
def test_parameters_and_flops_are_what_profiling_gives(seed: int) -> None:
    rows = read()
    place = int(np.random.default_rng(seed).integers(len(rows.batch)))
    costs = training.costs(rows.batch[place])
    assert costs == (rows.measured["params"][place], rows.measured["flops"][place])


def test_the_problem_shows_one_training_and_reports_the_mean_test_accuracy() -> None:
    problem = table()
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:: len(rows) // 20]:
        points = {address: value(row[address]) for address in space().addresses if row[address]}
        decision = problem.space.decision(points)
        shown = [problem.valid(decision, seed) for seed in range(4)]
        assert shown == pytest.approx([100 * float(row[f"valid_{seed}"]) for seed in (0, 1, 2, 0)])
        mean = sum(float(row[f"test_{seed}"]) for seed in range(3)) / 3
        assert problem.test(decision, 1) == pytest.approx(100 * mean)
    batch = problem.rows.batch
    assert problem.best_test(2) == max(problem.test(decision) for decision in batch)
    assert [problem.best_valid(seed) for seed in range(3)] == [
        problem.valid(batch, seed).max() for seed in range(3)
    ]


def test_the_table_spreads_and_is_noisy() -> None:
    problem = table()
    between = problem.shown.mean(0).std(ddof=1)
    within = np.sqrt(problem.shown.var(0, ddof=1).mean())
    assert problem.reported.max() - problem.reported.min() > 30
    assert 0.1 * between < within < between
    # The network that looks best in one training is not the best one.
    best = problem.rows.batch[int(problem.reported.argmax())]
    assert any(problem.valid(best, seed) < problem.best_valid(seed) for seed in range(3))


def test_what_a_search_found_is_read_back(tmp_path: Path) -> None:
    def evaluate(decision: Decision) -> dict[str, float]:
        shown = {f"{split}_{seed}": (seed + 1) / 8 for split in ("valid", "test") for seed in range(3)}
        return {**shown, "valid": 0.5, "params": len(decision), "flops": 12, "seconds": 0.25}

    study = symnas.search(
        training.program(), evaluate, trials=40, objectives={"valid": "max"}, progress=False
    )
    path = tmp_path / "table.csv"
    assert make.write(study, path) == 40
    rows = read(path)
    assert set(rows.batch) == {trial.decision for trial in study.trials}
    order = {decision: place for place, decision in enumerate(space().enumerate())}
    assert [order[d] for d in rows.batch] == sorted(order[d] for d in rows.batch)
    assert list(rows.measured["params"]) == [len(decision) for decision in rows.batch]
    assert set(rows.measured["test_2"]) == {0.375}
    with pytest.raises(ValueError, match="has 40 of the 1064 decisions"):
        Mnist1D(rows)


def test_training_is_repeatable_and_leaves_generators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    import torch

    monkeypatch.setattr(training, "EPOCHS", 1)
    decision = space().default
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first, again, other = (training.train(decision, seed) for seed in (0, 0, 1))
    assert first[:2] == again[:2] != other[:2]
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert [len(split[0]) for split in training.data()] == [3000, 1000, 1000]


@pytest.mark.slow
@pytest.mark.parametrize("place", [7, 500, 1000])
def test_training_again_gives_the_same_accuracy(place: int) -> None:
    """Where it was made, exactly; elsewhere sums in other orders make it differ as another seed would."""
    rows = read()
    for seed in range(3):
        result = training.train(rows.batch[place], seed)
        assert result.valid == pytest.approx(rows.measured[f"valid_{seed}"][place], abs=0.1)
        assert result.test == pytest.approx(rows.measured[f"test_{seed}"][place], abs=0.1)
