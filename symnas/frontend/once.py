"""What the user's code prints while it is run again and again is shown once.

A survey calls the constructor hundreds of times, and so do others. The first run that gets through is heard;
of runs before it the lines that were not shown yet, of later ones nothing. Only what this thread writes
is held back, and only on its way through `sys.stdout`, `sys.stderr`, `warnings` and `logging`: file
descriptors are left alone. Exceptions are no output, and always get through.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

_OURS = str(Path(__file__).parents[1])


class Told:
    """What a program has shown so far."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.complete = False
        """Whether a run got through, so that all is shown."""

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Show of a run what was not shown yet; nothing once another one got through."""
        silent = self.complete
        with _heard(self, silent):
            yield
        self.complete = True


class _Held:
    """A stream that keeps back what its thread writes; everything else is the stream's own."""

    def __init__(self, stream: TextIO, told: Told, silent: bool) -> None:
        self._stream, self._told, self._silent = stream, told, silent
        self._thread = threading.get_ident()
        self._line = ""
        # What was printed before in earlier runs is dropped line by line.
        self._earlier = frozenset(told.lines)

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            return self._stream.write(text)
        if not self._silent:
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                self._show(line + "\n")
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Show a last line that did not end."""
        if self._line:
            self._show(self._line)
            self._line = ""

    def _show(self, line: str) -> None:
        if line not in self._earlier:
            self._stream.write(line)
            self._told.lines.add(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _in_their_code(filename: str, lineno: int) -> tuple[str, int]:
    """Return where a warning was given: a tracked call has frames of this library around it."""
    frame: FrameType | None = sys._getframe(2)
    while filename.startswith(_OURS) and frame is not None:
        if not frame.f_code.co_filename.startswith((_OURS, warnings.__file__)):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return filename, lineno


@contextlib.contextmanager
def _heard(told: Told, silent: bool) -> Iterator[None]:
    out, err, show, level = sys.stdout, sys.stderr, warnings.showwarning, logging.root.manager.disable
    thread = threading.get_ident()
    earlier = frozenset(told.lines)

    def warned(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        filename, lineno = _in_their_code(filename, lineno)
        text = f"{filename}:{lineno}: {category.__name__}: {message}"
        if threading.get_ident() == thread and (silent or text in earlier):
            return
        told.lines.add(text)
        show(message, category, filename, lineno, file, line)

    held = [_Held(stream, told, silent) if stream is not None else stream for stream in (out, err)]
    sys.stdout, sys.stderr = held
    # Filters stay as they are: with "error" a warning is an exception in every run.
    warnings.showwarning = warned
    if silent:
        # Handlers hold streams of their own.
        logging.disable(max(level, logging.CRITICAL))
    try:
        yield
    finally:
        # Code that exchanged a stream for one of its own keeps it.
        if sys.stdout is held[0]:
            sys.stdout = out
        if sys.stderr is held[1]:
            sys.stderr = err
        if warnings.showwarning is warned:
            warnings.showwarning = show
        if silent:
            logging.disable(level)
        for stream in held:
            if stream is not None and not silent:
                stream.finish()
