"""A few decisions that together meet every point and every candidate, numbers at their largest first.

Shared weights are as large as any child asks for, and spaces are too large to ask every child. Each decision
here takes, at as many points as it can, a candidate that no earlier one took; so there are about as many as
the point with the most candidates has, times how deep points are nested.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from types import MappingProxyType

import numpy as np

from symnas._typing import Value
from symnas.tree.choices import FloatRange, IntRange, ManyOf, OneOf, Permutation
from symnas.tree.layout import Entry
from symnas.tree.point import identity
from symnas.tree.space import Decision, Space

MOST_VALUES = 12
"""Values of a range that are all tried; of longer ones only the ends, and those where other points begin."""
MOST_BASES = 4
TRIES = 64
"""Random decisions that are looked at for points that stand under a condition over several others."""


class _Cover:
    def __init__(self, space: Space, alike: Mapping[str, Hashable]) -> None:
        self.space = space
        self.options = {entry.point.address: _options(entry) for entry in space.compiled.layout.own}
        # Points that are alike have one set of what is open: what one of them takes no other needs to.
        groups: dict[Hashable, set[object]] = {}
        self.open: dict[str, set[object]] = {}
        for address, options in self.options.items():
            self.open[address] = groups.setdefault(alike.get(address, address), set())
            self.open[address] |= {identity(value) for value in options}

    def decision(self, numbers: bool, base: Decision) -> Decision:
        """Return a decision that takes what is open; numbers stay at their largest unless told otherwise.

        Points are decided in tree order, and what a value brings into being is decided after it.
        """
        found, done = base, set[str]()
        taken: set[tuple[int, object]] = set()  # by the decision itself, where several points are alike
        while True:
            address = next((address for address in found if address not in done), None)
            if address is None:
                return found
            done.add(address)
            value = self._choose(address, numbers, taken)
            taken.add((id(self.open[address]), identity(value)))
            if identity(value) != identity(found[address]):
                found = found.replace({address: value}, admitted=False)

    def apart(self, base: Decision) -> Iterator[Decision]:
        """Yield decisions in which of any two numbers one is small while the other is at its largest.

        Numbers are told apart by the digits of their places, so few decisions do for many; two values below
        the largest are tried. Those that others stand under, as numbers of turns are, stay at their largest
        while the others vary, and the other way round: no pair is missed because one of it is not there.
        """
        numbers = [
            address for address, options in self.options.items() if _numeric(options) and len(options) > 1
        ]
        above = [address for address in numbers if self.space.compiled.layout.entry(address).below]
        yield from self._apart(base, [address for address in numbers if address not in above])
        yield from self._apart(base, above)

    def _apart(self, base: Decision, numbers: Sequence[str]) -> Iterator[Decision]:
        # Two of m numbers differ in one of the log2(m) binary digits of their places. For each digit, those
        # with a 0 are made small and then those with a 1: 2 log2(m) decisions instead of m (m - 1).
        most = max((len(self.options[address]) for address in numbers), default=0)
        for value, digit, half in itertools.product(
            range(1, min(most, 3)), range(max(1, (len(numbers) - 1).bit_length())), (0, 1)
        ):
            small = {a: self.options[a] for place, a in enumerate(numbers) if (place >> digit) & 1 == half}
            found = base
            for address, options in small.items():
                if address in found and value < len(options):
                    found = found.replace({address: options[value]}, admitted=False)
                    found = self._enlarged(found, small)
            yield found

    def _enlarged(self, found: Decision, small: Mapping[str, tuple[Value, ...]]) -> Decision:
        """Give points that have just come into being their largest values."""
        for address in [*found]:
            if address in found and address not in small:
                largest = self.options[address][0]
                if _numeric(self.options[address]) and identity(found[address]) != identity(largest):
                    found = found.replace({address: largest}, admitted=False)
        return found

    def close(self, decision: Decision) -> bool:
        """Note what a decision takes; whether anything of it was open."""
        news = False
        for address, value in decision.items():
            key = identity(value)
            if key in self.open[address]:
                self.open[address].discard(key)
                news = True
        return news

    def _choose(self, address: str, numbers: bool, taken: Set[tuple[int, object]]) -> Value:
        options, still = self.options[address], self.open[address]
        if numbers or not _numeric(options):
            # First what is open at this point, then what leads to something open below, then the largest or
            # default.
            for value in options:
                if identity(value) in still and (id(still), identity(value)) not in taken:
                    return value
        entry = self.space.compiled.layout.entry(address)
        for value in options:
            if self._waiting(entry, value, numbers):
                return value
        return options[0]

    def _waiting(self, entry: Entry, value: Value, numbers: bool) -> bool:
        """Whether points that a value brings into being have something open."""
        if isinstance(entry.point, FloatRange) or not entry.below:
            return False
        code = entry.domain.code(value)
        codes = code if isinstance(code, tuple) else (code,)
        for number in entry.below:
            below = self.space.compiled.layout.entries[number]
            if below.tied or below.branch is None or not any(code in below.branch.when for code in codes):
                continue
            address = below.point.address
            options = self.options[address]
            if self.open[address] and (numbers or not _numeric(options)):
                return True
            if any(self._waiting(below, option, numbers) for option in options):
                return True
        return False


def covering(
    space: Space, bases: int = MOST_BASES, alike: Mapping[str, Hashable] = MappingProxyType({})
) -> Iterator[Decision]:
    """Yield the decisions: those with the largest numbers first, each with something that no earlier one has.

    Args:
        space: any; of real ranges only the default counts, and of long ranges not every value.
        bases: decisions with other candidates, around which numbers are made small in turn.
        alike: groups of points, by address, of which it is enough that each candidate is taken at one.
    """
    cover = _Cover(space, alike)
    # Greedily, while the last decision took something that none before it did: first with the numbers at
    # their largest, which is where shared tensors are as large as they get, then with all other numbers.
    largest = space.default
    categorical: list[Decision] = []
    for numbers in (False, True):
        while True:
            found = cover.decision(numbers, largest)
            if not cover.close(found):
                break
            if not numbers:
                categorical.append(found)
            yield found
    # Then numbers apart from one another, around a few of these.
    seen = {found.key for found in categorical}
    for base in categorical[:bases]:
        for found in cover.apart(base):
            if found.key not in seen:
                seen.add(found.key)
                yield found
    # What stands under a guard is met by chance, if at all.
    rng = np.random.default_rng(0)
    for address, missing in cover.open.items():
        if missing:
            for found in space.sample(TRIES, rng):
                if address in found and cover.close(found):
                    yield found


def _numeric(options: tuple[Value, ...]) -> bool:
    return all(isinstance(value, int | float) for value in options)


def _options(entry: Entry) -> tuple[Value, ...]:
    """Return the values of a point that count, the largest first, or the default where there is no order."""
    point = entry.point
    if isinstance(point, FloatRange):
        return (point.default,)
    if isinstance(point, IntRange):
        values = point.values()
        if len(values) > MOST_VALUES:
            ends = {0, len(values) - 1}
            ends |= {end for branch in point.branches for end in branch.bounds}
            return tuple(values[place] for place in sorted(ends, reverse=True))
        return tuple(reversed(values))
    if isinstance(point, OneOf):
        if _numeric(point.candidates):
            return tuple(sorted(point.candidates, key=lambda value: -float(value)))  # type: ignore[arg-type]
        return (point.default, *(label for label in point.candidates if label is not point.default))
    assert isinstance(point, ManyOf | Permutation)
    return tuple(_selections(point))


def _selections(point: ManyOf | Permutation) -> Iterator[Value]:
    """Yield selections that hold every candidate at every place, and every number of candidates."""
    values = []
    for value in point.values():
        values.append(value)
        if len(values) == 2048:
            break
    seen: set[object] = set()
    for value in sorted(values, key=len, reverse=True):
        news = {(place, identity(label)) for place, label in enumerate(value)} | {len(value)}
        if not news <= seen:
            seen |= news
            yield value
