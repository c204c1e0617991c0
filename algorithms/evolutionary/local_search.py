"""Local search: from neighbour to neighbour, uphill."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from symnas.algorithms.common.without_replacement import WithoutReplacement, keys_of
from symnas.algorithms.evolutionary.variation import mutated
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import hyperparameter, one_of, whole, with_hyperparameters
from symnas.contracts.outcome import Outcome, Status
from symnas.tree.space import Batch

if TYPE_CHECKING:
    from symnas.tree.space import Space

# Mutations from the best decision known to where the next climb starts, with `restart="near"`.
KICK = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A decision with a value, and where it stands.

    Args:
        row: the decision, as a batch of one.
        key: its canonical form.
        value: what it is worth, larger is better.
    """

    row: Batch
    key: Hashable
    value: float


@dataclass(slots=True)
class Climb:
    """Where a climb has got to.

    Args:
        here: the best decision so far.
        around: its neighbours.
        places: the row of every neighbour, by key.
        new: those of them that have not been handed out.
        left: those of them whose value is not known.
    """

    here: Place
    around: Batch
    places: Mapping[Hashable, int]
    new: dict[Hashable, int]
    left: set[Hashable]

    def better(self, known: Mapping[Hashable, float]) -> Place | None:
        """Return the best neighbour whose value is known, if it is better than here; the first of equals."""
        # `max` takes the first of equals, in the order of the points, whatever came in first: the move is a
        # function of what is known.
        values = {key: known.get(key, -math.inf) for key in self.places}
        best = max(values, key=values.__getitem__, default=None)
        if best is None or values[best] <= self.here.value:
            return None
        place = self.places[best]
        return Place(self.around[place : place + 1], best, values[best])


@with_hyperparameters(source="naszilla")
class LocalSearch(Algorithm):
    """Go from a decision to a better neighbour, until none is better; then start again elsewhere.

    Neighbours differ in one point (a range of more than 32 values goes up and down by 1, 2, 4, … of them, a
    real one by halves of its width) and are tried in random order. Nothing comes twice: a neighbour that is
    known already counts with the value it had. A better decision from elsewhere, or from an earlier place
    while several trials run, is moved to as well. While the last neighbours still run, those of the best one
    known so far are tried, or new starts.

    White, Nolen, Savani: Exploring the Loss Landscape in Neural Architecture Search, UAI 2021
    (arXiv:2005.02960); reference implementation github.com/naszilla/naszilla. Where the two differ, the
    defaults are the code's: the best of 10 random decisions is where a climb starts, and the first better
    neighbour is where it goes on. The paper's theory is about `move="best"` and `starts=1`.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    move: Literal["first", "best"] = hyperparameter(
        "first",
        one_of("first", "best"),
        '"first" goes to the first better neighbour, "best" tries all and goes to the best, the earlier of '
        "equals",
    )
    starts: int = hyperparameter(
        10, whole(1), "how many random decisions are tried before a climb, which starts from the best"
    )
    start: Literal["random", "default"] = hyperparameter(
        "random",
        one_of("random", "default"),
        '"default" makes the first climb start from the space\'s default instead',
    )
    restart: Literal["random", "near"] = hyperparameter(
        "random",
        one_of("random", "near"),
        '"near" makes later climbs start three mutations away from the best decision known (iterated local '
        "search, Lourenço, Martin, Stützle 2003)",
    )
    limit: int = hyperparameter(
        1000,
        whole(1),
        "how many neighbours of a decision are tried at most; out of more, that many are drawn",
        source="",
    )

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._sampling = WithoutReplacement(space)
        self._known: dict[Hashable, float] = {}
        self._best: Place | None = None
        self._climb: Climb | None = None
        self._climbs = 0
        self._begin()

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return neighbours that are new, and beyond these what may come next."""
        climb, parts = self._climb, []
        if climb is not None and climb.new:
            parts.append(_some(climb.around, climb.new, n, rng))
            n -= len(parts[0])
        # The last neighbours run, and a worker is free: the best neighbour so far is likely where the climb
        # goes on.
        if climb is not None and n and self.move == "best" and (better := climb.better(self._known)):
            ahead = self._surround(better)
            new = {key: row for key, row in ahead.new.items() if key not in climb.places}
            if new:
                parts.append(_some(ahead.around, new, n, rng))
                n -= len(parts[-1])
        if n:
            parts.append(self._anew(n, rng, {key for part in parts for key in keys_of(part)}))
        return parts[0] if len(parts) == 1 else Batch.concat(parts)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Learn values, and move where they say."""
        self._sampling.add(batch)
        for row, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            # Handed out, or known from elsewhere: in both cases not to be tried again.
            if self._climb is not None:
                self._climb.new.pop(key, None)
            if outcome.status is Status.RUNNING:
                continue
            value = -math.inf if outcome.values is None else outcome.values[0]
            value = -math.inf if math.isnan(value) else value
            self._known[key] = value
            place = Place(batch[row : row + 1], key, value)
            if value > (-math.inf if self._best is None else self._best.value):
                self._best = place
            self._step(place)

    # ------------------------------------------------------------ where the climb goes

    def _begin(self) -> None:
        self._climb = None
        self._tried = 0
        self._start: Place | None = None

    def _step(self, place: Place) -> None:
        climb = self._climb
        # Without a climb, whatever ends is a start; from elsewhere, too.
        if climb is None:
            self._try(place)
            return
        climb.left.discard(place.key)
        # Uphill at once, except that with "best" a neighbour waits for the others.
        nearby = place.key in climb.places
        if place.value > climb.here.value and (self.move == "first" or not nearby):
            self._arrive(place)
        elif not climb.left:
            self._decide(climb)

    def _try(self, place: Place) -> None:
        # What failed is no start, and does not count as one that was tried.
        if place.value == -math.inf:
            return
        self._tried += 1
        if self._start is None or place.value > self._start.value:
            self._start = place
        if self._tried >= self._wanted:
            self._climbs += 1
            self._arrive(self._start)

    @property
    def _wanted(self) -> int:
        alone = self.restart == "near" if self._climbs else self.start == "default"
        return 1 if alone else self.starts

    def _arrive(self, place: Place) -> None:
        climb = self._climb = self._surround(place)
        if self.move == "first" or not climb.left:
            self._decide(climb)

    def _decide(self, climb: Climb) -> None:
        """Go on to the best neighbour known, or start again where all are known and none is better."""
        better: Place | None
        # Naszilla's code goes by new values only. Here known ones count, too, so that a climb may run over
        # decisions that were tried before without a trial, and ends: values rise strictly.
        while better := climb.better(self._known):
            climb = self._climb = self._surround(better)
            if self.move == "best" and climb.left:
                return
        # A local optimum: all neighbours are known, and none is better.
        if not climb.left:
            self._begin()

    def _surround(self, place: Place) -> Climb:
        near = self._space.compiled.neighbourhood.near
        around = Batch(self._space, *near(place.row.codes, place.row.reals, self.limit))
        places = {key: row for row, key in enumerate(keys_of(around))}
        # `new` is not handed out, `left` has no value yet: what runs is in the second only.
        new = {key: row for key, row in places.items() if key in self._sampling}
        return Climb(place, around, places, new, {key for key in places if key not in self._known})

    # ------------------------------------------------------------ where climbs start

    def _anew(self, n: int, rng: np.random.Generator, taken: set[Hashable]) -> Batch:
        if self.restart == "near" and self._best is not None and self._climbs:
            rows = self._best.row[np.zeros(n, np.intp)]
            kicked = mutated(self._space, rows, np.full(n, KICK), rng)
            return self._sampling.renew(kicked, rng, taken)
        if self.start == "default" and not self._climbs:
            first = self._sampling.among(self._space.batch([self._space.default]), taken)
            if len(first) == n:
                return first
            if len(first):
                return Batch.concat([first, self._sampling.draw(n - 1, rng, taken)])
        return self._sampling.draw(n, rng, taken)


def _some(around: Batch, new: Mapping[Hashable, int], n: int, rng: np.random.Generator) -> Batch:
    rows = np.fromiter(new.values(), np.intp, len(new))
    if n == 1:
        return around[rows[[rng.integers(len(rows))]]]
    return around[rng.permutation(rows)[:n]]
