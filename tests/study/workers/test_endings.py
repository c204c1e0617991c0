"""What evaluators have started ends with a trial's time, with the search, with a driver that is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import symnas
from symnas import OneOf, Space, Status
from symnas.study.trials.trial import Trial

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes of POSIX")
Evaluator = Callable[[], Any]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def note(folder: Path, pid: int) -> None:
    (folder / f"{pid}.pid").touch()


def noted(folder: Path) -> list[int]:
    return [int(file.stem) for file in folder.glob("*.pid")]


def sleeping(**options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(470)"], **options)


def forked(folder: Path) -> int:
    child = os.fork()
    if child == 0:
        time.sleep(470)
        os._exit(0)
    note(folder, child)
    return child


def daemon(folder: Path) -> None:
    """Start a process that belongs to nobody, in a session of its own."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        child = os.fork()
        if child == 0:
            time.sleep(470)
        os.write(writing, str(child).encode())
        os._exit(0)
    note(folder, int(os.read(reading, 20)))
    os.wait()


def evaluators(folder: Path) -> dict[str, Evaluator]:
    """Return evaluators that do not end."""

    def waits_for_a_program() -> None:
        child = sleeping()
        note(folder, child.pid)
        child.wait()

    def waits_for_a_shell() -> None:
        subprocess.run(f"sleep 470 | cat & echo > {folder}/$!.pid; sleep 471", shell=True, check=False)

    def other_session() -> None:
        child = sleeping(start_new_session=True)
        note(folder, child.pid)
        child.wait()

    def other_session_without_environment() -> None:
        child = sleeping(start_new_session=True, env={})
        note(folder, child.pid)
        child.wait()

    def has_a_daemon() -> None:
        daemon(folder)
        time.sleep(470)

    def forks() -> None:
        os.waitpid(forked(folder), 0)

    def computes_without_a_break() -> None:
        forked(folder)
        sum(range(10**12))

    def ignores_signals() -> None:
        forked(folder)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(1)

    def is_stopped() -> None:
        forked(folder)
        os.kill(os.getpid(), signal.SIGSTOP)

    def starts_more_and_more() -> None:
        while True:
            forked(folder)
            time.sleep(0.01)

    def has_a_pool() -> None:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            for child in multiprocessing.active_children():
                note(folder, child.pid or 0)
            pool.map(time.sleep, [470, 470])

    return {name: found for name, found in locals().items() if callable(found)}


SOME = ("waits_for_a_program", "other_session", "has_a_daemon", "forks")
ALL = tuple(evaluators(Path()))


def end_in_time(folder: Path, kinds: tuple[str, ...]) -> None:
    def evaluate(d: Any) -> float:
        note(folder, os.getpid())
        evaluators(folder)[d["kind"]]()
        return 1.0

    space = Space((OneOf("kind", ("none", *kinds), "none"),))
    study = symnas.search(
        space, lambda d: 1.0 if d["kind"] == "none" else evaluate(d), algorithm="grid", trials=len(kinds) + 1,
        workers=2, timeout=2, progress=False,
    )  # fmt: skip
    left = [pid for pid in noted(folder) if alive(pid)]
    assert study.counts == {Status.TIMEOUT: len(kinds), Status.DONE: 1}
    assert {t.error for t in study.trials} == {"took longer than 2 s", None}
    assert len(noted(folder)) >= 2 * len(kinds)
    assert left == []


def test_a_timeout_ends_all_that_the_trial_has_started(tmp_path: Path) -> None:
    end_in_time(tmp_path, SOME)


@pytest.mark.slow
def test_a_timeout_ends_whatever_the_trial_has_started(tmp_path: Path) -> None:
    end_in_time(tmp_path, ALL)


@pytest.mark.parametrize("crash", [False, True], ids=["a search that is over", "a worker that crashed"])
def test_nothing_that_trials_have_left_survives(tmp_path: Path, crash: bool) -> None:
    def evaluate(d: Any) -> float:
        match d["kind"]:
            case "forked":
                forked(tmp_path)
            case "session":
                note(tmp_path, sleeping(start_new_session=True).pid)
            case "daemon":
                daemon(tmp_path)
        if crash:
            os._exit(3)
        return 1.0

    space = Space((OneOf("kind", ("forked", "session", "daemon"), "daemon"),))
    study = symnas.search(space, evaluate, algorithm="grid", trials=3, workers=2, retries=0, progress=False)
    assert [pid for pid in noted(tmp_path) if alive(pid)] == []
    assert len(noted(tmp_path)) == 3
    assert study.counts == ({Status.FAILED: 3} if crash else {Status.DONE: 3})


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_endings
import symnas
from symnas import OneOf, Space

folder, kinds = Path(sys.argv[2]), tuple(sys.argv[3].split(","))
def evaluate(d):
    test_endings.note(folder, test_endings.os.getpid())
    test_endings.evaluators(folder)[d["kind"]]()

space = Space((OneOf("kind", kinds, kinds[0]),))
symnas.search(space, evaluate, algorithm="grid", trials=len(kinds), workers=len(kinds) + 1, progress=False)
"""


def killed(folder: Path, kinds: tuple[str, ...]) -> None:
    script = folder / "driver.py"
    script.write_text(DRIVER)
    here = str(Path(__file__).parent)
    driver = subprocess.Popen([sys.executable, str(script), here, str(folder), ",".join(kinds)])
    try:
        wait_for(lambda: len(noted(folder)) >= 2 * len(kinds))
    finally:
        driver.kill()
        driver.wait()
    wait_for(lambda: not any(alive(pid) for pid in noted(folder)))


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_survives_a_killed_driver(tmp_path: Path) -> None:
    killed(tmp_path, ("has_a_daemon", "computes_without_a_break"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_nothing_whatever_it_is_survives_a_killed_driver(tmp_path: Path, kind: str) -> None:
    killed(tmp_path, (kind,))


def test_time_that_the_driver_takes_is_not_the_trials() -> None:
    inside = threading.Event()

    def linger(trial: Trial) -> None:
        if not inside.is_set():
            inside.set()
            time.sleep(2.5)

    def evaluate(d: Any) -> float:
        time.sleep(0.2 * d["a"])
        return 1.0

    space = Space((OneOf("a", (0, 1), 0),))
    study = symnas.search(
        space, evaluate, algorithm="grid", trials=2, workers=2, timeout=2, on_trial=linger, progress=False
    )
    assert study.counts == {Status.DONE: 2}


def test_a_timeout_holds_while_the_driver_does_something_else(tmp_path: Path) -> None:
    found: list[list[int]] = []

    def linger(trial: Trial) -> None:
        if trial.status is Status.DONE:
            wait_for(lambda: len(noted(tmp_path)) == 2)
            wait_for(lambda: not any(alive(pid) for pid in noted(tmp_path)))
            found.append(noted(tmp_path))

    def evaluate(d: Any) -> float:
        if d["a"]:
            note(tmp_path, os.getpid())
            os.waitpid(forked(tmp_path), 0)
        return 1.0

    space = Space((OneOf("a", (0, 1), 0),))
    study = symnas.search(
        space, evaluate, algorithm="grid", trials=2, workers=2, timeout=1, on_trial=linger, progress=False
    )
    assert study.counts == {Status.DONE: 1, Status.TIMEOUT: 1}
    assert len(found) == 1


def test_searches_in_workers_of_searches_end_with_them(tmp_path: Path) -> None:
    space = Space((OneOf("a", (0, 1), 0),))

    def evaluate(d: Any) -> float:
        def inner(e: Any) -> None:
            note(tmp_path, os.getpid())
            daemon(tmp_path)
            time.sleep(470)

        symnas.search(space, inner, algorithm="grid", trials=2, workers=2, progress=False)
        return 1.0

    study = symnas.search(space, evaluate, algorithm="grid", trials=1, timeout=6, progress=False)
    assert study.counts == {Status.TIMEOUT: 1}
    assert noted(tmp_path)
    assert not any(alive(pid) for pid in noted(tmp_path))
