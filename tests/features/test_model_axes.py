"""The axes of a whole model: by its classes alone, and after a call."""

from __future__ import annotations

import torch
from torch import nn

from symnas.features.model_axes import axes_of


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.again = self.first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.again(self.second(torch.relu(self.norm(self.first(x)))))


LABELS = {
    "first.weight": "a",
    "again.weight": "b",
    "second.weight": "c",
    "norm.weight": "n",
    "norm.running_mean": "n.buffer",
}


def test_without_a_call_a_tensor_is_what_the_class_of_its_module_says() -> None:
    model = Tied()
    found = axes_of(model, LABELS, None)
    own = found.tensors[id(model.first.weight)][1]
    assert [axis.labels for axis in own] == [{"a:0"}, {"a:1"}]  # under its first name
    assert len(found.tensors) == 4
    assert not found.changed


def test_a_call_tells_which_axes_are_one_and_what_is_written_to() -> None:
    model = Tied()
    found = axes_of(model, LABELS, ((torch.randn(5, 3),), {}))
    made, read = (found.tensors[id(layer.weight)][1] for layer in (model.first, model.second))
    assert made[0].find() is read[1].find()
    assert model.training
    mean = model.norm.running_mean
    assert mean is not None
    assert id(mean) in found.changed
    axes_of(model, LABELS, ((torch.randn(5, 3),), {}), training=False)
    assert not model.training
