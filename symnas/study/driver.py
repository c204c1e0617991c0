"""The loop of a search: propose, hand out, wait, write down.

Every step is an event that is applied to the state and put aside (`_note`); `flush` writes what was put aside
in one transaction, before the loop waits again. So whenever trials run, the log already says so: a process
that is killed loses what ran, and nothing that was over, and the next one queues it again (`opening.load`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symnas.contracts.algorithm import Algorithm
from symnas.contracts.fidelity import Proposal, fidelities_of, handed_out
from symnas.contracts.objectives import less_is_better
from symnas.contracts.outcome import Status
from symnas.errors import StudyError
from symnas.study.pruners import Pruner
from symnas.study.replay import proposal_rng
from symnas.study.state import StudyState
from symnas.study.store.base import CRASH, PROPOSE, START, STOP, Event, Store
from symnas.study.trials.kept_weights import KeptWeights
from symnas.study.trials.trial import Trial
from symnas.study.trials.trial_context import blame
from symnas.study.workers.evaluation import Result
from symnas.study.workers.executor import Crash, Executor
from symnas.tree.space import Batch, Decision

PAUSED = 64
"""How many paused trials keep a checkpoint, besides those that run or wait."""
FAILURES = frozenset({Status.FAILED, Status.NAN, Status.OOM, Status.TIMEOUT, Status.INFEASIBLE})


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a search goes on.

    Args:
        trials: total number of trials, those of earlier runs included.
        retries: how often a trial is started again after its worker crashed.
        reuse: whether a decision that was tried before is looked up.
        deterministic: whether proposal n sees exactly the trials up to n - workers.
        give_up_after: end the search when so many first trials all failed the same way; 0 never does.
        keep: how many trained children keep their weights.
        budget: largest sum of what trials spend in fidelity, or None; the trial that reaches it is the last.
        initial: decisions to try before the algorithm is asked for any.
    """

    trials: int
    retries: int = 2
    reuse: bool = True
    deterministic: bool = False
    give_up_after: int = 10
    keep: int = 0
    budget: int | None = None
    initial: Sequence[Decision] = ()


@dataclass
class Driver:
    """Runs one study until its budget is spent.

    Args:
        store: where events go.
        key: the study's number in the store.
        state: the study's state, up to date with the store.
        algorithm: has observed what the log says.
        rules: how to go on.
        weights: where trained weights go.
        pruner: stops trials early.
        on_change: called after every step of the loop.
        on_trial: called with every trial that is over.
    """

    store: Store
    key: int
    state: StudyState
    algorithm: Algorithm
    rules: Rules
    weights: KeptWeights
    pruner: Pruner | None = None
    on_change: Callable[[], None] = lambda: None
    on_trial: Callable[[Trial], None] | None = None
    running: set[int] = field(default_factory=set)
    # Decisions and fidelities that run; events not written yet; whether the last proposal was empty, and
    # whether nothing can come any more; oriented values by trial and step, for the pruner; ended trials not
    # told yet.
    _busy: set[tuple[str, int | None]] = field(default_factory=set)
    _pending: list[Event] = field(default_factory=list)
    _dry: bool = False
    _exhausted: bool = False
    _history: dict[int, dict[int, float]] = field(default_factory=dict)
    _over: list[int] = field(default_factory=list)
    _since: int = 0
    _directed: bool = False

    def run(self, executor: Executor) -> None:
        """Go on until the budget is spent or nothing is left to propose.

        Raises:
            StudyError: everything fails the same way, or the only metric seems to be one to minimise, and
                no direction was given.
        """
        self._since = self.state.finished
        self._ask_direction(executor)
        if self.pruner is not None:
            self._remember_steps()
        self._hand_out_given()
        while True:
            # Written before it is waited for: results that have come, the proposals that saw them, and the
            # starts of what runs from now on are one transaction, so that a log never holds a proposal
            # without the results that it was made of.
            self._hand_out(executor)
            self.flush()
            self.on_change()
            if not self.running and (self._exhausted or self._spent):
                break
            for number, result in executor.wait():
                self._take(number, result)
            self._ask_direction(executor)
            self._give_up_if_hopeless()
        self._observe_rest()

    def flush(self) -> None:
        """Write down what happened since the last time, in one transaction."""
        if self._pending:
            events, self._pending = self._pending, []
            # The position is part of what is written: if another driver has written meanwhile, it is taken,
            # and the transaction fails instead of mixing two searches.
            self.store.append(self.key, self.state.seq - len(events), events)
        if self.on_trial is not None:
            over, self._over = self._over, []
            for number in over:
                self.on_trial(self.state.trials[number])

    def report(self, number: int, step: int, metrics: Mapping[str, float]) -> bool:
        """Take note of an intermediate result; tell whether to stop the trial."""
        if self.pruner is None:
            return False
        value = self.state.objectives.oriented(self.state.objectives.values(metrics))[0]
        self._history.setdefault(number, {})[step] = value
        return self.pruner.should_prune(number, self._history)

    # ------------------------------------------------------------ handing out

    @property
    def _spent(self) -> bool:
        return not self.state.waiting and self._left <= 0

    @property
    def _left(self) -> int:
        budget = self.rules.budget
        if budget is not None and self.state.spent >= budget:
            return 0
        return self.rules.trials - len(self.state.trials)

    def _hand_out(self, executor: Executor) -> None:
        state = self.state
        for worker in executor.free:
            while (number := self._next(executor)) is not None:
                trial = state.trials[number]
                if self.rules.reuse and (known := state.known(trial)) is not None:
                    self._copy(trial, known)
                    continue
                self._note(START, number, {"worker": worker})
                # A trial that goes on from another needs what that one left; all others begin with nothing.
                if trial.resumes is None and state.context.checkpoints is not None:
                    state.context.checkpoints.drop(trial.origin)  # left by an attempt that was killed
                self._history.pop(number, None)
                self.running.add(number)
                self._busy.add((trial.decision.key, trial.fidelity))
                executor.submit(trial, worker)
                break
            else:
                return

    def _next(self, executor: Executor) -> int | None:
        """Return the number of a trial to start now, proposing one if none can be."""
        while True:
            for number in self.state.waiting:
                if not self._awaited(self.state.trials[number]):
                    return number
            # What only waits for its like must not use the budget up while nothing is learned.
            if len(self.state.waiting) >= executor.size or not self._propose(executor):
                return None

    def _awaited(self, trial: Trial) -> bool:
        """Whether the same is being evaluated right now, so that its result is looked up when it is over."""
        if not self.rules.reuse or not self._busy:
            return False
        return (trial.decision.key, trial.fidelity) in self._busy

    def _propose(self, executor: Executor) -> bool:
        state = self.state
        left = self._left
        if left <= 0 or self._exhausted or (self._dry and self.running):
            return False
        # propose(n, [seed, call]) after observe(seen): what the log needs to make the call again
        seen = self._visible(executor.size)
        if seen is None:
            return False
        wanted = 1 if self.rules.deterministic else min(left, max(1, len(executor.free)))
        if seen:
            self.algorithm.observe(state.batch(seen), [state.outcome(number) for number in seen])
        # The generator depends on the number of the call alone, so that replaying it needs no state of one.
        batch = self.algorithm.propose(wanted, proposal_rng(state.context.seed, state.calls))
        if len(batch):
            # Algorithms learn that these are under way, so that they do not propose the same again.
            self.algorithm.observe(batch, handed_out(batch))
        payload = {"call": state.calls, "n": wanted, "seen": seen, "decisions": list(batch)}
        self._note(PROPOSE, len(state.trials), {**payload, **self._reaches(batch)})
        self._drop_checkpoints()
        self._dry = not len(batch)
        # An empty proposal is final only if nothing is under way or unseen that could change the algorithm.
        self._exhausted = self._dry and not self.running and not state.unseen
        return bool(len(batch))

    def _hand_out_given(self) -> None:
        """Propose the decisions that the user gave, as many as were not proposed before."""
        state = self.state
        for decision in self.rules.initial[state.given :]:
            batch: Batch = state.context.space.batch([decision])
            if self.algorithm.capabilities.fidelity:
                # Where the algorithm would begin now, it begins with this one; asking changes nothing.
                asked = self.algorithm.propose(1, proposal_rng(state.context.seed, state.calls))
                batch = Proposal(batch, (fidelities_of(asked) or ())[:1])
            if self._left <= 0:
                return
            self.algorithm.observe(batch, handed_out(batch))
            payload = {"call": None, "n": 1, "seen": [], "decisions": [decision]}
            self._note(PROPOSE, len(state.trials), {**payload, **self._reaches(batch)})

    def _reaches(self, batch: Batch) -> dict[str, Any]:
        """Return what the log says of fidelities: how far trials go, and what each goes on from."""
        fidelities = fidelities_of(batch)
        if not fidelities:
            return {}
        resumes: list[int | None] = []
        for decision, fidelity in zip(batch, fidelities, strict=True):
            resumes.append(self.state.resumable(decision, fidelity, taken=resumes))
        return {"fidelities": list(fidelities), "resumes": resumes}

    def _drop_checkpoints(self) -> None:
        checkpoints = self.state.context.checkpoints
        if not checkpoints:
            return
        paused = self.algorithm.paused(PAUSED) or ()
        kept = [self.state.resumable(decision) for decision in paused]
        numbers = [number for number in kept if number is not None]
        numbers += [*self.running, *self.state.waiting, *self.state.unseen]
        checkpoints.keep_only(self.state.trials[number].origin for number in numbers)

    def _visible(self, workers: int) -> list[int] | None:
        """Return the results that the next proposal sees, or None if it must wait for one."""
        unseen = self.state.unseen
        if not self.rules.deterministic or workers == 1:
            return list(unseen)
        # With W workers, proposal n sees the trials up to n - W: those are over whatever the others do, so
        # what is proposed does not depend on who is quick. Until then it waits.
        latest = len(self.state.trials) - (0 if self._dry else workers)
        if min((*self.running, *self.state.waiting), default=latest + 1) <= latest:
            return None
        return sorted(number for number in unseen if number <= latest)

    # ------------------------------------------------------------ taking back

    def _take(self, number: int, result: Result | Crash) -> None:
        self.running.discard(number)
        trial = self.state.trials[number]
        self._busy.discard((trial.decision.key, trial.fidelity))
        if isinstance(result, Crash):
            # attempts counts from 1: at most 1 + retries of them
            if trial.attempts <= self.rules.retries:
                self._note(CRASH, number, {"error": result.error})
                return
            tries = f"{trial.attempts} attempts" if trial.attempts > 1 else "the only attempt"
            result = Result(Status.FAILED, error=f"{result.error} (in {tries})")
        # The result first: should writing the weights fail, the trial is over all the same.
        self._finish(number, result.status.value, result.payload())
        if result.weights is not None and result.status is Status.DONE:
            self._keep_weights(trial, result.weights)

    def _copy(self, trial: Trial, known: Trial) -> None:
        payload = {"metrics": known.metrics, "values": known.values, "error": known.error, "cost": 0.0}
        self._note(START, trial.number, {"worker": -1})
        self._finish(trial.number, known.status.value, {**payload, "copied_from": known.number})

    def _finish(self, number: int, status: str, payload: dict[str, Any]) -> None:
        self._note(status, number, payload)
        if self.on_trial is not None:
            self._over.append(number)

    def _note(self, kind: str, trial: int, payload: dict[str, Any]) -> None:
        event = Event(kind, trial, time.time(), payload)
        self.state.apply(event)
        self._pending.append(event)

    def _keep_weights(self, trial: Trial, trained: Any) -> None:
        wanted = self.state.worth_keeping(self.rules.keep)
        if trial.number in wanted:
            self.weights.save(trial.number, trained)
            self.weights.keep_only(wanted)

    def _remember_steps(self) -> None:
        for trial in self.state.trials:
            for step, metrics in trial.steps:
                value = self.state.objectives.oriented(self.state.objectives.values(metrics))[0]
                self._history.setdefault(trial.number, {})[step] = value

    def _observe_rest(self) -> None:
        # Nothing will be proposed, so nothing is logged; the caller's algorithm still knows the last results.
        unseen = self.state.unseen
        if unseen:
            self.algorithm.observe(
                self.state.batch(unseen), [self.state.outcome(number) for number in unseen]
            )

    def _ask_direction(self, executor: Executor) -> None:
        """End, with all that runs written down, where the only metric seems to be one to minimise."""
        state = self.state
        if self._directed or state.objectives.directions:
            return
        done = next((trial for trial in state.trials if trial.status is Status.DONE), None)
        if done is None:
            return
        name = next(iter(done.metrics))
        self._directed = not less_is_better(name)
        if self._directed:
            return
        while self.running:
            for number, result in executor.wait():
                self._take(number, result)
        self.flush()
        raise blame(
            StudyError(
                "a metric whose name says that less of it is better is given its direction; the evaluator "
                f"returns {name!r} alone: run it again with objectives={{{name!r}: 'min'}} (or 'max', if "
                "that is meant). What is finished is kept"
            )
        )

    def _give_up_if_hopeless(self) -> None:
        limit = self.rules.give_up_after
        state = self.state
        ended = state.finished - self._since
        # From the limit on, and up to twice of it: several trials may end between two looks.
        if (
            not limit
            or not limit <= ended < 2 * limit
            or any(state.counts[s] for s in Status if s not in FAILURES)
        ):
            return
        over = [trial for trial in state.trials if trial.status.final][-ended:]
        # A clause that is hard to meet is no mistake in what is searched: the budget of trials ends that.
        if any(trial.status is Status.INFEASIBLE for trial in over):
            return
        ways = {(trial.status, (trial.error or "").partition(":")[0]) for trial in over}
        if len(ways) > 1 or any(trial.copied_from is not None for trial in over):
            return
        status, error = over[0].status, over[0].error or ""
        self._note(STOP, -1, {"reason": f"all {ended} trials ended as {status.value}: {error}"})
        self.flush()
        raise StudyError(
            f"a search goes on while something works; its first {ended} trials all ended as "
            f"{status.value!r}, the first with\n    {error}\nMend that and run it again; what was tried is "
            "kept (study.trials[0].traceback has the whole traceback; give_up_after=0 never gives up)."
        )
