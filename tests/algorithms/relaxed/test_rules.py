from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from relaxed_by_hand import ByHand, Stub
from torch import Tensor

from symnas.algorithms import DARTS, DARTSPT, GDAS, PCDARTS, Proxyless, SharpDARTS
from symnas.algorithms.relaxed.sharp_darts import annealed
from symnas.contracts.registry import available, resolve
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm
from symnas.contracts.relaxed_points import Mixture, RelaxedPoint
from symnas.errors import AlgorithmError

ALL = [DARTS(), DARTS(order=2), PCDARTS(), GDAS(), Proxyless(), SharpDARTS(), DARTSPT()]
NAMES = ("darts", "darts-pt", "gdas", "pc-darts", "proxyless", "sharp-darts")
OP = RelaxedPoint("op", ("a", "b", "c"))


def generator(seed: int = 0) -> torch.Generator:
    """Return a generator that is seeded."""
    return torch.Generator().manual_seed(seed)


def logits_of(*values: float) -> Tensor:
    """Return logits in double precision that ask for gradients."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradient(loss: Tensor, leaf: Tensor) -> list[float]:
    """Return the gradient of a loss in one leaf."""
    found: list[float] = torch.autograd.grad(loss, leaf)[0].tolist()
    return found


# ---------------------------------------------------------------- what all of them keep


@pytest.mark.parametrize("algorithm", ALL, ids=repr)
def test_hyperparameters_are_kept_and_the_repr_reads_back(algorithm: RelaxedAlgorithm) -> None:
    again = eval(repr(algorithm), {type(algorithm).__name__: type(algorithm)})
    assert again.hyperparameters == algorithm.hyperparameters == algorithm.fresh().hyperparameters
    assert algorithm.capabilities.relaxed


@pytest.mark.parametrize("algorithm", ALL, ids=repr)
@pytest.mark.parametrize("step", ["weights", "logits"])
def test_mixes_are_a_function_of_logits_and_generator(algorithm: RelaxedAlgorithm, step: Any) -> None:
    net = ByHand(1)
    first = algorithm.mixes(net.points, net.logits, 0.3, generator(5), step)
    again = algorithm.mixes(net.points, net.logits, 0.3, generator(5), step)
    assert list(first) == [point.address for point in net.points]
    for address, mix in first.items():
        assert torch.equal(mix.weights, again[address].weights)
        assert mix.active == again[address].active
        assert mix.weights.shape == net.logits[address].shape


@pytest.mark.parametrize("algorithm", ALL, ids=repr)
def test_the_loss_reaches_the_logits_of_every_point_that_a_step_runs(algorithm: RelaxedAlgorithm) -> None:
    net, inputs = ByHand(2), torch.randn(16, 4, generator=generator())
    reached = dict.fromkeys(net.logits, False)
    for seed in range(10):
        mixes = algorithm.mixes(net.points, net.logits, 0.5, generator(seed), "logits")
        loss = net(inputs, mixes=mixes)[:, 0].square().sum()
        for address, found in zip(
            reached, torch.autograd.grad(loss, list(net.logits.values()), allow_unused=True), strict=True
        ):
            reached[address] |= found is not None and bool(found.abs().max() > 0)
    # Edges with choices on them have logits that only edge normalisation uses.
    assert reached.pop("edges") is algorithm.edge_logits
    assert all(reached.values())


@pytest.mark.parametrize("algorithm", ALL, ids=repr)
def test_candidates_that_are_ruled_out_weigh_nothing(algorithm: RelaxedAlgorithm) -> None:
    logits = {"op": torch.tensor([0.3, -math.inf, 0.1])}
    for seed, step in itertools.product(range(20), ("weights", "logits")):
        mix = algorithm.mixes((OP,), logits, 1.0, generator(seed), step)["op"]  # type: ignore[arg-type]
        assert mix.weights[1] == 0.0
        assert bool(torch.isfinite(mix.weights).all())
        assert mix.active is None or 1 not in mix.active
    assert algorithm.derive((OP,), logits) == {"op": "a"}


@pytest.mark.parametrize("algorithm", ALL, ids=repr)
def test_learning_rates_fall_to_the_end(algorithm: RelaxedAlgorithm) -> None:
    rates = [algorithm.learning_rate(epoch) for epoch in range(algorithm.epochs)]
    assert max(rates) == pytest.approx(algorithm.lr * (2 if isinstance(algorithm, Proxyless) else 1))
    assert rates[-1] < 0.1 * algorithm.lr
    assert min(rates) >= algorithm.lr_min


def test_the_published_defaults() -> None:
    darts, pc, gdas, proxyless = DARTS(), PCDARTS(), GDAS(), Proxyless()
    assert (darts.epochs, darts.batch_size, darts.lr, darts.lr_min, darts.clip) == (50, 64, 0.025, 0.001, 5.0)
    assert (darts.arch_lr, darts.arch_betas, darts.arch_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert (darts.momentum, darts.weight_decay, darts.held_out) == (0.9, 3e-4, 0.5)
    assert (pc.partial, pc.batch_size, pc.lr, pc.arch_lr, pc.warmup) == (4, 256, 0.1, 6e-4, 15)
    assert (gdas.epochs, gdas.tau_max, gdas.tau_min) == (240, 10.0, 0.1)
    assert (proxyless.arch_lr, proxyless.arch_betas, proxyless.every) == (1e-3, (0.0, 0.999), 5)
    assert (proxyless.cost_form, proxyless.cost_weight, proxyless.cost_power) == ("log", 0.2, 0.3)
    assert DARTSPT().select == "perturbation"


def test_the_names_are_listed_as_relaxed() -> None:
    listed = {info.name for info in available() if info.capabilities and info.capabilities.relaxed}
    assert set(NAMES) <= listed
    assert all(isinstance(resolve(name), RelaxedAlgorithm) for name in NAMES)


def test_asking_without_a_task_says_what_is_missing() -> None:
    algorithm = resolve("darts")
    algorithm.setup(Stub().space)
    with pytest.raises(AlgorithmError, match="DARTS chooses by training all candidates at once"):
        algorithm.propose(1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is a whole number of at least 1; got 0"),
        ({"epochs": 1.5}, "epochs is a whole number of at least 1; got 1.5"),
        ({"lr": -1}, "lr is a number of at least 0; got -1"),
        ({"order": 3}, "order is 1 or 2; got 3"),
        ({"held_out": 2}, "held_out is a number between 0 and 1; got 2"),
        ({"select": "perturb"}, r"select is one of 'argmax', 'perturbation'; got 'perturb' \(did you mean"),
        ({"cost": "param"}, r"cost is 'params', 'flops', a table of .*; got 'param' \(did you mean 'params'"),
        ({"stop": "now"}, "stop is one of '', 'skips', 'eigenvalue'; got 'now'"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AlgorithmError, match=message):
        resolve("darts", options)


def test_options_of_single_algorithms_are_checked() -> None:
    with pytest.raises(AlgorithmError, match="the temperature falls from tau_max to tau_min"):
        GDAS(tau_min=20.0)
    with pytest.raises(AlgorithmError, match=r"power is a number of at least 1; got 0\.5"):
        SharpDARTS(power=0.5)
    with pytest.raises(AlgorithmError, match=r"the power of an annealing is at least 1; got 0\.5"):
        annealed(0.5, 0.5)


# ---------------------------------------------------------------- GDAS


def test_the_gumbel_trick_draws_candidates_by_their_probabilities() -> None:
    logits, draws = logits_of(0.0, 1.0, -0.5), generator(0)
    counts = np.zeros(3)
    for _ in range(4000):
        mix = GDAS().mix(OP, logits, 0.7, draws, "logits")
        assert mix.weights.tolist() == [float(i == mix.active[0]) for i in range(3)]  # type: ignore[index]
        counts[mix.active[0]] += 1  # type: ignore[index]
    wanted = logits.detach().softmax(0).numpy()
    assert np.abs(counts / 4000 - wanted).max() < 3.5 * math.sqrt(0.25 / 4000)


@given(st.integers(0, 1000), st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_the_gdas_gradient_is_that_of_the_softmax_at_the_drawn_candidate(seed: int, progress: float) -> None:
    values = (0.4, -0.3)
    outputs, slope = np.array([[1.0, 2.0], [-3.0, 0.5]]), np.array([0.7, -1.1])
    logits = logits_of(*values)
    mix = GDAS().mix(RelaxedPoint("op", ("a", "b")), logits, progress, generator(seed), "logits")
    assert mix.ghosts
    (drawn,) = mix.active or ()
    mixed = mix.weights[drawn] * torch.from_numpy(outputs[drawn]) + mix.weights[1 - drawn]
    found = gradient((mixed * torch.from_numpy(slope)).sum(), logits)
    # By hand: the same noise, the softmax's Jacobian, and what each weight is multiplied by.
    noise = -np.log(torch.empty(2, dtype=torch.float64).exponential_(generator=generator(seed)).numpy())
    tau = 10 - 9.9 * progress
    z = (np.array(values) - np.log(np.exp(values).sum()) + noise) / tau
    soft = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    assert drawn == int(np.argmax(z))
    per_weight = np.array([slope @ outputs[i] if i == drawn else slope.sum() for i in range(2)])
    wanted = (np.diag(soft) - np.outer(soft, soft)) @ per_weight / tau
    # The Jacobian of log softmax leaves it unchanged, as it only takes off what all logits have in common.
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def test_no_gradient_is_asked_for_in_the_steps_of_the_weights() -> None:
    mix = GDAS().mix(OP, torch.zeros(3), 0.0, generator(), "weights")
    assert not mix.ghosts
    assert not mix.weights.requires_grad


# ---------------------------------------------------------------- ProxylessNAS


def test_the_gradient_of_binary_gates_is_the_papers() -> None:
    point, values = RelaxedPoint("op", ("a", "b")), (0.8, -0.2)
    outputs = np.array([[1.0, -2.0], [0.5, 3.0]])
    p = np.exp(values) / np.exp(values).sum()
    seen = set()
    for seed in range(12):
        logits = logits_of(*values)
        mix = Proxyless().mix(point, logits, 0.0, generator(seed), "logits")
        assert sorted(mix.active or ()) == [0, 1]
        gates = mix.weights.detach().numpy()
        mixed = (mix.weights[:, None] * torch.from_numpy(outputs)).sum(0)
        found = gradient(mixed.square().sum(), logits)
        opened = int(gates.argmax())
        assert sorted(gates) == [0.0, 1.0]
        per_gate = outputs @ (2 * outputs[opened])
        wanted = [sum(per_gate[j] * p[j] * (float(i == j) - p[i]) for j in range(2)) for i in range(2)]
        assert found == pytest.approx(wanted)
        seen.add(opened)
    assert seen == {0, 1}


def test_for_a_linear_loss_the_gradient_is_that_of_the_expected_loss() -> None:
    losses = torch.tensor([1.0, -2.0], dtype=torch.float64)
    logits = logits_of(0.8, -0.2)
    wanted = gradient((logits.softmax(0) * losses).sum(), logits)
    for seed in range(4):
        mix = Proxyless().mix(RelaxedPoint("op", ("a", "b")), logits, 0.0, generator(seed), "logits")
        assert gradient((mix.weights * losses).sum(), logits) == pytest.approx(wanted)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_step_leaves_the_probabilities_of_what_was_not_sampled(seed: int) -> None:
    algorithm = Proxyless(arch_lr=0.5)
    logits = torch.randn(5, dtype=torch.float64, generator=generator(seed)).requires_grad_()
    point = RelaxedPoint("op", tuple("abcde"))
    mixes = algorithm.mixes((point,), {"op": logits}, 0.0, generator(seed), "logits")
    before = {"op": logits.detach().clone()}
    pair = list(mixes["op"].active or ())
    with torch.no_grad():
        logits[pair] += torch.randn(2, dtype=torch.float64, generator=generator(seed + 1))
    algorithm.settle((point,), {"op": logits}, before, mixes)
    was, now = before["op"].softmax(0), logits.detach().softmax(0)
    others = [index for index in range(5) if index not in pair]
    assert len(pair) == 2
    assert torch.allclose(was[others], now[others])
    assert float(now[pair].sum()) == pytest.approx(float(was[pair].sum()))


def test_an_expected_cost_moves_only_what_was_sampled() -> None:
    logits = {"op": logits_of(0.1, 0.2, 0.3)}
    mixes = {"op": Mixture(torch.zeros(3), (0, 2))}
    shares = Proxyless().probabilities((OP,), logits, mixes)["op"]
    assert shares.tolist() == pytest.approx(logits["op"].softmax(0).tolist())
    found = gradient((shares * torch.tensor([1.0, 5.0, 2.0])).sum(), logits["op"])
    assert found[1] == 0.0
    assert found[0] != 0.0


def test_weights_are_trained_along_one_path_drawn_by_probability() -> None:
    logits, draws = logits_of(0.0, 1.0, -0.5), generator(0)
    counts = np.zeros(3)
    for _ in range(2000):
        mix = Proxyless().mix(OP, logits, 0.0, draws, "weights")
        (drawn,) = mix.active or ()
        assert mix.weights.tolist() == [float(i == drawn) for i in range(3)]
        counts[drawn] += 1
    assert np.abs(counts / 2000 - logits.detach().softmax(0).numpy()).max() < 3.5 * math.sqrt(0.25 / 2000)


def test_what_passes_nothing_on_may_be_derived_by_proxyless_alone() -> None:
    point = RelaxedPoint("op", ("conv", "none"), zero=(1,))
    logits = {"op": torch.tensor([0.0, 1.0])}
    assert Proxyless().derive((point,), logits) == {"op": "none"}
    assert DARTS().derive((point,), logits) == {"op": "conv"}


# ---------------------------------------------------------------- PC-DARTS and sharpDARTS


def test_edges_are_ranked_by_their_own_weight_times_their_candidates() -> None:
    points = ByHand().points
    logits = {
        "op": torch.zeros(3),
        "edges": torch.tensor([0.0, 1.0]),
        "first.op": torch.tensor([1.5, 0.0]),
        "second.op": torch.tensor([0.0, 1.0]),
    }
    first, second = (logits[f"{name}.op"].softmax(0).max() for name in ("first", "second"))
    beta = logits["edges"].softmax(0)
    assert beta[1] * second > beta[0] * first
    assert first > second
    assert PCDARTS().derive(points, logits)["edges"] == ("second",)
    assert DARTS().derive(points, logits)["edges"] == ("first",)
    mixes = PCDARTS().mixes(points, logits, 0.0, generator())
    assert torch.equal(mixes["edges"].weights, beta)
    assert DARTS().mixes(points, logits, 0.0, generator())["edges"].weights.tolist() == [1.0, 1.0]


def test_plain_candidates_of_a_subset_have_logits_of_their_own_everywhere() -> None:
    point = RelaxedPoint("edges", ("a", "b", "c"), "edges", keep=2)
    logits = {"edges": logits_of(0.5, 0.0, 1.0)}
    for algorithm in ALL:
        mix = algorithm.mixes((point,), logits, 0.0, generator())["edges"]
        assert mix.weights.tolist() == pytest.approx((2 * logits["edges"].softmax(0)).tolist())
        assert algorithm.derive((point,), logits) == {"edges": ("a", "c")}


def test_max_w_gives_the_largest_weight_one_and_no_gradient_to_grow_by() -> None:
    logits = logits_of(0.2, 1.0, -0.3)
    weights = SharpDARTS().mix(OP, logits, 0.0, generator(), "logits").weights
    w = logits.detach().softmax(0)
    assert weights.tolist() == pytest.approx((1 - w.max() + w).tolist())
    assert gradient(weights[1], logits) == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    held = SharpDARTS(detach_max=True).mix(OP, logits, 0.0, generator(), "logits").weights
    jacobian = torch.autograd.functional.jacobian(lambda a: a.softmax(0), logits)  # type: ignore[no-untyped-call]
    assert gradient(held[1], logits) == pytest.approx(jacobian[1].tolist())
    plain = SharpDARTS(max_w=False).mix(OP, logits, 0.0, generator(), "logits").weights
    assert plain.tolist() == pytest.approx(w.tolist())


@pytest.mark.parametrize("power", [1.0, 2.0, 10.0])
def test_cosine_power_annealing_is_its_formula_rescaled(power: float) -> None:
    t = np.linspace(0, 1, 51)
    c = (1 + np.cos(np.pi * t)) / 2
    q = c if power == 1 else power ** (c + 1)
    wanted = (q - q.min()) / (q.max() - q.min())
    assert [annealed(part, power) for part in t] == pytest.approx(wanted.tolist(), abs=1e-12)


def test_the_learning_rate_rises_for_five_epochs_and_then_falls() -> None:
    sharp = SharpDARTS(epochs=45)
    rates = np.array([sharp.learning_rate(epoch) for epoch in range(45)])
    share = (rates - sharp.lr_min) / (sharp.lr - sharp.lr_min)
    assert share[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    assert share[6:] == pytest.approx([annealed(n / 40, 10.0) for n in range(2, 41)])
    assert rates[-1] == pytest.approx(1e-4)


# ---------------------------------------------------------------- DARTS


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_darts_weighs_by_the_softmax(values: list[float]) -> None:
    mix = DARTS().mix(OP, torch.tensor(values), 0.0, generator(), "weights")
    wanted = np.exp(values) / np.exp(values).sum()
    assert mix.weights.tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
    assert mix.active is None
