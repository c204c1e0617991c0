from __future__ import annotations

import dataclasses
import json
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from click.testing import CliRunner

from symnas.cli.algorithms import OF_CHOICES
from symnas.cli.app import main
from symnas.contracts import registry
from symnas.contracts.algorithm import Capabilities
from symnas.contracts.registry import BUILT_IN, find, names


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["algorithms", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_every_algorithm_is_listed_with_what_differs() -> None:
    output = run()
    for name in names():
        assert f"\n{name} " in output
    heads = output.splitlines()[:3]
    for field in dataclasses.fields(Capabilities):
        values = {getattr(find(name).capabilities, field.name) for name in names()}
        words = field.name.replace("_", " ")
        if field.name in OF_CHOICES:
            assert words not in output
            assert "symnas algorithms --choices" in output
            continue
        if len(values) == 1:
            verdict = "All" if values == {True} else "None"
            (line,) = [line for line in output.splitlines() if line.startswith(f"{verdict}: ")]
            assert words in line
        else:
            assert all(any(word in head for head in heads) for word in words.split())


def test_the_listing_as_data_has_options_and_capabilities() -> None:
    listed = {info["name"]: info for info in json.loads(run("--json"))}
    assert set(BUILT_IN) <= set(listed)
    assert listed["evolution"]["options"]["population"] == 100
    for name, info in listed.items():
        assert info["capabilities"] == dataclasses.asdict(find(name).capabilities)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_one_algorithm_tells_every_option_with_its_default_and_meaning(name: str) -> None:
    data = json.loads(run(name, "--json"))
    cls = find(name)
    assert data["source"] == f"{cls.__module__}:{cls.__qualname__}"
    assert {option: about["default"] for option, about in data["options"].items()} == json.loads(
        json.dumps(cls.hyperparameter_defaults())
    )
    assert all(about["text"].endswith(".") for about in data["options"].values()), data["options"]
    assert all(about["type"] and about["allowed"] for about in data["options"].values())
    page = " ".join(run(name).split())
    assert all(option in page for option in data["options"])


def test_one_algorithm_tells_what_each_option_allows_and_where_its_default_is_from() -> None:
    assert json.loads(run("evolution", "--json"))["options"]["tournament"] == {
        "type": "int",
        "default": 25,
        "allowed": "a whole number of at least 1",
        "text": "how many members compete to be a parent.",
        "source": "Real et al. 2019",
    }
    page = " ".join(run("evolution").split())
    assert "int; a whole number of at least 1; default from Real et al. 2019" in page


def test_capabilities_follow_the_options() -> None:
    def able(*words: str) -> Any:
        return json.loads(run("optuna", "--json", *words))["capabilities"]

    assert able()["multi_objective"]
    assert not able("--set", "sampler=cmaes")["multi_objective"]
    assert not able("--set", "sampler=brute-force")["real_valued"]
    page = " ".join(run("optuna", "--set", "sampler=cmaes").split())
    assert "Takes or asks for, with sampler='cmaes': conditional, real valued, parallel. Not: multi" in page


def test_mistakes_are_told() -> None:
    assert "did you mean 'evolution'?" in run("evolutoin", code=1)
    assert "has no option 'size'" in run("evolution", "--set", "size=3", code=1)
    assert "--set belongs to one algorithm" in run("--set", "size=3", code=2)


def test_one_that_cannot_be_imported_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "no_such_package.here:Thing", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    monkeypatch.setenv("COLUMNS", "300")
    assert "No module named 'no_such_package'" in run()
    (found,) = [info for info in json.loads(run("--json")) if info["name"] == "broken"]
    assert found["capabilities"] is None
