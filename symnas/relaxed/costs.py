"""What a random child of a relaxed network costs in the mean, differentiable in what the candidates weigh.

A parameter is in a child where the candidates around it are taken, and is as large as its sizes say; a
multiply-add belongs to the parameter that it reads. Decisions at different points are drawn independently, so
the mean is a product over points for each parameter, and a sum over parameters: exact, without drawing any.

    E[params] = sum_w  E[numbers of w]  prod_(points around w)  sum_(candidates c that hold w) p_c
    E[flops]  = the same with 2 * macs(w) / numbers(w) in front, as the work of w grows with its numbers

E[numbers of w] is a product over its dimensions' masks (`symnas.relaxed.sizes`). An edge is there with
probability keep * p_c / sum(p), a block of a depth with the probability of all values that have it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from symnas.construction.depth_discovery import Depth
from symnas.construction.mixed_module import added_up
from symnas.construction.sizes import Sizes
from symnas.construction.superposition import ConstructorRun, looking
from symnas.contracts.relaxed_points import RelaxedKind, RelaxedPoint
from symnas.features.contractions import Contractions
from symnas.relaxed.sizes import positions

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

Metric = Literal["params", "flops"]
Taken = frozenset[tuple[str, tuple[int, ...]]]
"""Addresses of points, at each of which one of some candidates is taken."""


class Costs:
    """The costs of a relaxed network's parameters.

    Args:
        program: with example inputs, whose FLOPs are counted.
        made: the model on the device `meta`, at its largest.
        points: what is relaxed.
        sizes: the sizes that are mixed.
        depths: the numbers of blocks that are, by address.
    """

    def __init__(
        self,
        program: ProgramView,
        made: ConstructorRun,
        points: Mapping[str, RelaxedPoint],
        sizes: Sizes,
        depths: Mapping[str, Depth] | None = None,
    ) -> None:
        self.points, self.sizes = points, sizes
        self._candidates = dict(_candidates(made, points, depths or {}))
        parameters = dict(made.module.named_parameters())
        self._shapes = {path: tuple(tensor.shape) for path, tensor in parameters.items()}
        self._keys = made.parameters
        self._taken = {path: self._around(made.module, path) for path in parameters}
        self._work, self._rest = self._count(program, made, parameters)

    def expected(self, metric: Metric, probabilities: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the mean number of parameters, or of FLOPs of a call on the example inputs.

        FLOPs are 2 per multiply-add. Those that read no parameter, such as attention's, count at the
        largest sizes.

        Args:
            metric: which.
            probabilities: (candidates,) of every point; of edges, anything in proportion to how often each
                is kept.
        """
        # (candidates,) each: at points of which one is taken they add up to 1, at edges to `keep`.
        shares = {address: self._share(address, own) for address, own in probabilities.items()}
        total = next(iter(probabilities.values())).new_zeros(())
        # Work of a parameter is proportional to its numbers: every weight is read as often as every other.
        for path, shape in self._shapes.items():
            scale = 1.0 if metric == "params" else 2.0 * self._work[path] / math.prod(shape)
            if scale:
                numbers = positions(self.sizes, self._keys[path], shape, probabilities)
                total = total + scale * numbers * _product(shares, self._taken[path])
        if metric == "flops":
            for taken, macs in self._rest.items():
                total = total + 2.0 * macs * _product(shares, taken)
        return total

    def _share(self, address: str, own: torch.Tensor) -> torch.Tensor:
        point = self.points[address]
        return own * (point.keep / own.sum()) if point.kind == RelaxedKind.EDGES else own

    def _around(self, model: nn.Module, path: str) -> Taken:
        """Return the candidates that a parameter stands in."""
        # Every module on the way down from the model may be a candidate, or a block of a depth.
        found: set[tuple[str, tuple[int, ...]]] = set()
        module = model
        for name in path.split(".")[:-1]:
            module = module._modules[name]  # type: ignore[assignment]
            found |= self._candidates.get(id(module), frozenset())
        return frozenset(found)

    def _count(
        self, program: ProgramView, made: ConstructorRun, parameters: Mapping[str, torch.Tensor]
    ) -> tuple[Counter[str], Counter[Taken]]:
        """Return the multiply-adds of each parameter, and of what reads none by the candidates around it."""
        # One call of all candidates, on `meta`. Work that reads no parameter, such as q times k, is booked by
        # the candidates that are being called then.
        counter = _Within(parameters)
        handles: list[Any] = []
        for module in made.module.modules():
            taken = self._candidates.get(id(module))
            if taken:
                handles.append(module.register_forward_pre_hook(counter.entering(taken)))
                handles.append(module.register_forward_hook(counter.leaving))
        args, kwargs = program.internals.example("meta")
        with torch.no_grad(), looking(made, added_up), counter:
            made.module(*args, **kwargs)
        for handle in handles:
            handle.remove()
        return counter.macs, counter.rest


class _Within(Contractions):  # type: ignore[no-untyped-call]
    """Counts what reads no parameter by the candidates that are being called."""

    def __init__(self, parameters: Mapping[str, torch.Tensor]) -> None:
        super().__init__(parameters)
        self.rest: Counter[Taken] = Counter()
        self._stack: list[Taken] = [frozenset()]

    def entering(self, taken: Taken) -> Callable[..., None]:
        """Return a hook to be called when candidates are."""

        def enter(*_: Any) -> None:
            self._stack.append(self._stack[-1] | taken)

        return enter

    def leaving(self, *_: Any) -> None:
        """Note that the candidates have returned."""
        self._stack.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note whose it is."""
        before = self.macs[""]  # what reads no parameter stands under the empty text
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if self.macs[""] > before:
            self.rest[self._stack[-1]] += self.macs[""] - before
        return result


def _candidates(
    made: ConstructorRun, points: Mapping[str, RelaxedPoint], depths: Mapping[str, Depth]
) -> Iterator[tuple[int, Taken]]:
    """Yield the modules that only some children have, and which candidates those take."""
    found: dict[int, set[tuple[str, tuple[int, ...]]]] = {}
    for address, choices in made.choices.items():
        for choice in choices:
            for index, module in enumerate(choice.candidates):
                found.setdefault(id(module), set()).add((address, (index,)))
    for address, lists in made.subsets.items():
        for modules in lists:
            for index, module in enumerate(modules):
                found.setdefault(id(module), set()).add((address, (index,)))
    for address, depth in depths.items():
        order = [points[address].labels.index(value) for value in depth.values]  # shallowest first
        for turn, added in enumerate(depth.added):
            # A block is there with the value that adds it and with all deeper ones.
            for place in added & made.places.keys():
                found.setdefault(id(made.places[place]), set()).add((address, tuple(order[turn + 1 :])))
    for number, taken in found.items():
        yield number, frozenset(taken)


def _product(shares: Mapping[str, torch.Tensor], taken: Taken) -> torch.Tensor | float:
    found: torch.Tensor | float = 1.0
    for address, indices in sorted(taken):
        found = found * shares[address][list(indices)].sum()
    return found
