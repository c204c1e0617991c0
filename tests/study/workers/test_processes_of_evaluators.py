"""Evaluators that start processes of their own, read and print: in a worker as in a process of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import symnas
from symnas import OneOf, Space
from symnas.study.workers.pipe import receive, send

SCRIPT = """
import concurrent.futures, multiprocessing, os, subprocess, sys
import symnas
from symnas import OneOf, Space

class Pair:
    def __init__(self, x): self.x = x

def square(x): return x * x
def next_pair(pair): return Pair(pair.x + 1)
def put(queue, x): queue.put(square(x))

def with_processes(method):
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        total = sum(pool.map(square, [1, 2]))
    queue = context.Queue()
    process = context.Process(target=put, args=(queue, 3))
    process.start()
    total += queue.get()
    process.join()
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return total + pool.submit(next_pair, Pair(1)).result().x

def data_loader():
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    data = TensorDataset(torch.arange(8.0))
    return sum(float(x[0].sum()) for x in DataLoader(data, batch_size=4, num_workers=1)) - 12

def reads():
    child = "import sys; sys.exit(len(sys.stdin.read()))"
    assert subprocess.run([sys.executable, "-c", child]).returncode == 0
    assert sys.stdin.read() == "" and os.read(0, 10) == b""
    try:
        input()
    except EOFError:
        return 16

def prints():
    os.write(1, b"printed to 1\\n")
    subprocess.run(["echo", "printed by a child"])
    sys.__stdout__.write("printed to a stream\\n")
    return 16

def forks():
    codes = []
    for kind in range(5):
        child = os.fork()
        if child == 0:
            if kind == 0:
                return 99.0
            if kind == 1:
                sys.exit(3)
            if kind == 2:
                raise ValueError("raised in a child")
            if kind == 3:
                found = symnas.search(SPACE, lambda d: 1.0, algorithm="grid", trials=2, progress=False)
                return len(found.trials)
            os._exit(7)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert codes == [0, 3, 1, 0, 7], codes
    return 16

def loky():
    from joblib import Parallel, delayed
    return sum(Parallel(n_jobs=2)(delayed(square)(x) for x in (0, 4)))

KINDS = "fork", "spawn", "forkserver", "loader", "reads", "prints", "forks", "loky"
SPACE = Space((OneOf("kind", KINDS, "fork"),))
OTHERS = {"loader": data_loader, "reads": reads, "prints": prints, "forks": forks, "loky": loky}

def evaluate(decision):
    kind = decision["kind"]
    return OTHERS[kind]() if kind in OTHERS else with_processes(kind)

if __name__ == "__main__":
    workers = int(sys.argv[1])
    study = symnas.search(SPACE, evaluate, algorithm="grid", trials=8, workers=workers, progress=False)
    print([(trial.decision["kind"], trial.error or trial.values[0]) for trial in study.trials])
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_evaluators_may_start_processes_of_every_kind(tmp_path: Path, workers: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(script), str(workers)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL
    )
    kinds = "fork", "spawn", "forkserver", "loader", "reads", "prints", "forks", "loky"
    assert done.stdout.splitlines()[-1:] == [str([(kind, 16.0) for kind in kinds])], done.stderr
    printed = done.stderr if workers > 1 else done.stdout
    for place in ("to 1", "by a child", "to a stream"):
        assert printed.count(f"printed {place}\n") == 1
    # What a process that was forked says, it says as any other does.
    assert done.stderr.count("ValueError: raised in a child") == 1


def module_level(x: float) -> float:
    return x + 1


def test_functions_of_modules_that_only_the_driver_has_go_on_to_processes() -> None:
    def evaluate(d: Any) -> float:
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.map(module_level, [d["a"]])[0]

    study = symnas.search(
        Space((OneOf("a", (0, 1), 0),)), evaluate, algorithm="grid", trials=2, workers=2, progress=False
    )
    assert [t.values for t in study.trials] == [(1.0,), (2.0,)], [t.error for t in study.trials]


UNGUARDED = """
import multiprocessing, symnas
from symnas import OneOf, Space
def square(x): return x * x
def evaluate(d):
    process = multiprocessing.get_context("spawn").Process(target=square, args=(2,))
    process.start()
    process.join()
    return float(process.exitcode)
space = Space((OneOf("a", (0, 1), 0),))
study = symnas.search(space, evaluate, algorithm="grid", trials=2, workers=2, progress=False)
print([trial.values for trial in study.trials])
"""


def test_a_script_that_processes_run_again_is_told_of_the_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr.count("put the search under `if __name__ == '__main__':`") == 2
    assert done.stdout == "[(1.0,), (1.0,)]\n"


def test_messages_of_any_size_arrive_whole() -> None:
    reading, writing = os.pipe()
    sent: list[Any] = [None, (), {"a": 1.5}, b"x" * 65536, os.urandom(300_000)]

    def write() -> None:
        for message in sent:
            send(writing, message)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    assert [receive(reading) for _ in sent] == sent
    writer.join()
    with pytest.raises(EOFError, match="the other end is closed"):
        receive(reading)
    os.close(reading)
