"""A search inside an evaluator: its own study, its own seed, nothing mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import symnas
from symnas import OneOf, Space, Status
from symnas.errors import AlgorithmError, StudyError, SymnasError
from symnas.study.trials.trial_context import current_trial

HARDWARE = Space((OneOf("lanes", (1, 2, 4, 8), 1),))
NETS = Space((OneOf("width", (1, 2, 3, 4, 5, 6, 7, 8), 1), OneOf("kernel", (1, 3, 5), 1)))


def score(net: Any, chip: Any) -> float:
    """The best width is the number of lanes."""
    return -abs(net["width"] - chip["lanes"]) - 0.1 * net["kernel"]


def nested(store: Any, workers: int = 1, trials: int = 4, **options: Any) -> symnas.Study:
    def best_on(chip: Any) -> dict[str, float]:
        inner = symnas.search(
            NETS, lambda net: score(net, chip), algorithm="grid", trials=24, store=store, progress=False
        )
        return {"score": inner.best.values[0] if inner.best.values else 0.0, "lanes": chip["lanes"]}

    return symnas.search(
        HARDWARE, best_on, algorithm="grid", trials=trials, store=store, workers=workers, progress=False,
        objectives="score", **options,
    )  # fmt: skip


def brute(lanes: int) -> float:
    return max(score(net, {"lanes": lanes}) for net in NETS.enumerate())


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("durable", [False, True])
def test_inner_searches_over_different_hardware_never_mix(
    workers: int, durable: bool, tmp_path: Path
) -> None:
    store = str(tmp_path / "codesign.db") if durable else None
    study = nested(store, workers)
    assert study.counts == {Status.DONE: 4}
    for trial in study.trials:
        assert trial.metrics["score"] == brute(trial.decision["lanes"])
    if durable:
        listed = {s.name: s for s in symnas.studies(str(store))}
        assert len(listed) == 5
        assert {s.trials for name, s in listed.items() if name != study.name} == {24}
        for trial in study.trials:
            (name,) = (n for n in listed if n.startswith(f"{study.name}/{trial.number}-"))
            inner = symnas.load_study(str(store), name)
            assert [t.values for t in inner.trials] == [
                (score(t.decision, trial.decision),) for t in inner.trials
            ]
        # Nested studies do not stand in the way of the outer one's name being left out.
        assert symnas.load_study(str(store)).name == study.name


def test_an_interrupted_inner_search_continues(tmp_path: Path) -> None:
    store = tmp_path / "codesign.db"
    flag = tmp_path / "flag"
    counted = tmp_path / "evaluations"

    def best_on(chip: Any) -> float:
        def inner_score(net: Any) -> float:
            with counted.open("a") as file:
                file.write("x")
            if chip["lanes"] == 2 and net["width"] == 5 and not flag.exists():
                flag.touch()
                raise KeyboardInterrupt
            return score(net, chip)

        inner = symnas.search(
            NETS, inner_score, algorithm="grid", trials=24, store=store, progress=False, context=chip["lanes"]
        )
        assert inner.best.values
        return inner.best.values[0]

    settings: dict[str, Any] = {
        "algorithm": "grid",
        "trials": 4,
        "store": store,
        "progress": False,
        "context": 0,
    }
    assert symnas.search(HARDWARE, best_on, **settings).state == "interrupted"
    study = symnas.search(HARDWARE, best_on, **settings)
    assert [t.values for t in study.trials] == [(brute(t.decision["lanes"]),) for t in study.trials]
    # The one evaluation in which Ctrl-C came is the only one that was made twice.
    assert len(counted.read_text()) == 4 * 24 + 1


def test_two_searches_in_one_trial_are_two_studies(tmp_path: Path) -> None:
    store = tmp_path / "s.db"

    def twice(chip: Any) -> float:
        found = [
            symnas.search(NETS, lambda net: score(net, chip), trials=2, store=store, progress=False)
            for _ in range(2)
        ]
        named = symnas.search(
            NETS, lambda net: score(net, chip), trials=2, store=store, name="x", progress=False
        )
        assert len({study.name for study in [*found, named]}) == 3
        assert len({study.seed for study in [*found, named]}) == 3
        return 1.0

    symnas.search(HARDWARE, twice, trials=2, store=store, progress=False)
    assert len(symnas.studies(store)) == 1 + 2 * 3


def test_seeds_of_inner_searches_come_from_the_outer_one() -> None:
    def seeds(seed: int) -> list[int]:
        found: list[int] = []

        def evaluate(chip: Any) -> float:
            found.append(symnas.search(NETS, lambda net: 1.0, trials=1, progress=False).seed)
            return 1.0

        symnas.search(HARDWARE, evaluate, algorithm="grid", trials=4, seed=seed, progress=False)
        return found

    assert seeds(0) == seeds(0)
    assert len({*seeds(0), *seeds(1)}) == 8


def test_a_failure_of_an_inner_search_is_a_failed_trial() -> None:
    def evaluate(chip: Any) -> float:
        if chip["lanes"] == 2:
            symnas.search(NETS, lambda net: 1 / 0, trials=12, progress=False)
        return 1.0

    study = symnas.search(HARDWARE, evaluate, algorithm="grid", trials=4, progress=False)
    assert study.counts == {Status.DONE: 3, Status.FAILED: 1}
    assert "first 10 trials all ended as 'failed'" in (study.trials[1].error or "")


def one(d: Any) -> float:
    return 1.0


def two(d: Any) -> dict[str, float]:
    return {"a": 1.0, "b": 2.0}


# name: (a search that is written wrongly, the message)
MISTAKES: dict[str, tuple[Any, str]] = {
    "algorithm": (lambda: symnas.search(NETS, one, algorithm="evolutoin"), "no algorithm named 'evolutoin'"),
    "option": (lambda: symnas.search(NETS, one, algorithm="evolution", options={"popu": 3}), "option 'popu'"),
    "kind of algorithm": (lambda: symnas.search(NETS, one, algorithm="darts"), "DARTS trains all candidates"),
    "number": (lambda: symnas.search(NETS, one, trials=-1), "trials is a whole number of at least 1"),
    "timeout": (lambda: symnas.search(NETS, one, timeout=0), "timeout is a number of seconds"),
    "keyword": (lambda: symnas.search(NETS, one, n_trials=3), "write trials=3"),  # type: ignore[call-arg]
    "choice": (lambda: symnas.search(NETS, one, on_change="imprt"), "on_change is"),  # type: ignore[arg-type]
    "display": (lambda: symnas.search(NETS, one, progress="x"), "progress is one"),  # type: ignore[arg-type]
    "direction": (lambda: symnas.search(NETS, one, objectives={"a": "up"}), "an objective's direction is"),
    "no direction": (lambda: symnas.search(NETS, lambda d: {"loss": 1.0}, trials=2), "given its direction"),
    "first decision": (lambda: symnas.search(NETS, one, initial=[{"nope": 1}]), "the space has no po"),
    "target": (lambda: symnas.search(3, one), "a search needs a program or a space"),
    "evaluator": (lambda: symnas.search(NETS, 3), "an evaluator is a function"),  # type: ignore[arg-type]
    "result": (lambda: symnas.search(NETS, lambda d: "high"), "it returned 'high'"),
    "front": (lambda: symnas.search(NETS, two, objectives=["a", "b"], trials=2).best, "use study.front"),
}  # fmt: skip


def outer(mistake: Any, workers: int, store: Any = None) -> symnas.Study:
    def evaluate(chip: Any) -> float:
        if chip["lanes"] > 1:
            mistake()
        return 1.0

    return symnas.search(
        HARDWARE, evaluate, algorithm="grid", trials=4, workers=workers, store=store, context=0, name="outer",
        progress=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_an_inner_search_is_raised(name: str, tmp_path: Path) -> None:
    mistake, message = MISTAKES[name]
    store = tmp_path / "s.db"
    with pytest.raises(SymnasError, match=message) as direct:
        mistake()
    with pytest.raises(SymnasError, match=message) as raised:
        outer(mistake, 1, store)
    assert raised.type is direct.type
    # It is no trial's failure, so mended it goes on.
    study = symnas.load_study(store)
    assert study.counts[Status.DONE] == 1
    assert Status.FAILED not in study.counts
    assert outer(lambda: None, 1, store).counts == {Status.DONE: 4}


@pytest.mark.parametrize("name", ["algorithm", "keyword", "first decision", "front"])
def test_a_mistake_in_an_inner_search_crosses_processes(name: str) -> None:
    mistake, message = MISTAKES[name]
    with pytest.raises(SymnasError, match=message) as direct:
        mistake()
    with pytest.raises(SymnasError, match=message) as raised:
        outer(mistake, 2)
    assert raised.type is direct.type
    assert "in evaluate\n    mistake()" in raised.value.__notes__[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake_is_raised_through_searches_and_errors_around_it(workers: int) -> None:
    def middle() -> None:
        def evaluate(net: Any) -> float:
            try:
                symnas.search(NETS, one, algorithm="evolutoin", progress=False)
            except AlgorithmError as error:
                raise RuntimeError("the inner search") from error
            return 1.0

        symnas.search(NETS, evaluate, trials=2, progress=False)

    with pytest.raises(AlgorithmError, match="no algorithm named 'evolutoin'"):
        outer(middle, workers)


def test_a_mistake_that_the_evaluator_copes_with_is_none() -> None:
    def evaluate(chip: Any) -> float:
        with pytest.raises(AlgorithmError, match="no algorithm named 'evolutoin'"):
            symnas.search(NETS, one, algorithm="evolutoin", progress=False)
        if chip["lanes"] == 2:
            raise ValueError("something else")
        return 1.0

    study = symnas.search(HARDWARE, evaluate, algorithm="grid", trials=4, progress=False)
    assert study.counts == {Status.DONE: 3, Status.FAILED: 1}
    assert study.trials[1].error == "ValueError: something else"


def test_outside_a_search_no_trial_runs() -> None:
    assert current_trial() is None
    with pytest.raises(StudyError, match="all ended as 'failed'"):
        symnas.search(NETS, lambda net: 1 / 0, trials=12, progress=False)
    assert current_trial() is None
