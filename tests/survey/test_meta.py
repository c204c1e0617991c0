"""What is left out on `meta`: initialisers, and constructing like layers again; and what must not change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from symnas.frontend.uninitialised import on_meta
from symnas.survey.prototypes import Prototypes

LAYERS: list[Callable[[], nn.Module]] = [
    lambda: nn.Conv2d(4, 6, (3, 1), padding="same", padding_mode="circular"),
    lambda: nn.ConvTranspose1d(4, 6, 3, bias=False),
    lambda: nn.BatchNorm2d(5, affine=False),
    lambda: nn.BatchNorm1d(5, track_running_stats=False),
    lambda: nn.InstanceNorm2d(3),
    lambda: nn.GroupNorm(2, 4),
    lambda: nn.LayerNorm((3, 4), elementwise_affine=False),
    lambda: nn.Linear(3, 4, bias=False),
    lambda: nn.Embedding(7, 3, padding_idx=2),
    lambda: nn.EmbeddingBag(7, 3),
    lambda: nn.PReLU(3),
    lambda: nn.Bilinear(2, 3, 4),
    lambda: nn.MultiheadAttention(8, 2, kdim=4, vdim=4),
    lambda: nn.TransformerEncoderLayer(8, 2, activation="gelu"),
    lambda: nn.LSTM(3, 4, 2),
    lambda: nn.SyncBatchNorm(3),
]


def described(layer: nn.Module) -> object:
    tensors = [(name, type(t), t.shape, t.dtype, t.requires_grad, t.device.type)
               for name, t in [*layer.named_parameters(), *layer.named_buffers()]]  # fmt: skip
    inside = [(path, list(vars(m)), [type(v) for v in vars(m).values()]) for path, m in layer.named_modules()]
    return repr(layer), tensors, inside


@pytest.mark.parametrize("make", LAYERS)
def test_a_copied_layer_is_like_a_constructed_one_and_its_own(make: Callable[[], nn.Module]) -> None:
    prototypes = Prototypes()
    with on_meta():
        plain = make()
        with prototypes.in_force():
            first, second = make(), make()
    assert described(plain) == described(first) == described(second)
    first_tensors = {id(t) for t in [*first.parameters(), *first.buffers()]}
    assert not first_tensors & {id(t) for t in [*second.parameters(), *second.buffers()]}
    first.register_parameter("other", nn.Parameter(torch.zeros(1)))
    first.register_forward_hook(lambda *_: None)
    first.extra = 1
    assert described(plain) == described(second)


def test_equal_numbers_of_other_types_are_other_arguments() -> None:
    with on_meta(), Prototypes().in_force():
        assert [nn.Linear(3, 4, bias=bias).bias is None for bias in (True, False, 1, 0)] == [False, True] * 2
        found = [nn.LayerNorm(3, eps).eps for eps in (1, 1.0, True)]
        assert [type(eps) for eps in found] == [int, float, bool]
        with torch.device("cpu"):
            assert nn.Linear(3, 4).weight.device.type == "cpu"
        torch.set_default_dtype(torch.float64)
        try:
            assert nn.Linear(3, 4).weight.dtype == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)


class Counting(nn.Linear):
    resets = 0

    def reset_parameters(self) -> None:
        type(self).resets += 1


def test_classes_of_the_user_are_constructed_every_time() -> None:
    with on_meta(), Prototypes().in_force():
        for _ in range(3):
            Counting(2, 3)
    assert Counting.resets == 3
    assert nn.Linear.__init__.__qualname__ == "Linear.__init__"
    assert not hasattr(nn.Linear.__init__, "__wrapped__")


FAILING: list[tuple[Callable[[], object], str]] = [
    (lambda: nn.init.normal_(torch.empty(3), std=-1.0), "std"),
    (lambda: nn.init.kaiming_uniform_(torch.empty(3)), "fewer than 2 dimensions"),
    (lambda: nn.init.kaiming_normal_(torch.empty(3, 4), mode="fan"), "not supported"),
    (lambda: nn.Parameter(torch.empty(3)).fill_(1), "leaf Variable"),
    (lambda: nn.Parameter(torch.empty(3)).zero_(), "leaf Variable"),
    (lambda: nn.functional.dropout(torch.empty(3), 1.5), "between 0 and 1"),
    (lambda: nn.Linear(3, "4"), "type"),  # type: ignore[arg-type]
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "divisible"),
]


@pytest.mark.parametrize(("fill", "message"), FAILING)
def test_what_cannot_be_filled_fails_as_ever(fill: Callable[[], object], message: str) -> None:
    for _ in range(2):
        with on_meta(), Prototypes().in_force(), pytest.raises(Exception, match=message):
            fill()


SURVEY = """
import sys
import torch
from torch import nn
import symnas

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        width = 8  # search: {8, 16}
        self.embed = nn.Embedding(10, width)
        self.drop = nn.Dropout(0.1)  # search: {nn.Dropout(0.1), nn.Identity()}
        self.head = nn.Linear(width, 2)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.xavier_uniform_(self.head.weight)

program = symnas.program(Net)
assert program.space.size == 4
print("torch._dynamo" in sys.modules)
"""


def test_a_survey_does_not_import_the_compiler(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(SURVEY)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
