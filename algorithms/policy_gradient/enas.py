"""Efficient neural architecture search: a controller and the weights that its children share, in turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from symnas.algorithms.policy_gradient.reinforce import Reinforce
from symnas.contracts.algorithm import Capabilities
from symnas.contracts.hyperparameters import (
    POSITIVE,
    SHARE,
    WEIGHT,
    Check,
    hyperparameter,
    whole,
    with_hyperparameters,
)


@with_hyperparameters(
    source="Pham et al. 2018",
    only=(
        "steps", "batch", "lr", "beta1", "epsilon", "baseline", "entropy", "temperature", "tanh_constant",
        "reduce", "skip_target", "skip_weight", "hidden", "layers", "memory", "memory_weight", "init_seed",
    ),
)  # fmt: skip
class ENAS(Reinforce):
    """The LSTM controller of ENAS for cells, trained on rewards under weights that all children share.

    Given a task, a search alternates: an epoch (a step, where the task's length is in steps) in which every
    batch trains a child drawn from the controller, then `steps` updates of the controller from `batch`
    children each, every one scored on a validation batch of its own. Once the task's length is used up,
    children are scored on all validation data; the best of those is the result, to be trained alone. With
    `symnas.SharedWeights(task, …)` instead of the task, any other schedule.

    Pham, Guan, Zoph, Le, Dean: Efficient Neural Architecture Search via Parameter Sharing, ICML 2018
    (arXiv:1802.03268); reference implementation github.com/melodyguan/enas, whose settings for CIFAR-10 cells
    are the defaults. Children are trained there by `symnas.training.nesterov` with `cosine_restarts`, which
    a task is given. Choices among operations have logits that are bounded more tightly than those among
    inputs.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(shared_weights=True)

    steps: int = hyperparameter(30, whole(1), "updates of the controller between two turns of training")
    reduce: float = hyperparameter(
        2.5, POSITIVE, "divides the bound of logits for choices among things that are no numbers"
    )
    skip_target: float = hyperparameter(
        0.4,
        Check("a share between 0 and 1, ends excluded", lambda value: SHARE.accepts(value) and 0 < value < 1),
        "share of points between True and False that should be True",
    )
    skip_weight: float = hyperparameter(
        0.0, WEIGHT, "weight of the penalty on another share than `skip_target`; 0 for none"
    )

    @property
    def sharing(self) -> Mapping[str, Any]:
        """Turns of training, and as many trials in between as the controller's updates take."""
        return {"alternate": self.steps * self.batch, "score": "batch"}

    @property
    def _bound_divisor(self) -> float:
        return self.reduce

    @property
    def _skips(self) -> tuple[float, float] | None:
        return (self.skip_target, self.skip_weight) if self.skip_weight else None


@with_hyperparameters(source="Pham et al. 2018")
class ENASMacro(ENAS):
    """The LSTM controller of ENAS for whole networks: fifty updates of twenty, and few skip connections.

    Skip connections are points between True and False. A penalty keeps the share of True at `skip_target`:
    `skip_weight` times the mean, over these points, of the Kullback-Leibler divergence p log(p / t) +
    (1 - p) log((1 - p) / (1 - t)), p being the probability of True and t the target. All else is as for ENAS.

    Pham et al. 2018 (arXiv:1802.03268), and their code, whose settings for CIFAR-10 networks are the
    defaults; children have a weight decay of 2.5e-4 there. In that code the penalty is taken on a
    logistic function of each of the two logits, here on their probabilities, as the paper has it.
    """

    steps: int = 50
    batch: int = 20
    lr: float = 0.001
    tanh_constant: float | None = 1.5
    reduce: float = 1.0
    skip_weight: float = 0.8
