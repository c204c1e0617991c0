"""Data of a task: pairs of arrays, datasets and loaders, read as batches and hashed by content."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from symnas.errors import EvaluatorError

Inputs = Tensor | tuple[Tensor, ...]
Example = tuple[Inputs, Tensor]


class Batches:
    """One split of the data.

    Args:
        name: what the split is called in messages.
        data: a pair (inputs, targets) of tensors or arrays with equal first dimensions, where inputs may be a
            tuple of them; a `Dataset` of such pairs; or a `DataLoader`, whose own batch size and order stand.
        batch_size: examples per batch, where the data are not a loader.
    """

    def __init__(self, name: str, data: Any, batch_size: int) -> None:
        self.name = name
        self._size = batch_size
        self._loader = data if isinstance(data, DataLoader) else None
        self._dataset = data if isinstance(data, Dataset) else None
        self._pair = None if self._loader or self._dataset is not None else _pair(name, data)
        if self._loader is None and len(self) == 0:
            raise EvaluatorError(f"{name} data needs at least one example; got none")

    def __len__(self) -> int:
        """Return the number of batches."""
        if self._loader is not None:
            return len(self._loader)
        return -(-self._examples() // self._size)

    def read(self, generator: torch.Generator | None, device: torch.device) -> Iterator[Example]:
        """Yield batches on the device.

        Args:
            generator: shuffles the examples; None reads them in order. A loader keeps its own order; if it
                has a generator of its own, that one is seeded from this one, so that runs do not depend on
                each other.
            device: where the tensors go.
        """
        for batch in self._batches(generator):
            inputs, targets = _checked(self.name, batch)
            moved = inputs.to(device) if isinstance(inputs, Tensor) else tuple(x.to(device) for x in inputs)
            yield moved, targets.to(device)

    def _examples(self) -> int:
        if self._pair is not None:
            return len(self._pair[1])
        return len(cast(Sized, self._dataset))

    def _batches(self, generator: torch.Generator | None) -> Iterator[Any]:
        if self._loader is not None:
            if generator is not None and isinstance(self._loader.generator, torch.Generator):
                self._loader.generator.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            yield from self._loader
            return
        if self._dataset is not None:
            shuffled = generator is not None
            # Reading seeds the loader's workers from its generator, so even an ordered one gets its own.
            own = generator if shuffled else torch.Generator().manual_seed(0)
            yield from DataLoader(self._dataset, self._size, shuffle=shuffled, generator=own)
            return
        inputs, targets = cast(Example, self._pair)
        count = len(targets)
        # (examples,) in which order they are read; rows of it index all tensors alike, without copying any.
        order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
        for start in range(0, count, self._size):
            rows = order[start : start + self._size]
            picked = inputs[rows] if isinstance(inputs, Tensor) else tuple(x[rows] for x in inputs)
            yield picked, targets[rows]

    def sample(self, limit: int = 65_536) -> Iterator[Any]:
        """Yield plain values that change when the data do: shapes, types, and contents evenly sampled.

        Args:
            limit: how many elements of each array, and a 256th as many examples of a dataset, are looked at.
        """
        if self._pair is not None:
            yield from _contents(self._pair, limit)
            return
        dataset: Any = self._loader.dataset if self._loader is not None else self._dataset
        if self._loader is not None:
            yield ("loader", self._loader.batch_size, type(self._loader.sampler).__qualname__)
        yield type(dataset).__qualname__
        if hasattr(dataset, "__len__"):
            count = len(dataset)
            yield count
            # Reading an example may decode a picture, so far fewer of them are looked at than of an array's
            # elements, and evenly: a change of one part of the data is seen, a change of one example may not
            # be.
            for position in np.unique(np.linspace(0, count - 1, min(count, limit // 256)).astype(int)):
                yield from _contents(dataset[int(position)], limit)


def _pair(name: str, data: Any) -> Example:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise EvaluatorError(
            f"{name} data is a pair (inputs, targets), a Dataset or a DataLoader; got {type(data).__name__}"
        )
    inputs = tuple(map(_tensor, data[0])) if isinstance(data[0], tuple) else _tensor(data[0])
    targets = _tensor(data[1])
    for part in inputs if isinstance(inputs, tuple) else (inputs,):
        if not part.ndim or not targets.ndim or len(part) != len(targets):
            raise EvaluatorError(
                f"{name} data has one target per input; got inputs of shape {tuple(part.shape)} "
                f"and targets of shape {tuple(targets.shape)}"
            )
    return inputs, targets


def few(batch: Example, count: int) -> Example:
    """Return the first examples of a batch; all where inputs are not one per target, as in a graph."""
    inputs, targets = batch
    parts = inputs if isinstance(inputs, tuple) else (inputs,)
    if any(len(part) != len(targets) for part in parts):
        return batch
    return (tuple(x[:count] for x in inputs) if isinstance(inputs, tuple) else inputs[:count]), targets[
        :count
    ]


def _tensor(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values
    tensor = torch.as_tensor(np.array(values))
    # Arrays are double by habit, layers single; a tensor's type was chosen and stays.
    return tensor.to(torch.get_default_dtype()) if tensor.dtype == torch.float64 else tensor


def _checked(name: str, batch: Any) -> Example:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, targets = batch
        if isinstance(inputs, list | tuple):
            inputs = tuple(inputs)
        if isinstance(targets, Tensor) and isinstance(inputs, Tensor | tuple):
            return inputs, targets
    raise EvaluatorError(f"a batch of {name} data is a pair (inputs, targets) of tensors; got {type(batch)}")


def _contents(value: Any, limit: int) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for part in value:
            yield from _contents(part, limit)
    elif isinstance(value, Tensor | np.ndarray):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        flat = array.reshape(-1)
        picked = flat[np.unique(np.linspace(0, max(len(flat) - 1, 0), min(len(flat), limit)).astype(int))]
        yield (array.shape, str(array.dtype), picked.tobytes())
    else:
        yield repr(value)
