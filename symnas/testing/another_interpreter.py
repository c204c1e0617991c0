"""Another interpreter, with another seed of hashes, in which contract tests run an algorithm again.

Starting Python and importing what an algorithm needs takes a second or two, and there is one such test for
every algorithm. So one interpreter serves them all, a request after the other, as lines of JSON. It imports
where it is, once, and then forks: the run itself begins from what the imports left and ends with its process,
so that no algorithm sees what another has done, and one that crashes takes nothing along. Where there is no
fork to be trusted, runs share the process.
"""

from __future__ import annotations

import ast
import atexit
import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any

from symnas.contracts.algorithm import Algorithm

START = "from symnas.testing.another_interpreter import serve; serve()"
SEEDS = ("4711", "4712")
"""Of hashes: the first that is not this interpreter's own."""
FORKS = sys.platform == "linux"

Run = Callable[[Algorithm], Any]


class AnotherInterpreter:
    """A Python process that runs functions of algorithms; begun when it is asked, and again if it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._errors: IO[str] | None = None

    def run(self, function: Run, algorithm: Algorithm) -> Any:
        """Return what a function of an algorithm returns there, as JSON has it.

        Args:
            function: a function of a module, given an algorithm that has seen nothing.
            algorithm: of a class of a module; it is made anew there with the same hyperparameters.

        Raises:
            AssertionError: the function raised, or the process died of it; the message has the traceback.
        """
        request = json.dumps({
            "path": [place for place in sys.path if place],
            "function": _place(function),
            "class": _place(type(algorithm)),
            "options": repr(dict(algorithm.hyperparameters)),
        })  # fmt: skip
        reply = self._asked(request) or self._asked(request)  # once more where it had died since
        assert reply, f"another interpreter died of {algorithm!r}:\n{self._last_words()}"
        answer = json.loads(reply)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        """End the process, if there is one of this process's own."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()  # which it takes as the end
            process.stdout.close()
            process.wait()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _asked(self, request: str) -> str:
        """Return its reply, or nothing if it is dead, and then it is gone."""
        process = self._alive()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{request}\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            process.kill()
            process.wait()
        return reply

    def _alive(self) -> subprocess.Popen[str]:
        process = self._process
        # A fork of this process (as parallel test runners make) must not talk into the same pipes.
        if process is not None and self._owner == os.getpid() and process.poll() is None:
            return process
        self.close()
        own = os.environ.get("PYTHONHASHSEED")
        path = os.pathsep.join(place for place in sys.path if place)
        seed = next(seed for seed in SEEDS if seed != own)
        self._owner = os.getpid()
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", START], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            encoding="utf-8",
        )  # fmt: skip
        return self._process

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read()[-4000:]


@cache
def another_interpreter() -> AnotherInterpreter:
    """Return the one of this process; it ends with it."""
    made = AnotherInterpreter()
    atexit.register(made.close)
    return made


def _place(thing: Any) -> list[str]:
    """Return where a class or function is: module, file and name."""
    return [thing.__module__, str(Path(inspect.getfile(thing)).resolve()), thing.__qualname__]


# -------------------------------------------------------------------- in the other interpreter


def serve() -> None:
    """Answer requests until there are no more."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what algorithms print is no reply
    for line in sys.stdin:
        request = json.loads(line)
        sys.path[:] = request["path"]
        try:
            function, cls = _found(*request["function"]), _found(*request["class"])
        except Exception:
            _reply(replies, {"error": traceback.format_exc()})
            continue
        options = ast.literal_eval(request["options"])
        if not FORKS:
            _reply(replies, _answer(function, cls, options))
        elif child := os.fork():
            _, status = os.waitpid(child, 0)
            if status:
                _reply(replies, {"error": f"its process ended with status {status}"})
        else:
            _reply(replies, _answer(function, cls, options))
            os._exit(0)


def _answer(function: Run, cls: type[Algorithm], options: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": function(cls(**options))}
    except Exception:
        return {"error": traceback.format_exc()}


def _reply(replies: IO[str], answer: dict[str, Any]) -> None:
    replies.write(f"{json.dumps(answer)}\n")
    replies.flush()


def _found(module: str, file: str, name: str) -> Any:
    """Import what `_place` described; modules that cannot be imported by name are read from their files."""
    found: Any = sys.modules.get(module)
    if found is None or not _is_from(found, file):
        try:
            found = importlib.import_module(module)
        except ImportError:
            found = None
        if found is None or not _is_from(found, file):  # another one of that name
            spec = importlib.util.spec_from_file_location(module, file)
            assert spec is not None
            assert spec.loader is not None
            found = importlib.util.module_from_spec(spec)
            sys.modules[module] = found
            spec.loader.exec_module(found)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_from(module: Any, file: str) -> bool:
    own = getattr(module, "__file__", None)
    return own is not None and str(Path(own).resolve()) == file
