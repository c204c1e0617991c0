"""A worker process: reads trials from its standard input, writes results to what was its standard output.

What evaluators print goes to standard error. The process ends when its driver does, however that ended.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from symnas.contracts.objectives import Objectives
from symnas.errors import EvaluatorError, MissingExtraError, StoreError
from symnas.study.trials.trial_context import RunningTrial, loading
from symnas.study.workers.evaluation import FATAL, Evaluation, one_line
from symnas.tree.space import Space


@dataclass(frozen=True)
class Job:
    """A trial as it is sent.

    Args:
        number: its place in the study.
        seed: its own seed.
        decision: what to try, flat.
        fidelity: how far to go, or None.
        checkpoint: the folder for what the trial needs to go on, or None.
    """

    number: int
    seed: int
    decision: Mapping[str, Any]
    fidelity: int | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Setup:
    """What a worker needs for all trials of a study; `target` may be a program's reference."""

    study: str
    target: Any
    evaluate: Any
    objectives: Objectives
    keep_weights: bool
    fidelity: bool = False

    def evaluation(self) -> Evaluation:
        """Put target and evaluator together, in the worker."""
        target = self.target
        if not isinstance(target, Space) and not callable(getattr(target, "build", None)):
            from symnas.programs.program import program

            target = program(target)
        return Evaluation(target, self.evaluate, self.objectives, self.keep_weights, self.fidelity)


def main() -> None:
    """Serve a driver until it goes away."""
    # Descriptor 1 is kept for replies under another number and then points to standard error, for what is
    # printed by Python and by libraries alike.
    commands, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the driver ends its workers
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    sys.path[:] = pickle.load(commands)
    # A thread reads all that follows, and so notices that the driver is gone while a trial runs.
    threading.Thread(target=_listen, args=(commands, inbox), daemon=True).start()
    try:
        with loading():
            # Bytes inside a message: what they name is imported here, with the driver's `sys.path` in force.
            setup: Setup = pickle.loads(inbox.get())
            evaluation = setup.evaluation()
        space = evaluation.target if isinstance(evaluation.target, Space) else evaluation.target.space
    except Exception as error:
        _send(replies, ("broken", one_line(error)))
        return
    _send(replies, ("ready", os.getpid()))
    while True:
        _send(replies, _served(inbox.get(), setup.study, space, evaluation, inbox, replies))
        # Children have cycles, and their memory is needed for the next one.
        gc.collect()


def _served(
    job: Job,
    study: str,
    space: Space,
    evaluation: Evaluation,
    inbox: queue.SimpleQueue[Any],
    replies: IO[bytes],
) -> tuple[Any, ...]:
    def report(step: int, metrics: Mapping[str, float]) -> bool:
        _send(replies, ("step", job.number, step, dict(metrics)))
        # While a trial runs the driver sends nothing but answers to its steps, so this is one.
        return bool(inbox.get())

    _send(replies, ("started", job.number))
    decision = space.decision(job.decision, complete=True)
    trial = RunningTrial(study, job.number, job.seed, decision, report, job.fidelity, job.checkpoint)
    try:
        return ("done", job.number, evaluation.run(trial))
    except FATAL as error:
        return ("fatal", job.number, fatal_kind(error), str(error))


def fatal_kind(error: Exception) -> str:
    """Return the name by which the driver raises an error again."""
    for kind in (EvaluatorError, StoreError, MissingExtraError):
        if isinstance(error, kind):
            return kind.__name__
    raise error


def _listen(commands: IO[bytes], inbox: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            inbox.put(pickle.load(commands))
    except (EOFError, OSError, pickle.UnpicklingError):
        # The driver is gone, killed perhaps: whatever runs here, nobody waits for it.
        os._exit(0)


def _send(replies: IO[bytes], message: tuple[Any, ...]) -> None:
    try:
        pickle.dump(message, replies, protocol=pickle.HIGHEST_PROTOCOL)
        replies.flush()
    except BrokenPipeError:
        os._exit(0)
