"""Fingerprints: equal when nothing changed, different when anything did, in every process."""

from __future__ import annotations

import functools
import importlib
import linecache
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import symnas
from symnas import OneOf, Space
from symnas._fingerprint import fingerprint
from symnas.errors import StudyError

SPACE = Space((OneOf("a", (0, 1, 2, 3), 0),))
FACTOR = 2.0


def helper(x: float) -> float:
    return x * FACTOR


def closing_over(value: Any) -> Callable[[Any], float]:
    return lambda d: float(d["a"]) if value is None else 0.0


def module(text: str, name: str) -> Any:
    """Return the function `f` of a source, as a module of its own would define it."""
    import linecache

    lines = text.splitlines(keepends=True)
    linecache.cache[name] = (len(text), None, lines, name)
    space: dict[str, Any] = {"__name__": name, "np": np}
    exec(compile(text, name, "exec"), space)
    return space["f"]


PAIRS = [
    (1, 2), (1, True), (1, 1.0), ("a", "b"), ([1, 2], [2, 1]), ({"a": 1}, {"a": 2}), ({1, 2}, {1, 3}),
    (np.arange(3), np.arange(4)), (np.arange(3), np.arange(3.0)), (torch.zeros(2), torch.ones(2)),
    (SPACE.default, SPACE.default.replace({"a": 1})), (helper, len), (Path("a"), Path("b")),
    (functools.partial(helper, 1), functools.partial(helper, 2)), (range(3), range(4)),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[str(n) for n in range(len(PAIRS))])
def test_what_a_closure_holds_counts(one: Any, other: Any) -> None:
    assert fingerprint(closing_over(one)) != fingerprint(closing_over(other))
    import copy

    assert fingerprint(closing_over(one)) == fingerprint(closing_over(copy.copy(one)))


BASE = "K = 3\ndef g(x):\n    return x + K\ndef f(d, bias=1):\n    return g(d) + bias\n"
EDITS = {
    "a global": BASE.replace("K = 3", "K = 4"),
    "a function it calls": BASE.replace("x + K", "x - K"),
    "its own code": BASE.replace("+ bias", "- bias"),
    "a default": BASE.replace("bias=1", "bias=2"),
}
HARMLESS = {
    "a comment": BASE.replace("    return g", "    # why\n    return g"),
    "layout": BASE.replace("g(d) + bias", "(g(d)\n        + bias)"),
    "its place": "\n\nunused = 1\n" + BASE,
    "a docstring": BASE.replace("bias=1):\n", "bias=1):\n    'What it does.'\n"),
    "code beside it": BASE + "def h(x):\n    return 7\n",
}


@pytest.mark.parametrize("name", EDITS)
def test_edits_that_matter_are_seen(name: str) -> None:
    assert fingerprint(module(EDITS[name], f"edit {name}")) != fingerprint(module(BASE, "base"))


@pytest.mark.parametrize("name", HARMLESS)
def test_edits_that_do_not_matter_are_not(name: str) -> None:
    assert fingerprint(module(HARMLESS[name], f"harmless {name}")) == fingerprint(module(BASE, "base"))


def test_lambdas_on_one_line_are_told_apart() -> None:
    one, other = lambda d: d["a"] + 1, lambda d: d["a"] + 2
    assert fingerprint(one) != fingerprint(other)


def test_the_call_around_a_lambda_does_not_count() -> None:
    text = "def made(f, n): return f\nf = made(lambda d: d + 1, n=40)\n"
    assert fingerprint(module(text, "n40")) == fingerprint(module(text.replace("40", "60"), "n60"))
    assert fingerprint(module(text, "n40")) != fingerprint(module(text.replace("d + 1", "d + 2"), "d2"))


class Counter:
    def __init__(self, step: int) -> None:
        self.step = step
        self.me = self

    def __call__(self, d: Any) -> float:
        return float(self.step)


def test_instances_count_by_their_attributes_and_cycles_end() -> None:
    assert fingerprint(Counter(1)) == fingerprint(Counter(1))
    assert fingerprint(Counter(1)) != fingerprint(Counter(2))


def test_what_cannot_be_read_asks_for_a_context(tmp_path: Path) -> None:
    lock = threading.Lock()
    settings: dict[str, Any] = {"trials": 2, "store": tmp_path / "s.db", "progress": False}

    def evaluate(d: Any) -> float:
        return float(lock.locked())

    with pytest.raises(
        StudyError, match=r"'lock', which .*evaluate closes over is a _thread.lock.*Pass context="
    ):
        symnas.search(SPACE, evaluate, **settings)
    symnas.search(SPACE, evaluate, **{**settings, "store": None})
    symnas.search(SPACE, evaluate, **settings, context="v1")
    symnas.search(SPACE, evaluate, **settings, context="v1")
    with pytest.raises(StudyError, match="there changed: the evaluator"):
        symnas.search(SPACE, evaluate, **settings, context="v2")


def test_fingerprints_are_the_same_in_another_process() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_identity as t; import symnas\n"
        "from symnas._fingerprint import fingerprint\n"
        "print(fingerprint(t.closing_over({'x': {1, 2, 'y'}, 'z': t.Counter(3)})))"
    )
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-c", code, folder]
    found = {
        subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed, "PATH": ""}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("folder", "follows"),
    [("lib/python3/dist-packages", False), ("venv/lib/python3.12/site-packages", False), ("src", True)],
)
def test_an_installed_package_counts_by_name_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, follows: bool
) -> None:
    """Packages of the system and of the user lie outside this environment."""

    def found(text: str) -> str:
        file = tmp_path / folder / "peculiar_helpers.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(file.parent))
        monkeypatch.delitem(sys.modules, "peculiar_helpers", raising=False)
        importlib.invalidate_caches()
        linecache.checkcache()
        helpers = importlib.import_module("peculiar_helpers")
        return fingerprint(helpers.score)

    before = found("def score(d):\n    return 1.0\n")
    assert (found("def score(d):\n    return 22.0\n") != before) is follows
