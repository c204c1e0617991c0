from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest
from torch import nn
from torch.nn import functional

from symnas.grammar.attachment.signatures import parameters_of, signatures_of


@pytest.mark.parametrize(
    "made",
    [
        nn.Conv2d,
        nn.Linear,
        nn.Dropout,
        nn.LayerNorm,
        nn.LSTMCell,
        nn.MultiheadAttention,
        nn.ReLU,
        functional.dropout,
    ],
)
def test_sources_say_what_inspect_says(made: object) -> None:
    package = "torch.nn.functional" if made is functional.dropout else "torch.nn"
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(made).parameters.values()  # type: ignore[arg-type]
    expected = tuple(parameter.name for parameter in parameters if parameter.kind in kinds)
    assert parameters_of(f"{package}.{made.__name__}") == expected  # type: ignore[attr-defined]


def test_what_no_source_shows_is_unknown() -> None:
    assert parameters_of("torch.add") is None
    assert parameters_of("no_such_package.f") is None
    assert parameters_of("torch.nn.NoSuchModule") is None


def test_names_are_followed_through_the_imports_of_a_file() -> None:
    tree = ast.parse(
        "import torch.nn as tn\nfrom torch.nn import Linear as L\n"
        "class Mine:\n    def __init__(self, a, b): ...\n"
    )
    look_up = signatures_of(tree, {"F": "torch.nn.functional"})
    assert look_up("tn.Conv1d")[:3] == ("in_channels", "out_channels", "kernel_size")  # type: ignore[index]
    assert look_up("L")[:2] == ("in_features", "out_features")  # type: ignore[index]
    assert look_up("Mine") == ("a", "b")
    assert look_up("F.dropout")[:2] == ("input", "p")  # type: ignore[index]
    assert look_up("unknown.f") is None


def test_nothing_is_imported() -> None:
    script = (
        "import sys\n"
        "from symnas.grammar import check_source\n"
        "source = 'from torch import nn\\nc = nn.Conv2d(3, 8, 3)  # search: kernel_size in {3, 5}\\n'\n"
        "report = check_source(source, 'm.py')\n"
        "assert report.ok and report.findings[0].described_line == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
