"""Optuna's samplers as algorithms."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symnas.algorithms.adapters.optuna.samplers import SAMPLERS
from symnas.algorithms.common.without_replacement import WithoutReplacement, keys_of
from symnas.contracts.algorithm import Algorithm, Capabilities, depending
from symnas.contracts.hyperparameters import FLAG, Check, anything, hyperparameter, with_hyperparameters
from symnas.contracts.outcome import Outcome, Status
from symnas.errors import AlgorithmError, MissingExtraError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from symnas.algorithms.adapters.optuna.driver import Driver
    from symnas.tree.space import Batch, Decision, Space

ATTEMPTS = 16


@with_hyperparameters(source="Optuna")
class Optuna(Algorithm):
    """A sampler of Optuna, by default its tree-structured Parzen estimator (TPE).

    The space is told define-by-run: each point that exists is one parameter, called by its address, or a
    few for a long selection (the adapter's module `space` has the table). Every call of `propose` makes the
    sampler anew, seeded by the call's generator, and shows it all trials so far; what samplers keep between
    calls is noted with the trials when these are handed out, so that a log replays. Failed trials are failed
    for Optuna, which ignores them; pruned ones are pruned, with the value they had.

    `grid` and `partial-fixed` are left out: this library's `grid` and `space.freeze` do the same without
    listing the space. `with_margin` of CMA-ES is refused, because it goes on from hidden numbers that a
    decision does not tell.

    Akiba, Sano, Yanase, Ohta, Koyama: Optuna, KDD 2019 (arXiv:1907.10902); github.com/optuna/optuna, which
    `pip install symnas[optuna]` installs.
    """

    capabilities: ClassVar[Capabilities] = depending(
        Capabilities(multi_objective=True), lambda self: self._capabilities
    )

    sampler: str = hyperparameter(
        "tpe",
        Check(
            f"one of {', '.join(map(repr, SAMPLERS))}, or a class as 'module:Class'",
            lambda value: ":" in str(value) or value in SAMPLERS,
            tuple(SAMPLERS),
            {cls: name for name, cls in SAMPLERS.items()},
        ),
        'which sampler; `"module:Class"` names another subclass of `optuna.samplers.BaseSampler`',
    )
    sampler_options: Mapping[str, Any] | None = hyperparameter(
        None,
        anything("a mapping, or None"),
        "arguments of the sampler's constructor by name, all but `seed`; for TPE say "
        '`{"multivariate": True, "group": True}`',
    )
    ordered: bool = hyperparameter(
        False,
        FLAG,
        "whether candidates that are numbers in ascending order are told as an integer, their position, "
        "which numeric samplers such as CMA-ES need, rather than as categories",
        source="",
    )
    repeats: bool = hyperparameter(
        True,
        FLAG,
        "whether a decision may come again, as with Optuna itself; without, the sampler is asked again a few "
        'times, then a new decision is drawn at random. `"brute-force"` never repeats one',
    )

    def __post_init__(self) -> None:
        """Refuse what the sampler does not take, and what a study could not continue with."""
        super().__post_init__()
        self._check_options()

    @property
    def _capabilities(self) -> Capabilities:
        return Capabilities(
            multi_objective=self.sampler != "cmaes", real_valued=self.sampler != "brute-force"
        )

    def _check_options(self) -> None:
        options = self.sampler_options
        if options is not None and not isinstance(options, Mapping):
            raise AlgorithmError(
                f"sampler_options are given by name, as {{'n_startup_trials': 20}}; got {options!r}"
            )
        if options and "seed" in options:
            raise AlgorithmError(
                "samplers are seeded by the study; leave 'seed' out of sampler_options, give the search one"
            )
        if options and self.sampler == "cmaes" and options.get("with_margin"):
            raise AlgorithmError(
                "CMA-ES with margin goes on from hidden numbers that decisions do not tell, so a study could "
                "not continue; leave with_margin out, or use ordered=True"
            )
        _driver_module().make_sampler(self.sampler, dict(options or {}), 0, 0)

    def setup(self, space: Space) -> None:
        """Start from nothing on `space`.

        Raises:
            SpaceError: a range has more values than Optuna's numbers can tell apart.
            AlgorithmError: CMA-ES has no numbers to move.
        """
        self._space = space
        self._sampling = WithoutReplacement(space)
        self._driver: Driver = _driver_module().Driver(
            space, self.sampler, dict(self.sampler_options or {}), self.ordered
        )
        self._running: defaultdict[Hashable, deque[FrozenTrial]] = defaultdict(deque)
        if self.sampler == "cmaes" and not self._driver.parameters.numbers:
            raise AlgorithmError(
                "CMA-ES moves numbers that every decision has, and this space has none: use another sampler, "
                "ranges instead of candidates, or ordered=True where candidates are numbers"
            )

    def propose(self, n: int, rng: np.random.Generator) -> Batch:
        """Return what the sampler suggests, one trial after the other."""
        seed = int(rng.integers(2**31))
        keep = self.repeats and self.sampler != "brute-force"
        if not keep:
            n = int(min(n, self._sampling.left))
        found: list[Decision] = []
        taken: set[Hashable] = set()
        with self._driver.asking(seed) as ask:
            for _ in range(n if keep else ATTEMPTS * n):
                if len(found) == n:
                    break
                # The sampler learns of the decision that is tried: the closest admitted one.
                decision = self._space.mend(self._space.batch([ask()]))[0]
                if keep or len(self._sampling.among(self._space.batch([decision]), taken)):
                    found.append(decision)
        batch = self._space.batch(found)
        if len(found) == n:
            return batch
        return type(batch).concat([batch, self._sampling.draw(n - len(found), rng, taken)])

    def observe(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        """Begin trials that were handed out, and end those that are over."""
        self._sampling.add(batch)
        for decision, key, outcome in zip(batch, keys_of(batch), outcomes, strict=True):
            if outcome.status is Status.RUNNING:
                self._running[key].append(self._driver.begin(decision, asked=True))
                continue
            begun = self._running.get(key)
            trial = begun.popleft() if begun else self._driver.begin(decision, asked=False)
            if not begun:
                self._running.pop(key, None)
            values = outcome.values
            if values is not None and any(math.isnan(value) for value in values):
                values = None
            self._driver.end(trial, values, pruned=outcome.status is Status.PRUNED)


def _driver_module() -> Any:
    """Import what needs Optuna."""
    try:
        from symnas.algorithms.adapters.optuna import driver
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "optuna":
            raise
        raise MissingExtraError(
            "the algorithm 'optuna' needs Optuna, which is not installed: pip install symnas[optuna]"
        ) from None
    return driver
