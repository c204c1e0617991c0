"""Policies on shared weights: what they draw, what a step does to the weights, by independent oracles."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shared import make_task, net, ops
from torch import Tensor, nn

import symnas
from symnas.errors import EvaluatorError
from symnas.oneshot.policies import Delayed, Fair, Path, Policy, Sandwich, Sorted, Uniform, scaled
from symnas.oneshot.policy_registry import policy_of
from symnas.oneshot.run import SharedTraining, soft_cross_entropy
from symnas.oneshot.schedules import Guided, Progressive
from symnas.supernet.supernet import Supernet
from symnas.testing.random_spaces import random_space
from symnas.tree.choices import IntRange, OneOf
from symnas.tree.space import Space


class Bare:
    """A program as far as policies look at one."""

    def __init__(self, space: Space) -> None:
        self.space = space


def begun(policy: Policy, space: Space) -> Policy:
    return policy.begun(Bare(space), None)  # type: ignore[arg-type]


def paths(policy: Policy, progress: float = 0.0, seed: int = 0) -> list[Path]:
    return policy.paths(progress, np.random.default_rng(seed))


@given(st.lists(st.integers(2, 6), min_size=1, max_size=6), st.integers(0, 1000))
def test_fair_uses_every_candidate_as_evenly_as_a_step_allows(cards: list[int], seed: int) -> None:
    space = Space(tuple(OneOf(f"p{i}", tuple("abcdef"[:card])) for i, card in enumerate(cards)))
    found = [path.decision for path in paths(begun(Fair(), space), seed=seed)]
    assert len(found) == max(cards)
    for place, card in enumerate(cards):
        counts = Counter(decision[f"p{place}"] for decision in found)
        assert len(counts) == card
        assert max(counts.values()) - min(counts.values()) <= 1
        if card == max(cards):
            assert set(counts.values()) == {1}


@given(st.integers(0, 10_000))
def test_every_policy_draws_decisions_of_any_space(seed: int) -> None:
    space = random_space(np.random.default_rng(seed))
    for policy in (Uniform(paths_per_step=3), Fair(), Sandwich(), Delayed(), Sorted(), Guided()):
        ready = begun(policy, space)
        for progress in (0.0, 0.7):
            drawn = paths(ready, progress, seed)
            assert drawn
            for path in drawn:
                space.validate(path.decision.flat())
            assert [p.decision for p in drawn] == [p.decision for p in paths(ready, progress, seed)]


def test_the_largest_and_the_smallest_have_all_numbers_at_their_ends() -> None:
    space = net().space
    for level, width, depth in ((1.0, 16, 3), (0.0, 4, 1)):
        decision = scaled(space, level)
        numbers = [value for value in decision.values() if isinstance(value, int)]
        assert width in numbers
        assert depth in numbers
        assert len(decision) == 2 + depth


def test_sorted_children_are_nested() -> None:
    space = Space((IntRange("depth", 1, 4), OneOf("width", (4, 8, 16)), OneOf("act", ("a", "b"))))
    chain = begun(Sorted(levels=4), space).chain  # type: ignore[attr-defined]
    assert [(d["depth"], d["width"]) for d in chain] == [(1, 4), (2, 8), (3, 8), (4, 16)]
    drawn = Counter(p.decision.key for seed in range(200) for p in paths(begun(Sorted(), space), seed=seed))
    assert len(drawn) == 4
    assert min(drawn.values()) > 60


def test_delayed_shrinking_starts_late_and_gently() -> None:
    ready = begun(Delayed(), Space((IntRange("width", 1, 9),)))
    assert [path.decision["width"] for path in paths(ready, 0.49)] == [9]
    rates = [[path.weight for path in paths(ready, progress)] for progress in (0.5, 0.625, 0.75, 0.99)]
    assert rates == [[1.0, *[pytest.approx(e)] * 3] for e in (1e-4, 0.50005, 1.0, 1.0)]
    assert [(p.hard, p.soft) for p in paths(ready, 0.8)] == [(1.0, 0.0), *[(0.0, 1.0)] * 3]


def test_progressive_shrinking_releases_kernels_then_depths_then_widths() -> None:
    program = symnas.program(Elastic, inputs=torch.zeros(2, 1, 8))
    ready = Progressive(lengths=(0.25, 0.25, 0.25, 0.25)).begun(program, None)
    assert ready.kinds == {"depth": "depth", "k": "kernel", "width": "width", "p": "other"}
    seen = [
        {
            name: {path.decision[name] for seed in range(40) for path in paths(ready, progress, seed)}
            for name in ("k", "depth", "width", "p")
        }
        for progress in (0.0, 0.3, 0.55, 0.7, 0.76, 0.99)
    ]
    assert seen[0] == {"k": {5}, "depth": {3}, "width": {8}, "p": {2}}
    assert seen[1] == {"k": {1, 3, 5}, "depth": {3}, "width": {8}, "p": {1, 2}}
    assert seen[2] == {"k": {1, 3, 5}, "depth": {2, 3}, "width": {8}, "p": {1, 2}}
    assert seen[3]["depth"] == {1, 2, 3}
    assert seen[4]["width"] == {4, 8}
    assert seen[5] == {"k": {1, 3, 5}, "depth": {1, 2, 3}, "width": {2, 4, 8}, "p": {1, 2}}
    assert [len(paths(ready, progress)) for progress in (0.0, 0.3, 0.6, 0.9)] == [1, 1, 2, 4]
    assert {(p.hard, p.soft, p.teacher) for p in paths(ready, 0.9)} == {(1.0, 1.0, "kept")}


class Elastic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = 4  # search: {2, 4, 8}
        k = 3  # search: {1, 3, 5} shared
        depth = 2  # search: 1..3
        self.first = nn.Conv1d(1, width, k, padding=k // 2)
        self.body = nn.Sequential(*(nn.Linear(8, 8) for _ in range(depth)))
        p = 1  # search: {1, 2}
        self.times = p
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.times * self.body(self.first(x)).mean(2))


def test_tree_search_comes_back_to_what_does_well() -> None:
    space = Space(tuple(OneOf(f"p{i}", ("a", "b", "c")) for i in range(6)))
    ready = begun(Guided(uniform=0.2), space)
    drawn = []
    for step in range(400):
        (path,) = paths(ready, step / 400, step)
        drawn.append(sum(value == "a" for value in path.decision.values()))
        ready.learn([path], [1.0 - 0.2 * drawn[-1]])
    assert np.mean(drawn[:80]) == pytest.approx(2, abs=0.4)
    assert np.mean(drawn[80:160]) > np.mean(drawn[:80]) + 0.5


def test_what_tree_search_learnt_is_restored() -> None:
    space = Space(tuple(OneOf(f"p{i}", ("a", "b")) for i in range(3)))
    ready, other = begun(Guided(uniform=0.0), space), begun(Guided(uniform=0.0), space)
    for step in range(21):  # more than there are: it starts anew on the way, several times
        (path,) = paths(ready, 0.5, step)
        ready.learn([path], [float(path.decision["p0"] == "a")])
    other.restore(ready.state())
    for step in range(30, 40):
        assert paths(ready, 0.5, step) == paths(other, 0.5, step)


# -------------------------------------------------------------------- steps on weights


def training(
    program: symnas.Program, policy: Policy, dtype: torch.dtype = torch.float32, **changes: Any
) -> SharedTraining:
    shared = symnas.SharedWeights(make_task(**changes), policy=policy)
    made = Supernet(program, seed=3, dtype=dtype)
    return SharedTraining(shared, made, policy.begun(program, None), 5, torch.device("cpu"))


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    inputs = torch.randn(16, 4, generator=generator, dtype=dtype)
    return inputs, (inputs[:, 0] > 0).long()


def test_a_uniform_step_leaves_idle_weights_as_they_are_bit_for_bit() -> None:
    run = training(ops(), Uniform())
    for step in range(12):
        run.step = step
        (path,) = run.policy.paths(0.0, np.random.default_rng([5, step]))
        before = {name: value.detach().clone() for name, value in run.child.named_parameters()}
        used = {id(parameter) for parameter in run.child.active_parameters(path.decision)}
        run._update(*batch())
        moved = {name for name, value in run.child.named_parameters() if not torch.equal(value, before[name])}
        assert moved == {name for name, value in run.child.named_parameters() if id(value) in used}
    # Momentum and weight decay have something to move by now, had they been asked.
    assert len(run.optimizer.state) == len(list(run.child.parameters()))


def test_a_fair_step_moves_every_weight_once() -> None:
    run = training(ops(), Fair(), optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    before = {name: value.detach().clone() for name, value in run.child.named_parameters()}
    run._update(*batch())
    assert all(not torch.equal(value, before[name]) for name, value in run.child.named_parameters())
    children = [path.decision for path in run.policy.paths(0.0, np.random.default_rng([5, 0]))]
    assert len(children) == 3
    assert {decision["one"] for decision in children} == {decision["two"] for decision in children}


@pytest.mark.parametrize("policy", [Sandwich(), Delayed(start=0.0, ramp=1.0), Fair(), Sorted()], ids=repr)
def test_the_gradient_of_a_step_is_the_sum_of_those_of_separate_children(policy: Policy) -> None:
    program = net(norm=False)
    run = training(program, policy, torch.float64)
    run.step, run.steps = 1, 4
    inputs, targets = batch(torch.float64)
    drawn = run.policy.paths(0.25, np.random.default_rng([5, 1]))
    expected = {name: torch.zeros_like(value) for name, value in run.child.named_parameters()}
    largest = run.child.extract(drawn[0].decision)
    taught = largest(inputs).detach()
    for path in drawn:
        child = run.child.extract(path.decision)
        outputs = child(inputs)
        loss = path.hard * nn.functional.cross_entropy(outputs, targets)
        if path.soft:
            loss = loss + path.soft * nn.functional.cross_entropy(outputs, taught.softmax(1))
        (path.weight * loss).backward()
        for parameter in child.parameters():
            parameter.data = parameter.grad
        places = Supernet(program, seed=3, dtype=torch.float64)
        for parameter in places.parameters():
            parameter.data.zero_()
        places.inherit(child, path.decision)
        for name, value in places.named_parameters():
            expected[name] += value.detach()
    before = {name: value.detach().clone() for name, value in run.child.named_parameters()}
    run.optimizer.param_groups[0].update(lr=1.0, momentum=0.0, weight_decay=0.0)
    run._update(inputs, targets)
    for name, value in run.child.named_parameters():
        torch.testing.assert_close(before[name] - value.detach(), expected[name], rtol=1e-9, atol=1e-12)


def test_the_soft_loss_is_the_cross_entropy_with_probabilities() -> None:
    outputs, taught = torch.randn(2, 5, 3, dtype=torch.float64)
    expected = nn.functional.cross_entropy(outputs, taught.softmax(1))
    torch.testing.assert_close(soft_cross_entropy(outputs, taught), expected)
    with pytest.raises(EvaluatorError, match=r"these outputs are \(5,\): pass a loss .* as distill="):
        soft_cross_entropy(outputs[:, 0], taught)


def test_the_teacher_of_progressive_shrinking_stays_as_it_was() -> None:
    run = training(net(), Progressive(lengths=(0.5, 0.5, 0.0, 0.0)))
    run.steps = 4
    for step in range(4):
        run.step = step
        if step == 2:
            frozen = run.child.extract(run.policy.largest).eval()  # type: ignore[attr-defined]
        run._update(*batch())
    assert run.teacher is not None
    inputs, _ = batch()
    assert torch.equal(run.teacher(inputs), frozen(inputs))
    moved = run.child.extract(run.policy.largest).eval()  # type: ignore[attr-defined]
    assert not torch.equal(moved(inputs), frozen(inputs))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unifrom", None, r"one of 'delayed', .* got 'unifrom' \(did you mean 'uniform'\?\)"),
        ("fair", {"paths": 2}, "policy 'fair' has no option 'paths'; its options are none"),
        ("sandwich", {"randm": 2}, r"no option 'randm' \(did you mean 'random'\?\)"),
        ("sandwich", {"random": -1}, "random is a whole number of at least 0; got -1"),
        ("delayed", {"start": 2}, "start is a number between 0 and 1; got 2"),
        ("progressive", {"children": (1, 2)}, "children are three whole numbers"),
        ("progressive", {"lengths": (1, 1, 1, -1)}, "lengths are four shares of at least 0"),
        (Uniform(), {"paths_per_step": 2}, "options belong to a policy given by name"),
    ],
)
def test_a_wrong_policy_says_what_is_right(name: Any, options: Any, message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        policy_of(name, options)
