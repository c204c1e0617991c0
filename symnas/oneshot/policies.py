"""Which children a step on shared weights trains: the sampling policies of one-shot search, by name.

A policy is asked before every step and answers with paths: decisions, and what each of them learns from. Of
all paths of a step the gradients are summed, and there is one update. What a policy draws depends on the
generator it is given and on how far the training is, and on what it was told to `learn`; nothing else.

"Largest" and "smallest" speak of whole numbers (widths, kernels, depths): all at their largest or smallest
value. Other choices take their defaults there.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from symnas.constraints.checking import is_feasible, sample
from symnas.errors import EvaluatorError
from symnas.tree.choices import IntRange, OneOf, Point
from symnas.tree.layout import SINGLE
from symnas.tree.space import Batch, Decision
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.contracts.algorithm import Algorithm
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Space

TRIES = 1000


@dataclass(frozen=True, slots=True)
class Path:
    """A child that a step trains.

    Args:
        decision: which child.
        weight: factor of its gradient.
        hard: weight of the loss against the targets.
        soft: weight of the loss against the outputs of a teacher.
        teacher: the child of the step's "first" path, or the largest one, "kept" from when it was first asked
            for.
    """

    decision: Decision
    weight: float = 1.0
    hard: float = 1.0
    soft: float = 0.0
    teacher: Literal["first", "kept"] = "first"


class Policy(ABC):
    """Base of all policies: options in the constructor, `begin`, and `paths` before every step."""

    learns: ClassVar[bool] = False
    """Whether `learn` wants to be told the losses, which costs waiting for them."""

    _program: ProgramView
    _space: Space

    def begun(self, program: ProgramView, algorithm: Algorithm | None) -> Self:
        """Return a copy that is ready for a program.

        Args:
            program: whose children are trained.
            algorithm: the one that searches, where there is one.
        """
        made = copy.copy(self)
        made._program, made._space = program, program.space
        made._begin(algorithm)
        return made

    def _begin(self, algorithm: Algorithm | None) -> None:  # noqa: B027 - most have nothing to prepare
        """Prepare what depends on the program."""

    @abstractmethod
    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:
        """Return the paths of a step; their gradients are summed.

        Args:
            progress: how far the training is, in [0, 1).
            rng: the only source of randomness, of this step's own.
        """

    def learn(self, paths: Sequence[Path], losses: Sequence[float]) -> None:  # noqa: B027
        """Take note of the losses of a step's paths."""

    def state(self) -> Any:
        """Return what was learned, as plain data."""
        return None

    def restore(self, state: Any) -> None:  # noqa: B027
        """Go on from what `state` returned."""

    def _draw(self, n: int, rng: np.random.Generator) -> list[Decision]:
        """Draw decisions that meet the program's requirements."""
        if self._space.requires:
            return list(sample(self._program, n, rng))
        return list(self._space.sample(n, rng))


@dataclass(kw_only=True)
class Uniform(Policy):
    """Every point uniform over its candidates, or by its prior weights; a new draw for every step.

    Guo et al. 2020, Single Path One-Shot Neural Architecture Search with Uniform Sampling (arXiv:1904.00420),
    with one path. Several paths per step are averaged.

    Args:
        paths_per_step: how many children share a step.
    """

    paths_per_step: int = 1

    def __post_init__(self) -> None:
        """Check the options."""
        whole("paths_per_step", self.paths_per_step, 1)

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:  # noqa: ARG002
        """Draw them."""
        count = self.paths_per_step
        # An unbiased estimate of the gradient of E_a[loss(a, W)] over uniform decisions a, which they
        # minimise.
        return [Path(decision, 1 / count) for decision in self._draw(count, rng)]


@dataclass(kw_only=True)
class Proposed(Policy):
    """What the algorithm that searches would propose next: in ENAS, draws from the controller.

    Asking changes nothing about an algorithm. Where it has nothing to propose, draws are uniform.

    Args:
        paths_per_step: how many children share a step; their gradients are averaged.
    """

    paths_per_step: int = 1

    def __post_init__(self) -> None:
        """Check the options."""
        whole("paths_per_step", self.paths_per_step, 1)

    def _begin(self, algorithm: Algorithm | None) -> None:
        if algorithm is None:
            raise EvaluatorError(
                "policy 'proposed' trains what the algorithm of a search proposes, and there is no search "
                "here: take 'uniform', say"
            )
        self._algorithm = algorithm

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:  # noqa: ARG002
        """Ask the algorithm."""
        # ENAS (Pham et al. 2018) estimates grad_W E_a[loss(a, W)] over the controller's decisions a from as
        # many draws, and finds that one will do.
        found = list(self._algorithm.propose(self.paths_per_step, rng)) or self._draw(1, rng)
        return [Path(decision, 1 / len(found)) for decision in found]


@dataclass(kw_only=True)
class Fair(Policy):
    """Strict fairness: as many paths as a choice has candidates, each candidate in exactly one of them.

    The candidates of every choice are shuffled, and path i takes the i-th of each; all paths see the same
    batch, and there is one update. Choices with fewer candidates than another use theirs as evenly as that
    allows; choices that exist only under others are as even as what they stand under. Numbers in ranges,
    subsets and orders are drawn.

    Chu, Zhang, Xu 2021: FairNAS (arXiv:1907.01845). `require` clauses are not heeded.
    """

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:  # noqa: ARG002
        """Shuffle the candidates and deal them out."""
        space = self._space
        listed = [e for e in space.compiled.layout.own if e.shape == SINGLE and isinstance(e.domain, OneOf)]
        # With m candidates at every choice, m paths: choice l takes a permutation c_l of its candidates, and
        # path i is (c_1[i], c_2[i], …), so that after every update each candidate has been trained equally
        # often, which they call strict fairness (their algorithm 1). Where choices differ in size, m is the
        # largest; one with k < m candidates takes ceil(m / k) permutations in a row, cut off at m: a
        # candidate comes floor or ceil of m / k times.
        count = max((entry.card for entry in listed), default=1)
        # (columns, paths) and (reals, paths): what is not listed is inactive so far, and drawn below.
        codes = np.full((space.compiled.layout.columns, count), INACTIVE, space.compiled.layout.dtype)
        reals = np.full((space.compiled.layout.reals, count), np.nan)
        for entry in listed:
            rounds = [rng.permutation(entry.card) for _ in range(-(-count // entry.card))]
            codes[entry.column] = np.concatenate(rounds)[:count]
        space.compiled.mutator.complete(codes, reals, rng)
        return [Path(decision) for decision in Batch(space, codes.T, reals.T)]


@dataclass(kw_only=True)
class Sandwich(Policy):
    """The largest child, some random ones and the smallest, all but the largest taught by the largest.

    Gradients are summed. Yu et al. 2020: BigNAS (arXiv:2003.11142), with its in-place distillation. Children
    that break a `require` clause are not drawn; the largest and the smallest are trained in any case.

    Args:
        random: how many random children.
    """

    random: int = 2

    def __post_init__(self) -> None:
        """Check the options."""
        whole("random", self.random, 0)

    def _begin(self, algorithm: Algorithm | None) -> None:  # noqa: ARG002
        self._largest, self._smallest = scaled(self._space, 1.0), scaled(self._space, 0.0)

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:  # noqa: ARG002
        """Draw the random ones."""
        # The sandwich rule (Yu and Huang 2019, arXiv:1903.05134): largest, smallest and a few between bound
        # the accuracy of all. In-place distillation: the largest learns from the targets, all others from the
        # largest's outputs in this very step alone, by which they see no target at all.
        others = [*self._draw(self.random, rng), self._smallest]
        return [Path(self._largest), *(Path(other, hard=0.0, soft=1.0) for other in others)]


@dataclass(kw_only=True)
class Delayed(Policy):
    """The largest child alone at first, then a sandwich whose smaller children learn ever faster.

    The smaller children are taught by the largest, and their gradients are multiplied by a learning rate of
    their own, which grows from `epsilon` to 1, so that the largest is not thrown off when they join. It grows
    linearly.

    Annavajjala, Khare et al. 2024: DεpS, Delayed ε-Shrinking for Faster Once-For-All Training
    (arXiv:2407.06167).

    Args:
        start: share of the training that the largest child has for itself.
        epsilon: learning rate of the others when they join, as a share of the largest child's.
        ramp: share of the rest of the training after which the rates are equal.
        random: how many random children.
    """

    start: float = 0.5
    epsilon: float = 1e-4
    ramp: float = 0.5
    random: int = 2

    def __post_init__(self) -> None:
        """Check the options."""
        share("start", self.start)
        share("epsilon", self.epsilon)
        share("ramp", self.ramp)
        whole("random", self.random, 0)

    def _begin(self, algorithm: Algorithm | None) -> None:
        self._sandwich = Sandwich(random=self.random).begun(self._program, algorithm)

    def rate(self, progress: float) -> float:
        """Return the learning rate of the smaller children, as a share of the largest child's."""
        # 0 up to `start` = s; then with q = (progress - s) / ((1 - s) ramp), held at 1 from there on,
        #     rate = epsilon + (1 - epsilon) q.
        if progress < self.start:
            return 0.0
        length = (1.0 - self.start) * self.ramp
        grown = 1.0 if not length else min(1.0, (progress - self.start) / length)
        return self.epsilon + (1.0 - self.epsilon) * grown

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:
        """Return the largest alone, or the sandwich."""
        first, *others = self._sandwich.paths(progress, rng)
        if progress < self.start:
            return [first]
        rate = self.rate(progress)
        return [first, *(Path(other.decision, rate, 0.0, 1.0) for other in others)]


@dataclass(kw_only=True)
class Sorted(Policy):
    """Nested children in sorted order: all numbers grow together, and every step draws from that chain.

    A smaller child is part of every larger one. Gradients of the children drawn are averaged before the
    update. Valipour et al. 2023: SortedNet (arXiv:2309.00255).

    Args:
        levels: how many children the chain has, the smallest and the largest among them.
        accumulate: how many are drawn for an update.
    """

    levels: int = 4
    accumulate: int = 2

    def __post_init__(self) -> None:
        """Check the options."""
        whole("levels", self.levels, 2)
        whole("accumulate", self.accumulate, 1)

    def _begin(self, algorithm: Algorithm | None) -> None:  # noqa: ARG002
        # Level l of L takes every number at place round(l / (L - 1) (values - 1)) of its values: places grow
        # with l at every point, so each child is contained in the next.
        ends = self.levels - 1
        chain = [scaled(self._space, level / ends) for level in range(self.levels)]
        self.chain = list({decision.key: decision for decision in chain}.values())

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:  # noqa: ARG002
        """Draw from the chain, with repeats."""
        # The gradients of `accumulate` draws, averaged, are one update.
        drawn = rng.integers(len(self.chain), size=self.accumulate)
        return [Path(self.chain[place], 1 / self.accumulate) for place in drawn.tolist()]


# -------------------------------------------------------------------- numbers in a space


def sizes(point: Point) -> tuple[int, ...]:
    """Return the values of a point that are whole numbers, rising; nothing where they are not all such."""
    if isinstance(point, IntRange):
        return tuple(point.values())
    if isinstance(point, OneOf) and all(isinstance(value, int) for value in point.candidates):
        return tuple(sorted(value for value in point.candidates if isinstance(value, int)))
    return ()


def scaled(space: Space, level: float) -> Decision:
    """Return the decision with all whole numbers at one place between smallest (0) and largest (1)."""
    changes: dict[str, object] = {}
    for entry in space.compiled.layout.own:
        values = sizes(entry.point)
        if values:
            # Restricted, not replaced: points that exist only under other numbers are gone, new ones have
            # defaults.
            changes[entry.point.address] = [values[round(level * (len(values) - 1))]]
    return space.decision(space.restrict(changes).default.flat())


def drawn_within(
    program: ProgramView, inner: Space, n: int, rng: np.random.Generator, tries: int = TRIES
) -> list[Decision]:
    """Draw decisions of a program from a part of its space, so that they meet its requirements.

    Raises:
        EvaluatorError: none was found in so many tries.
    """
    found: list[Decision] = []
    for _ in range(n * tries):
        if len(found) == n:
            return found
        decision = program.space.decision(inner.draw(rng).flat())
        if not program.space.requires or is_feasible(program, decision):
            found.append(decision)
    if len(found) == n:
        return found
    raise EvaluatorError(
        f"a policy draws children that meet the program's requirements; {n * tries:,} draws from the part "
        "of the space that is trained at this stage found too few: loosen the requirements, or take the "
        "policy 'uniform'"
    )


# -------------------------------------------------------------------- options


def whole(name: str, value: object, low: int) -> None:
    """Refuse what is not a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise EvaluatorError(f"{name} is a whole number of at least {low}; got {value!r}")


def share(name: str, value: object) -> None:
    """Refuse what is not a number between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise EvaluatorError(f"{name} is a number between 0 and 1; got {value!r}")
