"""Stores, pickles and saved modules of the last version before the packages were moved can still be used."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import symnas
from symnas._fingerprint import fingerprint
from symnas._moved import lasting_name
from symnas.cli import main
from symnas.relaxed import Relaxed

HERE = Path(__file__).parent / "before_the_move"
EXACT = ("random", "evolution", "mcts", "smbo", "auto", "killed", "mentions", "several", "warm")
"""Studies whose evaluators compute the same on every machine."""
TRAINED = ("net", "gated", "halving", "shared", "relaxed")


@pytest.fixture(scope="module")
def searches() -> Any:
    spec = spec_from_file_location("searches", HERE / "searches.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Pickles and notes of programs name it.
    sys.modules["searches"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["searches"]


@pytest.fixture
def made(tmp_path: Path, searches: ModuleType) -> Path:
    with zipfile.ZipFile(HERE / "artefacts.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def loaded(folder: Path, name: str) -> Any:
    return pickle.loads((folder / f"{name}.pkl").read_bytes())


def rows(study: symnas.Study) -> list[Any]:
    ended = [trial for trial in study.trials if trial.status.final]
    rows = [
        {"decision": trial.decision.flat(), "status": trial.status.value, "metrics": dict(trial.metrics)}
        for trial in ended
    ]
    return json.loads(json.dumps(rows))


# ---------------------------------------------------------------- stores


@pytest.mark.parametrize("name", [*EXACT, *TRAINED])
def test_a_study_that_was_begun_goes_on(name: str, made: Path, searches: Any) -> None:
    store = made / "begun.sqlite"
    before = symnas.load_study(store, name)
    assert before.state in ("interrupted", "killed")
    finished = {trial.number: trial.finished for trial in before.trials if trial.status.final}
    more = {"warm_start": f"{store}:source"} if name == "warm" else {}
    study = searches.search(name, store, **more)
    assert study.state == "done"
    assert len(study.trials) == searches.searches(store)[name]["trials"] > len(finished) > 0
    assert rows(study)[: len(finished)] == rows(before)
    assert finished.items() <= {trial.number: trial.finished for trial in study.trials}.items()
    assert not [summary.name for summary in symnas.studies(store) if "@" in summary.name]
    if name in EXACT:
        assert rows(study) == json.loads((made / "results.json").read_text())[name]
        study.replay()


@pytest.mark.parametrize("name", [*EXACT, *TRAINED])
def test_a_finished_study_is_still_what_it_was(name: str, made: Path, searches: Any) -> None:
    if name == "warm":
        pytest.skip("what it learnt from lies elsewhere; the begun one tells")
    store = made / "whole.sqlite"
    results = json.loads((made / "results.json").read_text())[name]
    assert rows(symnas.load_study(store, name)) == results
    again = searches.search(name, store)
    assert rows(again) == results
    if name not in ("shared", "relaxed"):
        again.replay()


def test_kept_weights_are_those_that_were_trained(made: Path, searches: Any) -> None:
    for name, program in (
        ("net", searches.program),
        ("gated", searches.gated),
        ("relaxed", searches.program),
    ):
        study = symnas.load_study(made / "whole.sqlite", name, program=program)
        child = study.best.load()
        scored = searches.task.score(child)
        for metric in ("loss", "accuracy"):
            assert scored[metric] == pytest.approx(study.best.metrics[metric], abs=1e-5)


def test_a_relaxed_search_goes_on_from_its_last_epoch(made: Path, searches: Any, monkeypatch: Any) -> None:
    (file,) = made.glob("begun.sqlite.weights/relaxed-*/relaxed-*/search-*.pt")
    again = made / "again"
    shutil.copytree(made / "begun.sqlite.weights", again / "begun.sqlite.weights")
    shutil.copy(made / "begun.sqlite", again)
    (again / file.relative_to(made)).unlink()
    calls: list[None] = []
    loss = searches.task.loss

    def counted(outputs: Any, targets: Any) -> Any:
        calls.append(None)
        return loss(outputs, targets)

    monkeypatch.setitem(vars(searches.task), "loss", counted)
    study = searches.search("relaxed", made / "begun.sqlite")
    some = len(calls)
    assert not file.exists()
    assert searches.search("relaxed", again / "begun.sqlite").trials[1].decision == study.trials[1].decision
    assert 0 < some < len(calls) - some
    whole = json.loads((made / "results.json").read_text())["relaxed"]
    assert [trial.decision.flat() for trial in study.trials] == [row["decision"] for row in whole]


def test_the_command_line_reads_them(made: Path) -> None:
    store, program = str(made / "whole.sqlite"), f"{HERE / 'searches.py'}:Net"

    def told(*arguments: str) -> str:
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        return done.output

    assert "evolution" in told("status", store)
    assert "accuracy" in told("best", store, "--study", "net")
    out = made / "exported"
    told("export", store, str(out), "--study", "net", "--program", program)
    assert {file.name for file in out.iterdir()} >= {"model.py", "decision.json"}


# ---------------------------------------------------------------- pickles and saved modules


def test_pickled_spaces_and_decisions_are_equal_to_new_ones(made: Path, searches: Any) -> None:
    assert loaded(made, "space") == searches.SPACE
    assert loaded(made, "points") == tuple(searches.SPACE.walk())
    study = symnas.load_study(made / "whole.sqlite", "evolution")
    assert loaded(made, "decision") == study.best.decision
    batch = loaded(made, "batch")
    assert isinstance(batch, symnas.Batch)
    assert list(batch) == list(searches.SPACE.sample(5, np.random.default_rng(0)))


def test_pickled_results_can_be_read(made: Path, searches: Any) -> None:
    study = symnas.load_study(made / "whole.sqlite", "evolution")
    assert loaded(made, "outcomes") == [trial.outcome(trial.values) for trial in study.trials]
    assert repr(loaded(made, "statistics")) == repr(study.statistics())
    names = [summary.name for summary in symnas.studies(made / "whole.sqlite")]
    assert [summary.name for summary in loaded(made, "summaries")] == names
    trials = loaded(made, "trials")
    assert [trial.decision for trial in trials] == [trial.decision for trial in study.trials]
    assert [repr(trial) for trial in trials] == [repr(trial) for trial in study.trials]
    assert loaded(made, "profile") == searches.program.profile(
        searches.program.space.default, torch.zeros(2, 4)
    )
    with pytest.warns(DeprecationWarning, match=r"symnas\.pruners\.Median is symnas\.study\.Median now"):
        assert loaded(made, "pruner") == import_module("symnas.study").Median(startup=3)
    with pytest.warns(DeprecationWarning, match=r"is symnas\.contracts\.Proposal now"):
        assert loaded(made, "proposal").fidelities == (1, 3)
    with pytest.raises(symnas.errors.StudyError, match="a message"):
        raise loaded(made, "error")


def test_pickled_programs_and_tasks_work(made: Path, searches: Any) -> None:
    program, task = loaded(made, "program"), loaded(made, "task")
    assert program.fingerprint == searches.program.fingerprint
    assert task.fingerprint == searches.task.fingerprint
    child = loaded(made, "trial_of_net").build()
    assert isinstance(child, searches.Net)
    assert task.fit(child)


def test_children_that_were_saved_whole_can_be_loaded(made: Path, searches: Any) -> None:
    generated = torch.load(made / "generated.pt", weights_only=False)
    assert type(generated).__name__ == "Gated"
    rows = searches.ROWS[:3]
    assert torch.equal(generated(rows), generated.head(torch.tanh(rows)))
    assert isinstance(torch.load(made / "plain.pt", weights_only=False), searches.Net)


def test_states_of_supernets_and_relaxed_networks_can_be_loaded(made: Path, searches: Any) -> None:
    program = searches.program
    net = program.supernet()
    net.load_state_dict(torch.load(made / "supernet.pt"))
    net.optimizer(searches.sgd).load_state_dict(torch.load(made / "supernet_optimizer.pt"))
    for width, expected in torch.load(made / "supernet_outputs.pt").items():
        with net.child(program.decision({"width": width})) as child:
            assert torch.allclose(child(searches.ROWS[:2]), expected, atol=1e-6)
    relaxed = program.relaxed()
    assert isinstance(relaxed, Relaxed)
    relaxed.load_state_dict(torch.load(made / "relaxed.pt"))


# ---------------------------------------------------------------- fingerprints


def test_tasks_programs_and_spaces_have_the_fingerprints_that_they_had(made: Path, searches: Any) -> None:
    before = json.loads((made / "fingerprints.json").read_text())
    recipes = import_module("symnas.training")
    data = (searches.ROWS, searches.LABELS)
    tasks = {
        "task": searches.task,
        "trained": searches.trained,
        "recipes": symnas.Task(
            train=data, valid=data, loss=searches.loss, optimizer=recipes.nesterov,
            schedule=recipes.cosine_restarts, steps=3, objectives={"loss": "min"},
        ),
        "line": symnas.Task(
            train=data, valid=data, loss=searches.loss, schedule=recipes.linear, steps=3
        ),
    }  # fmt: skip
    assert {name: task.fingerprint for name, task in tasks.items()} == before["tasks"]
    for policy, old in before["shared"].items():
        assert symnas.SharedWeights(searches.task, policy=policy).fingerprint == old
    programs = {"net": searches.program, "gated": searches.gated, "arguments": searches.arguments}
    assert {name: program.fingerprint for name, program in programs.items()} == before["programs"]
    assert {"space": searches.SPACE.fingerprint, "flat": searches.FLAT.fingerprint} == before["spaces"]


def test_what_evaluators_mention_counts_by_the_name_that_it_had(made: Path) -> None:
    mentioned = json.loads((made / "fingerprints.json").read_text())["mentioned"]
    assert len(mentioned) > 150
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        things = {
            path: getattr(import_module(path.rpartition(".")[0]), path.rpartition(".")[2])
            for path in mentioned
        }
    assert {path: fingerprint(thing) for path, thing in things.items()} == mentioned


def test_what_came_later_counts_by_its_name_alone() -> None:
    assert lasting_name("symnas.anywhere.at_all", "Later.method") == "symnas.Later.method"
    assert lasting_name("symnas.tree.in_another_file", "Decision") == "symnas.decision.Decision"
    assert lasting_name("symnas.study.anywhere", "SuccessiveHalving") == "symnas.pruners.SuccessiveHalving"
    assert lasting_name("symnas.algorithms.anywhere", "SuccessiveHalving").startswith("symnas.algorithms.")


# ---------------------------------------------------------------- paths of the time before

OLD_PATHS = {
    "symnas.relaxed_search.relax": "symnas.relaxed.relax",
    "symnas.shared_recipes.nesterov": "symnas.training.nesterov",
    "symnas.requirements.sample": "symnas.constraints.sample",
    "symnas.pruners.Median": "symnas.study.Median",
    "symnas.algorithms.pyglove_generator.as_dna_generator": "symnas.algorithms.as_dna_generator",
    "symnas.fidelity.Proposal": "symnas.contracts.Proposal",
    "symnas.relaxed_algorithm.RelaxedAlgorithm": "symnas.contracts.RelaxedAlgorithm",
    "symnas.profile.profile": "symnas.cost.profile",
    "symnas.pareto.pareto_front": "symnas.contracts.pareto_front",
    "symnas.store.open_store": "symnas.study.store.open_store",
    "symnas.search.search": "symnas.search",
}


@pytest.mark.parametrize("path", OLD_PATHS)
def test_an_old_path_leads_to_the_same_thing_and_names_the_new_one(path: str) -> None:
    module, _, name = path.rpartition(".")
    found = import_module(module)
    with pytest.warns(DeprecationWarning, match=rf"{re.escape(path)} is {re.escape(OLD_PATHS[path])} now"):
        thing = getattr(found, name)
    package, _, name = OLD_PATHS[path].rpartition(".")
    assert thing is getattr(import_module(package), name)


def test_what_pickles_hold_is_found_without_a_word() -> None:
    assert import_module("symnas.decision").Decision is symnas.Decision
    assert import_module("symnas.nodes").OneOf is symnas.OneOf


def test_imports_of_old_modules_replace_nothing_public() -> None:
    code = (
        "import symnas\n"
        "import symnas.program, symnas.search, symnas.rank_correlation, symnas.study, symnas.pruners\n"
        "from symnas.program import program\n"
        "assert program is symnas.program, symnas.program\n"
        "assert all(callable(getattr(symnas, name)) for name in ('search', 'rank_correlation'))\n"
        "assert symnas.pruners.Median is symnas.study.Median\n"
        "from symnas import program, search\n"
        "print(program.__module__, search.__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["symnas.programs.program", "symnas.study.search"]


def test_an_old_module_says_that_it_has_no_such_thing() -> None:
    with pytest.raises(AttributeError, match=r"'symnas\.pruners' is in packages now, and 'Mediam' is not"):
        import_module("symnas.pruners").Mediam  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match=r"symnas\.prunes"):
        import_module("symnas.prunes")
