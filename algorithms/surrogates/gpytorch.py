"""The Gaussian process over trees through GPyTorch and BoTorch: slower, and an independent second way."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from symnas._typing import Floats
from symnas.algorithms.surrogates.base import Model
from symnas.algorithms.surrogates.embedding import Embedding
from symnas.algorithms.surrogates.gp import standard
from symnas.algorithms.surrogates.tree_kernel import JITTER, Prior, TreeKernel
from symnas.contracts.algorithm import Prediction
from symnas.errors import MissingExtraError

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space


class GPyTorchProcess:
    """The process of `gp`, with kernel, likelihood and fit by GPyTorch and BoTorch.

    Balandat et al.: BoTorch, NeurIPS 2020 (arXiv:1910.06403). Only the distance over trees is ours. Use it
    to build on that library, or to check the closed form against it.

    Args:
        counts: whether points alike are also counted together (`embedding`).
        prior: the priors of the hyperparameters.
        growth: as in `base.Surrogate`.
    """

    def __init__(self, *, counts: bool = True, prior: Prior | None = None, growth: float = 1.2) -> None:
        self.counts = counts
        self.prior = prior or Prior()
        self.growth = growth
        self._embedding: Embedding | None = None

    def fit(self, space: Space, batch: Batch, values: Floats) -> GPyTorchModel:
        """Return the posterior under what BoTorch finds most probable; arguments as in `Surrogate.fit`.

        Raises:
            MissingExtraError: GPyTorch or BoTorch is not installed.
        """
        try:
            from botorch.fit import fit_gpytorch_mll
            from gpytorch.mlls import ExactMarginalLogLikelihood
        except ImportError as error:
            raise MissingExtraError(
                "the surrogate 'gpytorch' needs GPyTorch and BoTorch, which are not installed: "
                "pip install symnas[smbo], or take surrogate='gp'"
            ) from error
        model = self.untrained(space, batch, values)
        likelihood = ExactMarginalLogLikelihood(model.process.likelihood, model.process)
        with warnings.catch_warnings():
            # BoTorch warns where it starts again from another point, which it does by itself.
            warnings.simplefilter("ignore")
            fit_gpytorch_mll(likelihood)
        return GPyTorchModel(model.embedding, model.process, model.centre, values)

    def untrained(
        self, space: Space, batch: Batch, values: Floats, theta: Floats | None = None
    ) -> GPyTorchModel:
        """Return the posterior under given hyperparameters, those of `tree_kernel`; without, the medians."""
        if self._embedding is None or self._embedding.space is not space:
            self._embedding = Embedding(space, self.counts)
        embedding = self._embedding
        kernel = TreeKernel(embedding.block_of, embedding.shares, self.prior)
        rows = embedding(batch)
        centre = rows.mean(axis=0)
        level, scale = standard(values)
        at = kernel.means if theta is None else theta
        process = _process(kernel, at, rows - centre, (values - level) / scale)
        return GPyTorchModel(embedding, process, centre, values)


def _process(kernel: TreeKernel, theta: Floats, rows: Floats, values: Floats) -> Any:
    """Return BoTorch's exact process with zero mean, our distance in its kernel and our priors."""
    import torch
    from botorch.models import SingleTaskGP
    from gpytorch.means import ZeroMean

    likelihood = _likelihood(kernel, theta)
    with warnings.catch_warnings():
        # BoTorch checks that data are scaled as its own kernel and priors assume, which are not used here.
        warnings.simplefilter("ignore")
        return SingleTaskGP(
            torch.from_numpy(rows),
            torch.from_numpy(values)[:, None],
            likelihood=likelihood,
            covar_module=_covariance(kernel, theta),
            mean_module=ZeroMean(),
            outcome_transform=None,
        )


def _covariance(kernel: TreeKernel, theta: Floats) -> Any:
    """Return the kernel of `tree_kernel` as GPyTorch's, with its priors.

    Args:
        kernel: blocks, shares and priors.
        theta: as for `TreeKernel.loss`; all but the noise's.
    """
    import torch
    from gpytorch.kernels import Kernel
    from gpytorch.priors import NormalPrior

    double = torch.float64
    block_of = torch.from_numpy(kernel.block_of)
    shares = torch.from_numpy(kernel.shares)
    count = kernel.blocks + 2

    class Covariance(Kernel):  # type: ignore[misc]
        """Matérn 5/2 of the weighted distance, plus the weighted inner product."""

        def __init__(self) -> None:
            super().__init__()
            at = torch.tensor(theta[:count], dtype=double)
            self.register_parameter("theta", torch.nn.Parameter(at))
            prior = NormalPrior(
                torch.tensor(kernel.means[:count], dtype=double),
                torch.tensor(kernel.spreads[:count], dtype=double),
            )
            self.register_prior("theta_prior", prior, lambda module: module.theta)

        def forward(self, first: Any, second: Any, diag: bool = False, **_: object) -> Any:
            weights = self.theta[: kernel.blocks].exp()[block_of] * shares
            product, additive = self.theta[kernel.blocks :].exp()
            # Coordinates times the roots of their weights: plain distances and products are weighted then.
            first, second = first * weights.sqrt(), second * weights.sqrt()
            if diag:
                return product + additive * (first * second).sum(-1)
            root = math.sqrt(5.0) * self.covar_dist(first, second)
            near = (1.0 + root + root**2 / 3.0) * (-root).exp()
            return product * near + additive * first @ second.transpose(-1, -2)

    return Covariance()


def _likelihood(kernel: TreeKernel, theta: Floats) -> Any:
    """Return GPyTorch's normal noise, with its prior and at the variance of `theta`."""
    import torch
    from gpytorch.constraints import GreaterThan
    from gpytorch.likelihoods import GaussianLikelihood
    from gpytorch.priors import LogNormalPrior

    # The closed form has a normal density of log n, n being the variance; this is that of n, which has a
    # factor 1 / n more, so that what is most probable has a little less noise here.
    likelihood = GaussianLikelihood(
        noise_prior=LogNormalPrior(kernel.means[-1], kernel.spreads[-1]), noise_constraint=GreaterThan(JITTER)
    ).to(torch.float64)
    likelihood.noise = math.exp(theta[-1]) + JITTER
    return likelihood


class GPyTorchModel(Model):
    """A posterior of GPyTorch.

    Args:
        embedding: the coordinates of decisions.
        process: BoTorch's model.
        centre: what is taken off coordinates.
        values: (rows,) what was observed.
    """

    def __init__(self, embedding: Embedding, process: Any, centre: Floats, values: Floats) -> None:
        self.embedding = embedding
        self.process = process
        self.centre = centre
        self.values = values
        self.level, self.scale = standard(values)

    @property
    def fitted(self) -> Floats:
        """What is expected of the rows observed, free of their noise."""
        return self._of(self.process.train_inputs[0]).mean

    def predict(self, batch: Batch) -> Prediction:
        """Return mean and standard deviation of what decisions are worth, (rows,) each."""
        import torch

        return self._of(torch.from_numpy(self.embedding(batch) - self.centre))

    def gains(self, batch: Batch, best: int) -> Prediction:
        """Return what decisions are worth, and how far one evaluation of each is to tell it from the best.

        Args:
            batch: the decisions.
            best: the number of the best row.
        """
        import torch

        at = self.process.train_inputs[0][best : best + 1]
        rows = torch.cat([torch.from_numpy(self.embedding(batch) - self.centre), at])
        self.process.eval()
        with torch.no_grad():
            joint = self.process(rows)
            mean, covariance = joint.mean.numpy()[:-1], joint.covariance_matrix.numpy()[:-1]
        variance, shared = np.maximum(np.diagonal(covariance), JITTER), covariance[:, -1]
        # (v - c) / sqrt(v + n), as in `gp`: row i of the joint covariance is decision i, its last column the
        # row `best`.
        moved = np.abs(variance - shared) / np.sqrt(variance + self.process.likelihood.noise.item())
        return Prediction(self.level + self.scale * mean, self.scale * moved)

    def _of(self, rows: Any) -> Prediction:
        import torch

        self.process.eval()
        with torch.no_grad(), warnings.catch_warnings():
            # GPyTorch warns that it is asked about the rows it was trained on, as is meant here.
            warnings.simplefilter("ignore")
            posterior = self.process(rows)
            mean, variance = posterior.mean.numpy(), posterior.variance.numpy()
        return Prediction(self.level + self.scale * mean, self.scale * np.sqrt(np.maximum(variance, JITTER)))

    def updated(self, batch: Batch, values: Floats) -> GPyTorchModel:
        """Return the posterior with further rows, hyperparameters unchanged.

        Args:
            batch: the new decisions.
            values: the values of all rows, those of the old ones first.
        """
        import copy

        import torch

        # A model never changes; hyperparameters go along with the copy.
        process = copy.deepcopy(self.process)
        level, scale = standard(values)
        fresh = torch.from_numpy(self.embedding(batch) - self.centre)
        rows = torch.cat([process.train_inputs[0], fresh])
        # Not strict, since there are more rows than before.
        process.set_train_data(rows, torch.from_numpy((values - level) / scale), strict=False)
        return GPyTorchModel(self.embedding, process, self.centre, values)
