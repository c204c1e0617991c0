"""Relaxes how many blocks there are: gates around the blocks that a deeper network has in addition.

Each value of a depth adds modules to those of the one before (`symnas.construction.depth_discovery`), which
have to keep the shape and are called in one of two ways:

- in a chain `f`, each with what the last one returned: it becomes `x + g * (f(x) - x)`;
- beside a skip connection that the code around them adds (`x = attention(x) + x`, then `x = mlp(x) + x`):
  each branch `f` that is added becomes `x + g * f(x)`.

The gate `g` is the weight of all deeper values together. So blocks are shared between depths, and with all
weight on one value the network computes what that child does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from symnas._typing import Value
from symnas.construction.depth_discovery import Depth
from symnas.construction.superposition import ConstructorRun
from symnas.errors import ProgramError
from symnas.relaxed.mixing import Mixes, Place


@dataclass(eq=False)
class Gate:
    """What a chain of modules adds to its input, times the weight of all deeper values.

    Args:
        step: of the network.
        address: of the point.
        deeper: indices of the candidates that have the chain.
    """

    step: Mixes
    address: str
    deeper: tuple[int, ...]
    _inputs: list[Tensor] = field(default_factory=list)

    def enter(self, _module: nn.Module, args: tuple[Any, ...]) -> None:
        """Keep what goes into the chain."""
        if self.step.mixes is not None:
            self._inputs.append(args[0])

    def leave(self, _module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        """Return what comes out, as far as the gate is open."""
        if self.step.mixes is None:
            return output
        x, gate = self._inputs.pop(), self.weight()
        return output if gate is None else torch.lerp(x, output, gate.to(output.dtype))  # x + g (f(x) - x)

    def scale(self, _module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        """Return a branch that is about to be added to what it was made of, as far as the gate is open."""
        gate = None if self.step.mixes is None else self.weight()
        return output if gate is None else output * gate.to(output.dtype)

    def weight(self) -> Tensor | None:
        """Return g; None where the gate is open all the way and nobody asks for its gradient."""
        assert self.step.mixes is not None
        weights = self.step.mixes[self.address].weights
        factors = self.step.factors[self.address]
        if not weights.requires_grad and sum(factors[index] for index in self.deeper) == 1.0:
            return None
        return torch.stack([weights[index] for index in self.deeper]).sum()


def install(
    made: ConstructorRun,
    depths: Iterable[Depth],
    labels: Mapping[str, Sequence[Value]],
    step: Mixes,
    inputs: tuple[tuple[Any, ...], dict[str, Any]],
) -> None:
    """Put gates around the chains, after a call on example inputs has told which they are.

    Args:
        made: the model, with all blocks.
        depths: what is relaxed.
        labels: of the candidates, by address.
        step: of the network.
        inputs: example inputs, positional and named.

    Raises:
        ProgramError: modules that a value adds are called neither in a chain nor beside skip connections, or
            change the shape.
    """
    chains: list[tuple[Gate, list[nn.Module]]] = []
    for depth in depths:
        order = [list(labels[depth.address]).index(value) for value in depth.values]
        for turn, added in enumerate(depth.added):
            # A block is one module of the chain, whatever is in it.
            modules = _topmost([made.places[place] for place in sorted(added) if place in made.places])
            chains.append((Gate(step, depth.address, tuple(order[turn + 1 :])), modules))
    calls, sums = _calls(made.module, {id(m): m for _, modules in chains for m in modules}.values(), inputs)
    # Where chains end at one module, what is inside another gate is hooked first, and so runs first.
    for gate, modules in sorted(chains, key=lambda chain: len(chain[1])):
        mine = {id(module) for module in modules}
        called = [call for call in calls if id(call.module) in mine]
        branches = _branches(called, sums)
        for module in branches:
            module.register_forward_hook(gate.scale)
        chain = [] if branches else _chain(modules, called, step.places[gate.address])
        if chain:
            chain[0].register_forward_pre_hook(gate.enter)
            chain[-1].register_forward_hook(gate.leave)


def _topmost(modules: Sequence[nn.Module]) -> list[nn.Module]:
    # A list of modules is never called; what is in it is.
    modules = [module for module in modules if not isinstance(module, (nn.ModuleList, nn.ModuleDict))]
    inside = {id(inner) for module in modules for inner in module.modules() if inner is not module}
    return [module for module in modules if id(module) not in inside]


@dataclass(frozen=True)
class _Called:
    module: nn.Module
    given: Any
    version: int
    returned: Any


_Sum = tuple[Tensor, Tensor, Tensor]
"""Two tensors and their sum."""


class _Sums(TorchFunctionMode):
    """Notes what a run adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Sum] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _ADDITIONS and len(args) >= 2 and all(isinstance(each, Tensor) for each in args[:2]):
            self.found.append((args[0], args[1], result))
        return result


_ADDITIONS = frozenset({torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__})


def _calls(model: nn.Module, modules: Iterable[nn.Module], inputs: Any) -> tuple[list[_Called], list[_Sum]]:
    """Call a model; return the calls of some modules, in order of their beginning, and what is added up."""
    begun: list[_Called | None] = []
    pending: list[tuple[int, Any, int]] = []

    def before(_module: nn.Module, args: tuple[Any, ...]) -> None:
        given = args[0] if len(args) == 1 else None
        pending.append((len(begun), given, given._version if isinstance(given, Tensor) else 0))
        begun.append(None)

    def after(module: nn.Module, _args: Any, output: Any) -> None:
        place, given, version = pending.pop()
        begun[place] = _Called(module, given, version, output)

    hooks: list[Any] = []
    for module in modules:
        hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    training = model.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), _Sums() as sums:
            model.eval()(*inputs[0], **inputs[1])
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return [call for call in begun if call is not None], sums.found


def _branches(called: Sequence[_Called], sums: Iterable[_Sum]) -> list[nn.Module]:
    """Return the modules whose outputs are added to the stream that goes past all of what a value adds.

    It begins with what the first module is given, and goes on with each sum of it and an output. Without the
    branches it stays as it was, if the last module is one of them.
    """
    returned = {id(call.returned): call.module for call in called if isinstance(call.returned, Tensor)}
    if len({id(call.module) for call in called}) < len(called) or not called:
        return []
    stream, branches = called[0].given, []
    for one, other, total in sums:
        for x, y in ((one, other), (other, one)):
            if x is stream and id(y) in returned and x.shape == y.shape:
                branches.append(returned[id(y)])
                stream = total
                break
    return branches if branches and branches[-1] is called[-1].module else []


def _chain(modules: Sequence[nn.Module], called: Sequence[_Called], place: Place) -> list[nn.Module]:
    """Return modules in the order of their calls, which has to be a chain that keeps the shape."""
    wrong = ""
    if not called:
        return []
    first, last = called[0].given, called[-1].returned
    if len(called) != len(modules):
        wrong = "are not called once each"
    elif not all(isinstance(call.given, Tensor) and isinstance(call.returned, Tensor) for call in called):
        wrong = "take or return something else than one tensor"
    elif any(one.returned is not two.given for one, two in pairwise(called)):
        wrong = "are not called one after the other, each with what the last one returned"
    elif first.shape != last.shape:
        wrong = f"make {tuple(last.shape)} of {tuple(first.shape)}"
    elif first._version != called[0].version:
        wrong = "work in place on what they are given (inplace=True)"
    if wrong:
        raise ProgramError(
            f"{place.location}\na number of blocks is relaxed by gates around those that a larger one adds, "
            "which have to be called in a chain, or added to what goes past them, and keep the shape; "
            f"those of {place.address!r} {wrong}; "
            "freeze it, or sample it: symnas.SharedWeights trains one child at a time"
        )
    return [call.module for call in called]
