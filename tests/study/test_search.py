"""Searches in one process: conventions of evaluators, outcomes, look-ups, continuing, refusing."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnas
from symnas import OneOf, Space, Status
from symnas.contracts.objectives import less_is_better
from symnas.contracts.pareto import pareto_front
from symnas.errors import AlgorithmError, EvaluatorError, KeywordError, RequirementError, StudyError
from symnas.study.keywords import OTHERWISE, SAME
from symnas.study.pruners import Median
from symnas.study.trials.trial_context import RunningTrial

SPACE = Space((OneOf("a", (0, 1, 2, 3), 0), OneOf("b", (0, 1, 2, 3), 0)))
EVOLUTION: dict[str, Any] = {"algorithm": "evolution", "options": {"population": 5, "tournament": 2}}


def run(evaluate: Any, space: Any = SPACE, **options: Any) -> symnas.Study:
    return symnas.search(space, evaluate, **{"trials": 8, "progress": False, **options})


def total(decision: Any) -> float:
    return float(decision["a"] + decision["b"])


class Doubler:
    """A program by its protocol: a name, a space and a build."""

    name = "doubler"
    fingerprint = "doubler-1"
    space = SPACE

    def __init__(self) -> None:
        self.built = 0

    def build(self, decision: Any) -> int:
        self.built += 1
        if decision["a"] == 3:
            raise RequirementError("params < 3 is not met")
        return 2 * int(decision["a"]) + int(decision["b"])


def test_the_best_of_a_whole_grid_is_the_largest() -> None:
    study = run(total, algorithm="grid", trials=100)
    assert len(study.trials) == 16
    assert study.best.metrics == {"value": 6.0}
    assert study.best.values == (6.0,)
    assert study.state == "done"
    assert study.best.build() == study.best.decision


def test_a_program_is_built_and_requirements_are_infeasible() -> None:
    program = Doubler()
    study = run(lambda child: child, program, algorithm="grid", trials=16)
    assert study.counts == {Status.DONE: 12, Status.INFEASIBLE: 4}
    assert study.best.values == (7.0,)
    assert study.best.build() == 7
    assert "params < 3" in (study.trials[-1].error or "")


def test_an_evaluator_of_the_decision_builds_nothing() -> None:
    program = Doubler()
    run(lambda decision: decision["a"], program)
    assert program.built == 0


def test_decision_and_trial_are_given_by_name() -> None:
    seen: list[tuple[int, int]] = []

    def evaluate(child: int, *, trial: RunningTrial, decision: Any) -> float:
        assert trial.decision == decision
        assert child == decision
        seen.append((trial.number, trial.seed))
        return 1.0

    study = run(evaluate)
    assert seen == [(trial.number, trial.seed) for trial in study.trials]
    assert len({seed for _, seed in seen}) == 8


@pytest.mark.parametrize("returned", [None, "0.9", {}, {"a": None}, [1, 2], b"1", object()])
def test_what_is_not_a_metric_is_refused(returned: object) -> None:
    with pytest.raises(EvaluatorError, match="returns a number, or a dict of numbers by name; it returned"):
        run(lambda d: returned)


@pytest.mark.parametrize(
    "returned", [1, 1.0, True, np.float32(1.0), np.array(1.0), {"accuracy": np.int64(1)}]
)
def test_numbers_of_all_kinds_are_metrics(returned: Any) -> None:
    study = run(lambda d: returned, trials=1)
    assert study.best.values == (1.0,)


def test_an_evaluator_that_asks_for_more_is_refused() -> None:
    with pytest.raises(EvaluatorError, match="also asks for 'loader'"):
        run(lambda child, loader: 1.0)
    with pytest.raises(EvaluatorError, match="an evaluator is a function of the child"):
        run(3)


def test_several_metrics_need_objectives() -> None:
    with pytest.raises(EvaluatorError, match=r"told which to optimise; the evaluator returned x, y"):
        run(lambda d: {"x": 1.0, "y": 2.0})
    with pytest.raises(EvaluatorError, match="'accurcy' is not among accuracy"):
        run(lambda d: {"accuracy": 1.0}, objectives="accurcy")
    with pytest.raises(StudyError, match="direction is 'max' or 'min'; 'x' has 'maximum'"):
        run(total, objectives={"x": "maximum"})


def test_minimising_finds_the_least() -> None:
    study = run(
        lambda d: {"loss": total(d), "other": 1}, objectives={"loss": "min"}, algorithm="grid", trials=16
    )
    assert study.best.metrics["loss"] == 0.0


def test_the_front_is_what_brute_force_finds() -> None:
    def evaluate(d: Any) -> dict[str, float]:
        return {"gain": d["a"] * 3 - d["b"] ** 2, "cost": d["a"] + d["b"]}

    study = run(evaluate, objectives={"gain": "max", "cost": "min"}, algorithm="random", trials=16)
    points = {t.number: (t.metrics["gain"], -t.metrics["cost"]) for t in study.trials}
    front = [
        n for n, p in points.items()
        if not any(all(x >= y for x, y in zip(q, p, strict=True)) and q != p for q in points.values())
    ]  # fmt: skip
    assert {points[n] for n in front} == {points[t.number] for t in study.front}
    with pytest.raises(StudyError, match="there is a front, not a best trial"):
        study.best  # noqa: B018


def test_the_front_of_random_points_is_what_brute_force_finds() -> None:
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (40, 1), (40, 2), (60, 3)]:
        points = rng.integers(0, 6, shape).astype(float)
        brute = [
            i for i, p in enumerate(points)
            if not any((q >= p).all() and (q > p).any() for q in points)
            and not any((q == p).all() for q in points[:i])
        ]  # fmt: skip
        assert pareto_front(points.tolist()) == brute
    assert pareto_front([]) == []


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def test_outcomes_have_names() -> None:
    def evaluate(d: Any) -> float:
        match d["a"], d["b"]:
            case 0, 0:
                raise ValueError("two\nlines")
            case 0, 1:
                return math.nan
            case 0, 2:
                raise MemoryError
            case 0, 3:
                raise OutOfMemoryError("CUDA out of memory")
            case 1, 0:
                return math.inf
            case 1, 1:
                raise RequirementError("too large")
            case _:
                return 1.0

    study = run(evaluate, algorithm="grid", trials=16)
    assert study.counts == {
        Status.FAILED: 1, Status.NAN: 2, Status.OOM: 2, Status.INFEASIBLE: 1, Status.DONE: 10,
    }  # fmt: skip
    failed = next(trial for trial in study.trials if trial.status is Status.FAILED)
    assert failed.error == "ValueError: two"
    assert "in evaluate" in (failed.traceback or "")


def test_a_search_in_which_everything_fails_ends() -> None:
    calls = itertools.count()

    def evaluate(d: Any) -> float:
        next(calls)
        raise KeyError("weights")

    with pytest.raises(StudyError, match=r"first 10 trials all ended as 'failed'(.|\n)*KeyError: 'weights'"):
        run(evaluate, trials=16)
    assert next(calls) == 10


def test_a_search_in_which_something_works_goes_on() -> None:
    def evaluate(d: Any, trial: RunningTrial) -> float:
        if trial.number != 3:
            raise KeyError("weights")
        return 1.0

    assert run(evaluate, trials=16).counts == {Status.FAILED: 15, Status.DONE: 1}


def test_known_decisions_are_looked_up() -> None:
    calls: list[Any] = []

    def evaluate(d: Any) -> float:
        calls.append(d)
        return total(d)

    study = run(evaluate, algorithm="random", options={"repeats": True}, trials=40)
    assert len(study.trials) == 40
    assert len(calls) == len(set(calls)) < 17
    copies = [trial for trial in study.trials if trial.copied_from is not None]
    assert len(copies) == 40 - len(calls)
    for trial in copies:
        assert trial.copied_from is not None
        assert trial.decision == study.trials[trial.copied_from].decision
        assert trial.values == (total(trial.decision),)

    calls.clear()
    run(evaluate, algorithm="random", options={"repeats": True}, trials=40, reuse=False)
    assert len(calls) == 40


def test_the_same_call_continues_and_trials_is_a_total(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    whole = run(total, trials=14, **EVOLUTION)
    for trials in (1, 5, 5, 14):
        study = run(total, trials=trials, store=store, **EVOLUTION)
    assert [t.decision for t in study.trials] == [t.decision for t in whole.trials]
    assert [t.seed for t in study.trials] == [t.seed for t in whole.trials]
    study.replay()
    read = symnas.load_study(store)
    assert [t.decision for t in read.trials] == [t.decision for t in whole.trials]
    assert read.best.metrics == whole.best.metrics
    assert read.replay().hyperparameters["population"] == 5
    assert read.best.build() == whole.best.decision
    assert symnas.load_study(store, program=SPACE).best.build() == whole.best.decision


def test_a_memory_store_continues_too() -> None:
    first = run(total, trials=4)
    second = run(total, trials=9, store=first.store)
    assert second.trials[3].decision == first.trials[3].decision
    assert len(second.trials) == 9


def test_replay_notices_a_log_that_was_not_made_so(tmp_path: Path) -> None:
    study = run(total)
    with pytest.raises(StudyError, match="a log replays exactly; at proposal 0"):
        study.replay(symnas.algorithms.resolve("grid"))


def offset(by: float) -> Any:
    return lambda d: total(d) + by


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"evaluate": offset(2.0)}, "the evaluator"),
    ({"space": Space((OneOf("a", (0, 1, 2, 3, 4), 0), OneOf("b", (0, 1, 2, 3), 0)))}, "the search space"),
    ({"algorithm": "random", "options": {"repeats": True}}, "the algorithm or its options"),
    ({"seed": 1}, "the seed"),
    ({"objectives": {"value": "min"}}, "the objectives"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=[words for _, words in CHANGES])
def test_what_changed_is_told_and_can_be_imported(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    settings = {
        "evaluate": offset(1.0),
        "space": SPACE,
        "store": tmp_path / "s.db",
        "name": "one",
        "trials": 6,
    }
    old = run(**settings)
    run(**{**settings, "evaluate": offset(1.0)})
    with pytest.raises(StudyError, match=f"there changed: {words}"):
        run(**{**settings, **change})
    new = run(**{**settings, **change, "trials": 9, "on_change": "import"})
    assert [t.decision.flat() for t in new.trials[:6]] == [t.decision.flat() for t in old.trials]
    assert [t.metrics for t in new.trials[:6]] == [t.metrics for t in old.trials]
    assert len(new.trials) == 9
    new.replay()
    assert [s.name for s in symnas.studies(tmp_path / "s.db")] == ["one@1", "one"]


def test_pruned_trials_stop_and_keep_their_last_value() -> None:
    reached: dict[int, int] = {}

    def evaluate(d: Any, trial: RunningTrial) -> Iterator[tuple[int, float]]:
        for step in range(5):
            reached[trial.number] = step
            yield step, (6 - total(d)) * (step + 1)

    study = run(evaluate, algorithm="grid", trials=16, pruner=Median(startup=3))
    assert study.counts[Status.PRUNED] > 3
    for trial in study.trials:
        assert len(trial.steps) == reached[trial.number] + 1
        if trial.status is Status.PRUNED:
            assert trial.values == ((6 - total(trial.decision)) * (reached[trial.number] + 1),)
        else:
            assert trial.values == ((6 - total(trial.decision)) * 5,)
    study.replay()


def test_report_prunes_like_yield() -> None:
    def evaluate(d: Any, trial: RunningTrial) -> float:
        try:
            for step in range(5):
                trial.report(step, {"value": -total(d)})
        except Exception:  # what a careless evaluator does; a stop passes through
            pytest.fail("a stop is no Exception")
        return -total(d)

    study = run(evaluate, algorithm="grid", trials=16, pruner=Median(startup=3))
    assert study.counts[Status.PRUNED] > 3


def test_a_generator_without_a_step_is_refused() -> None:
    def evaluate(d: Any) -> Iterator[float]:
        yield 1.0

    with pytest.raises(EvaluatorError, match=r"yields \(step, metrics\) with a whole step; it yielded 1.0"):
        run(evaluate)


def test_ctrl_c_returns_what_is_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def evaluate(d: Any, trial: RunningTrial) -> float:
        if trial.number == 4 and not (tmp_path / "again").exists():
            (tmp_path / "again").touch()
            raise KeyboardInterrupt
        return total(d)

    study = run(evaluate, store=tmp_path / "s.db", context=1)
    assert study.state == "interrupted"
    assert study.counts == {Status.DONE: 4}
    assert "Stopped after 4 trials, which are kept in" in capsys.readouterr().err
    again = run(evaluate, store=tmp_path / "s.db", context=1)
    assert again.counts == {Status.DONE: 8}
    whole = run(total, name=again.name)
    assert [t.decision for t in again.trials] == [t.decision for t in whole.trials]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(AlgorithmError, match=r"no algorithm named 'randon'.*did you mean 'random'"):
        run(total, algorithm="randon")
    with pytest.raises(AlgorithmError, match="has no option 'repeat'"):
        run(total, options={"repeat": True})
    with pytest.raises(StudyError, match="trials is a whole number of at least 1; got 0"):
        run(total, trials=0)
    with pytest.raises(StudyError, match="timeout is a number of seconds above 0"):
        run(total, timeout=0)
    with pytest.raises(StudyError, match=r"on_change is 'refuse' or 'import'; got 'improt'.*'import'"):
        run(total, on_change="improt")
    with pytest.raises(StudyError, match="a search needs a program or a space; got 'net'"):
        run(total, space="net")
    with pytest.raises(StudyError, match="progress is one of"):
        run(total, progress="loud")
    with pytest.raises(AlgorithmError, match="takes one objective"):
        run(total, objectives=["x", "y"], algorithm="evolution")


def test_frame_has_a_row_per_trial() -> None:
    frame = run(lambda d: {"accuracy": total(d)}).frame()
    assert list(frame["number"]) == list(range(8))
    assert {"status", "accuracy", "point.a", "seconds", "error"} <= set(frame.columns)


def test_on_trial_sees_every_trial_after_it_is_safe(tmp_path: Path) -> None:
    seen = []

    def note(trial: Any) -> None:
        seen.append(trial.number)
        assert symnas.load_study(tmp_path / "s.db").trials[trial.number].status is Status.DONE

    run(total, store=tmp_path / "s.db", on_trial=note)
    assert seen == list(range(8))


# -------------------------------------------------------------------- directions


@pytest.mark.parametrize("word", ["min", "minimize", "minimise"])
def test_directions_may_be_written_out(word: str) -> None:
    study = run(lambda d: {"loss": total(d)}, objectives={"loss": word}, algorithm="grid", trials=16)
    assert study.best.metrics["loss"] == 0.0
    assert study.objectives == {"loss": "min"}
    largest = run(total, objectives={"value": "maximize"}, algorithm="grid", trials=16).best
    assert largest.metrics["value"] == 6.0


def test_advice_on_directions_heeds_the_name() -> None:
    with pytest.raises(StudyError, match=r"write objectives=\{'loss': 'min'\}"):
        run(total, objectives={"loss": "minimum"})
    with pytest.raises(EvaluatorError, match=r"write objectives=\{'loss': 'min'\}"):
        run(lambda d: {"loss": 1.0, "accuracy": 1.0})


@pytest.mark.parametrize("given", ["val_loss", ["accuracy", "val_loss"]])
def test_a_name_alone_that_says_less_is_better_is_asked_for_its_direction(given: Any) -> None:
    with pytest.raises(StudyError, match=r"'val_loss' has none: write objectives=\{'val_loss': 'min'\}"):
        run(total, objectives=given)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_lone_loss_is_asked_for_its_direction_and_no_trial_is_lost(workers: int, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"store": tmp_path / "s.db", "name": "n", "workers": workers, "seed": 3}
    asked = r"returns 'test_loss' alone: run it again with objectives=\{'test_loss': 'min'\}"
    with pytest.raises(StudyError, match=asked):
        run(lone_loss, **settings)
    kept = symnas.load_study(tmp_path / "s.db").trials
    assert len(kept) == workers
    assert all(trial.status is Status.DONE for trial in kept)
    with pytest.raises(StudyError, match=asked):
        run(lone_loss, **settings)
    assert len(symnas.load_study(tmp_path / "s.db").trials) == workers
    study = run(lone_loss, objectives={"test_loss": "min"}, **settings)
    assert [trial.decision for trial in study.trials[:workers]] == [trial.decision for trial in kept]
    assert len(study.trials) == 8
    assert study.best.metrics["test_loss"] == min(trial.metrics["test_loss"] for trial in study.trials)
    study.replay()


def lone_loss(decision: Any) -> dict[str, float]:
    return {"test_loss": total(decision)}


def test_what_says_nothing_is_maximised() -> None:
    for name in ("accuracy", "score", "glossary", "neg_mse", "costume"):
        assert run(lambda d, name=name: {name: total(d)}, algorithm="grid", trials=16).best.metrics[name] == 6


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("loss", True), ("valLoss", True), ("RMSE", True), ("top1_error", True), ("error rate", True),
        ("perplexity", True), ("test/nll", True), ("accuracy", False), ("lossless", False),
        ("negative_loss", False), ("neg_mean_squared_error", False), ("map", False), ("terror", False),
    ],
)  # fmt: skip
def test_whole_words_of_a_name_say_it(name: str, says: bool) -> None:
    assert less_is_better(name) is says


# -------------------------------------------------------------------- keywords


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n_trials": 5}, r"symnas\.search has no keyword 'n_trials': write trials=5"),
        ({"max_trials": 5}, "write trials=5"),
        ({"sampler": "tpe"}, "write algorithm='tpe'"),
        ({"n_jobs": 4}, "write workers=4"),
        ({"direction": "minimize"}, r"beside the metric, objectives=\{'loss': 'min'\}"),
        ({"objective": total}, "write evaluate="),
        ({"load_if_exists": True}, "the same call again goes on in its store"),
        ({"trails": 5}, r"keyword 'trails' \(did you mean 'trials'\?\); it has target, evaluate, algorithm"),
        ({"algorithm": "evolution", "population": 7}, r"'evolution': write options=\{'population': 7\}"),
        ({"whatever": 7}, "no keyword 'whatever'; it has target, evaluate"),
    ],
)  # fmt: skip
def test_foreign_and_misspelt_keywords_are_answered_with_ours(keywords: Any, message: str) -> None:
    with pytest.raises(KeywordError, match=message) as caught:
        symnas.search(SPACE, total, **keywords)
    assert isinstance(caught.value, TypeError)


def test_every_answer_is_a_keyword() -> None:
    known = inspect.signature(symnas.search).parameters
    assert set(SAME.values()) <= set(known)
    assert not (SAME.keys() | OTHERWISE.keys()) & set(known)
    assert known["trials"].kind is inspect.Parameter.KEYWORD_ONLY  # tools see the explicit signature


def test_names_that_changed_say_so() -> None:
    study = run(total, trials=1)
    with pytest.warns(DeprecationWarning, match="learnt is called warm_started_from now"):
        assert study.learnt == study.warm_started_from == {}
    with pytest.warns(DeprecationWarning, match="note is called locator now"):
        assert study.note is study.locator
