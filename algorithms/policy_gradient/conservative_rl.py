"""Small changes to the best decisions, under a policy per class of choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symnas.algorithms.common.without_replacement import WithoutReplacement, keys_of
from symnas.algorithms.policy_gradient.lstm import LSTMPolicy
from symnas.algorithms.policy_gradient.policies import Adam, FactorisedPolicy, TrainablePolicy
from symnas.algorithms.policy_gradient.reinforce import result
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import (
    FLAG,
    POSITIVE,
    WEIGHT,
    hyperparameter,
    number,
    one_of,
    optional,
    whole,
    with_hyperparameters,
)
from symnas.contracts.outcome import Outcome, Status
from symnas.tree.serialization import segments
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

# Draws of a policy, and then as many mutations, before a child that is not new is given up.
ATTEMPTS = 8


@with_hyperparameters(source="Zhou et al. 2019")
class ConservativeRL(Algorithm):
    """Keeps the best decisions and changes one class of choice at a time, under a policy per class.

    A class is all points of one name and kind, such as the activation of every layer. A child takes a parent
    from the best decisions, and the class whose policy is least certain more often than others: classes
    are drawn in proportion to the entropies of what their policies would choose, given the rest of the
    parent. That policy then chooses all points of its class anew, and what comes into being with them;
    everything else stays. It learns by policy gradient from how much the child's value exceeds the parent's,
    less a moving average.

    Zhou, Song, Huang, Hu: Auto-GNN: Neural Architecture Search of Graph Neural Networks, 2019
    (arXiv:1909.03184): reinforced conservative search. Published are one parent, the best so far, a
    policy per class, classes drawn by entropy, and the gain over the parent as reward; also weights that
    pass from the parent to children of the same tensor shapes, which belong to the evaluator here. Ours are
    several parents, factorised policies, classes of single points, no repeats, gains divided by the range
    of values, and that what comes into being under a changed choice is chosen with it.

    Which decision a trial came from, and in which class they differ, is read off the two when the trial is
    handed out. A decision that differs from each of the best in several classes teaches no policy.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    elites: int = hyperparameter(1, whole(1), "how many of the best decisions may be parents")
    initial: int = hyperparameter(10, whole(1), "how many decisions are drawn at random first", source="")
    controller: str = hyperparameter(
        "lstm",
        one_of("lstm", "factorised"),
        '"lstm", which reads the rest of the parent before it chooses, or "factorised", which has '
        "independent logits for every point",
    )
    group: str = hyperparameter(
        "name",
        one_of("name", "point"),
        '"name" makes a class of all points of a name and kind; "point" one of each point, which is also '
        "what happens where all points have the same name and kind",
    )
    lr: float = hyperparameter(0.00035, POSITIVE, "learning rate of Adam")
    baseline: float = hyperparameter(
        0.95,
        number(above=0, at_most=1),
        "decay of every class's moving average of gains; with 1 it stays at zero",
    )
    entropy: float = hyperparameter(1e-4, WEIGHT, "weight of the entropy in the reward")
    temperature: float = hyperparameter(5.0, POSITIVE, "divides logits")
    tanh_constant: float | None = hyperparameter(
        2.5, optional(POSITIVE), "bounds logits from both sides; None leaves them as they are"
    )
    normalise: bool = hyperparameter(False, FLAG, "whether gains are divided by the range of the values seen")
    hidden: int = hyperparameter(100, whole(1), "size of an LSTM's state")
    layers: int = hyperparameter(1, whole(1), "how many LSTM layers")
    repeats: bool = hyperparameter(
        True,
        FLAG,
        "whether a decision may come again; children that equal their parent are drawn again anyway",
    )
    init_seed: int = hyperparameter(0, whole(0), "seed of the LSTMs' first parameters", source="")

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._sampling = WithoutReplacement(space)
        self._classes = list(classes(space, self.group).values())
        self._class_of = {number: place for place, members in enumerate(self._classes) for number in members}
        self._policies: dict[int, TrainablePolicy] = {}
        self._entropies: dict[tuple[int, Hashable], float] = {}
        self._best: list[_Elite] = []
        self._finished = 0
        self._running: dict[Hashable, list[_Origin | None]] = {}
        self._averages = [0.0] * len(self._classes)
        self._low, self._high = np.inf, -np.inf

    # ------------------------------------------------------------ proposing

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return random decisions first, then changes of the best."""
        founders = n
        if self._best:
            started = self._finished + sum(map(len, self._running.values()))
            founders = min(n, max(0, self.initial - started))
        taken: set[Hashable] = set()
        parts = []
        if founders:
            parts.append(self._found(founders, rng))
            taken.update(keys_of(parts[0]))
        for _ in range(n - founders):
            child = self._child(rng, taken)
            taken.update(keys_of(child))
            parts.append(child)
        return type(parts[0]).concat(parts)

    def _found(self, n: int, rng: np.random.Generator) -> Batch:
        return self._space.sample(n, rng) if self.repeats else self._sampling.draw(n, rng)

    def _child(self, rng: np.random.Generator, taken: set[Hashable]) -> Batch:
        parent = self._best[int(rng.integers(len(self._best)))]
        child = parent.decision
        for attempt in range(2 * ATTEMPTS):
            # A policy that is certain repeats itself; then a plain mutation looks around.
            if attempt < ATTEMPTS and self._classes:
                place = self._choose(parent, rng)
                # The rest of the parent stays: the policy draws from p(class | rest).
                child = self._policy(place).sample(1, rng, parent.decision, self._classes[place])
            else:
                # From the parent first, then on from there, ever further away.
                child = self._space.mutate(child if attempt > ATTEMPTS else parent.decision, rng)
            key = keys_of(child)[0]
            if key != parent.key and (self.repeats or len(self._sampling.among(child, set(taken)))):
                return child
        return child if self.repeats else self._sampling.draw(1, rng, taken)

    def _choose(self, parent: _Elite, rng: np.random.Generator) -> int:
        """Draw a class in proportion to the entropy of its policy."""
        # (classes,), H. What a policy is sure of is settled: a class is drawn with probability H / sum of H.
        entropies = np.array([self._entropy(place, parent) for place in range(len(self._classes))])
        entropies = np.maximum(entropies, 0.0)
        # Entropies of real ranges, less that of the standard logistic, may be below 0, where they count as 0.
        if not entropies.sum() > 0:
            return int(rng.integers(len(entropies)))
        return int(rng.choice(len(entropies), p=entropies / entropies.sum()))

    def _entropy(self, place: int, parent: _Elite) -> float:
        known = self._entropies.get((place, parent.key))
        # By class and parent, until the class's policy learns or the parent goes: an LSTM reads all of the
        # parent.
        if known is None:
            policy, members = self._policy(place), self._classes[place]
            known = float(policy.entropy(parent.decision, parent.decision, members)[0])
            self._entropies[place, parent.key] = known
        return known

    def _policy(self, place: int) -> TrainablePolicy:
        """Return the policy of a class, made when it is needed first."""
        if place not in self._policies:
            adam = Adam(self.lr, beta1=0.9, epsilon=1e-8)
            bend, heat = self.tanh_constant, self.temperature
            self._policies[place] = (
                FactorisedPolicy(self._space, temperature=heat, tanh_constant=bend, adam=adam)
                if self.controller == "factorised"
                else LSTMPolicy(
                    self._space, hidden=self.hidden, layers=self.layers, heads="point", temperature=heat,
                    tanh_constant=bend, adam=adam, init_seed=self.init_seed,
                )
            )  # fmt: skip
        return self._policies[place]

    # ------------------------------------------------------------ observing

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Note where trials come from when they start; learn from their gains when they end."""
        if not self.repeats:
            self._sampling.add(batch)
        for row, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            decision = batch[row : row + 1]
            if outcome.status is Status.RUNNING:
                self._running.setdefault(key, []).append(self._origin(decision))
                continue
            # As it was when the trial started: by now its parent may have been replaced.
            waiting = self._running.get(key)
            origin = waiting.pop(0) if waiting else self._origin(decision)
            if not waiting:
                self._running.pop(key, None)
            self._finished += 1
            value = result(outcome)
            if value is not None:
                self._low, self._high = min(self._low, value), max(self._high, value)
            # A failure is as bad as the worst value so far.
            if origin is not None:
                self._learn(decision, origin, self._low if value is None else value)
            if value is not None:
                self._admit(_Elite(decision, key, value))

    def _origin(self, decision: Batch) -> _Origin | None:
        """Return the elite that a decision differs from in one class only, and least of all; or None."""
        found: tuple[int, _Origin] | None = None
        for elite in self._best:
            changed = self._changed(elite.decision, decision)
            places = {self._class_of[number] for number in changed}
            # A mutation may have changed what no policy chose; where it is one class, that class learns all
            # the same.
            if len(places) == 1 and (found is None or len(changed) < found[0]):
                found = len(changed), _Origin(elite, places.pop())
        return found[1] if found else None

    def _changed(self, one: Batch, other: Batch) -> set[int]:
        """Return the numbers of the points that both have with different values."""
        owners, real_owners = self._space.compiled.layout.owners
        differs = (one.codes[0] != other.codes[0]) & (one.codes[0] != INACTIVE) & (other.codes[0] != INACTIVE)
        # NaN, where a point does not exist, is on no side of anything.
        moved = (one.reals[0] < other.reals[0]) | (one.reals[0] > other.reals[0])
        numbers = {*owners[differs].tolist(), *real_owners[moved].tolist()}
        return {number for number in numbers if number in self._class_of}

    def _learn(self, child: Batch, origin: _Origin, value: float) -> None:
        place, parent = origin.place, origin.parent.decision
        members, policy = self._classes[place], self._policy(place)
        # The parent's own value is taken off: what is left is what the change was worth.
        gain = value - origin.parent.value
        if self.normalise and self._high > self._low:
            gain /= self._high - self._low
        if self.entropy:
            gain += self.entropy * float(policy.entropy(child, parent, members)[0])
        # As in `Rewards.advantage`: the average takes the gain in before it is used for it; one average per
        # class.
        self._averages[place] += (1.0 - self.baseline) * (gain - self._averages[place])
        policy.reinforce(child, np.array([gain - self._averages[place]]), parent, members)
        self._entropies = {known: e for known, e in self._entropies.items() if known[0] != place}

    def _admit(self, new: _Elite) -> None:
        """Keep the best, the older first among equals; a known decision keeps the value that it had."""
        if any(elite.key == new.key for elite in self._best):
            return
        self._best.append(new)
        self._best.sort(key=lambda elite: -elite.value)
        del self._best[self.elites :]
        alive = {elite.key for elite in self._best}
        self._entropies = {known: e for known, e in self._entropies.items() if known[1] in alive}


@dataclass(frozen=True, slots=True)
class _Elite:
    """One of the best decisions, as a batch of one."""

    decision: Batch
    key: Hashable
    value: float


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a trial comes from: its parent, and the class in which it differs."""

    parent: _Elite
    place: int


def classes(space: Space, group: str = "name") -> dict[str, frozenset[int]]:
    """Return the classes of choice of a space: the numbers of their points, by what they are called.

    Args:
        space: the space.
        group: "name" puts together points whose addresses end in the same name (indices aside) and that are
            of the same kind, or, where that is all of them, every point by itself; "point" does the latter.
    """
    # "layer[0].activation" and "layer[1].activation" are one class, if both are of one kind of choice.
    points = [entry for entry in space.compiled.layout.entries if entry.mutable]
    kinds = Counter(_class_name(entry.point.address, entry.point.kind) for entry in points)
    found: dict[str, set[int]] = {}
    for entry in points:
        address = entry.point.address
        single = group == "point" or len(kinds) == 1
        name = address if single else _class_name(address, entry.point.kind)
        found.setdefault(name, set()).add(entry.number)
    return {name: frozenset(numbers) for name, numbers in found.items()}


def _class_name(address: str, kind: str) -> str:
    names = [segment for segment in segments(address) if not segment.startswith("[")]
    return f"{names[-1] if names else address} ({kind})"
