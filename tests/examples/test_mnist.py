"""The main job in small, and the data that it stands on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import symnas

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MNIST = EXAMPLES / "mnist"


def test_the_network_is_annotated_by_comments_only() -> None:
    text = (MNIST / "convnet.py").read_text()
    assert "import symnas" not in text
    assert text.count("# search:") >= 8


def test_the_network_runs_without_symnas() -> None:
    code = (
        "import sys; sys.modules['symnas'] = None\n"
        "import torch, convnet\n"
        "print(tuple(convnet.ConvNet()(torch.zeros(2, 1, 28, 28)).shape))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=MNIST, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(2, 10)"


def test_every_kind_of_child_builds_and_runs() -> None:
    import numpy as np

    program = symnas.program(f"{MNIST / 'convnet.py'}:ConvNet")
    x = torch.zeros(2, 1, 28, 28)
    for decision in [program.space.default, *program.space.sample(20, np.random.default_rng(0))]:
        assert program.build(decision)(x).shape == (2, 10)


def test_the_parts_of_the_data_never_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(MNIST))
    import data

    parts = [data.split(part).tensors for part in data.SIZES]
    assert [len(images) for images, _ in parts] == [3000, 1000, 1000]
    everything = torch.cat([images for images, _ in parts]).flatten(1)
    assert everything.unique(dim=0).shape[0] == 5000
    assert all(labels.bincount(minlength=10).min() > 60 for _, labels in parts)
    with pytest.raises(ValueError, match="the parts are train, valid, test"):
        data.split("validation")


@pytest.mark.slow
def test_the_demo_runs_and_continues(tmp_path: Path) -> None:
    small = ["--epochs", "1", "--limit", "200", "--random", "1", "--workers", "1", "--out", str(tmp_path)]
    for trials in ("3", "4"):
        command = [sys.executable, str(MNIST / "demo.py"), "--trials", trials, *small]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"of {trials} trials" in done.stdout
    for words in ("best found", "default, as written", "random, mean"):
        assert words in done.stdout
    names: dict[str, object] = {"__name__": "exported"}
    exec((tmp_path / "model.py").read_text(), names)
    model = names["ConvNet"]()
    model.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert model.eval()(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
    assert "width" in json.loads((tmp_path / "decision.json").read_text())
    assert "<h2>The tree</h2>" in (tmp_path / "report.html").read_text()


def test_the_example_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    program = symnas.program(f"{EXAMPLES / 'calls' / 'mlp.py'}:MLP")
    x = torch.randn(2, 5, 16)
    program_space = program.space
    default = program.build(program_space.default)
    assert default.summaries == ["mean", "std"]
    assert default(x).shape == (2, 4)
    deepest = program_space.default.replace({"summaries": ("mean", "amax", "std")})
    assert program.build(deepest)(x).shape == (2, 4)
