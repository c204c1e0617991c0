"""The interpreter that serves contract tests: another one, with other hashes, that nothing brings down."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from symnas import Batch
from symnas.algorithms import Random
from symnas.contracts import Algorithm
from symnas.testing import AlgorithmContract
from symnas.testing.another_interpreter import FORKS, AnotherInterpreter

WORD = "a word whose hash tells interpreters apart"
SEEN: list[int] = []


def about(algorithm: Algorithm) -> dict[str, object]:
    """Say where this runs, and how often something ran here before."""
    SEEN.append(1)
    print("what is printed is no reply")
    return {
        "parent": os.getppid() if FORKS else os.getpid(), "hash": hash(WORD), "seen": len(SEEN),
        "repeats": algorithm.hyperparameters["repeats"],
    }  # fmt: skip


def dying(algorithm: Algorithm) -> None:
    os._exit(3)


def failing(algorithm: Algorithm) -> None:
    raise ValueError(f"no use of {algorithm!r}")


@pytest.fixture
def interpreter() -> Iterator[AnotherInterpreter]:
    made = AnotherInterpreter()
    yield made
    made.close()


def test_it_is_another_one_and_serves_again_and_again(interpreter: AnotherInterpreter) -> None:
    first, second = (interpreter.run(about, Random(repeats=repeats)) for repeats in (True, False))
    assert first["parent"] == second["parent"] != os.getpid()
    assert first["hash"] == second["hash"] != hash(WORD)
    assert (first["repeats"], second["repeats"]) == (True, False)


@pytest.mark.skipif(not FORKS, reason="runs share the process")
def test_no_run_sees_what_another_did(interpreter: AnotherInterpreter) -> None:
    assert [interpreter.run(about, Random())["seen"] for _ in range(3)] == [1, 1, 1]


@pytest.mark.skipif(not FORKS, reason="runs share the process")
def test_a_run_that_dies_takes_nothing_along(interpreter: AnotherInterpreter) -> None:
    before = interpreter.run(about, Random())
    with pytest.raises(AssertionError, match="its process ended with status"):
        interpreter.run(dying, Random())
    assert interpreter.run(about, Random())["parent"] == before["parent"]


def test_what_goes_wrong_there_is_told_here(interpreter: AnotherInterpreter) -> None:
    with pytest.raises(AssertionError, match=r"ValueError: no use of Random\(.*repeats=False"):
        interpreter.run(failing, Random())


def test_one_that_was_killed_is_begun_again(interpreter: AnotherInterpreter) -> None:
    first = interpreter.run(about, Random())
    assert interpreter._process is not None
    interpreter._process.kill()
    second = interpreter.run(about, Random())
    assert first["parent"] != second["parent"]
    assert first["hash"] == second["hash"]


def test_one_that_cannot_begin_says_why(
    interpreter: AnotherInterpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("symnas.testing.another_interpreter.START", "raise SystemExit('it cannot begin')")
    with pytest.raises(AssertionError, match=r"died of Random\(.*\):\n(?s:.*)it cannot begin"):
        interpreter.run(about, Random())


class Hashed(Random):
    """Proposes by the order of a set of texts, which is another one in another interpreter."""

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        order = list({f"word {number}" for number in range(20)})
        return super().propose(n, np.random.default_rng([*map(len, order), *map(ord, "".join(order))]))


def test_the_contract_catches_an_algorithm_that_depends_on_hashes() -> None:
    class Planted(AlgorithmContract):
        def make(self) -> Algorithm:
            return Hashed()

    with pytest.raises(AssertionError, match="another process, with other hashes, gave other proposals"):
        Planted().test_another_process_gives_the_same_proposals()


THIRD_PARTY = """
from symnas.algorithms import Random
from symnas.testing import AlgorithmContract

class Mine(Random):
    pass

class TestMine(AlgorithmContract):
    learns = False

    def make(self):
        return Mine()
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_third_parties_need_nothing_but_to_inherit(mode: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):  # modules of one name in two folders are two modules
        (tmp_path / folder).mkdir()
        text = THIRD_PARTY if folder == "one" else THIRD_PARTY.replace("Mine", "Yours")
        (tmp_path / folder / "test_mine.py").write_text(text)
    words = ["-q", "-W", "error", f"--import-mode={mode}", "-p", "no:cacheprovider", "-k", "another_process"]
    folders = ["one", "two"] if mode == "importlib" else ["one"]
    command = [sys.executable, "-m", "pytest", *words, *folders]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"{len(folders)} passed" in done.stdout, done.stdout + done.stderr
    assert not done.stderr
