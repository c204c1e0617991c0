"""Decisions as points of a Euclidean space in which distance says how much two trees differ.

Every decision point contributes a block of coordinates, and every block has one weight, which a model learns.
Squared distance is then a weighted sum over points:

- two different candidates are one apart, whichever they are (one-hot coordinates, halved);
- numbers are as far apart as on their scale, logarithms where the range is logarithmic;
- selections differ by what is chosen, ordered ones also by where it stands;
- a point that exists on one side only stands there in the middle of its values, and whether it exists is a
  coordinate of its own, shared by all points that exist under the same condition.

The distance is Euclidean by construction, so any kernel of Euclidean distance is positive semi-definite on
it, which a constant in place of the distance to an absent number would not be. Points with the same
candidates whose names differ in numbers or brackets only (`op[0]`, `op[1]`, …) add a block that counts how
often each candidate is chosen over all of them: much of what makes a network good does not depend on where
in it a candidate stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Floats
from symnas.tree.choices import FloatRange, IntRange, OneOf, label_key
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds

if TYPE_CHECKING:
    from symnas.tree.space import Batch, Space

# Two numbers drawn at random are then about as far apart as two candidates drawn at random, on average.
NUMBERS = 4.0


@dataclass(frozen=True, slots=True)
class Block:
    """Coordinates that share a weight.

    Args:
        name: what the block stands for: an address, or addresses that are counted together.
        kind: "choice", "number", "presence" or "count".
        columns: how many coordinates.
        share: factor on their squared differences.
    """

    name: str
    kind: str
    columns: int
    share: float


class Embedding:
    """The coordinates of decisions of one space, compiled once.

    Args:
        space: the space.
        counts: whether points alike are also counted together.
    """

    def __init__(self, space: Space, counts: bool = True) -> None:
        self.space = space
        self.blocks: list[Block] = []
        self._width = space.compiled.encoder.width
        # Each coordinate is a linear function of the one-hot view; most are one column of it.
        # `_taken` are those that are one column, in the order of their blocks; blocks that mix columns follow
        # behind them: places of values on a scale, and products with `_mix`, (width of the view, mixed).
        self._taken: list[NDArray[np.intp]] = []
        self._mixes: list[Floats] = []
        # (coordinate, its flag's column in the view, -1 where the point always exists) of scaled numbers.
        self._offsets: list[tuple[int, int]] = []
        self._like: dict[object, list[tuple[Entry, int]]] = {}
        self._conditions: dict[object, str] = {}
        # Those behind: a mix, or the first column of a point and the places of its values.
        thin: list[tuple[Block, Floats | tuple[int, Floats]]] = []
        for place in space.compiled.encoder.places:
            thin += self._point(place.entry, place.start, place.width, place.scaled, place.per_slot)
            if place.flagged:
                self._presence(place.entry, place.start + place.width)
        if counts:
            thin += self._counts()
        self.blocks += [block for block, _ in thin]
        self._taken_columns = np.concatenate(self._taken or [np.empty(0, np.intp)])
        self._place([how for _, how in thin])
        self.block_of = np.repeat(np.arange(len(self.blocks)), [block.columns for block in self.blocks])
        self.shares = np.array([block.share for block in self.blocks])[self.block_of]
        self.width = len(self.block_of)

    def __call__(self, batch: Batch) -> Floats:
        """Return the coordinates of decisions, (rows, width)."""
        view = self.space.encode(batch).astype(np.float64, copy=False)
        out = np.empty((len(batch), self.width))
        taken = len(self._taken_columns)
        out[:, :taken] = view[:, self._taken_columns]
        for column, flag in self._offsets:
            # A number u in [0, 1] goes to u - ½; where the flag is 0, so is u, and 0 is the middle.
            out[:, column] -= 0.5 * (view[:, flag] if flag >= 0 else 1.0)
        out[:, self._mixed] = view @ self._mix
        for columns, places, into in self._placed:
            # One value each, (rows, points, values) times (points, values): one term of a sum is not zero.
            marks = view[:, columns].reshape(len(batch), *places.shape)
            out[:, into] = np.einsum("rpv,pv->rp", marks, places)
        return out

    def _place(self, thin: list[Floats | tuple[int, Floats]]) -> None:
        """Note where the blocks behind those of single columns go: mixes, and places by number of values."""
        first = sum(map(len, self._taken))
        mixed: list[tuple[int, Floats]] = []
        by_card: dict[int, list[tuple[int, int, Floats]]] = {}
        for how in thin:
            if isinstance(how, tuple):
                start, places = how
                by_card.setdefault(len(places), []).append((first, start, places))
                first += 1
            else:
                mixed.append((first, how))
                first += how.shape[1]
        self._mixed = np.array([c for at, mix in mixed for c in range(at, at + mix.shape[1])], np.intp)
        self._mix = np.concatenate([np.empty((self._width, 0)), *(mix for _, mix in mixed)], axis=1)
        self._placed = [
            (
                np.array([start + np.arange(card) for _, start, _ in points], np.intp).reshape(-1),
                np.array([places for _, _, places in points]),
                np.array([at for at, _, _ in points], np.intp),
            )
            for card, points in by_card.items()
        ]

    # ------------------------------------------------------------ blocks

    def _point(
        self, entry: Entry, start: int, width: int, scaled: bool, per_slot: bool
    ) -> Iterable[tuple[Block, Floats | tuple[int, Floats]]]:
        if not entry.mutable:
            return
        address = entry.point.address
        if scaled:
            flag = start + width if entry.stage > 0 else -1
            self._offsets.append((sum(map(len, self._taken)), flag))
            self._take(Block(address, "number", 1, NUMBERS), np.array([start]))
            return
        columns = np.arange(start, start + width)
        positions = _positions(entry)
        # One-hot columns differ in two places where candidates do, hence the share of ½; values of a range
        # have a place on the scale only, candidates that are numbers both.
        if entry.shape != SINGLE or not isinstance(entry.domain, IntRange | FloatRange):
            self._take(Block(address, "choice", width, 0.5), columns)
        if entry.shape == SINGLE:
            self._like.setdefault(_likeness(entry), []).append((entry, start))
        if positions is not None:
            # One-hot columns times places on the scale, less ½: the middle, 0, where all columns are 0.
            yield Block(address, "number", 1, NUMBERS), (start, positions - 0.5)
        if per_slot:
            # A coordinate per candidate: 1 in the first of w slots, 1 - s / w in slot s, 0 where not chosen.
            mix = np.zeros((self._width, entry.card))
            for slot in range(entry.width):
                mix[start + slot * entry.card + np.arange(entry.card), np.arange(entry.card)] = 1.0 - (
                    slot / max(entry.width, 1)
                )
            yield Block(address, "number", entry.card, NUMBERS / entry.card), mix

    def _take(self, block: Block, columns: NDArray[np.intp]) -> None:
        self.blocks.append(block)
        self._taken.append(columns)

    def _presence(self, entry: Entry, flag: int) -> None:
        branch = entry.branch
        place = (branch.when, branch.occurrence) if branch else None
        condition = (entry.parent, place, entry.point.guards)
        if condition not in self._conditions:
            self._conditions[condition] = entry.point.address
            self._take(Block(entry.point.address, "presence", 1, 1.0), np.array([flag]))

    def _counts(self) -> Iterable[tuple[Block, Floats]]:
        for members in self._like.values():
            if len(members) < 2:
                continue
            card = members[0][0].card
            # The sum of the members' one-hot columns: a member that does not exist adds nothing.
            mix = np.zeros((self._width, card))
            for _, start in members:
                mix[start + np.arange(card), np.arange(card)] = 1.0
            name = " + ".join(entry.point.address for entry, _ in members)
            yield Block(name, "count", card, 0.5), mix


def _likeness(entry: Entry) -> object:
    """Return what points have in common whose values mean the same in different places."""
    name = re.sub(r"\[[^\]]*\]|\d+", "", entry.point.address)
    return name, entry.domain.kind, tuple(label_key(value) for value in entry.domain.values())


def _positions(entry: Entry) -> Floats | None:
    """Return where a point's values stand on its scale, from 0 to 1; None where they are in no order."""
    domain = entry.domain
    if entry.shape == REAL or entry.card < 2:
        return None
    if isinstance(domain, IntRange | FloatRange):
        low, high = scale_bounds(domain)
        values = np.array(list(domain.values()), np.float64)
        return ((np.log(values) if domain.log else values) - low) / (high - low)
    if isinstance(domain, OneOf) and entry.card > 2:
        # By rank, not by size: widths of 16, 32 and 256 are evenly spaced.
        plain = [label for label in domain.candidates if type(label) in (int, float)]
        if len(plain) == entry.card:
            return np.argsort(np.argsort(np.array(plain, np.float64))) / (entry.card - 1)
    return None
