"""Policy gradient over the tree."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symnas.algorithms.common.without_replacement import WithoutReplacement
from symnas.algorithms.policy_gradient.lstm import LSTMPolicy
from symnas.algorithms.policy_gradient.policies import Adam, FactorisedPolicy, TrainablePolicy
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import (
    FLAG,
    POSITIVE,
    SHARE,
    WEIGHT,
    hyperparameter,
    number,
    one_of,
    optional,
    whole,
    with_hyperparameters,
)
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

# Draws, without repeats, before a decision is drawn at random.
ATTEMPTS = 8
HUGE = 1e100


@with_hyperparameters(source="Pham et al. 2018")
class Reinforce(Algorithm):
    """A policy draws decisions, and its gradient makes the better ones likelier.

    After every `batch` results it climbs the gradient of the mean of (reward - baseline) · log-probability
    (REINFORCE, Williams 1992). The reward is the value plus `entropy` times the summed entropies of the
    decision's actions, taken as a constant; the baseline is a moving average, b <- b + (1 - `baseline`) ·
    (reward - b), that takes in a reward before it is used for it.

    These settings suit thousands of cheap results between 0 and 1. For hundreds of expensive ones take
    `controller="factorised", batch=1, lr=0.1, baseline=0.9, tanh_constant=None, normalise=True` or
    thereabouts.

    The log-probability is that under the policy as it is when a result comes. Results that come late,
    from parallel workers or another study, are used in the same way and are not reweighted. A trial that
    gave no result gets the worst reward so far, and nothing happens while there is none.

    Pham, Guan, Zoph, Le, Dean: Efficient Neural Architecture Search via Parameter Sharing, ICML 2018
    (arXiv:1802.03268); reference implementation github.com/melodyguan/enas, whose settings for CIFAR-10 cells
    are the defaults. Theirs, which they call a controller, writes cells; this one decides the points of any
    tree.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    controller: str = hyperparameter(
        "lstm",
        one_of("lstm", "factorised"),
        '"lstm" decides points in tree order, each in view of those before it; "factorised" has independent '
        "logits for every point",
    )
    batch: int = hyperparameter(10, whole(1), "how many results make one update")
    lr: float = hyperparameter(0.0035, POSITIVE, "learning rate of Adam")
    beta1: float = hyperparameter(0.0, SHARE, "Adam's decay of the mean gradient")
    epsilon: float = hyperparameter(1e-3, POSITIVE, "Adam's addition to the root of the mean square")
    baseline: float = hyperparameter(
        0.99,
        number(above=0, at_most=1),
        "decay of the moving average of rewards, which starts at zero; with 1 it stays there",
    )
    entropy: float = hyperparameter(1e-4, WEIGHT, "weight of the entropy in the reward")
    temperature: float = hyperparameter(1.0, POSITIVE, "divides logits")
    tanh_constant: float | None = hyperparameter(
        1.1, optional(POSITIVE), "bounds logits from both sides; None leaves them as they are"
    )
    normalise: bool = hyperparameter(
        False, FLAG, "whether rewards are scaled to [0, 1] by the worst and best seen so far"
    )
    heads: str = hyperparameter(
        "shared",
        one_of("shared", "point"),
        'outputs of the LSTM, "shared" by points of one kind and size, or one for each "point"',
    )
    hidden: int = hyperparameter(32, whole(1), "size of the LSTM's state")
    layers: int = hyperparameter(2, whole(1), "how many LSTM layers")
    memory: int = hyperparameter(
        0,
        whole(0),
        "how many of the latest decisions the LSTM's last state must keep apart; 0 is off, as published. The "
        "controller of ENAS hardly conditions on past choices, and this is the remedy (Adam and Lorraine "
        "2019, arXiv:1904.00438)",
    )
    memory_weight: float = hyperparameter(1.0, WEIGHT, "weight of the memory in the update", source="")
    repeats: bool = hyperparameter(
        True,
        FLAG,
        "whether a decision may come again; without, draws are repeated until they are new, and made at "
        "random where that takes too long",
    )
    init_seed: int = hyperparameter(0, whole(0), "seed of the LSTM's first parameters", source="")

    def __post_init__(self) -> None:
        """Refuse a memory for a policy without a state."""
        super().__post_init__()
        if self.memory and self.controller != "lstm":
            raise AlgorithmError(
                "only the LSTM controller has a state that a memory could train; got "
                f"memory={self.memory} with controller={self.controller!r}: leave memory at 0 or take "
                "controller='lstm'"
            )

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._sampling = WithoutReplacement(space)
        self._policy = self._make(space)
        self._rewards = Rewards(self.baseline, self.normalise)
        self._waiting: list[tuple[Batch, Outcome]] = []
        self._updates = 0
        self._memory: deque[Batch] = deque(maxlen=self.memory)

    def _make(self, space: Space) -> TrainablePolicy:
        adam = Adam(self.lr, self.beta1, epsilon=self.epsilon)
        bend, heat = self.tanh_constant, self.temperature
        if self.controller == "factorised":
            return FactorisedPolicy(space, temperature=heat, tanh_constant=bend, adam=adam)
        return LSTMPolicy(
            space, hidden=self.hidden, layers=self.layers, heads=self.heads, temperature=heat,
            tanh_constant=bend, adam=adam, readout=self.memory > 0, init_seed=self.init_seed,
            reduce=self._bound_divisor,
        )  # fmt: skip

    @property
    def _bound_divisor(self) -> float:
        """What the bounded logits of choices that are no numbers are divided by."""
        return 1.0

    @property
    def _skips(self) -> tuple[float, float] | None:
        """The share of True among points between True and False, and the weight of the penalty for others."""
        return None

    @property
    def policy(self) -> TrainablePolicy:
        """The policy as it is now: `sample`, `log_prob` and `entropy` show what it has learned."""
        return self._policy

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return decisions drawn from the policy."""
        if self.repeats:
            return self._policy.sample(n, rng)
        parts: list[Batch] = []
        taken: set[Hashable] = set()
        wanted = int(min(n, self._sampling.left))
        for _ in range(ATTEMPTS):
            if not wanted:
                break
            fresh = self._sampling.among(self._policy.sample(wanted, rng), taken)
            parts.append(fresh)
            wanted -= len(fresh)
        if wanted or not parts:
            parts.append(self._sampling.draw(wanted, rng, taken))
        return type(parts[0]).concat(parts)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Update the policy whenever enough results have come together."""
        if not self.repeats:
            self._sampling.add(batch)
        for row, outcome in enumerate(outcomes):
            if outcome.status is Status.RUNNING:
                continue
            self._waiting.append((batch[row : row + 1], outcome))
            if len(self._waiting) == self.batch:
                self._update()

    def _update(self) -> None:
        decisions = type(self._waiting[0][0]).concat([decision for decision, _ in self._waiting])
        values = [result(outcome) for _, outcome in self._waiting]
        self._waiting = []
        # (rows,). The entropy of the steps that were taken, of the policy as it is now, and without a
        # gradient: as in `micro_controller.py`, it rewards, and does not regularise.
        bonus = self.entropy * self._policy.entropy(decisions) if self.entropy else np.zeros(len(values))
        # In the order of the results: each moves the average that the next is compared with.
        advantages = [
            self._rewards.advantage(value, extra) for value, extra in zip(values, bonus.tolist(), strict=True)
        ]
        if self.memory:
            self._memory.extend(decisions[row : row + 1] for row in range(len(decisions)))
        # Until there is a reward, nothing says which way to go.
        if self._rewards.known:
            self._updates += 1
            if isinstance(self._policy, LSTMPolicy):
                memory = self._recalled(len(decisions))
                # dJ/dθ = 1/m sum_k d log p(decision_k) / dθ (R_k - b_k): Williams 1992, with a baseline.
                self._policy.reinforce(
                    decisions, np.array(advantages), memory=memory, memory_weight=self.memory_weight,
                    skips=self._skips,
                )  # fmt: skip
            else:
                self._policy.reinforce(decisions, np.array(advantages))

    def _recalled(self, count: int) -> Batch | None:
        """Draw from the memory as many decisions as an update learns from."""
        if not self._memory:
            return None
        # By the number of the update, so that what is learned is a function of the results.
        rng = np.random.default_rng([self.init_seed, self._updates])
        chosen = rng.permutation(len(self._memory))[:count]
        return type(self._memory[0]).concat([self._memory[place] for place in chosen.tolist()])


class Rewards:
    """Rewards, the range they lie in, and the moving average that they are compared with.

    Args:
        decay: of the moving average, which starts at zero.
        normalise: scale to [0, 1] by what was seen.
    """

    def __init__(self, decay: float, normalise: bool) -> None:
        self.decay = decay
        self.normalise = normalise
        self.low = math.inf
        self.high = -math.inf
        self.average = 0.0

    @property
    def known(self) -> bool:
        """Whether there has been a result."""
        return self.low <= self.high

    def advantage(self, value: float | None, bonus: float = 0.0) -> float:
        """Take in a result, None for none, and return how much its reward exceeds the average."""
        if value is not None:
            self.low, self.high = min(self.low, value), max(self.high, value)
        # Failures before the first result are 0 above the average, and teach nothing.
        if not self.known:
            return 0.0
        reward = self.low if value is None else value
        if self.normalise:
            reward = (reward - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        reward += bonus
        # b <- b + (1 - d) (R - b), and R - b with the new b, which is d (R - b) with the old one: as in
        # `micro_controller.py`, where the update comes before the use. b begins at 0, so that early rewards
        # all count as gains.
        self.average += (1.0 - self.decay) * (reward - self.average)
        return reward - self.average


def result(outcome: Outcome) -> float | None:
    """Return the first objective of an outcome, None where there is none to learn from.

    Values beyond 1e100 count as that, so that their differences are finite.
    """
    if outcome.values is None or not math.isfinite(outcome.values[0]):
        return None
    return min(max(outcome.values[0], -HUGE), HUGE)
