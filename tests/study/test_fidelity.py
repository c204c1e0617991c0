"""Studies whose trials go differently far: counting, resuming, looking up, workers, kills."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import symnas
from symnas.algorithms import ASHA, Hyperband, SuccessiveHalving
from symnas.contracts.outcome import Status
from symnas.errors import AlgorithmError, EvaluatorError
from symnas.study.pruners import Median
from symnas.tree.choices import OneOf
from symnas.tree.space import Space

SPACE = Space(tuple(OneOf(f"p{i}", (0, 1, 2, 3, 4), 0) for i in range(4)))


def total(decision: Any) -> float:
    return float(sum(value * 5**place for place, value in enumerate(decision.values())))


def grow(decision: Any, fidelity: int) -> float:
    return total(decision) + fidelity / 100


def run(evaluate: Any = grow, **changes: Any) -> symnas.Study:
    settings: dict[str, Any] = {"algorithm": SuccessiveHalving(high=9), "seed": 1, "progress": False}
    return symnas.search(SPACE, evaluate, **{**settings, **changes})


def table(study: symnas.Study) -> list[tuple[Any, ...]]:
    return [(trial.decision, trial.fidelity, trial.resumes, trial.seed) for trial in study.trials]


def test_a_promotion_is_a_trial_that_resumes_another() -> None:
    study = run(trials=13)
    assert [trial.fidelity for trial in study.trials] == [1] * 9 + [3] * 3 + [9]
    first = sorted(study.trials[:9], key=lambda trial: -total(trial.decision))[:3]
    assert [trial.resumes for trial in study.trials[9:12]] == [trial.number for trial in first]
    last = study.trials[12]
    assert last.resumes == 9
    assert last.decision == study.trials[9].decision == first[0].decision
    assert last.seed == study.trials[9].seed == first[0].seed
    assert len({trial.seed for trial in study.trials}) == 9
    assert study.counts == {Status.DONE: 13}
    study.replay()


def test_the_best_is_judged_where_trials_went_furthest() -> None:
    def shrink(decision: Any, fidelity: int) -> float:
        return total(decision) - 1000 * fidelity

    study = run(shrink, trials=13)
    assert study.best.fidelity == 9
    assert study.best is study.trials[12]
    assert study.front == (study.trials[12],)
    assert run(shrink, trials=10).best is study.trials[9] or run(shrink, trials=10).best.fidelity == 3


def test_a_budget_counts_what_is_spent_anew() -> None:
    # Nine at 1 cost 9, three from 1 to 3 cost 6, one from 3 to 9 costs 6.
    assert len(run(budget=21).trials) == 13
    assert len(run(budget=22).trials) == 14
    assert len(run(budget=10).trials) == 10
    assert len(run(budget=100, trials=5).trials) == 5


def test_studies_continue_and_read_back(tmp_path: Path) -> None:
    whole = run(trials=40, algorithm="hyperband", options={"high": 9})
    for trials in (1, 7, 11, 12, 13, 30, 40):
        study = run(trials=trials, algorithm="hyperband", options={"high": 9}, store=tmp_path / "runs.db")
    assert table(study) == table(whole)
    read = symnas.load_study(tmp_path / "runs.db")
    assert table(read) == table(whole)
    assert read.best.fidelity == 9
    read.replay()
    assert [row["fidelity"] for row in read.frame().to_dict("records")][:2] == [1, 1]


def test_known_decisions_are_looked_up_by_fidelity_too() -> None:
    calls: list[Any] = []

    def noted(decision: Any, fidelity: int) -> float:
        calls.append((decision, fidelity))
        return grow(decision, fidelity)

    space = Space((OneOf("a", (1, 2, 3)),))
    options = {"high": 9, "inner_options": "repeats=true"}
    settings: dict[str, Any] = {"trials": 40, "progress": False, "options": options}
    study = symnas.search(space, noted, algorithm="hyperband", **settings)
    assert len(study.trials) == 40
    assert len(calls) == len(set(calls)) <= 9
    assert {fidelity for _, fidelity in calls} == {1, 3, 9}
    calls.clear()
    again = symnas.search(space, noted, algorithm="hyperband", reuse=False, **settings)
    assert len(calls) == 40
    resumed = [trial.resumes for trial in again.trials if trial.resumes is not None]
    assert len(resumed) == len(set(resumed)) > 0
    again.replay()


def test_generators_stop_at_the_fidelity() -> None:
    seen: list[int] = []

    def steps(decision: Any) -> Any:
        for step in range(1, 10):
            seen.append(step)
            yield step, total(decision) + step

    study = run(steps, trials=13)
    reached = [trial.metrics["value"] - total(trial.decision) for trial in study.trials]
    assert reached == [1] * 9 + [3] * 3 + [9]
    assert len(seen) == 9 + 3 * 3 + 9  # it keeps nothing, so it begins anew
    assert [step for step, _ in study.trials[9].steps] == [1, 2, 3]


def keeping(decision: Any, trial: Any, fidelity: int, checkpoint: Path) -> dict[str, float]:
    file = checkpoint / "steps"
    done = int(file.read_text()) if file.exists() else 0
    file.write_text(str(fidelity))
    return {"value": total(decision), "fresh": fidelity - done, "same": float(trial.checkpoint == checkpoint)}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_functions_go_on_from_their_folder(workers: int, place: str, tmp_path: Path) -> None:
    store = None if place == "memory" else tmp_path / "runs.db"
    study = run(keeping, trials=13, workers=workers, store=store, objectives="value")
    for trial in study.trials:
        passed = 0 if trial.resumes is None else study.trials[trial.resumes].fidelity or 0
        assert trial.fidelity is not None
        assert trial.metrics["fresh"] == trial.fidelity - passed
        assert trial.metrics["same"] == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"runs.db"}  # a study that is done leaves nothing


def test_only_those_that_may_go_on_keep_their_folders(tmp_path: Path) -> None:
    kept: list[int] = []

    def counting(decision: Any, checkpoint: Path, fidelity: int) -> float:
        (checkpoint / "steps").write_text("1")
        kept.append(len(list(checkpoint.parent.iterdir())))
        return total(decision)

    run(counting, trials=60, store=tmp_path / "runs.db")
    assert max(kept) <= 4  # the three best of the first rung, and the one that runs
    assert min(kept[1:]) >= 1


def interrupted(store: Path, trials: int, at: int) -> symnas.Study:
    """Return a study whose driver broke down when trial `at` was over, with what it had paused."""

    def stop(trial: Any) -> None:
        if trial.number == at:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(keeping, trials=trials, store=store, name="cut", objectives="value", on_trial=stop)
    return symnas.load_study(store, "cut")


def test_what_another_study_of_the_name_has_left_is_not_taken_up(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    interrupted(store, 13, 8)
    assert list(tmp_path.rglob("steps"))
    for file in tmp_path.glob("runs.db*"):
        if file.is_file():
            file.unlink()
    study = run(keeping, trials=13, store=store, name="cut", objectives="value")
    assert [trial.metrics["fresh"] for trial in study.trials] == [1] * 9 + [2] * 3 + [6]


def test_a_changed_search_imports_trials_with_their_fidelities(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    old = interrupted(store, 13, 11)
    changes: dict[str, Any] = {"store": store, "name": "cut", "objectives": "value", "on_change": "import"}
    study = run(keeping, algorithm=ASHA(high=9, factor=3), trials=14, **changes)
    assert [trial.fidelity for trial in study.trials[:12]] == [trial.fidelity for trial in old.trials[:12]]
    # The rung at 3 has three results, so the best goes on; its training is gone, so it begins anew.
    assert study.trials[12].fidelity == 9
    assert study.trials[12].resumes in (9, 10, 11)
    assert study.trials[12].metrics["fresh"] == 9
    plain = run(total, algorithm="random", trials=9, **changes)  # what went furthest, one trial
    assert plain.trials[0].decision == study.trials[12].decision
    assert {trial.fidelity for trial in plain.trials} == {None}
    assert [summary.name for summary in symnas.studies(store)] == ["cut@1", "cut@2", "cut"]


@pytest.mark.parametrize(
    "algorithm",
    [
        ASHA(high=16),
        pytest.param(Hyperband(high=9), marks=pytest.mark.slow),
        pytest.param(SuccessiveHalving(high=9), marks=pytest.mark.slow),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_two_workers_finish_with_the_right_counts(algorithm: Any) -> None:
    study = run(trials=30, workers=2, algorithm=algorithm)
    assert study.counts == {Status.DONE: 30}
    for trial in study.trials:
        if trial.resumes is not None:
            earlier = study.trials[trial.resumes]
            assert earlier.decision == trial.decision
            assert (earlier.fidelity or 0) < (trial.fidelity or 0)
            assert earlier.seed == trial.seed
    promoted = [trial for trial in study.trials if trial.fidelity != 1]
    assert algorithm.hyperparameters["high"] in {trial.fidelity for trial in promoted}
    study.replay()
    again = [run(trials=30, workers=2, algorithm=algorithm, deterministic=True) for _ in range(2)]
    assert table(again[0]) == table(again[1])


def test_what_does_not_fit_is_told_before_anything_runs() -> None:
    def plain(decision: Any) -> float:
        raise AssertionError("it runs")

    with pytest.raises(EvaluatorError, match="needs an evaluator that can go so far and no further"):
        run(plain)
    with pytest.raises(AlgorithmError, match="needs to know how far a trial goes at most"):
        run(algorithm="asha")
    with pytest.raises(AlgorithmError, match="at least 3 times as far as at first"):
        run(algorithm="hyperband", options={"high": 2})
    with pytest.raises(AlgorithmError, match="leave one of the two out"):
        run(pruner=Median())
    with pytest.raises(AlgorithmError, match="Random lets all go as far"):
        run(plain, algorithm="random", budget=10)
    with pytest.raises(EvaluatorError, match="'fidelity': search with an algorithm that sets it"):
        symnas.search(SPACE, lambda child, *, fidelity: 1.0, progress=False)
    with pytest.raises(AlgorithmError, match="takes one objective"):
        run(
            algorithm="asha", options={"high": 9, "inner": "evolution"},
            objectives={"a": "max", "b": "min"},
        )  # fmt: skip


SCRIPT = """
import sys, time
import symnas
from symnas import OneOf, Space

space = Space(tuple(OneOf(f"p{i}", (0, 1, 2, 3, 4), 0) for i in range(6)))

def evaluate(decision, fidelity, checkpoint):
    file = checkpoint / "steps"
    done = int(file.read_text()) if file.exists() else 0
    time.sleep(0.001)
    part = checkpoint / "part"
    part.write_text(str(fidelity))
    part.replace(file)
    return {"value": sum(v * (p + 1) for p, v in enumerate(decision.values())) + fidelity, "done": done}

if __name__ == "__main__":
    path, workers, trials, algorithm = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    symnas.search(
        space, evaluate, algorithm=algorithm, options={"high": 27, "inner": "evolution"}, trials=trials,
        objectives="value", store=path, name="killed", workers=workers, seed=3, progress=False,
        on_trial=lambda trial: print(trial.number, flush=True),
    )
"""


def start(script: Path, store: Path, workers: int, trials: int, algorithm: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), str(store), str(workers), str(trials), algorithm]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed(
    tmp_path: Path, store: str, workers: int, trials: int, algorithm: str, pauses: Any
) -> symnas.Study:
    script = tmp_path / "driver.py"
    script.write_text(SCRIPT)
    for pause in pauses:
        driver = start(script, tmp_path / store, workers, trials, algorithm)
        assert driver.stdout is not None
        driver.stdout.readline()
        time.sleep(pause)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        driver.stdout.close()
    driver = start(script, tmp_path / store, workers, trials, algorithm)
    driver.communicate(timeout=120)
    assert driver.returncode == 0
    return symnas.load_study(tmp_path / store, "killed")


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["hyperband", "asha"])
def test_kills_change_nothing_with_one_worker(algorithm: str, tmp_path: Path) -> None:
    calm = killed(tmp_path, "calm.db", 1, 120, algorithm, ())
    study = killed(tmp_path, "killed.db", 1, 120, algorithm, (0.0, 0.05, 0.03))
    assert table(study) == table(calm)
    assert [trial.values for trial in study.trials] == [trial.values for trial in calm.trials]
    study.replay()
    resumed = [trial for trial in study.trials if trial.resumes is not None]
    begun = [trial for trial in resumed if trial.metrics["done"] == 0]
    # A kill may meet a checkpoint on its way from one trial to the next: that one is trained anew.
    assert len(begun) <= 3
    for trial in resumed:  # gone on with, though the process that left it is dead
        if trial not in begun:
            assert trial.metrics["done"] in (study.trials[trial.resumes].fidelity, trial.fidelity)


@pytest.mark.slow
def test_kills_with_two_workers_lose_nothing(tmp_path: Path) -> None:
    study = killed(tmp_path, "killed.db", 2, 120, "hyperband", (0.1, 0.2, 0.1))
    assert study.counts == {Status.DONE: 120}
    study.replay()
