"""Code that is not deterministic: whether a run draws random numbers, and the line that decided by one.

Runs of a survey begin with the generators as they are, so they agree with each other by chance; runs of its
checks begin with others. Where two runs under one decision then meet different points, both are traced line
by line: the line before they part is the branch. Which draw it hangs on is found by running once more as
before, with the generators seeded anew just before one draw: from the last draw on backwards, the first that
makes the run part is the one, since later draws make no difference.
"""

from __future__ import annotations

import contextlib
import linecache
import pickle
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from symnas._typing import Value
from symnas.errors import ProgramError
from symnas.frontend import execution
from symnas.frontend.run import Run

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

Place = tuple[str, int]
# Runs that are compared, the fewest where they take long, and after how long there are no more.
_RUNS, _FEWEST_RUNS, _SECONDS = 20, 3, 2.0
_DRAWS = 12
_SEEDS = 6
_MOST_LINES = 200_000


def states() -> tuple[object, ...]:
    """Return what tells whether anything was drawn from the generators that all code shares."""
    torch: Any = sys.modules.get("torch")
    own = None if torch is None else torch.get_rng_state().numpy().tobytes()
    return random.getstate(), pickle.dumps(np.random.get_state(legacy=False)), own


def seed(number: int) -> None:
    """Seed the generators that all code shares."""
    random.seed(number)
    np.random.seed(number)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.random.default_generator.manual_seed(number)


@contextlib.contextmanager
def undisturbed(begin: int | None = None) -> Iterator[Callable[[], bool]]:
    """Leave the generators as they were; gives a function that says whether anything was drawn.

    Args:
        begin: a seed to begin with; None for where they are.
    """
    torch: Any = sys.modules.get("torch")
    python, numbers = random.getstate(), np.random.get_state()
    tensors = None if torch is None else torch.get_rng_state()
    try:
        if begin is not None:
            seed(begin)
        before = states()
        yield lambda: states() != before
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        if torch is not None and tensors is not None:
            torch.set_rng_state(tensors)


@dataclass
class _Traced:
    """A run, line by line.

    Args:
        points: addresses of the points that it met.
        lines: the lines of the user's that it came by.
        draws: positions in `lines` of those that drew.
    """

    points: frozenset[str] = frozenset()
    lines: list[Place] = field(default_factory=list)
    draws: list[int] = field(default_factory=list)

    def parts_from(self, other: _Traced) -> int:
        """Return the position of the first line that differs."""
        pairs = zip(self.lines, other.lines, strict=False)
        shorter = min(len(self.lines), len(other.lines))
        return next((at for at, (mine, yours) in enumerate(pairs) if mine != yours), shorter)


def blamed(program: ProgramView, values: Mapping[str, Value]) -> ProgramError | None:
    """Return the error that names what makes runs under one decision meet different points, if they do.

    Args:
        program: whose runs.
        values: the decision.
    """
    device = "meta" if "torch" in sys.modules else None
    first = _traced(program, values, 0, device)
    if first is None and device is not None:
        device = None
        first = _traced(program, values, 0, None)
    if first is None:
        return None
    started = time.process_time()
    for number in range(1, _RUNS):
        if number > _FEWEST_RUNS and time.process_time() - started > _SECONDS:
            break
        other = _traced(program, values, number, device)
        if other is not None and other.points != first.points:
            return _told(program, values, device, first, other)
    return None


def _told(
    program: ProgramView, values: Mapping[str, Value], device: str | None, first: _Traced, other: _Traced
) -> ProgramError:
    at = first.parts_from(other)
    branch = first.lines[at - 1] if at else None
    differing = sorted(first.points ^ other.points)
    points = ", ".join(differing[:4]) + (f" and {len(differing) - 4} more" if len(differing) > 4 else "")
    draw = None
    earlier = [position for position in first.draws if position < at]
    for position in earlier[::-1][:_DRAWS]:
        anew = (_traced(program, values, 0, device, position, 100 + n) for n in range(_SEEDS))
        if any(run is not None and run.points != first.points for run in anew):
            draw = first.lines[position]
            break
    where = f"{branch[0]}:{branch[1]}" if branch else program.name
    what = f"{where}: `{_text(branch)}` went differently in two runs of the same decision"
    if draw is not None:
        here = "here" if draw == branch else f"at {draw[0]}:{draw[1]}: `{_text(draw)}`"
        what += f", by a random number that is drawn {here}"
    return ProgramError(
        f"{what}, and {points} existed in one alone; which points exist must follow from the choices: make "
        "what decides there a choice, or draw it from a generator with a seed of its own"
    )


def _text(place: Place | None) -> str:
    return linecache.getline(*place).strip() if place is not None else "the program"


def _traced(
    program: ProgramView,
    values: Mapping[str, Value],
    begin: int,
    device: str | None,
    anew_at: int | None = None,
    anew: int = 0,
) -> _Traced | None:
    """Run a program and note its lines; None where its code raises.

    Args:
        program: what to run.
        values: under which decision.
        begin: the seed to begin with.
        device: where tensors are made.
        anew_at: the position of a line before which the generators are seeded anew.
        anew: the seed for that.
    """
    made, files = _Traced(), program.internals.source_set.files
    run = Run(values, strict=False)
    last: list[object] = [None]

    def line(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and len(made.lines) < _MOST_LINES:
            now = states()
            # What changed since the line before was drawn by that one, or by what it called.
            if now != last[0] and made.lines:
                made.draws.append(len(made.lines) - 1)
            if len(made.lines) == anew_at:
                seed(anew)
                now = states()
            last[0] = now
            made.lines.append((frame.f_code.co_filename, frame.f_lineno))
        return line

    def called(frame: FrameType, _event: str, _: object) -> Any:
        return line if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    with program.internals.printed.run(), undisturbed(begin):
        last[0] = states()
        sys.settrace(called)
        try:
            execution.execute(program, run, device=device)
        except Exception:
            return None
        finally:
            sys.settrace(before)
    made.points = frozenset(run.visits)
    return made
