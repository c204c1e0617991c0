"""Worker processes: fresh interpreters, killed and replaced when a trial takes too long.

Each has a thread that reads its replies into one inbox, so that waiting for all of them is waiting for the
inbox. The thread also ends the process, with all that it has started, when the time of a trial is over,
whatever the driver does meanwhile. The end of a process is a reply too, whatever ended it: no trial is left
without an end.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from symnas import errors
from symnas.contracts.outcome import Status
from symnas.errors import EvaluatorError
from symnas.study.trials.trial import Trial
from symnas.study.trials.trial_context import blame
from symnas.study.workers.descendants import MARK, end, marked
from symnas.study.workers.evaluation import Evaluation, Result
from symnas.study.workers.executor import Crash, Report
from symnas.study.workers.guard import Guard
from symnas.study.workers.pickling import dumps
from symnas.study.workers.pipe import readable, receive, send
from symnas.study.workers.script import Script
from symnas.study.workers.worker import Job, Setup
from symnas.tree.space import Space

# Messages of `pipe`:
# to a worker    the driver's `sys.path` and `Script`, then the setup (bytes); a `Job` per trial; a bool per
#                step: stop?
# from it        ("ready", pid) or ("broken", error), then per trial
#                ("started", number), ("step", number, step, metrics) …, and at the end
#                ("done", number, Result) or ("fatal", number, name of the error, text, traceback)
# The thread that reads them puts them into the inbox, and in the end ("late",) or ("gone", how it ended).
START = "from symnas.study.workers.worker import main; main()"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
LOOK_SECONDS = 0.5
"""How often it looks whether a worker that says nothing still lives."""
GOODBYE_SECONDS = 5.0
"""How long a process that has closed its pipe may take to end."""


class _TimeIsOverError(Exception):
    """A trial took too long."""


class _Process:
    """One worker process, with a thread for each direction of its pipe."""

    def __init__(
        self,
        slot: int,
        setup: bytes,
        threads: int,
        timeout: float | None,
        marks: tuple[str, str],
        inbox: queue.SimpleQueue[Any],
    ) -> None:
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), MARK: marked(*marks)}
        self.slot = slot
        self.job: int | None = None
        self.popen = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment, start_new_session=True,
        )  # fmt: skip
        self._timeout = timeout
        self._deadline: float | None = None
        self._inbox = inbox
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._mark = marks[-1]
        self.ending = threading.Lock()
        self.ended = False
        self._threads = [
            threading.Thread(target=target, daemon=True, name=f"symnas-worker-{slot}")
            for target in (self._read, self._write)
        ]
        self.send((list(sys.path), Script.of_this_process()))
        self.send(setup)
        for thread in self._threads:
            thread.start()

    def send(self, message: Any) -> None:
        """Have a message written; a worker that is gone is noticed by the reader."""
        self._outbox.put((message,))

    def close(self) -> None:
        """Let go of a process that is gone."""
        self._outbox.put(())
        for thread in self._threads:
            # A process that escaped may hold the pipe as long as it likes: then the thread is left behind.
            thread.join(timeout=GOODBYE_SECONDS)

    def _write(self) -> None:
        assert self.popen.stdin is not None
        with suppress(OSError), self.popen.stdin as pipe:
            while message := self._outbox.get():
                send(pipe.fileno(), *message)

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as pipe:
            descriptor = pipe.fileno()
            try:
                while True:
                    message = receive(descriptor, lambda: self._await(descriptor))
                    self._keep_time(message[0])
                    self._inbox.put((self, message))
            except _TimeIsOverError:
                finish([self], self._mark)
                self._inbox.put((self, ("late",)))
            except Exception as error:
                self._inbox.put((self, ("gone", self._last_words(error))))

    def _keep_time(self, kind: str) -> None:
        # The time counts from here, not from when the trial was sent: starting and importing are not the
        # trial's. And it is over when the result is here, however long the driver takes to look at it.
        if kind == "started" and self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        elif kind == "done":
            self._deadline = None
        elif self._deadline is not None and time.monotonic() >= self._deadline:
            raise _TimeIsOverError

    def _await(self, descriptor: int) -> None:
        """Return when there is something to read."""
        while True:
            left = LOOK_SECONDS
            if self._deadline is not None:
                left = min(left, max(0.0, self._deadline - time.monotonic()))
            if readable(descriptor, left):
                return
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise _TimeIsOverError
            # Whoever still holds the pipe of a process that is gone was forked by it and says nothing.
            if self.popen.poll() is not None and not readable(descriptor, 0):
                raise EOFError

    def _last_words(self, error: Exception) -> str:
        words = None
        if not isinstance(error, EOFError | OSError):
            words = f"what the worker process said could not be read ({type(error).__name__}: {error})"
        else:
            try:
                self.popen.wait(GOODBYE_SECONDS)
            except subprocess.TimeoutExpired:
                words = "the worker process closed its connection"
        finish([self], self._mark)
        return words or _epitaph(self.popen.returncode)


def finish(processes: Sequence[_Process], mark: str) -> None:
    """End workers now, with all that they have started, and wait until they are gone.

    Args:
        processes: the workers.
        mark: a mark that these workers have, and no others.
    """
    with ExitStack() as stack:
        for process in processes:
            stack.enter_context(process.ending)  # their readers may be at it
        left = [process for process in processes if not process.ended]
        # The number of one that was waited for may be a stranger's.
        alive = [process.popen.pid for process in left if process.popen.poll() is None]
        if left:
            end({mark}, alive)
        for process in left:
            process.popen.kill()
            process.popen.wait()
            process.ended = True


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
        self._mark = uuid.uuid4().hex
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._processes: dict[int, _Process] = {}
        self._over: list[tuple[int, Result | Crash]] = []
        self._fatal: Exception | None = None
        self._guard: Guard | None = None

    @property
    def free(self) -> list[int]:
        """The slots that have nothing to do."""
        busy = {slot for slot, process in self._processes.items() if process.job is not None}
        return [slot for slot in range(self.size) if slot not in busy]

    def submit(self, trial: Trial, worker: int) -> None:
        """Send a trial to a slot, starting its process if there is none."""
        process = self._processes.get(worker)
        if process is None:
            process = self._processes[worker] = self._started(worker)
        process.job = trial.number
        process.send(Job(trial.number, trial.seed, trial.decision.flat(), trial.fidelity, trial.checkpoint))

    def wait(self) -> list[tuple[int, Result | Crash]]:
        """Wait until a trial is over, and return it with all others that are."""
        while True:
            idle = all(process.job is None for process in self._processes.values())
            try:
                process, message = self._inbox.get(block=not (self._over or self._fatal or idle))
            except queue.Empty:
                break
            self._over += self._handled(process, message)
        # What others have finished is written down before a mistake ends the search.
        if self._fatal is not None and not self._over:
            raise blame(self._fatal)
        over, self._over = self._over, []
        return over

    def close(self) -> None:
        """Kill all processes; what they were doing is done again another time."""
        processes = list(self._processes.values())
        finish(processes, self._mark)
        for process in processes:
            process.close()
        self._processes.clear()
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    # ------------------------------------------------------------ inside

    def _started(self, worker: int) -> _Process:
        if self._guard is None and os.name != "nt":
            self._guard = Guard(self._mark)
        marks = (self._mark, uuid.uuid4().hex)
        return _Process(worker, self._setup, self._threads, self._timeout, marks, self._inbox)

    def _handled(self, process: _Process, message: Any) -> list[tuple[int, Result | Crash]]:
        if self._processes.get(process.slot) is not process:
            return []  # the last words of a process that was killed
        job = process.job
        kind = message[0]
        if kind == "step":
            process.send(self._on_report(*message[1:]))
        elif kind == "done":
            process.job = None
            return [(message[1], message[2])]
        elif kind == "late":
            self._drop(process)
            error = f"took longer than {self._timeout:g} s"
            result = Result(Status.TIMEOUT, cost=float(self._timeout or 0), error=error)
            return [] if job is None else [(job, result)]
        elif kind == "gone":
            # A process that is gone while it had a trial crashed: that says nothing about the model, so the
            # driver starts the trial again, in a new process.
            self._drop(process)
            return [] if job is None else [(job, Crash(message[1]))]
        elif kind == "fatal":
            self._fatal = getattr(errors, message[2])(message[3])
            self._fatal.add_note(f"In a worker process:\n{message[4]}")
        elif kind == "broken":
            self._fatal = EvaluatorError(
                f"a worker process could not load the program and the evaluator: {message[1]}. Workers "
                "import the same modules as this process: check that what they need can be imported from "
                "anywhere"
            )
        return []

    def _drop(self, process: _Process) -> None:
        # First of all, so that what its reader still puts into the inbox is known to be of no use.
        del self._processes[process.slot]
        process.close()


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
