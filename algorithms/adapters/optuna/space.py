"""Decisions as Optuna's parameters, and back.

A decision gives exactly one set of parameters, and every set that Optuna suggests gives exactly one decision.
Parameters are called by the addresses of their points and suggested one after the other in tree order, so a
point that does not exist has no parameter.

| point | parameter |
|---|---|
| one of several candidates | categorical, the candidates (their texts where `1` and `True` meet) |
| numbers in ascending order, with `ordered` | int, the position |
| whole numbers, linear or logarithmic | int, the number itself |
| whole numbers by a factor, or logarithmic with a step | int, the position |
| real numbers, linear, logarithmic or with a step | float, the number itself |
| real numbers, logarithmic with a step | int, the position |
| a selection of which there are at most 64 | categorical, the texts of the selections |
| a longer one | its size as an int, then a parameter per slot, `address[0]`, `address[1]`, …: a categorical |
| | with repeats, else an int: which of those that are left (the Lehmer code) |
| ties | none |

Prior weights have no counterpart. Nothing but the adapter imports this module, because it imports Optuna.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import optuna.distributions as others
from optuna.distributions import BaseDistribution

from symnas._typing import Label
from symnas.errors import SpaceError
from symnas.tree.choices import FloatRange, IntRange, ManyOf, OneOf, Permutation
from symnas.tree.layout import REAL, SLOTS, Entry
from symnas.tree.rows import holds, pack_row, unpack_row
from symnas.tree.space import Decision, Space
from symnas.tree.subsets import INACTIVE, UNUSED

LISTED = 64
EXACT = 2**53

Params = dict[str, Any]
Distributions = dict[str, BaseDistribution]
Ask = Callable[[str, BaseDistribution], Any]


class _Shared(BaseDistribution):
    """A distribution of which there is one per parameter, so that being equal is being the same.

    Samplers compare the distributions of every parameter of every trial each time; told apart by their
    contents, that costs several times what the sampler itself does.
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __deepcopy__(self, memo: object) -> _Shared:
        return self


class CategoricalDistribution(_Shared, others.CategoricalDistribution):
    """Categories."""


class FloatDistribution(_Shared, others.FloatDistribution):
    """Real numbers."""


class IntDistribution(_Shared, others.IntDistribution):
    """Whole numbers."""


class _Codec(Protocol):
    """One point as parameters."""

    named: Distributions

    def read(self, ask: Ask) -> Sequence[int] | float:
        """Return the codes, or the real value, that suggested parameters stand for."""

    def write(self, codes: Sequence[int] | float) -> Params:
        """Return the parameters that stand for codes, or for a real value."""


class Parameters:
    """The parameters of a space.

    Args:
        space: where decisions come from.
        ordered: whether candidates that are numbers in ascending order are told as positions, which a
            sampler can interpolate, rather than as categories.

    Raises:
        SpaceError: a range has more values than Optuna's numbers can tell apart.
    """

    def __init__(self, space: Space, ordered: bool = False) -> None:
        self.space = space
        self._taken = set(space.compiled.layout.index)
        self._steps = [
            (entry, None if entry.tied else self._codec(entry, ordered))
            for entry in space.compiled.layout.entries
        ]

    @property
    def distributions(self) -> Distributions:
        """Every parameter that any decision has, with its distribution, in tree order."""
        found: Distributions = {}
        for _, codec in self._steps:
            if codec is not None:
                found.update(codec.named)
        return found

    @property
    def numbers(self) -> list[str]:
        """The parameters that are numbers with several values and that every decision has."""
        return [
            name
            for entry, codec in self._steps
            if codec is not None and entry.branch is None and not entry.point.guards
            for name, distribution in codec.named.items()
            if not isinstance(distribution, CategoricalDistribution) and not distribution.single()
        ]

    def suggest(self, ask: Ask) -> Decision:
        """Return the decision that a sampler suggests.

        Args:
            ask: called with every parameter's name and distribution, in order; returns its value.
        """
        layout = self.space.compiled.layout
        codes, reals = [INACTIVE] * layout.columns, [float("nan")] * layout.reals
        for entry, codec in self._steps:
            if not holds(layout, entry, codes):
                continue
            if codec is None:
                _copy(layout.entries[entry.target], entry, codes, reals)
                continue
            found = codec.read(ask)
            if isinstance(found, float):
                reals[entry.column] = found
            else:
                padded = [*found, *[UNUSED] * (entry.width - len(found))]
                codes[entry.column : entry.column + entry.width] = padded
        return Decision(self.space, pack_row(layout, codes, reals))

    def of(self, decision: Decision) -> tuple[Params, Distributions]:
        """Return a decision as parameters, and their distributions."""
        codes, reals = unpack_row(self.space.compiled.layout, decision.row)
        params: Params = {}
        distributions: Distributions = {}
        for entry, codec in self._steps:
            if codec is None:
                continue
            if entry.shape == REAL:
                if reals[entry.column] != reals[entry.column]:
                    continue
                written = codec.write(reals[entry.column])
            else:
                mine = codes[entry.column : entry.column + entry.width]
                if mine[0] == INACTIVE:
                    continue
                written = codec.write([code for code in mine if code != UNUSED])
            params.update(written)
            for name in written:
                distributions[name] = codec.named[name]
        return params, distributions

    def decision(self, params: Params) -> Decision:
        """Return the decision that parameters stand for."""
        return self.suggest(lambda name, _: params[name])

    # ------------------------------------------------------------ points

    def _codec(self, entry: Entry, ordered: bool) -> _Codec:
        point = entry.domain
        if isinstance(point, ManyOf | Permutation):
            if point.only or point.cardinality <= LISTED:
                return _Selection(point)
            return _Slots(point, self._name)
        if isinstance(point, OneOf):
            if ordered and _ascending(point.candidates):
                return _Position(point.address, point.codes)
            return _Categories(point)
        if isinstance(point, FloatRange) and not point.finite:
            return _Real(point)
        assert isinstance(point, IntRange | FloatRange)
        if point.codes > EXACT:
            raise SpaceError(
                f"{point.address}: Optuna holds numbers as floats, which tell {EXACT:,} values apart, and "
                f"{point.domain} has {point.codes:,}: give it a larger step"
            )
        return _number(point)

    def _name(self, name: str) -> str:
        """Return a name for a further parameter of a point that no other parameter has."""
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name


def _copy(source: Entry, entry: Entry, codes: list[int], reals: list[float]) -> None:
    if entry.shape == REAL:
        reals[entry.column] = reals[source.column]
        return
    width = entry.width if entry.shape == SLOTS else 1
    codes[entry.column : entry.column + width] = codes[source.column : source.column + width]


def _ascending(labels: Sequence[Label]) -> bool:
    numbers = [label for label in labels if type(label) in (int, float)]
    return len(numbers) == len(labels) and numbers == sorted(numbers)  # type: ignore[type-var]


def _number(point: IntRange | FloatRange) -> _Codec:
    values = point.values()
    if isinstance(point, IntRange):
        plain = point.factor is None and not (point.log and point.step != 1)
        if plain and abs(point.low) <= EXACT and abs(point.high) <= EXACT:
            return _Whole(point)
    elif not point.log and point.step is not None and len(values) > 1:
        # Optuna shortens a range that it believes not to be a multiple of the step.
        distribution = FloatDistribution(values[0], values[-1], step=point.step)
        if distribution.high == values[-1]:
            return _Stepped(point, distribution)
    return _Position(point.address, len(values))


class _Categories:
    """A choice among candidates."""

    def __init__(self, point: OneOf) -> None:
        # 1, 1.0 and True are three candidates here, and one for Optuna.
        clear = len(set(point.candidates)) == point.codes
        self.choices = point.candidates if clear else tuple(map(repr, point.candidates))
        self.codes = {choice: code for code, choice in enumerate(self.choices)}
        self.name = point.address
        self.named: Distributions = {self.name: CategoricalDistribution(self.choices)}

    def read(self, ask: Ask) -> Sequence[int]:
        return (self.codes[ask(self.name, self.named[self.name])],)

    def write(self, codes: Any) -> Params:
        return {self.name: self.choices[codes[0]]}


class _Position:
    """A point told by the positions of its values."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.named: Distributions = {name: IntDistribution(0, count - 1)}

    def read(self, ask: Ask) -> Sequence[int]:
        return (int(ask(self.name, self.named[self.name])),)

    def write(self, codes: Any) -> Params:
        return {self.name: codes[0]}


class _Whole:
    """Whole numbers as they are."""

    def __init__(self, point: IntRange) -> None:
        self.values = point.values()
        self.name = point.address
        distribution = IntDistribution(point.low, self.values[-1], log=point.log, step=point.step)
        self.named: Distributions = {self.name: distribution}

    def read(self, ask: Ask) -> Sequence[int]:
        return (self.values.index(int(ask(self.name, self.named[self.name]))),)

    def write(self, codes: Any) -> Params:
        return {self.name: self.values[codes[0]]}


class _Stepped:
    """Real numbers with a step as they are; Optuna's may differ from ours in the last digit."""

    def __init__(self, point: FloatRange, distribution: FloatDistribution) -> None:
        self.values, self.low, self.step = point.values(), point.low, point.step or 1.0
        self.name = point.address
        self.named: Distributions = {self.name: distribution}

    def read(self, ask: Ask) -> Sequence[int]:
        # The nearest of ours, so that a last digit does not matter.
        near = round((ask(self.name, self.named[self.name]) - self.low) / self.step)
        return (min(max(near, 0), len(self.values) - 1),)

    def write(self, codes: Any) -> Params:
        return {self.name: self.values[codes[0]]}


class _Real:
    """Real numbers."""

    def __init__(self, point: FloatRange) -> None:
        self.low, self.high, self.name = point.low, point.high, point.address
        self.named: Distributions = {self.name: FloatDistribution(point.low, point.high, log=point.log)}

    def read(self, ask: Ask) -> float:
        # Exponentials of logarithms may end a hair outside.
        return min(max(float(ask(self.name, self.named[self.name])), self.low), self.high) + 0.0

    def write(self, codes: Any) -> Params:
        return {self.name: codes}


class _Selection:
    """One of a few selections."""

    def __init__(self, point: ManyOf | Permutation) -> None:
        self.rows = list(point.subsets)
        self.texts = [repr(point.value(row)) for row in self.rows]
        self.codes = dict(zip(self.texts, self.rows, strict=True))
        self.ranks = {row: text for text, row in self.codes.items()}
        self.name = point.address
        self.named: Distributions = {self.name: CategoricalDistribution(self.texts)}

    def read(self, ask: Ask) -> Sequence[int]:
        return self.codes[ask(self.name, self.named[self.name])]

    def write(self, codes: Any) -> Params:
        return {self.name: self.ranks[tuple(codes)]}


class _Slots:
    """One of many selections, element by element.

    Without an order, several sets of parameters stand for one selection; it is always told by the one whose
    elements ascend.
    """

    def __init__(self, point: ManyOf | Permutation, name: Callable[[str], str]) -> None:
        subsets = point.subsets
        self.low, self.high, self.n = subsets.low, subsets.high, subsets.n
        self.ordered, self.repeats = subsets.ordered, subsets.repeats
        self.size = name(f"{point.address}.size") if self.low < self.high else ""
        self.named: Distributions = {}
        if self.size:
            self.named[self.size] = IntDistribution(self.low, self.high)
        # The last of all candidates in order is not chosen: it is left over.
        slots = self.high if self.repeats else min(self.high, self.n - 1)
        self.slots = [name(f"{point.address}[{slot}]") for slot in range(slots)]
        for slot, slot_name in enumerate(self.slots):
            self.named[slot_name] = (
                CategoricalDistribution(range(self.n))
                if self.repeats
                else IntDistribution(0, self.n - 1 - slot)
            )

    def read(self, ask: Ask) -> Sequence[int]:
        size = int(ask(self.size, self.named[self.size])) if self.size else self.high
        # Lehmer code: in slot s a number below n - s, the place among the candidates that are left.
        ranks = [int(ask(name, self.named[name])) for name in self.slots[:size]]
        if self.repeats:
            found = ranks
        else:
            left = list(range(self.n))
            found = [left.pop(rank) for rank in ranks]
            found += left[: size - len(found)]
        return found if self.ordered else sorted(found)

    def write(self, codes: Any) -> Params:
        params: Params = {self.size: len(codes)} if self.size else {}
        for slot, name in enumerate(self.slots[: len(codes)]):
            code = codes[slot]
            # The way back: of the smaller candidates, those chosen before are not there any more.
            before = 0 if self.repeats else sum(other < code for other in codes[:slot])
            params[name] = code - before
        return params
