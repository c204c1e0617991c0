"""Single-path one-shot search: uniform training of shared weights, then evolution under them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symnas.algorithms.common.without_replacement import WithoutReplacement, keys_of
from symnas.algorithms.evolutionary.variation import mutated
from symnas.contracts.algorithm import Algorithm, Capabilities
from symnas.contracts.hyperparameters import SHARE, hyperparameter, whole, with_hyperparameters
from symnas.contracts.outcome import Outcome, Status
from symnas.tree.space import Batch

if TYPE_CHECKING:
    from symnas.tree.space import Space


@with_hyperparameters(source="Guo et al. 2020")
class SinglePath(Algorithm):
    """Generations bred from the ten best so far, under shared weights that were trained by uniform paths.

    Given a task, a search trains shared weights for the task's length, a path per batch drawn uniformly, and
    then scores children under them, each with running statistics of its own. The first generation is drawn
    at random; of a later one the first `mutants` are mutated, and the others take every point from one of
    two parents. Parents are the `parents` best of all earlier generations. Nothing comes twice.

    Guo, Zhang, Mu, Heng, Liu, Wei, Sun 2020, Single Path One-Shot Neural Architecture Search with Uniform
    Sampling (arXiv:1904.00420), and their code, whose settings are the defaults; their weights are trained by
    SGD with momentum 0.9, a learning rate from 0.5 to 0 in a line at batch size 1024, weight decay 4e-5 and
    label smoothing 0.1. With `symnas.SharedWeights(task, policy=…)` instead of the task, weights are trained
    by another policy, FairNAS or once-for-all, say.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(shared_weights=True)

    population: int = hyperparameter(50, whole(2), "size of a generation")
    generations: int = hyperparameter(
        20, whole(1), "how many generations there are, where the search is not given a number of trials"
    )
    parents: int = hyperparameter(10, whole(1), "how many of the best decisions breed")
    mutants: int = hyperparameter(25, whole(0), "how many of a generation are mutated; the rest are crossed")
    mutation: float = hyperparameter(
        0.1, SHARE, "probability that mutation changes a point; one changes in any case"
    )

    @property
    def sharing(self) -> Mapping[str, Any]:
        """Weights trained first, by uniform single paths."""
        return {"policy": "uniform"}

    @property
    def usual_trials(self) -> int:
        """All generations."""
        return self.population * self.generations

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`."""
        self._space = space
        self._sampling = WithoutReplacement(space)
        self._handed = 0
        # The place in which each running decision was handed out, and all results by place.
        self._running: dict[Hashable, list[int]] = {}
        self._ended: list[tuple[int, float, Batch]] = []
        self._points = sum(entry.mutable for entry in space.compiled.layout.own)

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Count what was handed out, and keep results with their places."""
        self._sampling.add(batch)
        for row, (key, outcome) in enumerate(zip(keys_of(batch), outcomes, strict=True)):
            if outcome.status is Status.RUNNING:
                self._running.setdefault(key, []).append(self._handed)
                self._handed += 1
                continue
            places = self._running.pop(key, [])
            place = places.pop(0) if places else -1  # from elsewhere: as if before the first generation
            if places:
                self._running[key] = places
            if outcome.values is not None and outcome.values[0] == outcome.values[0]:
                self._ended.append((place, outcome.values[0], batch[row : row + 1]))

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return what comes next in the generation that is under way."""
        found: list[Batch] = []
        taken: set[Hashable] = set()
        for place in range(self._handed, self._handed + n):
            child = self._child(place, rng, taken)
            taken.update(keys_of(child))
            found.append(child)
        return Batch.concat(found)

    def _child(self, place: int, rng: np.random.Generator, taken: set[Hashable]) -> Batch:
        generation, slot = divmod(place, self.population)
        # Nobody waits for a generation: of earlier ones, what has ended by now counts, and only that.
        known = [item for item in self._ended if item[0] < generation * self.population]
        if not generation or not known:
            return self._sampling.draw(1, rng, taken)
        # Of equals the one handed out earlier, in whatever order results came.
        known.sort(key=lambda item: (-item[1], item[0]))
        best = [row for _, _, row in known[: self.parents]]
        first = best[int(rng.integers(len(best)))]
        if slot < self.mutants:
            # Guo and others redraw each choice with probability 0.1, and try again where the child is known,
            # as it is where nothing changed. Here the number of changes is drawn first, and 0 is 1; a change
            # takes another value, at a point that exists, and may come twice to one point.
            times = max(1, int(rng.binomial(self._points, self.mutation)))
            child = mutated(self._space, first, np.array([times], np.intp), rng)
        else:
            # Both parents may be the same one, as in their code: `renew` mutates what is known.
            child = self._space.crossover(first, best[int(rng.integers(len(best)))], rng)
        return self._sampling.renew(child, rng, taken)
