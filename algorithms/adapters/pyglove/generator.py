"""PyGlove's DNA generators as algorithms, and algorithms as DNA generators."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symnas.algorithms.common.without_replacement import keys_of
from symnas.contracts.algorithm import Algorithm, Capabilities, depending
from symnas.contracts.hyperparameters import FLAG, Check, anything, hyperparameter, with_hyperparameters
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import AlgorithmError

if TYPE_CHECKING:
    from pyglove.core import geno

    from symnas.algorithms.adapters.pyglove.driver import Driver, Handed
    from symnas.tree.space import Batch, Space

GENERATORS = ("hill_climb", "neat", "nsga2", "random", "regularized_evolution", "sweeping")


@with_hyperparameters(source="PyGlove")
class PyGlove(Algorithm):
    """A DNA generator of PyGlove, by default its regularised evolution.

    Generators change when they propose, and draw from the global generator of `random`. So each proposal is
    made under a seed of its own and made for good when it is handed out; one that is not handed out is
    undone by showing a new generator everything again. The first four seeds come from the search's
    generator, later ones from the four decisions that these led to. A study then continues and replays
    exactly, for one proposal per trial; asking without handing out, which no search does, costs a replay.
    Where the generator brings seeds of its own, proposals are those that PyGlove makes by itself.

    Trials without a result are skipped, as `feedback.skip()` does. What PyGlove has no words for (guards,
    ties with points below, restricted selections) is refused by name.

    Peng et al.: PyGlove: Symbolic Programming for Automated Machine Learning, NeurIPS 2020
    (arXiv:2101.08809); github.com/google/pyglove.
    """

    capabilities: ClassVar[Capabilities] = depending(Capabilities(), lambda self: self._capabilities)

    generator: str | geno.DNAGenerator | Callable[..., geno.DNAGenerator] = hyperparameter(
        "regularized_evolution",
        Check(
            f"one of {', '.join(map(repr, GENERATORS))}, a pg.DNAGenerator, a function that returns one, or "
            "its name as 'module:function'",
            lambda value: not isinstance(value, str) or ":" in value or value in GENERATORS,
            GENERATORS,
        ),
        "which generator; of a `pg.DNAGenerator` a copy is used",
    )
    generator_options: Mapping[str, Any] | None = hyperparameter(
        None,
        anything("a mapping, or None"),
        'arguments of the generator\'s function by name, as `{"population_size": 20}`; `mutator` may be '
        '`"uniform"` or `"swap"`',
    )
    dedup: bool = hyperparameter(
        False,
        FLAG,
        "whether proposals that were made and answered before are left out (`pg.geno.Deduping`)",
    )

    def __post_init__(self) -> None:
        """Refuse options that the generator does not take."""
        super().__post_init__()
        if self.generator_options is not None and not isinstance(self.generator_options, Mapping):
            raise AlgorithmError(
                "generator_options are given by name, as {'population_size': 20}; got "
                + repr(self.generator_options)
            )
        self._multi_objective = bool(self._make().multi_objective)

    @property
    def _capabilities(self) -> Capabilities:
        return Capabilities(multi_objective=self._multi_objective, real_valued=self.generator != "sweeping")

    def _make(self) -> Any:
        from symnas.algorithms.adapters.pyglove.driver import make_generator

        return make_generator(self.generator, dict(self.generator_options or {}), self.dedup)

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`.

        Raises:
            SpaceError: the space has something that PyGlove cannot express, named by address.
        """
        from symnas.algorithms.adapters.pyglove.driver import Driver

        self._space = space
        self._driver: Driver = Driver(space, self._make)
        self._running: defaultdict[Hashable, deque[Handed]] = defaultdict(deque)

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return what the generator proposes; nothing when it stops, or needs a result before it goes on."""
        return self._space.batch(self._driver.propose(n, rng, waits=bool(self._running)))

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Hand out proposals, and feed back what came of them."""
        for decision, key, outcome in zip(batch, keys_of(batch), outcomes, strict=True):
            if outcome.status is Status.RUNNING:
                self._running[key].append(self._driver.hand_out(decision))
                continue
            running = self._running.get(key)
            if running:
                handed = running.popleft()
            elif self._driver.learns:
                handed = self._driver.hand_out(decision)
            else:
                continue
            if not running:
                self._running.pop(key, None)
            if outcome.values is not None and not any(math.isnan(value) for value in outcome.values):
                self._driver.feed_back(handed, outcome.values)


def as_dna_generator(algorithm: str | Algorithm | type[Algorithm], seed: int = 0, **options: Any) -> Any:
    """Return an algorithm as a `pg.DNAGenerator`, for `pg.sample(…, algorithm=…)`.

    Rewards are what PyGlove hands over, larger being better; several objectives come as tuples. A reward that
    is not a number counts as no result. A history shown to `recover` rebuilds the algorithm.

    Args:
        algorithm: name, class or instance, as `symnas.search` takes it.
        seed: everything random comes from it.
        options: hyperparameters by name.

    Raises:
        AlgorithmError: the algorithm or an option is unknown, or the algorithm needs more than outcomes.
    """
    from symnas.algorithms.adapters.pyglove.driver import AlgorithmGenerator
    from symnas.contracts.registry import resolve

    made = resolve(algorithm, options)
    able = made.capabilities
    if able.shared_weights or able.relaxed or able.fidelity:
        raise AlgorithmError(
            f"PyGlove tells rewards and nothing else, and {type(made).__name__} asks for "
            f"{'fidelities' if able.fidelity else 'weights'}: use an algorithm that learns from outcomes"
        )
    return AlgorithmGenerator(made, seed)
