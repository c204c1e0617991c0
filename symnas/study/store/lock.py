"""Who drives a study: enough about a process to tell later whether it still lives."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

STALE_AFTER = 120.0
"""Seconds without a heartbeat after which a driver on another machine counts as dead."""


@dataclass(frozen=True)
class LockHolder:
    """A driver of a study.

    Args:
        token: unique per search call.
        host: name of the machine.
        boot: which boot of the machine, where the system tells (a process number means nothing after a
            restart).
        pid: process number.
        started: when the process started, in the system's own units; a reused number has another start.
        beat: last sign of life, seconds since the epoch.
    """

    token: str
    host: str
    boot: str
    pid: int
    started: str
    beat: float

    @classmethod
    def of_this_process(cls) -> LockHolder:
        """Return a new holder that is this process."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), _boot(), pid, _started(pid), time.time())

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LockHolder:
        """Read what `to_json` wrote."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)

    @property
    def alive(self) -> bool:
        """Whether the driver may still run: known on the same machine, judged by heartbeat elsewhere."""
        if self.host != socket.gethostname():
            return time.time() - self.beat < STALE_AFTER
        # Here no clock is asked: a number that exists is this holder's only within the same boot, and only
        # if the process of that number started when the holder did.
        if self.boot != _boot() or not _exists(self.pid):
            return False
        if self.pid == os.getpid() and any(t.name == self.farewell for t in threading.enumerate()):
            return False
        return self.started == _started(self.pid)

    @property
    def farewell(self) -> str:
        """The name of the thread that gives up what a store did not take back when the search was over."""
        return f"symnas-farewell-{self.token}"

    def __str__(self) -> str:
        """Name the process for a message."""
        return f"process {self.pid} on {self.host}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    try:
        # The command name may hold spaces and brackets; the fields after its last bracket do not.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "dead" if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    if os.name == "nt":
        return True  # signal 0 would end the process there; the heartbeat is all there is
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
