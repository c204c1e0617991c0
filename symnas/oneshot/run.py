"""Shared weights while a search uses them: trained step by step, saved, and used to score children.

Why a killed run goes on bit for bit: everything that a step reads is either in the checkpoint or a function
of numbers that are.

- In the checkpoint: the shared tensors and how far each has grown, the optimiser's state, the schedule's, the
  states of the run's own generators (Python, NumPy, CPU, GPU), where it is in the pass over the data and the
  generators with which that pass began, what a policy has learnt, the frozen teacher.
- A function of the step's number: what a policy draws, from `default_rng([seed, step])`; how much training a
  trial is due, from the trial's number (`OneShotSettings.goal`).
- Left alone: scoring works in generators of its own and puts every statistic back that it touches.

A checkpoint is written between steps only, and is a cache: one that is ahead of the log is not taken, one
that lags behind it is trained on from, and without one the training begins anew and arrives at the same
weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from symnas.errors import EvaluatorError
from symnas.oneshot.checks import check_children, explain_loss
from symnas.oneshot.policies import Path as SampledPath
from symnas.oneshot.policies import Policy
from symnas.oneshot.settings import OneShotSettings
from symnas.supernet.calibration import recalibrate
from symnas.supernet.optimizer import SliceOptimizer
from symnas.supernet.supernet import Supernet
from symnas.training.data import Batches, Inputs
from symnas.training.loop import Training, forward
from symnas.training.random_state import RandomStream
from symnas.tree.space import Decision

if TYPE_CHECKING:
    from symnas.contracts.algorithm import Algorithm
    from symnas.frontend.protocols import ProgramView

STEPS_APART = 100


class SharedTraining(Training):
    """A supernet in training: every step trains the paths that a policy draws, and updates once.

    Args:
        settings: how.
        net: what.
        policy: ready for the supernet's program.
        seed: seed of everything random.
        device: where.
    """

    child: Supernet
    optimizer: SliceOptimizer

    def __init__(
        self, settings: OneShotSettings, net: Supernet, policy: Policy, seed: int, device: torch.device
    ) -> None:
        self.policy, self.seed = policy, seed
        self.distill: Callable[[Any, Any], Any] = settings.distill or soft_cross_entropy
        self.teacher: nn.Module | None = None
        self._live: Iterator[tuple[Inputs, Tensor]] | None = None
        super().__init__(settings.task, net, seed, device)

    def _optimizer(self, parameters: list[nn.Parameter]) -> SliceOptimizer:  # noqa: ARG002
        return self.child.optimizer(self.task.optimizer)

    def _rest(self) -> Iterator[tuple[Inputs, Tensor]]:
        # Short turns go on with the pass that is under way, rather than find their place in it anew.
        if self._live is None or not self._done:
            self._live = super()._rest()
        return self._live

    def _update(self, inputs: Inputs, targets: Tensor) -> Tensor:
        # A generator of the step's own: what is drawn does not depend on how often the run was left.
        paths = self.policy.paths(self.step / self.steps, np.random.default_rng([self.seed, self.step]))
        self.optimizer.zero_grad(set_to_none=True)
        if self.teacher is None and any(path.soft and path.teacher == "kept" for path in paths):
            self.teacher = self._kept_teacher()
        losses = self._backward(paths, inputs, targets)
        if self.task.clip is not None:
            nn.utils.clip_grad_norm_(self.optimizer.used(), self.task.clip)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        if self.policy.learns:
            # Reading losses waits for the device, so only policies that ask for them pay for that.
            self.policy.learn(paths, [float(loss) for loss in losses])
        return torch.stack(losses).mean()

    def _backward(self, paths: list[SampledPath], inputs: Inputs, targets: Tensor) -> list[Tensor]:
        """Add up the gradients of paths; return their losses."""
        # grad W = sum_p weight_p grad loss_p(W): one backward pass a path, so that the activations of a
        # single child are held at a time; slices of shared tensors add up where paths overlap.
        losses: list[Tensor] = []
        first: Any = None
        for path in paths:
            try:
                with self.child.child(path.decision) as child:
                    outputs = forward(child, inputs)
                    loss = self._loss(path, outputs, targets, inputs, first)
                    if not bool(torch.isfinite(loss)):
                        raise explain_loss(self.child, path.decision, inputs, self.task, targets)
                    torch.autograd.backward(loss * path.weight)
            except EvaluatorError:
                raise
            except Exception as error:  # the user's model; no trial can be scored under weights half trained
                raise EvaluatorError(
                    f"shared weights are trained by every child in turn, and that of {dict(path.decision)} "
                    f"fails: {type(error).__name__}: {error}"
                ) from error
            losses.append(loss.detach())
            first = outputs.detach() if first is None and isinstance(outputs, Tensor) else first
        return losses

    def _loss(self, path: SampledPath, outputs: Any, targets: Tensor, inputs: Inputs, first: Any) -> Tensor:
        # hard loss(outputs, targets) + soft distill(outputs, taught); nothing flows back into the teacher.
        total: Any = 0.0
        if path.hard:
            total = path.hard * self.task.loss(outputs, targets)
        if path.soft:
            taught = first
            if path.teacher == "kept" and self.teacher is not None:
                with torch.no_grad():
                    taught = forward(self.teacher, inputs)
            total = total + path.soft * self.distill(outputs, taught)
        return total  # type: ignore[no-any-return]

    def _kept_teacher(self) -> nn.Module:
        """Return a copy of the largest child as it is now."""
        teacher: nn.Module = self.child.extract(self.policy.largest)  # type: ignore[attr-defined]
        return teacher.eval()

    # ------------------------------------------------------------ leaving and going on

    def _state(self) -> dict[str, Any]:
        return {
            **super()._state(),
            "policy": self.policy.state(),
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
        }

    def _take(self, state: dict[str, Any]) -> None:
        super()._take(state)
        self._live = None
        if state["policy"] is not None:
            self.policy.restore(state["policy"])
        if state["teacher"] is not None:
            self.teacher = self._kept_teacher()
            self.teacher.load_state_dict(state["teacher"])


class SharedRun:
    """Shared weights of one study, as its trials use them; made by `SharedWeights.open`.

    Args:
        settings: how weights are trained and children scored.
        program: whose children.
        algorithm: what searches, if anything does.
        seed: seed of everything random.
        folder: where checkpoints are, or None.
        trials: how many trials the log has.
        tell: shows a line about how the training goes.
    """

    proposer: ClassVar[Algorithm | None] = None
    """The algorithm of the search proposes."""

    def __init__(
        self,
        settings: OneShotSettings,
        program: ProgramView,
        algorithm: Algorithm | None,
        seed: int,
        folder: Path | None,
        trials: int,
        tell: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    ) -> None:
        self._tell = tell
        task = settings.task
        self.settings, self.task, self.seed, self.folder = settings, task, seed, folder
        self.device = task._place()
        self.training: SharedTraining | None = None
        self._valid, self._train = task._batches("valid"), task._batches("train")
        self._calibration: list[Inputs] = []
        self._saved = 0
        if settings.supernet is not None:
            self.supernet = settings.supernet.to(self.device)
            return
        self.supernet = Supernet(program, device=self.device, seed=seed)
        with RandomStream(seed, self.device):
            check_children(self.supernet, task, next(iter(self._train.read(None, self.device))))
        policy = settings.policy.begun(program, algorithm)
        self.training = SharedTraining(settings, self.supernet, policy, seed, self.device)
        if folder is not None and folder.is_dir():
            self.training.resume(folder, settings.goal(max(trials - 1, 0)))
            self._saved = self.training.reached

    def evaluate(self, decision: Decision, trial: Any) -> dict[str, float]:
        """Score the decision of a trial under the weights that it is due.

        Args:
            decision: which child.
            trial: the running trial.
        """
        self.replay(trial.number)
        if self.settings.alternate is not None:
            trial.fidelity = self.reached
        cheap = self.settings.score == "batch" and self.reached < self.settings.length
        return self.score(decision, batch=trial.seed if cheap else None)

    @property
    def reached(self) -> int:
        """How long the weights have been trained, in epochs or steps."""
        return 0 if self.training is None else self.training.reached

    def replay(self, number: int) -> None:
        """Train as far as trial `number` asks, if that was not done."""
        # Called in the order of the log, so a policy that asks the algorithm finds it as it was when this
        # turn was trained first.
        self.train(self.settings.goal(number))

    def train(self, goal: int) -> None:
        """Train until the weights have been trained for so long, and save on the way.

        Args:
            goal: in epochs or steps.

        Raises:
            EvaluatorError: a loss is not finite; the message names the child and the module.
        """
        run = self.training
        if run is None:
            return
        apart = self.settings.checkpoint * (1 if self.task.steps is None else STEPS_APART)
        while run.reached < goal:
            with run.random:
                mean = self._turn(run, min(goal, self._saved + apart))
            due = run.reached - self._saved >= apart or run.reached >= self.settings.length
            if self.folder is not None and due:
                self.folder.mkdir(parents=True, exist_ok=True)
                run.pause(self.folder, {"train_loss": mean})
            if due:
                self._saved = run.reached
            unit = "epochs" if self.task.steps is None else "steps"
            self._tell(f"shared weights: {run.reached} of {self.settings.length} {unit}, loss {mean:.4g}")

    @staticmethod
    def _turn(run: SharedTraining, goal: int) -> float:
        try:
            return run.turn(goal)
        except EvaluatorError:
            raise
        except Exception as error:  # data, optimiser, schedule; no trial can be scored under half a training
            raise EvaluatorError(
                f"training on shared weights fails in step {run.step}: {type(error).__name__}: {error}"
            ) from error

    # ------------------------------------------------------------ scoring

    def score(self, decision: Decision, *, batch: int | None = None) -> dict[str, float]:
        """Return loss and metrics of a child under the weights as they are; nothing of them changes.

        Args:
            decision: which child.
            batch: seed of the one validation batch to score on, or None for all of them.
        """
        self.supernet.eval()
        with RandomStream(self.seed, self.device), self.supernet.child(decision) as child:
            batches = self._valid if batch is None else self._one(batch)
            # Running means and variances of the shared network mix all children that were trained; each
            # child's own are computed anew from training data (Yu and Huang 2019, Guo et al. 2020).
            layers = normalisers(child) if self.settings.recalibrate else []
            with kept(layers):
                if layers:
                    inputs = (
                        self._seen() if batch is None else [x for x, _ in batches.read(None, self.device)]
                    )
                    recalibrate(child, inputs)
                return self.task._score(child, batches, self.device)

    def _one(self, seed: int) -> Batches:
        """Return one batch of the validation data."""
        order = torch.Generator().manual_seed(seed)
        inputs, targets = next(iter(self._valid.read(order, self.device)))
        return Batches("valid", (inputs, targets), len(targets))

    def _seen(self) -> list[Inputs]:
        """Return the training batches that running statistics are computed from, the same for all."""
        if not self._calibration:
            # Held: a data loader is slower than the forward passes, and all children see the same batches.
            order = torch.Generator().manual_seed(self.seed)
            for inputs, _ in self._train.read(order, self.device):
                self._calibration.append(inputs)
                if len(self._calibration) == self.settings.recalibrate:
                    break
        return self._calibration


def soft_cross_entropy(outputs: Tensor, taught: Tensor) -> Tensor:
    """Return the mean cross-entropy of softmax distributions along dimension 1, (batch, classes, ...).

    Args:
        outputs: logits of the child.
        taught: logits of its teacher.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim < 2:
        raise EvaluatorError(
            "a child learns from its teacher by the distributions that their logits (batch, classes) mean; "
            f"these outputs are {tuple(getattr(outputs, 'shape', ())) or type(outputs).__name__}: pass a "
            "loss of the two outputs as distill="
        )
    # -(1/B) sum_b sum_c softmax(taught)_bc log softmax(outputs)_bc, summed over the classes, dimension 1, and
    # averaged over the batch and all dimensions after it. It differs from KL divergence by the teacher's
    # entropy, which has no gradient here.
    return -(taught.softmax(1) * outputs.log_softmax(1)).sum(1).mean()


def normalisers(child: nn.Module) -> list[nn.Module]:
    """Return the normalisation layers of a child that have running statistics."""
    kind = nn.modules.batchnorm._NormBase
    return [m for m in child.modules() if isinstance(m, kind) and m.track_running_stats]


@contextmanager
def kept(layers: list[nn.Module]) -> Iterator[None]:
    """Put the statistics of normalisation layers back in the end."""
    # The buffers stay the same tensors: children are bound to them.
    held = [(buffer, buffer.clone()) for layer in layers for buffer in layer.buffers(recurse=False)]
    try:
        yield
    finally:
        for buffer, before in held:
            buffer.copy_(before)
