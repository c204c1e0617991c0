"""Choosing among the children of a node: upper confidence bounds, sharing, progressive widening."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from symnas.algorithms.sequencing.points import Action, PointSequence, RealSequence, draw
from symnas.algorithms.tree_search.search_tree import Node

# Attempts at a real value that has no child yet; a range may hold hardly more floats than were tried.
TRIES = 16


class Shared:
    """Means of actions over all nodes in which they were open: statistics of partial decisions.

    In a tree with one order every prefix has one path, so that transpositions proper do not arise; what
    does recur under many prefixes is the same action of the same point. These means are what Gelly and Silver
    share between nodes (all moves as first, ICML 2007).
    """

    def __init__(self) -> None:
        # (place, state, action) -> [visits, sum of rewards].
        self._known: dict[Hashable, list[float]] = {}

    def add(self, steps: Iterable[Hashable], reward: float) -> None:
        """Count a decision's steps."""
        for step in steps:
            seen = self._known.get(step)
            if seen is None:
                self._known[step] = [1.0, reward]
            else:
                seen[0] += 1.0
                seen[1] += reward

    def get(self, step: Hashable) -> list[float] | None:
        """Return how often an action came, and the sum of its rewards."""
        return self._known.get(step)


@dataclass(frozen=True, slots=True)
class Uct:
    """The bound by which children are compared: mean + exploration * sqrt(2 ln N / n).

    Args:
        exploration: factor of the second term; rewards are about one apart.
        virtual_loss: how many visits without reward a trial under way counts for.
        widening: factor of progressive widening, of roll-outs at random: a node over a real range with N
            visits has at most ceil(widening * N ** power) children, unless all are exhausted.
        power: its exponent.
        equivalence: visits k at which a node's own mean and the shared one weigh alike.
        trust: weight of what a surrogate promises against a node's mean.
    """

    exploration: float
    virtual_loss: float
    widening: float
    power: float
    equivalence: float
    trust: float

    def visits(self, node: Node) -> float:
        """Return a node's visits, those under way included."""
        return node.visits + self.virtual_loss * node.running

    def bound(self, mean: float, above: float, visits: float) -> float:
        """Return the upper confidence bound of a child."""
        # Kocsis and Szepesvári's c(t, s) = 2 C_p sqrt(ln t / s) at C_p = 1/√2,
        # which suits rewards in [0, 1], times `exploration`. Trials under way may
        # count for less than a visit, whose logarithm would be negative.
        return mean + self.exploration * math.sqrt(2.0 * math.log(max(above, 1.0)) / visits)

    def mean(self, node: Node, action: Action, child: Node, visits: float, shared: Shared | None) -> float:
        """Return a child's mean reward, mixed with what its action got elsewhere."""
        # `visits` includes those under way, which have no reward: a virtual loss lowers the mean, too.
        mean = child.total / visits
        if shared is None:
            return mean
        seen = shared.get((node.place, node.state, action))
        if seen is None:
            return mean
        # Gelly and Silver's weight of the shared mean, β = sqrt(k / (3 n + k)):
        # 1 before any visit, ½ at n = k. Their mean is over what came through
        # the node, this one over all nodes in which the action was open.
        beta = math.sqrt(self.equivalence / (3.0 * visits + self.equivalence))
        return (1.0 - beta) * mean + beta * seen[1] / seen[0]

    def admits(self, node: Node) -> bool:
        """Tell whether progressive widening allows a node over a real range another child."""
        # Couëtoux and others 2011: a child more where ceil(k N^a) has grown past their number. Without it
        # every visit would try a new value, and none would ever be visited twice.
        limit = math.ceil(self.widening * max(self.visits(node), 1.0) ** self.power)
        return len(node.children) < limit or all(child.exhausted for child in node.children.values())

    # ------------------------------------------------------------ roll-outs at random

    def choose(
        self, node: Node, point: PointSequence, rng: np.random.Generator, shared: Shared | None
    ) -> tuple[Action, Node | None]:
        """Return the action of the largest bound, and the child it leads to; None where it is new.

        Without shared statistics a new action comes before all known ones, drawn by the prior. With them it
        competes with its mean elsewhere, as if it had been visited once. Actions of prior zero come last.
        """
        if isinstance(point, RealSequence):
            if self.admits(node):
                return _fresh_value(node, point, rng), None
            new: list[tuple[Action, float]] = []
        else:
            new = self._new(node, point)
        # UCB1 plays every arm once before any twice: the bound of n = 0 is infinite.
        if new and shared is None:
            return draw([action for action, _ in new], [weight for _, weight in new], rng), None
        above = self.visits(node)
        best: tuple[float, Action, Node | None] | None = None
        for action, child in node.children.items():
            if child.exhausted:
                continue
            visits = self.visits(child)
            bound = self.bound(self.mean(node, action, child, visits, shared), above, visits)
            if best is None or bound > best[0]:
                best = bound, action, child
        if new and shared is not None:
            bound, action = self._best_new(node, new, above, shared, rng)
            if best is None or bound > best[0]:
                return action, None
        assert best is not None, "a node that is not exhausted has an action left"
        return best[1], best[2]

    @staticmethod
    def _new(node: Node, point: PointSequence) -> list[tuple[Action, float]]:
        """Return the actions without a child and their prior weights, those of weight zero only in need."""
        children = node.children
        pairs = zip(*point.actions(node.state), strict=True)
        new = [(action, weight) for action, weight in pairs if action not in children]
        some = [pair for pair in new if pair[1] > 0.0]
        return some or ([] if any(not child.exhausted for child in children.values()) else new)

    def _best_new(
        self,
        node: Node,
        new: list[tuple[Action, float]],
        above: float,
        shared: Shared,
        rng: np.random.Generator,
    ) -> tuple[float, Action]:
        # The mean elsewhere, drawn towards this node's own by one visit's worth of it: a single lucky reward
        # under another prefix should not decide.
        usual = node.total / max(above, 1.0)
        bounds = []
        for action, _ in new:
            seen = shared.get((node.place, node.state, action))
            # An action that came nowhere yet is tried first, as without sharing.
            mean = math.inf if seen is None else (seen[1] + usual) / (seen[0] + 1.0)
            bounds.append(self.bound(mean, above, 1.0))
        top = max(bounds)
        equal = [pair for pair, bound in zip(new, bounds, strict=True) if bound == top]
        return top, draw([action for action, _ in equal], [weight for _, weight in equal], rng)

    # ------------------------------------------------------------ roll-outs through a surrogate

    def choose_among(
        self, node: Node, promises: Mapping[Action, float], shared: Shared | None
    ) -> tuple[Action, Node | None]:
        """Return the action of the largest bound, and the child it leads to; None where it is new.

        Args:
            node: where the roll-outs came to.
            promises: of each action that a roll-out takes, what the surrogate promises of the best that does,
                falling.
            shared: statistics of actions over all nodes.
        """
        # The mean in the bound is trust · promise + (1 - trust) · mean reward: with a
        # trust of 1, visits count in the exploring term only. No prior enters, for the
        # roll-outs were drawn by it. A new action has a promise only.
        above = self.visits(node)
        best: tuple[float, Action, Node | None] = -math.inf, None, None
        for action, child in node.children.items():
            if action not in promises:
                continue
            visits = self.visits(child)
            own = self.mean(node, action, child, visits, shared)
            bound = self.bound(self.trust * promises[action] + (1.0 - self.trust) * own, above, visits)
            if bound > best[0]:
                best = bound, action, child
        # Every new action has been visited as often, so that the first one promises most.
        new = [action for action in promises if action not in node.children]
        if new and self.bound(promises[new[0]], above, 1.0) > best[0]:
            return new[0], None
        return best[1], best[2]


def _fresh_value(node: Node, point: RealSequence, rng: np.random.Generator) -> Action:
    # A value that has a child leads down to that child, not to a new decision.
    value = point.draw(rng)
    for _ in range(TRIES):
        if value not in node.children:
            break
        value = point.draw(rng)
    return value
