"""The command line, as scripts and people meet it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from symnas.cli.app import main
from symnas.cli.common import read_pairs

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, features=4):
        super().__init__()
        width = 32  # search: {8, 16, 32}
        layers = [nn.Linear(features, width)]
        for i in range(1):  # search: 1..2
            layers += [nn.ReLU()]  # search: {nn.ReLU(), nn.Tanh()}
            layers += [nn.Linear(width, width)]
        self.body = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, x):
        return self.body(x)
"""
TASKS = """
import time
import torch
import symnas

x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
y = x[:, :1] * x[:, 1:2]
task = symnas.Task(train=(x[:48], y[:48]), valid=(x[48:], y[48:]), loss=torch.nn.functional.mse_loss)

def size(net):
    return -sum(p.numel() for p in net.parameters())

def broken(net):
    raise RuntimeError("no such luck")

def slow(net):
    time.sleep(0.5)
    return 1.0
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a model and some tasks, whose modules no other test sees."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("net", "tasks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def run_json(*words: str) -> object:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def search(*more: str, task: str = "size") -> Result:
    fixed = ("--store", "runs.db", "--seed", "0", "--progress", "silent")
    return run("search", "net.py:Net", "--task", f"tasks.py:{task}", *fixed, *more)


def test_check_lists_annotations(place: Path) -> None:
    result = run("check", "net.py")
    assert result.exit_code == 0
    assert "net.py:7  32" in result.output
    assert "3 annotations, 0 mistakes in 1 file" in result.output
    (report,) = run_json("check", "net.py")
    assert [entry["line"] for entry in report["annotations"]] == [7, 9, 10]


def test_check_tells_every_mistake_of_every_file(place: Path) -> None:
    Path("wrong.py").write_text("k = 3  # search: {1, 5}\nw = 1  # search: {1, 2\n")
    Path("also.py").write_text("# search: 1..3\n")
    result = run("check", ".")
    assert result.exit_code == 1
    assert "wrong.py:1:" in result.output
    assert "wrong.py:2:" in result.output
    assert "also.py:1:" in result.output
    assert "3 mistakes in 4 files" in result.output


def test_check_of_no_file_is_a_usage_error(place: Path) -> None:
    assert run("check", "absent.py").exit_code == 2


def test_show_prints_the_tree(place: Path) -> None:
    result = run("show", "net.py:Net")
    assert result.exit_code == 0
    for word in ("width", "16", "ReLU", "Tanh"):
        assert word in result.output


def test_show_counts_costs(place: Path) -> None:
    shown = run_json("show", "net.py:Net", "--input", "1x4", "--sample", "200")
    assert shown["size"] == 3 * (2 + 4)
    assert shown["points"] == 4
    assert shown["default"] == {"width": 32, "i": 1, "i[0].layers": "ReLU"}
    sizes = [4 * w + w + turns * (w * w + w) + w + 1 for w in (8, 16, 32) for turns in (1, 2)]
    default = 4 * 32 + 32 + 32 * 32 + 32 + 33
    expected = {"smallest": min(sizes), "default": default, "largest": max(sizes)}
    assert shown["costs"]["params"] == expected
    assert shown["costs"]["flops"]["default"] == 2 * (4 * 32 + 32 * 32 + 32)


def test_show_takes_arguments(place: Path) -> None:
    shown = run_json("show", "net.py:Net", "--arg", "features=6", "--input", "1x6", "--sample", "1")
    assert shown["costs"]["params"]["default"] == 6 * 32 + 32 + 32 * 32 + 32 + 33


def test_arguments_are_read_as_options_are(place: Path) -> None:
    assert read_pairs(["a=1", "b=false", "c=none", "d=text"], "--arg") == {
        "a": 1,
        "b": False,
        "c": None,
        "d": "text",
    }
    result = run("show", "net.py:Net", "--arg", "features")
    assert result.exit_code == 2
    assert "--arg is written NAME=VALUE; got 'features'" in result.stderr


@pytest.mark.parametrize("shape", ["1x", "axb", "1x4:complex7"])
def test_show_refuses_a_bad_shape(place: Path, shape: str) -> None:
    assert run("show", "net.py:Net", "--input", shape).exit_code == 2


def test_show_of_nothing_says_so(place: Path) -> None:
    result = run("show", "net.py:Nett")
    assert result.exit_code == 1
    assert "Net" in result.stderr
    assert "Traceback" not in result.output


def test_search_continues(place: Path) -> None:
    first = search("--trials", "3")
    assert first.exit_code == 0
    assert "done, 3 trials" in first.output
    again = search("--trials", "5")
    assert "done, 5 trials" in again.output
    (summary,) = run_json("status", "runs.db")
    assert summary["counts"] == {"done": 5}
    assert summary["state"] == "done"


def test_search_takes_the_options_of_its_algorithm(place: Path) -> None:
    result = search(
        "--trials", "3", "--algorithm", "evolution", "--set", "population=2", "--set", "tournament=2"
    )
    assert result.exit_code == 0
    (summary,) = run_json("status", "runs.db")
    assert "population=2" in summary["algorithm"]


def test_an_unknown_algorithm_or_option_names_the_nearest(place: Path) -> None:
    assert "did you mean 'evolution'" in search("--algorithm", "evolutoin").stderr
    result = search("--algorithm", "evolution", "--set", "popluation=2")
    assert result.exit_code == 1
    assert "did you mean 'population'" in result.stderr


def test_a_changed_search_is_refused_with_exit_code_3(place: Path) -> None:
    search("--trials", "2", "--name", "mine")
    result = search("--trials", "4", "--name", "mine", "--algorithm", "grid")
    assert result.exit_code == 3
    assert "algorithm" in result.stderr


def test_errors_are_json_too(place: Path) -> None:
    result = run("status", "absent.db", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"] == "StoreError"


def test_a_search_without_a_result_fails(place: Path) -> None:
    result = search("--trials", "2", task="broken")
    assert result.exit_code in (1, 3)
    assert "no such luck" in result.output


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("tasks.py:sise", "did you mean 'size'"),
        ("absent.py:size", "not a file"),
        ("no_such_module:size", "not installed"),
        ("tasks.py", "the task is written `file.py:Name`"),
    ],
)
def test_a_task_that_is_not_there_is_told(place: Path, task: str, words: str) -> None:
    result = run("search", "net.py:Net", "--task", task)
    assert result.exit_code == 1
    assert words in result.stderr


def test_best_prints_the_best(place: Path) -> None:
    search("--trials", "18", "--algorithm", "grid")
    (best,) = run_json("best", "runs.db")
    assert best["decision"]["width"] == 8
    assert best["decision"]["i"] == 1
    assert "width" in run("best", "runs.db").output
    assert len(run_json("best", "runs.db", "--top", "3")) == 3
    assert "nn.Linear(features, width)" in run("best", "runs.db", "--source").output


def test_export_writes_what_a_trial_has(place: Path) -> None:
    import torch

    search("--trials", "2", task="task")
    done = run_json("export", "runs.db", "out", "--best")
    assert {*done["written"]} == {"decision", "source", "weights"}
    names: dict[str, object] = {"__name__": "exported"}
    exec(Path("out/model.py").read_text(), names)
    model = names["Net"]()
    model.load_state_dict(torch.load("out/weights.pt", weights_only=True))
    decision = json.loads(Path("out/decision.json").read_text())
    assert model.body[0].out_features == decision["decision"]["width"]
    assert "symnas" not in Path("out/model.py").read_text()


def test_export_names_what_is_missing(place: Path) -> None:
    search("--trials", "1")
    result = run("export", "runs.db", "out", "--trial", "0")
    assert result.exit_code == 0
    assert "no weights" in result.stderr
    assert run("export", "runs.db", "out", "--trial", "7").exit_code == 3


@pytest.mark.slow
def test_export_writes_onnx_that_computes_the_same(place: Path) -> None:
    pytest.importorskip("onnxscript")
    import numpy as np
    import onnx.reference
    import torch

    search("--trials", "1", task="task")
    run_json("export", "runs.db", "out", "--onnx", "--input", "2x4")
    names: dict[str, object] = {"__name__": "exported"}
    exec(Path("out/model.py").read_text(), names)
    model = names["Net"]()
    model.load_state_dict(torch.load("out/weights.pt", weights_only=True))
    x = torch.randn(2, 4)
    session = onnx.reference.ReferenceEvaluator("out/model.onnx")
    (found,) = session.run(None, {session.input_names[0]: x.numpy()})
    np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-5)


def test_algorithms_are_listed() -> None:
    listed = {info["name"]: info for info in run_json("algorithms")}
    assert {"random", "grid", "evolution"} <= set(listed)
    assert "population" in listed["evolution"]["options"]
    assert "evolution" in run("algorithms").output


def test_debug_raises(place: Path) -> None:
    with pytest.raises(Exception, match=r"absent\.db"):
        run("--debug", "status", "absent.db")


def shell(*words: str, cwd: Path) -> subprocess.Popen[str]:
    # A process started in the background may have been told to ignore interrupts.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}\nfrom symnas.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "sqlalchemy", "lark", "pyglove", "numpy"}
    code = f"""
import sys
from symnas.cli import main
sys.argv = ["symnas", "--help"]
try:
    main()
finally:
    print(sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "export" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_an_interrupt_loses_nothing(place: Path) -> None:
    words = ("search", "net.py:Net", "--task", "tasks.py:slow", "--store", "runs.db", "--trials", "500")
    process = shell(*words, "--progress", "plain", cwd=place)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not Path("runs.db").exists():
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    (summary,) = run_json("status", "runs.db")
    assert summary["state"] == "interrupted"
    assert 0 < summary["counts"]["done"] < 500
    done = summary["counts"]["done"]
    again = shell(*words[:-1], str(done + 3), cwd=place)
    again.communicate(timeout=60)
    assert again.returncode == 0
    (summary,) = run_json("status", "runs.db")
    assert summary["counts"]["done"] == done + 3
