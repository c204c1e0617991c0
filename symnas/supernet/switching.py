"""One model for decisions that differ only in which modules they choose: a decision is a switch in it.

The model is constructed once with all candidates (`symnas.construction.superposition`). Under a decision the
chosen ones stand in the tree where children have them, and nothing else does: what is called, listed and
walked through is an ordinary child. Values that are no modules (widths, control flow) are fixed in it; where
they vary, there is a model for each combination that comes up often enough.

Code that looks at the chosen module while it constructs others would see a stand-in. So before a model is
used, it is compared with children that were built one by one: the same tree of the same classes with the same
attributes and keys. Where they differ children go on being built one by one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from symnas.construction.alignment import SharedLayout, plain
from symnas.construction.child_layout import TensorLayout, unreal
from symnas.construction.mixed_module import MixedModule
from symnas.construction.open_choices import openable
from symnas.construction.plugging import Plugs
from symnas.construction.superposition import WORTH, ConstructorRun, superpose
from symnas.errors import SymnasError
from symnas.frontend import execution
from symnas.frontend.openings import Opening
from symnas.supernet.child import BoundChild, SharedSlice
from symnas.supernet.comparison import difference, telling_children
from symnas.supernet.tensors import narrow
from symnas.tree.choices import OneOf
from symnas.tree.point import identity

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision

MOST_MODELS = 16
"""Models that are kept."""
COMPARED = 8
"""Children that a model is compared with."""


@dataclass(eq=False)
class _Branch:
    """The slices and choices of one candidate, without those of candidates inside it."""

    slices: list[SharedSlice] = field(default_factory=list)
    choices: list[MixedModule] = field(default_factory=list)


class SwitchedModel(BoundChild):
    """A model with all candidates, of which those of one decision are in the tree.

    Args:
        decision: a first one.
        made: the model; its shared tensors need no values.
        slices: its own, those of all candidates.
        dtype: of what is not shared; as it is for None.
        device: where it runs.
    """

    def __init__(
        self,
        decision: Decision,
        made: ConstructorRun,
        slices: dict[str, SharedSlice],
        dtype: torch.dtype | None,
        device: torch.device,
    ) -> None:
        super().__init__(decision, slices, set(), made.module)
        self.empty(dtype, device)
        self._at = {
            (id(module), name): part for part in slices.values() for module, name in self.places(part)
        }
        # Modules with a `train` of their own, such as frozen normalisation: they are asked at every call.
        everything = list(made.module.modules())
        self._free = [
            m for m in everything if type(m).train is not nn.Module.train and not isinstance(m, MixedModule)
        ]
        self._branches: dict[tuple[MixedModule, int], _Branch] = {}
        self._root = self._branch(made.module)
        self.plugs = Plugs(made)
        self.plugs.insert()

    def _branch(self, top: nn.Module) -> _Branch:
        """Return what a candidate holds, and note what those of the choices in it do."""
        found, seen, stack = _Branch(), set[int](), [top]
        while stack:
            module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            if isinstance(module, MixedModule):
                found.choices.append(module)
                for code, candidate in enumerate(module.candidates):
                    if (module, code) not in self._branches:
                        self._branches[module, code] = self._branch(candidate)
                continue
            names = (*module._parameters, *module._buffers)
            found.slices += [self._at[id(module), name] for name in names if (id(module), name) in self._at]
            stack += [child for child in module._modules.values() if child is not None]
        return found

    # -- switching ------------------------------------------------------------------------------

    def switch(self, decision: Decision) -> None:
        """Put the candidates of a decision into the tree."""
        self.decision = decision
        self.plugs.switch(decision)

    def active(self) -> Iterator[SharedSlice]:
        """Yield the slices of the candidates in the tree, each once."""
        # Down from the model through the active candidates; what is shared by two is yielded once.
        stack, seen = [self._root], set[str]()
        while stack:
            branch = stack.pop()
            for part in branch.slices:
                if part.key not in seen:
                    seen.add(part.key)
                    yield part
            stack += [self._branches[choice, choice.active] for choice in branch.choices]

    def used(self, some: Iterable[SharedSlice] | None = None) -> Iterable[SharedSlice]:
        """Return the slices that are in the tree, of some or of all."""
        if some is None:
            return self.active()
        wanted = {id(part) for part in some}
        return [part for part in self.active() if id(part) in wanted] if wanted else ()

    def train(self, mode: bool) -> None:
        """Set the mode of all candidates, so that it need not be set at every switch."""
        if self.child.training != mode:  # candidates that are not in the tree now will be, later
            for candidate in itertools.chain.from_iterable(self.plugs.candidates.values()):
                candidate.train(mode)
            self.child.train(mode)
        elif self._free:  # these say for themselves what happens below them
            self.child.train(mode)

    def tensors(self, child: nn.Module) -> Iterator[tuple[torch.Tensor, SharedSlice]]:
        """Yield the tensors of a child built under the same decision, and which part each is."""
        seen = set[str]()
        for path, part in self.paths():
            if part.key not in seen:
                seen.add(part.key)
                yield self.tensor_at(child, path, part), part

    def paths(self) -> Iterator[tuple[str, SharedSlice]]:
        """Yield the slices in the tree with all the paths under which they stand there."""
        for path, module in self.child.named_modules(remove_duplicate=False):
            for name in (*module._parameters, *module._buffers):
                part = self._at.get((id(module), name))
                if part is not None:
                    yield (f"{path}.{name}" if path else name), part

    # -- binding --------------------------------------------------------------------------------

    def located(self, shared: SharedLayout, reached: Mapping[str, torch.Tensor]) -> bool:
        """Find where the slices stand in the shared tensors; whether their shapes alone tell.

        Args:
            shared: the layout.
            reached: by key, which positions belong to a child that the layout was made for.
        """
        for key, part in self.slices.items():
            # A model has no trace: what is no whole tensor has to be told by its sizes, as a leading slice.
            whole = shared.shape(key) == part.shape
            if whole:
                part.index = tuple(slice(0, size) for size in part.shape)
            elif shared.simple(key) and shared.holds({key: part.rows}):
                part.index = shared.index(key, part.rows)
            else:
                return False
            if key not in reached or not bool(narrow(reached[key], part.index).all()):
                return False
        return True


class SupernetView(Protocol):
    """What a model needs of the supernet whose children it stands for."""

    program: ProgramView
    notes: set[str]
    seed: int
    dtype: torch.dtype | None
    device: torch.device

    @property
    def known(self) -> Mapping[str, TensorLayout]:
        """A part of each shared tensor, by key."""

    def built(self) -> list[BoundChild]:
        """Return the children that have been built one by one, and are kept."""

    def alone(self, decision: Decision) -> BoundChild:
        """Return the child of a decision, built by itself."""


class SwitchedModels:
    """The models of a supernet, by the values that are fixed in them."""

    def __init__(self) -> None:
        self._opened: frozenset[str] | None = None
        self._everything = False
        self._made: dict[tuple[Any, ...], SwitchedModel | None] = {}
        self._asked: dict[tuple[Any, ...], int] = {}

    def clear(self) -> None:
        """Forget the models: types or devices have changed."""
        self._made.clear()

    def unbind(self) -> None:
        """Have the models bound again: tensors have changed, and what did not fit may fit now."""
        self._made = {fixed: model for fixed, model in self._made.items() if model is not None}
        for model in self._made.values():
            model.bound = False  # type: ignore[union-attr]

    def find(self, net: SupernetView, decision: Decision) -> SwitchedModel | None:
        """Return the model of a decision, or None where its child is built by itself."""
        opened = self._openable(net)
        if not opened:
            return None
        fixed = () if self._everything else _fixed(decision, opened)
        if fixed not in self._made:
            # A model holds all candidates: it is made for values that come up again, not for every draw.
            count = self._asked[fixed] = self._asked.get(fixed, 0) + 1
            if fixed and count < WORTH:
                return None
            self._made[fixed] = None  # while it is being made, and compared
            self._made[fixed] = _switched_model(net, decision, opened, fixed)
            while len(self._made) > MOST_MODELS:
                del self._made[next(iter(self._made))]
        found = self._made[fixed]
        return None if found is None or found.entered else found

    def refuse(self, model: SwitchedModel) -> None:
        """Note that a model does not fit, until tensors change."""
        self._made = {fixed: None if made is model else made for fixed, made in self._made.items()}

    def _openable(self, net: SupernetView) -> frozenset[str]:
        if self._opened is None:
            program, own = net.program, net.program.space.compiled.layout.own
            self._opened = frozenset()
            if any(isinstance(each.point, OneOf) for each in own) and not execution.needs_source(
                program.internals.source_set
            ):
                try:
                    self._opened = openable(program)
                except SymnasError as error:
                    net.notes.add(f"children are built one by one: {error}")
            self._everything = {each.point.address for each in own} <= self._opened
        return self._opened


def _fixed(decision: Decision, opened: frozenset[str]) -> tuple[Any, ...]:
    return tuple((address, identity(value)) for address, value in decision.items() if address not in opened)


def _switched_model(
    net: SupernetView, decision: Decision, opened: frozenset[str], fixed: tuple[Any, ...]
) -> SwitchedModel | None:
    """Make the model of a decision, and compare it with children."""
    closed = {address: value for address, value in decision.items() if address not in opened}
    try:
        made = superpose(net.program, Opening(closed, opened), device="meta")
        slices = _slices(made, net.known)
        if slices is None or not made.serves(closed):
            return None
        compared = [known.decision for known in net.built() if _fixed(known.decision, opened) == fixed]
        # Children that are there already cost nothing; where there are none, a few tell as much.
        compared = compared[:COMPARED] or telling_children(net.program, made, decision)
        if unreal(made.module, {path for part in slices.values() for path in part.paths}):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(net.seed)
                made = superpose(net.program, Opening(closed, opened))
    except SymnasError as error:
        net.notes.add(f"children are built one by one: {error}")
        return None
    model = SwitchedModel(decision, made, slices, net.dtype, net.device)
    for each in compared:
        model.switch(each)
        wrong = _difference(net, model, net.alone(each))
        if wrong:
            net.notes.add(f"children are built one by one, as they differ in {wrong}")
            return None
    return model


def _slices(made: ConstructorRun, known: Mapping[str, TensorLayout]) -> dict[str, SharedSlice] | None:
    """Return the slices of a model, or None if it holds what no child has held."""
    if isinstance(made.module, MixedModule):
        return None
    slices: dict[str, SharedSlice] = {}
    tensors: dict[str, torch.Tensor] = {}
    named: dict[str, torch.Tensor] = {}
    named.update(made.module.named_parameters(remove_duplicate=False))
    named.update(made.module.named_buffers(remove_duplicate=False))
    for path, key in (*made.parameters.items(), *made.buffers.items()):
        # A slice of what children have told of: one tensor a key, with as many dimensions as theirs.
        like, tensor = known.get(key), named[path]
        if path in made.buffers and (like is None or not like.buffer):
            continue
        if like is None or tensors.setdefault(key, tensor) is not tensor or tensor.ndim != len(like.rows):
            return None
        if key not in slices:
            slices[key] = SharedSlice(key, [], plain(tensor.shape), like.dtype, like.trained, like.buffer)
        slices[key].paths.append(path)
    return slices


def _difference(net: SupernetView, model: SwitchedModel, other: BoundChild) -> str:
    """Tell in what the child in a model differs from the same child built by itself; empty if in nothing."""
    other.realise(net.program, net.seed, net.dtype, net.device)
    keys = {path: part.key for part in other.slices.values() for path in part.paths}
    if {path: part.key for path, part in model.paths()} != keys:
        return "the weights that they have"
    return difference(model.child, other.child, keys)
