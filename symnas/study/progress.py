"""What a person sees of a running search: one live line per search, plain lines in a log, or nothing.

A search calls `line.update(make_snapshot)` as often as it likes. Between two refreshes that is a look at
the clock; the snapshot is only made when it is about to be shown, so the display cannot slow the search.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TextIO

from symnas.contracts.outcome import Status
from symnas.errors import StudyError, nearest

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

Mode = Literal["auto", "live", "plain", "silent"]

LIVE_SECONDS = 0.1
PLAIN_SECONDS = 10.0
WORDS: Mapping[Status, str] = {
    Status.FAILED: "failed",
    Status.NAN: "nan",
    Status.OOM: "out of memory",
    Status.TIMEOUT: "timed out",
    Status.INFEASIBLE: "infeasible",
    Status.PRUNED: "pruned",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a search at a moment.

    Args:
        done: trials that are over, those of earlier runs included.
        total: trials wanted, or None when there is no such number.
        running: trials under way.
        best: (metric, value, trial) of the best so far, or None.
        counts: how many trials ended in which way; those that are done are not shown.
        note: what else there is to say, such as the size of a Pareto front.
    """

    done: int
    total: int | None = None
    running: int = 0
    best: tuple[str, float, int] | None = None
    counts: Mapping[Status, int] = field(default_factory=dict)
    note: str = ""


class Line:
    """One search on a display; made by `Display.line`.

    Args:
        display: where it is shown.
        title: what is searched with what, such as `evolution on ConvNet`.
        depth: how many searches this one runs inside of.
    """

    def __init__(self, display: Display, title: str, depth: int) -> None:
        self.title, self.depth = title, depth
        self.snapshot = Snapshot(0)
        self._display = display
        self._interval = display.interval
        self._due = 0.0
        self._started = time.monotonic()
        self._first: int | None = None

    def update(self, make: Callable[[], Snapshot], *, force: bool = False) -> None:
        """Show the state of the search if it is time to.

        Args:
            make: returns the snapshot; only called when it will be shown.
            force: show it now, as at the end.
        """
        now = time.monotonic()
        if (now < self._due and not force) or self._interval is None:
            return
        self._due = now + self._interval
        self.snapshot = make()
        if self._first is None:
            self._first = self.snapshot.done
        self._display.show(self)

    def close(self) -> None:
        """Take the line away; the last state of an outermost search stays on the screen."""
        self._display.remove(self)

    def __enter__(self) -> Line:
        """Use the line for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        self.close()

    @property
    def rate(self) -> float:
        """Trials per second since the line appeared, those of earlier runs left out."""
        elapsed = time.monotonic() - self._started
        return (self.snapshot.done - (self._first or 0)) / elapsed if elapsed > 0 else 0.0

    def parts(self) -> list[str]:
        """Return what stands behind the bar, in order."""
        shown = self.snapshot
        parts = [f"{shown.done}/{shown.total}" if shown.total is not None else f"{shown.done} trials"]
        if shown.best is not None:
            metric, value, trial = shown.best
            parts.append(f"best {metric} {value:.4g} (trial {trial})")
        if shown.note:
            parts.append(shown.note)
        if shown.running:
            parts.append(f"{shown.running} running")
        counts = shown.counts
        parts += [f"{counts[status]} {word}" for status, word in WORDS.items() if counts.get(status)]
        rate = self.rate
        if rate > 0:
            parts.append(f"{rate:.3g}/s" if rate >= 1 else f"{rate * 60:.3g}/min")
            if shown.total is not None and shown.done < shown.total:
                left = timedelta(seconds=round((shown.total - shown.done) / rate))
                parts.append(f"{left} left")
        return parts


class Display:
    """The place where searches show themselves: a live table, plain lines or nothing.

    Args:
        mode: "live" for a terminal, "plain" for a log, "silent", or "auto": live on a terminal and plain
            elsewhere.
        stream: where to write; standard error unless told otherwise, so that output can be piped.
    """

    def __init__(self, mode: Mode = "auto", stream: TextIO | None = None) -> None:
        modes = ("auto", "live", "plain", "silent")
        if mode not in modes:
            raise StudyError(
                f"progress is one of {', '.join(map(repr, modes))}; got {mode!r}{nearest(str(mode), modes)}"
            )
        self._stream = sys.stderr if stream is None else stream
        if mode == "auto":
            mode = "live" if self._stream.isatty() else "plain"
        self.mode: Mode = mode
        self._lines: list[Line] = []
        self._live: Live | None = None

    @property
    def interval(self) -> float | None:
        """Seconds between two refreshes of a line; None when nothing is shown."""
        return {"live": LIVE_SECONDS, "plain": PLAIN_SECONDS}.get(self.mode)

    def line(self, title: str) -> Line:
        """Return a new line beneath those there are: a search inside a search is one level deeper."""
        line = Line(self, title, len(self._lines))
        self._lines.append(line)
        return line

    def show(self, line: Line) -> None:
        """Draw a line that has a new snapshot."""
        if self.mode == "plain":
            print("  ".join(["  " * line.depth + line.title, *line.parts()]), file=self._stream, flush=True)
        elif self.mode == "live":
            self._start()

    def remove(self, line: Line) -> None:
        """Forget a line, and leave the terminal when it was the last."""
        if line not in self._lines:
            return
        if self._live is not None and len(self._lines) == 1:
            self._live.stop()
            self._live = None
        self._lines.remove(line)

    def _start(self) -> None:
        if self._live is not None:
            return
        from rich.console import Console
        from rich.live import Live

        # Rich's own thread redraws, so that the clock goes on while an evaluator keeps the search waiting.
        # What the evaluator prints goes above the display, unless standard output is piped elsewhere.
        self._live = Live(
            get_renderable=self._table,
            console=Console(file=self._stream, force_terminal=True),
            refresh_per_second=4,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start(refresh=True)

    def _table(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for column in ("title", "bar", "state"):
            table.add_column(column, no_wrap=column != "state")
        for line in list(self._lines):
            shown = line.snapshot
            bar = ProgressBar(total=shown.total or 1, completed=shown.done if shown.total else 0, width=28)
            table.add_row("  " * line.depth + line.title, bar, "  ".join(line.parts()))
        return table
