from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import decisions, spaces

import symnas
from symnas.algorithms import resolve
from symnas.algorithms.adapters.optuna.sampler import Optuna
from symnas.algorithms.adapters.optuna.samplers import SAMPLERS
from symnas.algorithms.adapters.optuna.space import LISTED, Parameters
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.errors import AlgorithmError, MissingExtraError, SpaceError
from symnas.testing.contract import AlgorithmContract, planted, simulate, small_space
from symnas.tree.choices import Branch, FloatRange, IntRange, ManyOf, OneOf, Permutation
from symnas.tree.space import Space

# ---------------------------------------------------------------- the contract


class TestTPE(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return Optuna()


@pytest.mark.thorough
class TestLongTPE(AlgorithmContract):
    exhausts = False
    trials, seeds = 120, 10

    def make(self) -> Algorithm:
        return Optuna()


@pytest.mark.thorough
class TestGroupedTPEWithoutRepeats(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Optuna(sampler_options={"multivariate": True, "group": True}, repeats=False)


@pytest.mark.thorough
class TestRandom(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return Optuna(sampler="random")


@pytest.mark.thorough
class TestNSGAII(AlgorithmContract):
    exhausts = False
    trials, seeds = 300, 10

    def make(self) -> Algorithm:
        return Optuna(sampler="nsgaii", sampler_options={"population_size": 10})


@pytest.mark.thorough
class TestNSGAIII(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return Optuna(sampler="nsgaiii", sampler_options={"population_size": 5})


@pytest.mark.thorough
class TestQMC(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return Optuna(sampler="qmc", sampler_options={"scramble": True})


class TestBruteForce(AlgorithmContract):
    learns = False

    def make(self) -> Algorithm:
        return Optuna(sampler="brute-force")


@pytest.mark.thorough
class TestGP(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return Optuna(sampler="gp")


# ---------------------------------------------------------------- exactness


@given(st.data(), spaces(), st.booleans())
def test_decisions_and_parameters_are_the_same_thing(
    data: st.DataObject, space: Space, ordered: bool
) -> None:
    told = Parameters(space, ordered)
    decision = data.draw(decisions(space))
    params, distributions = told.of(decision)
    assert told.decision(params) == decision
    # Optuna checks itself that every value lies in its distribution.
    optuna.trial.create_trial(params=params, distributions=distributions, value=0.0)
    assert set(params) == set(distributions) <= set(told.distributions)


@given(spaces(), st.integers(0, 1000))
def test_every_suggestion_is_a_decision_and_comes_back(space: Space, seed: int) -> None:
    told = Parameters(space)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = _study(sampler)
    for _ in range(3):
        trial = study.ask()
        decision = told.suggest(lambda name, distribution, asked=trial: asked._suggest(name, distribution))
        space.validate(decision.flat())
        assert told.of(decision)[0] == pytest.approx(trial.params)


@pytest.mark.parametrize(
    "point",
    [
        Permutation("p", tuple(range(6))),
        ManyOf("p", tuple("abcdefghij"), 0, 4, ordered=True),
        ManyOf("p", tuple("abcdefgh"), 2, 8),
        ManyOf("p", tuple("abcdefgh"), 3, 3, repeats=True),
        ManyOf("p", tuple("abcde"), 0, 3, ordered=True, repeats=True),
    ],
)
def test_long_selections_are_told_slot_by_slot(point: Any) -> None:
    space = Space((point,))
    told = Parameters(space)
    assert point.cardinality > LISTED
    assert len(told.distributions) > 1
    batch = space.sample(300, np.random.default_rng(0))
    assert [told.decision(told.of(decision)[0]) for decision in batch] == list(batch)
    rng = np.random.default_rng(1)
    drawn = [
        told.suggest(
            lambda _, d: int(
                rng.integers(len(d.choices)) if "choices" in vars(d) else rng.integers(d.low, d.high + 1)
            )
        )
        for _ in range(300)
    ]
    for decision in drawn:
        space.validate(decision.flat())
    # Every candidate turns up about as often as every other one.
    counts = [sum(label in decision["p"] for decision in drawn) for label in point.candidates]  # type: ignore[operator]
    assert min(counts) > 0.6 * max(counts)


def test_permutations_are_told_by_the_places_among_what_is_left() -> None:
    space = Space((Permutation("p", tuple("abcde")),))
    decision = space.decision({"p": ("c", "a", "e", "b", "d")})
    assert Parameters(space).of(decision)[0] == {"p[0]": 2, "p[1]": 0, "p[2]": 2, "p[3]": 0}


def test_parameters_are_what_a_user_of_optuna_would_write() -> None:
    space = Space(
        (
            OneOf("op", ("conv", "pool")),
            IntRange("n", 2, 11, step=4),
            IntRange("w", 1, 64, log=True),
            FloatRange("lr", 1e-4, 0.1, log=True),
            FloatRange("p", 0.1, 0.5, step=0.1),
            OneOf("odd", (1, True, "1")),
            IntRange("x", 1, 32, factor=2),
            OneOf("size", (16, 32, 64)),
        )
    )
    assert list(map(str, Parameters(space).distributions.values())) == [
        "CategoricalDistribution(choices=('conv', 'pool'))",
        "IntDistribution(high=10, log=False, low=2, step=4)",
        "IntDistribution(high=64, log=True, low=1, step=1)",
        "FloatDistribution(high=0.1, log=True, low=0.0001, step=None)",
        "FloatDistribution(high=0.5, log=False, low=0.1, step=0.1)",
        "CategoricalDistribution(choices=('1', 'True', \"'1'\"))",
        "IntDistribution(high=5, log=False, low=0, step=1)",
        "CategoricalDistribution(choices=(16, 32, 64))",
    ]
    assert str(Parameters(space, ordered=True).distributions["size"]).startswith("IntDistribution(high=2,")


def test_names_of_slots_never_meet_other_addresses() -> None:
    space = Space((Permutation("p", tuple("abcde")), OneOf("p[0]", (1, 2))))
    decision = space.sample(1, np.random.default_rng(0))[0]
    told = Parameters(space)
    assert {"p[0]", "p[0]'"} <= set(told.distributions)
    assert told.decision(told.of(decision)[0]) == decision


def test_ranges_beyond_the_numbers_of_floats_are_positions_or_refused() -> None:
    far = Space((IntRange("n", 2**60, 2**60 + 5),))
    told = Parameters(far)
    assert [told.decision(told.of(decision)[0]) for decision in far.enumerate()] == list(far.enumerate())
    with pytest.raises(SpaceError, match="n: Optuna holds numbers as floats"):
        Parameters(Space((IntRange("n", 0, 2**60),)))


# ---------------------------------------------------------------- the same as Optuna itself


def _study(sampler: optuna.samplers.BaseSampler, directions: int = 1) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler, directions=["maximize"] * directions)


MIXED = Space(
    (
        OneOf("op", ("conv", "pool"), branches=(Branch((0,), (IntRange("k", 1, 7, step=2),)),)),
        IntRange("width", 8, 64, log=True),
        FloatRange("lr", 1e-4, 1e-1, log=True),
        FloatRange("drop", 0.0, 0.5, step=0.125),
    )
)


def _mixed(trial: optuna.Trial) -> dict[str, Any]:
    values: dict[str, Any] = {"op": trial.suggest_categorical("op", ("conv", "pool"))}
    if values["op"] == "conv":
        values["k"] = trial.suggest_int("k", 1, 7, step=2)
    values["width"] = trial.suggest_int("width", 8, 64, log=True)
    values["lr"] = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    values["drop"] = trial.suggest_float("drop", 0.0, 0.5, step=0.125)
    return values


def _score(values: Any, objectives: int = 1) -> tuple[float, ...]:
    first = -abs(values["width"] - 30) / 30 + (values["op"] == "conv") - abs(values["lr"] - 0.01)
    return (float(first), float(values["drop"]))[:objectives]


@pytest.mark.parametrize(
    ("name", "cls", "options", "objectives", "trials"),
    [
        ("random", optuna.samplers.RandomSampler, {}, 1, 20),
        ("tpe", optuna.samplers.TPESampler, {"n_startup_trials": 5}, 1, 40),
        ("tpe", optuna.samplers.TPESampler, {"multivariate": True, "group": True}, 1, 30),
        ("tpe", optuna.samplers.TPESampler, {"multivariate": False}, 2, 30),
        ("nsgaii", optuna.samplers.NSGAIISampler, {"population_size": 6}, 2, 50),
        ("cmaes", optuna.samplers.CmaEsSampler, {"popsize": 5}, 1, 40),
        ("qmc", optuna.samplers.QMCSampler, {}, 1, 20),
        pytest.param("gp", optuna.samplers.GPSampler, {"n_startup_trials": 5}, 1, 9, marks=pytest.mark.slow),
    ],
)
def test_proposals_are_those_of_optuna_seeded_call_by_call(
    name: str, cls: Any, options: dict[str, Any], objectives: int, trials: int
) -> None:
    ours = Optuna(sampler=name, sampler_options=options)
    log = simulate(ours, MIXED, lambda d: Outcome(Status.DONE, _score(d, objectives)), trials=trials, seed=7)
    theirs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = _study(optuna.samplers.RandomSampler(), objectives)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        for call in range(trials):
            study.sampler = cls(**options, seed=int(np.random.default_rng([7, call]).integers(2**31)))
            trial = study.ask()
            theirs.append(_mixed(trial))
            study.tell(trial, _score(theirs[-1], objectives))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for mine, other in zip(log.decisions, theirs, strict=True):
        assert list(mine) == list(other)
        # Logarithms and steps may differ in the last digit.
        assert all(mine[a] == other[a] or mine[a] == pytest.approx(other[a], rel=1e-12) for a in mine)


def test_the_trials_that_optuna_sees_end_as_ours_do() -> None:
    space = small_space()
    algorithm = Optuna()
    algorithm.setup(space)
    batch = space.sample(6, np.random.default_rng(0))
    algorithm.observe(batch, [RUNNING] * 6)
    outcomes = [
        Outcome(Status.DONE, (0.5,)),
        Outcome(Status.DONE, (float("nan"),)),
        Outcome(Status.OOM),
        Outcome(Status.PRUNED, (0.25,)),
        Outcome(Status.PRUNED),
    ]
    algorithm.observe(batch[:5], outcomes)
    trials = algorithm._driver.trials.trials
    assert [trial.state.name for trial in trials] == [
        "COMPLETE",
        "FAIL",
        "FAIL",
        "PRUNED",
        "PRUNED",
        "RUNNING",
    ]
    assert [trial.values for trial in trials] == [[0.5], None, None, None, None, None]
    assert [trial.intermediate_values for trial in trials[3:5]] == [{0: 0.25}, {}]
    assert [algorithm._driver.parameters.decision(trial.params) for trial in trials] == list(batch)


def test_running_trials_are_avoided_by_the_constant_liar() -> None:
    space, evaluate = planted(1)

    def repeated(liar: bool) -> int:
        algorithm = Optuna(sampler_options={"constant_liar": liar, "n_startup_trials": 5})
        algorithm.setup(space)
        first = space.sample(30, np.random.default_rng(0))
        algorithm.observe(first, [evaluate(decision) for decision in first])
        # One seed, asked over and over while everything runs: only a liar moves away.
        asked = []
        for _ in range(6):
            batch = algorithm.propose(1, np.random.default_rng(3))
            algorithm.observe(batch, [RUNNING])
            asked.append(batch[0])
        return len(asked) - len(set(asked))

    assert repeated(False) == 5
    assert repeated(True) < 5


class Meddling(optuna.samplers.RandomSampler):
    """A sampler that begins a trial of its own, as only a study does."""

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        study.enqueue_trial({"n": 1})


def test_a_sampler_that_changes_the_study_is_refused() -> None:
    algorithm = Optuna(sampler=f"{__name__}:Meddling")
    algorithm.setup(Space((IntRange("n", 0, 3),)))
    with pytest.raises(NotImplementedError, match="a sampler here is asked for one decision at a time"):
        algorithm.propose(1, np.random.default_rng(0))


# ---------------------------------------------------------------- several objectives, numbers only


def test_several_objectives_are_used_and_cma_takes_one() -> None:
    assert Optuna.capabilities.multi_objective
    for name in SAMPLERS:
        able = Optuna(sampler=name).capabilities
        assert able.multi_objective == (name != "cmaes")
        assert able.real_valued == (name != "brute-force")
    space = Space((IntRange("n", 0, 63), FloatRange("x", 0.0, 1.0)))
    options = {"algorithm": "optuna", "trials": 3, "progress": False, "objectives": {"a": "max", "b": "min"}}
    with pytest.raises(AlgorithmError, match="Optuna takes one objective; got a, b"):
        symnas.search(space, lambda d: {"a": d["n"], "b": d["x"]}, options={"sampler": "cmaes"}, **options)
    study = symnas.search(
        space,
        lambda d: {"a": d["n"], "b": d["x"]},
        algorithm=Optuna(sampler="nsgaii", sampler_options={"population_size": 8}),
        objectives={"a": "max", "b": "min"},
        trials=80,
        progress=False,
    )
    late = study.trials[60:]
    assert np.mean([trial.metrics["a"] for trial in late]) > np.mean(
        [trial.metrics["a"] for trial in study.trials[:8]]
    )


def test_cma_needs_numbers_and_takes_ordered_candidates_for_them() -> None:
    space = Space(tuple(OneOf(f"w{i}", (8, 16, 32, 64, 128)) for i in range(4)))
    with pytest.raises(AlgorithmError, match="CMA-ES moves numbers that every decision has"):
        Optuna(sampler="cmaes").setup(space)
    best = 3 * [-1.0]
    for seed in range(3):
        log = simulate(
            Optuna(sampler="cmaes", ordered=True),
            space,
            lambda d: Outcome(Status.DONE, (float(sum(-abs(d[a] - 64) for a in d)),)),  # type: ignore[operator]
            trials=100,
            seed=seed,
        )
        best[seed] = log.best
    assert best == [0.0] * 3


# ---------------------------------------------------------------- options and surroundings


def test_mistaken_options_are_refused() -> None:
    with pytest.raises(AlgorithmError, match=r"sampler is one of .*; got 'tpee' \(did you mean 'tpe'\?\)"):
        Optuna(sampler="tpee")
    with pytest.raises(AlgorithmError, match=r"Optuna's TPESampler refuses \{'startup': 3\}"):
        Optuna(sampler_options={"startup": 3})
    with pytest.raises(AlgorithmError, match="Optuna's NSGAIISampler refuses"):
        Optuna(sampler="nsgaii", sampler_options={"population_size": 1})
    with pytest.raises(AlgorithmError, match="leave 'seed' out of sampler_options"):
        Optuna(sampler_options={"seed": 3})
    with pytest.raises(AlgorithmError, match="sampler_options are given by name"):
        Optuna(sampler_options="n_startup_trials=3")  # type: ignore[arg-type]
    with pytest.raises(AlgorithmError, match="CMA-ES with margin goes on from hidden numbers"):
        Optuna(sampler="cmaes", sampler_options={"with_margin": True})
    with pytest.raises(AlgorithmError, match="'nowhere:Sampler' cannot be imported"):
        Optuna(sampler="nowhere:Sampler")
    with pytest.raises(AlgorithmError, match="a sampler is a subclass of optuna"):
        Optuna(sampler="collections:OrderedDict")


def test_without_repeats_small_spaces_are_exhausted_and_failures_never_come_again() -> None:
    space = small_space()
    log = simulate(Optuna(repeats=False), space, lambda _: Outcome(Status.FAILED), trials=99, workers=3)
    assert log.exhausted
    assert len(set(log.decisions)) == len(log.decisions) == space.size


def test_another_packages_sampler_is_named_by_its_class() -> None:
    space, evaluate = planted(0)
    named = Optuna(sampler="optuna.samplers:TPESampler")
    logs = [simulate(a, space, evaluate, trials=25) for a in (named, Optuna())]
    assert logs[0].decisions == logs[1].decisions
    assert named.capabilities.multi_objective


def test_options_come_from_a_command_line() -> None:
    made = resolve("optuna", {"sampler": "tpe", "sampler_options": {"n_startup_trials": 3}})
    assert repr(made) == (
        "Optuna(sampler='tpe', sampler_options={'n_startup_trials': 3}, ordered=False, repeats=True)"
    )


def test_optunas_log_and_our_warnings_are_left_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    optuna.logging.enable_propagation()
    try:
        optuna.logging.set_verbosity(optuna.logging.INFO)
        with caplog.at_level(logging.INFO):
            simulate(
                Optuna(sampler_options={"multivariate": True, "group": True}),
                small_space(),
                lambda _: Outcome(Status.DONE, (1.0,)),
                trials=15,
            )
        assert not caplog.records
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        optuna.logging.disable_propagation()


SCRIPT = """
import sys
import symnas, symnas.algorithms
from symnas.contracts.registry import available
found = {info.name: info for info in available()}["optuna"]
assert found.capabilities.multi_objective and found.options["sampler"] == "tpe"
assert "optuna" not in sys.modules
sys.modules["optuna"] = None
try:
    symnas.algorithms.resolve("optuna")
except symnas.errors.MissingExtraError as error:
    print(error)
"""


def test_optuna_is_an_extra_and_imported_when_used() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install symnas[optuna]" in done.stdout
    assert issubclass(MissingExtraError, ImportError)
