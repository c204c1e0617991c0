"""A driver that is killed again and again ends with the study that an undisturbed one makes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import symnas
from symnas.contracts.outcome import Status
from symnas.study.store.open import open_store

SCRIPT = """
import sys, time
import symnas
from symnas import OneOf, Space

space = Space(tuple(OneOf(f"p{i}", (0, 1, 2, 3, 4), 0) for i in range(6)))

def evaluate(decision):
    time.sleep(0.001)
    return float(sum(value * (place + 1) for place, value in enumerate(decision.values())))

if __name__ == "__main__":
    path, workers, trials = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    symnas.search(
        space, evaluate, algorithm="evolution", options={"population": 10, "tournament": 3}, trials=trials,
        store=path, name="killed", workers=workers, seed=3, progress=False,
        on_trial=lambda trial: print(trial.number, flush=True),
    )
"""


def start(script: Path, store: Path, workers: int, trials: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), str(store), str(workers), str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(script: Path, store: Path, workers: int, trials: int) -> symnas.Study:
    driver = start(script, store, workers, trials)
    driver.communicate(timeout=120)
    assert driver.returncode == 0
    return symnas.load_study(store, "killed")


def results(study: symnas.Study) -> dict[int, object]:
    return {
        trial.number: (trial.decision.flat(), dict(trial.metrics), trial.finished)
        for trial in study.trials
        if trial.status is Status.DONE
    }


def kill_often(script: Path, store: Path, workers: int, trials: int, times: int, longest: float) -> int:
    """Kill the driver at random moments, check that nothing finished is lost, return how often it ran."""
    moments = random.Random(workers)
    before: dict[int, object] = {}
    killed = 0
    for _ in range(times):
        driver = start(script, store, workers, trials)
        assert driver.stdout is not None
        driver.stdout.readline()  # a trial is over, so the loop is running
        time.sleep(moments.uniform(0, longest))
        driver.send_signal(signal.SIGKILL)
        killed += driver.wait() == -signal.SIGKILL
        driver.stdout.close()
        study = symnas.load_study(store, "killed")
        after = results(study)
        assert before.items() <= after.items()
        assert study.state in ("killed", "done")
        before = after
    return killed


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "driver.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.slow
def test_twenty_kills_change_nothing_with_one_worker(script: Path, tmp_path: Path) -> None:
    trials = 1000
    undisturbed = finish(script, tmp_path / "calm.db", 1, trials)
    assert kill_often(script, tmp_path / "killed.db", 1, trials, 20, 0.06) == 20
    study = finish(script, tmp_path / "killed.db", 1, trials)

    assert [trial.decision for trial in study.trials] == [trial.decision for trial in undisturbed.trials]
    assert [trial.metrics for trial in study.trials] == [trial.metrics for trial in undisturbed.trials]
    assert {trial.status for trial in study.trials} == {Status.DONE}
    assert len(study.trials) == trials
    assert study.best.decision == undisturbed.best.decision
    study.replay()
    ends_once(tmp_path / "killed.db", trials)


@pytest.mark.slow
def test_kills_with_two_workers_lose_nothing(script: Path, tmp_path: Path) -> None:
    trials = 300
    assert kill_often(script, tmp_path / "killed.db", 2, trials, 6, 0.04) == 6
    study = finish(script, tmp_path / "killed.db", 2, trials)
    assert len(study.trials) == trials
    assert study.counts == {Status.DONE: trials}
    study.replay()
    ends_once(tmp_path / "killed.db", trials)


def ends_once(path: Path, trials: int) -> None:
    """Check in the raw log that every trial has one end."""
    store = open_store(path)
    row = store.find("killed")
    assert row is not None
    ends = [event.trial for event in store.events(row.key) if event.kind == Status.DONE]
    assert sorted(ends) == list(range(trials))
    store.close()
