"""The controllers of ENAS: the contract of all algorithms, and what is published of their arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symnas.algorithms import ENAS, ENASMacro, Reinforce
from symnas.algorithms.policy_gradient.lstm import LSTMPolicy
from symnas.algorithms.policy_gradient.policies import Adam, log_softmax
from symnas.contracts.algorithm import Algorithm
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import AlgorithmError
from symnas.testing.contract import AlgorithmContract
from symnas.tree.choices import OneOf
from symnas.tree.space import Space

SPACE = Space(
    (
        OneOf("input", (0, 1, 2)),
        OneOf("op", ("conv", "pool", "skip")),
        OneOf("link", (False, True)),
        OneOf("jump", (True, False)),
    )
)


class TestENAS(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return ENAS()


@pytest.mark.thorough
class TestENASMacro(AlgorithmContract):
    learns = exhausts = False

    def make(self) -> Algorithm:
        return ENASMacro(memory=20)


def test_the_published_settings() -> None:
    assert ENAS().sharing == {"alternate": 300, "score": "batch"}
    assert ENASMacro().sharing == {"alternate": 1000, "score": "batch"}
    micro, macro = ENAS().hyperparameters, ENASMacro().hyperparameters
    assert (micro["lr"], micro["tanh_constant"], micro["reduce"]) == (0.0035, 1.1, 2.5)
    assert (macro["lr"], macro["tanh_constant"], macro["skip_target"], macro["skip_weight"]) == (
        0.001, 1.5, 0.4, 0.8,
    )  # fmt: skip
    assert micro["beta1"] == macro["beta1"] == 0.0
    assert ENAS.capabilities.shared_weights


def controller(**changes: object) -> LSTMPolicy:
    return LSTMPolicy(SPACE, tanh_constant=1.1, adam=Adam(), double=True, **changes)  # type: ignore[arg-type]


def marginals(policy: LSTMPolicy) -> tuple[dict[tuple[str, object], float], float]:
    """Return, by enumeration, the probability of every value, and that all add up to one."""
    decisions = list(SPACE.enumerate())
    shares = np.exp(policy.log_prob(SPACE.batch(decisions)).detach().numpy())
    found: dict[tuple[str, object], float] = {}
    for decision, share in zip(decisions, shares.tolist(), strict=True):
        for address, value in decision.items():
            found[address, value] = found.get((address, value), 0.0) + share
    return found, float(shares.sum())


def test_operations_are_bounded_more_tightly_than_inputs() -> None:
    made = controller(reduce=2.5)
    for array in made.arrays:
        array *= 60.0  # every logit at its bound
    found, total = marginals(made)
    assert total == pytest.approx(1.0)
    for address, bound in (("input", 1.1), ("op", 1.1 / 2.5)):
        shares = [share for (name, _), share in found.items() if name == address]
        assert max(shares) / min(shares) == pytest.approx(np.exp(2 * bound), rel=0.2)
    drawn = made.sample(4000, np.random.default_rng(0))
    counts = np.unique(drawn.codes[:, 1], return_counts=True)[1] / 4000
    expected = [found["op", value] for value in ("conv", "pool", "skip")]
    np.testing.assert_allclose(counts, expected, atol=0.03)


def test_the_skip_penalty_is_the_divergence_from_the_target() -> None:
    made = controller()
    for array in made.arrays:
        array *= 8.0
    decision = SPACE.default
    batch = SPACE.batch([decision])
    terms = []
    for address in ("link", "jump"):
        # The probability of True after all that comes before, by enumeration of what comes after.
        rows = [d for d in SPACE.enumerate() if all(d[a] == decision[a] for a in before(address))]
        shares = np.exp(made.log_prob(SPACE.batch(rows)).detach().numpy())
        true = sum(s for s, d in zip(shares, rows, strict=True) if d[address]) / shares.sum()
        terms.append(true * np.log(true / 0.4) + (1 - true) * np.log((1 - true) / 0.6))
    assert made.divergence(batch, 0.4).item() == pytest.approx(np.mean(terms), rel=1e-9)


def before(address: str) -> list[str]:
    addresses = list(SPACE.addresses)
    return addresses[: addresses.index(address)]


def test_the_penalty_alone_brings_the_share_of_skips_to_its_target() -> None:
    made = LSTMPolicy(SPACE, tanh_constant=2.5, adam=Adam(lr=0.02))
    rng = np.random.default_rng(0)
    for _ in range(150):
        made.reinforce(made.sample(20, rng), np.zeros(20), skips=(0.2, 1.0))
    drawn = list(made.sample(2000, rng))
    share = np.mean([[decision["link"], decision["jump"]] for decision in drawn])
    assert share == pytest.approx(0.2, abs=0.05)
    others = np.unique([decision["input"] for decision in drawn], return_counts=True)[1] / 2000
    np.testing.assert_allclose(others, 1 / 3, atol=0.06)


def test_no_skips_to_penalise_is_no_penalty() -> None:
    space = Space((OneOf("op", ("a", "b")),))
    made = LSTMPolicy(space, adam=Adam())
    assert made.divergence(space.batch([space.default]), 0.4).item() == 0.0


def test_without_bounds_and_skips_it_is_reinforce() -> None:
    one, two = ENAS(reduce=1.0), Reinforce()
    for algorithm in (one, two):
        algorithm.setup(SPACE)
        rng = np.random.default_rng(4)
        for call in range(30):
            batch = algorithm.propose(1, np.random.default_rng([0, call]))
            value = float(rng.random())
            algorithm.observe(batch, [Outcome(Status.DONE, (value,))])
    ours, theirs = one.policy, two.policy
    assert isinstance(ours, LSTMPolicy)
    assert isinstance(theirs, LSTMPolicy)
    assert all(np.array_equal(a, b) for a, b in zip(ours.arrays, theirs.arrays, strict=True))
    assert not np.array_equal(ours.arrays[0], LSTMPolicy(SPACE, adam=Adam()).arrays[0])


def test_the_macro_controller_applies_its_penalty() -> None:
    one, two = ENASMacro(batch=4, skip_weight=0.0), ENASMacro(batch=4)
    for algorithm in (one, two):
        algorithm.setup(SPACE)
        batch = algorithm.propose(4, np.random.default_rng(0))
        algorithm.observe(batch, [Outcome(Status.DONE, (0.5,))] * 4)
    assert isinstance(one.policy, LSTMPolicy)
    assert isinstance(two.policy, LSTMPolicy)
    assert not np.array_equal(one.policy.arrays[1], two.policy.arrays[1])


def test_log_probabilities_follow_from_bounded_logits() -> None:
    made = controller(reduce=2.5)
    for array in made.arrays:
        array *= 10.0
    first = SPACE.batch([SPACE.default])
    with torch.no_grad():
        state = made.follow(first)[1]
    start = made.start_of(made.sequencer.points[SPACE.compiled.layout.entry("op").number])
    raw = made.arrays[1][start : start + 3] @ state[1, 0].detach().numpy()
    expected = log_softmax(1.1 / 2.5 * np.tanh(raw))
    rows = [d for d in SPACE.enumerate() if d["input"] == 0]
    shares = np.exp(made.log_prob(SPACE.batch(rows)).detach().numpy())
    for place, op in enumerate(("conv", "pool", "skip")):
        share = sum(s for s, d in zip(shares, rows, strict=True) if d["op"] == op) / shares.sum()
        assert np.log(share) == pytest.approx(expected[place], rel=1e-9)


def test_a_skip_target_at_an_end_is_refused() -> None:
    with pytest.raises(AlgorithmError, match="skip_target is a share between 0 and 1, ends excluded; got 1"):
        ENASMacro(skip_target=1)
