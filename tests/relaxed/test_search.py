from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import symnas
from symnas.algorithms import DARTS, Random
from symnas.cli.app import main
from symnas.contracts.algorithm import Capabilities
from symnas.errors import AlgorithmError, BuildError, EvaluatorError, ProgramError
from symnas.relaxed.search import RelaxedSearch, relax

SCRIPT = """
import os
import signal
import sys

import torch
from torch import nn

import symnas


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.act = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh(), nn.Identity()}
        self.mid = nn.Linear(8, 8)  # search: {linear: nn.Linear(8, 8), skip: nn.Identity()}
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.drop(self.mid(self.act(self.stem(x)))))


def loss(outputs, targets):
    kill = os.environ.get("KILL")
    if kill:
        with open(kill, "a") as file:
            file.write(".")
        if os.path.getsize(kill) == 60:
            os.kill(os.getpid(), signal.SIGKILL)
    return nn.functional.cross_entropy(outputs, targets)


def accuracy(outputs, targets):
    return (outputs.argmax(1) == targets).float().mean()


inputs = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
data = (inputs, (inputs[:, 0].abs() > 0.7).long())
task = symnas.Task(train=data, valid=data, loss=loss, metrics={"accuracy": accuracy})
program = symnas.program(Net, inputs=torch.zeros(2, 4))
options = {"epochs": 6, "batch_size": 12, "lr": 0.1, "arch_lr": 0.05}


def search(store, **more):
    return symnas.search(
        program, task, **{"algorithm": "darts", "options": options, "store": store, "progress": False} | more
    )


if __name__ == "__main__":
    for store in sys.argv[1:]:
        search(store)
"""
SHORT: dict[str, dict[str, Any]] = {
    "darts": {},
    "darts-pt": {"tune": 1},
    "gdas": {},
    "pc-darts": {"warmup": 1, "partial": 1},
    "proxyless": {"warmup": 1, "every": 2},
    "sharp-darts": {},
}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.act: nn.Module = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh(), nn.Identity()}
        self.mid: nn.Module = nn.Linear(8, 8)  # search: {linear: nn.Linear(8, 8), skip: nn.Identity()}
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.mid(self.act(self.stem(x))))
        return outputs


class Normal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        # search: {nn.Tanh(), norm: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))}
        self.one: nn.Module = nn.Tanh()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.one(x))
        return outputs


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 0).log() * 0 if self.training else x


class Spoilt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act: nn.Module = nn.ReLU()  # search: {nn.ReLU(), broken: Broken()}
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.act(x))
        return outputs


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of right answers."""
    return (outputs.argmax(1) == targets).float().mean()


def a_task(**options: Any) -> symnas.Task:
    """Return a small task."""
    inputs = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
    data = (inputs, (inputs[:, 0].abs() > 0.7).long())
    settings = {"loss": nn.functional.cross_entropy, "metrics": {"accuracy": accuracy}} | options
    return symnas.Task(train=data, valid=data, **settings)


@functools.cache
def a_program() -> symnas.Program:
    """Return the program of the network above."""
    return symnas.program(Net, inputs=torch.zeros(2, 4))


def search(algorithm: Any = "darts", task: Any = None, target: Any = None, **more: Any) -> symnas.Study:
    """Run a short relaxed search."""
    name = algorithm if isinstance(algorithm, str) else "darts"
    options = {"epochs": 3, "batch_size": 20} | SHORT.get(name, {}) | more.pop("options", {})
    return symnas.search(
        target or a_program(), task or a_task(), algorithm=algorithm, options=options,
        progress=False, **more,
    )  # fmt: skip


# ---------------------------------------------------------------- a study like any other


@pytest.mark.parametrize("name", sorted(SHORT))
def test_one_word_names_the_algorithm_and_one_trial_is_one_search(name: str) -> None:
    study = search(name)
    (trial,) = study.trials
    assert set(trial.decision) == {"act", "mid"}
    assert set(trial.metrics) == {"loss", "accuracy", "train_loss"}
    assert isinstance(study.best.build(), Net)


def test_the_trial_is_the_derived_child_trained_by_itself() -> None:
    study = search(seed=4)
    seed = int(np.random.default_rng([4, 0]).integers(2**31))
    derived = relax(a_program(), a_task(), DARTS(epochs=3, batch_size=20), seed=seed)
    assert study.best.decision == derived.decision
    plain = symnas.search(
        a_program(),
        a_task(),
        algorithm="random",
        trials=1,
        initial=[derived.decision],
        seed=4,
        progress=False,
    )
    assert dict(plain.best.metrics) == dict(study.best.metrics)
    assert sum(derived.probabilities["act"]) == pytest.approx(1.0)


def test_more_trials_are_more_searches_with_seeds_of_their_own(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    study = search(trials=2, store=store)
    assert len(study.trials) == 2
    notes = sorted(tmp_path.glob("s.db.weights/*/relaxed/search-*.json"))
    histories = [json.loads(note.read_text())["history"] for note in notes]
    assert len(histories) == 2
    assert histories[0] != histories[1]
    assert len(histories[0]) == 3
    assert not list(tmp_path.glob("s.db.weights/*/relaxed/*.pt"))  # states of searches that are over
    again = search(trials=3, store=store)
    assert [t.decision for t in again.trials[:2]] == [t.decision for t in study.trials]
    assert len(again.trials) == 3


def test_an_interrupted_search_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    scope: dict[str, Any] = {"__name__": "script"}
    script = tmp_path / "killed.py"
    script.write_text(SCRIPT)
    sys.path.insert(0, str(tmp_path))
    try:
        import killed  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    scope = vars(killed)
    whole = scope["search"](None)
    file, epochs = tmp_path / "search.pt", []

    class StopError(Exception):
        pass

    def stop(done: Any) -> None:
        epochs.append(done.epoch)
        if done.epoch == 2:
            raise StopError("after two epochs")

    seed = int(np.random.default_rng([0, 0]).integers(2**31))
    with pytest.raises(StopError, match="after two epochs"):
        relax(scope["program"], scope["task"], options=scope["options"], seed=seed, file=file, on_epoch=stop)
    found = relax(scope["program"], scope["task"], options=scope["options"], seed=seed, file=file)
    alone = relax(scope["program"], scope["task"], options=scope["options"], seed=seed)
    assert whole.best.decision == found.decision == alone.decision
    assert repr(found.history) == repr(alone.history)
    for name, tensor in alone.network.state_dict().items():
        assert torch.equal(tensor, found.network.state_dict()[name])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed by a signal")
def test_a_killed_search_goes_on_where_it_was(tmp_path: Path) -> None:
    script, store, whole = tmp_path / "script.py", tmp_path / "s.db", tmp_path / "whole.db"
    script.write_text(SCRIPT)
    calls = tmp_path / "calls"

    def run(*stores: Path, kill: bool) -> int:
        environment = {**os.environ, "KILL": str(calls) if kill else ""}
        return subprocess.run(
            [sys.executable, str(script), *map(str, stores)], env=environment, check=False
        ).returncode

    assert run(store, kill=True) == -signal.SIGKILL
    assert list(tmp_path.glob("s.db.weights/*/relaxed/search-*.pt"))
    assert run(store, whole, kill=True) == 0  # the sixtieth call is behind it
    resumed, alone = symnas.load_study(store), symnas.load_study(whole)
    assert [t.decision for t in resumed.trials] == [t.decision for t in alone.trials]
    assert [dict(t.metrics) for t in resumed.trials] == [dict(t.metrics) for t in alone.trials]
    (note,), (other,) = (
        tuple(tmp_path.glob(f"{name}.weights/*/relaxed/search-*.json")) for name in ("s.db", "whole.db")
    )
    assert note.read_text() == other.read_text()


def test_the_command_line_searches_and_lists(tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    script.write_text(SCRIPT)
    words = ["search", f"{script}:Net", "--task", f"{script}:task", "-a", "darts", "--set", "epochs=2"]
    done = CliRunner().invoke(main, [*words, "--input", "2x4", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["counts"]["done"] == 1
    page = CliRunner().invoke(main, ["algorithms", "pc-darts", "--json"])
    about = json.loads(page.stdout)
    assert about["capabilities"]["relaxed"]
    momentum = about["options"]["momentum"]
    assert (momentum["default"], momentum["text"]) == (0.9, "momentum of the weights.")
    assert all(option["text"] for option in about["options"].values())


def test_computing_candidates_again_changes_no_result() -> None:
    program = symnas.program(Normal, inputs=torch.ones(2, 4))
    plain = DARTS(epochs=2, batch_size=20, order=2)
    kept, again = (relax(program, a_task(), plain, options={"checkpoint": flag}) for flag in (False, True))
    assert kept.history == again.history
    state = kept.network.state_dict()
    assert any("running_mean" in name for name in state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.network.state_dict().items())


# ---------------------------------------------------------------- what does not fit


def test_without_a_task_or_a_program_it_says_what_is_missing() -> None:
    with pytest.raises(AlgorithmError, match=r"all candidates at once, which takes a symnas\.Task"):
        symnas.search(a_program(), lambda child: 1.0, algorithm="darts", progress=False)
    with pytest.raises(AlgorithmError, match="DARTS trains all candidates of a program at once; got <Space"):
        search(target=a_program().space)


def test_an_algorithm_that_only_says_so_is_refused() -> None:
    class Claims(Random):
        capabilities = Capabilities(relaxed=True)

    with pytest.raises(AlgorithmError, match="Claims says that it does and is not"):
        symnas.search(a_program(), a_task(), algorithm=Claims, progress=False)


def test_what_cannot_be_relaxed_is_told_before_there_is_a_study(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)
            self.twice = False  # search: {False, True}

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x * 2) if self.twice else self.linear(x)  # type: ignore[no-any-return]

    store = tmp_path / "s.db"
    with pytest.raises(ProgramError, match="twice"):
        search(target=symnas.program(Branching, inputs=torch.zeros(2, 4)), store=store)
    assert symnas.studies(store) == []


def test_what_cannot_be_relaxed_may_be_frozen() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act: nn.Module = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}
            self.drop = nn.Dropout(0.1)  # search: 0.0..0.5
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.drop(self.act(x)))  # type: ignore[no-any-return]

    target = symnas.program(Mixed, inputs=torch.zeros(2, 4))
    with pytest.raises(ProgramError, match=r"freeze=\(\('drop.p', 0.1\),\) of the algorithm"):
        search(target=target)
    found = search(target=target, options={"epochs": 1, "freeze": (("drop.p", 0.25),)}).best.decision
    assert found["drop.p"] == 0.25
    assert set(found) == {"act", "drop.p"}
    with pytest.raises(AlgorithmError, match=r"freeze is a tuple of pairs, .*; got \('drop.p', 0.25\)"):
        DARTS(freeze=("drop.p", 0.25))  # type: ignore[arg-type]


def test_a_candidate_that_gives_nan_ends_the_search_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(
        EvaluatorError, match=r"(?s)py:\d+:.*broken: Broken.*because of candidate 'broken' of 'act'"
    ):
        search(target=symnas.program(Spoilt, inputs=torch.ones(2, 4)), store=tmp_path / "s.db")


def test_weights_that_diverge_end_the_search_and_blame_no_candidate(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MORE.replace("LINES", LINEAR))
    target = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=torch.zeros(2, 4))
    with pytest.raises(
        EvaluatorError, match=r"in epoch \d+ it is (nan|inf), and so .*diverged\. Lower lr, clip"
    ):
        search(target=target, options={"epochs": 20, "lr": 1e9, "lr_min": 1e9, "clip": 0.0})


def test_candidates_of_other_shapes_are_told_before_there_is_a_study(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MORE.replace("LINES", SHAPES))
    target = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=torch.zeros(2, 4, 5, 5))
    message = r"(?s)net.py:8:.*'body' 'a' returns \(2, 8, 5, 5\), 'b' returns \(2, 8, 3, 3\): make them alike"
    with pytest.raises(BuildError, match=message):
        symnas.search(target, a_task(), algorithm="gdas", store=tmp_path / "s.db", progress=False)
    assert symnas.studies(tmp_path / "s.db") == []


def test_a_search_may_run_under_autocast() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs.float(), targets)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        derived = relax(a_program(), a_task(loss=loss), DARTS(epochs=2, batch_size=20, order=2))
    assert all(
        weight.dtype == torch.float32 and weight.isfinite().all() for weight in derived.network.weights()
    )
    assert derived.history[1].train_loss < derived.history[0].train_loss


@pytest.mark.slow
def test_an_extracted_child_compiles_and_trains_as_it_is() -> None:
    program = symnas.program(Normal, inputs=torch.ones(2, 4))
    network = program.relaxed()
    inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    for value in ("Tanh", "norm"):
        plain, other = (network.extract({"one": value}).train() for _ in range(2))
        compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
        for model in (plain, compiled):
            model(inputs).square().sum().backward()
        for ours, theirs in zip(other.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
        torch.testing.assert_close(compiled(inputs), network(inputs, mixes=network.one_hot({"one": value})))


def test_kinds_of_choices_that_an_algorithm_does_not_make_are_refused() -> None:
    class Sizes(DARTS):
        kinds = ("size",)

    with pytest.raises(
        AlgorithmError, match="Sizes chooses widths and kernels; 'act' is a choice of modules or tensors"
    ):
        search(Sizes(epochs=1))


MORE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        LINES
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.body(x).flatten(2).mean(2) if x.ndim > 2 else self.body(x))
"""
MODULES = "self.body = nn.ReLU()  # search: {nn.ReLU(), nn.Tanh()}"
DEPTHS = (
    "depth = 2  # search: 1..3\n        self.body = nn.Sequential(*[nn.Linear(8, 8) for _ in range(depth)])"
)
SHAPES = "self.body = nn.Conv2d(4, 8, 1)  # search: {a: nn.Conv2d(4, 8, 1), b: nn.Conv2d(4, 8, 3)}"
LINEAR = "self.body = nn.Linear(4, 8)  # search: {nn.Linear(4, 8), nn.Linear(4, 8, bias=False)}"
GROWING = "self.body = nn.Conv2d(4, 8, 1)  # search: {nn.Conv2d(4, 8, 1), nn.Conv2d(4, 8, 3, padding=1)}"
WIDTHS = """c = 8  # search: {4, 8}
        # search: {nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 3, padding=1)}
        op = nn.Conv2d(c, c, 1)
        self.body = nn.Sequential(nn.Conv2d(4, c, 1), op, nn.Conv2d(c, 8, 1))"""


@pytest.mark.parametrize(
    ("algorithm", "lines", "shape", "message"),
    [
        ("single-path-nas", MODULES, (2, 8),
         "SinglePathNAS chooses widths and kernels; 'body' is a choice of modules or tensors: freeze it "
         r"\(freeze=\(\('body', 'ReLU'\),\)\), or take an algorithm .*'darts'"),
        ("single-path-nas", DEPTHS, (2, 8), "'depth' is a choice of depths: freeze it .*'tas'"),
        ("tas", MODULES, (2, 8), "TAS chooses widths and kernels and depths; 'body' is a choice of modules"),
        ("pc-darts", GROWING, (2, 4, 3, 3), "that keep the number of channels, and .* make 8 of 4"),
        ("pc-darts", WIDTHS, (2, 4, 3, 3), "cannot while 'c' changes them: freeze it"),
    ],
)  # fmt: skip
def test_what_an_algorithm_does_not_take_is_refused_with_its_line(
    tmp_path: Path, algorithm: str, lines: str, shape: tuple[int, ...], message: str
) -> None:
    (tmp_path / "net.py").write_text(MORE.replace("LINES", lines))
    target = symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=torch.zeros(shape))
    with pytest.raises((AlgorithmError, ProgramError), match=rf"(?s)net\.py:8:.*{message}"):
        symnas.search(target, a_task(), algorithm=algorithm, store=tmp_path / "s.db", progress=False)
    assert symnas.studies(tmp_path / "s.db") == []


def test_a_wrapped_algorithm_shows_what_it_wraps() -> None:
    inner = DARTS(epochs=2)
    wrapped = RelaxedSearch(inner, a_program(), a_task())
    assert wrapped.hyperparameters == inner.hyperparameters
    assert not wrapped.capabilities.relaxed
