"""Policies over trees against enumeration, quadrature, finite differences and torch's own LSTM."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import spaces

from symnas.algorithms.policy_gradient.lstm import LSTMPolicy
from symnas.algorithms.policy_gradient.policies import Adam, FactorisedPolicy, Moments, TrainablePolicy
from symnas.testing.random_spaces import random_space
from symnas.tree.choices import Branch, FloatRange, Guard, IntRange, ManyOf, OneOf, Permutation, Tied
from symnas.tree.space import Batch, Space

KINDS = [FactorisedPolicy, LSTMPolicy]


class Noted(Adam):
    """Takes no step and keeps the gradients."""

    def ascend(self, parameters: list[Any], gradients: list[Any], moments: Moments) -> None:
        object.__setattr__(self, "noted", [gradient.copy() for gradient in gradients])


def made(kind: type, space: Space, seed: int | None = 0, adam: Adam | None = None, **options: Any) -> Any:
    """Return a policy in 64 bits whose parameters are far from their start, unless `seed` is None."""
    if kind is LSTMPolicy:
        options["double"] = True
    policy = kind(space, adam=adam or Adam(), tanh_constant=options.pop("tanh_constant", 2.0), **options)
    if seed is not None:
        rng = np.random.default_rng(seed)
        for array in arrays(policy):
            array += rng.normal(0.0, 0.7, array.shape)
        refresh(policy)
    return policy


def arrays(policy: Any) -> list[Any]:
    return policy.arrays if isinstance(policy, LSTMPolicy) else policy.parameters


def refresh(policy: Any) -> None:
    if isinstance(policy, FactorisedPolicy):
        for group in policy.listed:
            group.refresh()


def log_prob(policy: TrainablePolicy, *args: Any) -> Any:
    found = policy.log_prob(*args)
    return found.detach().numpy() if isinstance(found, torch.Tensor) else found


TREE = Space(
    (
        OneOf("op", ("conv", "pool", "none"), branches=(
            Branch((0,), (IntRange("op:k", 1, 3), ManyOf("op:edges", ("a", "b", "c"), 0, 2))),
            Branch((1,), (Permutation("op:order", ("x", "y", "z")),)),
        )),
        ManyOf("picked", ("u", "v"), 1, 2, ordered=True, repeats=True),
        OneOf("norm", (True, False), guards=(Guard(("op", "picked"), frozenset({(0, 0), (2, 3)})),)),
        Tied("same", "op"),
    )
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(space=spaces(finite=True, most=400), seed=st.integers(0, 99))
def test_probabilities_of_all_decisions_sum_to_one(kind: type, space: Space, seed: int) -> None:
    policy = made(kind, space, seed)
    everything = space.batch(list(space.enumerate()))
    assert np.exp(log_prob(policy, everything)).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_probabilities_of_all_changes_sum_to_one(kind: type, seed: int) -> None:
    space = TREE if seed < 3 else random_space(np.random.default_rng(seed), real=False)
    policy = made(kind, space, seed)
    rng = np.random.default_rng(seed)
    parent = space.sample(1, rng)
    free = frozenset(rng.permutation(len(space))[:2].tolist())
    own = [entry for entry in space.compiled.layout.own if entry.number not in free]
    stays = [entry.point.address for entry in own if entry.point.address in parent[0]]
    children = [d for d in space.enumerate() if all(d[a] == parent[0][a] for a in stays if a in d)]
    batch, kept = space.batch(children), parent.concat([parent] * len(children))
    assert np.exp(log_prob(policy, batch, kept, free)).sum() == pytest.approx(1.0, abs=1e-9)
    drawn = policy.sample(50, rng, parent.concat([parent] * 50), free)
    assert set(drawn) <= set(children)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(space=spaces(), seed=st.integers(0, 99))
def test_draws_are_decisions_of_the_space(kind: type, space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = made(kind, space, seed).sample(4, rng)
    assert space.batch([space.decision(decision.flat()) for decision in batch]) == batch


@pytest.mark.parametrize("kind", KINDS)
def test_draws_come_as_often_as_their_probability_says(kind: type) -> None:
    policy = made(kind, TREE, 3)
    everything = list(TREE.enumerate())
    chances = np.exp(log_prob(policy, TREE.batch(everything)))
    n = 20_000
    counts = Counter(policy.sample(n, np.random.default_rng(0)))
    expected = n * chances
    large = expected > 5
    seen = np.array([counts[decision] for decision in everything])
    statistic = ((seen - expected) ** 2 / expected)[large].sum()
    freedom = large.sum() - 1
    assert statistic < freedom + 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("kind", KINDS)
def test_the_entropy_of_paths_averages_to_that_of_the_policy(kind: type) -> None:
    policy = made(kind, TREE, 4)
    everything = TREE.batch(list(TREE.enumerate()))
    logp = log_prob(policy, everything)
    expected = -(np.exp(logp) * logp).sum()
    assert (np.exp(logp) * policy.entropy(everything)).sum() == pytest.approx(expected, rel=1e-9)


def test_a_factorised_policy_starts_as_the_space_draws() -> None:
    policy = made(FactorisedPolicy, TREE, None)
    for decision in TREE.enumerate():
        own = [TREE[a] for a in decision]
        expected = -sum(math.log(point.cardinality) for point in own)
        assert log_prob(policy, TREE.batch([decision]))[0] == pytest.approx(expected)


def test_a_factorised_policy_heeds_priors_and_survives_what_they_exclude() -> None:
    weights = (0.7, 0.3, 0.0)
    space = Space((OneOf("a", ("x", "y", "z"), weights=weights), IntRange("n", 1, 1000, log=True)))
    policy = made(FactorisedPolicy, space, None)
    batch = policy.sample(4000, np.random.default_rng(0))
    shares = np.bincount(batch.column("a"), minlength=3) / 4000
    assert shares == pytest.approx(weights, abs=0.03)
    expected = space.sample(4000, np.random.default_rng(1)).column("n")
    shares = [
        np.bincount(np.log2(codes + 1.0).astype(int), minlength=10) / 4000
        for codes in (batch.column("n"), expected)
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.035)
    excluded = space.batch([space.decision({"a": "z", "n": 5})])
    assert np.isfinite(log_prob(policy, excluded)).all()


# -------------------------------------------------------------------- gradients


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_gradient_is_the_slope_of_the_expected_reward(kind: type) -> None:
    """Enumeration: the sum over all decisions of p · R · grad log p, against finite differences of E[R]."""
    adam = Noted()
    policy = made(kind, TREE, 5, adam)
    everything = TREE.batch(list(TREE.enumerate()))
    rewards = np.random.default_rng(0).normal(size=len(everything))

    def expected_reward() -> float:
        refresh(policy)
        return float((np.exp(log_prob(policy, everything)) * rewards).sum())

    chances = np.exp(log_prob(policy, everything))
    policy.reinforce(everything, len(everything) * chances * rewards)
    rng = np.random.default_rng(1)
    for array, gradient in zip(arrays(policy), adam.noted, strict=True):  # type: ignore[attr-defined]
        for place in rng.permutation(array.size)[:12]:
            where = np.unravel_index(place, array.shape)
            old = array[where]
            array[where] = old + 1e-5
            above = expected_reward()
            array[where] = old - 1e-5
            below = expected_reward()
            array[where] = old
            assert gradient[where] == pytest.approx((above - below) / 2e-5, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_over_draws_tends_to_the_one_over_all_decisions(kind: type) -> None:
    adam = Noted()
    policy = made(kind, TREE, 6, adam)
    everything = list(TREE.enumerate())
    reward = dict(zip(everything, np.random.default_rng(2).normal(size=len(everything)), strict=True))
    batch = TREE.batch(everything)
    chances = np.exp(log_prob(policy, batch))
    policy.reinforce(batch, len(batch) * chances * np.array(list(reward.values())))
    exact = np.concatenate([g.ravel() for g in adam.noted])  # type: ignore[attr-defined]
    rng, parts = np.random.default_rng(3), []
    for _ in range(40):
        drawn = policy.sample(200, rng)
        policy.reinforce(drawn, np.array([reward[decision] for decision in drawn]))
        parts.append(np.concatenate([g.ravel() for g in adam.noted]))  # type: ignore[attr-defined]
    error = np.std(parts, axis=0) / math.sqrt(len(parts))
    assert (np.abs(np.mean(parts, axis=0) - exact) <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("heads", ["point", "factorised"])
def test_points_that_do_not_exist_get_no_gradient(heads: str) -> None:
    adam = Noted()
    kind, options = (FactorisedPolicy, {}) if heads == "factorised" else (LSTMPolicy, {"heads": "point"})
    policy = made(kind, TREE, 7, adam, **options)
    pool = [d for d in TREE.enumerate() if d["op"] == "pool"]
    policy.reinforce(TREE.batch(pool), np.arange(len(pool)) - 3.0)
    gone = policy.sequencer.points[TREE.compiled.layout.entry("op:edges").number]
    there = policy.sequencer.points[TREE.compiled.layout.entry("op:order").number]
    if kind is FactorisedPolicy:
        slopes = adam.noted[0]  # type: ignore[attr-defined]
        absent = slopes[policy.table(gone, np.arange(gone.nodes))]
        present = slopes[policy.table(there, np.arange(there.nodes))]
    else:
        slopes = adam.noted[1]  # type: ignore[attr-defined]
        absent = slopes[policy.start_of(gone) : policy.start_of(gone) + gone.options]
        present = slopes[policy.start_of(there) : policy.start_of(there) + there.options]
    assert not absent.any()
    assert present.any()


def test_adam_is_the_one_of_torch() -> None:
    rng = np.random.default_rng(0)
    start, slopes = rng.normal(size=5), rng.normal(size=(6, 5))
    adam = Adam(0.02, 0.3, 0.95, 1e-3)
    mine = [start.copy()]
    moments = adam.start(mine)
    theirs = torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], lr=0.02, betas=(0.3, 0.95), eps=1e-3, maximize=True)
    for slope in slopes:
        adam.ascend(mine, [slope], moments)
        theirs.grad = torch.tensor(slope)
        optimiser.step()
        assert mine[0] == pytest.approx(theirs.detach().numpy(), rel=1e-12)


# -------------------------------------------------------------------- the LSTM


@pytest.mark.parametrize("heads", ["shared", "point"])
def test_the_lstm_is_the_one_of_torch(heads: str) -> None:
    """The likelihood of a flat decision, computed step by step with `torch.nn.LSTM` and plain loops."""
    space = Space((OneOf("a", (0, 1, 2)), OneOf("b", (0, 1)), OneOf("c", (0, 1, 2))))
    policy = made(LSTMPolicy, space, 1, heads=heads, temperature=3.0, tanh_constant=1.5, hidden=8)
    embeddings, outputs, *weights = (torch.tensor(array) for array in policy.arrays)
    lstm = torch.nn.LSTM(8, 8, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        for parameter, weight in zip(lstm.parameters(), weights, strict=True):
            parameter.copy_(weight)
    starts = {"shared": (0, 3, 0), "point": (0, 3, 5)}[heads]
    for codes in itertools.product(range(3), range(2), range(3)):
        x, state, total = embeddings[-1], None, 0.0
        for start, size, code in zip(starts, (3, 2, 3), codes, strict=True):
            out, state = lstm(x[None], state) if state is not None else lstm(x[None])
            logits = 1.5 * torch.tanh(outputs[start : start + size] @ out[0] / 3.0)
            total += torch.log_softmax(logits, 0)[code].item()
            x = embeddings[start + code]
        batch = space.batch([space.decision(dict(zip("abc", codes, strict=True)))])
        assert log_prob(policy, batch)[0] == pytest.approx(total, rel=1e-9)


def test_the_lstm_starts_between_the_published_bounds_and_nearly_uniform() -> None:
    space = Space(tuple(OneOf(f"p{number}", tuple(range(5))) for number in range(20)))
    policy = LSTMPolicy(space, adam=Adam(), tanh_constant=1.1)
    assert all(0.09 < np.abs(array).max() <= 0.1 for array in policy.arrays)
    entropy = policy.entropy(policy.sample(20, np.random.default_rng(0)))
    assert entropy == pytest.approx(20 * math.log(5), abs=0.01)


def test_a_real_range_has_a_density() -> None:
    space = Space((OneOf("a", (0, 1)), FloatRange("rate", 1e-4, 1e-1, log=True)))
    middles = (np.arange(4000) + 0.5) / 4000
    values = np.exp(math.log(1e-4) + middles * math.log(1e3))
    for kind in KINDS:
        policy = made(kind, space, 2)
        total = 0.0
        for a in (0, 1):
            batch = space.batch([space.decision({"a": a, "rate": float(value)}) for value in values])
            total += np.exp(log_prob(policy, batch)).mean()
        assert total == pytest.approx(1.0, abs=2e-3)
    uniform = made(FactorisedPolicy, space, None)
    assert log_prob(uniform, batch) == pytest.approx(math.log(0.5), abs=1e-6)
    edges = space.batch([space.decision({"a": 0, "rate": rate}) for rate in (1e-4, 1e-1)])
    assert np.isfinite(log_prob(uniform, edges)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_real_draws_follow_the_density(kind: type) -> None:
    space = Space((OneOf("a", (0, 1)), FloatRange("rate", 0.0, 2.0)))
    policy = made(kind, space, 8)
    drawn = policy.sample(6000, np.random.default_rng(0))
    rates = drawn.column("rate")[drawn.column("a") == 1]
    edges = np.linspace(0.0, 2.0, 9)
    grid = (np.arange(1600) + 0.5) / 800
    batch = space.batch([space.decision({"a": 1, "rate": float(rate)}) for rate in grid])
    density = np.exp(log_prob(policy, batch)).reshape(8, 200).mean(axis=1)
    seen = np.histogram(rates, edges)[0] / len(rates)
    assert seen == pytest.approx(density / density.sum(), abs=0.035)


def test_large_ranges_are_halved_and_sharpen() -> None:
    space = Space((IntRange("n", 1, 100_000),))
    for kind, lr in ((FactorisedPolicy, 0.3), (LSTMPolicy, 0.05)):
        policy = kind(space, adam=Adam(lr))
        rng = np.random.default_rng(0)
        target = space.batch([space.decision({"n": 70_001})])
        for _ in range(60):
            policy.reinforce(target, np.ones(1))
        drawn = policy.sample(200, rng).column("n") + 1
        assert np.median(np.abs(drawn - 70_001)) < 2000


def test_the_global_generator_of_torch_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    policy = LSTMPolicy(TREE, adam=Adam(), readout=True)
    batch = policy.sample(5, np.random.default_rng(0))
    policy.reinforce(batch, np.ones(5), memory=batch)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_training_does_not_depend_on_the_mode_around_it(mode: Any) -> None:
    plain, inside = (LSTMPolicy(TREE, adam=Adam(), tanh_constant=1.1) for _ in range(2))
    batch = plain.sample(5, np.random.default_rng(0))
    plain.reinforce(batch, np.arange(5.0))
    with mode():
        inside.reinforce(batch, np.arange(5.0))
    assert all((a == b).all() for a, b in zip(plain.arrays, inside.arrays, strict=True))


# -------------------------------------------------------------------- memory


def final_states(policy: LSTMPolicy, batch: Batch) -> Any:
    return policy.follow(batch)[1][-1].detach().numpy().astype(np.float64)


def decodable(policy: LSTMPolicy, space: Space) -> float:
    """Return the share of choices that ridge regression reads off the last state, on unseen decisions."""
    batch = space.sample(400, np.random.default_rng(9))
    states = final_states(policy, batch)
    scaled = (states - states[:300].mean(axis=0)) / (states[:300].std(axis=0) + 1e-12)
    features = np.concatenate([scaled, np.ones((400, 1))], axis=1)
    known, target = features[:300], space.encode(batch)
    fitted = np.linalg.solve(known.T @ known + 1e-3 * np.eye(known.shape[1]), known.T @ target[:300])
    shape = (100, len(space), -1)
    guess = (features[300:] @ fitted).reshape(shape).argmax(axis=2)
    return float((guess == target[300:].reshape(shape).argmax(axis=2)).mean())


def similarity(policy: LSTMPolicy, space: Space) -> float:
    """Return the correlation of distances between states with numbers of differing choices."""
    batch = space.sample(150, np.random.default_rng(8))
    states = final_states(policy, batch)
    apart = np.linalg.norm(states[:, None] - states, axis=2)
    differ = (batch.codes[:, None] != batch.codes).sum(axis=2)
    pairs = np.triu_indices(150, 1)
    return float(np.corrcoef(apart[pairs], differ[pairs])[0, 1])


def test_a_memory_makes_the_last_state_tell_what_was_chosen() -> None:
    """The finding of the paper: states then correlate with how much architectures have in common."""
    space = Space(tuple(OneOf(f"p{number}", (0, 1, 2)) for number in range(10)))
    policies = [LSTMPolicy(space, adam=Adam(0.03), tanh_constant=1.1, readout=True) for _ in range(2)]
    rng = np.random.default_rng(0)
    for _ in range(250):
        batch = space.sample(10, rng)
        weights = rng.normal(size=10)
        policies[0].reinforce(batch, weights)
        policies[1].reinforce(batch, weights, memory=batch)
    forgetful, remembering = (similarity(policy, space) for policy in policies)
    assert forgetful < 0.35
    assert remembering > 0.5
    assert decodable(policies[1], space) > decodable(policies[0], space) + 0.07


def test_reading_back_needs_its_parameters() -> None:
    policy = LSTMPolicy(TREE, adam=Adam())
    with pytest.raises(ValueError, match="make the policy with readout=True"):
        policy.recall(TREE.sample(1, np.random.default_rng(0)))
