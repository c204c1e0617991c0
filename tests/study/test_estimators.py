"""Estimators of one's own: what a search guarantees to its own kinds of estimators, it guarantees to all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symnas
from symnas.algorithms import SuccessiveHalving
from symnas.contracts import Algorithm, EachAlone, Estimator, Resources
from symnas.errors import EvaluatorError, StudyError
from symnas.study import Median, RunningTrial, current_trial
from symnas.study.store.memory import MemoryStore

SPACE = symnas.Space(tuple(symnas.OneOf(f"p{i}", (0, 1, 2, 3), 0) for i in range(3)))
EVOLUTION: dict[str, Any] = {"algorithm": "evolution", "options": {"population": 4, "tournament": 2}}
SETTINGS: dict[str, Any] = {"trials": 14, "seed": 5, "progress": False, "name": "n", **EVOLUTION}

DRIFT = Resources(repeatable=False, folder="drift")
KEEPING = Resources(keeps=2)
PARTICULAR = Resources(
    refuses={
        "workers": "give workers=1",
        "timeout": "leave it out",
        "keep": "leave that out",
        "pruner": "leave out the pruner",
    },
    because="there is one of it",
)


@pytest.fixture(autouse=True)
def mortal() -> Iterator[None]:
    """Let SIGTERM end a search: nothing catches what it raises, and the trial that runs is no result."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("killed"))
    yield
    signal.signal(signal.SIGTERM, before)


@dataclass
class Stated:
    """What the estimators below state; none of them derives from anything of SymNAS."""

    objectives: Mapping[str, str] = field(default_factory=lambda: {"score": "max"})
    fidelities: tuple[int, int] | None = None
    usual_trials: int | None = None
    resources: Resources = field(default_factory=Resources)

    @property
    def identity(self) -> Any:
        return self

    def check(self, target: Any, algorithm: Algorithm) -> None:
        """Take everything."""


@dataclass
class Drifting(Stated):
    """Scores that depend on all trials before: a number that every trial moves, kept in a file."""

    resources: Resources = field(default=DRIFT)
    fingerprint = "drifting"
    kill_at: int = -1
    opened: list[OpenDrift] = field(default_factory=list)

    def open(self, target: Any, algorithm: Algorithm, **given: Any) -> OpenDrift:
        self.opened.append(OpenDrift(self.kill_at, target, algorithm, **given))
        return self.opened[-1]


@dataclass
class OpenDrift:
    kill_at: int
    target: Any
    algorithm: Algorithm
    seed: int
    folder: Path | None
    trials: int
    tell: Callable[[str], None]
    proposer: Algorithm | None = None
    replayed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = float(np.random.default_rng(self.seed).random())
        self.states: dict[str, float] = {}
        if self.folder is not None and (self.folder / "states.json").is_file():
            self.states = json.loads((self.folder / "states.json").read_text())

    def replay(self, number: int) -> None:
        self.replayed.append(number)
        self._moved(number)

    def evaluate(self, decision: Any, trial: RunningTrial) -> Iterator[tuple[int, dict[str, float]]]:
        assert current_trial() is trial
        if trial.number == self.kill_at:
            signal.raise_signal(signal.SIGTERM)
        for step in range(2):
            yield step, {"score": sum(decision.values()) + self.place}
        self._moved(trial.number)

    def _moved(self, number: int) -> None:
        if str(number) not in self.states:
            self.states[str(number)] = (self.place * 7 + number) % 1
        self.place = self.states[str(number)]
        self.tell(f"moved to {self.place:.2f}")
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "states.json").write_text(json.dumps(self.states))


def table(study: symnas.Study) -> list[tuple[Any, ...]]:
    return [
        (trial.decision, trial.status, dict(trial.metrics), list(trial.steps), trial.seed)
        for trial in study.trials
    ]


def test_a_class_of_a_third_party_fulfils_the_protocol() -> None:
    found: Estimator = Drifting()
    assert found.fidelities is None


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "kept"])
def test_a_killed_search_goes_on_as_if_nothing_had_been(durable: bool, lost: bool, tmp_path: Path) -> None:
    whole = symnas.search(SPACE, Drifting(), **SETTINGS)
    store: Any = tmp_path / "s.db" if durable else MemoryStore()
    over: list[int] = []
    for kill_at in (0, 6, 9):
        with pytest.raises(SystemExit, match="killed"):
            symnas.search(
                SPACE, Drifting(kill_at=kill_at), store=store,
                on_trial=lambda trial: over.append(trial.number), **SETTINGS,
            )  # fmt: skip
        if lost:
            for file in tmp_path.glob("s.db.weights/*/drift/states.json"):
                file.unlink()
    last = Drifting()
    study = symnas.search(
        SPACE, last, store=store, on_trial=lambda trial: over.append(trial.number), **SETTINGS
    )
    assert table(study) == table(whole)
    assert over == list(range(14))
    assert last.opened[0].trials == 10
    assert last.opened[0].replayed == list(range(9))
    study.replay()


def test_what_a_deleted_study_kept_is_not_taken_up(tmp_path: Path) -> None:
    settings = {**SETTINGS, "store": tmp_path / "s.db"}
    symnas.search(SPACE, Drifting(), **settings)
    for file in tmp_path.glob("s.db*"):
        if file.is_file():
            file.unlink()
    assert len(list(tmp_path.glob("s.db.weights/*/drift"))) == 1
    other = symnas.search(SPACE, Drifting(), **{**settings, "seed": 6})
    assert table(other) == table(symnas.search(SPACE, Drifting(), **{**SETTINGS, "seed": 6}))


def test_nothing_is_looked_up_where_results_change() -> None:
    few = symnas.Space((symnas.OneOf("p", (0, 1), 0),))
    options: dict[str, Any] = {"algorithm": "random", "options": {"repeats": True}, "trials": 9}
    assert all(
        trial.copied_from is None
        for trial in symnas.search(few, Drifting(), progress=False, **options).trials
    )


SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_estimators as tests
import symnas
flag = Path(sys.argv[3])
class Fatal(tests.OpenDrift):
    def evaluate(self, decision, trial):
        if trial.number == 7 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().evaluate(decision, trial)
class Estimator(tests.Drifting):
    def open(self, target, algorithm, **given):
        return Fatal(-1, target, algorithm, **given)
symnas.search(tests.SPACE, Estimator(), store=sys.argv[2], **tests.SETTINGS)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed by a signal")
def test_a_killed_process_loses_no_finished_trial(tmp_path: Path) -> None:
    words = [str(Path(__file__).parent), str(tmp_path / "s.db"), str(tmp_path / "flag")]
    ends = [subprocess.run([sys.executable, "-c", SCRIPT, *words], check=False) for _ in range(2)]
    assert [end.returncode for end in ends] == [-signal.SIGKILL, 0]
    study = symnas.load_study(tmp_path / "s.db")
    assert table(study) == table(symnas.search(SPACE, Drifting(), **SETTINGS))
    study.replay()


# -------------------------------------------------------------------- weights, workers, fidelities, pruners


class Nets:
    """A program over linear layers."""

    name = fingerprint = "nets"
    space = SPACE

    def build(self, decision: Any) -> nn.Module:
        torch.nn.init.constant_((net := nn.Linear(1, 1)).weight, float(decision["p0"]))
        return net


@dataclass
class Independent(Stated):
    """Scores the child by itself; keeps the weights of the best."""

    resources: Resources = field(default=KEEPING)

    def open(self, target: Any, algorithm: Algorithm, **_: Any) -> EachAlone:
        return EachAlone(score)


def score(child: nn.Module, decision: Any) -> dict[str, float]:
    return {"score": child.weight.item() + sum(decision.values()) / 10}  # type: ignore[operator]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_weights_of_the_best_are_kept_and_trials_run_in_other_processes(workers: int, tmp_path: Path) -> None:
    settings = {**SETTINGS, "workers": workers, "deterministic": True, "store": tmp_path / "s.db"}
    study = symnas.search(Nets(), Independent(), **settings)
    assert study.best.load().weight.item() == study.best.decision["p0"]
    assert len(list(tmp_path.glob("s.db.weights/*/trial-*.pt"))) == 2
    study.replay()


@dataclass
class Lengthy(Stated):
    """Goes as far as it is told, and goes on from where it was."""

    fidelities: tuple[int, int] | None = (1, 9)

    def open(self, target: Any, algorithm: Algorithm, **_: Any) -> EachAlone:
        return EachAlone(lengthy)


def lengthy(decision: Any, fidelity: int, checkpoint: Path) -> dict[str, float]:
    file = checkpoint / "steps"
    begun = int(file.read_text()) if file.is_file() else 0
    file.write_text(str(fidelity))
    return {"score": float(sum(decision.values())), "anew": fidelity - begun}


def test_an_algorithm_says_how_far_trials_go() -> None:
    study = symnas.search(SPACE, Lengthy(), algorithm=SuccessiveHalving(), trials=13, progress=False)
    assert [trial.fidelity for trial in study.trials] == [1] * 9 + [3] * 3 + [9]
    assert [trial.metrics["anew"] for trial in study.trials] == [1.0] * 9 + [2.0] * 3 + [6.0]
    study.replay()


@dataclass
class Particular(Drifting):
    """Goes together with next to nothing."""

    resources: Resources = field(default=PARTICULAR)
    usual_trials: int | None = 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 2}, "there is one of it, and workers=2 asks for more: give workers=1"),
        ({"timeout": 5.0}, r"there is one of it, and timeout=5\.0 asks for more: leave it out"),
        ({"keep": 2}, "there is one of it, and keep=2 asks for more: leave that out"),
        ({"pruner": Median()}, "there is one of it, and a pruner asks for more: leave out the pruner"),
    ],
)
def test_what_an_estimator_does_not_go_with_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        symnas.search(SPACE, Particular(), progress=False, **changes)


def test_an_estimator_has_a_usual_length() -> None:
    assert len(symnas.search(SPACE, Particular(), progress=False).trials) == 3


# -------------------------------------------------------------------- proposing, refusing


class Descending(symnas.algorithms.Random):
    """Proposes the whole space from its end."""

    def propose(self, n: int, rng: np.random.Generator) -> symnas.Batch:
        return self._space.batch([self._space.default.replace({"p0": 3, "p1": 2})] * n)


@dataclass
class Proposing(Stated):
    """Proposes in place of the algorithm, and refuses spaces without a point `p1`."""

    def check(self, target: Any, algorithm: Algorithm) -> None:
        if "p1" not in target:
            raise StudyError("a space has p1")

    def open(self, target: Any, algorithm: Algorithm, **_: Any) -> EachAlone:
        proposer = Descending()
        proposer.setup(target)
        return EachAlone(lambda decision: {"score": float(sum(decision.values()))}, proposer)


def test_an_estimator_may_propose() -> None:
    study = symnas.search(SPACE, Proposing(), algorithm="random", trials=3, progress=False)
    assert {trial.metrics["score"] for trial in study.trials} == {5.0}


def test_what_does_not_fit_is_told_before_there_is_a_study(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    with pytest.raises(StudyError, match="a space has p1"):
        symnas.search(symnas.Space((symnas.OneOf("q", (0, 1), 0),)), Proposing(), store=store, progress=False)
    assert symnas.studies(store) == []


def test_an_estimator_that_lacks_something_is_told_what() -> None:
    class Half:
        resources = Resources()
        objectives = {"score": "max"}  # noqa: RUF012

        def open(self, *_: Any, **__: Any) -> EachAlone:
            raise AssertionError("it is refused before")

    message = (
        r"all that symnas\.contracts\.Estimator names; Half lacks fidelities, usual_trials, identity, check"
    )
    with pytest.raises(EvaluatorError, match=message):
        symnas.search(SPACE, Half(), progress=False)  # type: ignore[arg-type]


def test_what_is_neither_function_nor_estimator_is_refused() -> None:
    with pytest.raises(EvaluatorError, match="a function of the child or a Task; got 3"):
        symnas.search(SPACE, 3, progress=False)  # type: ignore[arg-type]
