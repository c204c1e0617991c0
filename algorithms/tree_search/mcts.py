"""Monte-Carlo tree search over the tree of decisions."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from symnas.algorithms.common.without_replacement import keys_of
from symnas.algorithms.sequencing.paths import Paths
from symnas.algorithms.sequencing.points import Action
from symnas.algorithms.surrogates.rank_ridge import RankRidge
from symnas.algorithms.tree_search.rollouts import PARENTS, Pool, Rollouts, rows
from symnas.algorithms.tree_search.search_tree import Node, Record, SearchTree
from symnas.algorithms.tree_search.uct import Shared, Uct
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import (
    FLAG,
    POSITIVE,
    SHARE,
    WEIGHT,
    hyperparameter,
    one_of,
    whole,
    with_hyperparameters,
)
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import AlgorithmError
from symnas.tree.space import Batch
from symnas.tree.statistics import Statistics, influence, splits, statistics
from symnas.tree.subsets import INACTIVE

if TYPE_CHECKING:
    from symnas.contracts.algorithm import Prediction
    from symnas.tree.space import Space

# Values from which on the order of points is measured: with fewer, hardly a candidate has been seen twice.
MEASURED_FROM = 8
# A decision as plain numbers: its codes (columns,) and its real values (reals,).
Row = tuple[list[int], list[float]]


@with_hyperparameters(source="tuned (docs/algorithms.md)")
class MCTS(Algorithm):
    """Monte-Carlo tree search: upper confidence bounds over decided prefixes, roll-outs for the rest.

    A node is a prefix of the decision; the child of the largest bound, mean + exploration * sqrt(2 ln N / n),
    comes next (UCT; Kocsis and Szepesvári, ECML 2006; over trees of decisions: Negrinho and Gordon,
    DeepArchitect, arXiv:1704.08792). Rewards are values above the `floor` quantile of all values, divided by
    the distance from there to the best; both are measured anew, and the tree rebuilt from the observations,
    when 1, 2, 4, 8, … values are known. Trials without a result, and those below the floor, get nothing;
    a high floor makes a mean say how often a prefix leads to something good, rather than how bad its worst
    completions are.

    Points with many values are bisected, selections decided element by element, and real ranges widened
    progressively (Coulom, 2007; Couëtoux and others, LION 2011). Nothing is proposed twice: a prefix all of
    whose completions were handed out is closed. Trials under way count as visits without reward.

    With surrogate roll-outs, `samples` completions and more are drawn from the root, half of them near the
    best decisions, and a model of what was seen scores them, mean + `optimism` standard deviations. They go
    down the tree together; the promise of an action is that of the best roll-out that takes it. They serve
    for all proposals until the model is fitted again, or a result is better than all others. Real ranges are
    not widened progressively then, since the model, not a second visit, tells what a value is worth.

    Plain UCT: `MCTS(rollouts="random", order="tree", floor=0.0, exploration=1.0)`; DeepArchitect's code is
    github.com/negrinho/deep_architect. The measured order and roll-outs through a model are ours.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    exploration: float = hyperparameter(0.1, WEIGHT, "factor of the exploring term; 1 as published")
    order: Literal["measured", "tree"] = hyperparameter(
        "measured",
        one_of("measured", "tree"),
        '"measured" decides first the points that explain most of the variance of the values seen so far, as '
        'far as conditions allow, from 8 values on; "tree" keeps the order of the tree',
    )
    rollouts: Literal["surrogate", "random"] = hyperparameter(
        "surrogate", one_of("surrogate", "random"), '"surrogate", or "random" by the prior'
    )
    samples: int = hyperparameter(
        200,
        whole(2),
        "roll-outs with a surrogate, drawn at a time; up to three times as many where they serve for several "
        "proposals",
    )
    start: int = hyperparameter(8, whole(2), "results before the first surrogate")
    optimism: float = hyperparameter(1.5, WEIGHT, "standard deviations added to what the surrogate expects")
    trust: float = hyperparameter(
        1.0,
        SHARE,
        "weight of a surrogate's promise against the mean of a child that has been visited",
    )
    transpositions: bool = hyperparameter(
        False,
        FLAG,
        "whether an action shares its mean between all prefixes under which it came. Means count with random "
        "roll-outs, and with a surrogate where `trust` is below 1",
    )
    equivalence: float = hyperparameter(
        10.0, WEIGHT, "how many visits the mean that transpositions share is worth"
    )
    bisect: int = hyperparameter(9, whole(1), "the most values that one step chooses among")
    widening: float = hyperparameter(
        1.0,
        POSITIVE,
        "factor k of progressive widening with random roll-outs: at most ceil(k N ** widening_power) "
        "children",
    )
    widening_power: float = hyperparameter(0.5, SHARE, "exponent of progressive widening")
    virtual_loss: float = hyperparameter(1.0, POSITIVE, "visits that a trial under way counts for")
    floor: float = hyperparameter(0.25, SHARE, "quantile of the values that counts as no reward")

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        # Every decision ever handed out, by key: what is not proposed again.
        self._records: dict[bytes, Record] = {}
        # Trials that ended, in order, and their values, NaN for none: parallel, (trials,) each.
        self._ended: list[Record] = []
        self._values: list[float] = []
        # (-value, place in `_ended`) of the best PARENTS trials, the best first.
        self._best: list[tuple[float, int]] = []
        self._known = 0
        self._rollouts = Rollouts(space, RankRidge, self.samples, self.start, self.optimism)
        self._uct = Uct(
            self.exploration,
            self.virtual_loss,
            self.widening,
            self.widening_power,
            self.equivalence,
            self.trust,
        )
        self._rebuild()

    # ------------------------------------------------------------ observing

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Count what runs and what ended along its path; measure and rebuild at powers of two."""
        size = self._space.compiled.layout.row_bytes
        text = batch.rows
        codes, reals = batch.codes.tolist(), batch.reals.tolist()
        for row, outcome in enumerate(outcomes):
            key = text[row * size : (row + 1) * size]
            record = self._records.get(key)
            if record is None:
                record = self._records[key] = Record(codes[row], reals[row])
                self._rollouts.close(key)
            # What the record counted so far goes along its path; what this outcome adds follows below.
            path = self._tree.insert(record)
            if outcome.status is Status.RUNNING:
                # Virtual loss: a visit without reward as long as the trial runs, so that others go elsewhere.
                record.running += 1
                for node in path:
                    node.running += 1
            else:
                self._end(record, path, outcome)

    def _end(self, record: Record, path: list[Node], outcome: Outcome) -> None:
        value = math.nan
        if outcome.values is not None and math.isfinite(outcome.values[0]):
            value = outcome.values[0]
            insort(self._best, (-value, len(self._values)))
            del self._best[PARENTS:]
            self._known += 1
        self._ended.append(record)
        self._values.append(value)
        # Back-up, from the root to the leaf: N <- N + 1, W <- W + r; the mean W / N is `Uct.mean`. A result
        # from elsewhere never ran here, and takes back no virtual loss.
        reward, ran = self._reward(value), min(record.running, 1)
        record.running -= ran
        record.visits += 1
        record.total += reward
        for node in path:
            node.running -= ran
            node.visits += 1
            node.total += reward
        if self._shared is not None:
            self._shared.add(self._paths.path(record.codes, record.reals), reward)
        # x & (x - 1) is 0 for powers of two only. W cannot be rescaled when the floor or the range moves, for
        # rewards below the floor were cut off: it is counted again, at 1, 2, 4, … values, so that all
        # rebuilds together cost about twice the last.
        if value == value and self._known & (self._known - 1) == 0:
            self._rebuild()

    def _reward(self, value: float) -> float:
        # r = max(v - q, 0) / (best - q), q being the quantile `floor`; NaN, unlike itself, gets nothing.
        return max(value - self._low, 0.0) / self._scale if value == value else 0.0

    def _rebuild(self) -> None:
        """Measure rewards and the order of points anew, and count all observations again."""
        known = np.array([value for value in self._values if value == value])
        self._low, self._scale = 0.0, 1.0
        if len(known):
            self._low = float(np.quantile(known, self.floor))
            self._scale = float(known.max()) - self._low or 1.0
        # Measured on values cut off at the floor, as rewards are: first comes the point that tells the best
        # from the good, not the one that tells failures from all else.
        importance = None
        if self.order == "measured" and self._known >= MEASURED_FROM:
            importance = influence(*self._results(self._low)).tolist()
        self._paths = Paths(self._space, self.bisect, importance)
        self._tree = SearchTree(self._paths)
        # Shared means go by the place of a point in the order: another order, other means.
        self._shared = Shared() if self.transpositions else None
        for record in self._records.values():
            record.visits, record.total = 0, 0.0
        for record, value in zip(self._ended, self._values, strict=True):
            reward = self._reward(value)
            record.visits += 1
            record.total += reward
            if self._shared is not None:
                self._shared.add(self._paths.path(record.codes, record.reals), reward)
        for record in self._records.values():
            self._tree.insert(record)

    def _results(self, low: float = -math.inf) -> tuple[Batch, np.ndarray]:
        """Return the decisions that have a value, and the values, none below `low`."""
        known = [place for place, value in enumerate(self._values) if value == value]
        values = np.maximum([self._values[place] for place in known], low)
        return rows(self._space, [self._ended[place] for place in known]), values

    # ------------------------------------------------------------ proposing

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return up to `n` new decisions, each as if those before it were under way."""
        tree = self._tree
        found: list[Record] = []
        pool = self._pool()
        # Rows of the pool that are not handed out, (left,); the pool is sorted, so the best promise is first.
        left = None if pool is None else np.flatnonzero(pool.open)
        # The proposals of this call see each other as trials under way; then all of it is taken back. The
        # tree stays a function of what was observed, which is what a study replays.
        with tree.tentatively():
            while len(found) < n and not (tree.root is not None and tree.root.exhausted):
                if pool is not None and left is not None and not len(left):
                    pool = self._fresh(found, rng)
                    left = np.flatnonzero(pool.open)
                if pool is None or left is None or not len(left):
                    found.append(Record(*self._descend(rng)))
                else:
                    row = self._promising(pool, left)
                    left = left[left != row]
                    found.append(Record(pool.codes[row], pool.reals[row]))
                if len(found) < n:
                    tree.run(found[-1])
        return rows(self._space, found)

    def _pool(self) -> Pool | None:
        """Return the roll-outs to choose among, None before there is a surrogate."""
        if self.rollouts == "random" or len(self._values) < self.start or not self._known:
            return None
        best = [place for _, place in self._best]
        return self._rollouts.pool(self._ended, self._values, best, self._records)

    def _fresh(self, found: Sequence[Record], rng: np.random.Generator) -> Pool:
        """Return other roll-outs, where all of those that serve were handed out."""
        known = {*self._records, *keys_of(rows(self._space, found))}
        best = [self._ended[place] for _, place in self._best]
        model = self._rollouts.model(self._ended, self._values)
        return self._rollouts.drawn(model, self.samples, best, known, rng)

    def _descend(self, rng: np.random.Generator) -> Row:
        """Return a new decision: down the tree by bounds, one new action, the rest by the prior."""
        layout = self._space.compiled.layout
        # The row to fill, (columns,) and (reals,); what stays empty is drawn by `complete`.
        codes, reals = [INACTIVE] * layout.columns, [math.nan] * layout.reals
        node = self._tree.root
        while node is not None:
            self._tree.open(node)
            point = self._paths.points[node.place]
            action, child = self._uct.choose(node, point, rng, self._shared)
            state = point.after(node.state, action)
            # Expansion: an action without a child ends the descent. What is left of its point (the rest of a
            # range, of a selection) is drawn by the prior here, later points by `complete`.
            if point.decided(state) or child is None:
                point.finish(state, codes, reals, rng)
            node = child
        some = np.array(codes, layout.dtype)[:, None]
        some_reals = np.array(reals, np.float64)[:, None]
        self._space.compiled.mutator.complete(some, some_reals, rng)
        return some[:, 0].tolist(), some_reals[:, 0].tolist()

    def _promising(self, pool: Pool, left: NDArray[np.intp]) -> int:
        """Return the roll-out that the tree and the surrogate agree on, of those left."""
        # (pool rows,) on the scale of rewards, but not cut off at 0: bad roll-outs keep their order, too.
        rewards = ((pool.promises - self._low) / self._scale).tolist()
        some: list[int] = left.tolist()
        node = self._tree.root
        while node is not None and node.place >= 0 and len(some) > 1:
            self._tree.open(node)
            point, state = self._paths.points[node.place], node.state
            # The roll-outs that take each action, the best first, as they are in the pool.
            by_action: dict[Action, list[int]] = {}
            for row in some:
                by_action.setdefault(point.taken(state, pool.codes[row], pool.reals[row]), []).append(row)
            # The first row of an action is its best one, and actions come in the order of these: falling.
            promises = {action: rewards[rows[0]] for action, rows in by_action.items()}
            action, node = self._uct.choose_among(node, promises, self._shared)
            # Below a new action the tree knows nothing (`node` is None), and its best roll-out is taken.
            some = by_action[action]
        return some[0]

    # ------------------------------------------------------------ asking

    def statistics(self) -> Statistics:
        """Return how each candidate did, how often the tree went through it, and the order of points.

        The tree goes through a candidate when it holds a node for it: deep points are decided by roll-outs
        until enough trials have come that way.
        """
        paths = self._paths
        through: dict[int, list[Record]] = {}
        for record in self._records.values():
            if record.visits:
                for number in self._decided(record):
                    through.setdefault(number, []).extend([record] * record.visits)
        visits: dict[str, dict[str, int]] = {}
        for number, records in through.items():
            entry = self._space.compiled.layout.entries[number]
            mine = visits.setdefault(entry.point.address, {})
            for split in splits(entry, rows(self._space, records)):
                counts = np.bincount(split.groups[split.groups >= 0], minlength=len(split.labels))
                mine.update(zip(split.labels, counts.tolist(), strict=True))
        order = {point.entry.point.address: rank for rank, point in enumerate(paths.points)}
        return statistics(*self._results(), visits=visits, ranks=order)

    def _decided(self, record: Record) -> list[int]:
        """Return the numbers of the points that the tree decides on a decision's path."""
        numbers = []
        # The last node of a path is a leaf: it decides nothing, but keeps the record.
        for node in self._tree.insert(record)[:-1]:
            point = self._paths.points[node.place]
            action = point.taken(node.state, record.codes, record.reals)
            if point.decided(point.after(node.state, action)):
                numbers.append(point.entry.number)
        return numbers

    def predict(self, batch: Batch) -> Prediction:
        """Return what the roll-outs' surrogate expects of decisions.

        Raises:
            AlgorithmError: too few trials have ended, or none with a value.
        """
        if len(self._values) < self.start or not self._known:
            raise AlgorithmError(
                f"a surrogate is fitted to at least {self.start} results, one of them a value; "
                f"{len(self._values)} came, {self._known} of them values: wait for more trials"
            )
        return self._rollouts.model(self._ended, self._values).predict(batch)
