"""A line on the terminal while a survey takes longer than a second: runs, points, and what it looks at."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

SECONDS = 1.0
"""A survey that is done by then shows nothing."""


class SurveyLine:
    """The line of one survey; it appears between two runs, and is gone at the end.

    Args:
        name: of the program.
        stream: where it is shown, if that is a terminal; standard error unless told otherwise.
    """

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self._name = name
        self._stream = sys.stderr if stream is None else stream
        self._due = time.monotonic() + SECONDS if self._on_a_terminal() else float("inf")
        self._told = (0, 0, "")
        self._live: Live | None = None

    def update(self, runs: int, points: int, line: str) -> None:
        """Take in how far the survey is.

        Args:
            runs: of the program.
            points: found so far.
            line: of the user's, that it looks at.
        """
        self._told = runs, points, line
        if self._live is None and time.monotonic() >= self._due:
            self._start()

    def close(self) -> None:
        """Take the line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _on_a_terminal(self) -> bool:
        try:
            return self._stream.isatty()
        except (AttributeError, ValueError):  # none, or closed
            return False

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            get_renderable=self._text,
            console=Console(file=self._stream),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _text(self) -> Text:
        from rich.text import Text

        runs, points, line = self._told
        told = f"surveying {self._name}  {runs:,} runs  {points:,} points"
        return Text(f"{told}  {line}" if line else told, no_wrap=True, overflow="ellipsis")
