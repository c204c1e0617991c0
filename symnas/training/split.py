"""Parting training data in two: one part for the weights, the other for the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from symnas.errors import EvaluatorError
from symnas.training.data import Batches


def part(train: Any, share: float, batch_size: int, seed: int) -> tuple[Batches, Batches]:
    """Return the batches of a random part of training data, and those of the rest.

    Args:
        train: as a task has it: a pair of tensors or arrays, a dataset, or a loader, whose dataset is
            parted and whose batch size and collation stand.
        share: of the second part.
        batch_size: examples per batch, where the data are not a loader.
        seed: of the draw.

    Raises:
        EvaluatorError: the data cannot be parted, or a part would be empty.
    """
    data = train.dataset if isinstance(train, DataLoader) else train
    if isinstance(data, IterableDataset):
        raise EvaluatorError(
            "a relaxed search keeps a part of the training data back for the logits, and a stream cannot be "
            "parted: give the task a dataset with a length, or train the logits on the validation data "
            "(held_out=0)"
        )
    count = len(data) if isinstance(data, Dataset) else len(data[1])  # type: ignore[arg-type]
    held = round(share * count)
    if not 0 < held < count:
        raise EvaluatorError(
            f"a share of {share:g} of {count} training examples leaves no example for the "
            f"{'weights' if held else 'logits'}: give more data, or another held_out"
        )
    # A permutation of all examples, cut once, makes the two disjoint and complete; within each the order of
    # the data stays, since batches are shuffled later by the run's own generator.
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    rows = order[held:].sort().values, order[:held].sort().values
    names = ("train data of the weights", "train data of the logits")
    first, second = (
        Batches(name, _rows(train, data, picked), batch_size)
        for name, picked in zip(names, rows, strict=True)
    )
    return first, second


def _rows(train: Any, data: Any, rows: Tensor) -> Any:
    if isinstance(data, Dataset):
        subset: Subset[Any] = Subset(data, cast(Sequence[int], rows.tolist()))
        if not isinstance(train, DataLoader):
            return subset
        return DataLoader(
            subset, train.batch_size, shuffle=True, num_workers=train.num_workers,
            collate_fn=train.collate_fn, pin_memory=train.pin_memory, drop_last=train.drop_last,
            generator=torch.Generator(),
        )  # fmt: skip
    inputs, targets = data
    picked = tuple(x[rows] for x in inputs) if isinstance(inputs, tuple) else inputs[rows]
    return picked, targets[rows]
