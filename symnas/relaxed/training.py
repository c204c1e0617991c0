"""One relaxed network in training: logits and weights in turns, left and gone on with after every epoch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from symnas._typing import Value
from symnas.contracts.relaxed_algorithm import RelaxedAlgorithm, Updated
from symnas.contracts.relaxed_points import Mixture, expected_cost, skip_share
from symnas.errors import EvaluatorError
from symnas.relaxed.bilevel import dominant_eigenvalue, first_order, second_order
from symnas.relaxed.epochs import WINDOW, Epoch, entropy, epochs_back
from symnas.training.data import Batches, Example, Inputs
from symnas.training.random_state import RandomStream
from symnas.training.split import part

if TYPE_CHECKING:
    from symnas.relaxed.costs import Metric
    from symnas.relaxed.network import Relaxed
    from symnas.training.task import Task

PAST = WINDOW + 1
"""How many epochs' logits are kept, for searches that stop early and go back."""


class RelaxedTraining:
    """A relaxed network, its two optimisers, its data, and its place in the schedule.

    Args:
        task: the data and the loss.
        network: the relaxed network; trained in place.
        algorithm: how.
        seed: seed of everything random.
    """

    def __init__(self, task: Task, network: Relaxed, algorithm: RelaxedAlgorithm, seed: int) -> None:
        self.task, self.network, self.algorithm = task, network, algorithm
        self.device = task._place()
        network.to(self.device)
        self.points = network.points
        self.logits: dict[str, nn.Parameter] = dict(network.logits)
        self.weights = [weight for weight in network.weights() if weight.requires_grad]
        self.random = RandomStream(seed, self.device)
        self.order = torch.Generator().manual_seed(seed)
        self.draws = torch.Generator().manual_seed(seed)
        self.batches, self.held = self._data(seed)
        self.epoch, self.over = 0, False
        self.history: list[Epoch] = []
        self.ruled_out: dict[str, tuple[int, ...]] = {}
        self.rate: Callable[[int], float] = algorithm.learning_rate
        self.decided = self.tuned = self.tuning_from = 0
        self._past: list[dict[str, Tensor]] = []
        self.reset_weights()
        self.logit_optimizer = torch.optim.Adam(
            list(self.logits.values()), lr=algorithm.arch_lr, betas=algorithm.arch_betas,
            weight_decay=algorithm.arch_decay,
        )  # fmt: skip
        self._target: float | None = algorithm.cost_target or None
        if algorithm.cost and self._target is None:
            self._target = float(self._cost(self._present(), None).detach())

    def reset_weights(self) -> None:
        """Begin with a new optimiser of the weights."""
        how = self.algorithm
        nesterov = how.nesterov and how.momentum > 0
        self.weight_optimizer = torch.optim.SGD(
            self.weights, lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay, nesterov=nesterov
        )

    # ------------------------------------------------------------ an epoch

    def run_epoch(self) -> Epoch:
        """Train for one epoch and return what happened; sets `over` when the search is to end.

        Raises:
            EvaluatorError: a loss is not finite.
        """
        how = self.algorithm
        rate = self.rate(self.epoch)
        for group in self.weight_optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        with self.random:
            train_loss, valid_loss = self._steps(self.epoch >= how.warmup)
            eigenvalue = self._eigenvalue() if how.stop == "eigenvalue" else None
        values = self.values()
        skips, mixed = skip_share(self.points, values), entropy(self.points, self.logits)
        done = Epoch(self.epoch, train_loss, valid_loss, rate, skips, mixed, eigenvalue)
        self.history.append(done)
        self.epoch += 1
        self._stop_early()
        self._past = [*self._past, self._copies()][-PAST:]
        self.over = self.over or self.epoch >= how.epochs
        return done

    def values(self) -> dict[str, Value]:
        """Return the values of the decision that the logits stand for now."""
        strengths = getattr(self.network, "strengths", None)
        return self.algorithm.derive(self.points, self._present(), strengths)

    def probabilities(self) -> dict[str, Tensor]:
        """Return (candidates,) by address: how probable candidates are now; of edges, their proportions."""
        shares = self.algorithm.probabilities(self.points, self._present())
        return {address: own.detach() for address, own in shares.items()}

    def score(self, mixes: Mapping[str, Mixture]) -> float:
        """Return the task's first objective on the logits' data, larger being better.

        Batches are normalised by their own statistics, as in training: those of a network with a candidate
        left out were never collected.

        Args:
            mixes: by address.
        """
        name, direction = next(iter(self.task.objectives.items()))
        function = self.task.loss if name == "loss" else self.task.metrics[name]
        total, count = 0.0, 0
        self.network.train()
        with torch.no_grad(), self.random:
            for inputs, targets in self.held.read(None, self.device):
                total += float(function(self._call(inputs, mixes), targets)) * len(targets)
                count += len(targets)
        return total / count if direction == "max" else -total / count

    def mean_mixes(self) -> dict[str, Mixture]:
        """Return the mixes of all candidates that are not ruled out."""
        return self._left(self.algorithm.mean_mixes(self.points, self._present()))

    # ------------------------------------------------------------ steps

    def _steps(self, moving: bool) -> tuple[float, float]:
        """Go once through the weights' data; return the mean losses of their and of the logits' steps."""
        how, held = self.algorithm, self._endless()
        sums, counts = [0.0, 0.0], [0, 0]
        for number, example in enumerate(_examples(self.batches, self.order, self.device)):
            # DARTS moves the logits on held-out examples first, then the weights; others the other way round.
            turn = moving and (number + 1) % how.every == 0
            if turn and not how.weights_first:
                self._add(sums, counts, 1, self._move_logits(example, next(held)))
            self._add(sums, counts, 0, self._move_weights(example))
            if turn and how.weights_first:
                self._add(sums, counts, 1, self._move_logits(example, next(held)))
        if not counts[0]:
            raise EvaluatorError("train data gave no examples, so there is nothing to learn from")
        return sums[0] / counts[0], sums[1] / counts[1] if counts[1] else math.nan

    def _add(self, sums: list[float], counts: list[int], which: int, loss: float) -> None:
        sums[which] += loss
        counts[which] += 1

    def _move_weights(self, example: Example) -> float:
        inputs, targets = example
        fixed = {address: own.detach() for address, own in self._present().items()}
        loss = self._loss(inputs, targets, self._mixes(fixed, "weights"))
        number = self._finite(loss, inputs, targets)
        self.weight_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.algorithm.clip:
            nn.utils.clip_grad_norm_(self.weights, self.algorithm.clip)
        self.weight_optimizer.step()
        return number

    def _move_logits(self, example: Example, held: Example) -> float:
        before, drawn = self._copies(), self.draws.get_state()
        numbers: list[float] = []
        mixes: dict[str, Mixture] = {}

        # Both losses of a second-order step, and all evaluations of one, draw the same noise.
        def valid() -> Tensor:
            self.draws.set_state(drawn)
            logits = self._present()
            mixes.update(self._mixes(logits, "logits"))
            loss = self._loss(*held, mixes)
            numbers.append(self._finite(loss, *held))
            return self._with_cost(loss, logits, mixes)

        def train() -> Tensor:
            self.draws.set_state(drawn)
            return self._loss(*example, self._mixes(self._present(), "logits"))

        leaves = list(self.logits.values())
        if self.algorithm.order == 1:
            gradients = first_order(valid, leaves, self.weights)
        else:
            gradients = second_order(train, valid, leaves, self.weights, self.weight_optimizer)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        self.logit_optimizer.step()
        self.logit_optimizer.zero_grad(set_to_none=True)
        self.algorithm.settle(self.points, self.logits, before, mixes)
        return numbers[0]

    def _mixes(self, logits: Mapping[str, Tensor], step: Updated) -> dict[str, Mixture]:
        how, last = self.algorithm, max(1, self.algorithm.epochs - 1)
        progress = min(1.0, self.epoch / last)
        strengths = getattr(self.network, "strengths", None)
        return self._left(how.mixes(self.points, logits, progress, self.draws, step, strengths))

    def _left(self, mixes: dict[str, Mixture]) -> dict[str, Mixture]:
        """Run only candidates that are not ruled out."""
        for address, gone in self.ruled_out.items():
            mix = mixes[address]
            if mix.active is None:
                left = tuple(index for index in range(len(mix.weights)) if index not in gone)
                mixes[address] = Mixture(mix.weights, left)
        return mixes

    def _present(self) -> dict[str, Tensor]:
        """Return the logits, with minus infinity for candidates that are ruled out."""
        found: dict[str, Tensor] = dict(self.logits)
        for address, gone in self.ruled_out.items():
            out = torch.zeros(len(found[address]), dtype=torch.bool)
            out[list(gone)] = True
            found[address] = found[address].masked_fill(out.to(self.device), -math.inf)
        return found

    def _copies(self) -> dict[str, Tensor]:
        return {address: own.detach().clone() for address, own in self.logits.items()}

    # ------------------------------------------------------------ losses

    def _call(self, inputs: Inputs, mixes: Mapping[str, Mixture]) -> Any:
        args = (inputs,) if isinstance(inputs, Tensor) else inputs
        return self.network(*args, mixes=mixes)

    def _loss(self, inputs: Inputs, targets: Tensor, mixes: Mapping[str, Mixture]) -> Tensor:
        loss: Tensor = self.task.loss(self._call(inputs, mixes), targets)
        return loss

    def _with_cost(self, loss: Tensor, logits: Mapping[str, Tensor], mixes: Mapping[str, Mixture]) -> Tensor:
        how = self.algorithm
        if not how.cost or self._target is None:
            return loss
        cost = self._cost(logits, mixes)
        if how.cost_form == "linear":
            return loss + how.cost_weight * (cost - self._target) / self._target
        ratio = torch.log(cost) / math.log(self._target)
        return loss * how.cost_weight * ratio**how.cost_power

    def _cost(self, logits: Mapping[str, Tensor], mixes: Mapping[str, Mixture] | None) -> Tensor:
        how = self.algorithm
        shares = how.probabilities(self.points, logits, mixes)
        if isinstance(how.cost, str):
            return self.network.expected_cost(cast("Metric", how.cost), shares)
        return torch.as_tensor(expected_cost(self.points, shares, dict(how.cost)))

    def _finite(self, loss: Tensor, inputs: Inputs, targets: Tensor) -> float:
        number = float(loss.detach())
        if not math.isfinite(number):
            from symnas.relaxed.nonfinite import explain_nonfinite

            args = (inputs,) if isinstance(inputs, Tensor) else inputs
            raise EvaluatorError(
                explain_nonfinite(self.network, args, targets, self.task.loss, number, self.epoch)
            )
        return number

    # ------------------------------------------------------------ diagnostics

    def _eigenvalue(self) -> float:
        inputs, targets = next(_examples(self.held, None, self.device))

        def loss() -> Tensor:
            return self._loss(inputs, targets, self.algorithm.mean_mixes(self.points, self._present()))

        return dominant_eigenvalue(loss, list(self.logits.values()))

    def _stop_early(self) -> None:
        """End the search, and go back to the logits of before, where the last epochs look bad."""
        epochs = epochs_back(self.algorithm, self.history)
        if not epochs:
            return
        self.over = True
        if len(self._past) >= epochs:
            with torch.no_grad():
                for address, value in self._past[-epochs].items():
                    self.logits[address].copy_(value)

    # ------------------------------------------------------------ data

    def _data(self, seed: int) -> tuple[Batches, Batches]:
        how, task = self.algorithm, self.task
        if how.held_out:
            return part(task.train, how.held_out, how.batch_size, seed)
        return Batches("train", task.train, how.batch_size), Batches("valid", task.valid, how.batch_size)

    def _endless(self) -> Iterator[Example]:
        while True:
            yield from _examples(self.held, self.order, self.device)

    # ------------------------------------------------------------ going on

    def state(self) -> dict[str, Any]:
        """Return what is needed to go on, as numbers, texts and tensors."""
        with self.random:
            here = self.random.now()
        return {
            "network": self.network.state_dict(),
            "logits": self._copies(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "logit_optimizer": self.logit_optimizer.state_dict(),
            "random": here,
            "order": self.order.get_state(),
            "draws": self.draws.get_state(),
            "place": [self.epoch, self.over, self.decided, self.tuned, self.tuning_from, self._target],
            "history": [asdict(done) for done in self.history],
            "past": self._past,
            "ruled_out": self.ruled_out,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` has returned."""
        self.network.load_state_dict(state["network"])
        with torch.no_grad():
            for address, value in state["logits"].items():
                self.logits[address].copy_(value)
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.logit_optimizer.load_state_dict(state["logit_optimizer"])
        with self.random:
            self.random.put(state["random"])
        self.order.set_state(state["order"])
        self.draws.set_state(state["draws"])
        self.epoch, self.over, self.decided, self.tuned, self.tuning_from, self._target = state["place"]
        self.history = [Epoch(**done) for done in state["history"]]
        self._past = state["past"]
        self.ruled_out = {address: tuple(gone) for address, gone in state["ruled_out"].items()}

    def save(self, path: Path) -> None:
        """Write the state down; the file is whole or not there."""
        partial = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(self.state(), partial)
            partial.replace(path)
        except (OSError, RuntimeError) as error:
            warnings.warn(
                f"a relaxed search cannot be written to {path} ({error}); if it is stopped, it starts from "
                "the beginning",
                stacklevel=2,
            )

    def load(self, path: Path) -> bool:
        """Go on from a file, if it is there and can be read; tell whether."""
        if not path.is_file():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a torn file makes the reader raise almost anything
            warnings.warn(
                f"the relaxed search in {path} cannot be read ({type(error).__name__}): it starts from the "
                "beginning",
                stacklevel=2,
            )
            return False
        self.restore(state)
        return True


def _examples(batches: Batches, order: torch.Generator | None, device: torch.device) -> Iterator[Example]:
    several = len(batches) > 1
    for inputs, targets in batches.read(order, device):
        # Batch normalisation has nothing to normalise in a last batch of a single example.
        if not (several and len(targets) == 1):
            yield inputs, targets
