"""All processes that a worker has started, and those that they started.

A process tree forgets: whoever's parent has ended belongs to the system, and daemons see to that on purpose.
So a worker carries a mark in its environment, which all that it starts inherits. What hides the mark is still
found in the worker's tree or session, as long as the worker lives.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Set
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

MARK = "SYMNAS_WORKER"
"""The environment variable; its marks are separated by colons, those of the worker that it runs in first."""
ROUNDS = 20
PATIENCE = 2.0
"""Seconds to wait for killed processes to be gone."""
# They clean up after the others (shared memory, semaphores) and end by themselves when those are gone.
HELPERS = ("resource_tracker", "torch_shm_manager")


def marked(*marks: str) -> str:
    """Return the value of `MARK` for a worker of this process: its marks, after those of this process."""
    return ":".join([*filter(None, [os.environ.get(MARK)]), *marks])


def end(marks: Set[str], workers: Iterable[int] = ()) -> None:
    """Kill what workers have started, and the workers.

    Processes that still run could start others in the meantime. So all are stopped first, until no new ones
    turn up, and killed then. What cannot be killed (by another user) is left alone.

    Args:
        marks: one of each worker's.
        workers: process numbers of those that were not waited for yet; a number may be a stranger's
            afterwards.
    """
    import psutil  # takes 40 ms, which a search without workers need not pay

    roots = set(workers)
    gone = (psutil.Error, OSError)
    stopped: dict[psutil.Process, bool] = {}
    for _ in range(ROUNDS):
        fresh = [process for process in _family(marks, roots) if process not in stopped]
        for process in fresh:
            with suppress(*gone):
                stopped[process] = helper = _is_helper(process)
                if not helper:
                    process.suspend()
        if not fresh:
            break
    helpers = [process for process, helper in stopped.items() if helper]
    others = [process for process, helper in stopped.items() if not helper]
    _kill(others)
    _await(helpers)
    _kill(helpers)


def _family(marks: Set[str], roots: Set[int]) -> list[psutil.Process]:
    """Return the processes that carry a mark or belong to a worker, and their descendants."""
    import psutil

    here = os.getpid()
    everyone: dict[int, psutil.Process] = {}
    children: dict[int, list[int]] = {}
    found: list[int] = []
    for number in psutil.pids():
        try:
            process = psutil.Process(number)
            children.setdefault(process.ppid(), []).append(number)
        except psutil.Error:
            continue
        everyone[number] = process
        if number in roots or _session(number) in roots or marks & _marks(process):
            found.append(number)
    family: dict[int, psutil.Process] = {}
    while found:
        number = found.pop()
        if number not in family and number != here and number in everyone:
            family[number] = everyone[number]
            found += children.get(number, [])
    return list(family.values())


def _marks(process: psutil.Process) -> set[str]:
    import psutil

    try:
        return set(process.environ().get(MARK, "").split(":"))
    except (psutil.Error, OSError, ValueError):
        return set()  # another user's, or gone


def _session(number: int) -> int | None:
    try:
        return os.getsid(number)
    except (AttributeError, OSError):
        return None


def _is_helper(process: psutil.Process) -> bool:
    return any(name in part for part in process.cmdline() for name in HELPERS)


def _kill(processes: Iterable[psutil.Process]) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.Error, OSError):
            process.kill()
    _await(processes)


def _await(processes: Iterable[psutil.Process]) -> None:
    """Wait until processes are gone; those of which only the entry is left are."""
    import psutil

    until = time.monotonic() + PATIENCE
    for process in processes:
        with suppress(psutil.Error, OSError):
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() >= until:
                    break
                time.sleep(0.002)
