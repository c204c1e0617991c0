"""Policies over a space that a policy gradient trains: what they share, and the factorised one.

A policy draws decisions, says how likely given ones are, and changes its parameters so that some become
more likely and others less. It knows nothing of rewards, baselines or trials, so that a search in which every
decision is trained by itself and one in which all share their weights can use the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from symnas._typing import Array, Ints, Reals
from symnas.algorithms.sequencing.batches import BatchSequencer, Query, decide
from symnas.algorithms.sequencing.points import EDGE, PointSequence
from symnas.tree.layout import REAL, SLOTS
from symnas.tree.space import Batch
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.tree.space import Space

NOTHING: frozenset[int] = frozenset()
# Bounds of the log-scale of a real range's logistic. At 0 and mean 0 draws are uniform; above it they gather
# at the ends, and at -5 nearly in a point.
SCALES = (-5.0, 1.0)
LARGEST = 1e12


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) on numpy arrays that it changes in place.

    Args:
        lr: learning rate.
        beta1: decay of the mean of gradients; 0 in ENAS.
        beta2: decay of the mean of their squares.
        epsilon: added to the root of that; 1e-3 in ENAS.
    """

    lr: float = 0.0035
    beta1: float = 0.0
    beta2: float = 0.999
    epsilon: float = 1e-3

    def start(self, parameters: list[Array]) -> Moments:
        """Return the state before the first step."""
        return Moments([np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters])

    def ascend(self, parameters: list[Array], gradients: list[Array], moments: Moments) -> None:
        """Take one step up the gradients."""
        moments.steps += 1
        # θ <- θ + lr m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + ε): algorithm 1 of the paper, upwards.
        first, second = 1.0 - self.beta1**moments.steps, 1.0 - self.beta2**moments.steps
        for parameter, gradient, mean, square in zip(
            parameters, gradients, moments.mean, moments.square, strict=True
        ):
            mean *= self.beta1
            mean += (1.0 - self.beta1) * gradient
            square *= self.beta2
            square += (1.0 - self.beta2) * gradient * gradient
            parameter += self.lr / first * mean / (np.sqrt(square / second) + self.epsilon)


@dataclass(slots=True)
class Moments:
    """What Adam remembers: running means of gradients and of their squares, and the number of steps."""

    mean: list[Array]
    square: list[Array]
    steps: int = 0


class TrainablePolicy(ABC):
    """A trainable distribution over the decisions of a space.

    In all methods `kept` and `free` ask for the conditional distribution of a change: points outside `free`
    that exist in a row of `kept` stay as they are there, and only the others are drawn or counted.

    Args:
        space: the space of the decisions.
        temperature: divides logits; above 1 draws are more even.
        tanh_constant: if given, logits are this times the hyperbolic tangent, which bounds them.
        adam: how parameters are changed.
    """

    def __init__(
        self, space: Space, *, temperature: float = 1.0, tanh_constant: float | None = None, adam: Adam
    ) -> None:
        self.space = space
        self.sequencer = BatchSequencer(space)
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        self.adam = adam

    @abstractmethod
    def sample(
        self, n: int, rng: np.random.Generator, kept: Batch | None = None, free: frozenset[int] = NOTHING
    ) -> Batch:
        """Draw decisions; neither the policy nor any global generator changes.

        Args:
            n: how many.
            rng: the only source of randomness.
            kept: (n rows) decisions to stay close to.
            free: numbers of the points that may differ from `kept`.
        """

    @abstractmethod
    def log_prob(self, batch: Batch, kept: Batch | None = None, free: frozenset[int] = NOTHING) -> Any:
        """Return the exact logarithm of each decision's probability, (rows,).

        A real range counts by its density over the unit interval that the range is scaled to. The LSTM
        policy returns a tensor that carries gradients, the factorised one an array.
        """

    @abstractmethod
    def entropy(self, batch: Batch, kept: Batch | None = None, free: frozenset[int] = NOTHING) -> Reals:
        """Return the summed entropies of the actions along each decision, (rows,), in nats.

        Its mean over decisions that the policy draws is the entropy of the policy. A real range
        counts with the entropy of its logistic distribution, less that of the standard one.
        """

    @abstractmethod
    def reinforce(
        self,
        batch: Batch,
        weights: Reals,
        kept: Batch | None = None,
        free: frozenset[int] = NOTHING,
    ) -> None:
        """Take one step of Adam up the gradient of the mean of weight times log-probability.

        Args:
            batch: decisions, drawn by this policy or not.
            weights: (rows,) advantages; a negative one makes its decision less likely.
            kept: as in `sample`.
            free: as in `sample`.
        """

    def squash(self, logits: Any, tanh: Any = np.tanh) -> Any:
        """Divide by the temperature, then bound, as in ENAS."""
        scaled = logits / self.temperature
        return scaled if self.tanh_constant is None else self.tanh_constant * tanh(scaled)


# -------------------------------------------------------------------- draws shared by all policies


def bounded(weights: Reals) -> Reals:
    """Return advantages of a size whose squares every kind of float can hold."""
    return np.clip(np.asarray(weights, np.float64), -LARGEST, LARGEST)


def draw_rows(logits: Reals, rng: np.random.Generator) -> Ints:
    """Draw an option per row in proportion to the exponentials of its logits."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    running = np.cumsum(shares, axis=1)
    # By inversion, on shares that need not add up to 1: (rows, options).
    u = rng.random(len(logits)) * running[:, -1]
    # `argmax` of the first strict excess never falls on an option without a share.
    found: Ints = (running > u[:, None]).argmax(axis=1)
    return found


def log_softmax(logits: Reals) -> Reals:
    """Return normalised log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Reals = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def row_entropy(logp: Reals) -> Reals:
    """Return the entropy of each row of log-probabilities, what is impossible counting nothing."""
    finite = np.where(np.isneginf(logp), 0.0, logp)
    result: Reals = -(np.exp(logp) * finite).sum(axis=-1)
    return result


def logistic_units(mean: Reals, scale: Reals, rng: np.random.Generator) -> Reals:
    """Draw numbers in (0, 1): a logistic variable through the sigmoid; mean 0 and log-scale 0 are uniform."""
    # By inversion: log v - log(1 - v) is standard logistic where v is uniform.
    v = np.clip(rng.random(len(mean)), EDGE, 1.0 - EDGE)
    y = mean + np.exp(np.clip(scale, *SCALES)) * (np.log(v) - np.log1p(-v))
    units: Reals = 1.0 / (1.0 + np.exp(-np.clip(y, -700.0, 700.0)))
    return np.clip(units, EDGE, 1.0 - EDGE)


def logistic_log_density(units: Reals, mean: Reals, scale: Reals) -> tuple[Reals, Reals, Reals]:
    """Return log-densities of numbers in (0, 1), and their derivatives by mean and log-scale."""
    held = np.clip(scale, *SCALES)
    # With y = logit u logistic of mean m and scale s, and t = (y - m) / s:
    # log p(u) = -t - log s - 2 log(1 + e^-t) - log u - log(1 - u), whose derivatives are tanh(t / 2) / s by m
    # and t tanh(t / 2) - 1 by log s.
    t = (np.log(units) - np.log1p(-units) - mean) / np.exp(held)
    density = -t - held - 2.0 * np.logaddexp(0.0, -t) - np.log(units) - np.log1p(-units)
    slope = np.tanh(t / 2.0)
    return density, slope / np.exp(held), np.where(held == scale, t * slope - 1.0, 0.0)


# -------------------------------------------------------------------- one distribution per point


class FactorisedPolicy(TrainablePolicy):
    """Independent logits for every point, action and candidate, all zero at first.

    So it starts as the space itself draws (but for selections with weights), and decides every point without
    regard to the others, as the policy of TuNAS does (Bender et al. 2020, arXiv:2008.06120). A real range has
    a logistic distribution squashed into the range, uniform at first. Needs numpy only.
    """

    def __init__(
        self, space: Space, *, temperature: float = 1.0, tanh_constant: float | None = None, adam: Adam
    ) -> None:
        super().__init__(space, temperature=temperature, tanh_constant=tanh_constant, adam=adam)
        points = self.sequencer.points.values()
        # Of every point a table (nodes, options) of logits; of a real range mean and log-scale.
        sizes = [point.nodes * (point.options or 2) for point in points]
        starts = np.cumsum([0, *sizes])
        self.parameters = [np.zeros(int(starts[-1]))]
        self.moments = adam.start(self.parameters)
        self.starts = {p.entry.number: int(start) for p, start in zip(points, starts, strict=False)}
        listed: dict[int, list[PointSequence]] = {}
        for point in points:
            if point.kind == "choice":
                listed.setdefault(point.options, []).append(point)
        self.listed = [_Listed(self, group) for group in listed.values()]
        self.other = [point for point in points if point.kind != "choice"]

    def sample(
        self, n: int, rng: np.random.Generator, kept: Batch | None = None, free: frozenset[int] = NOTHING
    ) -> Batch:
        """Draw decisions, every point by itself, or, under clauses, by what those before it leave."""
        if self.space.compiled.admission is not None:
            return self.sequencer.run(n, _Sampler(self, rng), None, kept, free)
        layout = self.space.compiled.layout
        # Points of a single value keep the zero; no draw depends on what exists, so that comes last.
        codes = np.zeros((layout.columns, n), layout.dtype)
        reals = np.zeros((layout.reals, n))
        for entry in layout.own:
            if not entry.mutable and entry.shape == SLOTS:
                codes[list(entry.columns)] = entry.subsets.table[0][:, None]
        for group in self.listed:
            codes[group.columns] = group.draw(n, rng)
        everyone, sampler = np.arange(n), _Sampler(self, rng)
        for point in self.other:
            decide(point, codes, reals, everyone, sampler, None)
        # Points are independent, so that a draw under the condition of what stays is a draw with that put
        # back.
        if kept is not None:
            _keep(kept, free, codes, reals)
        self.space.compiled.activity.mask(codes, reals)
        return Batch(self.space, np.ascontiguousarray(codes.T), np.ascontiguousarray(reals.T))

    def log_prob(self, batch: Batch, kept: Batch | None = None, free: frozenset[int] = NOTHING) -> Reals:
        """Return the exact logarithm of each decision's probability, (rows,)."""
        scorer = _Scorer(self, len(batch))
        self._follow(batch, scorer, kept, free)
        return scorer.log_prob

    def entropy(self, batch: Batch, kept: Batch | None = None, free: frozenset[int] = NOTHING) -> Reals:
        """Return the summed entropies of the actions along each decision, (rows,), in nats."""
        scorer = _Scorer(self, len(batch))
        self._follow(batch, scorer, kept, free)
        return scorer.entropy

    def gradient(
        self, batch: Batch, weights: Reals, kept: Batch | None = None, free: frozenset[int] = NOTHING
    ) -> Reals:
        """Return the gradient of the mean of weight times log-probability, by all parameters in a row."""
        scorer = _Scorer(self, len(batch), bounded(weights) / max(len(batch), 1))
        self._follow(batch, scorer, kept, free)
        return scorer.gradient

    def reinforce(
        self,
        batch: Batch,
        weights: Reals,
        kept: Batch | None = None,
        free: frozenset[int] = NOTHING,
    ) -> None:
        """Take one step of Adam up the gradient of the mean of weight times log-probability."""
        self.adam.ascend(self.parameters, [self.gradient(batch, weights, kept, free)], self.moments)
        for group in self.listed:
            group.refresh()

    def _follow(self, batch: Batch, scorer: _Scorer, kept: Batch | None, free: frozenset[int]) -> None:
        if self.space.compiled.admission is not None:
            self.sequencer.run(len(batch), scorer, batch, kept, free)
            return
        for group in self.listed:
            scorer.add_listed(group, group.moved(batch, kept, free))
        codes, reals = np.empty_like(batch.codes.T, order="C"), np.empty_like(batch.reals.T, order="C")
        for point in self.other:
            held = _held(point, batch)
            if kept is not None and point.entry.number not in free:
                held &= ~_held(point, kept)
            rows = np.flatnonzero(held)
            if len(rows):
                decide(point, codes, reals, rows, scorer, batch)

    def table(self, point: PointSequence, nodes: Ints) -> Ints:
        """Return the places of the parameters of some actions of a point, (actions, options)."""
        size = point.options or 2
        places: Ints = self.starts[point.entry.number] + nodes[:, None] * size + np.arange(size)
        return places


class _Listed:
    """Points that are one choice among equally many candidates, handled together."""

    def __init__(self, policy: FactorisedPolicy, points: list[PointSequence]) -> None:
        self.policy = policy
        self.numbers = np.array([point.entry.number for point in points], np.intp)
        self.columns = np.array([point.column for point in points], np.intp)
        self.log_prior = np.stack([point.log_prior(point.start) for point in points])
        zero = np.zeros(1, np.intp)
        self.places = np.concatenate([policy.table(point, zero) for point in points])
        self.refresh()

    def refresh(self) -> None:
        """Compute the probabilities, (points, candidates), after parameters changed."""
        logits = self.policy.squash(self.policy.parameters[0][self.places])
        self.logp = log_softmax(logits + self.log_prior)
        self.shares = np.exp(self.logp)
        self.running = np.cumsum(self.shares, axis=1)
        self.entropies = row_entropy(self.logp)

    def draw(self, n: int, rng: np.random.Generator) -> Ints:
        """Draw codes, (points, rows)."""
        u = rng.random((len(self.columns), n)) * self.running[:, -1:]
        found: Ints = (self.running[:, None, :] > u[:, :, None]).argmax(axis=2)
        return found

    def moved(self, batch: Batch, kept: Batch | None, free: frozenset[int]) -> Ints:
        """Return the codes that were decided, (rows, points), -1 where there was nothing to decide."""
        codes = batch.codes[:, self.columns].astype(np.intp)
        if kept is not None:
            stays = np.array([number not in free for number in self.numbers.tolist()])
            codes[stays & (kept.codes[:, self.columns] != INACTIVE)] = INACTIVE
        return codes


class _Sampler:
    """Draws actions of points that are not a listed choice."""

    def __init__(self, policy: FactorisedPolicy, rng: np.random.Generator) -> None:
        self.policy = policy
        self.rng = rng

    def pick(self, query: Query) -> Ints:
        """Draw one option per row."""
        places = self.policy.table(query.point, query.nodes)
        logits = self.policy.squash(self.policy.parameters[0][places]) + query.log_prior
        return draw_rows(logits, self.rng)

    def place(self, query: Query) -> Reals:
        """Draw one number per row."""
        mean, scale = self.policy.parameters[0][self.policy.table(query.point, query.nodes).T]
        return logistic_units(mean, scale, self.rng)


class _Scorer:
    """Follows decisions and sums log-probabilities, entropies and, given weights, the gradient."""

    def __init__(self, policy: FactorisedPolicy, rows: int, weights: Reals | None = None) -> None:
        self.policy = policy
        self.weights = np.zeros(rows) if weights is None else weights
        self.log_prob = np.zeros(rows)
        self.entropy = np.zeros(rows)
        self.gradient = np.zeros_like(policy.parameters[0])

    def add_listed(self, group: _Listed, codes: Ints) -> None:
        """Take in the choices (rows, points) of listed points."""
        held = codes >= 0
        found = group.logp[np.arange(len(group.columns)), np.maximum(codes, 0)]
        self.log_prob += np.where(held, found, 0.0).sum(axis=1)
        self.entropy += held @ group.entropies
        # sum over rows of w ([a = j] - p_j), (points, candidates): the second term at once, then the first.
        score = (self.weights @ held)[:, None] * -group.shares
        rows, points = np.nonzero(held)
        np.add.at(score, (points, codes[rows, points]), self.weights[rows])
        self.gradient[group.places] += score * self._slope(self.policy.parameters[0][group.places])

    def pick(self, query: Query) -> Ints:
        """Take in one action of a point."""
        rows, taken = query.rows, query.taken
        places = self.policy.table(query.point, query.nodes)
        theta = self.policy.parameters[0][places]
        logp = log_softmax(self.policy.squash(theta) + query.log_prior)
        each = np.arange(len(rows))
        self.log_prob[rows] += logp[each, taken]
        self.entropy[rows] += row_entropy(logp)
        # d log p(a) / d logit(j) = [a = j] - p(j), times what `squash` does to a logit.
        score = -np.exp(logp)
        score[each, taken] += 1.0
        np.add.at(self.gradient, places, self.weights[rows, None] * score * self._slope(theta))
        return taken

    def place(self, query: Query) -> Reals:
        """Take in the value of a real range."""
        rows = query.rows
        places = self.policy.table(query.point, query.nodes).T
        mean, scale = self.policy.parameters[0][places]
        density, by_mean, by_scale = logistic_log_density(query.units, mean, scale)
        self.log_prob[rows] += density
        # A logistic variable of scale s has the entropy log s + 2; the 2, that of the standard one, is left
        # out.
        self.entropy[rows] += np.clip(scale, *SCALES)
        np.add.at(self.gradient, places, self.weights[rows] * np.stack([by_mean, by_scale]))
        return query.units

    def _slope(self, theta: Reals) -> Reals:
        """Return the derivative of the logits by the parameters."""
        one = np.full_like(theta, 1.0 / self.policy.temperature)
        if self.policy.tanh_constant is None:
            return one
        # d (c tanh(θ / T)) / dθ = c (1 - tanh²(θ / T)) / T.
        bent = np.tanh(theta / self.policy.temperature)
        slope: Reals = self.policy.tanh_constant * (1.0 - bent * bent) * one
        return slope


def _held(point: PointSequence, batch: Batch) -> NDArray[np.bool_]:
    column = point.column
    if point.entry.shape == REAL:
        return ~np.isnan(batch.reals[:, column])
    held: NDArray[np.bool_] = batch.codes[:, column] != INACTIVE
    return held


def _keep(kept: Batch, free: frozenset[int], codes: NDArray[np.signedinteger], reals: Reals) -> None:
    """Put the values of the points that stay in place of the draws, where they existed."""
    owners, real_owners = kept.space.compiled.layout.owners
    stays = np.array([owner not in free for owner in owners.tolist()], bool)[:, None]
    np.copyto(codes, kept.codes.T, where=stays & (kept.codes.T != INACTIVE))
    stays = np.array([owner not in free for owner in real_owners.tolist()], bool)[:, None]
    np.copyto(reals, kept.reals.T, where=stays & ~np.isnan(kept.reals.T))
