"""Make what the last version before the packages were moved leaves behind: `python make.py FOLDER`.

To be run with that version alone; the tests only read what it made (`artefacts.zip`).
"""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import searches
import torch

import symnas

STOPPED = {
    "random": 6, "evolution": 9, "mcts": 6, "auto": 5, "mentions": 5, "several": 7, "warm": 5, "net": 2,
    "gated": 1, "halving": 1, "shared": 5,
}  # fmt: skip
"""After how many trials of a study Ctrl-C comes; the others are ended in ways of their own."""
MENTIONED = {
    "algorithm": "Algorithm Capabilities Prediction",
    "algorithms.asha": "ASHA",
    "algorithms.auto": "Auto",
    "algorithms.bananas": "Bananas",
    "algorithms.conservative_rl": "ConservativeRL",
    "algorithms.darts": "DARTS",
    "algorithms.darts_pt": "DARTSPT",
    "algorithms.enas": "ENAS ENASMacro",
    "algorithms.evolution": "RegularizedEvolution",
    "algorithms.gdas": "GDAS",
    "algorithms.grid": "Grid",
    "algorithms.halving": "SuccessiveHalving",
    "algorithms.hyperband": "Hyperband",
    "algorithms.local_search": "LocalSearch",
    "algorithms.mcts": "MCTS",
    "algorithms.nsga2": "NSGA2",
    "algorithms.optuna_sampler": "Optuna",
    "algorithms.pc_darts": "PCDARTS",
    "algorithms.proxyless": "Proxyless",
    "algorithms.pyglove_generator": "PyGlove as_dna_generator",
    "algorithms.random": "Random",
    "algorithms.registry": "AlgorithmInfo available find names parse_options resolve",
    "algorithms.reinforce": "Reinforce",
    "algorithms.sharp_darts": "SharpDARTS",
    "algorithms.single_path": "SinglePath",
    "algorithms.single_path_nas": "SinglePathNAS",
    "algorithms.smbo": "SMBO",
    "algorithms.tas": "TAS",
    "batch": "Batch",
    "calibration": "recalibrate",
    "choices": "floatv intv manyof oneof permutate",
    "decision": "Decision Difference",
    "errors": "SymnasError SpaceError DecisionError ProgramError BuildError RequirementError AlgorithmError "
    "EvaluatorError StudyError StoreError MissingExtraError Location AnnotationError",
    "fidelity": "Proposal",
    "grammar.annotation": "parse_annotation",
    "grammar.check": "CheckReport check_source",
    "grammar.model": "Annotation AnnotationText Candidate DynamicDomain Nested OneOfDomain "
    "OrderDomain ParsedModule RangeDomain Requirement SubsetDomain TieDomain",
    "grammar.module": "parse_module",
    "grammar.printer": "format_annotation format_domain",
    "held_out": "part",
    "isolation": "RandomStream",
    "nodes": "ManyOf OneOf Permutation Tied",
    "outcome": "Outcome Status",
    "objectives": "Objectives",
    "pareto": "crowded_order crowding dominance hypervolume pareto_front ranks",
    "point": "Branch Guard Point",
    "profile": "ModuleProfile Profile count_parameters profile",
    "program": "Program program",
    "pruners": "Median Pruner SuccessiveHalving",
    "pyglove_bridge": "dna_spec from_dna space_from_spec to_dna",
    "random_spaces": "random_space",
    "ranges": "FloatRange IntRange",
    "rank_correlation": "RankCorrelation kendall_tau rank_correlation",
    "relaxation": "Mix RelaxedPoint",
    "relaxed": "Relaxed",
    "relaxed_algorithm": "RelaxedAlgorithm",
    "relaxed_epochs": "Epoch",
    "relaxed_search": "Derived RelaxedSearch relax",
    "requirements": "Violation check demand is_feasible sample",
    "search": "search",
    "shared_policies": "Delayed Fair Path Policy Proposed Sandwich Sorted Uniform",
    "shared_recipes": "cosine_restarts linear nesterov",
    "shared_schedules": "Guided Progressive",
    "shared_weights": "SharedWeights",
    "slice_optimizer": "SliceOptimizer",
    "slices": "register_slicing",
    "space": "Space product",
    "spaces.darts": "Net",
    "statistics": "CandidateStatistics PointStatistics Statistics",
    "store": "Event MemoryStore Store StudyRow open_store",
    "study": "Study StudySummary load_study studies",
    "supernet": "Supernet",
    "shared_run": "soft_cross_entropy",
    "task": "Task adam",
    "testing": "AlgorithmContract planted planted_pair simulate small_space",
    "training": "Training",
    "trial": "Trial",
    "trial_context": "RunningTrial TrialPruned current_trial",
}
"""What an evaluator may mention, by the modules of that version (below `symnas`)."""


def make(folder: Path) -> None:
    """Write everything into a folder, and pack it."""
    assert symnas.__version__ == "0.1.0"
    assert "symnas.ledger" in sys.modules or import_module("symnas.ledger")
    folder.mkdir(parents=True)
    whole = folder / "whole.sqlite"
    for name in searches.searches(whole):
        searches.search(name, whole)
    begun = folder / "begun.sqlite"
    searches.search("random", begun)
    rename(begun, "random", "source")
    begin(begun)
    (folder / "results.json").write_text(json.dumps(results(whole), indent=1))
    (folder / "fingerprints.json").write_text(json.dumps(fingerprints(), indent=1))
    for name, value in pickled(whole).items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    save_modules(folder)
    pack(folder)


def begin(store: Path) -> None:
    """Begin every search in a store and end it early, each in a way of its own."""
    for name, after in STOPPED.items():
        more = {"warm_start": f"{store}:source"} if name == "warm" else {}
        searches.search(name, store, on_trial=searches.interrupting(after), **more)
    for name in ("smbo", "killed"):  # their drivers end without a word
        code = f"import searches; searches.search({name!r}, {str(store)!r})"
        calls = store.with_name(f"{name}.calls")
        environment = {**os.environ, "SYMNAS_TEST_CALLS": str(calls)}
        ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=Path(__file__).parent)
        assert ended.returncode == 9
        calls.unlink()
    stop_in_an_epoch(store)


def stop_in_an_epoch(store: Path) -> None:
    """Begin the relaxed search, and stop it in the second epoch of the second trial."""
    original, counted = searches.task.loss, iter(range(1_000))
    searches.search("relaxed", store, trials=1)

    def loss(outputs: Any, targets: Any) -> Any:
        if next(counted) == 6:
            raise KeyboardInterrupt
        return original(outputs, targets)

    object.__setattr__(searches.task, "loss", loss)
    with suppress(KeyboardInterrupt):
        searches.search("relaxed", store)
    object.__setattr__(searches.task, "loss", original)


def rename(store: Path, old: str, new: str) -> None:
    """Give a study another name."""
    opened = import_module("symnas.store").open_store(store)
    opened.rename(opened.find(old).key, new)
    opened.close()


def results(store: Path) -> dict[str, Any]:
    """Return what became of every trial of whole studies."""
    return {
        summary.name: [
            {"decision": trial.decision.flat(), "status": trial.status.value, "metrics": dict(trial.metrics)}
            for trial in symnas.load_study(store, summary.name).trials
        ]
        for summary in symnas.studies(store)
    }


def fingerprints() -> dict[str, Any]:
    """Return hashes of all sorts of things."""
    fingerprint = import_module("symnas.fingerprint").fingerprint
    recipes = import_module("symnas.shared_recipes")
    mentioned = {
        f"symnas.{module}.{name}": fingerprint(getattr(import_module(f"symnas.{module}"), name))
        for module, names in MENTIONED.items()
        for name in names.split()
    }
    tasks = {
        "task": searches.task,
        "trained": searches.trained,
        "recipes": symnas.Task(
            train=(searches.ROWS, searches.LABELS), valid=(searches.ROWS, searches.LABELS),
            loss=searches.loss, optimizer=recipes.nesterov,
            schedule=recipes.cosine_restarts, steps=3, objectives={"loss": "min"},
        ),
        "line": symnas.Task(
            train=(searches.ROWS, searches.LABELS), valid=(searches.ROWS, searches.LABELS),
            loss=searches.loss, schedule=recipes.linear, steps=3,
        ),
    }  # fmt: skip
    shared = {
        policy: symnas.SharedWeights(searches.task, policy=policy)
        for policy in ("uniform", "fair", "sandwich")
    }
    return {
        "mentioned": mentioned,
        "tasks": {name: task.fingerprint for name, task in tasks.items()},
        "shared": {name: one.fingerprint for name, one in shared.items()},
        "programs": {
            "net": searches.program.fingerprint,
            "gated": searches.gated.fingerprint,
            "arguments": searches.arguments.fingerprint,
        },
        "spaces": {"space": searches.SPACE.fingerprint, "flat": searches.FLAT.fingerprint},
    }


def pickled(store: Path) -> dict[str, Any]:
    """Return what users keep by pickle."""
    study, net = symnas.load_study(store, "evolution"), symnas.load_study(store, "net")
    decision = study.best.decision
    rng = np.random.default_rng(1)
    profile = searches.program.profile(searches.program.space.default, torch.zeros(2, 4))
    return {
        "space": searches.SPACE,
        "points": tuple(searches.SPACE.walk()),
        "decision": decision,
        "batch": searches.SPACE.sample(5, np.random.default_rng(0)),
        "outcomes": [trial.outcome(trial.values) for trial in study.trials],
        "statistics": study.statistics(),
        "summaries": symnas.studies(store),
        "trials": study.trials,
        "trial_of_net": net.trials[0],
        "task": searches.task,
        "program": searches.program,
        "proposal": import_module("symnas.fidelity").Proposal(searches.FLAT.sample(2, rng), (1, 3)),
        "profile": profile,
        "pruner": import_module("symnas.pruners").Median(startup=3),
        "error": import_module("symnas.errors").StudyError("a message"),
    }


def save_modules(folder: Path) -> None:
    """Save children, a supernet and a relaxed network."""
    torch.manual_seed(0)
    torch.save(searches.gated.build({"x": "tanh"}), folder / "generated.pt")
    torch.save(searches.program.build(searches.program.space.default), folder / "plain.pt")
    net = searches.program.supernet(seed=1)
    optimizer = net.optimizer(searches.sgd)
    for decision in (searches.program.space.default, searches.program.decision({"width": 8})):
        with net.child(decision) as child:
            searches.task.loss(child(searches.ROWS), searches.LABELS).backward()
        optimizer.step()
    torch.save(net.state_dict(), folder / "supernet.pt")
    torch.save(optimizer.state_dict(), folder / "supernet_optimizer.pt")
    outputs = {}
    for width in (4, 8):
        with net.child(searches.program.decision({"width": width})) as child:
            outputs[width] = child(searches.ROWS[:2]).detach()
    torch.save(outputs, folder / "supernet_outputs.pt")
    relax = import_module("symnas.relaxed_search").relax
    found = relax(searches.program, searches.task, options={"epochs": 2, "batch_size": 10})
    torch.save(found.network.state_dict(), folder / "relaxed.pt")
    (folder / "relaxed.json").write_text(json.dumps(found.decision.flat()))


def pack(folder: Path) -> None:
    """Pack the folder into `artefacts.zip` beside this file, without what finished studies no longer need."""
    for file in folder.glob("*.sqlite"):
        store = sqlite3.connect(file, isolation_level=None)
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.execute("VACUUM")
        store.close()
    target = Path(__file__).with_name("artefacts.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(folder.rglob("*")):
            spare = "whole.sqlite.weights" in file.parts and {"shared", "halving-9ba52672"} & {*file.parts}
            if file.is_file() and not spare and not file.name.endswith(("-shm", "-wal")):
                archive.write(file, file.relative_to(folder))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
