"""What becomes of a process that an evaluator forked and that came back out of it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def ended_if_forked() -> Iterator[None]:
    """End a process that began within, as an interpreter ends that has nothing left to do.

    Two processes would go on with the search otherwise: with one store, or one pipe to the driver.
    """
    process = os.getpid()
    _flush()  # what is printed and not yet written, a process that is forked would write a second time
    try:
        yield
    except BaseException as error:
        if os.getpid() != process:
            _leave(error)
        raise
    if os.getpid() != process:
        _leave(None)


def _leave(error: BaseException | None) -> None:
    code = 0 if error is None else 1
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        code = error.code or 0
    elif isinstance(error, SystemExit):
        print(error.code, file=sys.stderr)
    elif error is not None:
        traceback.print_exception(error)
    _flush()
    os._exit(code & 0xFF)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # Without a console there are none, and those of others may be closed.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
