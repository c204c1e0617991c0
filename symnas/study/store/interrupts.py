"""Letting a piece of work end before Ctrl-C takes effect."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class HeldInterrupt:
    """Holds back the first SIGINT between `start` and `end`; a second one takes effect at once.

    Python raises `KeyboardInterrupt` between any two instructions. In the middle of a commit that leaves
    nobody able to tell whether the rows are on disk, so the interrupt waits the few milliseconds. Only the
    main thread receives signals; elsewhere this does nothing.
    """

    __slots__ = ("_before", "_frame", "_held", "_installed")

    def __init__(self) -> None:
        self._before: Any = None
        self._frame: FrameType | None = None
        self._held = self._installed = False

    def start(self) -> None:
        """Hold interrupts back from now on."""
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGINT)
        # Whoever ignores interrupts, leaves them to the system, or handles them in C is left alone.
        if not callable(before):
            return
        self._before, self._held, self._installed = before, False, True
        signal.signal(signal.SIGINT, self._hold)

    def end(self) -> None:
        """Give the earlier handler back, and let it handle what was held.

        Raises:
            KeyboardInterrupt: an interrupt came meanwhile (or whatever else the handler raises).
        """
        if not self._installed:
            return
        self._installed = False
        if signal.getsignal(signal.SIGINT) == self._hold:
            signal.signal(signal.SIGINT, self._before)
        if self._held:
            self._held = False
            self._before(signal.SIGINT, self._frame)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._held = False
            self._before(number, frame)
            return
        self._held, self._frame = True, frame
