"""Random numbers of one training run, kept apart from everybody else's.

Models, datasets and augmentations draw from the global generators, which cannot be handed to them. So a run
swaps the states of all of them in and out: what it draws is one sequence from its seed, whatever others draw
in between, and they find theirs as they left it. Not safe from several threads, as the global generators are
not.
"""

from __future__ import annotations

import random
from types import TracebackType
from typing import Any

import numpy as np
import torch


class RandomStream:
    """The global generators of Python, NumPy and PyTorch as one run sees them.

    Inside `with stream:` the global generators continue this run's own sequence; outside they are as if
    nothing had happened. It may be entered again and again, and what is drawn depends on the seed only.

    Args:
        seed: a non-negative integer.
        device: the device whose generator is kept apart as well as the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        # What state a seed gives, only the generators know: they are seeded, read and put back.
        outside = self._read()
        random.seed(seed)
        np.random.seed(seed % 2**32)  # it takes 32 bits
        torch.default_generator.manual_seed(seed)
        if self._cuda is not None:
            with torch.cuda.device(self._cuda):
                torch.cuda.manual_seed(seed)
        self._inside = self._read()
        self._write(outside)
        self._outside = outside

    def __enter__(self) -> RandomStream:
        """Put this run's generators in place."""
        self._outside = self._read()
        self._write(self._inside)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the outer generators back."""
        self._inside = self._read()
        self._write(self._outside)

    def now(self) -> dict[str, Any]:
        """Return the state of the generators that are in place, as numbers, texts and tensors."""
        # Plain numbers and tensors, so that `torch.load(weights_only=True)` reads them again: 625 words of
        # the Mersenne twister and the half-used Gaussian pair of Python, 624 of NumPy.
        python, numpy, cpu, cuda = self._read()
        kind, keys, *rest = numpy
        return {
            "python": [python[0], list(python[1]), python[2]],
            "numpy": [kind, torch.as_tensor(keys.astype(np.int64)), *rest],
            "cpu": cpu,
            "cuda": cuda,
        }

    def put(self, state: dict[str, Any]) -> None:
        """Put generators in place that `now` has returned."""
        (version, words, gauss), (kind, keys, *rest) = state["python"], state["numpy"]
        numpy = (kind, keys.numpy().astype(np.uint32), *rest)
        self._write(((version, tuple(words), gauss), numpy, state["cpu"], state["cuda"]))

    def _read(self) -> tuple[Any, ...]:
        cuda = torch.cuda.get_rng_state(self._cuda) if self._cuda is not None else None
        return random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda

    def _write(self, states: tuple[Any, ...]) -> None:
        python, numpy, cpu, cuda = states
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(cuda, self._cuda)
