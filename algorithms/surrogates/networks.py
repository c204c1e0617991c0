"""An ensemble of small networks on path encodings, through torch."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.algorithms.surrogates.base import Frozen
from symnas.contracts.algorithm import Prediction

if TYPE_CHECKING:
    import torch

    from symnas.tree.space import Batch, Space


class Networks:
    """Networks that differ in first weights and order of data; their spread is the uncertainty.

    White, Neiswanger, Savani: BANANAS, AAAI 2021 (arXiv:1910.11858): five networks of ten layers of width 20,
    trained by Adam at 0.01. The encoding says for every path from the root of the tree whether the decision
    takes it, which is its one-hot view: every column is the end of one path. The loss is the absolute error,
    not the absolute percentage of the error, which needs to know the best value there can be. All members
    are trained at once, as one batched product per layer.

    Args:
        members: how many networks.
        layers: how many layers each has.
        width: how many units a layer has.
        rate: learning rate.
        epochs: how often each network sees every decision.
        growth: as in `surrogates.Surrogate`.
    """

    def __init__(
        self,
        *,
        members: int = 5,
        layers: int = 10,
        width: int = 20,
        rate: float = 0.01,
        epochs: int = 150,
        growth: float = 1.1,
    ) -> None:
        self.members = members
        self.layers = layers
        self.width = width
        self.rate = rate
        self.epochs = epochs
        self.growth = growth

    def fit(self, space: Space, batch: Batch, values: Floats) -> NetworksModel:
        """Return the networks trained on decisions and their values; arguments as in `Surrogate.fit`."""
        import torch

        rows = _paths(space, batch)
        level, scale = float(values.mean()), float(values.std()) or 1.0
        # The same rows give the same networks; torch's own generator is left alone.
        generator = torch.Generator().manual_seed(len(values))
        weights = self._weights(rows.shape[1], generator)
        inputs = torch.from_numpy(rows)
        targets = torch.from_numpy(((values - level) / scale).astype(np.float32))
        # Decay rates, batches of 32 and first weights are those of naszilla's `meta_neural_net.py`.
        optimiser = torch.optim.Adam(weights, self.rate, betas=(0.9, 0.99))
        with torch.enable_grad():
            for _ in range(self.epochs):
                # Each member goes through all rows in an order of its own.
                order = [torch.randperm(len(rows), generator=generator) for _ in range(self.members)]
                for chosen in torch.split(torch.stack(order), 32, dim=1):
                    # `chosen` is (members, 32), the error (members, 32). Means per member, and their sum: no
                    # member's gradient depends on another, so that this is training each by itself.
                    loss = (_forward(weights, inputs[chosen]) - targets[chosen]).abs().mean(dim=1).sum()
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
        return NetworksModel(space, [weight.detach() for weight in weights], level, scale, rows)

    def _weights(self, columns: int, generator: torch.Generator) -> list[torch.Tensor]:
        import torch

        sizes = [columns, *[self.width] * self.layers, 1]
        weights = []
        for before, after in itertools.pairwise(sizes):
            # Uniform within sqrt(6 / (in + out)): Glorot and Bengio 2010, equation 16, Keras's default.
            bound = math.sqrt(6.0 / (before + after))
            matrix = torch.empty(self.members, before, after).uniform_(-bound, bound, generator=generator)
            weights += [matrix.requires_grad_(), torch.zeros(self.members, 1, after, requires_grad=True)]
        return weights


def _paths(space: Space, batch: Batch) -> NDArray[np.float32]:
    """Return which paths decisions take, (rows, paths); a column of zeros if there are none."""
    view = space.encode(batch).astype(np.float32, copy=False)
    return view if view.shape[1] else np.zeros((len(batch), 1), np.float32)


def _forward(weights: list[torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Return every member's output, (members, rows), of inputs (members or nothing, rows, columns)."""
    hidden = inputs
    for layer in range(0, len(weights), 2):
        # (members, rows, in) times (members, in, out), plus (members, 1, out).
        hidden = hidden @ weights[layer] + weights[layer + 1]
        if layer + 2 < len(weights):
            hidden = hidden.relu()
    return hidden[..., 0]


class NetworksModel(Frozen):
    """A trained ensemble.

    Args:
        space: the space of its decisions.
        weights: matrices and offsets in turn, each with the members in front.
        level: mean of the values trained on.
        scale: their standard deviation.
        rows: (rows, paths) what was trained on.
    """

    def __init__(
        self,
        space: Space,
        weights: list[torch.Tensor],
        level: float,
        scale: float,
        rows: NDArray[np.float32],
    ) -> None:
        self._space = space
        self._weights = weights
        self._level = level
        self._scale = scale
        super().__init__(self._of(rows).mean)

    def predict(self, batch: Batch) -> Prediction:
        """Return mean and standard deviation over the members, (rows,) each."""
        return self._of(_paths(self._space, batch))

    def _of(self, rows: NDArray[np.float32]) -> Prediction:
        import torch

        with torch.no_grad():
            each = _forward(self._weights, torch.from_numpy(rows)).numpy().astype(np.float64)
        # (members, rows). The spread is divided by the members, not by one less, as in naszilla's `acq_fn`.
        return Prediction(self._level + self._scale * each.mean(axis=0), self._scale * each.std(axis=0))
