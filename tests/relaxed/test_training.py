from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from relaxed_by_hand import ByHand, Stub
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from symnas import Task
from symnas.algorithms import DARTS, DARTSPT, GDAS, PCDARTS, Proxyless, SharpDARTS
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm
from symnas.contracts.relaxed_points import Mixture
from symnas.errors import AlgorithmError, EvaluatorError
from symnas.relaxed.epochs import Epoch, epochs_back
from symnas.relaxed.perturbation import select
from symnas.relaxed.search import Derived, relax
from symnas.relaxed.training import RelaxedTraining
from symnas.training.split import part


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of right answers."""
    return (outputs.argmax(1) == targets).float().mean()


def task(examples: int = 160, features: int = 4, **options: Any) -> Task:
    """Return a task that takes a bend: whether the first feature is far from zero."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(examples, features, generator=generator)
    data = (inputs, (inputs[:, 0].abs() > 0.7).long())
    settings = {"train": data, "valid": data, "metrics": {"accuracy": accuracy}} | options
    return Task(loss=torch.nn.functional.cross_entropy, **settings)


FAST = {"lr": 0.2, "arch_lr": 0.1, "arch_decay": 0.0, "batch_size": 16, "warmup": 0, "held_out": 0.4}
LONG = {**FAST, "epochs": 12, "arch_lr": 0.05, "batch_size": 20}
ALL = [
    DARTS(**LONG),
    DARTS(**{**LONG, "epochs": 6}, order=2),
    PCDARTS(**LONG, partial=1),
    GDAS(**LONG),
    Proxyless(**LONG, every=1),
    SharpDARTS(**LONG),
]
SHORT = [
    DARTS(epochs=4, **FAST),
    DARTS(epochs=4, order=2, **FAST),
    GDAS(epochs=4, **FAST),
    Proxyless(epochs=4, every=2, **FAST),
    DARTSPT(epochs=2, tune=1, **FAST),
    DARTS(epochs=4, stop="eigenvalue", **FAST),
]


def search(algorithm: RelaxedAlgorithm, the_task: Task | None = None, **options: Any) -> Derived:
    """Run a relaxed search of the network written by hand."""
    return relax(Stub(), the_task or task(), algorithm, **options)  # type: ignore[arg-type]


def training(algorithm: RelaxedAlgorithm, the_task: Task | None = None, **options: Any) -> RelaxedTraining:
    """Return a network written by hand, in training."""
    return RelaxedTraining(the_task or task(), ByHand(0, **options), algorithm, 0)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what is found


@pytest.mark.parametrize("algorithm", ALL, ids=lambda a: f"{type(a).__name__}{a.order}")
def test_the_planted_op_is_found(algorithm: RelaxedAlgorithm) -> None:
    # Without a bend, in the first op or on the edge, nothing does better than always the same answer.
    found = relax(Stub(size=6), task(500, 6), algorithm, seed=3)  # type: ignore[arg-type]
    values = dict(found.decision)
    assert "linear" in (values["op"], values[f"{values['edges'][0]}.op"])
    assert values["op"] != "none"
    assert found.history[-1].valid_loss < found.history[0].valid_loss
    assert found.history[-1].entropy < found.history[0].entropy < 1.0


def test_the_same_seed_gives_the_same_search_and_another_one_another() -> None:
    first, again, other = (search(SHORT[0], seed=seed) for seed in (3, 3, 4))
    assert first.history == again.history
    assert first.history != other.history
    assert equal(first.network, again.network)


def test_global_generators_neither_matter_nor_move() -> None:
    torch.manual_seed(5)
    first, state = search(SHORT[2], seed=3), torch.get_rng_state()
    torch.manual_seed(6)
    again = search(SHORT[2], seed=3)
    torch.manual_seed(5)
    assert torch.equal(state, torch.get_rng_state())
    assert first.history == again.history


def equal(first: Any, second: Any) -> bool:
    """Whether two networks have the same weights and logits, bit for bit."""
    ours, theirs = first.state_dict(), second.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("algorithm", SHORT, ids=lambda a: f"{type(a).__name__}{a.order}{a.stop}")
@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_search_that_was_killed_goes_on_bit_for_bit(
    algorithm: RelaxedAlgorithm, stop_after: int, tmp_path: Path
) -> None:
    file, calls = tmp_path / "search.pt", itertools.count(1)

    def kill(_: Epoch) -> None:
        if next(calls) == stop_after:
            raise KeyboardInterrupt("killed")

    with pytest.raises(KeyboardInterrupt, match="killed"):
        search(algorithm, seed=2, file=file, on_epoch=kill)
    assert file.is_file()
    epochs: list[int] = []
    resumed = search(algorithm, seed=2, file=file, on_epoch=lambda done: epochs.append(done.epoch))
    whole = search(algorithm, seed=2)
    assert repr(resumed.history) == repr(whole.history)  # NaN does not equal itself
    assert dict(resumed.decision) == dict(whole.decision)
    assert equal(resumed.network, whole.network)
    assert epochs[0] > 0  # it did not start again


def test_a_torn_file_is_told_and_the_search_begins_again(tmp_path: Path) -> None:
    file = tmp_path / "search.pt"
    file.write_bytes(b"torn")
    with pytest.warns(UserWarning, match="the relaxed search in .* cannot be read"):
        found = search(SHORT[0], seed=2, file=file)
    assert equal(found.network, search(SHORT[0], seed=2).network)


def test_a_place_that_cannot_be_written_costs_no_result(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="a relaxed search cannot be written to"):
        found = search(DARTS(epochs=1, **FAST), file=tmp_path / "file" / "search.pt")
    assert len(found.history) == 1


# ---------------------------------------------------------------- steps


def test_logits_rest_during_the_warm_up_and_move_afterwards() -> None:
    run = training(DARTS(**{**FAST, "epochs": 3, "warmup": 1}))
    before = {address: own.detach().clone() for address, own in run.logits.items()}
    assert math.isnan(run.run_epoch().valid_loss)
    assert all(torch.equal(own, before[address]) for address, own in run.logits.items())
    assert math.isfinite(run.run_epoch().valid_loss)
    assert not any(torch.equal(run.logits[a], before[a]) for a in ("op", "first.op", "second.op"))


@pytest.mark.parametrize("weights_first", [False, True])
def test_steps_take_turns_as_the_algorithm_says(weights_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    run = training(DARTS(epochs=1, every=2, weights_first=weights_first, **FAST))
    order: list[str] = []
    for name in ("_move_weights", "_move_logits"):
        whole = getattr(run, name)
        monkeypatch.setattr(
            run, name, lambda *a, name=name, whole=whole: (order.append(name[6:]), whole(*a))[1]
        )
    run.run_epoch()
    first, second = ("weights", "logits") if weights_first else ("logits", "weights")
    assert order == ["weights", first, second] * 3


def test_a_weights_step_moves_no_logits_and_a_logits_step_no_weights() -> None:
    run = training(DARTS(epochs=1, **FAST))
    example = next(iter(run.batches.read(None, run.device)))
    logits = [own.detach().clone() for own in run.logits.values()]
    run._move_weights(example)
    assert all(torch.equal(a, b) for a, b in zip(logits, run.logits.values(), strict=True))
    weights = [weight.detach().clone() for weight in run.weights]
    run._move_logits(example, example)
    assert all(torch.equal(a, b) for a, b in zip(weights, run.weights, strict=True))
    assert not torch.equal(logits[0], next(iter(run.logits.values())))


@pytest.mark.parametrize("form", ["linear", "log"])
def test_a_cost_moves_logits_to_what_is_cheap(form: str) -> None:
    table = (("op", (50.0, 1.0, 1.0)), ("first.op", (40.0, 1.0)), ("second.op", (40.0, 1.0)))
    settings = {**FAST, "arch_lr": 0.05, "epochs": 6}
    free = search(DARTS(**settings), seed=1)
    costly = search(DARTS(cost=table, cost_form=form, cost_weight=20.0, cost_power=1.0, **settings), seed=1)
    assert costly.probabilities["op"][0] < 0.8 * free.probabilities["op"][0]
    assert all(costly.probabilities[f"{edge}.op"][0] < 0.5 for edge in ("first", "second"))


def test_a_cost_is_compared_with_what_is_expected_first_unless_told_otherwise() -> None:
    table = (("op", (3.0, 3.0, 3.0)),)
    run = training(DARTS(cost=table, **FAST))
    loss = torch.tensor(2.0)
    mixes = run.mean_mixes()
    assert float(run._with_cost(loss, run.logits, mixes).detach()) == pytest.approx(2.0)
    run = training(DARTS(cost=table, cost_target=2.0, cost_weight=0.5, **FAST))
    assert float(run._with_cost(loss, run.logits, mixes).detach()) == pytest.approx(2.0 + 0.5 * (3 - 2) / 2)
    log = DARTS(cost=table, cost_target=2.0, cost_weight=0.5, cost_form="log", cost_power=2.0, **FAST)
    wanted = 2.0 * 0.5 * (math.log(3) / math.log(2)) ** 2
    assert float(training(log)._with_cost(loss, run.logits, mixes).detach()) == pytest.approx(wanted)


# ---------------------------------------------------------------- selection


def test_perturbation_keeps_what_is_missed_most() -> None:
    run = training(DARTSPT(epochs=3, tune=0, **FAST))
    while not run.over:
        run.run_epoch()
    twin = training(DARTSPT(epochs=3, tune=0, **FAST))
    twin.restore(run.state())
    select(run, 5, lambda: None)

    def score(gone: dict[str, tuple[int, ...]]) -> float:
        mixes = {}
        for point in twin.points:
            own = twin.logits[point.address].detach()
            weights = torch.ones(2) if point.kind == "edges" else own.softmax(0)
            if point.address in decided and point.kind != "edges":
                weights = torch.zeros(len(own))
                weights[decided[point.address]] = 1.0
            weights = weights.clone()
            weights[list(gone.get(point.address, ()))] = 0.0
            mixes[point.address] = Mixture(weights)
        inputs, targets = map(torch.cat, zip(*twin.held.read(None, twin.device), strict=True))
        return float(accuracy(twin.network(inputs, mixes=mixes), targets))

    # Decided one after the other, in the order in which the points were decided there.
    decided: dict[str, int] = {}
    for address in (address for address in run.ruled_out if address != "edges"):
        point = next(p for p in twin.points if p.address == address)
        able = [index for index in range(len(point.labels)) if index not in point.zero]
        decided[address] = min(able, key=lambda index: score({address: (index,)}))
    values = run.values()
    kept = 0 if score({"edges": (1,)}) >= score({"edges": (0,)}) else 1
    assert values["op"] == twin.points[0].labels[decided["op"]]
    assert values["edges"] == (("first", "second")[kept],)
    assert len(values) == 3


def test_perturbation_tunes_after_each_decision_and_counts_as_epochs() -> None:
    found = search(DARTSPT(epochs=2, tune=2, **FAST), seed=0)
    # Four points: three of which one is chosen, and the edges.
    assert len(found.history) == 2 + 2 * 4
    rates = [done.lr for done in found.history[2:]]
    assert rates[0] == pytest.approx(0.02)
    assert rates == sorted(rates, reverse=True)


def test_every_algorithm_can_select_by_perturbation() -> None:
    for algorithm in (GDAS, Proxyless, SharpDARTS):
        found = search(algorithm(epochs=1, select="perturbation", tune=1, **FAST))
        assert max(found.probabilities["op"]) == 1.0
        assert len(found.history) == 5


# ---------------------------------------------------------------- stopping early


def epochs(**columns: list[float]) -> list[Epoch]:
    """Return a history of epochs of which only some columns matter."""
    rows = zip(*columns.values(), strict=True)
    usual = {"train_loss": 1.0, "valid_loss": 1.0, "lr": 0.1, "skips": 0.0, "entropy": 1.0}
    return [Epoch(number, **usual | dict(zip(columns, row, strict=True))) for number, row in enumerate(rows)]


def test_too_many_skip_connections_end_a_search() -> None:
    how = DARTS(stop="skips", skip_limit=0.5)
    assert epochs_back(how, epochs(skips=[0.0, 0.5])) == 0
    assert epochs_back(how, epochs(skips=[0.5, 0.6])) == 1
    assert epochs_back(DARTS(), epochs(skips=[0.5, 1.0])) == 0


def test_a_growing_eigenvalue_ends_a_search_five_epochs_ago() -> None:
    how = DARTS(stop="eigenvalue")
    assert epochs_back(how, epochs(eigenvalue=[1.0] * 10)) == 0
    assert epochs_back(how, epochs(eigenvalue=[1.0] * 5 + [1.3] * 5)) == 0
    assert epochs_back(how, epochs(eigenvalue=[1.0] * 5 + [1.4] * 5)) == 5
    assert epochs_back(how, epochs(eigenvalue=[-1.0] * 5 + [-1.4] * 5)) == 5
    assert epochs_back(how, epochs(eigenvalue=[1.0] * 4 + [9.0] * 5)) == 0


def test_a_search_that_ends_early_goes_back_to_the_logits_of_then() -> None:
    how = DARTS(epochs=9, stop="skips", skip_limit=0.6, **FAST)
    run, past = training(how), []
    with torch.no_grad():
        for address in ("op", "first.op", "second.op"):
            run.logits[address][0] += 5.0
    assert run.run_epoch().skips == 0.0
    past.append({address: own.detach().clone() for address, own in run.logits.items()})
    with torch.no_grad():
        for address in ("op", "first.op", "second.op"):
            run.logits[address][1] += 20.0
    assert not run.over
    assert run.run_epoch().skips == 1.0
    assert run.over
    assert all(torch.equal(own, past[0][address]) for address, own in run.logits.items())


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("name", ["linear", "skip"])
def test_a_candidate_that_gives_nan_is_named(name: str) -> None:
    with pytest.raises(EvaluatorError, match=rf"in epoch 0 it is nan, because of candidate '{name}' of 'op'"):
        training(DARTS(**FAST), spoil=name).run_epoch()


def test_weights_that_diverge_are_told_apart() -> None:
    with pytest.raises(EvaluatorError, match=r"the weights have diverged\. Lower lr"):
        search(DARTS(epochs=3, **{**FAST, "lr": 1e30}, clip=0.0))


def test_a_loss_that_is_finite_along_single_paths_is_told_apart() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        calls.append(1)
        return outputs.sum() * (math.inf if len(calls) == 1 else 0.0)

    calls: list[int] = []
    with pytest.raises(EvaluatorError, match="though along single paths it is finite"):
        RelaxedTraining(
            Task(train=task().train, valid=task().valid, loss=loss),
            ByHand(0),
            DARTS(**FAST),
            0,  # type: ignore[arg-type]
        ).run_epoch()


def test_only_algorithms_that_relax_are_taken() -> None:
    with pytest.raises(AlgorithmError, match="relax takes an algorithm that trains all candidates at once"):
        search("random")  # type: ignore[arg-type]


# ---------------------------------------------------------------- data


def parted(data: Any, share: float, **options: Any) -> list[list[float]]:
    """Return the inputs of both parts, sorted."""
    both = part(data, share, 4, options.get("seed", 0))
    return [
        sorted(torch.cat([x for x, _ in batches.read(None, torch.device("cpu"))]).flatten().tolist())
        for batches in both
    ]


@pytest.mark.parametrize("kind", ["pair", "dataset", "loader"])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_parts_of_the_data_are_disjoint_and_together_all_of_it(kind: str, share: float) -> None:
    pair = (torch.arange(20.0)[:, None], torch.zeros(20))
    data: Any = {"pair": pair, "dataset": TensorDataset(*pair), "loader": DataLoader(TensorDataset(*pair), 3)}
    weights, logits = parted(data[kind], share)
    assert sorted(weights + logits) == list(range(20))
    assert len(logits) == 20 * share
    assert parted(data[kind], share)[1] == logits
    assert parted(data[kind], share, seed=1)[1] != logits


def test_several_inputs_are_parted_alike() -> None:
    numbers = torch.arange(8.0)
    first, _ = part(((numbers, 2 * numbers), numbers), 0.5, 8, 0)
    ((one, two), targets) = next(iter(first.read(None, torch.device("cpu"))))
    assert torch.equal(two, 2 * one)
    assert torch.equal(one, targets)


def test_data_that_cannot_be_parted_are_refused() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([])

    with pytest.raises(EvaluatorError, match="a stream cannot be parted"):
        part(DataLoader(Stream()), 0.5, 4, 0)
    with pytest.raises(EvaluatorError, match=r"a share of 0\.1 of 3 .* leaves no example for the logits"):
        part((torch.zeros(3, 1), torch.zeros(3)), 0.1, 4, 0)


def test_holding_nothing_back_trains_logits_on_the_validation_data() -> None:
    run = training(DARTS(**{**FAST, "held_out": 0.0}), task(valid=(torch.ones(3, 4), torch.zeros(3).long())))
    assert run.batches.name == "train"
    assert [len(targets) for _, targets in run.held.read(None, run.device)] == [3]
