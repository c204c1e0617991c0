"""Asking a sampler of Optuna, without a study of Optuna's own.

Samplers are driven through the public methods of `optuna.samplers.BaseSampler`, in the order in which a
trial of Optuna calls them. What they note (generations of the genetic ones, the distribution of CMA-ES, the
place in a quasi-random sequence) is kept with the trials; it is worked out again when a proposal is handed
out, with a seed that depends on nothing but the trial's number. Only the adapter imports this module.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from importlib import import_module
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseGASampler, BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from symnas.algorithms.adapters.optuna.samplers import FORGETFUL, SAMPLERS, SCOUTED
from symnas.algorithms.adapters.optuna.space import Parameters
from symnas.algorithms.adapters.optuna.storage import STUDY, Trials
from symnas.errors import AlgorithmError
from symnas.tree.space import Decision, Space


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's log and warnings away, and put everything back."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def make_sampler(name: str, options: dict[str, Any], seed: int, sequence: int) -> BaseSampler:
    """Return a new sampler.

    Args:
        name: one of `SAMPLERS`, or `module:Class`.
        options: arguments of its constructor.
        seed: what its draws come from.
        sequence: seed of a scrambled quasi-random sequence, which must be the same throughout a study.

    Raises:
        AlgorithmError: there is no such class, or it refuses the options.
    """
    cls = getattr(optuna.samplers, SAMPLERS[name]) if name in SAMPLERS else _imported(name)
    options = dict(options)
    if name == "qmc":
        options.setdefault("independent_sampler", optuna.samplers.RandomSampler(seed=seed))
        seed = sequence
    try:
        with quiet():
            made = cls(**options, seed=seed)
    except (TypeError, ValueError, ImportError) as error:
        raise AlgorithmError(f"Optuna's {cls.__name__} refuses {options}: {error}") from error
    if not isinstance(made, BaseSampler):
        raise AlgorithmError(
            f"a sampler is a subclass of optuna.samplers.BaseSampler; {name!r} names {cls!r}"
        )
    return made


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise AlgorithmError(
            f"a sampler is one of {', '.join(SAMPLERS)}, or a class as 'module:Class'; {name!r} cannot be "
            f"imported: {error}"
        ) from error


class Driver:
    """A sampler with the trials it looks at.

    Args:
        space: where decisions come from.
        sampler: its name.
        options: arguments of its constructor.
        ordered: whether ascending numbers are told as positions.
    """

    def __init__(self, space: Space, sampler: str, options: dict[str, Any], ordered: bool) -> None:
        self.parameters = Parameters(space, ordered)
        self.trials = Trials()
        self._name = sampler
        self._options = options
        self._sequence = 0
        made = make_sampler(sampler, options, 0, 0)
        # It is never asked for values, so what it remembers is a function of the trials; one exception is the
        # grouping of TPE, whose order depends on how often it was asked.
        self._scout = made if sampler in SCOUTED and not options.get("group") else None
        self._elder = made if isinstance(made, BaseGASampler) else None

    @contextmanager
    def asking(self, seed: int) -> Iterator[Callable[[], Decision]]:
        """Give a function that returns one suggestion after the other, all of which are forgotten after."""
        with quiet(), self.trials.scratch():
            sampler = make_sampler(self._name, self._options, seed, self._sequence)
            study = self._study(sampler)

            def ask() -> Decision:
                trial = self.trials.add()
                # NSGA-II chooses parents without lots, and sorts them for the first child as for no other.
                if self._name != "nsgaii":
                    self._find_parents(study, trial)
                return self._suggest(sampler, study, trial)

            yield ask

    def begin(self, decision: Decision, asked: bool) -> FrozenTrial:
        """Write down a trial that starts.

        Args:
            decision: what it tries.
            asked: whether the sampler suggested it; else it comes from elsewhere.
        """
        if not self.trials.trials:
            # One sequence for a whole study, from what every copy of its log knows: the first decision. (That
            # one is asked for under the sequence 0.)
            digest = blake2b(decision.row, digest_size=4).digest()
            self._sequence = int.from_bytes(digest, "big") % 2**31
        trial = self.trials.add()
        # Before it has parameters, as a trial of Optuna is when its sampler is asked.
        if self._name not in FORGETFUL:
            self._note(trial, asked)
        trial.params, trial.distributions = self.parameters.of(decision)
        return trial

    def end(self, trial: FrozenTrial, values: Sequence[float] | None, pruned: bool) -> None:
        """Write down how a trial ended; without values it failed."""
        if values is not None:
            self.trials.directions = [StudyDirection.MAXIMIZE] * len(values)
        if pruned:
            trial.state = TrialState.PRUNED
            # With several objectives Optuna has no intermediate values.
            if values is not None and len(values) == 1:
                trial.intermediate_values[0] = values[0]
        elif values is None:
            trial.state = TrialState.FAIL
        else:
            trial.state, trial.values = TrialState.COMPLETE, list(values)

    # ------------------------------------------------------------ the sampler

    def _study(self, sampler: BaseSampler) -> optuna.Study:
        return optuna.Study(STUDY, self.trials, sampler, optuna.pruners.NopPruner())

    def _find_parents(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Let a genetic sampler say which generation a trial belongs to, and who the parents are.

        Parents may be chosen by lot, and the whole generation has the same ones, so the lot is drawn here.
        """
        if self._elder is None:
            return
        generation = self._elder.get_trial_generation(study, trial)
        key = f"symnas:parents:{generation}"
        if key not in self.trials.attributes:
            # Optuna keeps the chosen parents in the study's attributes, where all samplers of the generation
            # find them.
            chooser = make_sampler(self._name, self._options, generation, self._sequence)
            assert isinstance(chooser, BaseGASampler)
            chooser.get_parent_population(study, generation)
            self.trials.attributes[key] = True

    def _note(self, trial: FrozenTrial, asked: bool) -> None:
        with quiet():
            if self._elder is not None:
                self._find_parents(self._study(self._elder), trial)
            elif asked:
                # What a suggestion does, for its notes alone; what it draws is thrown away. The seed of the
                # proposal is not in the log, so the notes must not come of it.
                sampler = make_sampler(self._name, self._options, trial.number, self._sequence)
                study = self._study(sampler)
                sampler.before_trial(study, trial)
                sampler.sample_relative(study, trial, self._shared_space(sampler, study, trial))

    def _shared_space(
        self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return (self._scout or sampler).infer_relative_search_space(study, trial)

    def _suggest(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> Decision:
        sampler.before_trial(study, trial)
        relative: dict[str, Any] | None = None

        def ask(name: str, distribution: BaseDistribution) -> Any:
            nonlocal relative
            # As `optuna.trial.Trial._suggest`: a single value, else what was drawn for all shared parameters
            # at once, else a draw by itself. Shared ones are drawn when the first of several values is due.
            if distribution.single():
                value = _only(distribution)
            else:
                if relative is None:
                    space = self._shared_space(sampler, study, trial)
                    relative = sampler.sample_relative(study, trial, space)
                value = (
                    relative[name]
                    if name in relative
                    else sampler.sample_independent(study, trial, name, distribution)
                )
            trial.params[name], trial.distributions[name] = value, distribution
            return value

        decision = self.parameters.suggest(ask)
        trial.params, trial.distributions = self.parameters.of(decision)
        return decision


def _only(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low  # type: ignore[attr-defined]
