"""Policies on shared weights that follow a plan or learn as they go: progressive shrinking, tree search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symnas.contracts.outcome import RUNNING, Outcome, Status
from symnas.errors import EvaluatorError
from symnas.oneshot.policies import Path, Policy, drawn_within, scaled, share, sizes, whole
from symnas.tree.space import Decision

if TYPE_CHECKING:
    from symnas.contracts.algorithm import Algorithm
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Space

STAGES = ("kernel", "depth", "width")


@dataclass(kw_only=True)
class Progressive(Policy):
    """The largest child first, then smaller kernels, then fewer layers, then smaller widths.

    What was released stays released. Depths and widths come down value by value within their stage. From the
    second stage on, children learn from the targets and from the largest child as it was at the end of the
    first. What a number is, is found out by building: one that changes how many weights there are is a depth,
    one that crops around a centre is a kernel, any other that changes shapes a width; what changes no weight,
    and choices that are no numbers, are free as soon as the first stage is over.

    Cai et al. 2020: Once-for-All (arXiv:1908.09791), whose sub-networks per step and weight of the teacher
    are the defaults; the stages' lengths are, as there, about 180 to 125 to 150 to 150 epochs.

    Args:
        lengths: shares of the training for the largest child, kernels, depths and widths.
        children: how many children a step trains in the last three of them.
        soft: weight of the loss against the largest child's outputs.
    """

    lengths: tuple[float, float, float, float] = (0.3, 0.2, 0.25, 0.25)
    children: tuple[int, int, int] = (1, 2, 4)
    soft: float = 1.0

    def __post_init__(self) -> None:
        """Check the options."""
        if len(self.lengths) != 4 or min(self.lengths) < 0 or sum(self.lengths) <= 0:
            raise EvaluatorError(f"lengths are four shares of at least 0, not all 0; got {self.lengths!r}")
        if len(self.children) != 3:
            raise EvaluatorError(f"children are three whole numbers; got {self.children!r}")
        for count in self.children:
            whole("children", count, 1)

    def _begin(self, algorithm: Algorithm | None) -> None:  # noqa: ARG002
        self.largest = scaled(self._space, 1.0)
        self.kinds = kinds_of(self._program, self.largest)
        self._spaces: dict[tuple[tuple[str, int], ...], Space] = {}

    def place(self, progress: float) -> tuple[int, float]:
        """Return the stage that the training is in, from 0, and how far it is in there."""
        left = progress * sum(self.lengths)
        for stage, length in enumerate(self.lengths):
            if left < length:
                return stage, left / length
            left -= length
        return len(self.lengths) - 1, 1.0

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:
        """Return the largest child, or draw among what is released."""
        stage, within = self.place(progress)
        if stage == 0:
            return [Path(self.largest)]
        # loss = hard + soft: the cross-entropy with the targets, and that with the softmax of the largest
        # child as stage 0 left it, times `soft`.
        inner = self._released(stage, within)
        count = self.children[stage - 1]
        drawn = drawn_within(self._program, inner, count, rng)
        return [Path(decision, 1.0, 1.0, self.soft, "kept") for decision in drawn]

    def _released(self, stage: int, within: float) -> Space:
        allowed = self.allowed(stage, within)
        key = tuple((address, len(values)) for address, values in allowed.items())
        found = self._spaces.get(key)
        if found is None:
            found = self._spaces[key] = self._space.restrict(allowed)
        return found

    def allowed(self, stage: int, within: float) -> dict[str, tuple[int, ...]]:
        """Return the values that numbers may take."""
        found = {}
        for address, kind in self.kinds.items():
            if kind not in STAGES:
                continue
            values = sizes(self._space[address])[::-1]
            own = STAGES.index(kind) + 1
            # Values fall, and the first `count` are allowed: one before the kind's own stage, all after it.
            # In its stage, kernels are free at once (elastic kernel is one phase in the paper), while depths
            # and widths come down: of n values 2 at first, then one more in each of the n - 1 parts of the
            # stage.
            count = len(values) if own < stage else 1
            if own == stage:
                steps = max(len(values) - 1, 1)
                count = len(values) if kind == "kernel" else 2 + min(int(within * steps), steps - 1)
            found[address] = values[:count]
        return found


def kinds_of(program: ProgramView, largest: Decision) -> dict[str, str]:
    """Return what the whole numbers of a program are: `kernel`, `depth`, `width`, or `other`.

    Args:
        program: whose children are built without computing.
        largest: the decision with all of them at their largest.
    """
    from symnas.construction.child_layout import layout_alone

    _, whole_child = layout_alone(program, largest, 0)
    found: dict[str, str] = {}
    for address in largest:
        values = sizes(program.space[address])
        if len(values) < 2:
            continue
        # One number at its smallest, all others at their largest, built without computing: what became of the
        # slices of the shared tensors says what the number is.
        _, smaller = layout_alone(program, largest.replace({address: values[0]}, admitted=False), 0)
        if smaller.slices.keys() != whole_child.slices.keys():
            found[address] = "depth"
            continue
        changed = [
            any(segment.centred for segment in row)
            for key, part in whole_child.slices.items()
            for row, size, other in zip(part.rows, part.shape, smaller.slices[key].shape, strict=True)
            if size != other
        ]
        found[address] = "other" if not changed else "kernel" if any(changed) else "width"
    return found


@dataclass(kw_only=True)
class Guided(Policy):
    """Paths that an algorithm proposes, which is told how much better each did than others of late.

    By default it is a Monte-Carlo tree search by UCT without a model, after a share of uniform draws, from
    which it learns too. A path's value is a moving average of the losses, less its own. A tree search
    proposes nothing twice, and what it knows grows old; so it starts anew when it knows a share of the space.

    Su et al. 2021: Prioritized Architecture Sampling with Monte-Carlo Tree Search (arXiv:2103.11922).

    Args:
        algorithm: name of the algorithm.
        options: its options by name; those of plain UCT for `"mcts"` and None.
        uniform: share of the training with uniform draws.
        decay: of the moving average.
        forget: share of all decisions after which the algorithm starts anew.
    """

    learns: ClassVar[bool] = True
    algorithm: str = "mcts"
    options: Mapping[str, Any] | None = None
    uniform: float = 0.5
    decay: float = 0.99
    forget: float = 0.25
    _log: list[tuple[Decision, float]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the options."""
        share("uniform", self.uniform)
        share("decay", self.decay)
        share("forget", self.forget)

    def _begin(self, algorithm: Algorithm | None) -> None:  # noqa: ARG002
        self._average: float | None = None
        self._start()

    def _start(self) -> None:
        from symnas.contracts.registry import resolve

        options = self.options
        if options is None and self.algorithm == "mcts":
            options = {"rollouts": "random", "order": "tree", "floor": 0.0}
        self._inner = resolve(self.algorithm, options)
        self._inner.setup(self._space)
        self._log = []

    def paths(self, progress: float, rng: np.random.Generator) -> list[Path]:
        """Draw, or ask the algorithm."""
        if progress >= self.uniform:
            for decision in self._inner.propose(1, rng):
                return [Path(decision)]
        return [Path(decision) for decision in self._draw(1, rng)]

    def learn(self, paths: Sequence[Path], losses: Sequence[float]) -> None:
        """Tell the algorithm how much better the paths did than the average."""
        for path, loss in zip(paths, losses, strict=True):
            # With the moving average m <- decay m + (1 - decay) loss, the reward is m - loss:
            # losses fall all the time, so a path is compared with its contemporaries and not with older ones.
            before = loss if self._average is None else self._average
            self._average = self.decay * before + (1 - self.decay) * loss
            if len(self._log) >= self.forget * self._space.leaves:
                self._start()
            self._tell(path.decision, before - loss)

    def _tell(self, decision: Decision, value: float) -> None:
        self._log.append((decision, value))
        # In a study these two calls come from the driver, when a trial starts and when it ends.
        batch = self._space.batch([decision])
        self._inner.observe(batch, [RUNNING])
        self._inner.observe(batch, [Outcome(Status.DONE, (value,))])

    def state(self) -> Any:
        """Return what the algorithm was told, and the average."""
        told = [[decision.flat(), value] for decision, value in self._log]
        return {"average": self._average, "told": told}

    def restore(self, state: Any) -> None:
        """Tell the algorithm the same again."""
        # The algorithm is a function of what it observed (the law of `Algorithm`), so the log is all its
        # state.
        self._start()
        self._average = state["average"]
        for values, value in state["told"]:
            self._tell(self._space.decision(values), value)
