"""Worker processes: what reaches them, how they end, and that they make no difference to the study."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

import symnas
from symnas import OneOf, Space, Status
from symnas.errors import EvaluatorError
from symnas.study.pruners import Median
from symnas.study.trials.trial_context import RunningTrial

SPACE = Space((OneOf("a", (0, 1, 2, 3), 0), OneOf("b", (0, 1, 2, 3), 0)))
GRID: dict[str, Any] = {"algorithm": "grid", "trials": 16, "progress": False}


def total(decision: Any) -> float:
    return float(decision["a"] + decision["b"])


class Scale:
    """A class that lives in a test module, as another might live in a script."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    @staticmethod
    def base(d: Any) -> float:
        return total(d)

    def __call__(self, d: Any) -> float:
        return self.factor * self.base(d)


def test_closures_and_instances_reach_the_workers() -> None:
    scale = Scale(3.0)
    study = symnas.search(SPACE, lambda d: scale(d) + 1, workers=2, **GRID)
    assert {t.number: t.values for t in study.trials} == {
        t.number: (3 * total(t.decision) + 1,) for t in study.trials
    }
    assert {t.worker for t in study.trials} == {0, 1}
    assert study.counts == {Status.DONE: 16}


def test_workers_are_other_processes_and_print_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    def evaluate(d: Any) -> float:
        print("printed by an evaluator")
        return float(os.getpid())

    study = symnas.search(SPACE, evaluate, workers=2, **GRID)
    assert os.getpid() not in {t.metrics["value"] for t in study.trials}
    out, err = capfd.readouterr()
    assert "printed" not in out
    assert err.count("printed by an evaluator") == 16


def test_threads_are_shared_out() -> None:
    cores = len(os.sched_getaffinity(0))
    study = symnas.search(SPACE, lambda d: int(os.environ["OMP_NUM_THREADS"]), workers=2, **GRID)
    assert study.trials[0].values == (max(1, cores // 2),)


def test_a_trial_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    def evaluate(d: Any) -> float:
        if (d["a"], d["b"]) in ((0, 0), (0, 2)):
            (tmp_path / f"{os.getpid()}.pid").touch()
            time.sleep(600)
        return total(d)

    began = time.monotonic()
    study = symnas.search(
        SPACE, evaluate, timeout=0.5, **GRID
    )  # one worker: a process of its own all the same
    assert time.monotonic() - began < 30
    assert study.counts == {Status.TIMEOUT: 2, Status.DONE: 14}
    assert study.trials[0].error == "took longer than 0.5 s"
    for file in tmp_path.glob("*.pid"):
        with pytest.raises(ProcessLookupError, match="No such process"):
            os.kill(int(file.stem), 0)


def test_a_crash_is_tried_again_and_a_model_error_is_not(tmp_path: Path) -> None:
    def evaluate(d: Any) -> float:
        tries = tmp_path / f"{d['a']}{d['b']}"
        tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
        match d["a"], d["b"]:
            case 0, 0:
                os._exit(7)
            case 0, 1:
                os.kill(os.getpid(), signal.SIGSEGV)
            case 0, 2 if len(tries.read_text()) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            case 0, 3:
                raise ValueError("boom")
            case 1, 0:
                raise MemoryError
        return total(d)

    study = symnas.search(SPACE, evaluate, workers=2, retries=1, **GRID)
    by = {(t.decision["a"], t.decision["b"]): t for t in study.trials}
    assert "exit status 7 (in 2 attempts)" in (by[0, 0].error or "")
    assert "SIGSEGV" in (by[0, 1].error or "")
    assert (by[0, 2].status, by[0, 2].attempts) == (Status.DONE, 2)
    assert by[0, 3].error == "ValueError: boom"
    assert by[1, 0].status is Status.OOM
    assert (tmp_path / "00").read_text() == "xx"
    assert (tmp_path / "03").read_text() == "x"
    study.replay()


def test_the_same_seed_gives_the_same_study_with_workers() -> None:
    def uneven(d: Any, trial: RunningTrial) -> float:
        time.sleep(0.01 * ((trial.number * 7919 + os.getpid()) % 3))
        return total(d)

    settings: dict[str, Any] = {
        "algorithm": "evolution", "options": {"population": 6, "tournament": 2}, "trials": 40,
        "workers": 3, "deterministic": True, "progress": False, "seed": 5,
    }  # fmt: skip
    one = symnas.search(SPACE, uneven, **settings)
    two = symnas.search(SPACE, total, **settings)
    assert [t.decision for t in one.trials] == [t.decision for t in two.trials]
    seen = [event.payload["seen"] for event in one.store.events(0) if event.kind == "propose"]
    visible: list[int] = []
    for number, numbers in enumerate(seen):
        visible += numbers
        assert visible == list(range(max(0, number - 2)))
    one.replay()


def test_pruning_crosses_processes() -> None:
    def evaluate(d: Any) -> Any:
        for step in range(3):
            yield step, -total(d)

    study = symnas.search(SPACE, evaluate, workers=2, pruner=Median(startup=3), **GRID)
    assert study.counts[Status.PRUNED] > 2
    assert study.counts[Status.DONE] > 2


def test_a_mistake_of_the_evaluator_ends_the_search() -> None:
    with pytest.raises(EvaluatorError, match="it returned 'high'"):
        symnas.search(SPACE, lambda d: "high", workers=2, **GRID)


class Cyclic:
    def __init__(self) -> None:
        self.itself = self


def test_workers_free_what_trials_leave_without_looking_through_all_that_modules_hold() -> None:
    left: list[Any] = []
    held: list[Any] = []

    def evaluate(d: Any) -> dict[str, float]:
        import numpy.polynomial  # while the trial runs, as evaluators do

        assert numpy.polynomial
        alive = sum(reference() is not None for reference in left)
        left.append(weakref.ref(Cyclic()))
        held[:] = [Cyclic()]  # what one trial keeps for the next is freed as well
        left.append(weakref.ref(held[0]))
        return {"alive": alive, "frozen": gc.get_freeze_count(), "seen": len(gc.get_objects())}

    study = symnas.search(SPACE, evaluate, workers=2, objectives="alive", **GRID)
    later = [t for t in study.trials if t.worker in {u.worker for u in study.trials[: t.number]}]
    assert len(later) >= 14
    for trial in later:
        assert trial.metrics["alive"] <= 2  # what it holds, and what it held when all was looked through
        assert trial.metrics["frozen"] > trial.metrics["seen"]


def test_what_cannot_be_sent_is_told() -> None:
    lock = threading.Lock()
    with pytest.raises(EvaluatorError, match=r"something that cannot be sent \(.*lock.*workers=1"):
        symnas.search(SPACE, lambda d: float(lock.locked()), workers=2, **GRID)


def test_workers_of_a_killed_driver_end(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        "import os, time, pathlib, symnas\n"
        "from symnas import OneOf, Space\n"
        "here = pathlib.Path(__file__).parent\n"
        "def evaluate(d):\n"
        "    (here / f'{os.getpid()}.pid').touch()\n"
        "    time.sleep(600)\n"
        "symnas.search(Space((OneOf('a', (0, 1), 0),)), evaluate, workers=2, progress=False)\n"
    )  # no `if __name__ == '__main__'`: workers do not run the script again
    driver = subprocess.Popen([sys.executable, str(script)])
    try:
        pids = wait_for(lambda: [int(f.stem) for f in tmp_path.glob("*.pid")], 2)
    finally:
        driver.kill()
        driver.wait()
    wait_for(lambda: [pid for pid in pids if not alive(pid)], 2)


def wait_for(get: Any, count: int) -> Any:
    deadline = time.monotonic() + 30
    while len(found := get()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


UNGUARDED = """
import symnas
class Net:
    def __init__(self):
        self.width = 3  # search: {3, 4, 5}
symnas.search(symnas.program(Net), lambda net: net.width, workers=2, progress=False)
"""


def test_an_unguarded_script_with_a_class_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert "put the search under `if __name__ == '__main__':`" in done.stderr
    script.write_text(UNGUARDED.replace("symnas.search(", "if __name__ == '__main__':\n    symnas.search("))
    subprocess.run([sys.executable, str(script)], check=True)
