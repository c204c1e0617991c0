"""Messages over pipes, each with its length ahead.

Nothing here keeps a buffer or a lock between calls. A process that is forked in the middle of one would
inherit a lock that nobody gives up, or half a message that it writes a second time.
"""

from __future__ import annotations

import os
import pickle
import select
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct("<Q")
PIECE = 1 << 20
"""Most bytes that are asked for at once."""


def send(descriptor: int, message: Any) -> None:
    """Write one message.

    Args:
        descriptor: of the pipe.
        message: anything that can be pickled.

    Raises:
        OSError: nobody reads any more.
    """
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    for part in (LENGTH.pack(len(body)), body):
        left = memoryview(part)
        while left:
            left = left[os.write(descriptor, left) :]


def receive(descriptor: int, wait: Callable[[], None] = lambda: None) -> Any:
    """Read one message.

    Args:
        descriptor: of the pipe.
        wait: called before every read; returns when there is something to read, or raises.

    Raises:
        EOFError: nobody writes any more.
    """
    (length,) = LENGTH.unpack(_exactly(descriptor, LENGTH.size, wait))
    return pickle.loads(_exactly(descriptor, length, wait))


def readable(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read, or nobody writes any more; False if that takes longer."""
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        until = time.monotonic() + seconds
        while True:
            try:
                if _winapi.PeekNamedPipe(msvcrt.get_osfhandle(descriptor), 0)[0]:
                    return True
            except OSError:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _exactly(descriptor: int, count: int, wait: Callable[[], None]) -> bytearray:
    read = bytearray()
    while len(read) < count:
        wait()
        part = os.read(descriptor, min(count - len(read), PIECE))
        if not part:
            raise EOFError("the other end is closed")
        read += part
    return read
