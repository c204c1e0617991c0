"""ConservativeRL: the contract, its classes, and what its policies learn from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from symnas.algorithms.policy_gradient.conservative_rl import ConservativeRL, classes
from symnas.algorithms.policy_gradient.policies import FactorisedPolicy
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.contracts.registry import resolve
from symnas.errors import AlgorithmError
from symnas.testing.contract import AlgorithmContract, simulate
from symnas.tree.choices import Branch, FloatRange, IntRange, ManyOf, OneOf
from symnas.tree.space import Space


def done(value: float) -> Outcome:
    return Outcome(Status.DONE, (value,))


class TestConservativeRLAsPublished(AlgorithmContract):
    exhausts = False
    trials, seeds = 100, 8

    def make(self) -> Algorithm:
        return ConservativeRL()


class TestConservativeRLWithoutRepeats(AlgorithmContract):
    trials, seeds = 150, 10

    def make(self) -> Algorithm:
        return ConservativeRL(elites=3, controller="factorised", lr=0.1, normalise=True, repeats=False)


def layer(number: int) -> tuple[OneOf, ...]:
    drop = FloatRange(f"layer[{number}].op:drop.rate", 0.0, 0.5)
    return (
        OneOf(f"layer[{number}].op", ("conv", "drop", "none"), branches=(Branch((1,), (drop,)),)),
        OneOf(f"layer[{number}].act", ("relu", "gelu", "elu", "selu")),
    )


LAYERS = Space(
    (*layer(0), *layer(1), *layer(2), IntRange("width", 1, 9), ManyOf("skips", ("a", "b", "c"), 0, 2))
)


def names(numbers: frozenset[int]) -> set[str]:
    return {LAYERS.addresses[number] for number in numbers}


def test_points_of_one_name_and_kind_are_a_class() -> None:
    found = classes(LAYERS)
    assert {name: names(numbers) for name, numbers in found.items()} == {
        "op (oneof)": {f"layer[{i}].op" for i in range(3)},
        "rate (float)": {f"layer[{i}].op:drop.rate" for i in range(3)},
        "act (oneof)": {f"layer[{i}].act" for i in range(3)},
        "width (int)": {"width"},
        "skips (manyof)": {"skips"},
    }
    assert len(classes(LAYERS, "point")) == len(LAYERS)


def test_points_all_of_one_name_are_classes_by_themselves() -> None:
    space = Space(tuple(OneOf(f"edge[{number}]", ("a", "b")) for number in range(4)))
    assert list(classes(space)) == [f"edge[{number}]" for number in range(4)]


@pytest.mark.parametrize("controller", ["lstm", "factorised"])
def test_children_differ_from_a_parent_in_one_class(controller: str) -> None:
    algorithm = ConservativeRL(controller=controller, elites=2, initial=1)
    algorithm.setup(LAYERS)
    batch = LAYERS.sample(6, np.random.default_rng(1))
    algorithm.observe(batch, [done(float(row)) for row in range(6)])
    parents = [batch[5], batch[4]]
    groups = list(classes(LAYERS).values())
    seen = Counter()
    for child in algorithm.propose(60, np.random.default_rng(0)):
        for parent in parents:
            changed = {a for a in child if a in parent and child[a] != parent[a]}
            ours = [group for group in groups if changed and changed <= names(group)]
            if ours:
                seen[parent] += 1
                break
        else:
            raise AssertionError(f"{child} comes from neither parent")
    assert min(seen[parent] for parent in parents) > 10


def test_uncertain_classes_are_changed_more_often() -> None:
    """Against the entropies themselves: choices are drawn in proportion to them."""
    space = Space((OneOf("small", (0, 1)), OneOf("large", tuple(range(32)))))
    algorithm = ConservativeRL(controller="factorised", initial=1)
    algorithm.setup(space)
    parent = space.batch([space.decision({"small": 0, "large": 0})])
    algorithm.observe(parent, [done(1.0)])
    children = algorithm.propose(3000, np.random.default_rng(0))
    # A child that equals its parent is drawn again: one in two of the small class, one in 32 of the other.
    entropy = np.array([np.log(2), np.log(32)])
    chances = entropy / entropy.sum() * np.array([1 / 2, 31 / 32])
    share = (children.column("small") == 1).mean()
    assert share == pytest.approx(chances[0] / chances.sum(), abs=0.025)


def test_a_class_learns_from_the_gain_over_the_parent() -> None:
    space = Space((OneOf("a", (0, 1, 2)), OneOf("b", (0, 1, 2))))
    algorithm = ConservativeRL(
        controller="factorised",
        initial=1,
        lr=0.1,
        baseline=1.0,
        entropy=0.0,
        tanh_constant=None,
        temperature=1.0,
    )
    algorithm.setup(space)
    parent, better, worse = (
        space.batch([space.decision(d)]) for d in ({"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 2})
    )
    algorithm.observe(parent, [done(10.0)])
    # Handed out under the same parent, although `better` replaces it before `worse` ends.
    algorithm.observe(better.concat([better, worse]), [RUNNING, RUNNING])
    algorithm.observe(better, [done(11.0)])
    algorithm.observe(worse, [done(9.0)])

    def shares(place: int, address: str) -> Any:
        policy = algorithm._policy(place)
        assert isinstance(policy, FactorisedPolicy)
        batch = space.batch([space.decision({"a": 0, "b": 0, address: code}) for code in range(3)])
        return np.exp(policy.log_prob(batch, batch, frozenset({space.compiled.layout.entry(address).number})))

    a, b = shares(0, "a"), shares(1, "b")
    assert a[1] > 1 / 3 > a[0] == pytest.approx(a[2])
    assert b[2] < 1 / 3 < b[0] == pytest.approx(b[1])
    assert [elite.value for elite in algorithm._best] == [11.0]


def test_what_differs_in_several_classes_teaches_nothing() -> None:
    algorithm = ConservativeRL(controller="factorised", initial=1)
    algorithm.setup(LAYERS)
    batch = LAYERS.sample(1, np.random.default_rng(0))
    algorithm.observe(batch, [done(1.0)])
    other = dict(batch[0])
    other["width"] = 1 + other["width"] % 9
    other["layer[0].act"] = "relu" if other["layer[0].act"] != "relu" else "elu"
    algorithm.observe(LAYERS.batch([LAYERS.decision(other)]), [done(0.0)])
    assert not algorithm._policies


def test_failures_are_the_worst_children_and_never_parents() -> None:
    space = Space((OneOf("a", (0, 1, 2)), OneOf("b", tuple(range(6)))))

    def evaluate(decision: Any) -> Outcome:
        return Outcome(Status.OOM) if decision["a"] == 2 else done(float(decision["b"]))

    algorithm = ConservativeRL(
        controller="factorised",
        elites=2,
        initial=3,
        lr=0.2,
        tanh_constant=None,
        temperature=1.0,
        normalise=True,
    )
    log = simulate(algorithm, space, evaluate, trials=80, workers=2)
    assert log.best == 5.0
    assert all(elite.decision[0]["a"] != 2 for elite in algorithm._best)
    assert sum(decision["a"] == 2 for decision in log.decisions[-40:]) < 10


def test_a_space_without_choices_is_proposed_once_or_again() -> None:
    space = Space((OneOf("only", (1,)),))
    log = simulate(ConservativeRL(repeats=False), space, lambda _: done(1.0), trials=5)
    assert log.exhausted
    assert len(log.decisions) == 1
    assert len(simulate(ConservativeRL(initial=1), space, lambda _: done(1.0), trials=5).decisions) == 5


def test_the_registry_knows_it() -> None:
    algorithm = resolve("conservative-rl", {"elites": 3})
    assert isinstance(algorithm, ConservativeRL)
    assert algorithm.elites == 3


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(AlgorithmError, match="group is one of 'name', 'point'; got 'kind'"):
        ConservativeRL(group="kind")
    with pytest.raises(AlgorithmError, match="elites is a whole number of at least 1; got 0"):
        ConservativeRL(elites=0)
