"""However an evaluator ends, the trial says so by its right name, and the search goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

import symnas
from symnas import OneOf, Space, Status


class OddError(BaseException):
    pass


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError("no message")


class LeavingError(Exception):
    def __str__(self) -> str:
        sys.exit("from __str__")


class NoTextError(Exception):
    def __str__(self) -> Any:
        return 3


class OwnCauseError(RuntimeError):
    pass


def own_cause() -> NoReturn:
    error = OwnCauseError("round and round")
    raise error from error


def nested_cause() -> NoReturn:
    try:
        raise UnreadableError
    except UnreadableError as error:
        raise RuntimeError("could not load") from error


def raised(error: BaseException) -> Any:
    def function() -> NoReturn:
        raise error

    return function


def alarmed() -> None:
    def expired(number: int, frame: Any) -> NoReturn:
        raise TimeoutError("the evaluator's own limit")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        time.sleep(30)
    finally:
        signal.signal(signal.SIGALRM, before)


UNSHOWN = "(its message cannot be shown"
ENDED = "the worker process ended with exit status"
# name of an evaluator: (what it does, the error that the trial has)
ODD = {
    "a message": (lambda: sys.exit("no data"), "SystemExit: no data"),
    "a code": (lambda: sys.exit(3), "SystemExit: 3"),
    "no code": (sys.exit, "SystemExit"),
    "a class of its own": (raised(OddError("odd")), "OddError: odd"),
    "a generator's end": (raised(GeneratorExit("ended")), "GeneratorExit: ended"),
    "cancelled": (raised(asyncio.CancelledError()), "CancelledError"),
    "a group": (
        raised(BaseExceptionGroup("two", [OddError("a"), ValueError("b")])),
        "BaseExceptionGroup: two (2 sub-exceptions)",
    ),
    "no message": (raised(UnreadableError()), f"UnreadableError: {UNSHOWN}: ZeroDivisionError)"),
    "a message that leaves": (raised(LeavingError()), f"LeavingError: {UNSHOWN}: SystemExit)"),
    "a message that is none": (raised(NoTextError()), f"NoTextError: {UNSHOWN}: TypeError)"),
    "its own cause": (own_cause, "OwnCauseError: round and round"),
    "a cause without message": (nested_cause, "RuntimeError: could not load"),
    "no text in UTF-8": (raised(ValueError("\udcff\x00")), "ValueError: \udcff\x00"),
    "its own alarm": (alarmed, "TimeoutError: the evaluator's own limit"),
}  # fmt: skip
# only where a process may be lost: name: (what it does, what the error ends with)
LOST = {
    "exits at once": (lambda: os._exit(3), f"{ENDED} 3 (in the only attempt)"),
    "exits well": (lambda: os._exit(0), f"{ENDED} 0 (in the only attempt)"),
    "a signal": (
        lambda: os.kill(os.getpid(), signal.SIGTERM),
        "the worker process was ended by SIGTERM (in the only attempt)",
    ),
    "aborts": (os.abort, "the worker process was ended by SIGABRT (in the only attempt)"),
    "an interrupt": (raised(KeyboardInterrupt("mine")), "KeyboardInterrupt: mine"),
    "Ctrl-C of its own": (lambda: signal.raise_signal(signal.SIGINT), "KeyboardInterrupt"),
}  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_every_end_has_its_name(workers: int) -> None:
    ends = {**ODD, **(LOST if workers > 1 else {})}
    space = Space((OneOf("end", ("well", *ends), "well"),))
    study = symnas.search(
        space, lambda d: 1.0 if d["end"] == "well" else ends[d["end"]][0](), algorithm="grid",
        trials=len(ends) + 1, workers=workers, retries=0, progress=False,
    )  # fmt: skip
    assert study.counts == {Status.DONE: 1, Status.FAILED: len(ends)}
    assert {t.decision["end"]: t.error for t in study.trials[1:]} == {
        name: end[1] for name, end in ends.items()
    }
    for trial in study.trials:
        if trial.decision["end"] in ODD:
            assert trial.traceback is not None
            assert trial.traceback.startswith(("Traceback", "  + Exception"))


def test_memory_that_ran_out_is_found_behind_odd_errors() -> None:
    def evaluate(d: Any) -> NoReturn:
        try:
            raise MemoryError
        except MemoryError as error:
            raise OddError from error

    space = Space((OneOf("a", (0, 1), 0),))
    study = symnas.search(space, evaluate, algorithm="grid", trials=2, progress=False)
    assert study.counts == {Status.OOM: 2}


def test_odd_ends_are_written_down(tmp_path: Path) -> None:
    space = Space((OneOf("end", tuple(ODD), "a code"),))
    settings: dict[str, Any] = {
        "algorithm": "grid", "store": tmp_path / "s.db", "progress": False, "give_up_after": 0, "context": 0,
    }  # fmt: skip
    study = symnas.search(space, lambda d: ODD[d["end"]][0](), trials=len(ODD), **settings)
    again = symnas.load_study(tmp_path / "s.db")
    assert (
        [t.error for t in again.trials] == [t.error for t in study.trials] == [end[1] for end in ODD.values()]
    )
    again.replay()


TERMINATED = """
import signal, sys, time, symnas
from symnas import OneOf, Space
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("told to end"))
def evaluate(d):
    print("evaluates", flush=True)
    time.sleep(60)
space = Space((OneOf("a", (0, 1), 0),))
symnas.search(space, evaluate, algorithm="grid", trials=2, store=sys.argv[1], progress=False)
"""


def test_a_process_that_is_told_to_end_ends(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(TERMINATED)
    command = [sys.executable, str(script), str(tmp_path / "s.db")]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    driver.stdout.readline()
    driver.send_signal(signal.SIGTERM)
    assert driver.communicate(timeout=30)[1] == "told to end\n"
    assert driver.returncode == 1
    (trial,) = symnas.load_study(tmp_path / "s.db").trials
    assert not trial.status.final
