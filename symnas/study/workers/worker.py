"""A worker process: reads trials from what was its standard input, writes results to what was its output.

It has one thread, so that evaluators may fork. It ends when nobody sends it trials any more. That it does so
while a trial runs, and with all that the trial has started, is up to the driver and the driver's guard.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from symnas import errors
from symnas.contracts.objectives import Objectives
from symnas.errors import SymnasError
from symnas.study.trials.trial_context import RunningTrial, loading
from symnas.study.workers.evaluation import Evaluation, one_line
from symnas.study.workers.pipe import receive, send
from symnas.tree.space import Space

FEW_MODULES = 20
"""So many more may be looked through after every trial."""


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
        return Evaluation(
            target, self.evaluate, self.objectives, self.keep_weights, self.fidelity, apart=True
        )


def main() -> None:
    """Serve a driver until it goes away."""
    commands, replies = _connected()
    if os.name == "nt":  # elsewhere it has a session of its own, which Ctrl-C in the driver's does not reach
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sys.path[:], script = receive(commands)
        script.pretend()
        _serve(commands, replies)
    except (EOFError, BrokenPipeError):
        # The driver is gone, killed perhaps: nobody waits for what an interpreter does at its end.
        os._exit(0)


def _connected() -> tuple[int, int]:
    """Return where commands come from and where replies go, and give evaluators streams of their own.

    The pipes move to other descriptors. Programs that are started here do not inherit them, and processes
    that are forked here close them: the driver learns that a worker is gone when its last holder is.
    What evaluators read is empty, and what they print goes to standard error.
    """
    commands, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # the driver has no standard error
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    if nothing > 2:
        os.close(nothing)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # workers are killed at the end: what is printed is out
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_let_go, commands, replies))
    return commands, replies


def _let_go(*descriptors: int) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def _serve(commands: int, replies: int) -> None:
    sent = receive(commands)
    try:
        with loading():
            # Bytes inside a message: what they name is imported here, with the driver's `sys.path` in force.
            setup: Setup = pickle.loads(sent)
            evaluation = setup.evaluation()
        space = evaluation.target if isinstance(evaluation.target, Space) else evaluation.target.space
    except Exception as error:
        send(replies, ("broken", one_line(error)))
        return
    send(replies, ("ready", os.getpid()))
    modules = 0
    while True:
        send(replies, _served(receive(commands), setup.study, space, evaluation, commands, replies))
        modules = _collect(modules)


def _collect(modules: int) -> int:
    """Free what a trial has left in cycles, whose memory the next child needs.

    What modules hold is none of that, and with torch a hundred times as much to look through. So what is left
    is passed over the next time, and looked through again when many modules have come since.

    Args:
        modules: how many there were when all was looked through, 0 before that.
    """
    many = len(sys.modules) > modules + FEW_MODULES
    if many:
        gc.unfreeze()
    gc.collect()
    if many:
        gc.freeze()
    return len(sys.modules) if many else modules


def _served(
    job: Job, study: str, space: Space, evaluation: Evaluation, commands: int, replies: int
) -> tuple[Any, ...]:
    def report(step: int, metrics: Mapping[str, float]) -> bool:
        send(replies, ("step", job.number, step, dict(metrics)))
        # While a trial runs the driver sends nothing but answers to its steps, so this is one.
        return bool(receive(commands))

    send(replies, ("started", job.number))
    decision = space.decision(job.decision, complete=True)
    trial = RunningTrial(study, job.number, job.seed, decision, report, job.fidelity, job.checkpoint)
    try:
        return ("done", job.number, evaluation.run(trial))
    except SymnasError as error:
        return ("fatal", job.number, fatal_kind(error), str(error), traceback.format_exc())


def fatal_kind(error: SymnasError) -> str:
    """Return the name by which the driver raises an error again."""
    known = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    return next(kind.__name__ for kind in type(error).__mro__ if kind in known)
