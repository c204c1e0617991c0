from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyglove as pg
import pytest

import symnas
from symnas.algorithms.adapters.pyglove.generator import GENERATORS, PyGlove, as_dna_generator
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.errors import AlgorithmError, SpaceError
from symnas.interop.pyglove import dna_spec, from_dna
from symnas.testing.contract import AlgorithmContract, planted, random_space, simulate, small_space
from symnas.tree.choices import FloatRange, Guard, IntRange, OneOf
from symnas.tree.space import Space

SMALL: dict[str, dict[str, Any]] = {
    "regularized_evolution": {"population_size": 6, "tournament_size": 3},
    "hill_climb": {"batch_size": 3},
    "nsga2": {"population_size": 4},
    "neat": {"population_size": 6},
    "random": {},
    "sweeping": {},
}


class Contract(AlgorithmContract):
    """The contract, on spaces that PyGlove has words for."""

    __test__ = False

    def space(self, seed: int) -> Space:
        real = self.make().capabilities.real_valued
        for again in range(10):
            space = random_space(np.random.default_rng([seed, 1, again]), real=real)
            if not any(point.guards for point in space.walk()):
                return space
        raise AssertionError("every space had guards")


@pytest.mark.thorough
class TestRegularizedEvolution(Contract):
    __test__ = True
    learns = exhausts = False

    def make(self) -> Algorithm:
        return PyGlove(generator_options=SMALL["regularized_evolution"])


@pytest.mark.thorough
class TestHillClimb(Contract):
    __test__ = True
    exhausts = False
    trials, seeds = 80, 12

    def make(self) -> Algorithm:
        return PyGlove(generator="hill_climb", generator_options=SMALL["hill_climb"])


@pytest.mark.thorough
class TestNSGA2(Contract):
    __test__ = True
    learns = exhausts = False

    def make(self) -> Algorithm:
        return PyGlove(generator="nsga2", generator_options=SMALL["nsga2"])


@pytest.mark.thorough
class TestSweeping(Contract):
    __test__ = True
    learns = False

    def make(self) -> Algorithm:
        return PyGlove(generator="sweeping")


def _scored(decision: Any) -> Outcome:
    return Outcome(Status.DONE, (float(decision["n"]) - abs(float(decision["x"]) - 0.5),))


NUMBERS = Space((IntRange("n", 0, 5), FloatRange("x", 0.0, 1.0), OneOf("op", ("a", "b"))))


@pytest.mark.parametrize("name", [name for name in GENERATORS if name != "sweeping"])
def test_every_generator_replays_and_leaves_the_global_generator_alone(name: str) -> None:
    def made() -> PyGlove:
        return PyGlove(generator=name, generator_options=SMALL[name])

    random.seed(3)
    expected = random.Random(3).random()
    log = simulate(made(), NUMBERS, _scored, trials=20, seed=2, workers=3)
    assert random.random() == expected
    assert len(set(log.decisions)) > 10
    replayed, fresh = made(), np.random.default_rng(5)
    replayed.setup(NUMBERS)
    for position, (batch, outcomes) in enumerate(log.events[:30]):
        if position % 7 == 0:
            replayed.propose(2, np.random.default_rng(position))
        replayed.observe(batch, outcomes)
    continued = made()
    continued.setup(NUMBERS)
    for batch, outcomes in log.events[:30]:
        continued.observe(batch, outcomes)
    assert replayed.propose(4, fresh) == continued.propose(4, np.random.default_rng(5))


@pytest.mark.parametrize(
    "make",
    [
        lambda: pg.geno.Random(seed=3),
        lambda: pg.geno.Deduping(pg.geno.Random(seed=3)),
        lambda: pg.evolution.regularized_evolution(
            pg.evolution.mutators.Uniform(seed=5), population_size=8, tournament_size=4, seed=2
        ),
        lambda: pg.evolution.nsga2(pg.evolution.mutators.Uniform(seed=5), population_size=4, seed=2),
        lambda: pg.evolution.Evolution(
            pg.evolution.selectors.Random(2, seed=1)
            >> pg.evolution.recombinators.Uniform(seed=4)
            >> pg.evolution.mutators.Uniform(seed=9),
            population_init=(pg.geno.Random(seed=6), 5),
            population_update=pg.evolution.selectors.Last(5),
        ),
    ],
    ids=["random", "deduping", "evolution", "nsga2", "composed"],
)
def test_a_generator_with_its_own_seeds_does_what_it_does_alone(make: Any) -> None:
    log = simulate(PyGlove(generator=make()), NUMBERS, _scored, trials=30, seed=11)
    alone = make()
    alone.setup(dna_spec(NUMBERS))
    theirs = []
    for _ in range(30):
        dna = alone.propose()
        theirs.append(from_dna(NUMBERS, dna))
        (value,) = _scored(theirs[-1]).values or ()
        alone.feedback(dna, (value,) if alone.multi_objective else value)
    assert log.decisions == theirs
    other = simulate(PyGlove(generator=make), NUMBERS, _scored, trials=30, seed=12)
    assert other.decisions == theirs


def test_another_seed_gives_another_search() -> None:
    runs = [
        simulate(
            PyGlove(generator_options=SMALL["regularized_evolution"]), NUMBERS, _scored, trials=20, seed=s
        )
        for s in (0, 1)
    ]
    assert runs[0].decisions[5:] != runs[1].decisions[5:]


@pytest.mark.slow
def test_evolution_learns() -> None:
    space, evaluate = planted(3)
    wins = 0
    for seed in range(3):
        made = PyGlove(generator_options={"population_size": 10, "tournament_size": 5})
        chance = PyGlove(generator="random")
        mine, theirs = (simulate(a, space, evaluate, trials=90, seed=seed).best for a in (made, chance))
        wins += mine > theirs
    assert wins == 3


def test_sweeping_ends_and_repeats_nothing_and_dedup_neither() -> None:
    space = small_space()
    log = simulate(
        PyGlove(generator="sweeping"), space, lambda _: Outcome(Status.FAILED), trials=99, workers=4
    )
    assert log.exhausted
    assert len(set(log.decisions)) == len(log.decisions) == space.size
    log = simulate(PyGlove(generator="random", dedup=True), space, _by_key, trials=99)
    assert len(set(log.decisions)) == len(log.decisions) >= 30


def _by_key(decision: Any) -> Outcome:
    return Outcome(Status.DONE, (int(decision.key[:6], 16) / 16**6,))


def test_trials_without_a_result_are_skipped_and_imported_ones_join() -> None:
    algorithm = PyGlove(generator_options=SMALL["regularized_evolution"])
    algorithm.setup(NUMBERS)
    batch = NUMBERS.sample(6, np.random.default_rng(0))
    algorithm.observe(batch[:3], [RUNNING] * 3)
    algorithm.observe(
        batch, [Outcome(Status.OOM), Outcome(Status.DONE, (float("nan"),)), *[_scored(batch[2])] * 4]
    )
    assert [from_dna(NUMBERS, dna) for dna in algorithm._driver._generator.population] == list(batch[2:])


def test_several_objectives_are_used_where_the_generator_has_them() -> None:
    assert not PyGlove.capabilities.multi_objective
    assert PyGlove(generator="nsga2").capabilities.multi_objective
    assert not PyGlove(generator="hill_climb").capabilities.multi_objective
    assert not PyGlove(generator="sweeping").capabilities.real_valued
    study = symnas.search(
        NUMBERS,
        lambda decision: {"n": decision["n"], "x": decision["x"]},
        algorithm=PyGlove(generator="nsga2", generator_options={"population_size": 6}),
        objectives={"n": "max", "x": "min"},
        trials=60,
        progress=False,
    )
    gains = [trial.metrics["n"] - trial.metrics["x"] for trial in study.trials]
    assert np.mean(gains[40:]) > np.mean(gains[:12])


def test_what_pyglove_has_no_words_for_is_refused_by_name() -> None:
    guarded = OneOf("b", (1, 2), guards=(Guard(("a",), frozenset({(0,)})),))
    with pytest.raises(SpaceError, match="b: PyGlove has no conditions over several points"):
        PyGlove().setup(Space((OneOf("a", (1, 2)), guarded)))


def test_mistaken_options_are_refused() -> None:
    with pytest.raises(AlgorithmError, match=r"generator is one of .*\(did you mean 'hill_climb'\?\)"):
        PyGlove(generator="hill-climb")
    with pytest.raises(AlgorithmError, match=r"PyGlove's regularized_evolution refuses .*population_size"):
        PyGlove(generator_options={"population_size": 3})
    with pytest.raises(AlgorithmError, match=r"PyGlove's hill_climb refuses \{'size': 3\}"):
        PyGlove(generator="hill_climb", generator_options={"size": 3})
    with pytest.raises(AlgorithmError, match="mutator is one of 'swap', 'uniform'"):
        PyGlove(generator_options={"mutator": "flip"})
    with pytest.raises(AlgorithmError, match="generator_options are given by name"):
        PyGlove(generator_options="population_size=3")  # type: ignore[arg-type]
    with pytest.raises(AlgorithmError, match="options belong to a generator's function"):
        PyGlove(generator=pg.geno.Random(), generator_options={"seed": 1})
    with pytest.raises(AlgorithmError, match="'nowhere:make' cannot be imported"):
        PyGlove(generator="nowhere:make")
    with pytest.raises(AlgorithmError, match=r"returns a pg\.DNAGenerator; OrderedDict returned"):
        PyGlove(generator="collections:OrderedDict")
    assert PyGlove(generator="pyglove.ext.evolution:hill_climb").capabilities.parallel


# ---------------------------------------------------------------- the other way around


class Cell(pg.Object):
    op: str
    kernel: int = 0


class Net(pg.Object):
    cell: Cell
    order: list[int]
    rate: float


def template() -> Net:
    return Net(
        pg.oneof([Cell("pool"), Cell("conv", pg.oneof([1, 3, 5, 7]))]),
        pg.permutate([0, 1, 2]),
        pg.floatv(0.0, 1.0),
    )


def reward_of(net: Net) -> float:
    return (net.cell.op == "conv") + net.cell.kernel / 7 + (net.order[0] == 2) - abs(net.rate - 0.25)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("random", {}),
        ("evolution", {"population": 10, "tournament": 4}),
        ("optuna", {"sampler_options": {"multivariate": False}}),
    ],
)
def test_an_algorithm_drives_pg_sample(name: str, options: dict[str, Any]) -> None:
    rewards = []
    for net, feedback in pg.sample(template(), as_dna_generator(name, seed=4, **options), num_examples=60):
        rewards.append(reward_of(net))
        feedback(rewards[-1])
    assert len(rewards) == 60
    if name != "random":
        assert np.mean(rewards[40:]) > np.mean(rewards[:10]) + 0.2
        assert max(rewards) > 2.7


def test_the_loop_of_pyglove_is_the_loop_of_a_search() -> None:
    program = symnas.program(template())
    study = symnas.search(
        program,
        reward_of,
        algorithm="evolution",
        options={"population": 6},
        trials=15,
        seed=4,
        progress=False,
    )
    seen = []
    generator = as_dna_generator("evolution", seed=4, population=6)
    for net, feedback in pg.sample(template(), generator, num_examples=15):
        seen.append(reward_of(net))
        feedback(seen[-1])
    assert seen == [trial.metrics["value"] for trial in study.trials]


def test_several_rewards_and_an_exhausted_space() -> None:
    generator = as_dna_generator("random", seed=1)
    assert generator.multi_objective
    seen = []
    for choice, feedback in pg.sample(pg.oneof([1, 2, 3]), generator):
        seen.append(choice)
        feedback(float(choice), metrics={"cost": 1.0 / choice})
    assert sorted(seen) == [1, 2, 3]
    front = as_dna_generator("nsga2", seed=1, population=6)
    net = pg.Dict(a=pg.oneof(list(range(8))), b=pg.oneof(list(range(8))))
    late = []
    for child, feedback in pg.sample(net, front, num_examples=60, metrics_to_optimize=["reward", "small"]):
        late.append(child.a - child.b)
        feedback(float(child.a), metrics={"small": -float(child.b)})
    assert np.mean(late[40:]) > np.mean(late[:6]) + 1


def test_a_recovered_generator_goes_on_as_before() -> None:
    spec = pg.dna_spec(template())
    rewards = np.random.default_rng(0).random(20).tolist()
    first, second = as_dna_generator("evolution", population=5), as_dna_generator("evolution", population=5)
    first.setup(spec)
    history = []
    for reward in rewards:
        dna = first.propose()
        first.feedback(dna, reward)
        history.append((dna, reward))
    second.setup(spec)
    second.recover(history)
    assert [second.propose() for _ in range(5)] == [first.propose() for _ in range(5)]


def test_algorithms_that_need_more_than_rewards_are_refused() -> None:
    with pytest.raises(AlgorithmError, match="Hyperband asks for fidelities"):
        as_dna_generator("hyperband")
    generator = as_dna_generator("optuna", sampler="brute-force")
    with pytest.raises(AlgorithmError, match="Optuna takes finite spaces, and this one has floats"):
        generator.setup(pg.dna_spec(template()))
