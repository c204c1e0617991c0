"""Searches under shared weights: any algorithm, both modes, continuing, pairing, errors."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shared import accuracy, make_task, net, ops
from torch import Tensor, nn

import symnas
from symnas.contracts.outcome import Status
from symnas.errors import AlgorithmError, EvaluatorError, StudyError
from symnas.oneshot.estimator import SharedWeights
from symnas.oneshot.run import SharedRun
from symnas.study.pruners import Median
from symnas.study.store.memory import MemoryStore
from symnas.study.trials.trial import derived_seed


def run(program: symnas.Program, evaluate: Any, algorithm: Any = "random", **changes: Any) -> symnas.Study:
    settings: dict[str, Any] = {"trials": 12, "seed": 3, "progress": "silent"}
    return symnas.search(program, evaluate, algorithm=algorithm, **{**settings, **changes})


def listed(study: symnas.Study) -> list[tuple[Any, ...]]:
    return [(t.decision.flat(), t.status, dict(t.metrics), t.fidelity) for t in study.trials]


# -------------------------------------------------------------------- two phases


@pytest.mark.parametrize("algorithm", ["evolution", "mcts", "smbo", "reinforce", "local-search"])
def test_any_algorithm_searches_under_shared_weights(algorithm: str) -> None:
    study = run(ops(), SharedWeights(make_task(epochs=1)), algorithm, trials=8)
    assert [trial.status for trial in study.trials] == [Status.DONE] * 8
    assert study.best.metrics["accuracy"] == max(trial.metrics["accuracy"] for trial in study.trials)


def test_trained_weights_are_looked_up_and_scored_the_same_in_any_order() -> None:
    shared = SharedWeights(make_task())
    study = run(ops(), shared, "evolution", options={"population": 4, "tournament": 2}, trials=30)
    copied = [trial for trial in study.trials if trial.copied_from is not None]
    assert copied
    supernet = shared.fit(ops(), seed=derived_seed(3, "shared weights"))
    again = SharedWeights(make_task(), supernet=supernet).open(ops())
    for trial in reversed(study.trials):
        assert again.score(trial.decision) == dict(trial.metrics)


def test_a_score_is_that_of_the_extracted_child_with_statistics_of_its_own() -> None:
    task = make_task()
    shared = SharedWeights(task, recalibrate=3)
    opened = shared.open(net(), seed=1)
    opened.train(2)
    decision = net().space.draw(np.random.default_rng(0))
    before = {
        name: value.clone() for name, value in opened.supernet.state_dict().items() if torch.is_tensor(value)
    }
    scored = opened.score(decision)
    after = opened.supernet.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    child = opened.supernet.extract(decision)
    for layer in child.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.reset_running_stats()
            layer.momentum = None
    child.eval()
    for layer in child.modules():
        layer.train(isinstance(layer, nn.BatchNorm1d)) if not list(layer.children()) else None
    with torch.no_grad():
        for inputs in opened._seen():
            child(inputs)
    assert scored == pytest.approx(task.score(child), rel=1e-5)
    assert len(opened._seen()) == 3


def test_training_is_that_of_the_child_alone_where_there_is_nothing_to_choose() -> None:
    program = symnas.program(Plain, inputs=torch.zeros(2, 4))
    task = make_task(epochs=3, clip=0.5)
    supernet = SharedWeights(task).fit(program, seed=7)
    alone = SharedWeights(task, supernet=program.supernet(seed=7)).open(program).supernet.extract()
    task.fit(alone, seed=7)
    for name, value in supernet.extract().state_dict().items():
        torch.testing.assert_close(value, alone.state_dict()[name], rtol=1e-6, atol=1e-7)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        act = nn.ReLU()  # search: {nn.ReLU()}
        self.body = nn.Sequential(nn.Linear(4, 8), act, nn.Dropout(0.2), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("policy", ["fair", "sandwich", "progressive", "delayed", "sorted", "mcts"])
def test_every_policy_trains_by_name(policy: str) -> None:
    shared = SharedWeights(make_task(epochs=3), policy=policy)
    before, after = shared.open(net(), seed=1), shared.open(net(), seed=1)
    after.train(3)
    decisions = list(net().space.sample(6, np.random.default_rng(0)))
    losses = [np.mean([one.score(decision)["loss"] for decision in decisions]) for one in (before, after)]
    assert losses[1] < losses[0] - 0.1


# -------------------------------------------------------------------- alternating


def test_turns_of_training_come_between_trials_until_the_length_is_used_up() -> None:
    shared = SharedWeights(make_task(epochs=5), alternate=3, turn=2, score="batch")
    assert shared.usual_trials == 2 * 3 + 100
    study = run(net(), shared, "reinforce", trials=12)
    assert [trial.fidelity for trial in study.trials] == [2] * 3 + [4] * 3 + [5] * 6
    assert study.best.fidelity == 5
    assert all(trial.copied_from is None for trial in study.trials)
    whole = [trial.metrics["accuracy"] * 256 for trial in study.trials]
    assert all(abs(value - round(value)) < 1e-4 for value in whole[6:])
    batches = [trial.metrics["accuracy"] * 32 for trial in study.trials[:6]]
    assert all(abs(value - round(value)) < 1e-4 for value in batches)


def test_steps_alternate_as_epochs_do() -> None:
    shared = SharedWeights(make_task(steps=12), alternate=1, turn=2)
    study = run(net(), shared, "reinforce", trials=8)
    assert [trial.fidelity for trial in study.trials] == [2, 4, 6, 8, 10, 12, 12, 12]
    # In short turns or in one go, the same steps are taken.
    ends = [SharedWeights(make_task(steps=12)).open(ops(), seed=4) for _ in range(2)]
    for goal in range(1, 13):
        ends[0].train(goal)
    ends[1].train(12)
    for one, two in zip(*(end.supernet.parameters() for end in ends), strict=True):
        assert torch.equal(one, two)


def test_what_trains_is_what_the_algorithm_proposes() -> None:
    class Stubborn(symnas.algorithms.Random):
        """Proposes one operation only."""

        def propose(self, n: int, rng: np.random.Generator) -> symnas.Batch:
            space = self._space
            return space.batch([space.default.replace({"one": "b", "two": "c"})] * n)

    opened: list[SharedRun] = []

    class Watched(SharedWeights):
        def open(self, *args: Any, **kwargs: Any) -> SharedRun:
            opened.append(super().open(*args, **kwargs))
            opened[-1].first = {n: v.clone() for n, v in opened[-1].supernet.named_parameters()}  # type: ignore[attr-defined]
            return opened[-1]

    run(ops(), Watched(make_task(), alternate=2), Stubborn, trials=4)
    used = {id(p) for p in opened[0].supernet.active_parameters({"one": "b", "two": "c"})}
    for name, value in opened[0].supernet.named_parameters():
        assert torch.equal(value, opened[0].first[name]) is (id(value) not in used)  # type: ignore[attr-defined]


# -------------------------------------------------------------------- the same again, and continuing

MODES: dict[str, dict[str, Any]] = {
    "uniform": {},
    "progressive": {"policy": "progressive"},
    "mcts": {"policy": "mcts"},
    "turns": {"alternate": 4, "score": "batch"},
    "steps": {"alternate": 1, "turn": 8, "checkpoint": 1},
}

SCRIPT = """
import os, signal, sys
sys.path[:0] = [{support!r}, {here!r}]
from test_estimator import in_mode
import torch
from symnas.training import Training

mode, store, moment = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
count = 0
inner = Training._state

def state(self):  # a checkpoint is about to be written
    global count
    count += 1
    if count == -moment:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(self)

Training._state = state

def over(trial):
    if trial.number == moment:
        os.kill(os.getpid(), signal.SIGKILL)

in_mode(mode, store, over)
"""


def in_mode(mode: str, store: Path | str, on_trial: Any = None, trials: int = 20) -> symnas.Study:
    shared = SharedWeights(make_task(steps=150) if mode == "steps" else make_task(epochs=4), **MODES[mode])
    settings: dict[str, Any] = {"options": {"batch": 3}, "on_trial": on_trial}
    return run(net(), shared, "reinforce", trials=trials, store=store, name="n", **settings)


def kill(tmp_path: Path, mode: str, store: str, moment: int) -> None:
    here = Path(__file__).parent
    script = tmp_path / "drive.py"
    script.write_text(SCRIPT.format(support=str(here.parent / "support"), here=str(here)))
    done = subprocess.run([sys.executable, script, mode, tmp_path / store, str(moment)], check=False)
    assert done.returncode == -signal.SIGKILL


def state_of(tmp_path: Path, store: str) -> dict[str, Any]:
    (file,) = (tmp_path / f"{store}.weights").glob("*/shared/training.pt")
    found: dict[str, Any] = torch.load(file, weights_only=True)
    return found


def same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "moments"),
    [
        ("turns", [-2, 6, 11]),
        ("uniform", [-2, 6]),
        ("progressive", [-3]),
        ("mcts", [-4]),
        ("steps", [0, 15]),
    ],
)
def test_a_killed_search_ends_as_an_undisturbed_one(tmp_path: Path, mode: str, moments: list[int]) -> None:
    """Killed before a checkpoint was written (-n: the n-th), or when trial n was over."""
    plain = in_mode(mode, tmp_path / "plain.db")
    for moment in moments:
        kill(tmp_path, mode, "killed.db", moment)
    assert listed(in_mode(mode, tmp_path / "killed.db")) == listed(plain)
    assert same(state_of(tmp_path, "killed.db"), state_of(tmp_path, "plain.db"))


@pytest.mark.parametrize("mode", ["turns", pytest.param("uniform", marks=pytest.mark.slow)])
def test_lost_or_other_checkpoints_cost_time_and_change_nothing(tmp_path: Path, mode: str) -> None:
    plain = in_mode(mode, tmp_path / "plain.db")
    in_mode(mode, tmp_path / "lost.db", trials=6)
    (file,) = (tmp_path / "lost.db.weights").glob("*/shared/training.pt")
    file.unlink()
    assert listed(in_mode(mode, tmp_path / "lost.db")) == listed(plain)
    in_mode(mode, tmp_path / "ahead.db", trials=6)
    file = next((tmp_path / "ahead.db.weights").glob("*/shared/training.pt"))
    file.write_bytes(next((tmp_path / "plain.db.weights").glob("*/shared/training.pt")).read_bytes())
    assert listed(in_mode(mode, tmp_path / "ahead.db")) == listed(plain)
    assert same(state_of(tmp_path, "ahead.db"), state_of(tmp_path, "plain.db"))


def test_a_new_study_takes_nothing_from_one_that_was_deleted(tmp_path: Path) -> None:
    shared = SharedWeights(make_task())
    first = run(net(), shared, store=tmp_path / "a.db", seed=1, name="n")
    (tmp_path / "a.db").unlink()
    for rest in tmp_path.glob("a.db-*"):
        rest.unlink()
    second = run(net(), shared, store=tmp_path / "a.db", seed=2, name="n")
    assert listed(second) == listed(run(net(), shared, seed=2))
    assert listed(second) != listed(first)


def test_a_study_in_memory_continues_by_training_again() -> None:
    store = MemoryStore()
    shared = SharedWeights(make_task(), **MODES["turns"])
    run(net(), shared, "reinforce", trials=5, store=store, name="n")
    continued = run(net(), shared, "reinforce", trials=12, store=store, name="n")
    assert listed(continued) == listed(run(net(), shared, "reinforce", trials=12, name="n"))


def test_global_generators_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    run(net(), SharedWeights(make_task(), **MODES["turns"]), trials=6)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]


# -------------------------------------------------------------------- by the name of the algorithm


def test_enas_makes_its_own_schedule_of_a_task() -> None:
    options = {"steps": 2, "batch": 3}
    study = run(net(), make_task(epochs=3), "enas", options=options, trials=None)
    assert len(study.trials) == 2 * 6 + 100
    assert [trial.fidelity for trial in study.trials] == [1] * 6 + [2] * 6 + [3] * 100
    assert study.name == "Net-SharedWeights-enas"


def test_single_path_trains_and_then_breeds() -> None:
    options = {"population": 6, "generations": 3, "parents": 2, "mutants": 3}
    study = run(net(), make_task(), "single-path", options=options, trials=None)
    assert len(study.trials) == 18
    assert len({trial.decision.key for trial in study.trials}) == 18
    other = run(net(), SharedWeights(make_task(), policy="fair"), "single-path", options=options, trials=5)
    assert listed(other) != listed(study)[:5]


@pytest.mark.parametrize("algorithm", ["enas", "enas-macro", "single-path"])
def test_a_plain_function_cannot_train_shared_weights(algorithm: str) -> None:
    def evaluate(child: nn.Module) -> float:
        raise AssertionError("nothing is evaluated")

    with pytest.raises(
        AlgorithmError, match=r"needs a symnas\.Task .* or symnas\.SharedWeights\(task\); got"
    ):
        run(net(), evaluate, algorithm)


class Planted(nn.Module):
    """Six places; at each, one of four operations passes the data on, the others blur or stop it."""

    def __init__(self) -> None:
        super().__init__()
        self.ops = nn.ModuleList()
        for _ in range(6):
            op = Pass()  # search: {good: Pass(), weak: Noise(0.8), strong: Noise(1.6), worst: Noise(3.2)}
            self.ops.append(op)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for op in self.ops:
            x = op(x)
        return self.head(x)


class Pass(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Noise(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        # The same noise at every call, so that it tells nothing and cannot be learned.
        noise = torch.sin(1e4 * x.sum(1, keepdim=True) * torch.arange(1, 5))
        return x + self.scale * noise


@pytest.mark.slow
def test_enas_finds_the_planted_operations() -> None:
    """For many seeds nearly all operations of the last hundred children are the good one of four.

    Not for all: at this learning rate the policy of about one seed in four commits to another operation
    before the shared weights are worth anything. Which seeds these are depends on how a processor rounds.
    """
    inputs = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    pair = inputs, (inputs[:, 0] > inputs[:, 1]).long()
    task = make_task(
        train=(pair[0][:400], pair[1][:400]), valid=(pair[0][400:], pair[1][400:]), epochs=10, batch_size=100,
        optimizer=partial(torch.optim.Adam, lr=0.02),
    )  # fmt: skip
    program = symnas.program(Planted, inputs=torch.zeros(2, 4))
    # Rewards of 100 examples: on 40, whose accuracy varies by 0.08, three seeds in ten learn nothing in time.
    options = {"steps": 10, "lr": 0.1, "baseline": 0.9, "tanh_constant": 2.5, "reduce": 1.0}
    found = 0
    for seed in range(8):
        study = run(program, task, "enas", options=options, trials=None, seed=seed)
        last = [value == "good" for trial in study.trials[-100:] for value in trial.decision.values()]
        if np.mean(last) > 0.9:
            found += 1
            assert sum(value == "good" for value in study.best.decision.values()) >= 4
    assert found >= 3


# -------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 2}, "shared weights are one network in this process, and workers=2 asks for more"),
        ({"timeout": 5.0}, "timeout=5.0 asks for more: leave it out"),
        ({"keep": 2}, "keep=2 asks for more: the weights of a trial are those of all"),
        ({"pruner": Median()}, "a pruner asks for more"),
    ],
)
def test_what_one_network_cannot_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        run(net(), SharedWeights(make_task()), **changes)


def test_a_bare_space_has_no_weights_to_share() -> None:
    with pytest.raises(StudyError, match=r"has no code: search symnas\.program"):
        run(net().space, SharedWeights(make_task()))  # type: ignore[arg-type]


def test_halving_does_not_go_with_shared_weights() -> None:
    with pytest.raises(AlgorithmError, match="under shared weights no trial is trained by itself"):
        run(net(), SharedWeights(make_task()), "hyperband")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "proposed"}, "let training and trials alternate, as alternate=300"),
        ({"score": "batch"}, r"score='batch' is for turns of training with cheap trials between them"),
        ({"score": "splits"}, r"on the 'split' or on a 'batch'; got 'splits' \(did you mean 'split'\?\)"),
        ({"alternate": 0}, "alternate is a whole number of at least 1; got 0"),
        ({"recalibrate": -1}, "recalibrate is a whole number of at least 0; got -1"),
    ],
)
def test_wrong_settings_say_what_is_right(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        SharedWeights(make_task(), **arguments)


def test_a_function_is_no_task() -> None:
    with pytest.raises(EvaluatorError, match=r"shared weights are trained by a symnas\.Task"):
        SharedWeights(accuracy)  # type: ignore[arg-type]


def test_given_weights_do_not_alternate_and_are_not_changed() -> None:
    supernet = net().supernet(seed=1)
    with pytest.raises(EvaluatorError, match="there is nothing to alternate with"):
        SharedWeights(make_task(), supernet=supernet, alternate=2)
    before = {name: value.clone() for name, value in supernet.named_parameters()}
    run(supernet.program, SharedWeights(make_task(), supernet=supernet), trials=3)
    assert all(torch.equal(value, before[name]) for name, value in supernet.named_parameters())


def test_the_fingerprint_tells_settings_and_weights_apart() -> None:
    def print_of(**changes: Any) -> str:
        return SharedWeights(make_task(), **changes).fingerprint

    others = [
        {"policy": "fair"}, {"options": {"paths_per_step": 2}}, {"alternate": 3}, {"recalibrate": 3},
        {"distill": nn.functional.mse_loss}, {"supernet": ops().supernet(seed=1)},
        {"supernet": ops().supernet(seed=2)},
    ]  # fmt: skip
    prints = [print_of(), *(print_of(**changes) for changes in others)]
    assert len(set(prints)) == len(prints)
    assert print_of() == prints[0]


# -------------------------------------------------------------------- children that cannot be trained


class Explode(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x - 1e4)  # of negative numbers


class Fragile(nn.Module):
    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh(), Explode()}
        self.body = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def test_a_candidate_that_makes_losses_nan_is_named() -> None:
    program = symnas.program(Fragile, inputs=torch.zeros(2, 4))
    with pytest.raises(
        EvaluatorError, match=r"not finite are those of .*\(Explode\).*act.* = 'Explode' is to blame"
    ):
        run(program, SharedWeights(make_task()))


def test_weights_that_diverge_are_told_apart_from_that() -> None:
    task = make_task(optimizer=partial(torch.optim.SGD, lr=1e38), epochs=3)
    with pytest.raises(EvaluatorError, match=r"has diverged: the weights of .* beyond all bounds.*clip=5"):
        run(net(norm=False), SharedWeights(task))


class Shapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.head = nn.Linear(
            4, 2
        )  # search: {two: nn.Linear(4, 2), three: nn.Linear(4, 3), bad: nn.Linear(5, 2)}

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def test_candidates_of_other_output_shapes_are_named_before_training() -> None:
    program = symnas.program(Shapes)
    wide = program.space.restrict({"head": ["two", "three"]})
    assert wide.size == 2
    with pytest.raises(EvaluatorError, match=r"with head = '(three|bad)'|head = 'bad' fails there"):
        SharedWeights(make_task()).open(program)


def test_data_that_suit_no_child_are_told_as_such() -> None:
    task = make_task(train=(torch.zeros(40, 7), torch.zeros(40).long()))
    with pytest.raises(EvaluatorError, match=r"the default one fails there: RuntimeError"):
        SharedWeights(task).open(net())


def test_calling_the_settings_themselves_is_told() -> None:
    with pytest.raises(EvaluatorError, match="shared weights belong to a search"):
        SharedWeights(make_task())(net().space.default, None)


def test_requirements_are_met_by_what_is_trained_and_by_what_is_scored() -> None:
    program = symnas.program(Narrow, inputs=torch.zeros(2, 4))
    study = run(program, SharedWeights(make_task()), trials=15)
    assert {trial.status for trial in study.trials} <= {Status.DONE, Status.INFEASIBLE}
    assert all((trial.status is Status.DONE) is (trial.decision["width"] <= 8) for trial in study.trials)
    opened = SharedWeights(make_task()).open(program)
    assert opened.training is not None
    drawn = {
        path.decision["width"]
        for step in range(30)
        for path in opened.training.policy.paths(0.0, np.random.default_rng(step))
    }
    assert drawn == {4, 8}


class Narrow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = 8  # search: {4, 8, 16} require width <= 8
        self.body = nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)
