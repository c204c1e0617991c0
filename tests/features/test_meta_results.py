"""What operations return on `meta`, worked out once: the same as when they are asked every time."""

from __future__ import annotations

import pytest
import torch

from symnas.features.meta_results import computed
from symnas.features.operators import operator

ATEN = torch.ops.aten


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (ATEN.add.Tensor, (meta(2, 3), 1)),
        (ATEN.add.Tensor, (meta(2, 3).long(), 1)),
        (ATEN.add.Tensor, (meta(2, 3).long(), 1.0)),
        (ATEN.add.Tensor, (meta(2, 3).long(), True)),
        (ATEN.relu.default, (meta(3, 2).t(),)),
        (ATEN.cat.default, ([meta(2, 3), meta(2, 5)], 1)),
        (ATEN.native_batch_norm.default, (meta(2, 3, 4), None, None, meta(3), meta(3), True, 0.1, 1e-5)),
        (ATEN.max_pool2d_with_indices.default, (meta(1, 2, 8, 8), [3, 3], [2, 2], [1, 1])),
        (ATEN.convolution.default, (meta(1, 2, 8, 8).to(memory_format=torch.channels_last),
                                    meta(4, 2, 3, 3), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)),
    ],
)  # fmt: skip
def test_a_result_is_what_the_operator_returns(func: object, args: tuple[object, ...]) -> None:
    assert operator(func).fresh
    expected = func(*args)  # type: ignore[operator]
    for _ in range(2):
        found = computed(func, args, {})
        assert type(found) is type(expected)
        pairs = [(found, expected)] if isinstance(found, torch.Tensor) else zip(found, expected, strict=True)
        for mine, other in pairs:
            assert (mine.shape, mine.stride(), mine.dtype) == (other.shape, other.stride(), other.dtype)
            assert mine.is_meta


def test_results_are_new_tensors_every_time() -> None:
    first, second = (computed(ATEN.relu.default, (meta(2, 3),), {}) for _ in range(2))
    assert first is not second


@pytest.mark.parametrize(
    "func", [ATEN.view.default, ATEN.add_.Tensor, ATEN.split.Tensor, ATEN.detach.default]
)
def test_views_and_changes_are_run(func: object) -> None:
    assert not operator(func).fresh


def test_what_has_values_is_computed() -> None:
    x = torch.tensor([-1.0, 2.0])
    assert computed(ATEN.relu.default, (x,), {}).tolist() == [0, 2]


def test_what_an_operator_refuses_it_refuses_again() -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="dim"):
            computed(ATEN.mm.default, (meta(2, 3), meta(4, 5)), {})
