"""Optimiser steps that touch the part of shared weights that is in use, and nothing else.

A child that uses a part of a shared tensor is bound to a leaf of its own, a view of that part, so a backward
pass fills gradients as large as the child. A step then shows the optimiser those leaves, with views of its
own full-size state; whatever it computes is what it would compute for the child alone.

Why not the whole tensors, with gradients of zero where a child has nothing? Because a step is more than its
gradient. SGD with momentum mu and weight decay lambda does, at every position,

    m <- mu m + g + lambda w,        w <- w - eta m

and with g = 0 a weight that no child used still moves by -eta (mu m + lambda w): along the momentum of steps
long ago, and towards zero. Under single-path training one candidate of n is idle in n - 1 of n steps, and
would be decayed n times for every step that it learns from. Adam divides by a running mean of g^2, which idle
steps shrink, and its next step there is too large. The standalone child has none of this.

Laws: a step equals that of the standalone child that starts from the same state; what no called child uses
keeps its value and its state, bit for bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from symnas.construction.alignment import Index
from symnas.errors import BuildError
from symnas.supernet.child import BoundChild
from symnas.supernet.tensors import narrow, write

Make = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Sliced(Protocol):
    """What the optimiser needs of the supernet whose parameters it steps on."""

    slices: SliceOptimizer | None

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the shared parameters, whole."""

    def get_parameter(self, target: str) -> nn.Parameter:
        """Return one by its name."""


@dataclass(eq=False)
class _Piece:
    """What the optimiser is shown of a shared parameter.

    Args:
        tensor: values and gradient; the parameter itself where all of it is in use.
        index: where it stands in the parameter.
        mask: which positions it holds, one after another, where several children share one step.
    """

    tensor: torch.Tensor
    index: tuple[Index, ...] = ()
    mask: torch.Tensor | None = None

    def read(self, full: torch.Tensor) -> torch.Tensor:
        """Return the piece's part of a full-size tensor, as a view where there is one."""
        # (numbers in use,) by a mask, and of the child's shape by an index.
        return full[self.mask] if self.mask is not None else narrow(full, self.index)

    def write(self, full: torch.Tensor, value: torch.Tensor) -> None:
        """Put values into the piece's part of a full-size tensor, where they are not there already."""
        if value.untyped_storage().data_ptr() == full.untyped_storage().data_ptr():
            return  # a view, which the optimiser has updated in place
        if self.mask is not None:
            full[self.mask] = value
        elif self.index:
            write(full, self.index, value)
        else:
            full.copy_(value)


class SliceOptimizer(torch.optim.Optimizer):
    """An optimiser of a supernet that steps on what the called children use; made by `Supernet.optimizer`.

    Groups, hyperparameters, schedules and `state_dict` are those of the optimiser that it is made of, whose
    state is as large as the shared parameters. Only state that belongs to positions is possible: a moment
    per weight, and numbers per tensor.

    Args:
        net: whose parameters are optimised.
        make: from a list of parameters to the optimiser.
    """

    def __init__(self, net: Sliced, make: Make) -> None:
        self._inner = make(list(net.parameters()))
        super().__init__(self._inner.param_groups, self._inner.defaults)
        self._linked()
        self._net = net
        self._called: dict[int, BoundChild] = {}
        self._earlier: dict[int, BoundChild] = {}
        self._masks: dict[nn.Parameter, torch.Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Refuse copies: an optimiser belongs to the supernet that made it."""
        raise BuildError(
            "an optimiser of slices belongs to one supernet and is not copied or pickled: keep its "
            "state_dict, and load it into what the other supernet's optimizer(…) returns"
        )

    def _linked(self) -> None:
        self.param_groups, self.state = self._inner.param_groups, self._inner.state

    def close(self) -> None:
        """Let gradients go to the shared parameters, whole, as without such an optimiser."""
        self._net.slices = None

    def called(self, made: BoundChild) -> None:
        """Note a child that is called: its leaves may get gradients."""
        self._called[id(made)] = made

    # -- as an optimiser ------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients.

        Args:
            set_to_none: whether they become None, so that a step without new ones does nothing.
        """
        super().zero_grad(set_to_none)
        for _, leaf, _ in self._leaves():
            if set_to_none:
                leaf.grad = None
            elif leaf.grad is not None:
                leaf.grad.detach_().zero_()
        if set_to_none:
            self._masks.clear()
            self._earlier.clear()

    def used(self) -> list[torch.Tensor]:
        """Return what has gradients, to clip or to measure: the slices of a child, as large as there.

        Where several children have run since `zero_grad`, what they share is one tensor with the sum.
        """
        return [tensor for _, tensor, _ in self._graded()]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update what has gradients.

        Args:
            closure: computes them, and returns the loss.

        Raises:
            BuildError: the optimiser keeps state that belongs to no position.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        pieces = {
            parameter: self._piece(parameter, tensor, index) for parameter, tensor, index in self._graded()
        }
        # The groups with their hyperparameters, each holding what is in use of its parameters.
        shown, groups = [], []
        for group in self.param_groups:
            mine = [(parameter, pieces[parameter]) for parameter in group["params"] if parameter in pieces]
            groups.append({**group, "params": [piece.tensor for _, piece in mine]})
            shown += [(parameter, piece, group) for parameter, piece in mine]
        states = {piece.tensor: self._shown(parameter, piece) for parameter, piece, _ in shown}
        twin = self._twin(groups, states)
        twin.step()
        # Views have been updated in place; what was gathered by a mask, or is new state, is put back.
        for parameter, piece, group in shown:
            self._keep(parameter, piece, twin.state[piece.tensor], group)
            piece.write(parameter.data, piece.tensor.data)
        self._earlier.update(self._called)
        self._called.clear()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state, at full size."""
        state: dict[str, Any] = self._inner.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state, at full size."""
        self._inner.load_state_dict(state_dict)
        self._linked()

    # -- gradients ------------------------------------------------------------------------------

    def _leaves(self) -> Iterator[tuple[nn.Parameter, nn.Parameter, tuple[Index, ...]]]:
        for made in {**self._earlier, **self._called}.values():
            for part in made.sliced:
                assert part.leaf is not None
                yield self._net.get_parameter(part.name), part.leaf, part.index

    def _graded(self) -> list[tuple[nn.Parameter, torch.Tensor, tuple[Index, ...]]]:
        """Return the parameters in use, each with what holds its gradient, and where that stands."""
        # A parameter that some child has whole gets its gradient itself; slices of it have theirs in leaves.
        found: dict[nn.Parameter, list[tuple[torch.Tensor, tuple[Index, ...]]]] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    found[parameter] = [(parameter, ())]
        for parameter, leaf, index in self._leaves():
            if leaf.grad is not None:
                found.setdefault(parameter, []).append((leaf, index))
        graded = []
        for parameter, sources in found.items():
            if len(sources) > 1:
                self._merge(parameter, sources)
                sources = [(parameter, ())]
            graded.append((parameter, *sources[0]))
        return graded

    def _merge(self, parameter: nn.Parameter, sources: list[tuple[torch.Tensor, tuple[Index, ...]]]) -> None:
        """Add the gradients of several children up in the parameter, and note where there are any."""
        # The mask tells a gradient of zero from none: only where some child has run there is a step.
        total = parameter.grad
        mask = self._masks.get(parameter)
        if mask is None:
            mask = torch.full(parameter.shape, total is not None, device=parameter.device)
        if total is None:
            total = torch.zeros_like(parameter)
        for leaf, index in sources:
            if leaf is not parameter:
                assert leaf.grad is not None
                write(total, index, narrow(total, index) + leaf.grad)
                write(mask, index, torch.ones_like(leaf.grad, dtype=torch.bool))
                leaf.grad = None
        parameter.grad, self._masks[parameter] = total, mask

    def _piece(self, parameter: nn.Parameter, tensor: torch.Tensor, index: tuple[Index, ...]) -> _Piece:
        mask = self._masks.get(parameter)
        if mask is None or bool(mask.all()):
            return _Piece(tensor, index)
        # Several slices that do not fill the tensor are no box: their positions are gathered in a row.
        some = nn.Parameter(parameter[mask])
        some.grad = None if parameter.grad is None else parameter.grad[mask]
        return _Piece(some, mask=mask)

    # -- state ----------------------------------------------------------------------------------

    def _shown(self, parameter: nn.Parameter, piece: _Piece) -> dict[str, Any]:
        full: dict[str, Any] = self.state.get(parameter, {})
        if piece.tensor is parameter:
            return full
        return {
            name: piece.read(value) if self._of_positions(name, value, parameter) else value
            for name, value in full.items()
        }

    def _of_positions(self, name: str, value: object, tensor: torch.Tensor) -> bool:
        """Whether a state has a number for each position of a tensor, and not one for all."""
        if not isinstance(value, torch.Tensor):
            return False
        if value.shape == tensor.shape:
            return True  # a moment
        if value.numel() > 1:
            kind = type(self._inner).__name__
            raise BuildError(
                f"an optimiser steps on slices if its state belongs to positions; {name!r} of {kind} is "
                f"{tuple(value.shape)} for a weight of {tuple(tensor.shape)}: train all of the parameters at "
                f"every step, as {kind}(supernet.parameters()) does"
            )
        return False

    def _twin(self, groups: list[dict[str, Any]], states: dict[torch.Tensor, Any]) -> torch.optim.Optimizer:
        """Return the optimiser with other parameters and state."""
        # Not constructed: a constructor would want parameters, and hooks or compiled steps are to stay.
        made = object.__new__(type(self._inner))
        vars(made).update(vars(self._inner))
        made.param_groups, made.state = groups, defaultdict(dict, states)
        return made

    def _keep(
        self, parameter: nn.Parameter, piece: _Piece, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Take over the state of a piece."""
        if piece.tensor is parameter:
            self.state[parameter] = state
            return
        full = self.state[parameter]
        first: dict[str, Any] | None = None
        for name, value in state.items():
            if not self._of_positions(name, value, piece.tensor):
                full[name] = value
                continue
            if name not in full:
                # Where nobody has stepped yet, state is as an optimiser begins: zero for most, not for all.
                first = self._first(parameter, group) if first is None else first
                full[name] = torch.zeros_like(parameter, dtype=value.dtype) + first.get(name, 0)
            piece.write(full[name], value)

    def _first(self, parameter: nn.Parameter, group: dict[str, Any]) -> dict[str, Any]:
        """Return what state per position begins with: that of a zero with gradient zero, after a step."""
        nothing = nn.Parameter(parameter.new_zeros(1))
        nothing.grad = torch.zeros_like(nothing)
        twin = self._twin([{**group, "params": [nothing]}], {})
        twin.step()
        state = twin.state[nothing]
        return {name: value for name, value in state.items() if self._of_positions(name, value, nothing)}
