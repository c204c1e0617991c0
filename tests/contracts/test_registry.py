from __future__ import annotations

import re
from importlib.metadata import EntryPoint

import optuna
import pyglove as pg
import pytest

from symnas.algorithms import (
    Grid,
    Random,
    RegularizedEvolution,
    available,
    find,
    names,
    parse_options,
    resolve,
)
from symnas.algorithms.adapters.optuna.samplers import SAMPLERS
from symnas.contracts import registry
from symnas.contracts.algorithm import Algorithm
from symnas.errors import AlgorithmError


def declare(monkeypatch: pytest.MonkeyPatch, **entries: str) -> None:
    found = [EntryPoint(name, value, registry.GROUP) for name, value in entries.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)


def test_names_classes_and_instances_resolve_to_fresh_algorithms() -> None:
    made = RegularizedEvolution(population=7)
    for given, options in (
        ("evolution", {"population": 7}),
        (RegularizedEvolution, {"population": 7}),
        (made, {}),
        (RegularizedEvolution(), {"population": 7}),
    ):
        got = resolve(given, options)
        assert got is not made
        assert repr(got) == (
            "RegularizedEvolution(population=7, tournament=25, repeats=True, crossover=0.0, mutations=1, "
            "adaptive=False)"
        )


def test_every_built_in_name_is_there_with_its_published_defaults() -> None:
    assert {"evolution", "grid", "random"} <= set(names())
    infos = {info.name: info for info in available()}
    assert infos["evolution"].options == {
        "population": 100,
        "tournament": 25,
        "repeats": True,
        "crossover": 0.0,
        "mutations": 1,
        "adaptive": False,
    }
    assert infos["random"].capabilities == Random.capabilities
    assert find("grid") is Grid
    assert all(info.summary.endswith(".") for info in infos.values())


def test_installed_packages_add_names(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, spiral="symnas.algorithms.grid:Grid")
    assert "spiral" in names()
    assert repr(resolve("spiral", {"levels": 2})) == "Grid(levels=2)"


def test_an_entry_point_that_cannot_be_imported_says_why_and_hides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(monkeypatch, broken="no_such_package.here:Thing")
    infos = {info.name: info for info in available()}
    assert infos["broken"].capabilities is None
    assert "No module named 'no_such_package'" in infos["broken"].summary
    with pytest.raises(
        AlgorithmError, match=r"'broken' is declared as no_such_package\.here:Thing, which cannot"
    ):
        resolve("broken")


def test_an_entry_point_must_name_an_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, odd="collections:OrderedDict")
    with pytest.raises(AlgorithmError, match=r"names a subclass of symnas\.Algorithm; 'odd' names"):
        resolve("odd")


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("evolutoin", {}, r"no algorithm named 'evolutoin' \(did you mean 'evolution'\?\)"),
        ("DARTS", {}, r"no algorithm named 'DARTS' \(write algorithm='darts'\); the names are asha"),
        ("MCTS", {}, r"write algorithm='mcts'"),
        ("pc_darts", {}, r"write algorithm='pc-darts'"),
        ("regularized_evolution", {}, r"write algorithm='evolution'"),
        ("RegularizedEvolution", {}, r"write algorithm='evolution'"),
        ("tpe", {}, r"write algorithm='optuna', options={'sampler': 'tpe'}"),
        ("TPESampler", {}, r"write algorithm='optuna', options={'sampler': 'tpe'}"),
        ("bohb", {}, r"write algorithm='hyperband', options={'inner': 'smbo'}"),
        ("evolution", {"poplation": 3}, r"no option 'poplation' \(did you mean 'population'\?\)"),
        ("evolution", {"population": 0}, "population is a whole number of at least 1; got 0"),
        ("evolution", {"population": "many"}, "population is a whole number of at least 1; got 'many'"),
        ("evolution", {"repeats": 1}, "repeats is True or False; got 1"),
        ("evolution", {"crossover": 2}, "crossover is a number between 0 and 1; got 2"),
        ("nsga2", {"population": 1}, "population is a whole number of at least 2; got 1"),
        ("nsga2", {"mutations": 0}, "mutations is a number above 0; got 0"),
        (
            "local-search",
            {"move": "bset"},
            r"'first', 'best'; got 'bset' \(did you mean 'best'",
        ),
        ("random", {"uniform": "point"}, r"uniform is one of 'points', 'space'; got 'point' \(did you mean"),
        (3, {}, "an algorithm is a name, a class or an instance of symnas.Algorithm; got 3"),
        (dict, {}, "got <class 'dict'>"),
    ],
)
def test_mistakes_are_named(given: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(AlgorithmError, match=message):
        resolve(given, options)  # type: ignore[arg-type]


def test_every_hint_leads_to_an_algorithm() -> None:
    for answer in registry.OTHER_NAMES:
        name, options = eval(f"(lambda algorithm, options={{}}: (algorithm, options))({answer})")
        assert resolve(name, options).fresh()
        for word in registry.OTHER_NAMES[answer].split():
            with pytest.raises(AlgorithmError, match=re.escape(f"(write algorithm={answer})")):
                find(word)


def test_every_sampler_of_optuna_is_found_by_its_class() -> None:
    for sampler, cls in SAMPLERS.items():
        answer = next((a for a, words in registry.OTHER_NAMES.items() if cls in words.split()), "")
        assert sampler in answer or sampler in {"brute-force", "random"}
        with pytest.raises(AlgorithmError, match=rf"got '{cls}' \(did you mean '{sampler}'\?\)"):
            resolve("optuna", {"sampler": cls})


def test_objects_of_other_libraries_are_told_their_way_in() -> None:
    for given in (optuna.samplers.TPESampler(), optuna.samplers.TPESampler):
        with pytest.raises(AlgorithmError, match=r": write algorithm='optuna', options={'sampler': 'tpe'}$"):
            resolve(given)  # type: ignore[arg-type]
    with pytest.raises(AlgorithmError, match=r"write algorithm=symnas\.algorithms\.PyGlove\(generator=…\)"):
        resolve(pg.geno.Random())  # type: ignore[arg-type]


def test_options_are_read_as_a_command_line_gives_them() -> None:
    pairs = ["population=20", "rate = 0.5", "repeats=false", "limit=None", "uniform=space", "sizes=(1, 2)"]
    assert parse_options(pairs) == {
        "population": 20,
        "rate": 0.5,
        "repeats": False,
        "limit": None,
        "uniform": "space",
        "sizes": (1, 2),
    }
    with pytest.raises(AlgorithmError, match="an option is written NAME=VALUE; got 'population'"):
        parse_options(["population"])
    with pytest.raises(AlgorithmError, match="'a' came twice"):
        parse_options(["a=1", "a=2"])


class Forgetful(Algorithm):
    def __init__(self, *, rate: float = 0.5) -> None:
        pass

    setup = propose = observe = None  # type: ignore[assignment]


class Positional(Forgetful):
    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate


def test_constructors_that_break_the_rule_are_told_at_once() -> None:
    with pytest.raises(AlgorithmError, match=r"Forgetful has no 'rate': add `self.rate = rate`"):
        resolve(Forgetful)
    with pytest.raises(AlgorithmError, match="keyword-only and have defaults; Positional's 'rate' is not"):
        resolve(Positional)
