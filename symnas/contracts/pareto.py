"""Comparing results with several objectives: fronts, ranks, crowding, and the volume that a set dominates.

Values are oriented everywhere: larger is better. They are numbers that can be compared, so not NaN. With n
points of m objectives, a table is (n, m). Point a *dominates* point b where

    a_k >= b_k in every objective k, and a_k > b_k in at least one.

That is a partial order; a *front* is the set of its maximal elements.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Table = NDArray[np.float64]


def pareto_front(values: Sequence[Sequence[float]]) -> list[int]:
    """Return the positions of the points that no other point dominates (larger is better), in order.

    Of equal points, the first stays.

    Args:
        values: (points, objectives).
    """
    if not values:
        return []
    table = np.asarray(values, dtype=float)
    # Sorted by the first objective, then by the second, and so on, best first (`lexsort` takes its last key
    # first), a point can only be dominated by one before it: what comes later is worse in the first objective
    # in which they differ. And what is dominated at all is dominated by a member of the front, since
    # domination is transitive. So a point is compared with the front so far, (front, m), and not with all.
    order = np.lexsort((np.arange(len(table)), *(-column for column in table.T[::-1])))
    front: list[int] = []
    for position in order:
        held = table[front]
        # ">= in every objective" is domination or equality; of equal points, the one before it stays.
        if not len(front) or not (held >= table[position]).all(axis=1).any():
            front.append(int(position))
    return sorted(front)


def dominance(values: ArrayLike) -> NDArray[np.bool_]:
    """Return which points dominate which: at least as good in every objective, and better in one.

    Args:
        values: (points, objectives).

    Returns:
        (points, points); true where the point of the row dominates the point of the column.
    """
    table = np.asarray(values, dtype=float)
    # a reaches b where a_k >= b_k for all k; a dominates b where a reaches b and b does not reach a, for they
    # reach each other exactly where they are equal. One objective at a time takes (n, n) and not (n, n, m).
    reaches = np.ones((len(table), len(table)), dtype=bool)
    for column in table.T:
        reaches &= column[:, None] >= column[None, :]
    return reaches & ~reaches.T


def ranks(values: ArrayLike) -> NDArray[np.intp]:
    """Return the front that each point belongs to: 0 where nothing dominates it, then what these leave.

    Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE
    Transactions on Evolutionary Computation 2002, section III.A. Takes the square of the points in memory.

    Args:
        values: (points, objectives).
    """
    beats = dominance(values)
    # Fast non-dominated sorting: each point counts who dominates it; those with nobody left are a front, and
    # once they are taken away, what they dominate counts less. n^2 m comparisons, and n^2 subtractions.
    above = beats.sum(axis=0)
    found = np.full(len(beats), -1, dtype=np.intp)
    rank = 0
    while (front := np.flatnonzero((above == 0) & (found < 0))).size:
        found[front] = rank
        above -= beats[front].sum(axis=0)
        rank += 1
    return found


def crowding(values: ArrayLike) -> Table:
    """Return how much room each point of one front has: the sides of the box that its neighbours span.

    The sum over objectives of the distance between the next smaller and the next larger value, as a share of
    the front's range; infinite for the points at the ends. An objective in which all are equal adds nothing.

    Deb et al. 2002, section III.B.

    Args:
        values: (points, objectives), of one front.
    """
    table = np.asarray(values, dtype=float)
    if len(table) < 3:
        return np.full(len(table), np.inf)
    room = np.zeros(len(table))
    for column in table.T:
        # Of the points in this objective's order, v_1 <= … <= v_n, the i-th gets (v_{i+1} - v_{i-1}) / (v_n -
        # v_1): twice the mean distance to its two neighbours, as a share of the range.
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        span = ranked[-1] - ranked[0]
        if span > 0:
            room[order[[0, -1]]] = np.inf
            room[order[1:-1]] += (ranked[2:] - ranked[:-2]) / span
    return room


def crowded_order(values: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp], Table]:
    """Return the points from best to worst by rank, then by room; and the rank and the room of each point.

    Deb et al. 2002's crowded comparison; of points alike in both, the earlier comes first.

    Args:
        values: (points, objectives).
    """
    table = np.asarray(values, dtype=float)
    rank = ranks(table)
    room = np.empty(len(table))
    for front in range(int(rank.max(initial=-1)) + 1):
        members = np.flatnonzero(rank == front)
        room[members] = crowding(table[members])
    return np.lexsort((-room, rank)), rank, room


def hypervolume(values: ArrayLike, reference: Sequence[float]) -> float:
    """Return the volume of what is dominated by some point and better than the reference; exact.

    Two objectives take a sort. More are cut into slices along the last one (While, Hingston, Barone,
    Huband: A faster algorithm for calculating hypervolume, IEEE Transactions on Evolutionary Computation
    2006), which is quick for some hundred points of 3 objectives and grows exponentially with more.

    Args:
        values: (points, objectives).
        reference: one number per objective; what is not better than it in all of them adds nothing.
    """
    table = np.asarray(values, dtype=float).reshape(-1, len(reference)) - np.asarray(reference, dtype=float)
    return _volume(table[(table > 0).all(axis=1)])


def _volume(table: Table) -> float:
    if not len(table):
        return 0.0
    if table.shape[1] == 1:
        return float(table.max())
    # Hypervolume by slicing objectives. With the points falling in the last objective, z_1 >= … >= z_n, and
    # z_{n+1} = 0 (the reference), the volume is cut at every z_i:
    #     V = sum_i (z_i - z_{i+1}) V'(points 1 to i without their last objective),
    # for just those points reach up into slice i. V' is the same with one objective less.
    table = table[np.argsort(-table[:, -1], kind="stable")]
    depths = table[:, -1] - np.append(table[1:, -1], 0.0)
    if table.shape[1] == 2:
        # V' of numbers is their largest, so the slices are a running maximum.
        return float(np.maximum.accumulate(table[:, 0]) @ depths)
    total = 0.0
    for position in np.flatnonzero(depths):
        # Slices of no depth (equal points) are left out, and points that lost their only advantage too.
        slab = table[: position + 1, :-1]
        total += float(depths[position]) * _volume(slab[pareto_front(slab.tolist())])
    return total
