"""One call of a relaxed network: the mixes of the step, and what every point does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from symnas.errors import ProgramError
from symnas.partial_channels import through
from symnas.parts import put
from symnas.relaxation import Mix, RelaxedPoint
from symnas.relaxed_folding import Activations, share, tail, times
from symnas.relaxed_forward import Caller
from symnas.relaxed_mixing import Place, check_alike, mixed, scaled
from symnas.superposed import Choice

Used = tuple[nn.Module, str, torch.Tensor]
"""A module, the name of a parameter, and what the module computes with instead."""


class Step:
    """What all points of a network refer to while it is called.

    Args:
        places: of the points, by address.
        again: whether what a point computes is computed again for the backward pass, instead of kept.
        caller: calls the model.
    """

    def __init__(self, places: Mapping[str, Place], again: bool, caller: Caller) -> None:
        self.places = places
        self.again = again
        self.caller = caller
        self.mixes: Mapping[str, Mix] | None = None
        self.factors: Mapping[str, list[float]] = {}
        self.used: Sequence[Used] = ()
        self.idle: dict[str, tuple[int, ...]] = {}
        """Candidates that are known to give zeros, by address."""
        self.activations = Activations()
        self.partial = 1
        """k, where outermost choices mix the first 1/k of the channels."""

    @contextmanager
    def of(self, mixes: Mapping[str, Mix], used: Sequence[Used] = ()) -> Iterator[None]:
        """Let the points mix by these, for the length of a `with`.

        Args:
            mixes: of all points.
            used: what modules compute with in the place of their parameters.
        """
        try:
            with self._set(mixes, _factors(mixes), used):
                yield
        finally:
            self.activations.clear()

    @contextmanager
    def _set(
        self, mixes: Mapping[str, Mix] | None, factors: Mapping[str, list[float]], used: Sequence[Used]
    ) -> Iterator[None]:
        before = self.mixes, self.factors, self.used
        self.mixes, self.factors, self.used = mixes, factors, used
        own: list[Any] = [module._parameters[name] for module, name, _ in used]
        for module, name, tensor in used:
            put(module, name, tensor)
        try:
            with self.caller.run(self):
                yield
        finally:
            self.mixes, self.factors, self.used = before
            for (module, name, _), tensor in zip(used, own, strict=True):
                put(module, name, tensor)

    def spare(
        self, choices: Sequence[Choice], points: Sequence[RelaxedPoint], call: Callable[[], None]
    ) -> None:
        """Leave out work that changes nothing, once the network is known to be right.

        Args:
            choices: of the network.
            points: of the network; candidates that say of themselves that they pass nothing on are watched.
            call: calls the network on example inputs.
        """
        hooks = []
        nothing = {point.address: set(point.idle) for point in points if point.idle}

        def watch(address: str, index: int) -> Callable[[nn.Module, Any, Any], None]:
            def see(_module: nn.Module, _args: Any, output: Any) -> None:
                if not isinstance(output, torch.Tensor) or bool(output.any()):
                    nothing[address].discard(index)

            return see

        for choice in choices:
            for index in nothing.get(choice.address, ()):
                hooks.append(choice.candidates[index].register_forward_hook(watch(choice.address, index)))
        call()
        for hook in hooks:
            hook.remove()
        self.idle = {address: tuple(sorted(indices)) for address, indices in nothing.items() if indices}
        for choice in choices:
            choice.tails = [tail(candidate) for candidate in choice.candidates]
            for candidate in choice.candidates:
                share(candidate, self.activations)

    # -- points ---------------------------------------------------------------------------------

    def choice(self, choice: Choice, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a choice among modules computes."""
        if self.mixes is None:
            return choice.candidates[choice.active](*args, **kwargs)
        if self.again and torch.is_grad_enabled():
            mixes, factors, used = self.mixes, self.factors, self.used

            def compute(*args: Any) -> Any:
                with self._set(mixes, factors, used):
                    try:
                        return self._sum(choice, args, kwargs)
                    finally:
                        self.activations.clear()

            def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
                return nullcontext(), _statistics_kept(choice)

            return checkpoint(compute, *args, use_reentrant=False, context_fn=contexts)
        return self._sum(choice, args, kwargs)

    def narrowed(self, choice: Choice, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a choice computes of a part of the channels, with the others."""
        if not args:
            raise ProgramError(
                f"{self.places[choice.address].location}\npartial={self.partial} divides the channels of the "
                f"first argument, and {choice.address!r} is called by keyword alone; pass it by position"
            )
        first, *rest = args
        place = self.places[choice.address]
        return through(first, self.partial, lambda part: self.choice(choice, (part, *rest), kwargs), place)

    def _sum(self, choice: Choice, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert self.mixes is not None
        mix, factors = self.mixes[choice.address], self.factors[choice.address]
        active = self._run(choice.address, range(len(factors)) if mix.active is None else mix.active)
        outputs: dict[int, Any] = {}
        total: torch.Tensor | None = None
        first = -1
        with self.activations.reading(args[0] if args else None):
            for index in active:
                norm = choice.tails[index]
                if norm is None or factors[index] == 0.0:
                    outputs[index] = choice.candidates[index](*args, **kwargs)
                    continue
                with times(norm, mix.weights[index]):
                    output = choice.candidates[index](*args, **kwargs)
                if total is None:
                    total, first = output, index
                    continue
                check_alike(self.places[choice.address], {first: total, index: output})
                total.add_(output)  # a fresh tensor, which its layer's backward pass does not need
        return mixed(self.places[choice.address], mix, factors, outputs, total)

    def _run(self, address: str, active: Sequence[int]) -> list[int]:
        """Return which candidates to run: those that give zeros are left out, where others tell the shape."""
        idle = self.idle.get(address, ())
        return [index for index in active if index not in idle] or list(active)


class Scaling:
    """A hook of a module that is one of several candidates: its output, times its weight.

    Args:
        step: of the network.
        address: of the point.
        index: of the candidate.
    """

    def __init__(self, step: Step, address: str, index: int) -> None:
        self.step, self.address, self.index = step, address, index

    def __call__(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        """Return the output times the weight of the step."""
        if self.step.mixes is None:
            return output
        weight = self.step.mixes[self.address].weights[self.index]
        return scaled(
            self.step.places[self.address], weight, self.step.factors[self.address][self.index], output
        )


def _factors(mixes: Mapping[str, Mix]) -> dict[str, list[float]]:
    """Return all weights as numbers, fetched at once: from another device each fetch would wait for it."""
    if not mixes:
        return {}
    numbers = torch.cat([mix.weights.detach().double() for mix in mixes.values()]).tolist()
    found, start = {}, 0
    for address, mix in mixes.items():
        end = start + len(mix.weights)
        found[address] = numbers[start:end]
        start = end
    return found


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Keep running statistics from being updated a second time.

    They still take part: without them a layer would keep other tensors than it did the first time.
    """
    tracking = [
        each
        for each in module.modules()
        if isinstance(each, nn.modules.batchnorm._NormBase) and each.track_running_stats and each.training
    ]
    before = [(each.momentum, each.num_batches_tracked) for each in tracking]
    for each in tracking:
        each.momentum, each.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for each, (momentum, count) in zip(tracking, before, strict=True):
            each.momentum, each.num_batches_tracked = momentum, count
