"""Efficient neural architecture search: a controller and the weights that its children share, in turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from symnas.algorithms.common.hyperparameters import positive, share, weight, whole
from symnas.algorithms.policy_gradient.reinforce import Reinforce
from symnas.contracts.algorithm import Capabilities
from symnas.errors import AlgorithmError


class ENAS(Reinforce):
    """The LSTM controller of ENAS for cells, trained on rewards under weights that all children share.

    Given a task, a search alternates: an epoch (a step, where the task's length is in steps) in which every
    batch trains a child drawn from the controller, then `steps` updates of the controller from `batch`
    children each, every one scored on a validation batch of its own. Once the task's length is used up,
    children are scored on all validation data; the best of those is the result, to be trained alone. With
    `symnas.SharedWeights(task, …)` instead of the task, any other schedule.

    Pham, Guan, Zoph, Le, Dean 2018, Efficient Neural Architecture Search via Parameter Sharing
    (arXiv:1802.03268), and their code, whose settings for CIFAR-10 cells are the defaults. Children are
    trained there by `symnas.training.recipes.nesterov` with `cosine_restarts`, which a task is given. Choices
    among operations have logits that are bounded more tightly than those among inputs.

    Args:
        steps: updates of the controller between two turns of training.
        batch: how many children make one update.
        lr: learning rate of Adam.
        beta1: Adam's decay of the mean gradient.
        epsilon: Adam's addition to the root of the mean square.
        baseline: decay of the moving average of rewards, which takes in a reward before it is used for it.
        entropy: weight of the controller's entropy in the reward.
        temperature: divides logits.
        tanh_constant: bounds logits from both sides.
        reduce: divides that bound for choices among things that are no numbers.
        skip_target: share of points between True and False that should be True.
        skip_weight: weight of their divergence from that share; 0 lets them be.
        hidden: size of the LSTM's state.
        layers: how many LSTM layers.
        memory: how many of the latest decisions the LSTM's last state must keep apart; 0 is off, as
            published. The controller hardly conditions on past choices, and this is the remedy (Adam and
            Lorraine 2019, arXiv:1904.00438).
        memory_weight: weight of that in the update.
        init_seed: seed of the LSTM's first parameters.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(shared_weights=True)

    def __init__(
        self,
        *,
        steps: int = 30,
        batch: int = 10,
        lr: float = 0.0035,
        beta1: float = 0.0,
        epsilon: float = 1e-3,
        baseline: float = 0.99,
        entropy: float = 1e-4,
        temperature: float = 1.0,
        tanh_constant: float | None = 1.1,
        reduce: float = 2.5,
        skip_target: float = 0.4,
        skip_weight: float = 0.0,
        hidden: int = 32,
        layers: int = 2,
        memory: int = 0,
        memory_weight: float = 1.0,
        init_seed: int = 0,
    ) -> None:
        super().__init__(
            controller="lstm", batch=batch, lr=lr, beta1=beta1, epsilon=epsilon, baseline=baseline,
            entropy=entropy, temperature=temperature, tanh_constant=tanh_constant, hidden=hidden,
            layers=layers, memory=memory, memory_weight=memory_weight, init_seed=init_seed,
        )  # fmt: skip
        self.steps = whole("steps", steps, 1)
        self.reduce = positive("reduce", reduce)
        self.skip_target = share("skip_target", skip_target)
        self.skip_weight = weight("skip_weight", skip_weight)
        if not 0 < skip_target < 1:
            raise AlgorithmError(f"skip_target is a share between 0 and 1, ends excluded; got {skip_target}")

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


class ENASMacro(ENAS):
    """The LSTM controller of ENAS for whole networks: fifty updates of twenty, and few skip connections.

    Skip connections are points between True and False. A penalty, the Kullback-Leibler divergence from
    `skip_target`, keeps their share there. All else is as for ENAS.

    Pham et al. 2018 (arXiv:1802.03268), and their code, whose settings for CIFAR-10 networks are the
    defaults; children have a weight decay of 2.5e-4 there. In that code the penalty is taken on a
    logistic function of each of the two logits, here on their probabilities, as the paper has it.

    Args:
        steps: updates of the controller between two turns of training.
        batch: how many children make one update.
        lr: learning rate of Adam.
        beta1: Adam's decay of the mean gradient.
        epsilon: Adam's addition to the root of the mean square.
        baseline: decay of the moving average of rewards, which takes in a reward before it is used for it.
        entropy: weight of the controller's entropy in the reward.
        temperature: divides logits.
        tanh_constant: bounds logits from both sides.
        reduce: divides that bound for choices among things that are no numbers.
        skip_target: share of points between True and False that should be True.
        skip_weight: weight of their divergence from that share; 0 lets them be.
        hidden: size of the LSTM's state.
        layers: how many LSTM layers.
        memory: as for ENAS.
        memory_weight: weight of that in the update.
        init_seed: seed of the LSTM's first parameters.
    """

    def __init__(
        self,
        *,
        steps: int = 50,
        batch: int = 20,
        lr: float = 0.001,
        beta1: float = 0.0,
        epsilon: float = 1e-3,
        baseline: float = 0.99,
        entropy: float = 1e-4,
        temperature: float = 1.0,
        tanh_constant: float | None = 1.5,
        reduce: float = 1.0,
        skip_target: float = 0.4,
        skip_weight: float = 0.8,
        hidden: int = 32,
        layers: int = 2,
        memory: int = 0,
        memory_weight: float = 1.0,
        init_seed: int = 0,
    ) -> None:
        super().__init__(
            steps=steps, batch=batch, lr=lr, beta1=beta1, epsilon=epsilon, baseline=baseline, entropy=entropy,
            temperature=temperature, tanh_constant=tanh_constant, reduce=reduce, skip_target=skip_target,
            skip_weight=skip_weight, hidden=hidden, layers=layers, memory=memory, memory_weight=memory_weight,
            init_seed=init_seed,
        )  # fmt: skip
