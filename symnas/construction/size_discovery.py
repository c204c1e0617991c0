"""Finds the numbers of a program that only say how large its tensors are, and which positions they are about.

The model is made at the largest values, without computing, and again with each smaller value in turn. A point
is a size if that changes sizes of weights and nothing else about them.

Which positions a value has is told by aligning the models (`symnas.construction.alignment`), in four rounds
that each make as few models as they can:

1. Every point at its smallest, alone: which dimensions of which parameters depend on it (`_touching`).
2. Every point at its other values. Points that no dimension has in common vary in one model (`_Look`).
3. Pairs of points that one dimension depends on, both small. Side by side, as in a concatenation, what is
   there is there in both models alone; as factors (heads times width) it is not, and they are one group.
4. Groups at all combinations of their values, as each has positions of its own.

A mask of a parameter is then, for each group, a table of zeros and ones over the values of its points and
the positions along the dimensions that they decide (`symnas.construction.sizes.Mask`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from symnas._typing import Value
from symnas.construction.alignment import Index, SharedLayout
from symnas.construction.child_layout import ChildLayout, TensorLayout, layout_of
from symnas.construction.mixed_module import added_up
from symnas.construction.sizes import Mask, Sizes
from symnas.construction.superposition import ConstructorRun, kept_run, looking
from symnas.contracts.relaxed_points import RelaxedKind, RelaxedPoint
from symnas.errors import BuildError
from symnas.features.contractions import Contractions
from symnas.tree.choices import IntRange, OneOf

if TYPE_CHECKING:
    from symnas.frontend.protocols import ProgramView

MOST_VALUES = 32
"""Values of a range that are mixed; longer ones are refused."""
MOST_TOGETHER = 512
"""Combinations of values of points that decide a parameter's size together."""


def find_sizes(
    program: ProgramView, run: ConstructorRun, closed: Collection[str]
) -> tuple[Sizes, ConstructorRun]:
    """Find the points of a program that only say how large its tensors are.

    Also returns what the constructor makes with all sizes at their largest.

    Args:
        program: with example inputs.
        run: the model on the device `meta`, with its choices open.
        closed: addresses of the points that may be sizes.

    Raises:
        BuildError: the program has no example inputs.
    """
    finder = _Finder(program, run, closed)
    if not finder.values:
        return Sizes({}, {}, finder.refused, {}, {}), run
    if program.inputs is None:
        raise BuildError(
            "which features a size is about is seen when a model is called; give example inputs: "
            "symnas.program(…, inputs=(tensor,))"
        )
    return finder.found(), finder.run


Layout = ChildLayout[TensorLayout]
Touching = Mapping[str, Mapping[int, set[str]]]
"""The points that a dimension of a tensor depends on, by the tensor's key and the dimension."""
Changes = tuple[tuple[str, Value], ...]
"""Values of points other than their largest, by address, in the order of addresses."""


@dataclass
class _Look:
    """A model to be made, and the dimensions of tensors that will be looked at in it.

    Looks at different dimensions share a model: points that such a dimension does not depend on may have any
    value there.
    """

    values: dict[str, Value]
    places: set[tuple[str, int]]

    def joins(self, other: _Look, touched: Mapping[str, set[tuple[str, int]]], largest: Changes) -> bool:
        """Whether one model serves both."""
        # Two values of one point are two models. A value below the largest must not change what is looked at
        # on the other side; at its largest it is there anyway.
        for mine, theirs in ((self, other), (other, self)):
            for item in mine.values.items():
                address, value = item
                if address in theirs.values:
                    if theirs.values[address] != value:
                        return False
                elif item not in largest and touched[address] & theirs.places:
                    return False
        return True


class _Finder:
    """Makes the model with its sizes at their largest, and with one or a few of them smaller."""

    def __init__(self, program: ProgramView, run: ConstructorRun, closed: Collection[str]) -> None:
        self.program = program
        self.given = run
        self.refused: dict[str, str] = {}
        self.values = {a: v for a in closed if (v := self._values(a)) is not None}
        self.largest = {a: max(values) for a, values in self.values.items()}
        self.run: ConstructorRun
        """What is made with all sizes at their largest."""
        self.base: Layout
        self.models: dict[Changes, Layout] = {}
        self.refined: dict[int, Mapping[str, Any]] = {}
        """Rows by the identity of a layout, as the shared tensors that were looked at last tell them."""

    def found(self) -> Sizes:
        """Return what was found."""
        self._start()
        for address, values in self.values.items():  # the first round
            self._vary({address: min(values)})
        self._drop_unlike()
        self._refuse_groups()
        flagged = self._read_dims()
        touching = self._touching()
        self._look(  # the second; the rest is in the functions named for it
            touching,
            [_Look({a: v}, set()) for a, values in self.values.items() for v in sorted(values)[1:-1]],
        )
        self._drop_unlike()
        groups = self._groups(touching)
        self._look_together(touching, groups)
        groups = [group & self.values.keys() for group in groups if group & self.values.keys()]
        shared = self._shared()
        read: dict[str, tuple[Mask, ...]] = {}
        held: dict[str, tuple[Mask, ...]] = {}
        for key, dims in touching.items():
            mine = [group for group in groups if any(group & points for points in dims.values())]
            every = tuple(self._mask(shared, key, group, dims) for group in mine)
            held[key] = every
            # Along the other dimensions features are made, and weighted where they are read.
            narrowed = {dim: points for dim, points in dims.items() if (key, dim) in flagged}
            some = [group for group in mine if any(group & points for points in narrowed.values())]
            if some:
                read[key] = tuple(self._mask(shared, key, group, narrowed) for group in some)
        points = {a: RelaxedPoint(a, values, RelaxedKind.SIZE) for a, values in self.values.items()}
        largest = {address: self.largest[address] for address in points}
        return Sizes(points, largest, self.refused, read, held)

    # -- models ---------------------------------------------------------------------------------

    def _values(self, address: str) -> tuple[Any, ...] | None:
        """Return the values of a point that may be a size."""
        entry = self.program.space.compiled.layout.entry(address)
        point = entry.point
        if isinstance(point, OneOf) and all(type(v) in (int, float) for v in point.candidates):
            values: tuple[Any, ...] = tuple(point.candidates)
        elif isinstance(point, IntRange):
            values = tuple(itertools.islice(point.values(), MOST_VALUES + 1))
        else:
            return None
        if len(values) > MOST_VALUES:
            self.refused[address] = f"it has more than {MOST_VALUES} values: give it a step"
            return None
        return values if len(values) > 1 else None

    def _made(self, changes: Mapping[str, Value]) -> ConstructorRun:
        return kept_run(self.program, self.given.opening.under({**self.largest, **changes}))

    def _model(self, changes: Mapping[str, Value]) -> Layout:
        """Return the slices of the model under some changes, all candidates called and added up."""
        made = self._made(changes)
        with looking(made, added_up):
            return layout_of(self.program, self.program.space.default, made)

    def _start(self) -> None:
        """Make the model at its largest, without the points that fail there by themselves."""
        try:
            self.base = self._model({})
        except Exception:
            # Each point alone at its largest, the others at their defaults: those that fail are no sizes.
            for address, largest in [*self.largest.items()]:
                self.largest = {address: largest}
                try:
                    self._model({})
                except Exception as error:  # the user's own code, asked for something that it cannot do
                    self.refused[address] = f"the model fails under {self.largest}: {error}"
                    del self.values[address]
            self.largest = {address: max(values) for address, values in self.values.items()}
            self.base = self._model({})
        self.run = self._made({})

    def _vary(self, changes: Mapping[str, Value]) -> bool:
        key = tuple(changes.items())
        if key in self.models:
            return True
        address = key[0][0]
        try:
            found = self._model(changes)
        except Exception as error:  # the user's own code, asked for something that it cannot do
            self.refused.setdefault(address, f"the model fails under {dict(changes)}: {error}")
            return False
        self.models[key] = found
        return True

    def _look(self, touching: Touching, looks: Iterable[_Look]) -> None:
        """Make models for looks, as few as serve them all.

        Args:
            touching: what dimensions depend on.
            looks: with every dimension that their points have a say in, where they name none.
        """
        touched: dict[str, set[tuple[str, int]]] = {address: set() for address in self.values}
        for key, dims in touching.items():
            for dim, points in dims.items():
                for address in points & touched.keys():
                    touched[address].add((key, dim))
        largest = tuple(self.largest.items())
        # Greedily, each into the first model that it can join.
        models: list[tuple[_Look, list[_Look]]] = []
        for look in looks:
            look.places = look.places or set().union(*(touched[address] for address in look.values))
            model = next((model for model in models if model[0].joins(look, touched, largest)), None)
            if model is None:
                model = _Look({}, set()), []
                models.append(model)
            model[0].values.update(look.values)
            model[0].places.update(look.places)
            model[1].append(look)
        for together, served in models:
            self._serve(together, served)

    def _serve(self, together: _Look, served: Iterable[_Look]) -> None:
        changes = self._changes(together.values)
        try:
            made = self.models[changes] if changes in self.models else self._model(dict(changes))
        except Exception:  # one of them is the reason, and is found by itself
            made = None
        # The model stands for each of its looks: elsewhere it differs, where nobody looks in their name.
        if made is not None and made.slices.keys() == self.base.slices.keys():
            self.models |= {own: made for look in served if (own := self._changes(look.values))}
            return
        for look in served:
            if own := self._changes(look.values):
                self._vary(dict(own))

    def _changes(self, values: Mapping[str, Value]) -> Changes:
        return tuple(sorted((a, v) for a, v in values.items() if v != self.largest[a]))

    def _drop_unlike(self) -> None:
        """Leave out the points that are no sizes, and say why."""
        for address in [*self.values]:
            models = [made for key, made in self.models.items() if key[0][0] == address]
            alike = all(made.slices.keys() == self.base.slices.keys() for made in models)
            changing = alike and any(
                made.slices[key].shape != part.shape
                for made in models
                for key, part in self.base.slices.items()
            )
            if address not in self.refused and not alike:
                self.refused[address] = "which weights there are depends on it, and not their sizes alone"
            elif address not in self.refused and not changing:
                self.refused[address] = "it changes no weight's size"
            if address in self.refused:
                del self.values[address]
        self.models = {changes: made for changes, made in self.models.items() if changes[0][0] in self.values}

    def _refuse_groups(self) -> None:
        """Leave out the points that move features between the groups of a normalisation.

        Groups are parts of what there is: of half the channels each is half as large, and has others in it.
        """
        grouped = {
            path: layer
            for path, layer in self.run.module.named_modules()
            if isinstance(layer, nn.GroupNorm) and 1 < layer.num_groups < layer.num_channels
        }
        for changes in [*self.models] if grouped else ():
            address = changes[0][0]
            smaller = dict(self._made(dict(changes)).module.named_modules())
            for path, layer in grouped.items():
                other: Any = smaller.get(path, layer)
                if other.num_channels // other.num_groups != layer.num_channels // layer.num_groups:
                    self.refused.setdefault(
                        address,
                        f"the group normalisation `{path}` has {layer.num_groups} groups, and it says which "
                        "channels are in which",
                    )
        self.values = {address: v for address, v in self.values.items() if address not in self.refused}
        self.models = {changes: made for changes, made in self.models.items() if changes[0][0] in self.values}

    # -- positions ------------------------------------------------------------------------------

    def _shared(self) -> SharedLayout:
        self.refined = {}
        found = SharedLayout()
        found.make_room([self.base.rows, *(each.rows for each in self.models.values())])
        return found

    def _touching(self) -> Touching:
        """Return the points that each dimension of each parameter depends on, by their smallest values."""
        found: dict[str, dict[int, set[str]]] = {}
        for changes, made in self.models.items():
            for key, part in made.slices.items():
                for dim, (size, whole) in enumerate(
                    zip(part.shape, self.base.slices[key].shape, strict=True)
                ):
                    if size != whole:
                        found.setdefault(key, {}).setdefault(dim, set()).add(changes[0][0])
        return found

    def _read_dims(self) -> set[tuple[str, int]]:
        """Return the dimensions that a parameter reads features along, and those of kernels."""
        model = self.run.module
        parameters = {
            key: model.get_parameter(part.paths[0])
            for key, part in self.base.slices.items()
            if not part.buffer
        }
        args, kwargs = self.program.internals.example("meta")
        tracer = Contractions(parameters)  # with all candidates called, so that every parameter is read
        with torch.no_grad(), looking(self.run, added_up), tracer:
            model.train()(*args, **kwargs)
        centred = {
            (key, dim)
            for key, part in self.base.slices.items()
            for dim, row in enumerate(part.rows)
            if any(segment.centred for segment in row)
        }
        return tracer.found | centred

    def _groups(self, touching: Touching) -> list[set[str]]:
        """Put points together that decide a size together, as the factors of a product do.

        Sizes that stand side by side, as in a concatenation, or in different dimensions do not count.
        """
        groups: list[set[str]] = [{address} for address in self.values]
        pairs = {
            pair
            for dims in touching.values()
            for points in dims.values()
            for pair in itertools.combinations(sorted(points), 2)
        }
        small = {pair: {address: min(self.values[address]) for address in pair} for pair in sorted(pairs)}
        places = {
            pair: {(k, d) for k, dims in touching.items() for d, points in dims.items() if {*pair} <= points}
            for pair in small
        }
        self._look(touching, [_Look(dict(values), places[pair]) for pair, values in small.items()])
        shared = self._shared()
        # Groups grow by pairs: what is entangled with either of two is entangled with both.
        for pair, values in small.items():
            if self._entangled(shared, values, places[pair]):
                joined = [group for group in groups if group & {*pair}]
                groups = [group for group in groups if group not in joined] + [set().union(*joined)]
        return groups

    def _entangled(
        self, shared: SharedLayout, small: Mapping[str, Value], places: Iterable[tuple[str, int]]
    ) -> bool:
        both = self.models.get(self._changes(small))
        if both is None:
            return True
        for key, dim in places:
            # Side by side, positions that both have are those that each has alone.
            apart = [self._there(shared, key, dim, self.models[((a, v),)]) for a, v in small.items()]
            if not np.array_equal(np.logical_and.reduce(apart), self._there(shared, key, dim, both)):
                return True
        return False

    def _look_together(self, touching: Touching, groups: Iterable[set[str]]) -> None:
        """Make models with all values of the points of a group that decide one parameter's size."""
        needed: dict[tuple[str, ...], set[tuple[str, int]]] = {}
        for key, dims in touching.items():
            for group in groups:
                points, own = _deciding(group, dims)
                if len(points) > 1:
                    needed.setdefault(points, set()).update((key, dim) for dim in own)
        looks = []
        for points, places in needed.items():
            count = math.prod(len(self.values[address]) for address in points)
            if count > MOST_TOGETHER:
                for address in points:
                    self.refused[address] = (
                        f"it decides sizes together with {', '.join(a for a in points if a != address)}, in "
                        f"{count} combinations, and at most {MOST_TOGETHER} are mixed"
                    )
                continue
            for values in itertools.product(*(self.values[address] for address in points)):
                looks.append(_Look(dict(zip(points, values, strict=True)), set(places)))
        self._look(touching, looks)
        self.values = {a: values for a, values in self.values.items() if a not in self.refused}

    def _there(self, shared: SharedLayout, key: str, dim: int, made: Layout) -> np.ndarray[Any, Any]:
        """Return which positions of a dimension a model has."""
        refined = self.refined.get(id(made))
        if refined is None:
            refined = self.refined[id(made)] = shared.refined(made.rows)
        index: Index = shared.index(key, refined[key])[dim]
        found = np.zeros(shared.shape(key)[dim], bool)
        found[index if isinstance(index, slice) else list(index)] = True
        return found

    def _mask(
        self, shared: SharedLayout, key: str, group: Iterable[str], dims: Mapping[int, set[str]]
    ) -> Mask:
        """Return which positions the values of a group of points have, along some dimensions."""
        shape = shared.shape(key)
        points, own = _deciding(group, dims)
        counts = [len(self.values[address]) for address in points]
        table = torch.zeros(*counts, *(size if dim in own else 1 for dim, size in enumerate(shape)))
        for codes in itertools.product(*map(range, counts)):
            values = {a: self.values[a][code] for a, code in zip(points, codes, strict=True)}
            changes = self._changes(values)
            made = self.models[changes] if changes else self.base
            part = torch.ones(())  # an outer product of what is there along each dimension
            for dim in own:
                there = torch.from_numpy(self._there(shared, key, dim, made)).float()
                part = part * there.reshape([-1 if place == dim else 1 for place in range(len(shape))])
            table[codes] = part
        return Mask(points, table)


def _deciding(group: Iterable[str], dims: Mapping[int, set[str]]) -> tuple[tuple[str, ...], list[int]]:
    """Return the points of a group that have a say in some dimensions, and in which."""
    own = [dim for dim, points in dims.items() if points & set(group)]
    return tuple(sorted(a for a in group if any(a in dims[dim] for dim in own))), own
