"""What the user's code raises is told with its line and with the candidate that it fails under."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import symnas
from symnas.errors import BuildError

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 4  # search: {4, 5}
        self.fc, self.out = nn.Linear(4, 4), nn.Linear(5, 4)
        self.last = nn.Linear(WIDTH, 4)

    def forward(self, x):
        act = "a"  # search: {"a", "b", "c"}
        BODY
        k = 1  # search: {1, 2}
        return x * k
"""
CASES = {
    # what stands in `forward`: the line that raises, when, and what
    'if act == "b": x = self.out(x)': (14, "whenever 'act' was `\"b\"`", "mat1 and mat2 shapes"),
    'if act == "a": raise ValueError("no")': (14, "whenever 'act' was `\"a\"`", "ValueError: no"),
    "y = x  # search: {x, self.out(x), self.fc(x)}": (14, "whenever 'y' was `self.out(x)`", "mat1 and mat2"),
    'x = {"a": x, "b": x}[act]': (14, "whenever 'act' was `\"c\"`", "KeyError: 'c'"),
    "x = self.out(x)": (14, "under every decision that was tried", "mat1 and mat2 shapes"),
    "x = self.last(x)": (14, "whenever 'width' was `5`", "mat1 and mat2 shapes"),
    'x = x.reshape(3, -1) if act == "c" else x': (14, "whenever 'act' was `\"c\"`", "invalid for input"),
}


@pytest.mark.parametrize("body", CASES)
def test_a_forward_that_raises_under_a_candidate_names_line_and_candidate(body: str, tmp_path: Path) -> None:
    width = "width" if "last" in body else "4"
    path = tmp_path / "failing.py"
    path.write_text(MODEL.replace("BODY", body).replace("WIDTH", width))
    line, when, what = CASES[body]
    with pytest.raises(BuildError, match="calling the built Net") as caught:
        _ = symnas.program(f"{path}:Net", inputs=torch.ones(2, 4)).space
    message = str(caught.value)
    assert message.startswith(f"calling the built Net on the example inputs failed at {path}:{line} {when}")
    assert what in message
    assert caught.value.__cause__ is not None


def test_what_fails_under_two_choices_together_refuses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    body = 'if act == "b" and self.fc.in_features == width(x): raise ValueError'
    text = MODEL.replace("BODY", body).replace("WIDTH", "4").replace("nn.Linear(4, 4)", "nn.Linear(width, 4)")
    path.write_text(text.replace("width(x)", "5").replace("self.fc(x)", "x"))
    assert symnas.program(f"{path}:Net", inputs=torch.ones(2, 4)).space.size == 12
