"""The quality benchmark: problems, recording, peers' spaces, statistics."""

from __future__ import annotations

import itertools
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import native, peers, run, stats, synthetic
from benchmarks.quality.claims import CLAIMS, Claim
from benchmarks.quality.methods import ABLATIONS, METHODS, Method, contract
from benchmarks.quality.pickles import load
from benchmarks.quality.problems import ABLATED, BUDGET, PROBLEMS, VARIED, get
from benchmarks.quality.run import Recorder, Trace
from benchmarks.quality.tables import Table, table
from symnas.algorithms.auto import WIDEST, Auto
from symnas.tree.choices import FloatRange, IntRange, OneOf
from symnas.tree.space import Decision, Space

# ---------------------------------------------------------------- problems


@pytest.mark.parametrize("name", synthetic.names())
def test_no_decision_is_better_than_the_known_optimum(name: str) -> None:
    problem = synthetic.synthetic(name)
    batch = problem.space.sample(5000, np.random.default_rng(0))
    assert problem.test(batch).max() <= problem.best_test() + 1e-9


def test_the_optimum_of_the_blocks_is_what_enumeration_finds() -> None:
    states, best = range(6), -math.inf
    drop = np.maximum(synthetic._DROP, 0)
    for depth in range(1, 5):
        for path in itertools.product(states, repeat=depth):
            value = sum(synthetic._GAIN[turn, state] + drop[turn] - 0.15 for turn, state in enumerate(path))
            value += sum(synthetic._PAIR[pair] for pair in itertools.pairwise(path))
            best = max(best, value)
    shorter = synthetic._blocks_best.__globals__.copy()
    assert best <= synthetic.synthetic("blocks").best + 1e-12
    shorter["DEPTH"] = 4
    four = type(synthetic._blocks_best)(synthetic._blocks_best.__code__, shorter)
    assert four() == pytest.approx(best)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("branin", {"x": math.pi, "y": 2.275}, -0.397887),
        (
            "hartmann6",
            dict(
                zip(
                    [f"x[{i}]" for i in range(6)],
                    (0.20169, 0.15001, 0.47687, 0.27533, 0.31165, 0.6573),
                    strict=True,
                )
            ),
            3.32237,
        ),
        (
            "mixed",
            {"rate": 1e-3, "width": 160, "depth": 4, "optimiser": "adam", "norm": True, "act": "silu"},
            1.0,
        ),
    ],
)
def test_published_optima_are_reached(name: str, values: dict[str, Any], expected: float) -> None:
    problem = synthetic.synthetic(name)
    found = problem.test(problem.space.decision(values))
    assert found == pytest.approx(expected, abs=1e-5) == problem.best_test()


def test_noise_depends_on_decision_and_seed_alone() -> None:
    problem = synthetic.synthetic("blocks-noisy")
    batch = problem.space.sample(400, np.random.default_rng(1))
    noise = problem.valid(batch, 3) - problem.test(batch)
    assert problem.valid(batch[7], 3) == problem.valid(batch, 3)[7]
    assert not np.allclose(noise, problem.valid(batch, 4) - problem.test(batch))
    assert noise.std() == pytest.approx(0.3, rel=0.15)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("run",)

    (tmp_path / "table.pkl").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(pickle.UnpicklingError, match=r"asks for builtins\.print"):
        load(tmp_path / "table.pkl")


# ---------------------------------------------------------------- recording


def test_the_incumbent_is_the_best_seen_and_told_by_what_was_not_seen() -> None:
    problem = synthetic.synthetic("blocks-noisy")
    batch = problem.space.sample(60, np.random.default_rng(2))
    recorder = Recorder(problem, 5)
    for decision in batch:
        recorder(decision)
    values = problem.valid(batch, 5)
    for budget in (1, 10, 60):
        best = int(values[:budget].argmax())
        seen, told = recorder.trace.at(budget)
        assert seen == pytest.approx(problem.best - values[best])
        assert told == pytest.approx(problem.best - problem.test(batch[best]))


def test_a_trace_survives_its_file(tmp_path: Path) -> None:
    trace = Trace("branin", 3, 20, 0.125, [(1, 2.5, 3.0), (7, 0.5, 0.25), (20, 0.0, 0.1)])
    run.append("smbo", trace, tmp_path)
    assert run.read("smbo", tmp_path) == [trace]
    assert [trace.at(budget)[0] for budget in (1, 6, 7, 19, 20, 500)] == [2.5, 2.5, 0.5, 0.5, 0.0, 0.0]


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--methods", "random", "evolution", "--budget", "30", "--folder", str(tmp_path)]
    assert run.main([*common, "--problems", "branin", "--seeds", "2"]) == 0
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert run.main([*common, "--problems", "branin", "mixed", "--seeds", "3"]) == 0
    for name, text in before.items():
        after = (tmp_path / name).read_text()
        assert after.startswith(text)
        done = [(trace.problem, trace.seed) for trace in run.read(name.removesuffix(".csv"), tmp_path)]
        assert sorted(done) == sorted(set(done)) == [(p, s) for p in ("branin", "mixed") for s in range(3)]
    assert capsys.readouterr().out.count("\n") == 4 + 8


def test_a_search_that_was_given_less_is_run_again_and_the_longer_one_counts(tmp_path: Path) -> None:
    common = ["--methods", "random", "--problems", "branin", "--seeds", "2", "--folder", str(tmp_path)]
    assert run.main([*common, "--budget", "10"]) == 0
    short = run.read("random", tmp_path)
    assert run.main([*common, "--budget", "30"]) == 0
    lines = (tmp_path / "random.csv").read_text().count("\n")
    found = run.read("random", tmp_path)
    assert [(trace.seed, trace.evaluations) for trace in found] == [(0, 30), (1, 30)]
    for before, after in zip(short, found, strict=True):
        assert after.steps[: len(before.steps)] == before.steps
    assert run.main([*common, "--budget", "20"]) == 0
    assert (tmp_path / "random.csv").read_text().count("\n") == lines == 1 + 4


def test_a_failure_does_not_end_the_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no")

    failing = METHODS["smac"].__class__("broken", "peer", broken)
    monkeypatch.setattr(run, "ABLATIONS", {})
    monkeypatch.setattr(run, "METHODS", {"broken": failing, "random": METHODS["random"]})
    common = ["--problems", "branin", "--seeds", "2", "--budget", "5", "--folder", str(tmp_path)]
    assert run.main(common) == 1
    assert "broken branin 1: RuntimeError: no" in capsys.readouterr().err
    assert len(run.read("random", tmp_path)) == 2
    assert run.read("broken", tmp_path) == []


def test_ours_run_as_a_study_runs_them() -> None:
    problem = synthetic.synthetic("mixed")
    traces = []
    for _ in range(2):
        recorder = Recorder(problem, 1)
        contract("evolution", {"population": 10, "tournament": 3})(problem.space, recorder, 60, 1)
        traces.append(recorder.trace.steps)
    assert traces[0] == traces[1]
    assert traces[0][-1][1] < 0.5


def proposals(method: str, problem: str, budget: int) -> list[Decision]:
    """Return what a method proposes, one at a time."""
    found: list[Decision] = []

    def evaluate(decision: Decision) -> float:
        found.append(decision)
        return get(problem).valid(decision, 4)

    METHODS[method].search(get(problem).space, evaluate, budget, 4)
    return found


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_default_proposes_what_smbo_proposes(problem: str) -> None:
    assert METHODS["auto"].same == "smbo"
    assert get(problem).space.compiled.encoder.width <= WIDEST
    found = proposals("auto", problem, 9)
    assert found == proposals("smbo", problem, 9)
    assert len(set(found)) == 9


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["nb201-cifar10", "mnist1d"])
def test_the_default_goes_on_proposing_what_smbo_proposes(problem: str) -> None:
    assert Auto().modelled >= BUDGET
    assert proposals("auto", problem, BUDGET) == proposals("smbo", problem, BUDGET)


# ---------------------------------------------------------------- what is shipped


@pytest.mark.parametrize(
    ("methods", "problems", "seeds"), [(METHODS, PROBLEMS, None), (ABLATIONS, ABLATED, VARIED)]
)
def test_exactly_the_declared_searches_are_shipped(
    methods: dict[str, Method], problems: tuple[str, ...], seeds: int | None
) -> None:
    shipped = {(name, trace.problem, trace.seed): trace for name in methods for trace in run.read(name)}
    declared = set(run.tasks(list(methods), problems, seeds))
    assert declared - shipped.keys() == set(), "run `make bench-quality`"
    assert shipped.keys() - declared == set()
    for (name, problem, seed), trace in shipped.items():
        assert trace.evaluations == min(BUDGET, methods[name].evaluations(problem, seed))


# ---------------------------------------------------------------- peers

SMALL = Space(
    (
        OneOf("one", ("a", "b", "c")),
        IntRange("wide", 16, 256, step=16),
        IntRange("twice", 2, 32, factor=2),
        FloatRange("rate", 1e-4, 1e-1, log=True),
        FloatRange("drop", 0.1, 0.5, step=0.2),
    )
)


def searched(search: Any, space: Space, budget: int, seed: int = 0) -> list[Decision]:
    found: list[Decision] = []

    def evaluate(decision: Decision) -> float:
        space.validate(decision.flat())
        found.append(decision)
        return float(len(found) % 7)

    search(space, evaluate, budget, seed)
    return found


@pytest.mark.parametrize(
    "search", [peers.optuna_tpe, peers.hyperopt_tpe, peers.pyglove_evolution, peers.random_search]
)
def test_peers_propose_decisions_of_the_space(search: Any) -> None:
    for space in (SMALL, synthetic.synthetic("blocks").space):
        found = searched(search, space, 14)
        assert len(found) == 14
        assert len({decision.key for decision in found}) > 7
        assert [d.key for d in searched(search, space, 14)] == [d.key for d in found]


@pytest.mark.slow
@pytest.mark.parametrize("search", [peers.optuna_gp, peers.smac_forest])
def test_slow_peers_propose_decisions_of_the_space(search: Any) -> None:
    for space in (SMALL, synthetic.synthetic("blocks").space):
        assert len(searched(search, space, 15)) == 15


@pytest.mark.parametrize("name", ["order", "subset"])
def test_pyglove_has_orders_and_subsets_and_the_others_say_they_have_not(name: str) -> None:
    space = synthetic.synthetic(name).space
    assert len({decision.key for decision in searched(peers.pyglove_evolution, space, 14)}) > 7
    assert [method for method, known in METHODS.items() if known.group == "peer" and known.takes(space)] == [
        "pyglove-evolution"
    ]


def test_walking_meets_the_points_that_exist() -> None:
    space = synthetic.synthetic("blocks").space
    for decision in space.sample(50, np.random.default_rng(4)):
        assert native.walk(space, lambda point, of=decision: of[point.address]) == decision.flat()


# ---------------------------------------------------------------- statistics


def test_holm_is_the_textbook_procedure() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []


def constant(values: dict[int, float], problem: str = "branin") -> list[Trace]:
    return [Trace(problem, seed, 100, 1.0 + seed, [(1, value, value / 2)]) for seed, value in values.items()]


def test_means_leave_out_searches_that_were_given_less() -> None:
    results = stats.Results(
        {"smbo": [*constant({0: 1.0, 1: 3.0}), Trace("branin", 2, 50, 1.0, [(1, 9.0, 9.0)])]}
    )
    assert results.mean("smbo", "branin", 100, stats.SEEN) == (2.0, 1.0, 2)
    assert results.mean("smbo", "branin", 50, stats.SEEN).seeds == 3
    assert results.mean("smbo", "branin", 200, stats.SEEN) is None
    assert results.mean("smbo", "branin", 100, stats.TOLD).mean == 1.0


def test_the_critical_difference_is_that_of_the_tables() -> None:
    # Demšar (2006): 4 methods on 14 data sets at 5%: 2.569 * sqrt(4 * 5 / (6 * 14)) = 1.25.
    values = np.random.default_rng(0).normal(size=(4, 14)).argsort(axis=0).argsort(axis=0)
    results = stats.Results(
        {name: constant(dict(enumerate(map(float, row)))) for name, row in zip("abcd", values, strict=True)}
    )
    ranked = stats.ranking(results, "abcd", ["branin"], 100, stats.SEEN)
    assert ranked is not None
    assert ranked.critical == pytest.approx(1.25, abs=0.01)
    assert ranked.blocks == 14
    assert list(ranked.ranks.values()) == pytest.approx(list(values.mean(axis=1) + 1))


def test_claims_are_judged_by_what_was_found() -> None:
    good, bad = {s: 0.1 + s / 1000 for s in range(30)}, {s: 0.5 + s / 100 for s in range(30)}
    results = stats.Results({"smbo": constant(good), "random": constant(bad), "mcts": constant(good)})
    for kind, rival, method, expected in (
        ("ahead", "random", "smbo", True),
        ("ahead", "mcts", "smbo", False),
        ("ahead", "smbo", "random", False),
        ("not behind", "mcts", "smbo", True),
        ("not behind", "smbo", "random", False),
        ("close", "smbo", "random", False),
        ("close", "mcts", "smbo", True),
    ):
        claim = Claim("", method, (rival,), (100,), kind)  # type: ignore[arg-type]
        (verdict,) = stats.judge(claim, results, ["branin"], stats.SEEN)
        assert verdict.holds is expected, (kind, rival, method)
    slow = Claim("", "smbo", ("mcts",), (100,), "not behind", proposal_time=0.1)
    assert not stats.judge(slow, results, ["branin"], stats.SEEN)[0].holds


def test_claims_name_methods_that_exist() -> None:
    for claim in CLAIMS:
        assert {claim.method, *claim.rivals} <= set(METHODS)
        assert METHODS[claim.method].group == "ours"


def test_random_search_finds_what_order_statistics_say() -> None:
    problem = table("nb201-cifar10")
    assert isinstance(problem, Table)
    values = np.sort(problem.shown[0])
    below = (np.arange(len(values) + 1) / len(values)) ** 50
    expected = values[-1] - (values * np.diff(below)).sum()
    regrets = []
    for seed in range(0, 180, 3):  # all of which see the first run
        recorder = Recorder(problem, seed)
        peers.random_search(problem.space, recorder, 50, seed)
        regrets.append(recorder.trace.at(50)[0])
    error = np.std(regrets, ddof=1) / np.sqrt(len(regrets))
    assert abs(np.mean(regrets) - expected) < 3.5 * error
