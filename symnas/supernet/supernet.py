"""Weights that all children of a program share, and children that are bound to them.

Every parameter has a key, the place of its construction (`symnas.construction.parameter_keys`), and one
tensor that is as large as the largest child asks for; a child's tensor is a part of it
(`symnas.construction.alignment`).
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import nn

from symnas._typing import Value
from symnas.errors import BuildError, refuse_unknown
from symnas.supernet.child import BoundChild, SharedSlice, child_alone, place
from symnas.supernet.first_children import first_children
from symnas.supernet.kernel_transforms import Kernels, transformed
from symnas.supernet.optimizer import Make, SliceOptimizer
from symnas.supernet.options import SupernetOptions
from symnas.supernet.shared_tensors import SharedTensors
from symnas.supernet.switching import SwitchedModel, SwitchedModels
from symnas.supernet.tensors import narrow, write
from symnas.tree.space import Decision

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

MOST_CHILDREN = 256


class Supernet(SharedTensors):
    """The weights of every child of a program; made by `program.supernet`.

    Args:
        program: whose target makes a module. With example inputs (`symnas.program(…, inputs=…)`), weights
            stay with the features that they were trained on behind concatenations, chunks, heads and groups
            of chosen sizes; without, only the classes of modules tell, and all else is leading slices.
        options: how it is made; `SupernetOptions` says what there is.

    Raises:
        BuildError: no child can be built, or two children ask for different things under one key.
        TypeError: an option is none.
    """

    def __init__(self, program: ProgramView, **options: Unpack[SupernetOptions]) -> None:
        refuse_unknown(options, SupernetOptions.__annotations__, "a supernet")
        statistics, kernels = options.get("statistics", "shared"), options.get("kernels", "cropped")
        if statistics not in ("shared", "own"):
            raise BuildError(f"statistics are 'shared' or each child's 'own', got {statistics!r}")
        if kernels not in ("cropped", "learned"):
            raise BuildError(f"smaller kernels are 'cropped' or 'learned', got {kernels!r}")
        seed, device = options.get("seed", 0), torch.device(options.get("device") or "cpu")
        super().__init__(program, options.get("dtype"), device, seed)
        self._kernels = Kernels() if kernels == "learned" else None
        self.statistics = statistics
        self.notes: set[str] = set()
        self.most = options.get("children", MOST_CHILDREN)
        self._active: Decision = program.decision(None)
        self._slices: SliceOptimizer | None = None
        self._models = SwitchedModels()
        self._grow(first_children(program, seed, self.alone, self.notes))

    # -- calling --------------------------------------------------------------------------------

    def forward(
        self, *args: Any, decision: Decision | Mapping[str, Value] | None = None, **kwargs: Any
    ) -> Any:
        """Call the child of a decision, by default of the active one.

        Args:
            args: the child's.
            decision: which child.
            kwargs: the child's.
        """
        with self.child(decision) as child:
            return child(*args, **kwargs)

    @contextmanager
    def child(self, decision: Decision | Mapping[str, Value] | None = None) -> Iterator[nn.Module]:
        """Give the child of a decision, bound to the shared tensors, for the length of a `with`.

        Args:
            decision: which child; the active one for None.
        """
        made = self._bound(self._active if decision is None else self.program.decision(decision))
        if self._slices is not None and torch.is_grad_enabled():
            self._slices.called(made)
        # What is a view, or whole, is in its place since the child was bound; the rest is put there now.
        for part in made.used(made.moving):
            value = narrow(self.tensor(part.name), part.index)
            if part.leaf is not None:
                if not part.sliced:
                    part.leaf.data.copy_(value.detach())
                value = part.leaf
            place(made, part, transformed(value, part.chain, self._parameters) if part.chain else value)
        made.entered += 1
        try:
            yield made.child
        finally:
            made.entered -= 1
        for part in made.used(made.copied):  # the call has updated a copy
            write(self.tensor(part.name), part.index, made.buffer(part))

    def activate(self, decision: Decision | Mapping[str, Value] | None = None) -> None:
        """Make a decision the one under which the supernet is called; the program's default for None."""
        self._active = self.program.decision(decision)

    @property
    def active(self) -> Decision:
        """The decision under which the supernet is called."""
        return self._active

    # -- children -------------------------------------------------------------------------------

    def extract(self, decision: Decision | Mapping[str, Value] | None = None) -> Any:
        """Build the child of a decision, with a copy of its weights: plain, without any reference back.

        Args:
            decision: which child; the active one for None.
        """
        decision = self._active if decision is None else self.program.decision(decision)
        made = self._bound(decision)
        # What is not shared, such as a table of positions, is what the constructor makes under the seed.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            child = self.program.build(decision)
        child.to(device=self.device, dtype=self.dtype).train(self.training)
        with torch.no_grad():
            for tensor, part in made.tensors(child):
                tensor.copy_(self._value(made, part))
        return child

    def inherit(self, child: nn.Module, decision: Decision | Mapping[str, Value] | None = None) -> None:
        """Take over the weights of a child, trained elsewhere; others stay as they are.

        Args:
            child: a child of this program; best the largest.
            decision: the one it was built under; the program's default for None.

        Raises:
            BuildError: the child is not what the decision builds.
        """
        made = self._bound(self.program.decision(decision))
        pairs = list(made.tensors(child))
        for tensor, part in pairs:
            if part.chain:
                raise BuildError(
                    "where kernels are learned, weights are taken over from a child with the largest ones, "
                    f"and {part.key!r} is {part.shape} here, of {tuple(self.tensor(part.name).shape)}"
                )
            if tuple(tensor.shape) != part.shape:
                raise BuildError(
                    f"weights are taken over from the child of the decision given, and {part.key!r} is "
                    f"{tuple(tensor.shape)} in this child and {part.shape} under the decision; give the "
                    "decision that the child was built under"
                )
        with torch.no_grad():
            for tensor, part in pairs:
                if part.own:
                    self._value(made, part).copy_(tensor)
                else:
                    write(self.tensor(part.name), part.index, tensor)

    def active_parameters(
        self, decision: Decision | Mapping[str, Value] | None = None
    ) -> Iterator[nn.Parameter]:
        """Yield the shared parameters that a child uses, each whole and once.

        Args:
            decision: which child; the active one for None.
        """
        made = self._bound(self._active if decision is None else self.program.decision(decision))
        for part in made.used():
            if not part.buffer:
                for name in (part.name, *(name for _, name in part.chain)):
                    yield self._parameters[name]  # type: ignore[misc]

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimiser know when a decision asks for more than all before it, and the parameters grow.

        Its state grows along, new positions starting from zero, and new parameters join its first group.
        """
        self._optimizers.append(optimizer)

    def optimizer(self, make: Make) -> SliceOptimizer:
        """Return an optimiser whose steps touch only what the called children use.

        It steps as the optimiser would on the child alone; weights that no child used since `zero_grad` keep
        their values, and their moments, and cost nothing. From now on gradients stand in slices, not in the
        `grad` of the parameters that are larger than the child's: `used` returns them, to be clipped, say.

        Args:
            make: from a list of parameters to an optimiser; any whose state is a number per position, or per
                tensor.
        """
        self.slices = made = SliceOptimizer(self, make)
        self.follow(made)
        return made

    @property
    def slices(self) -> SliceOptimizer | None:
        """The optimiser that gradients are kept apart for, if there is one."""
        return self._slices

    @slices.setter
    def slices(self, optimizer: SliceOptimizer | None) -> None:
        self._slices = optimizer
        self._unbind()

    # -- shared tensors -------------------------------------------------------------------------

    def _value(self, made: BoundChild, part: SharedSlice) -> torch.Tensor:
        if part.own:
            return made.buffer(part)
        value = narrow(self.tensor(part.name), part.index)
        return transformed(value, part.chain, self._parameters) if part.chain else value

    def _unbind(self, keys: Collection[str] | None = None) -> None:
        super()._unbind(keys)
        self._models.unbind()

    def built(self) -> list[BoundChild]:
        """Return the children that have been built one by one, and are kept."""
        return list(self._children.values())

    def alone(self, decision: Decision) -> BoundChild:
        """Return the child of a decision, built by itself."""
        found = self._children.get(decision.key)
        if found is None:
            found = self._children[decision.key] = child_alone(self.program, decision, self.seed)
            self.notes |= found.notes
            # The last used stay. One that is dropped loses nothing: its weights are in the shared tensors.
            while len(self._children) > max(self.most, 1):
                self._children.popitem(last=False)
        else:
            self._children.move_to_end(decision.key)
        return found

    def _bound(self, decision: Decision) -> BoundChild:
        made: BoundChild | None = self._switched(decision)
        if made is None:
            made = self.alone(decision)
            if not made.bound:
                # More than any child before: the tensors grow, and all children are bound anew.
                if not self._shared.holds(self._shared.refined(made.rows)):
                    self._grow([made])
                self._bind(made)
        made.train(self.training)
        return made

    def _switched(self, decision: Decision) -> SwitchedModel | None:
        """Return the model that holds a child as one of many, switched to it, if there is one."""
        made = self._models.find(self, decision)
        if made is None:
            return None
        if not made.bound:
            if not made.located(self._shared, self._marks()):
                self._models.refuse(made)
                return None
            self._place(made)
        made.switch(decision)
        if self.statistics == "own":
            for part in made.used(made.owned):
                self._give(made, part)
        return made

    def _bind(self, made: BoundChild) -> None:
        """Give a child the tensors that stay the same from call to call."""
        made.realise(self.program, self.seed, self.dtype, self.device)
        rows = self._shared.refined(made.rows)
        self._reach(made, rows)
        for key, part in made.slices.items():
            part.index = self._shared.index(key, rows[key])
        self._place(made)
        for part in made.owned:
            self._give(made, part)

    def _place(self, made: BoundChild) -> None:
        made.moving, made.copied, made.sliced, made.owned = [], [], [], []
        for part in made.slices.values():
            tensor = self.tensor(part.name)
            if part.buffer and self.statistics == "own":
                part.own = True
                made.owned.append(part)
                continue
            self._chain(part)
            # Whole parameters are the shared ones themselves, statistics a view: both for good. Slices of
            # parameters are taken at every call, as autograd is to see how, or are leaves with gradients of
            # their own where an optimiser steps on slices.
            whole = tuple(tensor.shape) == part.shape and part.sliced
            if whole or (part.buffer and part.sliced):
                place(made, part, tensor if whole else narrow(tensor, part.index))
                continue
            if not part.buffer and self._slices is not None:
                self._detach(made, part, tensor)
                if part.sliced and not part.chain:
                    continue
            else:
                part.leaf = None
            made.moving.append(part)
            if part.buffer:
                made.copied.append(part)
        made.bound = True

    def _chain(self, part: SharedSlice) -> None:
        """Find how a kernel is made of the largest one, where that is learned: it uses all of that."""
        part.chain = ()
        if self._kernels is not None and not part.buffer:
            part.chain = self._kernels.chain(self, part, self._shared)
            if part.chain:
                # The chain goes from the largest kernel down, so of that the child uses every position, and
                # its slice is one in the channels alone: (out, in, *whole kernel).
                count = len(part.chain[0][0])
                largest = self._shared.shape(part.key)[-count:]
                part.index = (*part.index[:-count], *(slice(0, size) for size in largest))

    def _give(self, made: BoundChild, part: SharedSlice) -> None:
        """Place a child's own statistic."""
        own = self._own.setdefault(made.decision.key, {})
        if part.key not in own:
            own[part.key] = narrow(self.tensor(part.name), part.index).clone()
        place(made, part, own[part.key])

    @staticmethod
    def _detach(made: BoundChild, part: SharedSlice, tensor: torch.Tensor) -> None:
        """Give a child a leaf for its part of a parameter; gradients that it has stay with it."""
        value = narrow(tensor.detach(), part.index)
        if part.leaf is None:
            part.leaf = nn.Parameter(value, requires_grad=tensor.requires_grad)
        else:
            part.leaf.data = value
        place(made, part, part.leaf)
        made.sliced.append(part)

    # -- as a module ----------------------------------------------------------------------------

    def _apply(self, fn: Any, recurse: bool = True) -> Supernet:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        some = next((tensor for tensor in self._parameters.values() if tensor is not None), None)
        if some is not None:
            self.device = some.device
            if some.is_floating_point() and (
                self.dtype is not None or some.dtype != torch.get_default_dtype()
            ):
                self.dtype = some.dtype
        self._own = {key: {name: fn(value) for name, value in own.items()} for key, own in self._own.items()}
        self._children.clear()
        self._models.clear()
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave built children out: they are made again when they are asked for."""
        fresh: dict[str, Any] = {
            "_children": OrderedDict(),
            "_optimizers": [],
            "_slices": None,
            "_models": SwitchedModels(),
        }
        return {**self.__dict__, **fresh}

    def __deepcopy__(self, memo: dict[int, Any]) -> Supernet:
        """Copy the weights; the program is the same."""
        memo[id(self.program)] = self.program
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        made.__setstate__(copy.deepcopy(self.__getstate__(), memo))  # type: ignore[no-untyped-call]
        return made
