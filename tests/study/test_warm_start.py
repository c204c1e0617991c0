"""What a study begins with: decisions to try first, trials of other studies, priors at points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnas
from symnas.algorithms import Hyperband, Random, RegularizedEvolution
from symnas.contracts.outcome import Status
from symnas.errors import DecisionError, StudyError
from symnas.study.warm_start import carried, first_decisions
from symnas.testing.random_spaces import random_space
from symnas.tree.choices import Branch, FloatRange, IntRange, OneOf, Tied
from symnas.tree.space import Space

SPACE = Space(tuple(OneOf(f"p{i}", (0, 1, 2, 3, 4), 0) for i in range(4)))
EVOLUTION = {"algorithm": "evolution", "options": {"population": 5, "tournament": 2}}


def total(decision: Any) -> float:
    return float(sum(decision.values()))


def score(decision: Any) -> dict[str, float]:
    return {"sum": total(decision), "first": float(decision["p0"])}


def grow(decision: Any, fidelity: int) -> float:
    return total(decision) + fidelity / 100


def run(evaluate: Any = total, space: Space = SPACE, **changes: Any) -> symnas.Study:
    return symnas.search(space, evaluate, **{"seed": 1, "progress": False, "trials": 12, **changes})


def decisions(study: symnas.Study) -> list[Any]:
    return [trial.decision for trial in study.trials]


# ------------------------------------------------------------ initial decisions


def test_initial_decisions_are_the_first_trials(tmp_path: Path) -> None:
    given = [{"p0": 4, "p1": 4}, SPACE.decision({"p0": 1, "p1": 2, "p2": 3, "p3": 4}), {}]
    study = run(initial=given, store=tmp_path / "runs.db", **EVOLUTION)
    assert [list(decision.values()) for decision in decisions(study)[:3]] == [
        [4, 4, 0, 0],
        [1, 2, 3, 4],
        [0, 0, 0, 0],
    ]
    assert len(study.trials) == 12
    study.replay()
    symnas.load_study(tmp_path / "runs.db").replay()
    plain = run(**EVOLUTION)
    assert decisions(plain)[:3] != decisions(study)[:3]
    assert decisions(run(initial=given[:2], trials=1)) == decisions(study)[:1]
    assert decisions(run(initial={"p0": 4, "p1": 4}, trials=1)) == decisions(study)[:1]


def test_a_study_goes_on_with_the_initial_decisions_it_began_with(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    given = [{"p0": value} for value in (4, 3, 2, 1)]
    whole = run(initial=given, **EVOLUTION)
    run(initial=given, store=store, trials=2, **EVOLUTION)
    run(store=store, trials=3, **EVOLUTION)  # they are in the log
    study = run(initial=given, store=store, **EVOLUTION)
    assert decisions(study) == decisions(whole)
    with pytest.raises(StudyError, match="has begun, and these are others: the initial decisions"):
        run(initial=given[:3], store=store, **EVOLUTION)
    run(store=store, name="without", **EVOLUTION)
    with pytest.raises(StudyError, match="the initial decisions"):
        run(initial=given, store=store, name="without", **EVOLUTION)


def test_initial_decisions_come_once_where_nothing_repeats() -> None:
    small = Space((OneOf("a", (1, 2, 3)), OneOf("b", (1, 2))))
    study = run(lambda d: float(d["a"]), small, trials=20, initial=[{"a": 3}, {"a": 2, "b": 2}])
    assert len(set(decisions(study))) == len(study.trials) == 6


def test_several_workers_try_initial_decisions_too() -> None:
    given = [{"p0": value} for value in (4, 3, 2, 1)]
    study = run(initial=given, workers=2, deterministic=True)
    assert [decision["p0"] for decision in decisions(study)[:4]] == [4, 3, 2, 1]
    assert study.counts == {Status.DONE: 12}
    study.replay()


def test_initial_decisions_fill_the_first_rung() -> None:
    given = [{"p0": 4, "p1": 4, "p2": 4, "p3": 4}, {"p0": 4}]
    study = run(grow, initial=given, trials=13, algorithm=Hyperband(high=9))
    assert [trial.fidelity for trial in study.trials] == [1] * 9 + [3] * 3 + [9]
    assert list(study.trials[0].decision.values()) == [4, 4, 4, 4]
    assert study.best.decision == study.trials[0].decision
    study.replay()


def test_mistakes_in_initial_decisions_are_told_before_anything_runs() -> None:
    with pytest.raises(DecisionError, match="initial decision 1: q: the space has no point at this address"):
        run(initial=[{}, {"q": 1}])
    with pytest.raises(DecisionError, match="initial decision 0: p0"):
        run(initial=[{"p0": 9}])


# ------------------------------------------------------------ carrying over


def test_a_decision_is_carried_over_by_addresses() -> None:
    kernel = OneOf("k", (1, 3, 5), 3)
    old = Space((OneOf("op", ("conv", "pool"), branches=(Branch((0,), (kernel,)),)), IntRange("n", 1, 9)))
    new = Space(
        (
            OneOf("op", ("pool", "conv", "skip"), branches=(Branch((1,), (OneOf("k", (3, 7), 7),)),)),
            IntRange("n", 1, 4),
            FloatRange("rate", 0.0, 1.0, default=0.5),
            Tied("again", "n"),
        )
    )
    given = old.decision({"op": "conv", "k": 3, "n": 4})
    assert carried(new, given).flat() == {"op": "conv", "k": 3, "n": 4, "rate": 0.5}
    given = old.decision({"op": "conv", "k": 5, "n": 9})  # neither value is allowed there
    assert carried(new, given).flat() == {"op": "conv", "k": 7, "n": 1, "rate": 0.5}
    given = old.decision({"op": "pool", "n": 2})
    assert carried(new, given).flat() == {"op": "pool", "n": 2, "rate": 0.5}
    assert first_decisions(new, [given])[0] == carried(new, given)
    assert carried(old, given) == given


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_carried_over_is_a_decision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = random_space(rng), random_space(rng)
    for decision in old.sample(10, rng):
        found = carried(new, decision)
        new.validate(found.flat())
        assert carried(new, found) == found
        assert carried(old, decision) == decision
        if found != new.default:
            assert any(decision.get(address) == value for address, value in found.items())


# ------------------------------------------------------------ other studies


def test_a_warm_start_is_shown_to_the_algorithm_and_is_no_trial(tmp_path: Path) -> None:
    source = run(score, objectives=["first"], store=tmp_path / "old.db", name="old", trials=30)
    study = run(score, objectives=["sum"], warm_start=source, **EVOLUTION)
    assert len(study.trials) == 12
    assert study.warm_started_from == {f"{source.store.location}:old": 30}
    assert study.replay().hyperparameters["population"] == 5
    # The population of five was full from the start, so every trial is bred.
    parents = decisions(source)[-5:]
    changed = [
        sum(a != b for a, b in zip(study.trials[0].decision.values(), p.values(), strict=True))
        for p in parents
    ]
    assert min(changed) <= 1
    assert decisions(study) != decisions(run(score, objectives=["sum"], **EVOLUTION))


def test_values_are_those_of_the_objective_here() -> None:
    seen: list[tuple[Any, float]] = []

    class Noting(Random):
        def observe(self, batch: Any, outcomes: Any) -> None:
            pairs = zip(batch, outcomes, strict=True)
            seen.extend((decision, outcome.values[0]) for decision, outcome in pairs if outcome.values)
            super().observe(batch, outcomes)

    source = run(score, objectives={"sum": "max"}, trials=5)
    run(score, objectives={"first": "min"}, algorithm=Noting(), warm_start=source, trials=1)
    assert seen[:5] == [(trial.decision, -trial.metrics["first"]) for trial in source.trials]


def test_a_study_replays_when_its_source_is_gone(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    run(store=old, name="a", trials=6)
    run(store=old, name="b", trials=7, seed=2)
    settings: dict[str, Any] = {"warm_start": [f"{old}:a", f"{old}:b"], **EVOLUTION}
    whole = run(**settings)
    run(store=new, trials=4, **settings)
    for file in tmp_path.glob("old.db*"):
        file.unlink()
    study = run(store=new, **settings)
    assert decisions(study) == decisions(whole)
    study.replay()
    assert sorted(symnas.load_study(new).warm_started_from.values()) == [6, 7]
    run(store=new, trials=13, **EVOLUTION)  # what it has learnt is in the log
    with pytest.raises(StudyError, match="these are others: the studies of the warm start"):
        run(store=new, warm_start=f"{old}:a", **EVOLUTION)


def test_only_what_is_exactly_a_decision_here_is_learnt_from() -> None:
    wider = Space((*SPACE.points[:3], OneOf("p3", (0, 1, 9), 0)))
    source = run(lambda d: float(sum(d.values())), wider, trials=40)
    fits = sum(trial.decision["p3"] != 9 for trial in source.trials)
    assert 0 < fits < 40
    assert list(run(warm_start=source, trials=1).warm_started_from.values()) == [fits]
    longer = Space((*SPACE.points, OneOf("p4", (0, 1))))
    with pytest.raises(StudyError, match="of the 12 trials of 'space-total-auto' none is"):
        run(lambda d: 1.0, longer, warm_start=run())
    with pytest.raises(StudyError, match="none is"):
        run(score, objectives=["first"], warm_start=run())
    with pytest.raises(StudyError, match="a warm start is a study, the path of a store, 'STORE:NAME'"):
        run(warm_start=3)
    # Its best decisions can still be tried here.
    study = run(lambda d: 1.0, longer, initial=[trial.decision for trial in run().front], trials=1)
    assert study.trials[0].decision.flat() == {**run().best.decision.flat(), "p4": 0}


def test_a_mistaken_source_leaves_no_study_behind(tmp_path: Path) -> None:
    run(store=tmp_path / "runs.db", name="old")
    with pytest.raises(StudyError, match=r"there is no study 'odl' .* .did you mean 'old'"):
        run(store=tmp_path / "runs.db", name="new", warm_start=f"{tmp_path / 'runs.db'}:odl")
    assert [summary.name for summary in symnas.studies(tmp_path / "runs.db")] == ["old"]


def test_failures_and_copies_are_not_learnt_from() -> None:
    def sometimes(decision: Any) -> float:
        if decision["p0"] == 0:
            raise ValueError("no")
        return float("nan") if decision["p0"] == 1 else total(decision)

    source = run(sometimes, trials=40)
    assert list(run(warm_start=source, trials=1).warm_started_from.values()) == [source.counts[Status.DONE]]


def test_fidelities_are_heeded() -> None:
    halved = run(grow, algorithm=Hyperband(high=9), trials=26)
    furthest = sum(trial.fidelity == 9 for trial in halved.trials)
    plain = run(warm_start=halved, trials=1)
    assert list(plain.warm_started_from.values()) == [furthest]
    again = run(grow, algorithm=Hyperband(high=9), warm_start=[halved, run()], trials=13)
    assert sorted(again.warm_started_from.values()) == [12, 26]
    again.replay()


# ------------------------------------------------------------ priors, and one evaluation at a time


def test_priors_at_points_are_heeded() -> None:
    space = Space((OneOf("a", ("often", "rarely"), weights=(9.0, 1.0)), IntRange("b", 0, 999)))
    for algorithm in (Random(), Random(repeats=True), RegularizedEvolution(population=300)):
        study = run(lambda d: 1.0, space, algorithm=algorithm, trials=200)
        often = sum(decision["a"] == "often" for decision in decisions(study))
        assert 165 <= often <= 195  # binomial with 0.9: 180 ± 3.5 standard deviations


def test_a_decision_that_runs_is_not_evaluated_twice(tmp_path: Path) -> None:
    noted = tmp_path / "calls"
    noted.mkdir()

    def slow(decision: Any, trial: Any) -> float:
        import time

        (noted / f"{trial.number}").write_text(str(decision["a"]))
        time.sleep(0.05)
        return float(decision["a"])

    space = Space((OneOf("a", (1, 2, 3)),))
    settings: dict[str, Any] = {"algorithm": Random(repeats=True), "trials": 30, "workers": 3}
    for deterministic in (False, True):
        for file in noted.iterdir():
            file.unlink()
        study = run(slow, space, deterministic=deterministic, **settings)
        assert sorted(file.read_text() for file in noted.iterdir()) == ["1", "2", "3"]
        assert len(study.trials) == 30
        assert study.counts == {Status.DONE: 30}
        assert sum(trial.copied_from is not None for trial in study.trials) == 27
        study.replay()
    again = run(slow, space, reuse=False, **{**settings, "trials": 6})
    assert all(trial.copied_from is None for trial in again.trials)


def test_where_the_first_one_fails_the_next_is_evaluated() -> None:
    def fails_once(decision: Any, trial: Any) -> float:
        import time

        time.sleep(0.02)
        if trial.number == 0:
            raise ValueError("no")
        return 1.0

    space = Space((OneOf("a", (1,)),))
    study = run(fails_once, space, algorithm=Random(repeats=True), trials=6, workers=3)
    assert [trial.status for trial in study.trials] == [Status.FAILED] + [Status.DONE] * 5
    assert [trial.copied_from for trial in study.trials] == [None, None, 1, 1, 1, 1]


# ------------------------------------------------------------ the command line


def test_the_command_line_begins_with_what_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from symnas.cli.app import main

    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "def net():\n    width = 8  # search: {8, 16, 32}\n    depth = 2  # search: 1..9\n"
        "    return width * depth\n"
    )
    Path("task.py").write_text("def score(child):\n    return float(child)\n")

    def call(*words: str) -> Any:
        line = ["search", "net.py:net", "--task", "task.py:score", "--progress", "silent", "--json", *words]
        return CliRunner().invoke(main, line)

    Path("first.json").write_text(json.dumps([{"width": 32}, {"width": 16, "depth": 9}]))
    done = call("--store", "a.db", "--trials", "5", "--initial", "first.json")
    assert done.exit_code == 0, done.output
    study = symnas.load_study("a.db")
    assert [trial.decision.flat() for trial in study.trials[:2]] == [
        {"width": 32, "depth": 2},
        {"width": 16, "depth": 9},
    ]
    best = CliRunner().invoke(main, ["best", "a.db", "--top", "2", "--json"])
    Path("best.json").write_text(best.output)
    done = call(
        "--store", "b.db", "--trials", "3", "--initial", "best.json", "--warm-start", f"a.db:{study.name}"
    )
    assert done.exit_code == 0, done.output
    warm = symnas.load_study("b.db")
    assert warm.trials[0].decision == study.best.decision
    assert list(warm.warm_started_from.values()) == [5]
    Path("wrong.json").write_text("3")
    done = call("--initial", "wrong.json")
    assert done.exit_code != 0
    assert "a JSON list of decisions" in done.output
