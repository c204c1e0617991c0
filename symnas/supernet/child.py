"""One child of a supernet: how the slices of shared tensors get into its modules, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from symnas.construction.alignment import Index
from symnas.construction.child_layout import ChildLayout, TensorLayout, keyed_child, layout_alone, unreal
from symnas.construction.plugging import put

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision


@dataclass(eq=False)
class SharedSlice(TensorLayout):
    """A tensor of a child as a slice of a shared one.

    Args:
        index: where it stands in the shared tensor.
        own: whether the child has one of its own instead.
        leaf: what takes the child's gradient, where it is kept apart (`symnas.supernet.optimizer`).
        chain: how it is made of what stands at the index, where kernels are learned
            (`symnas.supernet.kernel_transforms`).
    """

    index: tuple[Index, ...] = ()
    own: bool = False
    leaf: nn.Parameter | None = None
    chain: tuple[tuple[tuple[int, ...], str], ...] = ()

    @property
    def sliced(self) -> bool:
        """Whether a view reaches it."""
        return all(isinstance(where, slice) for where in self.index)


@dataclass(eq=False)
class BoundChild(ChildLayout[SharedSlice]):
    """A child, and which slices of shared tensors get into it in what way.

    Args:
        child: the module.
        real: whether what it does not share has values.
        bound: whether the slices below are told apart for the shared tensors as they are now.
        moving: slices that are put into the child anew for every call.
        copied: statistics that no view can reach, and which are copied back after every call.
        sliced: slices whose gradients are kept apart.
        owned: statistics that the child does not share.
        entered: how often it is in use now.
    """

    child: nn.Module
    real: bool = False
    bound: bool = False
    moving: list[SharedSlice] = field(default_factory=list)
    copied: list[SharedSlice] = field(default_factory=list)
    sliced: list[SharedSlice] = field(default_factory=list)
    owned: list[SharedSlice] = field(default_factory=list)
    entered: int = 0
    _places: dict[str, list[tuple[nn.Module, str]]] = field(default_factory=dict)

    def used(self, some: Iterable[SharedSlice] | None = None) -> Iterable[SharedSlice]:
        """Return the slices that the child uses, of some or of all."""
        return self.slices.values() if some is None else some

    def train(self, mode: bool) -> None:
        """Set the child to training or evaluation."""
        if self.child.training != mode:
            self.child.train(mode)

    def places(self, part: SharedSlice) -> list[tuple[nn.Module, str]]:
        """Return the modules that hold a slice, and its names there."""
        found = self._places.get(part.key)
        if found is None:
            found = self._places[part.key] = []
            for path in part.paths:
                owner, _, name = path.rpartition(".")
                found.append((self.child.get_submodule(owner), name))
        return found

    def buffer(self, part: SharedSlice) -> torch.Tensor:
        """Return the child's own tensor of a statistic."""
        module, name = self.places(part)[0]
        found: torch.Tensor = module._buffers[name]  # type: ignore[assignment]
        return found

    def realise(
        self, program: ProgramView, seed: int, dtype: torch.dtype | None, device: torch.device
    ) -> None:
        """Make the child callable: what it does not share is computed by its constructor."""
        if self.real:
            return
        shared = {path for part in self.slices.values() for path in part.paths}
        # On `meta` a table of positions, say, has no values: then the child is constructed once more.
        if unreal(self.child, shared):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.child = keyed_child(program, self.decision, None).module
        self.empty(dtype, device)

    def empty(self, dtype: torch.dtype | None, device: torch.device) -> None:
        """Take the shared tensors out of the child, and move the rest to where it will run."""
        # None in their places: `to` moves what is the child's own, and copies nothing that is shared.
        for part in self.slices.values():
            for module, name in self.places(part):
                (module._buffers if part.buffer else module._parameters)[name] = None
        self.child.to(device=device, dtype=dtype)
        self.real = True


def child_alone(program: ProgramView, decision: Decision, seed: int) -> BoundChild:
    """Construct a child by itself, without computing, and find the slices that its tensors are.

    Raises:
        BuildError: it cannot be built, or one key belongs to two tensors.
    """
    child, layout = layout_alone(program, decision, seed)
    slices = {key: SharedSlice(**vars(part)) for key, part in layout.slices.items()}
    return BoundChild(layout.decision, slices, layout.notes, child)


def place(made: BoundChild, part: SharedSlice, tensor: torch.Tensor) -> None:
    """Put a tensor where a child looks for a slice."""
    for module, name in made.places(part):
        if part.buffer:
            module._buffers[name] = tensor
        else:
            put(module, name, tensor)
