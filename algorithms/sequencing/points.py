"""One decision point as a sequence of small choices: states, and the actions that lead from one to the next.

Search trees and policies decide one thing at a time, and want few things to choose among. So a point with
many values is decided by several actions:

    sequence    state                      actions
    choice      ()                         the codes
    halves      (first, end, node)         0 for the lower half of the codes [first, end), 1 for the upper one
    slots       codes chosen so far        the code in the next slot, or `stop`
    counts      (candidate, codes chosen)  how often the candidate is taken
    real        ()                         the value itself, of which there is no end

Halving lets neighbouring values share their first actions (Negrinho and Gordon: DeepArchitect,
arXiv:1704.08792, section 5.2). Selections whose order does not count are taken in rising order, slot by slot
or candidate by candidate. Either way every value of a point has exactly one sequence of actions, and its
probability is the product of theirs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from symnas._typing import Floats, Mask, Reals
from symnas.tree.choices import FloatRange
from symnas.tree.layout import REAL, SINGLE, Entry, scale_bounds
from symnas.tree.sampling import Shares
from symnas.tree.subsets import UNUSED, Subsets

State: TypeAlias = Any
"""What is decided of a point so far; it can be hashed."""

Action: TypeAlias = Any
"""One of the alternatives in a state: a whole number from 0 on, of a real range the value."""

Weights: TypeAlias = Sequence[float] | Shares | None

# Levels of halving on which every interval has parameters of its own in a policy; of those below, each level.
TABLED = 10
# Real values stay so far from the ends of their range, which is scaled to (0, 1).
EDGE = 1e-9
# States whose priors are kept; more are forgotten, and worked out again.
REMEMBERED = 4096


class PointSequence(ABC):
    """How one point is decided.

    Args:
        entry: the point's compiled place.
        weights: its prior, one weight per value or, of a selection, per candidate; None for equal ones.
        start: the first state.
        options: how many different actions there are over all states; 0 for a real range.
        nodes: how many kinds of states a policy tells apart (`node`).
    """

    kind: ClassVar[str]

    def __init__(self, entry: Entry, weights: Weights, start: State, options: int, nodes: int = 1) -> None:
        self.entry = entry
        self.column = entry.column
        self.weights = weights
        self.start = start
        self.options = options
        self.nodes = nodes
        self._actions: dict[State, tuple[tuple[Action, ...], tuple[float, ...]]] = {}
        self._log_priors: dict[State, Floats] = {}

    # ------------------------------------------------------------ what there is to choose

    @abstractmethod
    def decided(self, state: State) -> bool:
        """Tell whether nothing is left to choose."""

    @abstractmethod
    def ways(self, state: State) -> dict[Action, float]:
        """Return the actions in a state and the logarithms of their weights under the prior."""

    def actions(self, state: State) -> tuple[tuple[Action, ...], tuple[float, ...]]:
        """Return the actions in a state and their weights under the prior, up to a common factor."""
        known = self._actions.get(state)
        if known is None:
            ways = self.ways(state)
            # Selections may go on in more ways than a float can hold.
            top = max(ways.values())
            weights = tuple(math.exp(way - top) if way > -math.inf else 0.0 for way in ways.values())
            if len(self._actions) >= REMEMBERED:
                self._actions.clear()
            known = self._actions[state] = tuple(ways), weights
        return known

    def log_prior(self, state: State) -> Floats:
        """Return the logarithms of all actions' weights, (options,), minus infinity where not allowed."""
        # By what matters of a state, not by the state: so few different ones recur in all rows of a batch.
        key = self.summary(state)
        known = self._log_priors.get(key)
        if known is None:
            if len(self._log_priors) >= REMEMBERED:
                self._log_priors.clear()
            ways = self.ways(state)
            known = self._log_priors[key] = np.full(self.options, -np.inf)
            known[list(ways)] = list(ways.values())
        return known

    def left(self, state: State, allowed: Mask) -> Mask:
        """Return which actions, (options,), lead to one of the ranks (values,) that are allowed."""
        del state, allowed
        return np.ones(self.options, bool)

    def summary(self, state: State) -> State:
        """Return all of a state that matters for what may follow."""
        return state

    def node(self, state: State) -> int:
        """Return which of a policy's parameters for the point a state goes by, below `nodes`."""
        del state
        return 0

    # ------------------------------------------------------------ from state to state

    @abstractmethod
    def step(self, state: State, action: Action) -> State:
        """Return the state to which an action leads."""

    def after(self, state: State, action: Action) -> State:
        """Return the state to which an action leads, past all in which there is no alternative."""
        return self.step(state, action)

    @abstractmethod
    def taken(self, state: State, codes: Sequence[int], reals: Sequence[float]) -> Action:
        """Return the action of a decision that came to a state, given its row."""

    @abstractmethod
    def write(self, state: State, codes: Any, reals: Any) -> None:
        """Write the value of a state in which the point is decided into a row."""

    def finish(self, state: State, codes: list[int], reals: list[float], rng: np.random.Generator) -> None:
        """Decide what is left of a point by the prior, and write it."""
        while not self.decided(state):
            state = self.after(state, draw(*self.actions(state), rng))
        self.write(state, codes, reals)


def draw(actions: Sequence[Action], weights: Sequence[float], rng: np.random.Generator) -> Action:
    """Draw one of the actions by weight; evenly where all weigh nothing."""
    total = math.fsum(weights)
    if total <= 0.0:
        return actions[int(rng.random() * len(actions))]
    # By inversion; where rounding leaves something over, the last action of positive weight is it.
    left = rng.random() * total
    chosen = actions[0]
    for action, weight in zip(actions, weights, strict=True):
        if weight > 0.0:
            chosen = action
            left -= weight
            if left < 0.0:
                break
    return chosen


def _log(weight: float) -> float:
    return math.log(weight) if weight > 0 else -math.inf


# -------------------------------------------------------------------- one value


class _Choice(PointSequence):
    """One action among few values; the state after it is the code."""

    kind = "choice"

    def __init__(self, entry: Entry, weights: Weights) -> None:
        super().__init__(entry, weights, (), entry.card)

    def decided(self, state: State) -> bool:
        return bool(state != ())

    def ways(self, state: State) -> dict[Action, float]:  # noqa: ARG002 - there is one
        assert not isinstance(self.weights, Shares)
        return dict(enumerate(map(_log, self.weights or (1.0,) * self.options)))

    def step(self, state: State, action: Action) -> State:  # noqa: ARG002
        return action

    def taken(self, state: State, codes: Sequence[int], reals: Sequence[float]) -> Action:  # noqa: ARG002
        return codes[self.column]

    def write(self, state: State, codes: Any, reals: Any) -> None:  # noqa: ARG002
        codes[self.column] = state


class _Halves(PointSequence):
    """Halving an interval of codes until one is left.

    `node` numbers the intervals as a heap does: 1 for all codes, 2 i and 2 i + 1 for the halves of i. A
    policy has parameters for each of them as long as they are few, one set per level further below.
    """

    kind = "halves"

    def __init__(self, entry: Entry, weights: Weights) -> None:
        # Nodes 1 to 2^L - 1 on the first L = min(levels, TABLED) levels, 0 unused, and one for each level
        # below.
        levels = (entry.card - 1).bit_length()
        nodes = (1 << min(levels, TABLED)) + max(0, levels - TABLED)
        super().__init__(entry, weights, (0, entry.card, 1), 2, nodes)

    def decided(self, state: State) -> bool:
        return bool(state[1] - state[0] == 1)

    def ways(self, state: State) -> dict[Action, float]:
        first, end, _ = state
        middle = (first + end) // 2
        # The prior of a half is the sum over its values, so that the product along the path is that of the
        # value.
        if self.weights is None:
            return {0: math.log(middle - first), 1: math.log(end - middle)}
        if isinstance(self.weights, Shares):
            return {0: self.weights.log_mass(first, middle), 1: self.weights.log_mass(middle, end)}
        return {0: _log(math.fsum(self.weights[first:middle])), 1: _log(math.fsum(self.weights[middle:end]))}

    def left(self, state: State, allowed: Mask) -> Mask:
        first, end, _ = state
        middle = (first + end) // 2
        return np.array([allowed[first:middle].any(), allowed[middle:end].any()])

    def node(self, state: State) -> int:
        # Node numbers on level l have l + 1 bits.
        number: int = state[2]
        level = number.bit_length() - 1
        return number if level < TABLED else (1 << TABLED) + level - TABLED

    def step(self, state: State, action: Action) -> State:
        first, end, node = state
        middle = (first + end) // 2
        return (middle, end, 2 * node + 1) if action else (first, middle, 2 * node)

    def taken(self, state: State, codes: Sequence[int], reals: Sequence[float]) -> Action:  # noqa: ARG002
        return int(codes[self.column] >= (state[0] + state[1]) // 2)

    def write(self, state: State, codes: Any, reals: Any) -> None:  # noqa: ARG002
        codes[self.column] = state[0]


class RealSequence(PointSequence):
    """One action: a value of a real range, of which there is no end. The state after it is the value."""

    kind = "real"

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry, None, (), 0)
        assert isinstance(entry.domain, FloatRange)
        self.domain = entry.domain
        self.low, self.high = scale_bounds(entry.domain)

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a value, uniform on the range's scale."""
        value = self.low + rng.random() * (self.high - self.low)
        value = math.exp(value) if self.domain.log else value
        return min(max(value, self.domain.low), self.domain.high) + 0.0

    def unit(self, values: Reals) -> Floats:
        """Return where in the range real values lie, strictly between 0 and 1."""
        scaled = np.log(values) if self.domain.log else values
        return np.clip((scaled - self.low) / (self.high - self.low), EDGE, 1.0 - EDGE)

    def value(self, units: Floats) -> Reals:
        """Return the real values at places between 0 and 1."""
        values = self.low + units * (self.high - self.low)
        values = np.exp(values) if self.domain.log else values
        return np.clip(values, self.domain.low, self.domain.high) + 0.0

    def decided(self, state: State) -> bool:
        """Tell whether there is a value."""
        return bool(state != ())

    def ways(self, state: State) -> dict[Action, float]:
        """Return nothing: values are drawn, not listed."""
        del state
        return {}

    def step(self, state: State, action: Action) -> State:  # noqa: ARG002 - there is one
        """Return the value."""
        return action

    def taken(self, state: State, codes: Sequence[int], reals: Sequence[float]) -> Action:  # noqa: ARG002
        """Return the value."""
        return reals[self.column]

    def write(self, state: State, codes: Any, reals: Any) -> None:  # noqa: ARG002
        """Write the value."""
        reals[self.column] = state

    def finish(self, state: State, codes: list[int], reals: list[float], rng: np.random.Generator) -> None:
        """Draw the value, where it is left, and write it."""
        self.write(state if self.decided(state) else self.draw(rng), codes, reals)


# -------------------------------------------------------------------- several candidates


class _Selection(PointSequence):
    """What both ways of selecting share."""

    def __init__(self, entry: Entry, weights: Weights, start: State, options: int) -> None:
        super().__init__(entry, weights, start, options, entry.width)
        self.subsets = entry.subsets
        # States in which one action is left are passed by in `after` and here, so that a tree has no such
        # nodes.
        self.start = self._settled(start)

    def after(self, state: State, action: Action) -> State:
        return self._settled(self.step(state, action))

    def _settled(self, state: State) -> State:
        while not self.decided(state) and len(ways := self.ways(state)) == 1:
            state = self.step(state, next(iter(ways)))
        return state

    def _put(self, chosen: Sequence[int], codes: Any) -> None:
        entry = self.entry
        codes[entry.column : entry.column + entry.width] = [*chosen, *[UNUSED] * (entry.width - len(chosen))]


class _Slots(_Selection):
    """One slot after the other; the last of the actions stops, as the last slot does by itself."""

    kind = "slots"

    def __init__(self, entry: Entry, weights: Weights) -> None:
        self.stop = entry.card
        super().__init__(entry, weights, (), entry.card + 1)

    def decided(self, state: State) -> bool:
        return len(state) == self.entry.width or self.stop in state

    def ways(self, state: State) -> dict[Action, float]:
        # Counts may be whole numbers beyond all floats; their logarithms are not.
        # An action's weight is the number of selections it may end in, by which all are equally likely. A
        # prior multiplies this by the candidate's weight, and does not weigh what may follow: selections of
        # several sizes, or without order, then come with other probabilities than `Space.sample` gives them.
        found = {action: math.log(count) for action, count in completions(self.subsets, state).items()}
        if self.weights is not None and not isinstance(self.weights, Shares):
            found |= {code: way + _log(self.weights[code]) for code, way in found.items() if code < self.stop}
        return found

    def left(self, state: State, allowed: Mask) -> Mask:
        found = np.zeros(self.options, bool)
        for rank in np.flatnonzero(allowed).tolist():
            codes = self.subsets.rows[rank]
            if codes[: len(state)] == state:
                found[codes[len(state)] if len(codes) > len(state) else self.stop] = True
        return found

    def node(self, state: State) -> int:
        return len(state)

    def step(self, state: State, action: Action) -> State:
        return (*state, action)

    def taken(self, state: State, codes: Sequence[int], reals: Sequence[float]) -> Action:  # noqa: ARG002
        code = codes[self.column + len(state)]
        return self.stop if code == UNUSED else code

    def write(self, state: State, codes: Any, reals: Any) -> None:  # noqa: ARG002
        self._put([code for code in state if code != self.stop], codes)


def completions(subsets: Subsets, chosen: tuple[int, ...]) -> dict[int, int]:
    """Return how many selections begin with `chosen` and each candidate; under `n`, whether it may end there.

    What leads nowhere is left out. With k places to fill after the next candidate, summed over the sizes that
    are allowed, there are n^k or, without repeats, (m)_k = m (m - 1) … (m - k + 1) ways where order counts, m
    candidates being left. Where it does not, there are C(m, k) for the m candidates after the next one, or
    C(m + k, k) if that one may come again.
    """
    n, length = subsets.n, len(chosen)
    found: dict[int, int] = {}
    # A list that is written out is counted.
    for codes in subsets.only:
        if codes[:length] == chosen:
            code = codes[length] if len(codes) > length else n
            found[code] = found.get(code, 0) + 1
    if subsets.only:
        return found
    rest = [size - length - 1 for size in range(max(subsets.low, length + 1), subsets.high + 1)]
    if subsets.ordered:
        # k = size - length - 1 places are left after the next candidate, for every allowed size.
        m = n if subsets.repeats else n - length - 1
        ways = sum(m**k if subsets.repeats else math.perm(m, k) for k in rest)
        found = {code: ways for code in range(n) if subsets.repeats or code not in chosen}
    else:
        for code in range(chosen[-1] + (not subsets.repeats) if chosen else 0, n):
            m = n - code - 1
            found[code] = sum(math.comb(m + k if subsets.repeats else m, k) for k in rest)
    # Ending here is one selection.
    if subsets.low <= length <= subsets.high:
        found[n] = 1
    return {code: ways for code, ways in found.items() if ways}


class _Counts(_Selection):
    """One candidate after the other, of selections without order: how often each is taken."""

    kind = "counts"

    def __init__(self, entry: Entry, weights: Weights) -> None:
        super().__init__(entry, weights, (0, ()), entry.width + 1)

    def decided(self, state: State) -> bool:
        return bool(state[0] == self.subsets.n)

    def ways(self, state: State) -> dict[Action, float]:
        # How many are to come from this candidate on, and from later ones: with repeats the last candidate
        # must make up what is missing; without, each of the later ones may give one.
        rule, (candidate, chosen) = self.subsets, state
        later, least, most = rule.n - candidate - 1, rule.low - len(chosen), rule.high - len(chosen)
        if rule.repeats:
            times = range(0 if later else max(0, least), most + 1)
        else:
            times = range(max(0, least - later), min(1, most) + 1)
        assert not isinstance(self.weights, Shares)
        weight = 0.0 if self.weights is None else _log(self.weights[candidate])
        # k times this candidate, weighed as in `_Slots`, and the rest among later ones; 0 times log 0 is 0,
        # not NaN.
        return {k: math.log(self._below(later, least - k, most - k)) + (k and k * weight) for k in times}

    def _below(self, left: int, least: int, most: int) -> int:
        """Return how many selections of `least` to `most` there are among the last `left` candidates."""
        # C(left, size) sets, or C(left + size - 1, size) multisets, of `left` candidates.
        if not self.subsets.repeats:
            return sum(math.comb(left, size) for size in range(max(0, least), most + 1))
        return sum(
            math.comb(left + size - 1, size) if left else int(size == 0)
            for size in range(max(0, least), most + 1)
        )

    def step(self, state: State, action: Action) -> State:
        candidate, chosen = state
        return candidate + 1, (*chosen, *[candidate] * action)

    def taken(self, state: State, codes: Sequence[int], reals: Sequence[float]) -> Action:  # noqa: ARG002
        return codes[self.column : self.column + self.entry.width].count(state[0])

    def write(self, state: State, codes: Any, reals: Any) -> None:  # noqa: ARG002
        self._put(state[1], codes)


def sequence_of(entry: Entry, weights: Weights, *, halved: bool, counted: bool) -> PointSequence:
    """Return the sequence that decides a point.

    Args:
        entry: the point's compiled place.
        weights: its prior, as for `PointSequence`.
        halved: whether a single value is found by halving.
        counted: whether selections without order go candidate by candidate, not slot by slot.
    """
    if entry.shape == REAL:
        return RealSequence(entry)
    if entry.shape == SINGLE:
        return (_Halves if halved else _Choice)(entry, weights)
    if counted and not (entry.subsets.ordered or entry.subsets.only):
        return _Counts(entry, weights)
    return _Slots(entry, weights)
