"""The contract of algorithms that train all candidates at once, and what all of them have in common.

A search gives such an algorithm no outcomes to choose by. It trains a relaxed network in alternating steps,
the logits on one half of the data and the weights on the other, and asks the algorithm four things: how the
candidates are mixed in a step (`mixes`), how probable they are (`probabilities`), what is to be put right
after a step (`settle`), and, in the end, which decision the logits stand for (`derive`). All four are pure
functions of what they are given, so that a search goes on where it was killed.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from symnas._typing import Value
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import (
    FLAG,
    SHARE,
    WEIGHT,
    Check,
    anything,
    hyperparameter,
    one_of,
    whole,
    with_hyperparameters,
)
from symnas.contracts.outcome import Outcome
from symnas.contracts.relaxed_points import Mixture, RelaxedKind, RelaxedPoint, derive, owners
from symnas.errors import AlgorithmError
from symnas.tree.space import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from symnas.tree.space import Space

Updated = Literal["weights", "logits"]
Logits = Mapping[str, "Tensor"]
Strengths = Callable[[str], "Tensor"]

COST_TABLE = "a table of ((address, (cost of each candidate, …)), …)"


@with_hyperparameters(source="Liu et al. 2019")
class RelaxedAlgorithm(Algorithm):
    """Base of algorithms that train all candidates at once: implement `mix`.

    The defaults are those that DARTS was published with (Liu et al. 2019, CIFAR-10), which most of the
    family keep; what DARTS does not have is off.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(real_valued=False, multi_objective=True, relaxed=True)
    kinds: ClassVar[tuple[RelaxedKind, ...]] = tuple(RelaxedKind)
    """Kinds of points that it can choose at."""
    keeps_zero: ClassVar[bool] = False
    """Whether a candidate that passes nothing on may be derived."""
    edge_logits: ClassVar[bool] = False
    """Whether edges with choices of their own have logits that are used."""

    epochs: int = hyperparameter(50, whole(1), "passes over the data that the weights are trained on")
    batch_size: int = hyperparameter(
        64, whole(1), "examples per batch of either kind, where the data are not loaders"
    )
    held_out: float = hyperparameter(
        0.5,
        SHARE,
        "share of the training data, drawn at random, that the logits are trained on and the weights are "
        "not; 0 keeps nothing back, and takes the validation data for the logits",
    )
    lr: float = hyperparameter(0.025, WEIGHT, "largest learning rate of the weights, by SGD")
    lr_min: float = hyperparameter(0.001, WEIGHT, "learning rate at the end")
    momentum: float = hyperparameter(0.9, WEIGHT, "momentum of the weights")
    nesterov: bool = hyperparameter(False, FLAG, "whether the momentum is Nesterov's")
    weight_decay: float = hyperparameter(3e-4, WEIGHT, "weight decay of the weights")
    clip: float = hyperparameter(5.0, WEIGHT, "largest norm of the weights' gradient; 0 does not clip")
    arch_lr: float = hyperparameter(3e-4, WEIGHT, "learning rate of the logits, by Adam")
    arch_betas: tuple[float, float] = hyperparameter(
        (0.5, 0.999),
        Check("two numbers, each at least 0 and below 1", lambda value: _are_betas(value)),
        "decay rates of Adam for the logits",
    )
    arch_decay: float = hyperparameter(1e-3, WEIGHT, "weight decay of the logits")
    order: int = hyperparameter(
        1,
        Check("1 or 2", lambda value: whole(1).accepts(value) and value <= 2),
        "1 takes the weights as they are for those that fit the logits; 2 looks one step ahead",
    )
    warmup: int = hyperparameter(0, whole(0), "epochs in which the logits stay as they are")
    every: int = hyperparameter(1, whole(1), "how many steps of the weights go with one of the logits")
    weights_first: bool = hyperparameter(
        False, FLAG, "whether the weights' step comes before the logits' on its batch"
    )
    partial: int = hyperparameter(
        1,
        whole(1),
        "only the first of so many equal parts of the channels are mixed, the others pass (PC-DARTS)",
    )
    checkpoint: bool = hyperparameter(
        False, FLAG, "whether candidates are computed again in the backward pass, which saves memory"
    )
    select: str = hyperparameter(
        "argmax",
        one_of("argmax", "perturbation"),
        '"argmax" takes the likeliest candidates; "perturbation" those whose removal hurts most (DARTS-PT)',
    )
    tune: int = hyperparameter(
        5,
        whole(0),
        'with "perturbation", epochs of training after each decision',
        source="Wang et al. 2021",
    )
    cost: str | tuple[tuple[str, tuple[float, ...]], ...] = hyperparameter(
        "",
        Check(
            f"'params', 'flops', {COST_TABLE} or '' for none",
            lambda value: not isinstance(value, str) or value in ("", "params", "flops"),
            ("params", "flops"),
        ),
        'what is added to the loss of the logits, as expected of a random decision: "params", "flops", a '
        "table of what each candidate costs, or nothing",
    )
    cost_form: str = hyperparameter(
        "linear",
        one_of("linear", "log"),
        '"linear" adds `cost_weight * (cost - target) / target` to the loss; "log" multiplies the loss by '
        "`cost_weight * (log cost / log target) ** cost_power`",
        source="Cai et al. 2019",
    )
    cost_weight: float = hyperparameter(0.1, WEIGHT, "how much the cost matters", source="")
    cost_power: float = hyperparameter(
        0.3, WEIGHT, 'the exponent of the form "log"', source="Cai et al. 2019"
    )
    cost_target: float = hyperparameter(
        0.0,
        WEIGHT,
        "the cost to compare with; 0 takes the cost that is expected at the beginning",
        source="",
    )
    stop: str = hyperparameter(
        "",
        one_of("", "skips", "eigenvalue"),
        '"" goes on to the end; "skips" stops once more than `skip_limit` of the choices are skip '
        'connections (DARTS+); "eigenvalue" once the dominant eigenvalue of the validation loss\'s Hessian '
        "in the logits has grown too fast (R-DARTS)",
    )
    skip_limit: float = hyperparameter(
        0.5, SHARE, "share of skip connections that stops the search", source=""
    )
    freeze: tuple[tuple[str, Value], ...] = hyperparameter(
        (),
        anything("a tuple of pairs, (('address', value), …)"),
        "values of points that are not searched: what cannot be relaxed",
        source="",
    )

    def __post_init__(self) -> None:
        """Refuse settings that make no sense, before anything is trained."""
        for name in ("arch_betas", "cost", "freeze"):
            setattr(self, name, _tupled(getattr(self, name)))
        super().__post_init__()
        if not isinstance(self.freeze, tuple) or not all(map(_is_frozen, self.freeze)):
            raise AlgorithmError(
                f"freeze is a tuple of pairs, (('address', value), …); got {self.freeze!r}: for one point "
                "write (('address', value),)"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Understand for one release what `keeps_zero` was called."""
        super().__init_subclass__(**kwargs)
        if "keeps_idle" in vars(cls):
            told = f"{cls.__name__}.keeps_idle is called keeps_zero now, and goes with the next release"
            warnings.warn(told, DeprecationWarning, stacklevel=2)
            cls.keeps_zero = cls.__dict__["keeps_idle"]

    # ------------------------------------------------------------ what a search asks

    @abstractmethod
    def mix(
        self, point: RelaxedPoint, logits: Tensor, progress: float, generator: torch.Generator, step: Updated
    ) -> Mixture:
        """Return how the candidates of a point of which one is chosen are mixed in one step.

        Args:
            point: which.
            logits: (candidates,) its logits; minus infinity for candidates that are ruled out.
            progress: how much of the search is over, from 0 to 1.
            generator: the only source of randomness, on the CPU.
            step: what the step updates.
        """

    def mixes(
        self,
        points: Sequence[RelaxedPoint],
        logits: Logits,
        progress: float,
        generator: torch.Generator,
        step: Updated = "weights",
        strengths: Strengths | None = None,  # noqa: ARG002 - for those that compare weights, not logits
    ) -> dict[str, Mixture]:
        """Return how every point's candidates are mixed in one step; drawn once, in the order of the points.

        Args:
            points: of the relaxed network.
            logits: (candidates,) by address; minus infinity for candidates that are ruled out.
            progress: how much of the search is over, from 0 to 1.
            generator: the only source of randomness, on the CPU.
            step: what the step updates.
            strengths: (candidates,) by address of a size: squared norms of the weights that each candidate
                adds to the next smaller one.
        """
        edges = self._edges(points, logits)
        found = {}
        # In the order of the points, since `mix` draws from the generator: the law of replays.
        for point in points:
            own = logits[point.address]
            weights = edges.get(point.address)
            made = self.mix(point, own, progress, generator, step) if weights is None else Mixture(weights)
            found[point.address] = made
        return found

    def probabilities(
        self,
        points: Sequence[RelaxedPoint],
        logits: Logits,
        mixes: Mapping[str, Mixture] | None = None,  # noqa: ARG002 - for those that move only what was run
    ) -> dict[str, Tensor]:
        """Return (candidates,) by address: how probable candidates are; of edges, their proportions.

        Args:
            points: of the relaxed network.
            logits: (candidates,) by address.
            mixes: of the step whose loss this is a part of.
        """
        # p = softmax(logits), (candidates,) each; of edges what `_edges` gives, which need not add up to 1
        edges = self._edges(points, logits)
        return {
            point.address: edges.get(point.address, logits[point.address].softmax(-1)) for point in points
        }

    @property
    def usual_trials(self) -> int | None:
        """One search: each trains a network for as many epochs as were asked for."""
        return 1

    @property
    def network_options(self) -> dict[str, Any]:
        """What the relaxed network is made with, by name of the argument of `program.relaxed`."""
        options: dict[str, Any] = {"checkpoint": self.checkpoint}
        if self.partial > 1:
            options["partial"] = self.partial
        if self.freeze:
            options["freeze"] = dict(self.freeze)
        return options

    def coefficients(self, logits: Tensor) -> Tensor:
        """Return (candidates,) what outputs are multiplied by where all candidates are run."""
        return logits.softmax(-1)

    def mean_mixes(self, points: Sequence[RelaxedPoint], logits: Logits) -> dict[str, Mixture]:
        """Return the mixes of all candidates that nothing is drawn for.

        Args:
            points: of the relaxed network.
            logits: (candidates,) by address; minus infinity for candidates that are ruled out.
        """
        edges, found = self._edges(points, logits), {}
        for point in points:
            own = logits[point.address]
            weights = edges.get(point.address)
            found[point.address] = Mixture(self.coefficients(own) if weights is None else weights)
        return found

    def settle(
        self, points: Sequence[RelaxedPoint], logits: Logits, before: Logits, mixes: Mapping[str, Mixture]
    ) -> None:
        """Put logits right in place after a step.

        Args:
            points: of the relaxed network.
            logits: after the step.
            before: copies from before the step.
            mixes: of the step.
        """

    def derive(
        self,
        points: Sequence[RelaxedPoint],
        logits: Logits,
        strengths: Strengths | None = None,  # noqa: ARG002 - for those that compare weights, not logits
    ) -> dict[str, Value]:
        """Return the values of the decision that logits stand for.

        Args:
            points: of the relaxed network.
            logits: (candidates,) by address.
            strengths: as for `mixes`.
        """
        scores = {a: p.detach().tolist() for a, p in self.probabilities(points, logits).items()}
        return derive(points, scores, zero=self.keeps_zero)

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of the weights in an epoch, the first being 0.

        lr_min + (lr - lr_min) (1 + cos(pi epoch / epochs)) / 2 (Loshchilov and Hutter 2017, no restarts).
        """
        cosine = (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.lr_min + (self.lr - self.lr_min) * cosine

    def _edges(self, points: Sequence[RelaxedPoint], logits: Logits) -> dict[str, Tensor]:
        """Return the weights of the edges: ones where choices on the edges tell how good they are."""
        # Three ways to weigh edges of which k are kept, each (edges,). Without choices on the edges they have
        # nothing else to be told apart by: k softmax(logits), which adds up to k as a decision does. With
        # choices on every edge, DARTS leaves them at 1 and ranks them by those choices (`derive`); PC-DARTS
        # trains weights of their own, softmax(logits) (Xu et al. 2020, section 3.3).
        told, found = owners(points), {}
        for point in points:
            if point.kind != RelaxedKind.EDGES:
                continue
            own = logits[point.address]
            if point.address not in told:
                found[point.address] = point.keep * own.softmax(-1)
            elif self.edge_logits:
                found[point.address] = own.softmax(-1)
            else:
                # Minus infinity rules an edge out.
                found[point.address] = own.new_ones(len(own)).masked_fill(own.isneginf(), 0.0)
        return found

    # ------------------------------------------------------------ what any algorithm is asked

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space

    def propose(self, n: int, rng: np.random.Generator) -> Batch:  # noqa: ARG002 - it has nothing to go by
        """Refuse: decisions come out of a relaxed network, which `symnas.relaxed.relax` trains."""
        raise AlgorithmError(
            f"{type(self).__name__} chooses by training all candidates at once, which takes a program and a "
            "task: symnas.search(program, task, algorithm=…) with a symnas.Task does that"
        )

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Learn nothing: what a derived child is worth in the end does not matter to the next search."""


def _tupled(value: Any) -> Any:
    """Return lists as tuples, as they come from a store: JSON has no tuples."""
    return tuple(map(_tupled, value)) if isinstance(value, list | tuple) else value


def _are_betas(value: Any) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2
    return pair and all(SHARE.accepts(beta) and beta < 1 for beta in value)


def _is_frozen(item: object) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
