"""Sequential model-based optimisation over trees."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from symnas._typing import Floats, Ints
from symnas.algorithms.bayesian.acquisition import ACQUISITIONS, scores
from symnas.algorithms.bayesian.acquisition_search import AcquisitionSearch
from symnas.algorithms.bayesian.target_transforms import TRANSFORMS, TargetTransform
from symnas.algorithms.common.history import History
from symnas.algorithms.common.without_replacement import keys_of
from symnas.algorithms.surrogates.base import SURROGATES, Model, Surrogate, make
from symnas.algorithms.surrogates.embedding import Embedding
from symnas.contracts.algorithm import Algorithm, Capabilities, Prediction
from symnas.contracts.hyperparameters import (
    SHARE,
    WEIGHT,
    hyperparameter,
    one_of,
    whole,
    with_hyperparameters,
)
from symnas.contracts.outcome import Outcome
from symnas.errors import AlgorithmError
from symnas.tree.space import Batch

if TYPE_CHECKING:
    from symnas.tree.space import Space

# Of as many random decisions each founder is the one furthest from all others.
SPREAD = 64
# Fits are never further apart than this, however slowly they are to become rare.
MOST_BETWEEN_FITS = 64
# Of the trials that run, so many of the latest are taken to have ended: each is an update of the model.
MOST_PENDING = 64
# From so many observations on a model holds half of what it held before.
MANY = 512
# Steps of a climb at most.
ROUNDS = 6


@with_hyperparameters(source="measured (docs/quality.md)")
class SMBO(Algorithm):
    """Model what was observed, try what the model finds most promising, and model again.

    After `initial` founders, spread over the space, every proposal maximises an acquisition function of a
    surrogate, by default the logarithm of the expected improvement E[max(f(x) - best, 0)], over random
    decisions, mutations and recombinations of the best, and their neighbours in turn. Decisions that still
    run are taken to become what the model expects of them, so that others are proposed meanwhile. Trials
    without a result count as worse than all others. No decision comes twice.

    Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration, LION
    2011, and Negrinho and Gordon: DeepArchitect, 2017 (arXiv:1704.08792), for the loop. What the defaults are
    and why is said, with measurements, in docs/algorithms.md.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    surrogate: str = hyperparameter(
        "gp",
        one_of(*SURROGATES),
        '"gp", a Gaussian process over trees in closed form; "gpytorch", the same through GPyTorch; '
        '"forest", a random forest; "ridge", Bayesian ridge on single values and on pairs; "rank-ridge", '
        'the same of ranks, as in the roll-outs of MCTS; "ngrams", ridge on n-grams of the path as in '
        'DeepArchitect; "networks", an ensemble of networks on path encodings as in BANANAS',
    )
    acquisition: str = hyperparameter(
        "ei",
        one_of(*ACQUISITIONS),
        '"ei", expected improvement over the best that the model expects of anything tried; "ucb", an upper '
        'confidence bound; "thompson", independent draws',
    )
    kappa: float = hyperparameter(1.0, WEIGHT, 'how many standard deviations "ucb" adds to the mean')
    targets: str = hyperparameter(
        "soft",
        one_of(*TRANSFORMS),
        'how values are scaled for the model: "soft", logarithmically below the median; "plain"; "rank", by '
        "normal scores",
    )
    initial: int = hyperparameter(5, whole(1), "how many decisions are tried before the model is asked")
    pool: int = hyperparameter(
        300, whole(1), "how many decisions the acquisition function is asked about at first, per proposal"
    )
    drawn: float = hyperparameter(
        0.4, SHARE, "the share of the pool that is drawn at random; the rest stems from the best"
    )
    parents: int = hyperparameter(
        8, whole(1), "how many of the best decisions the rest of the pool stems from"
    )
    starts: int = hyperparameter(
        2, whole(0), "from how many decisions of the pool neighbours are climbed; 0 for none"
    )
    keep: int = hyperparameter(
        192,
        whole(2),
        "how many trials the model holds at most, half of them the best, half spread over the rest; half as "
        "many after 512 trials, so that a proposal gets cheaper where many are made",
    )

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._history = History(space)
        self._search = AcquisitionSearch(space, self._history.sampling)
        self._recipe: Surrogate = make(self.surrogate)
        self._embedding: Embedding | None = None
        self._fits = _Fits(self._history, self._recipe, self.targets, self.keep)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Remember results, and what runs."""
        self._history.add(batch, outcomes)

    def predict(self, batch: Batch) -> Prediction:
        """Return what the surrogate expects of decisions, on the scale on which trials report.

        Args:
            batch: the decisions.

        Raises:
            AlgorithmError: no trial gave a result so far.
        """
        if not self._fits.ready:
            raise AlgorithmError(
                f"expectations are learned from results, and none of {self._history.count} finished trials "
                "gave one: predict after a trial is done"
            )
        model, scale = self._fits.latest()
        return scale.expectation(model.predict(batch))

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return founders at first, then what maximises the acquisition; each proposal heeds the others."""
        running = self._history.running
        known = self._history.count + len(running)
        # What runs counts as known: workers that ask together do not each get all founders.
        founders = min(n, self.initial - known) if self._fits.ready else n
        taken: set[Hashable] = set()
        parts: list[Batch] = []
        if founders > 0:
            parts = self._found(founders, running, taken, rng)
        if n > founders:
            parts += self._promising(n - max(founders, 0), running, parts, taken, rng)
        return Batch.concat(parts) if parts else self._space.batch([])

    # ------------------------------------------------------------ founders

    def _found(self, n: int, running: Batch, taken: set[Hashable], rng: np.random.Generator) -> list[Batch]:
        """Return decisions far from each other and from all that was tried."""
        embedding = self._coordinates()
        # Greedy maximin: each founder is, of random decisions, the one furthest from its nearest neighbour
        # among those tried, under way or just found. Of those tried the latest are enough, since founders are
        # few.
        last = np.arange(max(0, self._history.count - SPREAD), self._history.count)
        rows = embedding(Batch.concat([self._history.rows(last), running]))
        parts: list[Batch] = []
        for _ in range(n):
            some = self._history.sampling.draw(SPREAD, rng, taken)
            if not len(some):
                break
            places = embedding(some)
            # Squared distances of `embedding`, all blocks of weight 1, to the nearest row: (candidates,).
            apart = ((places[:, None] - rows) ** 2 @ embedding.shares).min(axis=1, initial=np.inf)
            best = int(apart.argmax())
            parts.append(some[best : best + 1])
            rows = np.concatenate([rows, places[best : best + 1]])
            taken.update(keys_of(parts[-1]))
        return parts

    def _coordinates(self) -> Embedding:
        if self._embedding is None:
            self._embedding = Embedding(self._space)
        return self._embedding

    # ------------------------------------------------------------ what the model finds promising

    def _promising(
        self,
        n: int,
        running: Batch,
        founders: list[Batch],
        taken: set[Hashable],
        rng: np.random.Generator,
    ) -> list[Batch]:
        model, scale = self._fits.latest()
        # What is expected of the rows, free of noise, and not the values seen: these have been lucky or not.
        fitted = model.fitted
        best = int(fitted.argmax())
        top = np.argsort(-fitted, kind="stable")[: self.parents]
        incumbents = self._history.rows(self._fits.rows[top])
        values = scale.values[self._fits.rows]
        # Kriging believer (Ginsbourger, Le Riche, Carraro 2010): what runs is taken to become what is
        # expected of it. Expectations stay about as they are, while uncertainty shrinks around it, and
        # improvement with it.
        pending = Batch.concat([running[-MOST_PENDING:], *founders])
        parts: list[Batch] = []
        for _ in range(n):
            if len(pending):
                values = np.concatenate([values, model.predict(pending).mean])
                # The row `best` keeps its number, for new rows come behind the others.
                model = model.updated(pending, values)
            pending = self._best(model, best, float(fitted[best]), incumbents, taken, rng)
            if not len(pending):
                break
            taken.update(keys_of(pending))
            parts.append(pending)
        return parts

    def _best(
        self,
        model: Model,
        best: int,
        height: float,
        incumbents: Batch,
        taken: set[Hashable],
        rng: np.random.Generator,
    ) -> Batch:
        pool = self._search.pool(self.pool, incumbents, rng, taken, self.drawn)
        if not len(pool):
            return pool
        # Draws are no function of a decision, so there is nothing to climb.
        starts = 0 if self.acquisition == "thompson" else self.starts

        def score(batch: Batch) -> Floats:
            # Improvement by how far an evaluation moves expectations; bounds by what a decision may be worth.
            improving = self.acquisition == "ei"
            expected = model.gains(batch, best) if improving else model.predict(batch)
            return scores(self.acquisition, expected, height, self.kappa, rng)

        return self._search.climb(pool, score, rng, taken, starts=starts, rounds=ROUNDS)


class _Fits:
    """The model of what was observed so far, a function of the observations alone.

    Fits take place at counts of observations that are fixed in advance; in between, models are updated, one
    observation at a time. So the same observations give the same model, whenever it is asked for.

    Args:
        history: the observations.
        recipe: what fits models.
        targets: how values are scaled.
        keep: how many rows a fit has at most.
    """

    def __init__(self, history: History, recipe: Surrogate, targets: str, keep: int) -> None:
        self._history = history
        self._recipe = recipe
        self._targets = targets
        self._keep = keep
        # Counts of observations at which a model is fitted, rising.
        self._schedule = [1]
        self._base = 0
        self._count = 0
        self._latest: tuple[Model, TargetTransform] | None = None
        self.rows: Ints = np.empty(0, np.intp)

    @property
    def ready(self) -> bool:
        """Whether there is a result to learn from."""
        return bool(np.isfinite(self._history.values).any())

    def latest(self) -> tuple[Model, TargetTransform]:
        """Return the model and the scale of its values; at least one result is needed."""
        count = self._history.count
        if self._latest is not None and self._count == count:
            return self._latest
        base = self._base_of(count)
        # Fitted at the last count that is due, to what was known by then, not to what is known by now: a
        # study that goes on, or replays, asks at other times and must get the same model.
        if self._latest is None or base != self._base:
            self._base = self._count = base
            values = self._history.values[:base]
            self.rows = thinned(values, self._keep if base < MANY else max(2, self._keep // 2))
            scale = TargetTransform.of(self._targets, values)
            batch = self._history.rows(self.rows)
            self._latest = self._recipe.fit(self._history.space, batch, scale.values[self.rows]), scale
        if self._count < count:
            # The scale follows all values so far, so that old rows get new values along with the new rows.
            scale = TargetTransform.of(self._targets, self._history.values)
            new = np.arange(self._count, count)
            self.rows = np.concatenate([self.rows, new])
            model = self._latest[0].updated(self._history.rows(new), scale.values[self.rows])
            self._count = count
            self._latest = model, scale
        return self._latest

    def _base_of(self, count: int) -> int:
        """Return the last count at which a fit is due; the present one where there was no result then."""
        while self._schedule[-1] <= count:
            # From m to m + max(1, min((growth - 1) m, 64)): at growth 1.1 every count up to 20, then in
            # steps of a tenth.
            last = self._schedule[-1]
            self._schedule.append(
                last + max(1, min(int(last * (self._recipe.growth - 1.0)), MOST_BETWEEN_FITS))
            )
        base = self._schedule[int(np.searchsorted(self._schedule, count, side="right")) - 1]
        return base if np.isfinite(self._history.values[:base]).any() else count


def thinned(values: Floats, keep: int) -> Ints:
    """Return which observations a model holds: all, or half of `keep` the best, half spread over the rest.

    Args:
        values: (rows,) NaN where there was no result.
        keep: how many at most.
    """
    if len(values) <= keep:
        return np.arange(len(values))
    # The best say where to look, the others where not to; of these, some from all of the search.
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    best, rest = order[: keep - keep // 2], np.sort(order[keep - keep // 2 :])
    others = rest[np.linspace(0, len(rest) - 1, keep // 2).astype(np.intp)]
    return np.sort(np.concatenate([best, others]))
