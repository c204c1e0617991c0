"""One call of a relaxed network: the mixes of the step, and what every point does with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from symnas.construction.mixed_module import MixedModule
from symnas.construction.plugging import put
from symnas.contracts.relaxed_points import Mixture, RelaxedPoint
from symnas.errors import ProgramError
from symnas.relaxed.folding import Activations, share, tail, tails, times
from symnas.relaxed.forward_choices import Caller
from symnas.relaxed.mixing import Place, mixed, plus, scaled
from symnas.relaxed.partial_channels import through

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
        self.mixes: Mapping[str, Mixture] | None = None
        self.factors: Mapping[str, list[float]] = {}
        self.used: Sequence[Used] = ()
        self.zero: dict[str, tuple[int, ...]] = {}
        """Candidates that are known to give zeros, by address."""
        self.activations = Activations()
        self.partial = 1
        """k, where outermost choices mix the first 1/k of the channels."""

    @contextmanager
    def of(self, mixes: Mapping[str, Mixture], used: Sequence[Used] = ()) -> Iterator[None]:
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
        self, mixes: Mapping[str, Mixture] | None, factors: Mapping[str, list[float]], used: Sequence[Used]
    ) -> Iterator[None]:
        before = self.mixes, self.factors, self.used  # a step may be entered again inside the backward pass
        self.mixes, self.factors, self.used = mixes, factors, used
        # Modules compute with masked parameters for the length of the call, and get their own back then.
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
        self, choices: Sequence[MixedModule], points: Sequence[RelaxedPoint], call: Callable[[], None]
    ) -> None:
        """Leave out work that changes nothing, once the network is known to be right.

        Args:
            choices: of the network.
            points: of the network; candidates that say of themselves that they pass nothing on are watched.
            call: calls the network on example inputs.
        """
        # What candidates say of themselves is believed where a call agrees, in all places of a point.
        hooks = []
        said = {point.address: point.zero for point in points}
        zeros: dict[tuple[int, int], bool] = {}

        def watch(key: tuple[int, int]) -> Callable[[nn.Module, Any, Any], None]:
            def see(_module: nn.Module, _args: Any, output: Any) -> None:
                nothing = isinstance(output, torch.Tensor) and not bool(output.any())
                zeros[key] = zeros.get(key, True) and nothing

            return see

        for place, choice in enumerate(choices):
            for index in said[choice.address]:
                hooks.append(choice.candidates[index].register_forward_hook(watch((place, index))))
        call()
        for hook in hooks:
            hook.remove()
        for place, choice in enumerate(choices):
            seen = {index for index in said[choice.address] if zeros.get((place, index), False)}
            before = self.zero.get(choice.address, said[choice.address])
            self.zero[choice.address] = tuple(index for index in before if index in seen)
            choice.tails = tails(list(choice.candidates))
            share(list(choice.candidates), self.activations)

    # -- points ---------------------------------------------------------------------------------

    def choice(self, choice: MixedModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a choice among modules computes."""
        if self.mixes is None:
            return choice.candidates[choice.active](*args, **kwargs)
        if self.again and torch.is_grad_enabled():
            # The backward pass comes when the step is over: what it is to be computed with is kept.
            mixes, factors, used = self.mixes, self.factors, self.used

            def compute(*args: Any) -> Any:
                with self._set(mixes, factors, used):
                    try:
                        return self._sum(choice, args, kwargs)
                    finally:
                        self.activations.clear()

            def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
                return nullcontext(), _StatisticsKept(choice)

            return checkpoint(compute, *args, use_reentrant=False, context_fn=contexts)
        return self._sum(choice, args, kwargs)

    def narrowed(self, choice: MixedModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a choice computes of a part of the channels, with the others."""
        if not args:
            raise ProgramError(
                f"{self.places[choice.address].location}\npartial={self.partial} divides the channels of the "
                f"first argument, and {choice.address!r} is called by keyword alone; pass it by position"
            )
        first, *rest = args
        place = self.places[choice.address]
        return through(first, self.partial, lambda part: self.choice(choice, (part, *rest), kwargs), place)

    def _sum(self, choice: MixedModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert self.mixes is not None
        mix, factors = self.mixes[choice.address], self.factors[choice.address]
        place = self.places[choice.address]
        active = self._run(choice.address, range(len(factors)) if mix.active is None else mix.active)
        outputs: dict[int, Any] = {}
        total: tuple[int, torch.Tensor] | None = None
        compiling = torch.compiler.is_compiling()
        with self.activations.reading(args[0] if args else None):
            for index in active:
                candidate, norm = choice.candidates[index], choice.tails[index]
                # Of weight zero, candidates are told of no gradient at all (`mixing`); and what one ends in
                # now may be another layer than when the network was made.
                if factors[index] == 0.0 or compiling or norm is None or tail(candidate) is not norm:
                    outputs[index] = candidate(*args, **kwargs)
                    continue
                with times(norm, mix.weights[index]):
                    output = candidate(*args, **kwargs)
                total = (index, output) if total is None else plus(place, total, index, output)
        return mixed(place, mix, factors, outputs, total)

    def _run(self, address: str, active: Sequence[int]) -> list[int]:
        """Return which candidates to run: those that give zeros are left out, where others tell the shape."""
        zero = self.zero.get(address, ())
        return [index for index in active if index not in zero] or list(active)


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


def _factors(mixes: Mapping[str, Mixture]) -> dict[str, list[float]]:
    """Return all weights as numbers, fetched at once: from another device each fetch would wait for it."""
    if not mixes:
        return {}
    if torch.compiler.is_compiling():
        # A graph holds for all weights: none is known, so none is left out, and the compiler fuses the sum.
        return {address: [math.nan] * len(mix.weights) for address, mix in mixes.items()}
    numbers = torch.cat([mix.weights.detach().double() for mix in mixes.values()]).tolist()
    found, start = {}, 0
    for address, mix in mixes.items():
        end = start + len(mix.weights)
        found[address] = numbers[start:end]
        start = end
    return found


class _StatisticsKept:
    """Keeps running statistics from being updated a second time, whenever it is entered.

    They still take part: without them a layer would keep other tensors than it did the first time.

    Args:
        module: whose layers these are.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.before: list[list[tuple[Any, Any, Any]]] = []

    def __enter__(self) -> None:
        tracking = [
            each
            for each in self.module.modules()
            if isinstance(each, nn.modules.batchnorm._NormBase) and each.track_running_stats and each.training
        ]
        # With momentum 0, running <- (1 - 0) running + 0 batch: the layer computes the same, and keeps it.
        self.before.append([(each, each.momentum, each.num_batches_tracked) for each in tracking])
        for each in tracking:
            each.momentum, each.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for each, momentum, count in self.before.pop():
            each.momentum, each.num_batches_tracked = momentum, count
