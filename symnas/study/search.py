"""`symnas.search`: any algorithm on any program with any evaluator, as a study that continues."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.estimator import Estimator, OpenEstimator
from symnas.contracts.objectives import Objectives
from symnas.contracts.registry import resolve
from symnas.errors import StudyError, nearest
from symnas.study.compatibility_checks import (
    bounded,
    check_fit,
    check_halving,
    check_numbers,
    check_resources,
)
from symnas.study.driver import Driver, Rules
from symnas.study.estimators import as_estimator, serving
from symnas.study.identity import Identity, identify, target_name
from symnas.study.keywords import answering
from symnas.study.opening import driving, load, open_study
from symnas.study.progress import Display, Line, Snapshot
from symnas.study.pruners import Pruner
from symnas.study.replay import rebuild
from symnas.study.state import StudyState
from symnas.study.store.base import Event, Store, StudyRow
from symnas.study.store.open import open_store
from symnas.study.study import Study
from symnas.study.trials.checkpoints import Checkpoints
from symnas.study.trials.kept_weights import KeptWeights
from symnas.study.trials.trial import StudyContext, Trial, derived_seed
from symnas.study.trials.trial_context import RunningTrial, caller, current_trial, set_up, worker_loading
from symnas.study.warm_start import Given, Source, first_decisions, listed, source_name, warm_start_events
from symnas.study.workers.evaluation import Evaluation
from symnas.study.workers.executor import Executor, InProcessExecutor
from symnas.study.workers.script import bootstrapping
from symnas.tree.space import Space

TRIALS = 100
ON_CHANGE = ("refuse", "import")
ESTIMATOR_SEED = "shared weights"
"""Names the seed of estimators beside those of trials: a law of the log, never to change."""


@answering
def search(
    target: Any,
    evaluate: Estimator | Callable[..., Any],
    *,
    algorithm: str | Algorithm | type[Algorithm] = "auto",
    options: Mapping[str, Any] | None = None,
    trials: int | None = None,
    budget: int | None = None,
    initial: Iterable[Given] | None = None,
    warm_start: Source | Sequence[Source] | None = None,
    store: Store | str | Path | None = None,
    name: str | None = None,
    workers: int = 1,
    seed: int = 0,
    objectives: Mapping[str, str] | Iterable[str] | str | None = None,
    timeout: float | None = None,
    retries: int = 2,
    deterministic: bool = False,
    reuse: bool = True,
    pruner: Pruner | None = None,
    keep: int | None = None,
    context: Any = None,
    on_change: Literal["refuse", "import"] = "refuse",
    give_up_after: int = 10,
    progress: Literal["auto", "live", "plain", "silent"] | bool = "auto",
    on_trial: Callable[[Trial], None] | None = None,
) -> Study:
    """Search a program's space, or continue to; the same call again goes on where the last one ended.

    Args:
        target: a program (`symnas.program(...)`, or anything with `space` and `build`), or a bare `Space`,
            whose evaluator is given the decision.
        evaluate: a function of the child that returns a number or a dict of numbers, or yields `(step,
            metrics)` as it goes; or a `Task`; or `SharedWeights(task)`, which algorithms that share weights
            make of a task by themselves; or any `symnas.contracts.Estimator`. Parameters of a function named
            `decision` and `trial` are given the decision and the running trial (`number`, `seed`,
            `report(step, metrics)`).
        algorithm: name, class or instance.
        options: hyperparameters by name, for an algorithm given by name.
        trials: total number, those of earlier calls included; 100 unless a budget is given or the algorithm
            or the shared weights have a length of their own. With an algorithm
            that stops and resumes trials, every promotion is a trial of its own.
        budget: with such an algorithm, largest total of what its trials spend (epochs, steps, whatever its
            fidelity counts), those of earlier calls included; the trial that reaches it is the last.
        initial: decisions to try first, in order; they count as trials. Those of other spaces are carried
            over by addresses. Mappings give some addresses; what they leave out takes its default.
        warm_start: studies that the algorithm learns from before it begins: a study, the path of a store,
            `STORE:NAME`, or a list of these. Their finished trials whose decisions are decisions of this
            space are shown to the algorithm; they are no trials of this study.
        store: None keeps the study in memory; a path is a SQLite file; also a SQLAlchemy URL or a store.
        name: the study's name in the store; by default made of program, evaluator and algorithm. Inside an
            evaluator, names live under the outer trial, so nested studies never mix.
        workers: how many trials run at once. 0 and 1 evaluate in this process; more start processes, which
            shared weights do not allow.
        seed: everything random comes from it. A search inside an evaluator derives its own from it.
        objectives: metrics with "max" or "min" ("maximize", "minimize"); one name is maximised, unless it
            says that less is better (a loss, an error): then it is asked for. Needed where the evaluator
            returns several.
        timeout: seconds that a trial may take; its process is killed then, so it has one even with one
            worker.
        retries: how often a trial is started again whose worker process died.
        deterministic: with several workers, let proposal n see exactly the trials up to n - workers, so
            that the same seed gives the same study.
        reuse: look up the result of a decision that this study has tried before; never where weights that
            are shared change between trials.
        pruner: stops trials early by what they report.
        keep: of how many best trials trained weights are kept; 3 for a `Task`, else 0.
        context: stands for what the evaluator depends on, where it holds something that cannot be read.
        on_change: what to do when the study in the store searched something else: "refuse", or "import" the
            trials that still fit into a study of the same name (the old one stays, as `NAME@1`).
        give_up_after: end when so many first trials all failed the same way; 0 never does.
        progress: "live" display, "plain" lines, "silent" (or False); "auto" looks at the terminal.
        on_trial: called with every trial that is over, once it is safe in the store.

    Returns:
        The study. Ctrl-C ends the search early and returns it too, with what is finished.

    Raises:
        StudyError: the search cannot start or go on; what is finished is kept.
        StoreError: the store cannot be used.
        AlgorithmError: the algorithm or an option is unknown, or does not fit.
        EvaluatorError: the evaluator cannot be called, or returns no metric.
        KeywordError: a keyword is none of these.
    """
    with set_up():
        _check_begin(on_change)
        check_numbers(
            trials=trials, budget=budget, workers=workers, retries=retries, give_up_after=give_up_after,
            keep=keep, timeout=timeout,
        )  # fmt: skip
        outer = current_trial()
        made = resolve(algorithm, options)
        if progress in ("silent", False) or outer is not None:
            _survey_silently(target)
        space = _space(target)
        estimator = serving(as_estimator(evaluate), made)
        resources = estimator.resources
        check_resources(resources, workers, timeout, keep, pruner)
        made = bounded(made, estimator.fidelities)
        goals = Objectives.parse(objectives if objectives is not None else estimator.objectives or None)
        check_fit(made, space, goals)
        check_halving(made, budget, pruner)
        given = None if initial is None else first_decisions(space, initial)
        sources = listed(warm_start)
        opened = open_store(store)
        identity = identify(
            target, estimator.identity, made, goals, name=name, seed=seed, context=context, outer=outer,
            frame=caller(2), durable=opened.durable, initial=given,
            sources=None if warm_start is None else [source_name(source) for source in sources],
        )  # fmt: skip
        rules = Rules(
            trials=trials or _usual_trials(made, estimator, budget), budget=budget, retries=retries,
            reuse=reuse and resources.repeatable,
            deterministic=deterministic,
            give_up_after=give_up_after,
            keep=resources.keeps if keep is None else keep,
        )  # fmt: skip
        display = _display(progress, outer)
    plan = _Plan(
        target, estimator, goals, made, opened, identity, rules, on_change, workers, timeout, pruner,
        on_trial, sources,
    )  # fmt: skip
    try:
        return plan.run(display, outer)
    finally:
        if opened is not store:
            opened.close()


@dataclass
class _Plan:
    """A search whose arguments have been checked."""

    target: Any
    estimator: Estimator
    objectives: Objectives
    algorithm: Algorithm
    store: Store
    identity: Identity
    rules: Rules
    on_change: str
    workers: int
    timeout: float | None
    pruner: Pruner | None
    on_trial: Callable[[Trial], None] | None
    sources: list[Source]

    def run(self, display: Display, outer: RunningTrial | None) -> Study:
        """Open the study, go on with it, and return it."""
        space: Space = _space(self.target)
        weights = KeptWeights(self.store.folder, self.identity.name)
        context = StudyContext(space, self.identity.seed, self.target, weights)
        halving = self.algorithm.capabilities.fidelity
        if halving:
            context.checkpoints = Checkpoints(self.store.folder, self.identity.name)
        with set_up():
            # A mistake in what it should learn from, or be evaluated by, is told before there is a study.
            events = self._begin(space, weights)
            row = open_study(
                self.store, self.identity, context, self.objectives, self.on_change, self.algorithm
            )
        title = f"{self.identity.header['algorithm_name']} on {target_name(self.target)}"
        with driving(self.store, row), display.line(title) as line:
            state = load(self.store, row, context, self.objectives)
            if not state.calls and not state.given:
                _clear(context, weights)
            self._warm_start(row, state, events)
            study = Study(self.store, row, state)
            driver = Driver(
                self.store,
                row.key,
                state,
                self.algorithm,
                replace(self.rules, initial=first_decisions(space, row.header.get("initial") or ())),
                weights,
                self.pruner,
                on_trial=self.on_trial,
            )
            driver.on_change = lambda: line.update(lambda: snapshot(driver))
            estimator = self._open(driver, line)
            driver.algorithm = estimator.proposer or self.algorithm
            rebuild(driver.algorithm, state, self.store.events(row.key), ended=estimator.replay)
            evaluation = Evaluation(
                self.target, estimator.evaluate, self.objectives, keep_weights=self.rules.keep > 0,
                fidelity=halving,
            )  # fmt: skip
            self._drive(driver, evaluation, row, display, line, outer)
        return study

    def _begin(self, space: Space, weights: KeptWeights) -> list[Event] | None:
        """Prepare a study that is not in the store yet; return what others have learnt for it."""
        new = self.store.find(self.identity.name) is None
        if new or self.on_change == "import":
            self.estimator.check(self.target, self.algorithm)
        if not new:
            return None
        folder = self._folder(weights)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)  # of a study of that name that was deleted
        return self._warm_start_events(space)

    def _open(self, driver: Driver, line: Line) -> OpenEstimator:
        """Return what evaluates the trials of this study, as it was left."""
        self.algorithm.setup(driver.state.context.space)
        return self.estimator.open(
            self.target,
            self.algorithm,
            seed=derived_seed(driver.state.context.seed, ESTIMATOR_SEED),
            folder=self._folder(driver.weights),
            trials=len(driver.state.trials),
            tell=lambda note: line.update(lambda: snapshot(driver, note)),
        )

    def _folder(self, weights: KeptWeights) -> Path | None:
        return weights.folder(self.estimator.resources.folder, self.identity.header["fingerprints"])

    def _warm_start(self, row: StudyRow, state: StudyState, events: list[Event] | None) -> None:
        """Write down what other studies have learnt, before the first proposal."""
        if not self.sources or state.warm_started_from or state.calls or state.given:
            return
        events = self._warm_start_events(state.context.space) if events is None else events
        self.store.append(row.key, state.seq, events)
        state.apply_all(events)

    def _warm_start_events(self, space: Space) -> list[Event]:
        return warm_start_events(self.sources, space, self.objectives, self.algorithm)

    def _drive(
        self,
        driver: Driver,
        evaluation: Evaluation,
        row: StudyRow,
        display: Display,
        line: Line,
        outer: RunningTrial | None,
    ) -> None:
        ended = "stopped"
        self.store.set_state(row.key, "running")
        executor = self._executor(evaluation, row.name, driver, display)
        try:
            driver.run(executor)
            ended = "done"
            if driver.state.context.checkpoints is not None:
                driver.state.context.checkpoints.clear()
        except KeyboardInterrupt:
            ended = "interrupted"
            driver.flush()
            if outer is not None:
                raise
            where = f"in {self.store.location}" if self.store.durable else "in memory, in study.store"
            print(
                f"\nStopped after {driver.state.finished} trials, which are kept {where}; "
                "the same search again goes on from there.",
                file=sys.stderr,
            )
        finally:
            executor.close()
            line.update(lambda: snapshot(driver), force=True)
            self.store.set_state(row.key, ended)

    def _executor(self, evaluation: Evaluation, study: str, driver: Driver, display: Display) -> Executor:
        if self.workers > 1 or self.timeout is not None:
            from symnas.study.workers.process_pool import ProcessPool

            return ProcessPool(evaluation, study, driver.report, max(1, self.workers), self.timeout)

        def prepare(trial: RunningTrial) -> None:
            trial.display = display

        return InProcessExecutor(evaluation, study, driver.report, prepare)


def _clear(context: StudyContext, weights: KeptWeights) -> None:
    """Remove what a study left whose store was deleted, and whose name is taken again."""
    weights.keep_only(())
    if context.checkpoints is not None:
        context.checkpoints.clear()


def snapshot(driver: Driver, note: str = "") -> Snapshot:
    """Return what a display shows of a search.

    Args:
        driver: of the search.
        note: what else there is to say.
    """
    state = driver.state
    best = None
    if state.objectives.count > 1:
        note = f"{len(state.front())} on the front"
    elif state.best is not None and state.best.values is not None:
        name = next(iter(state.objectives.to_json()), next(iter(state.best.metrics)))
        best = (name, state.best.values[0], state.best.number)
    total = None if driver.rules.trials == sys.maxsize else driver.rules.trials
    return Snapshot(state.finished, total, len(driver.running), best, dict(state.counts), note)


def _display(progress: Any, outer: RunningTrial | None) -> Display:
    if outer is not None and isinstance(outer.display, Display) and progress == "auto":
        return outer.display
    if progress is False or (outer is not None and progress == "auto"):
        return Display("silent")
    return Display("auto" if progress is True else progress)


def _survey_silently(target: Any) -> None:
    """Keep a program's survey off the terminal, where the search is or an outer one shows itself."""
    internals = getattr(target, "internals", None)
    if internals is not None and hasattr(internals, "show_progress"):
        internals.show_progress = False


def _space(target: Any) -> Space:
    if isinstance(target, Space):
        return target
    space = getattr(target, "space", None)
    if not isinstance(space, Space) or not callable(getattr(target, "build", None)):
        raise StudyError(
            f"a search needs a program or a space; got {target!r}: wrap a class or function in "
            f"symnas.program(...)"
        )
    return space


def _usual_trials(algorithm: Algorithm, estimator: Estimator, budget: int | None) -> int:
    """Return how many trials there are where nobody says."""
    if budget is not None:
        return sys.maxsize
    return estimator.usual_trials or algorithm.usual_trials or TRIALS


def _check_begin(on_change: str) -> None:
    if worker_loading() or bootstrapping():
        raise StudyError(
            "worker processes, those of multiprocessing, and whoever builds a child of a study import the "
            "script that the program's class is in, and the script starts a search while it is imported: put "
            "the search under "
            "`if __name__ == '__main__':`, or the class "
            "into a module of its own"
        )
    if on_change not in ON_CHANGE:
        raise StudyError(
            f"on_change is 'refuse' or 'import'; got {on_change!r}{nearest(str(on_change), ON_CHANGE)}"
        )
