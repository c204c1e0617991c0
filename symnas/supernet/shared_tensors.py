"""The tensors that children share: as large as the largest child asks for, growing, saved and loaded.

Laws: what a tensor holds stays with the children that it was made for when it grows, and when it is loaded
into another supernet of the program, whatever that one has grown to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from symnas.construction.alignment import Row, SharedLayout, Tensors
from symnas.construction.child_layout import ChildLayout, TensorLayout
from symnas.errors import BuildError
from symnas.supernet.child import BoundChild
from symnas.supernet.kernel_transforms import Kernels
from symnas.supernet.state import Saved, described, moved, same_program
from symnas.supernet.tensors import Move, extend, narrow, spread, write

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView


class SharedTensors(nn.Module):
    """One tensor per key, and which children it holds.

    Args:
        program: whose target makes a module.
        dtype: of all floating-point tensors; as the constructors make them for None.
        device: where they are.
        seed: of the initial values, which are what the constructors produce.
    """

    def __init__(
        self, program: ProgramView, dtype: torch.dtype | None, device: torch.device, seed: int
    ) -> None:
        super().__init__()
        self.program, self.seed = program, seed
        self.dtype, self.device = dtype, device
        self._shared = SharedLayout()
        self._rows: list[Tensors] = []
        self._asked: dict[str, tuple[TensorLayout, str]] = {}
        self._reached: dict[str, torch.Tensor] = {}
        self._full: set[str] = set()
        self._children: OrderedDict[str, BoundChild] = OrderedDict()
        self._own: dict[str, dict[str, torch.Tensor]] = {}
        self._optimizers: list[torch.optim.Optimizer] = []
        self._kernels: Kernels | None = None

    def tensor(self, name: str) -> torch.Tensor:
        """Return a shared tensor, a parameter or a statistic, by its name."""
        found = self._parameters.get(name)
        return self._buffers[name] if found is None else found  # type: ignore[return-value]

    def has(self, name: str) -> bool:
        """Whether there is a parameter of that name."""
        return name in self._parameters

    def _unbind(self, keys: Collection[str] | None = None) -> None:
        """Have children bound to the tensors again: all, or those that have some of the tensors."""
        for made in self._children.values():
            if keys is None or not made.slices.keys().isdisjoint(keys):
                made.bound = False

    # -- growing --------------------------------------------------------------------------------

    def _grow(self, children: Sequence[ChildLayout[TensorLayout]]) -> None:
        """Make the shared tensors hold further children.

        What the tensors hold stays with the children that they have been made for; new positions take what
        the constructors of the new children produce.
        """
        for made in children:
            self._check(made)
        rows = [made.rows for made in children]
        changed, moves = self._join(rows) or self._lay_out([*self._rows, *rows])
        values = self._constructed(children, changed)
        for key in self._shared.tensors if changed else ():
            if key in changed:
                self._replace(key, values[key], moves(key))
        if self._kernels is not None:
            self._kernels.learn(self, self._shared, self._rows)

    def _join(self, children: list[Tensors]) -> tuple[set[str], Callable[[str], list[Move]]] | None:
        """Lay out further children at the cost of what they change; None where all are laid out anew."""
        if not self._rows or self._kernels is not None:
            return None
        before, old = self._shared, self._rows
        found = before.joined(old, children)
        if found is None:
            return None
        self._rows, self._shared = [*old, *children], found.layout
        for key in found.touched:
            self._reached.pop(key, None)
        self._full -= found.touched
        self._unbind(found.touched)
        return self._changed(before, found.touched), lambda key: moved(key, old, before, self._shared)

    def _lay_out(self, children: list[Tensors]) -> tuple[set[str], Callable[[str], list[Move]]]:
        """Choose shapes that hold some children; return the keys that change and how positions move."""
        # All children that are remembered are aligned anew, and where their positions were and are now says
        # how what the tensors hold is to be moved.
        before, old = self._shared, self._rows
        self._rows, self._shared = children, SharedLayout()
        self._shared.make_room(children)
        self._reached.clear()
        self._full.clear()
        self._unbind()
        changed = self._changed(before, self._shared.tensors)
        return changed, lambda key: moved(key, old, before, self._shared)

    def _changed(self, before: SharedLayout, keys: Iterable[str]) -> set[str]:
        """Return which of some tensors are new, or of another shape than in the layout before."""
        return {
            key for key in keys if key not in before.tensors or before.shape(key) != self._shared.shape(key)
        }

    def _reach(self, made: BoundChild, rows: Tensors) -> None:
        """Remember a child that uses positions that no other did: they move along when tensors grow."""
        self._marks()
        if self._mark(rows):
            self._rows.append(made.rows)

    def _marks(self) -> Mapping[str, torch.Tensor]:
        """Return by key which positions belong to a child that is remembered."""
        missing = [key for key in self._shared.tensors if key not in self._reached]
        if missing:
            children = [self._shared.refined(known) for known in self._rows]
            for key in missing:
                self._reached[key] = torch.zeros(self._shared.shape(key), dtype=torch.bool)
                for rows in children:
                    if key in rows and key not in self._full:
                        self._mark_one(key, rows[key])
        return self._reached

    def _mark(self, rows: Tensors) -> bool:
        # A mask per tensor of the positions that some remembered child has. A child all of whose positions
        # are marked need not be remembered, so there are few. Most masks are full soon.
        return any([self._mark_one(key, own) for key, own in rows.items() if key not in self._full])  # noqa: C419

    def _mark_one(self, key: str, rows: Sequence[Row]) -> bool:
        mask = self._reached[key]
        part = narrow(mask, index := self._shared.index(key, rows))
        if part.all():
            if not mask.numel():
                self._full.add(key)
            return False
        write(mask, index, torch.ones(part.shape, dtype=torch.bool))
        if part.numel() == mask.numel() or mask.all():
            self._full.add(key)
        return True

    def _check(self, made: ChildLayout[TensorLayout]) -> None:
        asked = str(dict(made.decision))
        for key, part in made.slices.items():
            known, decision = self._asked.setdefault(key, (part, asked))
            if len(known.rows) != len(part.rows) or known.dtype != part.dtype:
                raise BuildError(
                    f"children share a weight by the place of its construction, and {key!r} is {known.shape} "
                    f"{known.dtype} under {decision} and {part.shape} {part.dtype} under "
                    f"{dict(made.decision)}: construct the two at different places"
                )

    def _constructed(
        self, children: Sequence[ChildLayout[TensorLayout]], keys: set[str]
    ) -> dict[str, torch.Tensor]:
        """Return tensors of the shared shapes with the values that constructors give to them."""
        values: dict[str, torch.Tensor] = {}
        filled: dict[str, torch.Tensor] = {}
        missing = set(keys)
        # Child by child, each filling the positions that none before it has, until nothing is missing: the
        # first are the largest, so most are not constructed. What is left over belongs to no child alone.
        for number, made in enumerate(children):
            mine = [part for key, part in made.slices.items() if key in missing]
            if not mine:
                continue
            with self.program.internals.printed.run(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed + number)
                child = self.program.build(made.decision)
            rows = self._shared.refined(made.rows)
            # What an earlier child has filled stays: `fresh` has its values there, this child's elsewhere.
            for part in mine:
                tensor = made.tensor_at(child, part.paths[0], part)
                shape = self._shared.shape(part.key)
                whole = values.setdefault(part.key, torch.zeros(shape, dtype=tensor.dtype))
                done = filled.setdefault(part.key, torch.zeros(shape, dtype=torch.bool))
                index = self._shared.index(part.key, rows[part.key])
                fresh = torch.where(narrow(done, index), narrow(whole, index), tensor.detach().cpu())
                write(whole, index, fresh)
                write(done, index, torch.ones_like(fresh, dtype=torch.bool))
                if done.all():
                    missing.discard(part.key)
        for key, whole in values.items():
            spread(whole, filled[key], self.seed)
        return values

    def _replace(self, key: str, value: torch.Tensor, moves: Sequence[Move]) -> None:
        part = self._asked[key][0]
        name = part.name
        dtype = self.dtype if self.dtype is not None and value.is_floating_point() else value.dtype
        value = value.to(device=self.device, dtype=dtype)
        if not moves:
            if part.buffer:
                self._buffers[name] = value
            else:
                self.add(name, value, part.trained)
            return
        tensor = self.tensor(name)
        # Positions of children known so far keep their values, those that are new the constructors'.
        grown = extend(tensor.detach(), value, moves)
        if part.buffer:
            self._buffers[name] = grown
            return
        for optimizer in self._optimizers:
            for what, state in optimizer.state.get(tensor, {}).items():
                if isinstance(state, torch.Tensor) and state.shape == tensor.shape:
                    optimizer.state[tensor][what] = extend(state, torch.zeros_like(grown), moves)
        tensor.grad = None
        # Graphs that are still held keep the node that adds gradients up, made for the old shape. PyTorch
        # forgets it where the type of the data changes, not where the shape does.
        tensor.data = torch.empty(0, dtype=torch.float16 if tensor.dtype != torch.float16 else torch.float32)
        tensor.data = grown

    def add(self, name: str, value: torch.Tensor, trained: bool = True) -> None:
        """Add a parameter; optimisers that follow get it too.

        Args:
            name: of the parameter.
            value: at first.
            trained: whether it asks for gradients.
        """
        made = self._parameters[name] = nn.Parameter(value, requires_grad=trained)
        for optimizer in self._optimizers:
            optimizer.param_groups[0]["params"].append(made)

    @property
    def known(self) -> Mapping[str, TensorLayout]:
        """A part of each shared tensor, by key."""
        return {key: part for key, (part, _) in self._asked.items()}

    # -- saving ---------------------------------------------------------------------------------

    def get_extra_state(self) -> dict[str, Any]:
        """Return what `state_dict` holds besides tensors: which children they are for, as plain data."""
        return {
            "program": self.program.fingerprint,
            **described(self._rows, self.known),
            "own": {decision: dict(values) for decision, values in self._own.items()},
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over each child's own statistics; shapes have been taken over before."""
        self._own = {
            decision: {key: value.detach().clone().to(self.device) for key, value in values.items()}
            for decision, values in state["own"].items()
        }
        self._unbind()

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take over what `state_dict` of another supernet of the program gave, and grow as far as needed.

        Args:
            state_dict: the state.
            strict: whether it must be of the same program, and complete.
            assign: as for any module.

        Raises:
            BuildError: it is another program's.
        """
        extra = state_dict.get("_extra_state")
        if extra is not None and not strict:
            state_dict = {**state_dict, "_extra_state": {**extra, "program": self.program.fingerprint}}
        return super().load_state_dict(state_dict, strict, assign)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        extra = state_dict.get(f"{prefix}_extra_state")
        if extra is not None:
            state_dict = {**state_dict, **self._fitted(state_dict, prefix, extra)}
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _fitted(
        self, given: Mapping[str, Any], prefix: str, extra: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]:
        """Grow until the children of a state fit in, and return its tensors as they stand then."""
        # Both sets of children, this supernet's and the saved one's, are laid out together first.
        saved, known = Saved.read(extra), self.known
        same_program(self.program.fingerprint, self.program.name, extra["program"], known, saved)
        for key, part in saved.slices.items():
            self._asked.setdefault(key, (part, "what was loaded"))
        children = saved.joined(self._rows)
        if children != self._rows:
            changed, moves = self._lay_out(children)
            for key in self._shared.tensors:
                if key in changed:
                    found = self._asked[key][0]
                    self._replace(key, torch.zeros(self._shared.shape(key), dtype=found.dtype), moves(key))
        if self._kernels is not None:
            self._kernels.restore(self, {name.removeprefix(prefix): None for name in given})
        fitted = {}
        for key in self._shared.tensors:
            name = prefix + self._asked[key][0].name
            own = self.tensor(self._asked[key][0].name)
            if key not in saved.layout.tensors:
                fitted[name] = own.detach()
            elif name in given:
                fitted[name] = saved.carried(key, given[name].to(own.device), own, self._shared)
        return fitted
