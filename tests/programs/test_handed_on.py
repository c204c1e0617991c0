"""A function with choices that is called under another name gives no points, and that is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

import symnas
from symnas.frontend.sources import load_file

ACT = "def act(x):\n    return x + 1  # search: {x + 1, x}\n\n\n"
MODEL = """from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.function = FUNCTION

    def forward(self, x):
        return CALL
"""


def remarks(path: Path, function: str, call: str) -> tuple[list[str], list[str]]:
    path.write_text(ACT + MODEL.replace("FUNCTION", function).replace("CALL", call))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        space = symnas.program(f"{path}:Net", inputs=torch.zeros(1, 2)).space
    return list(space.default), [str(warning.message) for warning in caught]


@pytest.mark.parametrize("function", ["act", "lambda x: act(x)", "lambda x: 2 * act(x + 1)"])
def test_a_function_that_is_kept_as_an_attribute_is_told(function: str, tmp_path: Path) -> None:
    addresses, told = remarks(tmp_path / "m.py", function, "self.function(x)")
    assert addresses == []
    assert len(told) == 1
    assert "the choices of `act` are no points, since it is handed on as a value (line 10)" in told[0]


def test_a_function_among_the_arguments_is_told(tmp_path: Path) -> None:
    text = ACT + MODEL.replace("__init__(self)", "__init__(self, f)").replace("FUNCTION", "f")
    (tmp_path / "given.py").write_text(text.replace("CALL", "self.function(x)"))
    module = load_file(tmp_path / "given.py")
    with pytest.warns(UserWarning, match="the choices of `act` are no points, since it is an argument"):
        assert symnas.program(module.Net, module.act, inputs=torch.zeros(1, 2)).space.size == 1


@pytest.mark.parametrize(
    ("function", "call", "points"),
    [("None", "act(x)", ["return"]), ("act if False else len", "x", []), ("{'a': act}", "x", [])],
)
def test_what_is_called_by_its_name_or_one_of_several_is_not_told(
    function: str, call: str, points: list[str], tmp_path: Path
) -> None:
    addresses, told = remarks(tmp_path / "m.py", function, call)
    assert len(addresses) == len(points)
    assert told == []
