"""Worker processes: fresh interpreters, killed and replaced when a trial takes too long.

Each has a thread that reads its replies into one inbox, so that waiting for all of them is waiting for the
inbox. The end of a process is a reply too (None), whatever ended it: no trial is left without an end.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from symnas import errors
from symnas.contracts.outcome import Status
from symnas.errors import EvaluatorError
from symnas.study.trials.trial import Trial
from symnas.study.workers.evaluation import Evaluation, Result
from symnas.study.workers.executor import Crash, Report
from symnas.study.workers.pickling import dumps
from symnas.study.workers.worker import Job, Setup
from symnas.tree.space import Space

# Messages are pickles, one after the other.
# to a worker    the driver's `sys.path`, then the setup (bytes); a `Job` per trial; a bool per step: stop?
# from it        ("ready", pid) or ("broken", error), then per trial
#                ("started", number), ("step", number, step, metrics) …, and at the end
#                ("done", number, Result) or ("fatal", number, name of the error, text)
START = "from symnas.study.workers.worker import main; main()"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class _Process:
    """One worker process and the thread that reads its replies."""

    def __init__(self, slot: int, setup: bytes, threads: int, inbox: queue.SimpleQueue[Any]) -> None:
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        self.slot = slot
        self.job: int | None = None
        self.deadline: float | None = None
        self.popen = subprocess.Popen(
            [sys.executable, "-c", START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._inbox = inbox
        # Written before the reader runs: a worker says nothing until it has both.
        self.send(list(sys.path))
        self.send(setup)
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"symnas-worker-{slot}")
        self._reader.start()

    def send(self, message: Any) -> None:
        """Write a message; a worker that is gone is noticed by the reader."""
        assert self.popen.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            pickle.dump(message, self.popen.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self.popen.stdin.flush()

    def kill(self) -> None:
        """End the process now and wait until it is gone."""
        self.popen.kill()
        self.popen.wait()
        self._reader.join()
        for stream in (self.popen.stdin, self.popen.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        try:
            while True:
                self._inbox.put((self, pickle.load(self.popen.stdout)))
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            self._inbox.put((self, None))


class ProcessPool:
    """Worker processes of one study.

    Args:
        evaluation: what they do.
        study: name of the study.
        on_report: called with trial, step and metrics; returns whether to stop the trial.
        size: how many.
        timeout: seconds that a trial may take, or None.
    """

    def __init__(
        self, evaluation: Evaluation, study: str, on_report: Report, size: int, timeout: float | None
    ) -> None:
        self.size = size
        self._timeout = timeout
        self._on_report = on_report
        # Cores are shared out, so that workers do not hold one another up with threads of matrix products.
        self._threads = max(1, _cores() // size)
        target = evaluation.target
        if not isinstance(target, Space):
            target = getattr(target, "reference", target)
        setup = Setup(
            study, target, evaluation.evaluate, evaluation.objectives, evaluation.keep_weights,
            evaluation.fidelity,
        )  # fmt: skip
        self._setup = dumps(setup, "the program and the evaluator")
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._processes: dict[int, _Process] = {}

    @property
    def free(self) -> list[int]:
        """The slots that have nothing to do."""
        busy = {slot for slot, process in self._processes.items() if process.job is not None}
        return [slot for slot in range(self.size) if slot not in busy]

    def submit(self, trial: Trial, worker: int) -> None:
        """Send a trial to a slot, starting its process if there is none."""
        process = self._processes.get(worker)
        if process is None:
            process = self._processes[worker] = _Process(worker, self._setup, self._threads, self._inbox)
        process.job = trial.number
        process.send(Job(trial.number, trial.seed, trial.decision.flat(), trial.fidelity, trial.checkpoint))

    def wait(self) -> list[tuple[int, Result | Crash]]:
        """Wait until a trial is over, and return it with all others that are."""
        over: list[tuple[int, Result | Crash]] = []
        while not over and any(process.job is not None for process in self._processes.values()):
            # Deadlines first: a reply that lies in the inbox when its time is up came too late.
            over += self._expired()
            try:
                # Until a reply or the next deadline. Once something is over, only what lies there already is
                # taken.
                process, message = self._inbox.get(timeout=0 if over else self._patience())
            except queue.Empty:
                continue
            over += self._handled(process, message)
        while True:
            try:
                process, message = self._inbox.get_nowait()
            except queue.Empty:
                return over
            over += self._handled(process, message)

    def close(self) -> None:
        """Kill all processes; what they were doing is done again another time."""
        for process in list(self._processes.values()):
            process.kill()
        self._processes.clear()

    # ------------------------------------------------------------ inside

    def _patience(self) -> float | None:
        deadlines = [process.deadline for process in self._processes.values() if process.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _expired(self) -> list[tuple[int, Result | Crash]]:
        now = time.monotonic()
        over: list[tuple[int, Result | Crash]] = []
        for process in list(self._processes.values()):
            if process.deadline is not None and process.deadline <= now and process.job is not None:
                error = f"took longer than {self._timeout:g} s"
                over.append(
                    (process.job, Result(Status.TIMEOUT, cost=float(self._timeout or 0), error=error))
                )
                self._drop(process)
        return over

    def _handled(self, process: _Process, message: Any) -> list[tuple[int, Result | Crash]]:
        if self._processes.get(process.slot) is not process:
            return []  # the last words of a process that was killed
        # A process that is gone while it had a trial crashed: that says nothing about the model, so the
        # driver starts the trial again, in a new process.
        if message is None:
            job = process.job
            self._drop(process)
            return [] if job is None else [(job, Crash(_epitaph(process.popen.returncode)))]
        kind = message[0]
        # The time counts from here, not from when it was sent: starting and importing are not the trial's.
        if kind == "started" and self._timeout is not None:
            process.deadline = time.monotonic() + self._timeout
        elif kind == "step":
            process.send(self._on_report(*message[1:]))
        elif kind == "done":
            process.job = process.deadline = None
            return [(message[1], message[2])]
        elif kind == "fatal":
            raise getattr(errors, message[2])(message[3])
        elif kind == "broken":
            raise EvaluatorError(
                f"a worker process could not load the program and the evaluator: {message[1]}. Workers "
                "import the same modules as this process: check that what they need can be imported from "
                "anywhere"
            )
        return []

    def _drop(self, process: _Process) -> None:
        # First of all, so that what its reader still puts into the inbox is known to be of no use.
        del self._processes[process.slot]
        process.kill()


def _epitaph(code: int) -> str:
    if code >= 0:
        return f"the worker process ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"the worker process was ended by {name}{hint}"


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
