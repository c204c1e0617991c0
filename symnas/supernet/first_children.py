"""The children that shared tensors are made for first, found in as few runs of the constructor as may be.

Shared tensors are as large as any child asks for, which is told by a few decisions that between them take
every value (`symnas.tree.covering`). Many of these differ only in which modules they choose. Their children
are one model with its choices open, constructed once, in which the candidates of one decision after the other
are put into the tree (`symnas.construction.plugging`); it is then called as that child, and tells its slices.

Law: the layouts are those of the children constructed one by one. Code that looks at what was chosen while
it constructs something else would break it; so the first model is compared with children, and where they
differ all are constructed one by one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from symnas.construction.child_layout import ChildLayout, TensorLayout, layout_of
from symnas.construction.mixed_module import MixedModule
from symnas.construction.open_choices import may_be_open, open_run
from symnas.construction.parameter_keys import KeyedModule
from symnas.construction.plugging import Plugs
from symnas.construction.superposition import WORTH, ConstructorRun, looking, superpose
from symnas.errors import BuildError, SymnasError
from symnas.frontend import execution
from symnas.frontend.openings import Opening
from symnas.supernet.child import BoundChild
from symnas.supernet.comparison import difference, telling_children
from symnas.tree.choices import OneOf
from symnas.tree.covering import covering
from symnas.tree.point import identity

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView
    from symnas.tree.space import Decision

Alone = Callable[["Decision"], BoundChild]
"""Constructs a child by itself."""


def first_children(
    program: ProgramView, seed: int, alone: Alone, notes: set[str]
) -> list[ChildLayout[TensorLayout]]:
    """Return the layouts of children that between them take every value of every point.

    Args:
        program: whose target makes a module.
        seed: of what calls of children draw.
        alone: for children that are in no model with others.
        notes: is told of children whose constructors raise; they are left out.

    Raises:
        BuildError: no child can be built, or one key belongs to two tensors.
    """
    decisions = list(covering(program.space))
    found: dict[str, ChildLayout[TensorLayout]] = {}
    for run, served in _models(program, decisions, seed, alone):
        # What cannot be called with its candidates plugged in is left to be constructed alone.
        with _switching(run) as model:
            for each in served:
                layout = model.layout(program, each, seed)
                if layout is not None:
                    found[each.key] = layout
    return list(_all_but_broken(program, decisions, found, alone, notes))


def _all_but_broken(
    program: ProgramView,
    decisions: Sequence[Decision],
    found: Mapping[str, ChildLayout[TensorLayout]],
    alone: Alone,
    notes: set[str],
) -> Iterator[ChildLayout[TensorLayout]]:
    """Yield the layouts found, and of other children those that can be constructed."""
    broken: list[BuildError] = []
    for each in decisions:
        if each.key in found:
            yield found[each.key]
            continue
        try:
            yield alone(each)
        except BuildError as error:
            # What the user's code raises is of this child; what sharing refuses is of the program.
            if error.__cause__ is None:
                raise
            broken.append(error)
    if len(broken) == len(decisions):
        raise broken[0]
    for each_error in broken:
        notes.add(f"left out, as it cannot be built: {each_error}")
    if broken:
        warnings.warn(
            f"the supernet of {program.name} is made without {len(broken)} of the {len(decisions)} decisions "
            f"that take every candidate, as they cannot be built; its notes have all, the first: {broken[0]}",
            stacklevel=2,
        )


def _models(
    program: ProgramView, decisions: Sequence[Decision], seed: int, alone: Alone
) -> Iterator[tuple[ConstructorRun, list[Decision]]]:
    """Yield models on `meta`, each with the decisions that it serves."""
    # A generated class holds no choice that could stay open; and where all that may be open would not pay,
    # no run is spent on finding out what can be.
    if execution.needs_source(program.internals.source_set):
        return
    perhaps = _perhaps_open(program)
    worth = _worth(perhaps)
    if not _groups(decisions, frozenset(perhaps), worth):
        return
    try:
        first = open_run(program, decisions[0])
        opened = frozenset(first.choices)
        groups = _groups(decisions, opened, worth)
        compared = telling_children(program, first, decisions[0]) if opened else []
        # A model saves all constructions of its group but one; being compared takes one for each child.
        if isinstance(first.module, MixedModule) or sum(len(own) - 1 for own in groups) <= len(compared):
            return
        with _switching(first) as model:
            if not all(model.is_child(program, alone(each), seed) for each in compared):
                return
        for own in groups:
            values = {address: value for address, value in own[0].items() if address not in opened}
            opening = Opening(values, opened)
            kept = first.answers(opening)
            yield (first if kept else superpose(program, opening, device="meta")), own
    except SymnasError:  # the children will tell, if it is theirs too
        return


def _perhaps_open(program: ProgramView) -> dict[str, int]:
    """Return the choices that are not among constants, as the text tells: candidates by address."""
    origins = {site.origin for site in program.internals.source_set.sites if may_be_open(site)}
    own = (entry.point for entry in program.space.compiled.layout.own)
    return {p.address: len(p.candidates) for p in own if isinstance(p, OneOf) and p.origin in origins}


def _worth(candidates: Mapping[str, int]) -> int:
    """Return how many children a model with all candidates has to stand for, to pay."""
    # It takes as long to construct as that many children, for it holds all candidates of every choice.
    return max(WORTH, math.ceil(sum(candidates.values()) / max(len(candidates), 1)))


def _groups(decisions: Sequence[Decision], opened: frozenset[str], worth: int) -> list[list[Decision]]:
    """Return the decisions that differ in open choices alone, where there are enough for a model to pay."""
    together: dict[tuple[object, ...], list[Decision]] = {}
    for each in decisions:
        closed = tuple((a, identity(value)) for a, value in each.items() if a not in opened)
        together.setdefault(closed, []).append(each)
    return [own for own in together.values() if len(own) >= worth]


class _Model:
    """A model on `meta` into whose tree the candidates of decisions are put."""

    def __init__(self, run: ConstructorRun) -> None:
        self.run = run
        named: dict[str, torch.Tensor] = {}
        named.update(run.module.named_parameters(remove_duplicate=False))
        named.update(run.module.named_buffers(remove_duplicate=False))
        keys = (*run.parameters.items(), *run.buffers.items())
        self._keys = {id(named[path]): key for path, key in keys}
        self.plugs = Plugs(run)

    def layout(self, program: ProgramView, decision: Decision, seed: int) -> ChildLayout[TensorLayout] | None:
        """Return the layout of a child, or None where it is not in the model, or cannot be called so."""
        if not self.run.serves(decision):
            return None
        self.plugs.switch(decision)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return layout_of(program, decision, self._keyed())
        except Exception:  # the model's own, in a call: constructed alone, it is called in other ways too
            return None

    def is_child(self, program: ProgramView, other: BoundChild, seed: int) -> bool:
        """Whether the model, switched to a decision, is what the constructor makes under it."""
        mine = self.layout(program, other.decision, seed)
        paths = {path for part in other.slices.values() for path in part.paths}
        return (
            mine is not None
            and _told(mine) == _told(other)
            and not difference(self.run.module, other.child, paths, values=False)
        )

    def _keyed(self) -> KeyedModule:
        """Return the model as its tree is now, with the keys of what stands in it."""
        module = self.run.module
        parameters = module.named_parameters(remove_duplicate=False)
        buffers = module.named_buffers(remove_duplicate=False)
        return KeyedModule(
            module,
            {path: self._keys[id(tensor)] for path, tensor in parameters},
            {path: self._keys[id(tensor)] for path, tensor in buffers if id(tensor) in self._keys},
        )


@contextmanager
def _switching(run: ConstructorRun) -> Iterator[_Model]:
    """Let a model be switched for the length of a `with`; it may be kept, and is then as it was."""
    with looking(run):
        model = _Model(run)
        model.plugs.insert()
        try:
            yield model
        finally:
            model.plugs.release()


def _told(layout: ChildLayout[TensorLayout]) -> list[object]:
    """Return what two layouts have alike if they are of the same child."""
    return [
        (part.key, part.paths, part.rows, part.dtype, part.trained, part.buffer)
        for part in layout.slices.values()
    ]
