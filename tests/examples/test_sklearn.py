"""The scikit-learn example runs as it stands, and as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sklearn.pipeline import Pipeline

import symnas

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "sklearn"


def test_the_pipeline_is_a_program_with_points_under_its_branches() -> None:
    program = symnas.program(f"{FOLDER / 'classifier.py'}:classifier")
    assert {"scale", "reduce", "model"} <= set(program.space.addresses)
    default = program.build()
    assert isinstance(default, Pipeline)
    assert list(default.named_steps) == ["standardscaler", "randomforestclassifier"]
    chosen = program.space.default.replace({"model": "svm", "scale": False})
    assert list(program.build(chosen).named_steps) == ["svc"]
    assert not [address for address in chosen if "neighbours" in address or "depth" in address]


def test_the_script_searches_and_compares() -> None:
    command = [sys.executable, str(FOLDER / "search.py"), "--trials", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "held out, best" in done.stdout
