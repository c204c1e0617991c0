"""Partial channel connections against the paper's formula, written out."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import symnas
from symnas.errors import BuildError, ProgramError

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

NET = """
class Net(nn.Module):
    def __init__(self, c=8, stride=1):
        super().__init__()
        self.stem = nn.Conv2d(3, c, 1)
        separable = nn.Sequential(
            nn.ReLU(), nn.Conv2d(c, c, 3, stride, 1, groups=c, bias=False), nn.Conv2d(c, c // 2, 1),
            nn.Conv2d(c // 2, c, 1, bias=False), nn.BatchNorm2d(c, affine=False),
        )
        pool = nn.MaxPool2d(3, stride, 1)
        # search: {sep: separable, pool: pool}
        self.op = pool
        self.head = nn.Linear(c, 4)

    def forward(self, x):
        return self.head(self.op(self.stem(x)).mean((2, 3)))
"""


def program(tmp_path: Path, text: str = NET, **arguments: Any) -> Any:
    (tmp_path / "net.py").write_text("import torch\nfrom torch import nn\n\n" + dedent(text))
    return symnas.program(f"{tmp_path / 'net.py'}:Net", inputs=IMAGES, **arguments)


def by_hand(x: Tensor, weights: Tensor, candidates: list[nn.Module], k: int) -> Tensor:
    part = x.shape[1] // k
    mixed = sum(w * candidate(x[:, :part]) for w, candidate in zip(weights, candidates, strict=True))
    rest = x[:, part:] if mixed.shape[-1] == x.shape[-1] else F.max_pool2d(x[:, part:], 2, 2)
    joined = torch.cat([mixed, rest], 1)
    batch, channels, height, width = joined.shape
    return joined.view(batch, k, channels // k, height, width).transpose(1, 2).reshape(joined.shape)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [2, 4])
def test_a_part_is_mixed_and_the_rest_passes(tmp_path: Path, stride: int, k: int) -> None:
    net = program(tmp_path, stride=stride).relaxed(partial=k)
    x = torch.randn(2, 8, 8, 8)
    weights = net.logits["op"].softmax(0)
    found: list[Tensor] = []
    net.model.op.register_forward_hook(lambda _module, args, output: found.extend([args[0], output]))
    net(IMAGES)
    x, output = found
    torch.testing.assert_close(output, by_hand(x, weights, list(net.model.op.candidates), k))
    output.sum().backward()
    assert net.logits["op"].grad.abs().sum() > 0


def test_candidates_are_as_constructed_with_fewer_channels(tmp_path: Path) -> None:
    net = program(tmp_path, c=16).relaxed(partial=4)
    narrow = net.model.op.candidates[0]
    torch.manual_seed(0)
    wide = program(tmp_path, c=4).build({"op": "sep"}).op
    assert [tuple(p.shape) for p in narrow.parameters()] == [tuple(p.shape) for p in wide.parameters()]
    assert [str(layer) for layer in narrow] == [str(layer) for layer in wide]
    assert net.model.head.in_features == 16
    for mine, theirs in zip(narrow.parameters(), wide.parameters(), strict=True):
        assert 0 < float(mine.detach().abs().max()) <= 2 * float(theirs.detach().abs().max())


def test_it_has_no_child(tmp_path: Path) -> None:
    net = program(tmp_path).relaxed(partial=2)
    with pytest.raises(BuildError, match="partial=2 channels has weights of no child: build the child"):
        net.extract({"op": "sep"})


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (
            "{nn.Conv2d(c, 2 * c, 1), nn.Conv2d(c, 2 * c, 3, padding=1)}",
            "make 16 of 8; search with partial=1",
        ),
        ("{nn.Identity(), nn.LayerNorm([8, 8, 8])}", "'LayerNorm' of 'op' holds a LayerNorm, whose channels"),
        ("{nn.Identity(), nn.GroupNorm(8, c)}", "'GroupNorm' of 'op' normalises 8 groups, which is too many"),
        ("{nn.MaxPool2d(4), nn.AvgPool2d(4)}", r"halve it, and those of 'op' make \(2, 2\) of \(8, 8\)"),
    ],
)
def test_what_does_not_keep_channels_is_refused(tmp_path: Path, candidates: str, message: str) -> None:
    text = f"""
    class Net(nn.Module):
        def __init__(self, c=8):
            super().__init__()
            self.stem = nn.Conv2d(3, c, 1)
            self.op = {candidates[1:].split("), ")[0]})  # search: {candidates}

        def forward(self, x):
            return self.op(self.stem(x))
    """
    with pytest.raises(ProgramError, match=rf"(?s)net.py:9.*{message}"):
        program(tmp_path, text).relaxed(partial=4)


def test_what_k_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ProgramError, match=r"'sep' of 'op' has Conv2d\(out_channels=4\), which 8 does not divide"
    ):
        program(tmp_path).relaxed(partial=8)
    with pytest.raises(ProgramError, match="partial=0 divides the channels"):
        program(tmp_path).relaxed(partial=0)
