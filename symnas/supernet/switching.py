"""One model for decisions that differ only in which modules they choose: a decision is a switch in it.

The model is constructed once with all candidates (`symnas.supernet.superposition`). Under a decision the
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

from symnas.errors import SymnasError
from symnas.features.alignment import SharedLayout, plain
from symnas.frontend import execution
from symnas.supernet.child import BoundChild, SharedSlice, narrow, unreal
from symnas.supernet.superposition import MixedModule, Superposition, openable, superposed
from symnas.tree.choices import OneOf
from symnas.tree.point import identity

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision

MOST_MODELS = 16
"""Models that are kept."""
WORTH = 3
"""Decisions with the same fixed values after which a model pays: it takes longer to build than a child."""
COMPARED = 8
"""Children that a model is compared with."""


@dataclass(eq=False)
class _Branch:
    """The parts and choices of one candidate, without those of candidates inside it."""

    parts: list[SharedSlice] = field(default_factory=list)
    choices: list[MixedModule] = field(default_factory=list)


class SwitchedModel(BoundChild):
    """A model with all candidates, of which those of one decision are in the tree.

    Args:
        decision: a first one.
        made: the model; its shared tensors need no values.
        parts: its parts.
        dtype: of what is not shared; as it is for None.
        device: where it runs.
    """

    def __init__(
        self,
        decision: Decision,
        made: Superposition,
        parts: dict[str, SharedSlice],
        dtype: torch.dtype | None,
        device: torch.device,
    ) -> None:
        super().__init__(decision, made.child, parts, set())
        self.empty(dtype, device)
        self._all = list(made.child.modules())
        self._at = {(id(module), name): part for part in parts.values() for module, name in self.places(part)}
        self._choices = {
            address: (each, {identity(label): code for code, label in enumerate(each[0].labels)})
            for address, each in made.choices.items()
        }
        self._inner = {
            id(choice): list(choice.candidates) for each, _ in self._choices.values() for choice in each
        }
        self._branches: dict[tuple[int, int], _Branch] = {}
        self._root = self._branch(made.child)
        self._sockets = self._wired()
        self._free = [
            m for m in self._all if type(m).train is not nn.Module.train and not isinstance(m, MixedModule)
        ]
        for choice in self._sockets:
            self._plug(choice)

    # -- structure ------------------------------------------------------------------------------

    def _branch(self, top: nn.Module) -> _Branch:
        found, seen, stack = _Branch(), set[int](), [top]
        while stack:
            module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            if isinstance(module, MixedModule):
                found.choices.append(module)
                for code, candidate in enumerate(self._inner[id(module)]):
                    if (id(module), code) not in self._branches:
                        self._branches[id(module), code] = self._branch(candidate)
                continue
            names = (*module._parameters, *module._buffers)
            found.parts += [self._at[id(module), name] for name in names if (id(module), name) in self._at]
            stack += [child for child in module._modules.values() if child is not None]
        return found

    def _wired(self) -> dict[MixedModule, list[tuple[dict[str, Any], str]]]:
        """Return where the candidates of each choice are put, and note which choices are candidates."""
        lists = {id(choice.candidates): choice for each, _ in self._choices.values() for choice in each}
        found: dict[MixedModule, list[tuple[dict[str, Any], str]]] = {choice: [] for choice in lists.values()}
        above: dict[MixedModule, list[MixedModule]] = {choice: [] for choice in lists.values()}
        for module in self._all:
            for name, child in module._modules.items():
                if isinstance(child, MixedModule):
                    if id(module) in lists:
                        above[child].append(lists[id(module)])
                    else:
                        found[child].append((module._modules, name))
        self._above = above
        return found

    def _plug(self, choice: MixedModule) -> None:
        for outer in self._above[choice]:
            self._plug(outer)
        chosen: nn.Module = choice
        while isinstance(chosen, MixedModule):
            chosen = self._inner[id(chosen)][chosen.active]
        for modules, name in self._sockets[choice]:
            modules[name] = chosen

    # -- switching ------------------------------------------------------------------------------

    def switch(self, decision: Decision) -> None:
        """Put the candidates of a decision into the tree."""
        self.decision = decision
        for address, (choices, codes) in self._choices.items():
            value = decision.get(address, self)
            if value is self:
                continue
            code = codes[identity(value)]
            for choice in choices:
                if choice.active != code:
                    choice.active = code
                    self._plug(choice)

    def active(self) -> Iterator[SharedSlice]:
        """Yield the parts of the candidates in the tree, each once."""
        stack, seen = [self._root], set[str]()
        while stack:
            branch = stack.pop()
            for part in branch.parts:
                if part.key not in seen:
                    seen.add(part.key)
                    yield part
            stack += [self._branches[id(choice), choice.active] for choice in branch.choices]

    def used(self, parts: Iterable[SharedSlice] | None = None) -> Iterable[SharedSlice]:
        """Return the parts that are in the tree, of some or of all."""
        if parts is None:
            return self.active()
        wanted = {id(part) for part in parts}
        return [part for part in self.active() if id(part) in wanted] if wanted else ()

    def train(self, mode: bool) -> None:
        """Set the mode of all candidates, so that it need not be set at every switch."""
        if self.child.training != mode:
            for candidate in itertools.chain.from_iterable(self._inner.values()):
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
        """Yield the parts in the tree with all the paths under which they stand there."""
        for path, module in self.child.named_modules(remove_duplicate=False):
            for name in (*module._parameters, *module._buffers):
                part = self._at.get((id(module), name))
                if part is not None:
                    yield (f"{path}.{name}" if path else name), part

    # -- binding --------------------------------------------------------------------------------

    def located(self, shared: SharedLayout, reached: Mapping[str, torch.Tensor]) -> bool:
        """Find where the parts stand in the shared tensors; whether their shapes alone tell.

        Args:
            shared: the layout.
            reached: by key, which positions belong to a child that the layout was made for.
        """
        for key, part in self.parts.items():
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
    def known(self) -> Mapping[str, SharedSlice]:
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
        made = superposed(net.program, closed, device="meta", only=opened)
        parts = _parts(made, net.known)
        if parts is None or any(made.closed.get(address) != value for address, value in closed.items()):
            return None
        if unreal(made.child, {path for part in parts.values() for path in part.paths}):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(net.seed)
                made = superposed(net.program, closed, only=opened)
    except SymnasError as error:
        net.notes.add(f"children are built one by one: {error}")
        return None
    model = SwitchedModel(decision, made, parts, net.dtype, net.device)
    others = [known for known in net.built() if _fixed(known.decision, opened) == fixed]
    for known in others[:COMPARED] or [net.alone(decision)]:
        known.realise(net.program, net.seed, net.dtype, net.device)
        model.switch(known.decision)
        difference = _difference(model, known)
        if difference:
            net.notes.add(f"children are built one by one, as they differ in {difference}")
            return None
    return model


def _parts(made: Superposition, known: Mapping[str, SharedSlice]) -> dict[str, SharedSlice] | None:
    """Return the parts of a model, or None if it holds what no child has held."""
    if isinstance(made.child, MixedModule):
        return None
    parts: dict[str, SharedSlice] = {}
    tensors: dict[str, torch.Tensor] = {}
    named: dict[str, torch.Tensor] = {}
    named.update(made.child.named_parameters(remove_duplicate=False))
    named.update(made.child.named_buffers(remove_duplicate=False))
    for path, key in (*made.parameters.items(), *made.buffers.items()):
        like, tensor = known.get(key), named[path]
        if path in made.buffers and (like is None or not like.buffer):
            continue
        if like is None or tensors.setdefault(key, tensor) is not tensor or tensor.ndim != len(like.rows):
            return None
        if key not in parts:
            parts[key] = SharedSlice(key, [], plain(tensor.shape), like.dtype, like.trained, like.buffer)
        parts[key].paths.append(path)
    return parts


# -- comparing ----------------------------------------------------------------------------------

_SKIPPED = {"_parameters", "_buffers", "_modules", "_flat_weights", "training"}


def _difference(model: SwitchedModel, other: BoundChild) -> str:
    """Tell in what the child in a model differs from the same child built by itself; empty if in nothing."""
    mine = dict(model.child.named_modules(remove_duplicate=False))
    theirs = dict(other.child.named_modules(remove_duplicate=False))
    if list(mine) != list(theirs):
        return "the modules that they have"
    keys = {path: part.key for part in other.parts.values() for path in part.paths}
    if {path: part.key for path, part in model.paths()} != keys:
        return "the weights that they have"
    for path, module in mine.items():
        twin = theirs[path]
        if type(module) is not type(twin):
            return f"the class of {path!r}"
        names = (vars(module).keys() | vars(twin).keys()) - _SKIPPED
        for name in sorted(names):
            if not _same(vars(module).get(name), vars(twin).get(name), 6):
                return f"{path}.{name}".removeprefix(".")
        for name, value in module._buffers.items():
            if (f"{path}.{name}" if path else name) not in keys and not _same(
                value, twin._buffers.get(name), 1
            ):
                return f"{path}.{name}".removeprefix(".")
    return ""


def _same(one: Any, other: Any, depth: int) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, bool | int | float | complex | str | bytes | type | None):
        return bool(one == other) or one != one
    if isinstance(one, Mapping):
        return list(map(str, one)) == list(map(str, other)) and all(
            _same(a, b, depth - 1) for a, b in zip(one.values(), other.values(), strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_same(a, b, depth - 1) for a, b in zip(one, other, strict=True))
    if isinstance(one, set | frozenset):
        return len(one) == len(other)
    if isinstance(one, nn.Module) or depth <= 0 or not hasattr(one, "__dict__"):
        return True
    return _same(dict(vars(one)), dict(vars(other)), depth - 1)
