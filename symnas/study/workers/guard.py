"""A small process that outlives a driver for a moment, and ends what the driver's workers have left.

A worker that computes cannot notice that its driver was killed: it may be in the middle of a function in C
that lets no other thread of Python run. And what it has started would not be ended by its own end.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys

from symnas.study.workers.descendants import end

START = "from symnas.study.workers.guard import main; main()"
SECONDS = 1.0
"""How often it looks whether its parent is another one."""


class Guard:
    """The driver's side: the process ends when this is closed, or when the driver is gone.

    Args:
        mark: of all workers of the driver.
    """

    def __init__(self, mark: str) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-c", START, mark, str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        """End it; the workers have been ended."""
        self._popen.kill()
        self._popen.wait()
        assert self._popen.stdin is not None
        self._popen.stdin.close()


def main() -> None:
    """Wait until the driver is gone, then end its workers."""
    mark, driver = sys.argv[1], int(sys.argv[2])
    # The pipe closes when its last holder is gone. That is the driver, unless it was forked; but then this
    # process is given another parent.
    while os.getppid() == driver and not select.select([0], [], [], SECONDS)[0]:
        pass
    end({mark})
